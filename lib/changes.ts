import { contentHash, itemIdOf, type Entry, type Feed, type ItemId } from './domain.js';

/** What is remembered of an entry that a feed has shown, to know it again; all digests are text without spaces. */
export interface Seen {
  readonly link: string;
  readonly words: string;
  readonly hashes: readonly string[];
}

export type Known = ReadonlyMap<ItemId, Seen>;

export interface Change {
  readonly item: ItemId;
  readonly seen: Seen;
  readonly kind: 'new' | 'edited' | 'stored' | 'first' | 'noted';
  readonly entry: Entry;
}

export interface Changes {
  readonly changes: readonly Change[];
  readonly touched: readonly ItemId[];
  readonly left: number;
  readonly untrusted?: true;
}

export interface Compared {
  readonly feed: Pick<Feed, 'id' | 'untrusted'>;
  readonly known: Known;
  readonly entries: readonly Entry[];
  readonly first: boolean;
  readonly threshold: number;
  readonly held: (items: readonly ItemId[]) => Promise<ReadonlyMap<ItemId, Entry>>;
}

export async function compare({ feed, known, entries, first }: Compared): Promise<Changes> {
  const touched: ItemId[] = [];
  const changes: Change[] = [];
  for (const entry of [...entries].reverse()) {
    const item = itemIdOf(feed.id, entry.id);
    const hash = contentHash(entry).slice(0, 8);
    const before = known.get(item);
    const seen = { link: '', words: '', hashes: [hash, ...(before?.hashes ?? [])].slice(0, 5) };
    if (before?.hashes[0] === hash) touched.push(item);
    else changes.push({ item, seen, kind: first ? 'stored' : before ? 'edited' : 'new', entry });
  }
  const latest = first ? changes.pop() : undefined;
  return { touched, left: 0, changes: latest ? [...changes, { ...latest, kind: 'first' }] : changes };
}
