import type { SubscriptionKey } from '../domain.js';
import type { RedisClient } from '../redis.js';
import type { Keys } from './keys.js';
import { script } from './script.js';

/** How much one subscription has had today (hydrant#daily_limit). */
export interface LimitStore {
  /**
   * Whether this one is within the limit of the day (UTC, by Redis's clock). Asking again for the same `ref` on that day
   * gives the same answer and counts nothing twice; what was allowed, of the latest LIMIT_REMEMBERS, stays so on the
   * next day.
   * @param ref id of a log record, or on the firehose the ItemID
   * @param limit 0: there is none
   */
  allow(key: SubscriptionKey, ref: string, limit: number): Promise<boolean>;
}

/** More than are asked for again after a restart. */
export const LIMIT_REMEMBERS = 1_000;

const DAY_SECONDS = 86_400;

const ALLOW = script(`
  local counter, allowed, ref, limit = KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[2])
  if redis.call('LPOS', allowed, ref, 'RANK', -1) then return 1 end
  local today = math.floor(redis.call('TIME')[1] / ${DAY_SECONDS})
  local day, count = unpack(redis.call('HMGET', counter, 'day', 'count'))
  count = tonumber(day or -1) == today and tonumber(count) or 0
  if count >= limit then return 0 end
  redis.call('HSET', counter, 'day', today, 'count', count + 1)
  redis.call('RPUSH', allowed, ref)
  redis.call('LTRIM', allowed, -${LIMIT_REMEMBERS}, -1)
  for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ${2 * DAY_SECONDS}) end
  return 1
`);

export const redisLimits = (redis: RedisClient, keys: Keys): LimitStore => ({
  async allow(key, ref, limit) {
    return limit === 0 || (await ALLOW(redis, [keys.limit(key), keys.allowed(key)], [ref, limit])) === 1;
  },
});
