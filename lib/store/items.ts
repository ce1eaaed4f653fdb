import type { Entry, FeedId, Item, ItemId } from '../domain.js';
import type { RedisClient } from '../redis.js';
import type { Keys } from './keys.js';

/** What a feed's node holds for retrieval. Written only by the commit. */
export interface ItemStore {
  /** The newest `limit` items, newest first. */
  latest(feed: FeedId, limit: number): Promise<Item[]>;
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
    async latest(feed, limit) {
      if (limit <= 0) return []; // a range that ends at -1 is all there is
      return byId(feed, (await redis.zrevrange(keys.order(feed), 0, limit - 1)) as ItemId[]);
    },
  };
}
