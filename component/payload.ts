import xml, { type Element } from '@xmpp/xml';
import { SaxesParser } from 'saxes';
import {
  feedIdOf,
  itemIdOf,
  type Category,
  type Entry,
  type FeedUrl,
  type Link,
  type Media,
  type OutOfLine,
  type Person,
  type Reply,
  type Source,
  type Text,
  type Where,
  urlIn,
} from '../lib/domain.js';
import type { EntryItem } from '../lib/pubsub/reader.js';
import { cutMarkup, cutText, plainText, xmlText } from '../lib/text.js';
import { serialise } from './connection.js';

const ATOM = 'http://www.w3.org/2005/Atom';
const XHTML = 'http://www.w3.org/1999/xhtml';
const MEDIA = 'http://search.yahoo.com/mrss/';
const THREAD = 'http://purl.org/syndication/thread/1.0';
const GEORSS = 'http://www.georss.org/georss';
const ITUNES = 'http://www.itunes.com/dtds/podcast-1.0.dtd';
/** Ours: <truncated/> in an entry says that the whole of it is behind its link. */
export const ENTRY = 'urn:hydrant:entry:0';

/** Thrown for a payload that does not re-parse on its own. */
export class Unprovable extends Error {
  override readonly name = 'Unprovable';
}

/**
 * An item's payload: a valid Atom entry (RFC 4287, with RFC 4685, Media RSS and GeoRSS), built as elements, at most
 * `maxBytes` long in UTF-8, and proven to parse on its own. What Atom does not allow is put into its words, or left out;
 * what is too long is cut to a well-formed beginning and marked; what cannot be proven goes out without its content.
 * @param withSource adds atom:source with the feed it comes from, for nodes that carry many feeds
 * @returns the entry, and the very text that was proven
 * @throws Unprovable when even the bare entry is not well-formed, which would be a mistake of ours
 */
export function payload(
  item: EntryItem,
  withSource: boolean,
  maxBytes: number,
): { readonly element: Element; readonly text: string } {
  let problem = 'too long';
  // What is left out first is what a reader misses least; the last one is only what RFC 4287 demands.
  for (const version of shorter(item, maxBytes)) {
    const element = entryElement(version, withSource);
    const text = serialise(element);
    if (Buffer.byteLength(text) > maxBytes) continue;
    const found = problemIn(text);
    if (!found) return { element, text };
    problem = found;
  }
  throw new Unprovable(problem);
}

/** Why this text is not one well-formed XML 1.0 element with namespaces, or undefined when it is. */
export function problemIn(text: string): string | undefined {
  const parser = new SaxesParser({ xmlns: true });
  let problem: string | undefined;
  parser.on('error', (error) => (problem ??= error.message));
  parser.on('doctype', () => (problem ??= 'a DOCTYPE'));
  parser.on('comment', () => (problem ??= 'a comment'));
  parser.on('processinginstruction', () => (problem ??= 'a processing instruction'));
  parser.write(text).close();
  return problem;
}

/** The item, and ever shorter versions of it. */
function* shorter(item: EntryItem, maxBytes: number): Generator<EntryItem> {
  yield item;
  const { entry, source } = item;
  const { content } = entry;
  for (let room = Math.floor(maxBytes / 2); room >= 512; room = Math.floor(room / 2)) {
    yield {
      ...item,
      entry: {
        ...entry,
        ...(entry.summary && { summary: cut(entry.summary, Math.min(room, 2_048)) }),
        ...(content && content.type !== 'src' && { content: cut(content, room) }),
        ...(entry.title && { title: cut(entry.title, 512) }),
        truncated: true,
      },
    };
  }
  const isShort = ({ rel, href }: Link) => rel === 'alternate' && href.length <= 2_048;
  const bare = { links: [], authors: [], categories: [] };
  yield {
    ...item,
    entry: {
      ...bare,
      id: entry.id,
      title: { type: 'text', value: titleOf(entry) },
      links: entry.links.filter(isShort).slice(0, 1),
      contributors: [],
      media: [],
      ...(entry.published && { published: entry.published }),
      ...(entry.updated && { updated: entry.updated }),
      truncated: true,
    },
    source: {
      ...bare,
      ...(source.id && { id: source.id }),
      title: { type: 'text', value: nameOf(source, item.url) },
      ...(source.updated && { updated: source.updated }),
      ...(source.lang && { lang: source.lang }),
    },
  };
}

const cut = (text: Text, room: number): Text => ({
  ...text,
  value: text.type === 'text' ? cutText(text.value, room) : cutMarkup(text.value, room, text.type),
});

function entryElement({ entry, source, url, at }: EntryItem, withSource: boolean): Element {
  const updated = entry.updated ?? entry.published ?? new Date(at).toISOString();
  const links = linksIn(entry.links);
  const body = contentOf(entry);
  const said = (name: string, words: Text) => text(name, words, entry.lang && source.lang);
  const origin = entry.source && originElement(entry.source, updated);
  return xml(
    'entry',
    { xmlns: ATOM, ...language(entry.lang ?? source.lang) },
    xml('id', {}, idOf(entry.id, url)),
    entry.title ? said('title', entry.title) : xml('title', {}, titleOf(entry)),
    xml('updated', {}, updated),
    ...(entry.published ? [xml('published', {}, entry.published)] : []),
    ...authorsOf(entry, source, url).map((one) => person('author', one)),
    ...entry.contributors.map((one) => person('contributor', one)),
    // RFC 4287 4.1.2: without content an entry has an alternate link; the feed's own address is better than none.
    ...(body || links.some(({ rel }) => rel === 'alternate') ? [] : [link({ rel: 'alternate', href: url })]),
    ...links.map(link),
    ...entry.categories.map(category),
    ...summary(entry).map((words) => said('summary', words)),
    ...(body ? [content(body, said)] : []),
    ...(entry.rights ? [said('rights', entry.rights)] : []),
    ...(entry.inReplyTo ?? []).flatMap(inReplyTo),
    ...(entry.replies === undefined ? [] : [xml('total', { xmlns: THREAD }, String(entry.replies))]),
    ...(entry.where ? where(entry.where) : []),
    ...(entry.duration === undefined ? [] : [xml('duration', { xmlns: ITUNES }, String(Math.round(entry.duration)))]),
    ...entry.media.flatMap(media),
    ...(entry.truncated ? [xml('truncated', { xmlns: ENTRY })] : []),
    ...(origin ? [origin] : withSource ? [sourceElement(source, url, updated)] : []),
  );
}

/**
 * RFC 4287 4.2.6: an id is an absolute IRI. Any other is put into a URN that keeps it, beside the feed that it means
 * something in; what is too long for that is a hash.
 */
function idOf(id: string, url: FeedUrl): string {
  const name = xmlText(id).trim();
  if (name.length <= MAX_IRI_CHARS && iri(name) === name) return name;
  const kept = `urn:hydrant:id:${feedIdOf(url)}:${encodeURIComponent(name)}`;
  return name && kept.length <= MAX_IRI_CHARS ? kept : `urn:hydrant:id:${itemIdOf(feedIdOf(url), id)}`;
}

/** An absolute IRI (RFC 3987) in which what may not be in one is percent-encoded, or undefined for anything else. */
function iri(reference: string | undefined): string | undefined {
  // What is in brackets here is an IPv6 address.
  const [, start, rest] = /^([a-z][a-z0-9+.-]*:(?:\/\/\[[0-9a-f:.]+\])?)([^\s#].*)$/is.exec(reference ?? '') ?? [];
  if (start === undefined || rest === undefined) return undefined;
  const [path = '', ...fragment] = rest.replace(NOT_IN_IRI, encoded).split('#');
  return start + path + (fragment.length > 0 ? `#${fragment.join('%23')}` : '');
}

const NOT_IN_IRI =
  /%(?![0-9a-f]{2})|[^!#-;=?-Z_a-z~\u00a0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef\u{10000}-\u{1fffd}\u{20000}-\u{2fffd}]/giu;

const encoded = (character: string): string => encodeURIComponent(xmlText(character));

const MAX_IRI_CHARS = 2_048;

/** RFC 4287 4.2.1: somebody must have written it; where nobody is named, the feed itself. */
function authorsOf(entry: Entry, source: Source, url: FeedUrl): readonly Person[] {
  const [named] = [entry.authors, entry.source?.authors ?? [], source.authors].filter((authors) => authors.length > 0);
  return named ?? [{ name: nameOf(source, url) }];
}

function contentOf({ content: body }: Entry): Text | OutOfLine | undefined {
  if (body?.type !== 'src') return body;
  const src = iri(body.src);
  return src === undefined ? undefined : { ...body, src };
}

/** RFC 4287 4.1.2: of content that is somewhere else an entry has a summary. */
function summary(entry: Entry): Text[] {
  if (entry.summary) return [entry.summary];
  return entry.content?.type === 'src' ? [{ type: 'text', value: titleOf(entry) }] : [];
}

/** Where an entry was taken from, or undefined when that has no name but perhaps a title. */
function originElement(origin: Source, updated: string): Element | undefined {
  const id = iri(origin.id) ?? origin.links.map(({ href }) => iri(href)).find(Boolean);
  return id === undefined ? undefined : sourceElement({ ...origin, id }, undefined, updated);
}

/**
 * RFC 4287 4.2.11, with everything that a feed must have (4.1.1). `url` is the feed that we read it from, and its id
 * where it has none of its own; `updated` is the entry's.
 */
function sourceElement(source: Source, url: FeedUrl | undefined, updated: string): Element {
  const links = linksIn(source.links.slice(0, 10));
  const self = links.some(({ rel }) => rel === 'self');
  const id = iri(source.id) ?? url ?? '';
  const said = (name: string, words: Text) => text(name, cut(words, 512), undefined);
  return xml(
    'source',
    language(source.lang),
    xml('id', {}, id),
    source.title ? said('title', source.title) : xml('title', {}, nameOf(source, id)),
    xml('updated', {}, source.updated ?? updated),
    ...(source.subtitle ? [said('subtitle', source.subtitle)] : []),
    ...source.authors.slice(0, 10).map((one) => person('author', one)),
    ...(source.contributors ?? []).slice(0, 10).map((one) => person('contributor', one)),
    ...(url && !self ? [link({ rel: 'self', href: url })] : []),
    ...links.map(link),
    ...source.categories.slice(0, 10).map(category),
    ...(source.rights ? [said('rights', source.rights)] : []),
    ...(source.generator ? [generator(source.generator)] : []),
    ...address('icon', source.icon),
    ...address('logo', source.logo),
  );
}

function generator({ name, uri, version }: NonNullable<Source['generator']>): Element {
  const by = iri(uri);
  return xml('generator', { ...(by && { uri: by }), ...(version && { version }) }, name);
}

/** A feed as a text: its title, or the host that it is on. */
function nameOf({ title }: Source, url: string): string {
  const words = title && (title.type === 'text' ? title.value : plainText(title.value));
  return cutText(words?.trim() || urlIn(url)?.hostname || url, 120);
}

function titleOf({ title, summary, content: body, links }: Entry): string {
  const named = title ?? summary ?? (body?.type === 'src' ? undefined : body);
  const words = named && (named.type === 'text' ? named.value : plainText(named.value));
  return cutText(words?.trim() || (links[0]?.href ?? 'Untitled'), 120);
}

/** A text that does not name its language has that of the feed: `inherited`, where something else is around it. */
function text(name: string, { type, value, lang }: Text, inherited: string | undefined): Element {
  const attributes = { ...(type !== 'text' && { type }), ...language(lang ?? inherited) };
  if (type !== 'xhtml') return xml(name, attributes, value);
  const div = elementFrom(`<div xmlns="${XHTML}">${value}</div>`);
  // What says it is XHTML and is not even XML is served as the HTML that it may be.
  return div ? xml(name, attributes, div) : xml(name, { ...attributes, type: 'html' }, value);
}

function content(body: Text | OutOfLine, said: (name: string, words: Text) => Element): Element {
  if (body.type !== 'src') return said('content', body);
  return xml('content', { src: body.src, ...mediaType(body.mediaType) });
}

function person(name: string, { name: who, email, uri }: Person): Element {
  return xml(
    name,
    {},
    xml('name', {}, who ?? email ?? uri ?? ''),
    ...address('uri', uri),
    ...(email && /^[^\s@]+@[^\s@]+$/.test(email) ? [xml('email', {}, email)] : []),
  );
}

/**
 * The links that Atom allows: those with a relation that is one, and of each language and media type one alternate
 * (RFC 4287 4.1.1, 4.1.2); others of the kind are related.
 */
function linksIn(links: readonly Link[]): Link[] {
  const alternates = new Set<string>();
  return links.flatMap(({ type, ...one }) => {
    const href = iri(one.href);
    if (href === undefined || !RELATION.test(one.rel)) return [];
    const media = mediaType(type);
    const kind = `${media.type ?? ''} ${one.hreflang ?? ''}`.toLowerCase();
    const again = one.rel === 'alternate' && alternates.has(kind);
    if (one.rel === 'alternate') alternates.add(kind);
    return [{ ...one, ...media, href, ...(again && { rel: 'related' }) }];
  });
}

/** RFC 4287 4.2.7.2: a name without a colon, or an IRI. */
const RELATION = /^(?:[^\s:/?#[\]@<>"{}|\\^`%]+|[a-z][a-z0-9+.-]*:[^\s<>"{}|\\^`%]+)$/i;

const link = ({ href, rel, type, hreflang, title, length }: Link): Element =>
  xml('link', {
    rel,
    href,
    ...(type && { type }),
    ...(hreflang && { hreflang }),
    ...(title && { title }),
    ...(length !== undefined && { length: String(length) }),
  });

function category({ term, scheme, label }: Category): Element {
  const vocabulary = iri(scheme);
  return xml('category', { term, ...(vocabulary && { scheme: vocabulary }), ...(label && { label }) });
}

/** RFC 4685 3: `ref` is an id, and therefore an IRI. */
function inReplyTo({ ref, href, type, source }: Reply): Element[] {
  const [id, page, feed] = [iri(ref) ?? iri(href), iri(href), iri(source)];
  if (id === undefined) return [];
  const attributes = { ...(page && { href: page, ...mediaType(type) }), ...(feed && { source: feed }) };
  return [xml('in-reply-to', { xmlns: THREAD, ref: id, ...attributes })];
}

const where = ({ latitude, longitude, name }: Where): Element[] => [
  xml('point', { xmlns: GEORSS }, `${latitude} ${longitude}`),
  ...(name ? [xml('featurename', { xmlns: GEORSS }, name)] : []),
];

function media({ url, medium, type, width, height, title }: Media): Element[] {
  const href = iri(url);
  if (href === undefined) return [];
  const size = { ...(width && { width: String(width) }), ...(height && { height: String(height) }) };
  if (medium === 'thumbnail') return [xml('thumbnail', { xmlns: MEDIA, url: href, ...size })];
  const kind = { ...(medium && MEDIUM.test(medium) && { medium }), ...mediaType(type) };
  return [xml('content', { xmlns: MEDIA, url: href, ...kind, ...size }, ...(title ? [xml('title', {}, title)] : []))];
}

const MEDIUM = /^(?:image|audio|video|document|executable)$/;

const address = (name: string, reference: string | undefined): Element[] => {
  const found = iri(reference);
  return found === undefined ? [] : [xml(name, {}, found)];
};

/** RFC 4287 4.2.7.3: what is none is left out. */
const mediaType = (type: string | undefined): { readonly type?: string } =>
  type && /^[^\s/]+\/[^\s/].*$/.test(type) ? { type } : {};

const language = (lang: string | undefined) => (lang ? { 'xml:lang': lang } : {});

/** Well-formed XML text as elements with resolved namespaces, or undefined when it is not well-formed. */
function elementFrom(markup: string): Element | undefined {
  const parser = new SaxesParser({ xmlns: true });
  const open: Element[] = [];
  const result: { root?: Element; broken?: true } = {};
  parser.on('error', () => (result.broken = true));
  parser.on('opentag', ({ local, uri, attributes }) => {
    const parent = open.at(-1);
    const plain = Object.values(attributes).filter(({ prefix }) => prefix === '' || prefix === 'xml');
    const own = Object.fromEntries(plain.map(({ name, value }) => [name, value]));
    const element = xml(local, { ...own, xmlns: uri });
    if (parent) parent.append(element);
    else result.root = element;
    open.push(element);
  });
  parser.on('closetag', () => open.pop());
  parser.on('text', (words) => open.at(-1)?.append(words));
  parser.on('cdata', (words) => open.at(-1)?.append(words));
  parser.write(markup).close();
  return result.broken ? undefined : result.root;
}
