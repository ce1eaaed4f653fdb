import { hash } from 'node:crypto';
import type { Known, Seen } from './changes.js';
import { itemIdOf, type Entry, type Feed, type ItemId } from './domain.js';
import { fileOf, pageOf } from './similarity.js';

/** An entry that a document shows, and which one it is. */
export interface Identified {
  readonly item: ItemId;
  readonly entry: Entry;
  /** Eight characters that change when what it says does. */
  readonly hash: string;
  /** What else is to be remembered, to know it again. */
  traces(): Pick<Seen, 'link' | 'words'>;
}

/**
 * Which entry each of those is that a document shows. The publisher's id says so, unless it is used for something else now;
 * where the id is not known, an entry with the same page, title and date has got another id; where ids are not to be
 * trusted, the page says so, else title and date, else it is new. No two are the same: what is left without an identity
 * says the same as another entry of the document, and is not in the answer.
 * @param entries in document order, and so is the answer
 */
export function identify(
  feed: Pick<Feed, 'id'> & { readonly untrusted?: true },
  known: Known,
  entries: readonly Entry[],
): { readonly identified: readonly Identified[]; readonly areIdsFickle: boolean } {
  const { shown, sharedIds } = withoutRepeats(entries.map((entry) => shownOf(feed.id, entry)));
  // A look that finds nothing new comes to its end by ids and hashes alone.
  const clues = once(() => cluesIn(shown));
  const index = once(() => indexOf(known));
  const clueOf = (one: Shown): Clue => clues().get(one) ?? NO_CLUE;

  const isReused = (one: Shown, before: Seen): boolean => {
    if (before.hashes.includes(one.hash) || UNIQUE_ID.test(one.entry.id)) return false;
    const { link, words } = clueOf(one);
    return link !== '' && before.link !== '' && link !== before.link && words !== before.words;
  };
  const isKnownOtherwise = (one: Shown): boolean => {
    const { link, words, areWordsShared } = clueOf(one);
    return (link !== '' && index().links.has(link)) || (!areWordsShared && index().words.has(words));
  };
  const strangers = shown.filter(({ byId }) => !known.has(byId));
  const areMany = (some: readonly Shown[]) => some.length > FICKLE_SHARE * shown.length;
  const areIdsFickle =
    !feed.untrusted && shown.length >= FICKLE_FROM && areMany(strangers) && areMany(strangers.filter(isKnownOtherwise));

  const sameId: Rung = (one) => {
    const before = sharedIds.has(one.byId) ? undefined : known.get(one.byId);
    return before && !isReused(one, before) ? one.byId : undefined;
  };
  const otherId: Rung = (one) => {
    const { link, words, areWordsShared } = clueOf(one);
    return link === '' && areWordsShared ? undefined : (index().both.get(link + words) ?? undefined);
  };
  const newId: Rung = ({ byId }) => (known.has(byId) || sharedIds.has(byId) ? undefined : byId);
  const sameLink: Rung = (one) => index().links.get(clueOf(one).link) ?? undefined;
  const sameWords: Rung = (one) => {
    const { words, areWordsShared } = clueOf(one);
    return areWordsShared ? undefined : (index().words.get(words) ?? undefined);
  };
  const newLink: Rung = (one) => {
    const { link, page } = clueOf(one);
    if (link === '') return undefined;
    const item = itemIdOf(feed.id, `link:${page}`);
    // It may be known under this page and have gone to another since.
    return (known.get(item)?.link ?? link) === link ? item : undefined;
  };
  const newText: Rung = (one) => itemIdOf(feed.id, `text:${clueOf(one).words}${one.hash}`);

  const byId = feed.untrusted || areIdsFickle ? [] : [sameId, otherId, newId];
  const items = climb(shown, [...byId, sameLink, sameWords, newLink, newText]);
  const identified = shown.flatMap((one) => {
    const item = items.get(one);
    return item ? { item, entry: one.entry, hash: one.hash, traces: () => tracesOf(clueOf(one)) } : [];
  });
  return { identified, areIdsFickle };
}

// When more than this part of a document, and at least so many entries, have other ids than at the last look.
const FICKLE_SHARE = 0.8;
const FICKLE_FROM = 3;

/** RFC 4151, RFC 8141: whoever makes such an id knows that it is for one thing. */
const UNIQUE_ID = /^(?:tag|urn):/i;

interface Shown {
  readonly entry: Entry;
  readonly byId: ItemId;
  readonly hash: string;
}

const shownOf = (feed: Feed['id'], entry: Entry): Shown => ({
  entry,
  byId: itemIdOf(feed, entry.id),
  hash: contentHash(entry),
});

/** One way to tell which entry it is that a document shows; nothing where it does not say. */
type Rung = (one: Shown) => ItemId | undefined;

/** What each is by the first rung that says so. Every entry is asked before the next rung is, and the first one wins. */
function climb(shown: readonly Shown[], rungs: readonly Rung[]): ReadonlyMap<Shown, ItemId> {
  const items = new Map<Shown, ItemId>();
  const taken = new Set<ItemId>();
  for (const rung of rungs) {
    for (const one of shown) {
      const item = items.has(one) ? undefined : rung(one);
      if (item === undefined || taken.has(item)) continue;
      items.set(one, item);
      taken.add(item);
    }
    if (items.size === shown.length) break;
  }
  return items;
}

/** An id that comes again with the same content or words says the same; one that comes with others says nothing. */
function withoutRepeats(shown: readonly Shown[]): {
  readonly shown: readonly Shown[];
  readonly sharedIds: ReadonlySet<ItemId>;
} {
  if (new Set(shown.map(({ byId }) => byId)).size === shown.length) return { shown, sharedIds: new Set() };
  const said = new Set<string>();
  const kept = shown.filter(({ byId, hash, entry }) => {
    const words = byId + wordsOf(entry);
    const content = byId + hash;
    const isRepeat = said.has(words) || said.has(content);
    said.add(words).add(content);
    return !isRepeat;
  });
  const counts = countsOf(kept.map(({ byId }) => byId));
  return { shown: kept, sharedIds: new Set([...counts.keys()].filter((id) => counts.get(id) !== 1)) };
}

/** What may tell an entry from the others of its document. */
interface Clue {
  /** Its own page, and the digest of it; '' where it has none, or shares it. */
  readonly page: string;
  readonly link: string;
  readonly words: string;
  readonly areWordsShared: boolean;
}
const NO_CLUE: Clue = { page: '', link: '', words: '', areWordsShared: true };

const tracesOf = ({ link, words }: Clue): Pick<Seen, 'link' | 'words'> => ({ link, words });

function cluesIn(shown: readonly Shown[]): ReadonlyMap<Shown, Clue> {
  const all = shown.map(({ entry }) => ({ page: entryPage(entry), words: wordsOf(entry) }));
  const pages = countsOf(all.map(({ page }) => page));
  const wordings = countsOf(all.map(({ words }) => words));
  const clues = all.map(({ page, words }): Clue => {
    const own = pages.get(page) === 1 ? page : '';
    return { page: own, link: own && digest([own], LINK_CHARS), words, areWordsShared: wordings.get(words) !== 1 };
  });
  return new Map(shown.map((one, i) => [one, clues[i] ?? NO_CLUE]));
}

/** Who is known by a trace; null where it is several. */
interface Index {
  readonly links: ReadonlyMap<string, ItemId | null>;
  readonly words: ReadonlyMap<string, ItemId | null>;
  readonly both: ReadonlyMap<string, ItemId | null>;
}

function indexOf(known: Known): Index {
  const links = new Map<string, ItemId | null>();
  const words = new Map<string, ItemId | null>();
  const both = new Map<string, ItemId | null>();
  const add = (map: Map<string, ItemId | null>, key: string, item: ItemId) => map.set(key, map.has(key) ? null : item);
  for (const [item, seen] of known) {
    if (seen.link) add(links, seen.link, item);
    add(words, seen.words, item);
    add(both, seen.link + seen.words, item);
  }
  return { links, words, both };
}

const LINK_CHARS = 6;
const WORDS_CHARS = 6;
const HASH_CHARS = 8;

const entryPage = ({ links }: Entry): string => pageOf(links.find(({ rel }) => rel === 'alternate')?.href ?? '');

/**
 * Title and date; the text as well where one of them is missing. `updated` is no date here: many publishers move it
 * without touching a word.
 */
function wordsOf({ title, published, content, summary }: Entry): string {
  const text = title && published ? undefined : content?.type === 'src' ? content.src : (content ?? summary)?.value;
  return digest([title?.value, published, text], WORDS_CHARS);
}

/** Of title, texts and links: neither dates, nor what differs from look to look in the address of the same thing. */
function contentHash({ title, summary, content, links }: Entry): string {
  const texts = [title, summary, content].flatMap((text) => [
    text?.type,
    text?.type === 'src' ? text.src : text?.value,
  ]);
  const addresses = links.flatMap(({ rel, href }) => [rel, rel === 'enclosure' ? fileOf(href) : pageOf(href)]);
  return digest([...texts, ...addresses], HASH_CHARS);
}

// No text of an entry has a NUL, and JSON would take longer than the hash.
const digest = (parts: readonly (string | undefined)[], chars: number): string =>
  hash('sha256', parts.join('\0'), 'base64url').slice(0, chars);

function countsOf<T>(values: readonly T[]): ReadonlyMap<T, number> {
  const counts = new Map<T, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}
