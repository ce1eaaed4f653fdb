import type { FeedId, FeedUrl } from '../domain.js';
import type { RedisClient } from '../redis.js';
import type { Keys } from './keys.js';

/** The ping cache: which feeds a URL stands for. A page's first feed is also what the page's URL means as a node. */
export interface AliasStore {
  /** The first call for a URL decides what the URL means as a node; at most fifty feeds are kept per URL. */
  add(url: string, feed: FeedId): Promise<void>;
  feedsOf(url: string): Promise<FeedId[]>;
}

const FEEDS_PER_URL = 50;

export function redisAliases(redis: RedisClient, keys: Keys, now: () => number): AliasStore {
  return {
    async add(url, feed) {
      const key = keys.alias(aliasOf(url));
      if ((await redis.zcard(key)) < FEEDS_PER_URL) await redis.zadd(key, 'NX', now(), feed);
    },
    feedsOf: async (url) => (await redis.zrange(keys.alias(aliasOf(url)), 0, -1)) as FeedId[],
  };
}

/** One text for all spellings that senders use for one page: scheme, www., a slash at the end and the fragment do not count. */
export function aliasOf(url: string | FeedUrl): string {
  const { hostname, port, pathname, search } = new URL(url);
  return `${hostname.replace(/^www\./, '')}${port && `:${port}`}${pathname.replace(/\/+$/, '')}${search}`;
}
