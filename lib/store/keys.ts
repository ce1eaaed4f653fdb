import { digest, FIREHOSE, type FeedId, type Firehose } from '../domain.js';
import type { RedisClient } from '../redis.js';

const ROOT = 'hydrant';
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';

/** The channel on which a commit says which partition's log has grown. Only a hint: readers also look by themselves. */
export const COMMITTED = `${ROOT}:committed`;

export type Keys = ReturnType<typeof createKeys>;

/**
 * Every key there is. What belongs to one feed, and the part of the log that its entries go to, carries one hash tag,
 * so that one script may touch it all, on a Redis Cluster too. Nothing outside this file knows how.
 */
export function createKeys(partitions: number) {
  const place = (partition: number | Firehose, name: string) => `${ROOT}:{${partition}}:${name}`;
  const partitionOf = (feed: FeedId): number =>
    (ALPHABET.indexOf(feed.charAt(0)) * 32 + ALPHABET.indexOf(feed.charAt(1))) % partitions;
  const ofFeed = (feed: FeedId, name: string) => place(partitionOf(feed), `${name}:${feed}`);

  return {
    partitions,
    partitionOf,
    feed: (feed: FeedId) => ofFeed(feed, 'feed'),
    /** Hash: ItemId → content hash and the day it was last shown. */
    seen: (feed: FeedId) => ofFeed(feed, 'seen'),
    /** Hash: ItemId → item as JSON. */
    items: (feed: FeedId) => ofFeed(feed, 'items'),
    /** Sorted set: ItemId by the order of publishing. */
    order: (feed: FeedId) => ofFeed(feed, 'order'),
    pinged: (feed: FeedId) => ofFeed(feed, 'pinged'),
    /** Sorted set, all scores 0: a subscriber's JID, a NUL, the subscription as JSON. */
    subscribers: (node: FeedId | Firehose) =>
      node === FIREHOSE ? place(FIREHOSE, 'subscribers') : ofFeed(node, 'subscribers'),
    /** Sorted set: FeedId by when it is due. */
    due: (partition: number) => place(partition, 'due'),
    /** Sorted set, all scores 0: every FeedId. */
    directory: (partition: number) => place(partition, 'directory'),
    log: (partition: number) => place(partition, 'log'),
    /** How far the log was delivered and confirmed. */
    position: (partition: number) => place(partition, 'position'),
    /** The highest fencing token that has written here. */
    fence: (partition: number | Firehose) => place(partition, 'fence'),
    /** Hash: log id → why this record is never sent. */
    quarantine: (partition: number) => place(partition, 'quarantine'),
    /** Sorted set: "partition log-id" by firehose number. */
    firehose: place(FIREHOSE, 'index'),
    firehoseNumber: place(FIREHOSE, 'number'),
    /** Hash: partition → the last log id that has a number. */
    firehoseNumbered: place(FIREHOSE, 'numbered'),
    /** Set: "FeedId jid" of everything one person holds. */
    person: (bareJid: string) => `${ROOT}:{${digest(bareJid)}}:subscriptions`,
    /** Sorted set: FeedIds that a URL stands for, the first known first. */
    alias: (url: string) => `${ROOT}:{${digest(url)}}:alias`,
    lease: (name: string) => `${ROOT}:{lease}:${name}`,
    snapshot: (name: string) => `${ROOT}:snapshot:${name}`,
  };
}

/** Thrown when the stored partition count is not the configured one: with another count, nothing would be found. */
export class PartitionMismatch extends Error {
  override readonly name = 'PartitionMismatch';
}

/**
 * The keys of this Redis. The partition count is decided by the first process that ever starts.
 * @throws PartitionMismatch when it was decided differently
 */
export async function openKeys(redis: RedisClient, partitions: number): Promise<Keys> {
  const key = `${ROOT}:partitions`;
  await redis.setnx(key, partitions);
  const stored = Number(await redis.get(key));
  if (stored !== partitions) {
    throw new PartitionMismatch(
      `PARTITIONS is ${partitions}, but this Redis was set up with ${stored}; set it to ${stored}`,
    );
  }
  return createKeys(partitions);
}
