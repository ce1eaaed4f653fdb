import type { SubscriptionKey } from '../domain.js';
import type { RedisClient } from '../redis.js';
import { dueIn, memberOf } from './due.js';
import type { Keys } from './keys.js';
import { NOW, script } from './script.js';

/**
 * What a digest subscription has to be told, until it is told (XEP-0060 pubsub#digest). `ref` is the id of a log record,
 * or on the firehose the ItemID.
 */
export interface DigestStore {
  /**
   * Adds what is not held yet, behind the rest. The digest falls due `ms` after the first one that it holds, or at once
   * when it holds as many as DIGEST_FULL.
   */
  hold(key: SubscriptionKey, refs: readonly string[], ms: number): Promise<void>;
  /** Digests that are due, by Redis's clock. */
  due(limit: number): Promise<SubscriptionKey[]>;
  /** The first `limit` that are held, in the order in which they came. */
  held(key: SubscriptionKey, limit: number): Promise<string[]>;
  /**
   * Forgets what is held up to and including `ref`; nothing when that is not held. What is left is due at once; with
   * nothing left the digest is no longer due.
   */
  release(key: SubscriptionKey, ref: string): Promise<void>;
}

/** A digest of this many is long enough, and takes enough room. */
export const DIGEST_FULL = 1_000;

// In the order in which they come, not by their refs: the partitions of the firehose are delivered side by side, and
// what comes late must not stand before what is being told, or it would be forgotten with it.
const HOLD = script(`
  ${NOW}
  local digest, due, key, ms = KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[2])
  local last = tonumber(redis.call('ZRANGE', digest, -1, -1, 'WITHSCORES')[2] or 0)
  for i = 3, #ARGV do redis.call('ZADD', digest, 'NX', last + i, ARGV[i]) end
  redis.call('ZADD', due, 'NX', now + ms, key)
  if redis.call('ZCARD', digest) >= ${DIGEST_FULL} then redis.call('ZADD', due, 'LT', now, key) end
  return 1
`);

const RELEASE = script(`
  ${NOW}
  local digest, due, key, ref = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
  local last = redis.call('ZSCORE', digest, ref)
  if not last then return 0 end
  redis.call('ZREMRANGEBYSCORE', digest, '-inf', last)
  if redis.call('EXISTS', digest) == 1 then redis.call('ZADD', due, now, key) else redis.call('ZREM', due, key) end
  return 1
`);

export function redisDigests(redis: RedisClient, keys: Keys): DigestStore {
  const touched = (key: SubscriptionKey) => [keys.digest(key), keys.digests(keys.slotOf(key.feed))];
  return {
    async hold(key, refs, ms) {
      if (refs.length > 0) await HOLD(redis, touched(key), [memberOf(key), ms, ...refs]);
    },

    due: (limit) => dueIn(redis, keys.slots.map(keys.digests), limit),

    held: async (key, limit) => (limit > 0 ? redis.zrange(keys.digest(key), 0, limit - 1) : []),

    async release(key, ref) {
      await RELEASE(redis, touched(key), [memberOf(key), ref]);
    },
  };
}
