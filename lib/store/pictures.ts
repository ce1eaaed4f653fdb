import type { FeedId } from '../domain.js';
import type { RedisClient } from '../redis.js';
import type { Keys } from './keys.js';

/** What stands for a feed in a list of nodes (XEP-0084). */
export interface Picture {
  /** Hash of the bytes, in hexadecimal digits. */
  readonly sha1: string;
  /** The media type that the bytes have, whatever the server said. */
  readonly type: string;
  /** How many there are. */
  readonly bytes: number;
  /** In pixels. */
  readonly width?: number;
  readonly height?: number;
  /** Where the world can fetch it. */
  readonly url: string;
  readonly data: Buffer;
}

/** What came of looking for the feeds' pictures, for as long as that is believed. */
export interface PictureStore {
  put(feed: FeedId, picture: Picture | 'none', ttlMs: number): Promise<void>;
  /** `none`: somebody has looked, and there is none. undefined: nobody has looked lately. */
  get(feed: FeedId): Promise<Picture | 'none' | undefined>;
}

// One value, so that it is written and forgotten as a whole: the facts as a line of JSON, then the bytes.
const END_OF_FACTS = '\n';

export const redisPictures = (redis: RedisClient, keys: Keys): PictureStore => ({
  async put(feed, picture, ttlMs) {
    await redis.set(keys.picture(feed), picture === 'none' ? picture : packed(picture), 'PX', ttlMs);
  },

  async get(feed) {
    const stored = await redis.getBuffer(keys.picture(feed));
    return stored ? unpacked(stored) : undefined;
  },
});

function packed({ data, ...facts }: Picture): Buffer {
  return Buffer.concat([Buffer.from(JSON.stringify(facts) + END_OF_FACTS), data]);
}

function unpacked(stored: Buffer): Picture | 'none' {
  const end = stored.indexOf(END_OF_FACTS);
  if (end < 0) return 'none';
  const facts = JSON.parse(stored.subarray(0, end).toString()) as Omit<Picture, 'data'>;
  return { ...facts, data: stored.subarray(end + END_OF_FACTS.length) };
}
