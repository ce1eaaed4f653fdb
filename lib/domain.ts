import { createHash } from 'node:crypto';
import { jid as parseJidText } from '@xmpp/jid';
import { Fault } from './faults.js';
import type { Options } from './options.js';

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** An absolute http(s) URL without credentials, fragment or odd characters: the only kind of URL that is ever polled. */
export type FeedUrl = Brand<string, 'FeedUrl'>;
/** Ten characters [a-z2-7]: a short hash of a feed's URL, or of the name of a node that has no feed. */
export type FeedId = Brand<string, 'FeedId'>;
/** The canonical XEP-0060 NodeID of a feed: readable host, then the FeedId; only [a-z0-9._-]. */
export type NodeId = Brand<string, 'NodeId'>;
/**
 * An entry for the life of the entry, and the XEP-0059 cursor: 32 hexadecimal digits; on a node that has no feed, what
 * its publisher has chosen.
 */
export type ItemId = Brand<string, 'ItemId'>;

/**
 * RFC 4287 text construct. `xhtml` is the inside of the <div>, as XML text; `html` is unescaped markup. Markup is
 * sanitised, and all URLs in it are absolute.
 */
export interface Text {
  readonly type: 'text' | 'html' | 'xhtml';
  readonly value: string;
  /** xml:lang, where it differs from the feed's. */
  readonly lang?: string;
}

/** RFC 4287 4.1.3.2: content that lives somewhere else. */
export interface OutOfLine {
  readonly type: 'src';
  readonly src: string;
  readonly mediaType?: string;
}

/** RFC 4287 3.2. At least one field is there. */
export interface Person {
  readonly name?: string;
  readonly email?: string;
  readonly uri?: string;
}

/** RFC 4287 4.2.7. `href` is absolute; enclosures are links with rel "enclosure"; `length` is in bytes. */
export interface Link {
  readonly href: string;
  readonly rel: string;
  readonly type?: string;
  readonly hreflang?: string;
  readonly title?: string;
  readonly length?: number;
}

/** RFC 4287 4.2.2. */
export interface Category {
  readonly term: string;
  readonly scheme?: string;
  readonly label?: string;
}

/**
 * Media RSS: one media:content with what belongs to it, or a lone media:thumbnail (medium "thumbnail"), or the page of a
 * media:player (type "text/html"). Sizes in px.
 */
export interface Media {
  readonly url: string;
  readonly medium?: string;
  readonly type?: string;
  readonly width?: number;
  readonly height?: number;
  readonly title?: string;
}

/** RFC 4685 3: what an entry answers to. */
export interface Reply {
  /** The id of the other entry. */
  readonly ref: string;
  readonly href?: string;
  readonly type?: string;
  /** The feed of the other entry. */
  readonly source?: string;
}

/** GeoRSS (OGC 17-002r1): one point in degrees (WGS 84), and what the place is called. */
export interface Where {
  readonly latitude: number;
  readonly longitude: number;
  readonly name?: string;
}

/**
 * How often a publisher wants to be asked: not within so many seconds (RSS ttl, sy:updatePeriod), and not in these hours
 * (0 to 23, UTC) and on these days (0 is Sunday, UTC) of RSS skipHours and skipDays.
 */
export interface Pace {
  readonly seconds?: number;
  readonly hours?: readonly number[];
  readonly days?: readonly number[];
}

/** RFC 4287 4.2.4: the software that made a feed. */
export interface Generator {
  readonly name: string;
  readonly uri?: string;
  readonly version?: string;
}

/** What a feed says of itself; also an entry's atom:source (RFC 4287 4.2.11). */
export interface Source {
  readonly id?: string;
  readonly title?: Text;
  readonly subtitle?: Text;
  readonly links: readonly Link[];
  readonly authors: readonly Person[];
  readonly contributors?: readonly Person[];
  readonly categories: readonly Category[];
  readonly updated?: string;
  readonly rights?: Text;
  readonly icon?: string;
  readonly logo?: string;
  readonly lang?: string;
  readonly generator?: Generator;
}

/** One entry of a feed, able to hold all that Atom can say. Dates are ISO 8601 in UTC; URLs are absolute. */
export interface Entry {
  /** The publisher's own id: atom:id, guid, rdf:about, JSON Feed id; a link or a hash where there is none. */
  readonly id: string;
  readonly title?: Text;
  readonly summary?: Text;
  readonly content?: Text | OutOfLine;
  readonly links: readonly Link[];
  readonly authors: readonly Person[];
  readonly contributors: readonly Person[];
  readonly categories: readonly Category[];
  readonly published?: string;
  readonly updated?: string;
  readonly rights?: Text;
  readonly lang?: string;
  /** Where a planet or a linklog took the entry from. */
  readonly source?: Source;
  readonly media: readonly Media[];
  /** RFC 4685: what this entry answers to. */
  readonly inReplyTo?: readonly Reply[];
  /** How many answers there are to it (RFC 4685 thr:total, slash:comments). */
  readonly replies?: number;
  readonly where?: Where;
  /** Seconds that its recording takes (itunes:duration). */
  readonly duration?: number;
  /** True when content or summary was longer than we keep; a link leads to the rest. */
  readonly truncated?: true;
}

/** What an HTTP server gave us to ask "is it still this?" with, to be sent back exactly (RFC 9110 13.1). */
export interface Validators {
  readonly etag?: string;
  readonly lastModified?: string;
}

/** Why a look at a feed gave nothing. Kinds for counting and for choosing the next poll; `text` is for people. */
export interface Failure {
  readonly reason:
    | 'blocked-address'
    | 'dns'
    | 'connect'
    | 'tls'
    | 'timeout'
    | 'too-large'
    | 'http-status'
    | 'redirects'
    | 'not-a-feed'
    | 'parse'
    /** What the vault holds for the feed cannot be opened. */
    | 'credentials';
  /** One sentence without addresses or timings, fit to be shown to whoever asked. */
  readonly text: string;
  readonly status?: number;
  /** Seconds, from Retry-After. */
  readonly retryAfter?: number;
}

/** What one look at a URL found. The world's faults are values here, never exceptions. */
export type Reading =
  | {
      readonly kind: 'fresh';
      /** In document order. Ids are unique. */
      readonly entries: readonly Entry[];
      readonly source: Source;
      readonly validators: Validators;
      /** Hash of the body's bytes. */
      readonly body: string;
      /** Where the redirects ended. */
      readonly url: FeedUrl;
      /** The same, when each of them was permanent. */
      readonly moved?: FeedUrl;
      readonly pace?: Pace;
      /** The body ended in the middle: these are the whole entries before that, and the rest is still to be read. */
      readonly cut?: true;
      /** Seconds for which the server calls its answer fresh (RFC 9111 4.2). */
      readonly freshFor?: number;
    }
  /** 304, or the same bytes again; `hasBody` tells the latter. */
  | {
      readonly kind: 'unchanged';
      readonly validators?: Validators;
      readonly moved?: FeedUrl;
      readonly hasBody?: true;
      readonly freshFor?: number;
    }
  /** Not asked: too many wait for the same host, or the host wants to be left alone. To be tried in so many seconds. */
  | { readonly kind: 'postponed'; readonly seconds: number }
  /** A web page that names feeds (rel=alternate), the most likely one first. */
  | { readonly kind: 'page'; readonly feeds: readonly FeedUrl[] }
  | ({ readonly kind: 'failed' } & Failure);

/** What is asked of a URL: the validators and body hash are those of the last fresh reading. */
export interface Target {
  readonly url: FeedUrl;
  readonly validators?: Validators;
  readonly body?: string;
  /** How many subscribers a look is for: publishers count them by the User-Agent. */
  readonly subscribers?: number;
  /** Somebody waits for the answer: the look stands in line for a busy host, however long that is. */
  readonly awaited?: true;
  /** Sent to this origin only, and over nothing less safe than it was given for: credentials of a private feed. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** The node that carries every entry of every public feed. No feed can have this name: a FeedId is ten characters. */
export const FIREHOSE = 'firehose';
export type Firehose = typeof FIREHOSE;
/** What everything that belongs to one node is stored under. */
export type NodeKey = FeedId | Firehose;

/** A feed as it is stored. Times are milliseconds since 1970. */
export interface Feed {
  readonly id: FeedId;
  readonly url: FeedUrl;
  readonly node: NodeId;
  /** Counts the commits: a commit that was computed from another version is refused. */
  readonly version: number;
  readonly source?: Source;
  readonly validators: Validators;
  readonly body?: string;
  readonly added: number;
  /** When it was last looked at, and when that last gave a feed; absent before the first time. */
  readonly polled?: number;
  readonly read?: number;
  /** Failures in a row; 0 when the last look went well. */
  readonly failures: number;
  readonly failure?: Failure;
  /** When the first failure of that row was; absent when the last look went well. */
  readonly failing?: number;
  /** The last lasting state of the feed that subscribers were told of, unless it is over. */
  readonly told?: 'failing' | 'gone';
  /** Where the last looks were led to by permanent redirects, how many of them in a row, and since when. */
  readonly moving?: { readonly to: FeedUrl; readonly times: number; readonly since: number };
  /** Where it was found when it was no longer at its URL: this is asked instead, until that fails. */
  readonly at?: FeedUrl;
  readonly pace?: Pace;
  readonly rhythm?: Rhythm;
  /** When a body last came, and not a 304: what claims for a week that nothing has changed is asked without validators. */
  readonly full?: number;
  /** Its server says that nothing has changed when something has: validators are not worth sending. */
  readonly lying?: true;
  /** Its ids change from look to look, so that its entries are told apart by what they link to and say. */
  readonly untrusted?: true;
  /** It was never read to its end: whenever it is, what was beyond is its past. */
  readonly partial?: true;
  /** Until when a push that has proven to be healthy stands in for looks. */
  readonly pushed?: number;
  /** Since when nobody follows it, so that it is not looked at. */
  readonly paused?: number;
  /** Since when nobody had followed it, when somebody does again and it was not looked at yet. */
  readonly woken?: number;
  /** Per cent of visible change from which an edit is announced, where an owner has said so. */
  readonly editThreshold?: number;
  /** What the vault keeps for a private feed: its credentials. Only members see anything of such a feed. */
  readonly sealed?: string;
}

/** How a feed has published so far. */
export interface Rhythm {
  /** Seconds from one entry to the next, usually. */
  readonly gap: number;
  /** When the latest one came (ms since 1970). */
  readonly latest: number;
  /** The share of looks that have found something, 0 to 1; the latest count most. */
  readonly hits: number;
  /** For each hour of the day in UTC a weight, 0 to 35 in base 36. */
  readonly hours: string;
}

/** What a node holds under one ItemID; `at` is when it was committed (ms since 1970). */
export type Item = { readonly id: ItemId; readonly at: number } & Content;

/** A feed's entry; or what somebody has published: its payload as proven XML text, '' for none, and who it was. */
export type Content = { readonly entry: Entry } | { readonly payload: string; readonly publisher: string };

/**
 * The part of an ordered list that is wanted (XEP-0059): up to `limit` entries, from the beginning, right after a
 * cursor, or right before one; before '' is before the end.
 */
export interface PageAsk {
  readonly limit: number;
  readonly after?: string;
  readonly before?: string;
}

/** A part of a list of `count` entries; `index` is the place of its first one, or would be. */
export interface Page<T> {
  readonly entries: readonly T[];
  readonly index: number;
  readonly count: number;
}

/** Somebody's wish to get what a node publishes. A JID may hold several on one node, told apart by the SubID. */
export interface Subscription {
  readonly feed: NodeKey;
  /** As given: bare or full. */
  readonly jid: string;
  /** Made by us; without spaces. */
  readonly subid: string;
  /** The node as this subscriber named it; every answer and notification uses this name. */
  readonly node: string;
  readonly since: number;
  /** `pending` until an owner has approved it (XEP-0060 4.2). */
  readonly state: 'subscribed' | 'pending';
  /** Only what differs from the defaults of the node. */
  readonly options: Partial<Options>;
  /** A chat room, which an admin has subscribed. */
  readonly room?: true;
}

/** What tells one subscription from all others. */
export type SubscriptionKey = Pick<Subscription, 'feed' | 'jid' | 'subid'>;

/** XEP-0060 4.1; who has none is not on any list. */
export type Affiliation = 'owner' | 'publisher' | 'publish-only' | 'member' | 'outcast';

/**
 * A stranger's text as a URL that may be polled.
 * @throws Fault `not-a-feed` for anything but a plain http(s) URL of at most 2,048 characters without credentials,
 *   white space, control or bidirectional characters.
 */
export function parseFeedUrl(text: string): FeedUrl {
  const url = text.length > URL_MAX || FORBIDDEN_IN_URL.test(text) ? undefined : urlIn(text);
  if (!url) throw new Fault('not-a-feed', 'That is not the URL of a feed or a page');
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new Fault('not-a-feed', 'Only http and https URLs can be followed');
  }
  if (url.username || url.password) throw new Fault('not-a-feed', 'URLs with credentials cannot be followed');
  url.hash = '';
  if (url.href.length > URL_MAX) throw new Fault('not-a-feed', 'That URL is too long');
  return url.href as FeedUrl;
}

/**
 * A text as a URL (WHATWG), or undefined when it is none. In Node 20, `URL.canParse` takes every text with a letter of
 * Latin-1 beyond ASCII for none as soon as it is called often enough to be compiled.
 */
export function urlIn(text: string, base?: string): URL | undefined {
  try {
    return new URL(text, base);
  } catch {
    return undefined;
  }
}

// As it is written and as it comes out: percent-encoding makes it longer, and what comes out can be given again.
const URL_MAX = 2_048;

// White space, C0/C1 controls, zero-width and bidirectional formatting, lone surrogates.
const FORBIDDEN_IN_URL =
  /[\s\u0000-\u0020\u007f-\u009f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

export const feedIdOf = (url: FeedUrl): FeedId => base32(sha256(url), 10) as FeedId;

/** `blog.example.org-k3f9qz7x2m`; a host too long for comfort is cut, the hash never. */
export function nodeIdOf(url: FeedUrl): NodeId {
  const host = new URL(url).hostname.replace(/[^a-z0-9.]+/g, '-').replace(/^[-.]+|[-.]+$/g, '');
  return `${host.slice(0, 80)}-${feedIdOf(url)}` as NodeId;
}

/** The FeedId inside a canonical NodeID, or nothing when the text has not that shape. */
export const feedIdIn = (node: string): FeedId | undefined =>
  /^[a-z0-9._-]{0,100}-([a-z2-7]{10})$/.exec(node)?.[1] as FeedId | undefined;

/** What a node without a feed is stored under. */
export const ownNodeIdOf = (name: string): FeedId => base32(sha256(`node:${name}`), 10) as FeedId;

export const itemIdOf = (feed: FeedId, entryId: string): ItemId =>
  sha256(`${feed}\n${entryId}`).subarray(0, 16).toString('hex') as ItemId;

/** A short name for any text, fit for keys and job ids: sixteen characters [a-z2-7]. */
export const digest = (text: string): string => base32(sha256(text), 16);

/**
 * A JID as the specifications normalise it.
 * @throws Fault `invalid-jid` when it is none (RFC 7622).
 */
export function parseJid(text: string): { readonly full: string; readonly bare: string; readonly domain: string } {
  try {
    // The library takes nearly everything, and escapes what it cannot take.
    if (!JID.test(text) || /[\p{Cc}\p{Cs}]/u.test(text)) throw new Error('not the shape of a JID');
    const parsed = parseJidText(text);
    return { full: parsed.toString(), bare: parsed.bare().toString(), domain: parsed.getDomain() };
  } catch (cause) {
    throw new Fault('invalid-jid', 'That is not a JID', { cause });
  }
}

// RFC 7622 3: the local part without "&'/:<>@ and spaces, the domain, the resource; 1,023 characters each.
const JID = /^(?:[^\s"&'/:<>@]{1,1023}@)?[^\s"&'/<>@]{1,1023}(?:\/.{1,1023})?$/su;

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function base32(bytes: Buffer, length: number): string {
  let text = '';
  for (let bit = 0; text.length < length; bit += 5) {
    const pair = (bytes.readUInt16BE(bit >> 3) >> (11 - (bit & 7))) & 31;
    text += 'abcdefghijklmnopqrstuvwxyz234567'.charAt(pair);
  }
  return text;
}
