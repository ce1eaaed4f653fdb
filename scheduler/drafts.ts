import { createHash } from 'node:crypto';
import {
  urlIn,
  type Category,
  type Entry,
  type FeedUrl,
  type Link,
  type Media,
  type OutOfLine,
  type Person,
  type Source,
  type Text,
} from '../lib/domain.js';
import { cutMarkup, cutText, xmlText } from '../lib/text.js';
import { isoDate } from './dates.js';
import { sanitise } from './sanitise.js';

/*
 * A draft is what the adapter of a format hands over: the words of RFC 4287 in the shape in which feedsmith reports
 * them, with the values as the publisher wrote them. settle() makes the model of it, and is the one place where text is
 * cleaned and cut, URLs are made absolute, dates are read and ids are found.
 */

type Maybe<T> = T | undefined;
type Draft<Fields> = { readonly [Name in keyof Fields]?: Maybe<Fields[Name]> };
type List<T> = readonly T[];

/** `type` is RFC 4287's (3.1.1, 4.1.3.1); markup of type xhtml comes without its <div>. */
export type TextDraft = Draft<{ value: string; type: string; src: string; xml: Scope }>;
export type PersonDraft = Draft<{ name: string; email: string; uri: string }>;
export type LinkDraft = Draft<{
  href: string;
  rel: string;
  type: string;
  hreflang: string;
  title: string;
  length: number;
}>;
export type ReplyDraft = Draft<{ ref: string; href: string; type: string; source: string }>;
export type WhereDraft = Draft<{ latitude: number; longitude: number; name: string }>;
export type CategoryDraft = Draft<{ term: string; scheme: string; label: string }>;

/** What xml:lang and xml:base say in one place. */
export type Scope = Draft<{ lang: string; base: string }>;

type ThumbnailDraft = Draft<{ url: string; width: number; height: number }>;
type MediaPartsDraft = Draft<{ title: Draft<{ value: string }>; thumbnails: List<ThumbnailDraft> }>;
type MediaContentDraft = MediaPartsDraft &
  Draft<{ url: string; medium: string; type: string; width: number; height: number }>;
type MediaGroupDraft = MediaPartsDraft & Draft<{ contents: List<MediaContentDraft> }>;
/** Media RSS, nested as it is written. */
export type MediaDraft = MediaGroupDraft & Draft<{ groups: List<MediaGroupDraft> }>;

export type SourceDraft = Draft<{
  id: string;
  title: TextDraft;
  subtitle: TextDraft;
  links: List<LinkDraft>;
  authors: List<PersonDraft>;
  categories: List<CategoryDraft>;
  updated: string;
  rights: TextDraft;
  icon: string;
  logo: string;
  generator: Draft<{ text: string; version: string }>;
  xml: Scope;
}>;

export type EntryDraft = Draft<{
  id: string;
  title: TextDraft;
  summary: TextDraft;
  content: TextDraft;
  links: List<LinkDraft>;
  authors: List<PersonDraft>;
  contributors: List<PersonDraft>;
  categories: List<CategoryDraft>;
  published: string;
  updated: string;
  rights: TextDraft;
  source: SourceDraft;
  media: MediaDraft;
  inReplyTo: List<ReplyDraft>;
  where: WhereDraft;
  xml: Scope;
}>;

export type FeedDraft = SourceDraft & { readonly entries: List<EntryDraft> };

/** What is kept of one entry, in UTF-16 units: longer content is cut, and the entry says so. */
export const MAX_CONTENT_CHARS = 131_072;
export const MAX_SUMMARY_CHARS = 16_384;
/** What is kept of one document: of more entries the newest. */
export const MAX_ENTRIES = 2_000;

const MAX_TITLE_CHARS = 4_096;
const MAX_WORD_CHARS = 512;
const MAX_URL_CHARS = 4_096;
const MAX_ID_CHARS = 4_096;
/** Of links, authors, categories and the like, each. */
const MAX_LIST = 100;

/**
 * The model of a feed. Relative URLs are resolved against xml:base and the feed's URL (RFC 4287 2), what is no URL and
 * what would run in a reader is left out; dates that cannot be read are left out; of entries with one id the first is kept.
 */
export function settle(
  draft: FeedDraft,
  url: FeedUrl,
): { readonly source: Source; readonly entries: readonly Entry[] } {
  const feed = within({ base: url }, draft.xml);
  const source = settleSource(draft, feed);
  const ownPages = new Set(source.links.map(({ href }) => href));
  const ids = new Set<string>();
  const entries: Entry[] = [];
  for (const entryDraft of newest(draft.entries)) {
    const entry = settleEntry(entryDraft, feed, ownPages);
    if (!ids.has(entry.id)) entries.push(entry);
    ids.add(entry.id);
  }
  return { source, entries };
}

/**
 * RSS does not say whether a text is HTML. A title is taken for HTML where it holds an entity or an end tag, so that
 * "a < b" and "the <b> element" stay what they are; a description where it holds anything that means something in HTML.
 */
export function looseTitle(value: Maybe<string>): Maybe<TextDraft> {
  return value === undefined ? undefined : { value, type: /&#?\w+;|<\/[a-z]|<br\b/i.test(value) ? 'html' : 'text' };
}

export function looseText(value: Maybe<string>): Maybe<TextDraft> {
  return value === undefined ? undefined : { value, type: /[<&]/.test(value) ? 'html' : 'text' };
}

/** Where a value stands: the base URL, absolute, the language, and the page that shows it. */
interface Place {
  readonly base: string;
  readonly lang?: string;
  readonly page?: string;
}

function within(outer: Place, inner: Scope | undefined): Place {
  const lang = languageTag(inner?.lang) ?? outer.lang;
  return { ...outer, base: absolute(inner?.base, outer.base) ?? outer.base, ...(lang && { lang }) };
}

function settleSource(draft: SourceDraft, place: Place): Source {
  return present({
    id: word(draft.id, MAX_ID_CHARS),
    title: shortened(settleText(oneLine(draft.title), place, place.lang), MAX_TITLE_CHARS),
    subtitle: shortened(settleText(draft.subtitle, place, place.lang), MAX_TITLE_CHARS),
    links: settleLinks(draft.links, place),
    authors: settlePersons(draft.authors, place),
    categories: settleCategories(draft.categories),
    updated: date(draft.updated),
    rights: shortened(settleText(draft.rights, place, place.lang), MAX_TITLE_CHARS),
    icon: absolute(draft.icon, place.base),
    logo: absolute(draft.logo, place.base),
    lang: place.lang,
    generator: word([draft.generator?.text, draft.generator?.version].filter(Boolean).join(' ')),
  });
}

function settleEntry(draft: EntryDraft, feed: Place, ownPages: ReadonlySet<string>): Entry {
  const place = within(feed, draft.xml);
  const links = settleLinks(draft.links, place);
  const page = links.find(({ rel }) => rel === 'alternate')?.href;
  const shown: Place = { ...place, ...(page !== undefined && { page }) };
  const elsewhere = outOfLine(draft.content, place);
  const content = elsewhere ? undefined : settleText(draft.content, shown, feed.lang);
  const summary = settleText(draft.summary, shown, feed.lang);
  return present({
    id: idOf(draft, links, ownPages),
    title: shortened(settleText(oneLine(draft.title), shown, feed.lang), MAX_TITLE_CHARS),
    // Many feeds write the whole text twice.
    summary: content && content.value === summary?.value ? undefined : shortened(summary, MAX_SUMMARY_CHARS),
    content: elsewhere ?? shortened(content, MAX_CONTENT_CHARS),
    links,
    authors: settlePersons(draft.authors, place),
    contributors: settlePersons(draft.contributors, place),
    categories: settleCategories(draft.categories),
    published: date(draft.published),
    updated: date(draft.updated),
    rights: shortened(settleText(draft.rights, shown, feed.lang), MAX_TITLE_CHARS),
    lang: place.lang === feed.lang ? undefined : place.lang,
    source: draft.source && settleSource(draft.source, { base: place.base }),
    media: settleMedia(draft.media, place),
    truncated: isLong(content, MAX_CONTENT_CHARS) || isLong(summary, MAX_SUMMARY_CHARS) || undefined,
  });
}

/**
 * The publisher's id; else the entry's own page, unless it is the feed's; else a hash of what the entry says, which is
 * the one thing left that stays the same from poll to poll.
 */
function idOf(draft: EntryDraft, links: List<Link>, ownPages: ReadonlySet<string>): string {
  const id = draft.id && xmlText(draft.id).trim();
  if (id) return id.length <= MAX_ID_CHARS ? id : hashId(id);
  const page = links.find(({ rel, href }) => rel === 'alternate' && !ownPages.has(href));
  if (page) return page.href;
  return hashId(draft.title?.value, draft.published ?? draft.updated, draft.content?.value ?? draft.summary?.value);
}

const hashId = (...parts: Maybe<string>[]): string =>
  `hydrant:${createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32)}`;

/** In document order. Entries without a date count as older than any other. */
function newest(entries: List<EntryDraft>): List<EntryDraft> {
  if (entries.length <= MAX_ENTRIES) return entries;
  const dated = entries.map((entry) => ({ entry, date: date(entry.published ?? entry.updated) ?? '' }));
  const kept = new Set(
    dated.toSorted((a, b) => (a.date < b.date ? 1 : a.date > b.date ? -1 : 0)).slice(0, MAX_ENTRIES),
  );
  return dated.filter((candidate) => kept.has(candidate)).map(({ entry }) => entry);
}

/** The text as it may be shown anywhere, in its full length. */
function settleText(draft: Maybe<TextDraft>, outer: Place, feedLang?: string): Maybe<Text> {
  const type = textType(draft?.type);
  if (!draft?.value || !type) return undefined;
  const place = within(outer, draft.xml);
  const clean = xmlText(draft.value).trim();
  const value = type === 'text' ? clean : sanitise(clean, type, place).trim();
  return value ? present({ type, value, lang: place.lang === feedLang ? undefined : place.lang }) : undefined;
}

const shortened = (text: Maybe<Text>, max: number): Maybe<Text> => {
  if (!text || !isLong(text, max)) return text;
  const { type, value } = text;
  return { ...text, value: type === 'text' ? cutText(value, max) : cutMarkup(value, max, type) };
};

const oneLine = (draft: Maybe<TextDraft>): Maybe<TextDraft> =>
  draft && { ...draft, value: draft.value?.replace(/\s+/g, ' ') };

/** RFC 4287 3.1.1, and the media types of 4.1.3.3 as far as a reader could show them. */
function textType(type: Maybe<string>): Maybe<Text['type']> {
  const name = type?.split(';')[0]?.trim().toLowerCase() ?? '';
  if (name === 'html' || name === 'text/html') return 'html';
  if (name === 'xhtml' || name === 'application/xhtml+xml') return 'xhtml';
  return !name.includes('/') || (name.startsWith('text/') && !/[/+]xml$/.test(name)) ? 'text' : undefined;
}

const isLong = (text: Maybe<Text>, max: number): boolean => (text?.value.length ?? 0) > max;

function outOfLine(draft: Maybe<TextDraft>, outer: Place): Maybe<OutOfLine> {
  const src = absolute(draft?.src, within(outer, draft?.xml).base);
  return src === undefined ? undefined : present({ type: 'src', src, mediaType: word(draft?.type) });
}

function settleLinks(drafts: Maybe<List<LinkDraft>>, { base }: Place): List<Link> {
  return list(drafts, (draft) => {
    const href = absolute(draft.href, base);
    if (href === undefined) return undefined;
    return present({
      href,
      // The long form of a registered relation means the short one (RFC 4287 4.2.7.2).
      rel: word(draft.rel)?.toLowerCase().replace('http://www.iana.org/assignments/relation/', '') ?? 'alternate',
      type: word(draft.type),
      hreflang: languageTag(draft.hreflang),
      title: word(draft.title),
      length: natural(draft.length),
    });
  });
}

function settlePersons(drafts: Maybe<List<PersonDraft>>, { base }: Place): List<Person> {
  return list(drafts, (draft) => {
    const person = present({
      name: word(draft.name),
      email: word(draft.email)?.replace(/^mailto:/i, ''),
      uri: absolute(draft.uri, base),
    });
    return Object.keys(person).length > 0 ? person : undefined;
  });
}

function settleCategories(drafts: Maybe<List<CategoryDraft>>): List<Category> {
  return list(drafts, ({ term, scheme, label }) => {
    const name = word(term) ?? word(label);
    return name === undefined ? undefined : present({ term: name, scheme: word(scheme), label: word(label) });
  });
}

/** Every media:content, then every media:thumbnail, however they were nested. */
function settleMedia(draft: Maybe<MediaDraft>, { base }: Place): List<Media> {
  if (!draft) return [];
  const groups: MediaGroupDraft[] = [draft, ...(draft.groups ?? [])];
  const contents = groups.flatMap((group) =>
    (group.contents ?? []).map((content) => ({ title: group.title, ...content })),
  );
  const thumbnails = [...groups, ...contents].flatMap((parts) => parts.thumbnails ?? []);
  return list<MediaContentDraft, Media>(
    [...contents, ...thumbnails.map((thumbnail) => ({ ...thumbnail, medium: 'thumbnail' }))],
    ({ url, medium, type, width, height, title }) => {
      const href = absolute(url, base);
      if (href === undefined) return undefined;
      return present({
        url: href,
        medium: word(medium),
        type: word(type),
        width: natural(width),
        height: natural(height),
        title: word(title?.value),
      });
    },
  );
}

/** The first hundred that are something, each once. */
function list<D, T>(drafts: Maybe<List<D>>, settleOne: (draft: D) => Maybe<T>): List<T> {
  const kept = new Map<string, T>();
  for (const draft of drafts ?? []) {
    const settled = settleOne(draft);
    const key = JSON.stringify(settled);
    if (settled !== undefined && !kept.has(key)) kept.set(key, settled);
    if (kept.size === MAX_LIST) break;
  }
  return [...kept.values()];
}

/** A short text on one line, or nothing. */
function word(text: Maybe<string>, max = MAX_WORD_CHARS): Maybe<string> {
  return text === undefined ? undefined : cutText(xmlText(text).replace(/\s+/g, ' ').trim(), max) || undefined;
}

const date = (text: Maybe<string>): Maybe<string> => (text === undefined ? undefined : isoDate(text.slice(0, 64)));

const natural = (number: Maybe<number>): Maybe<number> =>
  number !== undefined && Number.isSafeInteger(number) && number >= 0 ? number : undefined;

/** BCP 47 as far as its shape goes. */
function languageTag(text: Maybe<string>): Maybe<string> {
  const tag = text?.trim().replaceAll('_', '-') ?? '';
  return tag.length <= 35 && /^[a-z]{2,8}(?:-[a-z0-9]{1,8})*$/i.test(tag) ? tag : undefined;
}

function absolute(reference: Maybe<string>, base: string): Maybe<string> {
  const text = reference?.trim();
  const url = text ? urlIn(text, base) : undefined;
  return !url || url.href.length > MAX_URL_CHARS || RUNS_OR_READS_LOCALLY.has(url.protocol) ? undefined : url.href;
}

const RUNS_OR_READS_LOCALLY: ReadonlySet<string> = new Set(['javascript:', 'vbscript:', 'data:', 'file:', 'blob:']);

type Present<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

/** The fields that have a value. */
const present = <const T extends object>(fields: T): Present<T> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Present<T>;
