import { createHash } from 'node:crypto';
import {
  urlIn,
  type Category,
  type Entry,
  type FeedUrl,
  type Generator,
  type Link,
  type Media,
  type OutOfLine,
  type Pace,
  type Person,
  type Reply,
  type Source,
  type Text,
  type Where,
} from '../lib/domain.js';
import { cutMarkup, cutText, xmlText } from '../lib/text.js';
import { believable, isoDate } from './dates.js';
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
export type CategoryDraft = Draft<{ term: string; scheme: string; label: string }>;

/** What xml:lang and xml:base say in one place. */
export type Scope = Draft<{ lang: string; base: string }>;

type ThumbnailDraft = Draft<{ url: string; width: number; height: number }>;
type MediaPartsDraft = Draft<{
  title: Draft<{ value: string }>;
  thumbnails: List<ThumbnailDraft>;
  player: PlayerDraft;
}>;
type PlayerDraft = Draft<{ url: string; width: number; height: number }>;
type MediaContentDraft = MediaPartsDraft &
  Draft<{ url: string; medium: string; type: string; width: number; height: number }>;
type MediaGroupDraft = MediaPartsDraft & Draft<{ contents: List<MediaContentDraft> }>;
/** Media RSS, nested as it is written. */
export type MediaDraft = MediaGroupDraft & Draft<{ groups: List<MediaGroupDraft> }>;

/** RFC 4685 3. */
export type ReplyDraft = Draft<{ ref: string; href: string; type: string; source: string }>;
/** In degrees. */
export type WhereDraft = Draft<{ latitude: number; longitude: number; name: string }>;

/**
 * What a feed says of how often it wants to be asked: RSS ttl (minutes), skipHours (0 to 24, GMT) and skipDays (English
 * names), and the words of the syndication module (sy:updatePeriod, sy:updateFrequency).
 */
export type PaceDraft = Draft<{
  ttl: number;
  updatePeriod: string;
  updateFrequency: number;
  skipHours: List<number>;
  skipDays: List<string>;
}>;

type GeneratorDraft = Draft<{ text: string; uri: string; version: string }>;

export type SourceDraft = Draft<{
  id: string;
  title: TextDraft;
  subtitle: TextDraft;
  links: List<LinkDraft>;
  authors: List<PersonDraft>;
  contributors: List<PersonDraft>;
  categories: List<CategoryDraft>;
  updated: string;
  rights: TextDraft;
  icon: string;
  logo: string;
  generator: GeneratorDraft;
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
  replies: number;
  where: WhereDraft;
  duration: number;
  xml: Scope;
}>;

export type FeedDraft = SourceDraft & Draft<{ pace: PaceDraft }> & { readonly entries: List<EntryDraft> };

/** What is kept of one entry, in UTF-16 units: longer content is cut, and the entry says so. */
export const MAX_CONTENT_CHARS = 131_072;
export const MAX_SUMMARY_CHARS = 16_384;
/** What is kept of one document: of more entries the newest. */
export const MAX_ENTRIES = 2_000;

const MAX_TITLE_CHARS = 4_096;
const MAX_WORD_CHARS = 512;
const MAX_URL_CHARS = 4_096;
const MAX_ID_CHARS = 4_096;
const MAX_DATE_CHARS = 96;
/** Of links, authors, categories and the like, each. */
const MAX_LIST = 100;

/**
 * The model of a feed. Relative URLs are resolved against xml:base and the feed's URL (RFC 4287 2), what is no URL and
 * what would run in a reader is left out; dates that cannot be read are left out, those that cannot be true are brought
 * to the nearest that can (dates.ts); of entries with one id the first is kept.
 * @param now the time of the look, in ms since 1970
 */
export function settle(draft: FeedDraft, url: FeedUrl, now: number): Settled {
  const feed = within({ base: url, now }, draft.xml);
  const source = settleSource(draft, feed);
  const entries = newest(draft.entries, now).map((entry): PlacedDraft => {
    const place = within(feed, entry.xml);
    return { entry, place, links: settleLinks(entry.links, place) };
  });
  const idOf = identity(entries, source);
  const settled = new Map<string, Entry>();
  for (const placed of entries) {
    const id = idOf(placed);
    if (!settled.has(id)) settled.set(id, settleEntry(placed, id, feed));
  }
  const pace = settlePace(draft.pace);
  return { source, entries: [...settled.values()], ...(pace && { pace }) };
}

/** What a document says, in the words of the model; ids are unique, and entries in document order. */
export interface Settled {
  readonly source: Source;
  readonly entries: readonly Entry[];
  readonly pace?: Pace;
}

/**
 * RSS does not say whether a text is HTML. A title is taken for HTML where it holds an entity or an end tag, so that
 * "a < b" and "the <b> element" stay what they are; a description where it holds anything that means something in HTML.
 */
export function looseTitle(value: Maybe<string>): Maybe<TextDraft> {
  return value === undefined ? undefined : { value, type: /&#?\w+;|<\/[a-z]|<br\b/i.test(value) ? 'html' : 'text' };
}

export function looseText(value: Maybe<string>): Maybe<TextDraft> {
  return value === undefined ? undefined : { value, type: /<[a-z!/][^<]*>|&#?\w/i.test(value) ? 'html' : 'text' };
}

/** Where a value stands: the base URL, absolute, the language, and the page that shows it; and when it was read. */
interface Place {
  readonly base: string;
  readonly now: number;
  readonly lang?: string;
  readonly page?: string;
}

function within(outer: Place, inner: Scope | undefined): Place {
  const lang = languageTag(inner?.lang) ?? outer.lang;
  return { ...outer, base: absolute(inner?.base, outer.base) ?? outer.base, ...(lang && { lang }) };
}

function settleSource(draft: SourceDraft, place: Place): Source {
  const contributors = settlePersons(draft.contributors, place);
  return present({
    id: word(draft.id, MAX_ID_CHARS),
    title: shortened(settleText(oneLine(draft.title), place, place.lang), MAX_TITLE_CHARS),
    subtitle: shortened(settleText(draft.subtitle, place, place.lang), MAX_TITLE_CHARS),
    links: settleLinks(draft.links, place),
    authors: settlePersons(draft.authors, place),
    contributors: contributors.length > 0 ? contributors : undefined,
    categories: settleCategories(draft.categories),
    updated: date(draft.updated, place.now),
    rights: shortened(settleText(draft.rights, place, place.lang), MAX_TITLE_CHARS),
    icon: absolute(draft.icon, place.base),
    logo: absolute(draft.logo, place.base),
    lang: place.lang,
    generator: settleGenerator(draft.generator, place),
  });
}

function settleGenerator({ text, uri, version }: GeneratorDraft = {}, { base }: Place): Maybe<Generator> {
  const name = word(text) ?? absolute(uri, base);
  return name === undefined ? undefined : present({ name, uri: absolute(uri, base), version: word(version) });
}

/** A draft of an entry, where it stands, and where it leads. */
interface PlacedDraft {
  readonly entry: EntryDraft;
  readonly place: Place;
  readonly links: List<Link>;
}

function settleEntry({ entry: draft, place, links }: PlacedDraft, id: string, feed: Place): Entry {
  const page = links.find(({ rel }) => rel === 'alternate')?.href;
  const shown: Place = { ...place, ...(page !== undefined && { page }) };
  const elsewhere = outOfLine(draft.content, place);
  const content = elsewhere ? undefined : settleText(draft.content, shown, feed.lang);
  const summary = settleText(draft.summary, shown, feed.lang);
  return present({
    id,
    title: shortened(settleText(oneLine(draft.title), shown, feed.lang), MAX_TITLE_CHARS),
    // Many feeds write the whole text twice.
    summary: content && content.value === summary?.value ? undefined : shortened(summary, MAX_SUMMARY_CHARS),
    content: elsewhere ?? shortened(content, MAX_CONTENT_CHARS),
    links,
    authors: settlePersons(draft.authors, place),
    contributors: settlePersons(draft.contributors, place),
    categories: settleCategories(draft.categories),
    published: date(draft.published, place.now),
    updated: date(draft.updated, place.now),
    rights: shortened(settleText(draft.rights, shown, feed.lang), MAX_TITLE_CHARS),
    lang: place.lang === feed.lang ? undefined : place.lang,
    source: draft.source && settleSource(draft.source, { base: place.base, now: place.now }),
    media: settleMedia(draft.media, place),
    inReplyTo: settleReplies(draft.inReplyTo, place),
    replies: natural(draft.replies),
    where: settleWhere(draft.where),
    duration: settleDuration(draft.duration),
    truncated: isLong(content, MAX_CONTENT_CHARS) || isLong(summary, MAX_SUMMARY_CHARS) || undefined,
  });
}

/**
 * How to name an entry of a document: by the publisher's id; else by the entry's own page, unless it is the feed's; else
 * by a hash of what the entry says, which is the one thing left that stays the same from poll to poll. What several
 * entries share that are not the same, or share with the feed itself, names none of them.
 */
function identity(entries: List<PlacedDraft>, source: Source): (placed: PlacedDraft) => string {
  const ownPages = new Set(source.links.map(({ href }) => href));
  const idOf = ({ entry: { id } }: PlacedDraft) => (id && xmlText(id).trim()) || undefined;
  const pageOf = ({ links }: PlacedDraft) =>
    links.find(({ rel, href }) => rel === 'alternate' && !ownPages.has(href))?.href;
  const isOwnPage = (id: string) => /^https?:/i.test(id) && ownPages.has(urlIn(id)?.href ?? '');
  const shared = new Set([...sharedBy(entries, idOf, pageOf), ...sharedBy(entries, pageOf, () => undefined)]);
  return (placed) => {
    const id = idOf(placed);
    if (id !== undefined && !shared.has(id) && !isOwnPage(id)) {
      return id.length <= MAX_ID_CHARS ? id : hashId(id);
    }
    const page = pageOf(placed);
    if (page !== undefined && !shared.has(page)) return page;
    const { title, published, updated, content, summary } = placed.entry;
    const words = [title?.value, published ?? updated, content?.value ?? summary?.value];
    return hashId(...words, ...(page === undefined ? [] : [page]));
  };
}

/**
 * The names that stand for different things. RFC 4287 4.1.1 allows several versions of one entry in a document, told
 * apart by atom:updated, so that their titles may differ while their page does not.
 */
function sharedBy(
  entries: List<PlacedDraft>,
  nameOf: (placed: PlacedDraft) => Maybe<string>,
  pageOf: (placed: PlacedDraft) => Maybe<string>,
): ReadonlySet<string> {
  const first = new Map<string, PlacedDraft>();
  const shared = new Set<string>();
  for (const placed of entries) {
    const name = nameOf(placed);
    if (name === undefined) continue;
    const other = first.get(name);
    if (!other) first.set(name, placed);
    else if (pageOf(placed) !== pageOf(other) || isOther(placed.entry, other.entry)) shared.add(name);
  }
  return shared;
}

function isOther(one: EntryDraft, other: EntryDraft): boolean {
  const isVersion = one.updated !== undefined && other.updated !== undefined && one.updated !== other.updated;
  return !isVersion && oneLine(one.title)?.value !== oneLine(other.title)?.value;
}

const hashId = (...parts: Maybe<string>[]): string =>
  `hydrant:${createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32)}`;

/** In document order. Entries without a date count as older than any other. */
function newest(entries: List<EntryDraft>, now: number): List<EntryDraft> {
  if (entries.length <= MAX_ENTRIES) return entries;
  const dated = entries.map((entry) => ({ entry, date: date(entry.published ?? entry.updated, now) ?? '' }));
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

/** Every media:content, then every player that has none, then every media:thumbnail, however they were nested. */
function settleMedia(draft: Maybe<MediaDraft>, { base }: Place): List<Media> {
  if (!draft) return [];
  const groups: MediaGroupDraft[] = [draft, ...(draft.groups ?? [])];
  const contents = groups.flatMap((group) =>
    (group.contents ?? (group.player ? [group] : [])).map((content) => ({
      title: group.title,
      ...content,
      ...playerOf(content),
    })),
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

/** A page that plays something (media:player) stands for it where the thing itself has no address. */
const playerOf = ({ url, player }: MediaContentDraft): MediaContentDraft =>
  player && url === undefined ? { ...player, type: 'text/html' } : {};

function settleReplies(drafts: Maybe<List<ReplyDraft>>, { base }: Place): Maybe<List<Reply>> {
  const replies = list(drafts, (draft) => {
    const href = absolute(draft.href, base);
    // RFC 4685 3 demands ref; who leaves it out has at least said where the other entry is.
    const ref = word(draft.ref, MAX_ID_CHARS) ?? href;
    return ref === undefined
      ? undefined
      : present({ ref, href, type: word(draft.type), source: absolute(draft.source, base) });
  });
  return replies.length > 0 ? replies : undefined;
}

function settleWhere({ latitude, longitude, name }: WhereDraft = {}): Maybe<Where> {
  if (latitude === undefined || longitude === undefined) return undefined;
  if (!(Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180)) return undefined;
  return present({ latitude, longitude, name: word(name) });
}

/** Whole seconds; nothing is played for longer than a week. */
function settleDuration(seconds: Maybe<number>): Maybe<number> {
  const whole = Math.round(seconds ?? 0);
  return whole > 0 && whole <= 7 * DAY_SECONDS ? whole : undefined;
}

const DAY_SECONDS = 86_400;
const PERIOD_SECONDS: ReadonlyMap<string, number> = new Map([
  ['hourly', 3_600],
  ['daily', DAY_SECONDS],
  ['weekly', 7 * DAY_SECONDS],
  ['monthly', 30 * DAY_SECONDS],
  ['yearly', 365 * DAY_SECONDS],
]);
const DAY_NAMES = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'];

/**
 * The longer of the two intervals where a feed names both. What says "never" is left out: every hour of the day, every
 * day of the week, more than a year.
 */
function settlePace(draft: PaceDraft = {}): Maybe<Pace> {
  const hours = numbersBelow(
    24,
    draft.skipHours?.map((hour) => (hour === 24 ? 0 : hour)),
  );
  const days = numbersBelow(
    7,
    draft.skipDays?.map((day) => DAY_NAMES.indexOf(day.trim().toLowerCase())),
  );
  const intervals = [(draft.ttl ?? 0) * 60, updateSeconds(draft)].filter(
    (seconds) => seconds >= 1 && seconds <= 366 * DAY_SECONDS,
  );
  const seconds = intervals.length > 0 ? Math.round(Math.max(...intervals)) : undefined;
  const pace = present({ seconds, hours, days });
  return Object.keys(pace).length > 0 ? pace : undefined;
}

/** https://web.resource.org/rss/1.0/modules/syndication/: so many times per period, once where it is not said. */
function updateSeconds({ updatePeriod, updateFrequency = 1 }: PaceDraft): number {
  const period = PERIOD_SECONDS.get(updatePeriod?.trim().toLowerCase() ?? '') ?? 0;
  return updateFrequency > 0 ? period / updateFrequency : period;
}

/** Each once, in order; nothing where there are none, or all. */
function numbersBelow(end: number, numbers: List<number> = []): Maybe<List<number>> {
  const kept = [...new Set(numbers)].filter((n) => Number.isInteger(n) && n >= 0 && n < end).toSorted((a, b) => a - b);
  return kept.length > 0 && kept.length < end ? kept : undefined;
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

function date(text: Maybe<string>, now: number): Maybe<string> {
  const read = text === undefined ? undefined : isoDate(text.slice(0, MAX_DATE_CHARS));
  return read === undefined ? undefined : believable(read, now);
}

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
function present<const T extends object>(fields: T): Present<T> {
  const kept: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) kept[name] = value;
  return kept as Present<T>;
}
