import type { RedisClient } from '../redis.js';
import type { Keys } from './keys.js';

/** What one process says of itself, for others to show; forgotten when it stops saying it. */
export interface SnapshotStore {
  put(name: string, text: string, ttlMs: number): Promise<void>;
  get(name: string): Promise<string | undefined>;
}

export const redisSnapshots = (redis: RedisClient, keys: Keys): SnapshotStore => ({
  async put(name, text, ttlMs) {
    await redis.set(keys.snapshot(name), text, 'PX', ttlMs);
  },
  get: async (name) => (await redis.get(keys.snapshot(name))) ?? undefined,
});
