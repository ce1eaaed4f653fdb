import { compare, type Changes, type Seen } from '../../lib/changes.js';
import { feedIdOf, type Entry, type ItemId } from '../../lib/domain.js';
import { BLOG } from './stores.js';

export const FEED = feedIdOf(BLOG);

/** A feed as it is followed: what one look has learned is known to the next. It keeps every item for ever. */
export function following({ threshold = 0, untrusted = false } = {}) {
  const known = new Map<ItemId, Seen>();
  const node = new Map<ItemId, Entry>();
  const asked: (readonly ItemId[])[] = [];
  const state = { isRead: false, untrusted };

  return {
    known,
    node,
    /** What the node was asked for, a list per question. */
    asked,
    async look(...entries: readonly Entry[]): Promise<Changes> {
      const found = await compare({
        feed: { id: FEED, ...(state.untrusted && { untrusted: true }) },
        known,
        entries,
        first: !state.isRead,
        threshold,
        held: async (items) => {
          asked.push(items);
          return new Map(items.flatMap((item) => (node.has(item) ? [[item, node.get(item)!] as const] : [])));
        },
      });
      state.isRead = true;
      state.untrusted ||= found.untrusted === true;
      for (const { item, seen, kind, entry } of found.changes) {
        known.set(item, seen);
        if (kind !== 'noted') node.set(item, entry);
      }
      return found;
    },
  };
}

/** The same, after a first look that has shown these. */
export async function followed(entries: readonly Entry[], options?: Parameters<typeof following>[0]) {
  const feed = following(options);
  await feed.look(...entries);
  return feed;
}

/** What becomes of which entry: its kind and its title. */
export const told = ({ changes }: Changes): string[] =>
  changes.map(({ kind, entry }) => `${kind} ${entry.title?.value ?? entry.id}`);
