import type { Entry, Feed, ItemId } from './domain.js';
import { identify, type Identified } from './identity.js';
import { visibleChange } from './similarity.js';

/** What is remembered of an entry that a feed has shown, to know it again; all digests are text without spaces. */
export interface Seen {
  /** 6 characters [A-Za-z0-9_-] for the entry's own page; '' where it has none of its own. */
  readonly link: string;
  /** 6 characters for its title and date (for its text as well where it lacks one of them). */
  readonly words: string;
  /** 8 characters each for what it has said, the latest first, at most VERSIONS. */
  readonly hashes: readonly string[];
}

/** All that is remembered of one feed: every entry that it has shown and that is not forgotten yet. */
export type Known = ReadonlyMap<ItemId, Seen>;

/**
 * What a commit does with one entry. `new` and `edited` are announced; `stored` is kept for retrieval only, also as the
 * newer version of an entry that has changed too little to announce it; `first` is the latest entry of a feed's first
 * reading: announced to those who subscribed before it, but no news for the firehose; `noted` is remembered only: the
 * past beyond FIRST_BACKLOG, and changes of what the node no longer holds.
 */
export interface Change {
  readonly item: ItemId;
  /** What is to be remembered from now on. */
  readonly seen: Seen;
  readonly kind: 'new' | 'edited' | 'stored' | 'first' | 'noted';
  readonly entry: Entry;
}

/** The difference between what is known of a feed and what a reading shows. */
export interface Changes {
  /** In the order of announcement: the oldest first. */
  readonly changes: readonly Change[];
  /** Known and unchanged: still shown by the feed. */
  readonly touched: readonly ItemId[];
  /** How many new entries were left for the next look. They are not remembered, so they are new to it. */
  readonly left: number;
  /** This look has found out that the feed's ids change from look to look; they are not to be trusted from now on. */
  readonly untrusted?: true;
}

/** What is compared, and by what rules. */
export interface Compared {
  readonly feed: Pick<Feed, 'id' | 'untrusted'>;
  readonly known: Known;
  /** In document order. */
  readonly entries: readonly Entry[];
  /** True when the feed was never read before: what it shows then is its past, not news. */
  readonly first: boolean;
  /** Per cent of visible change from which an edit is announced; 0 announces any, 100 none but a complete rewrite. */
  readonly threshold: number;
  /** The versions of these items that the node holds now. Asked at most once, only when something known has changed. */
  readonly held: (items: readonly ItemId[]) => Promise<ReadonlyMap<ItemId, Entry>>;
}

/** How many contents of an entry are remembered: a content that was seen before is no change, so versions may flap. */
export const VERSIONS = 5;
/** How many entries of its first reading a feed's node keeps, the newest of them. */
export const FIRST_BACKLOG = 50;
/** How many new entries one look announces, the oldest of them; the others wait for the next. */
export const NEW_AT_ONCE = 100;

/**
 * Finds out which entries a reading shows, and what is new of them and about them. Entries that vanished are not in the
 * result: they are kept. Throws only what `held` throws.
 */
export async function compare({ feed, known, entries, first, threshold, held }: Compared): Promise<Changes> {
  const { identified, areIdsFickle } = identify(feed, known, entries);
  const isUnchanged = ({ item, hash }: Identified) => known.get(item)?.hashes.includes(hash) === true;
  const touched = identified.filter(isUnchanged).map(({ item }) => item);
  const changed = oldestFirst(
    identified.filter((one) => !isUnchanged(one)),
    entries.every(dateOf),
  );

  const late = first ? [] : changed.filter(({ item }) => !known.has(item)).slice(NEW_AT_ONCE);
  const left = new Set(late);
  const told = changed.filter((one) => !left.has(one));
  const kinds = first ? kindsOfPast(told.length) : await kindsOfNews(told, known, threshold, held);
  const changes = told.map((one, i) => changeOf(one, known, kinds[i] ?? 'noted'));
  return { changes, touched, left: left.size, ...(areIdsFickle && { untrusted: true }) };
}

/** Of a first reading, the oldest first. */
const kindsOfPast = (count: number): Change['kind'][] =>
  Array.from({ length: count }, (_, i) =>
    i === count - 1 ? 'first' : i >= count - FIRST_BACKLOG ? 'stored' : 'noted',
  );

async function kindsOfNews(
  told: readonly Identified[],
  known: Known,
  threshold: number,
  held: Compared['held'],
): Promise<Change['kind'][]> {
  const edited = told.map(({ item }) => item).filter((item) => known.has(item));
  const versions = edited.length > 0 ? await held(edited) : new Map<ItemId, Entry>();
  return told.map(({ item, entry }) => {
    if (!known.has(item)) return 'new';
    const before = versions.get(item);
    if (!before) return 'noted';
    return visibleChange(before, entry) >= threshold ? 'edited' : 'stored';
  });
}

function changeOf({ item, entry, hash, traces }: Identified, known: Known, kind: Change['kind']): Change {
  const before = known.get(item)?.hashes ?? [];
  return { item, seen: { ...traces(), hashes: [hash, ...before].slice(0, VERSIONS) }, kind, entry };
}

const dateOf = ({ published, updated }: Entry): string | undefined => published ?? updated;

/** By date where every entry of the document has one, else as the document has it; feeds put the newest on top. */
function oldestFirst(changed: readonly Identified[], isDated: boolean): Identified[] {
  const reversed = changed.toReversed();
  if (!isDated) return reversed;
  return reversed
    .map((one) => ({ one, time: Date.parse(dateOf(one.entry) ?? '') }))
    .sort((a, b) => a.time - b.time)
    .map(({ one }) => one);
}
