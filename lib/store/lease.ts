import type { RedisClient } from '../redis.js';
import type { Keys } from './keys.js';
import { script } from './script.js';

/** The right to be the one process that holds an address. Each new holder gets a higher fencing token. */
export interface LeaseStore {
  /** A token, or nothing while somebody else holds it. */
  acquire(name: string, holder: string, ttlMs: number): Promise<number | undefined>;
  /** False when it is lost. */
  renew(name: string, holder: string, ttlMs: number): Promise<boolean>;
  release(name: string, holder: string): Promise<void>;
  isHeld(name: string): Promise<boolean>;
}

const ACQUIRE = script(`
  if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end
  return redis.call('INCR', KEYS[2])
`);
const RENEW = script(`
  if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`);
const RELEASE = script(`
  if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
  return redis.call('DEL', KEYS[1])
`);

export function redisLeases(redis: RedisClient, keys: Keys): LeaseStore {
  return {
    async acquire(name, holder, ttlMs) {
      const token = await ACQUIRE(redis, [keys.lease(name), keys.lease(`${name}:token`)], [holder, ttlMs]);
      return Number(token) || undefined;
    },
    renew: async (name, holder, ttlMs) => (await RENEW(redis, [keys.lease(name)], [holder, ttlMs])) === 1,
    async release(name, holder) {
      await RELEASE(redis, [keys.lease(name)], [holder]);
    },
    isHeld: async (name) => (await redis.exists(keys.lease(name))) === 1,
  };
}
