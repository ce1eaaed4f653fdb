import type { FeedId } from '../domain.js';
import type { RedisClient } from '../redis.js';
import { samePage } from '../same-page.js';
import type { Keys } from './keys.js';
import { script } from './script.js';

/** The ping cache: which feeds a URL stands for. A page's first feed is also what the page's URL means as a node. */
export interface AliasStore {
  /** The first call for a URL decides what the URL means as a node; at most fifty feeds are kept per URL. */
  add(url: string, feed: FeedId): Promise<void>;
  /** The URL does not stand for this feed any more. */
  remove(url: string, feed: FeedId): Promise<void>;
  feedsOf(url: string): Promise<FeedId[]>;
}

const FEEDS_PER_URL = 50;

// Behind the last one, even within one millisecond or when a clock has gone back.
const ADD = script(`
  if redis.call('ZCARD', KEYS[1]) >= ${FEEDS_PER_URL} then return 0 end
  local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2] or 0
  return redis.call('ZADD', KEYS[1], 'NX', math.max(tonumber(ARGV[2]), last + 1), ARGV[1])
`);

export function redisAliases(redis: RedisClient, keys: Keys, now: () => number): AliasStore {
  return {
    async add(url, feed) {
      await ADD(redis, [keys.alias(aliasOf(url))], [feed, now()]);
    },
    async remove(url, feed) {
      await redis.zrem(keys.alias(aliasOf(url)), feed);
    },
    feedsOf: async (url) => (await redis.zrange(keys.alias(aliasOf(url)), 0, -1)) as FeedId[],
  };
}

/** One text for all spellings that senders use for one page. */
export const aliasOf = (url: string): string => samePage(url) ?? url;
