import type { RedisClient } from '../redis.js';
import type { Keys } from './keys.js';

/** Who has asked for our presence (RFC 6121 3.1), or, by themselves, the rooms that we are in: bare JIDs. */
export interface ContactStore {
  /** False when they were there before. */
  add(jid: string): Promise<boolean>;
  /** False when they were not. */
  remove(jid: string): Promise<boolean>;
  has(jid: string): Promise<boolean>;
  /** In pages, in no order. Who is there from beginning to end comes at least once. */
  all(): AsyncIterable<readonly string[]>;
  count(): Promise<number>;
}

const PAGE = 1_000;

export const redisContacts = (redis: RedisClient, keys: Keys): ContactStore => jids(redis, keys.contacts);
export const redisRooms = (redis: RedisClient, keys: Keys): ContactStore => jids(redis, keys.rooms);

const jids = (redis: RedisClient, key: string): ContactStore => ({
  add: async (jid) => (await redis.sadd(key, jid)) === 1,
  remove: async (jid) => (await redis.srem(key, jid)) === 1,
  has: async (jid) => (await redis.sismember(key, jid)) === 1,

  async *all() {
    let cursor = '0';
    do {
      const [next, page] = await redis.sscan(key, cursor, 'COUNT', PAGE);
      if (page.length > 0) yield page;
      cursor = next;
    } while (cursor !== '0');
  },

  count: () => redis.scard(key),
});
