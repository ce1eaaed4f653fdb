import { contentHash, itemIdOf, type Entry, type FeedId, type ItemId } from './domain.js';

/**
 * What a commit does with one entry. `new` and `edited` are announced; `stored` is kept for retrieval only; `first` is
 * the latest entry of a feed's first reading: announced to those who subscribed before it, but no news for the firehose.
 */
export interface Change {
  readonly item: ItemId;
  readonly hash: string;
  readonly kind: 'new' | 'edited' | 'stored' | 'first';
  readonly entry: Entry;
}

/** The difference between what is known of a feed and what a reading shows, in the order of announcement. */
export interface Changes {
  readonly changes: readonly Change[];
  /** Known and unchanged: still shown by the feed. */
  readonly touched: readonly ItemId[];
}

/** What is known: the content hash of every entry that the feed has shown and that is not forgotten yet. */
export type Known = ReadonlyMap<ItemId, string>;

/**
 * Compares without looking anything up. Entries that vanished are not in the result: they are kept.
 * @param first true when the feed was never read before: what it shows then is its past, not news
 */
export function compare(feed: FeedId, known: Known, entries: readonly Entry[], first: boolean): Changes {
  const touched: ItemId[] = [];
  const changes: Change[] = [];
  for (const entry of oldestFirst(entries)) {
    const item = itemIdOf(feed, entry.id);
    const hash = contentHash(entry);
    const before = known.get(item);
    if (before === hash) touched.push(item);
    else if (first) changes.push({ item, hash, kind: 'stored', entry });
    else changes.push({ item, hash, kind: before === undefined ? 'new' : 'edited', entry });
  }
  const latest = first ? changes.pop() : undefined;
  return { touched, changes: latest ? [...changes, { ...latest, kind: 'first' }] : changes };
}

/** By date where every entry has one, else as the document has it; feeds put the newest on top. */
function oldestFirst(entries: readonly Entry[]): Entry[] {
  const reversed = [...entries].reverse();
  const date = ({ published, updated }: Entry) => published ?? updated;
  if (!reversed.every(date)) return reversed;
  return reversed.sort((a, b) => Date.parse(date(a) ?? '') - Date.parse(date(b) ?? ''));
}
