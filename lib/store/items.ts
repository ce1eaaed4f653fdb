import type { Entry, FeedId, Item, ItemId, Page, PageAsk } from '../domain.js';
import type { RedisClient } from '../redis.js';
import type { Keys } from './keys.js';
import { cursorOf, span } from './pages.js';

/** What a feed's node holds for retrieval. Written only by the commit. */
export interface ItemStore {
  /** A part of what the node holds, oldest first; undefined when it does not hold the item that is the cursor. */
  page(feed: FeedId, ask: PageAsk): Promise<Page<Item> | undefined>;
  /** Those of these items that the node holds, in the order asked for. */
  byId(feed: FeedId, ids: readonly ItemId[]): Promise<Item[]>;
}

export function redisItems(redis: RedisClient, keys: Keys): ItemStore {
  async function byId(feed: FeedId, ids: readonly ItemId[]): Promise<Item[]> {
    if (ids.length === 0) return [];
    const found = await redis.hmget(keys.items(feed), ...ids);
    return ids.flatMap((id, i) => {
      const text = found[i];
      return text ? [{ id, ...(JSON.parse(text) as { at: number; entry: Entry }) }] : [];
    });
  }

  return {
    byId,

    async page(feed, ask) {
      const order = keys.order(feed);
      const cursor = cursorOf(ask);
      const [count, place] = await Promise.all([
        redis.zcard(order),
        cursor === undefined ? undefined : redis.zrank(order, cursor),
      ]);
      if (place === null) return undefined;
      const { start, stop } = span(count, place, ask);
      const ids = stop > start ? await redis.zrange(order, start, stop - 1) : [];
      return { entries: await byId(feed, ids as ItemId[]), index: start, count };
    },
  };
}
