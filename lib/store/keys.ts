import { digest, FIREHOSE, type FeedId, type Firehose, type NodeKey, type SubscriptionKey } from '../domain.js';
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
  const slotOf = (node: NodeKey): number | Firehose => (node === FIREHOSE ? FIREHOSE : partitionOf(node));
  const ofSubscription = ({ feed, subid, jid }: SubscriptionKey, name: string) =>
    place(slotOf(feed), `${name}:${feed}:${subid}:${jid}`);

  return {
    partitions,
    partitionOf,
    /** The hash tag of what belongs to a node; and all that there are. */
    slotOf,
    slots: [...Array(partitions).keys(), FIREHOSE] as readonly (number | Firehose)[],
    /** Hash: the fields of a feed, or of a node that has none; how it is configured. */
    feed: (feed: FeedId) => ofFeed(feed, 'feed'),
    /** Hash: ItemId → content hash and the day it was last shown. */
    seen: (feed: FeedId) => ofFeed(feed, 'seen'),
    /** Hash: ItemId → item as JSON. */
    items: (feed: FeedId) => ofFeed(feed, 'items'),
    /** Sorted set: ItemId by the order of publishing. */
    order: (feed: FeedId) => ofFeed(feed, 'order'),
    /** Sorted set: ItemId of what was published again, by the order in which it first was. */
    born: (feed: FeedId) => ofFeed(feed, 'born'),
    pinged: (feed: FeedId) => ofFeed(feed, 'pinged'),
    picture: (feed: FeedId) => ofFeed(feed, 'picture'),
    /** Sorted set, all scores 0: a subscriber's JID, a NUL, the SubID, a NUL, the rest of the subscription as JSON. */
    subscribers: (node: FeedId | Firehose) =>
      node === FIREHOSE ? place(FIREHOSE, 'subscribers') : ofFeed(node, 'subscribers'),
    /** The subscribers of a node that was deleted, under a name that nothing else has. */
    departed: (feed: FeedId, audience: string) => ofFeed(feed, `departed:${audience}`),
    /** Sorted set: "FeedId SubID jid" by when the subscription ends (XEP-0060 13.19). */
    leases: (slot: number | Firehose) => place(slot, 'leases'),
    /** Sorted set: "FeedId SubID jid" by when its digest is due. */
    digests: (slot: number | Firehose) => place(slot, 'digests'),
    /** Sorted set: what the digest of one subscription holds, in the order in which it came. */
    digest: (key: SubscriptionKey) => ofSubscription(key, 'digest'),
    /** Hash: how much one subscription has had on one day. */
    limit: (key: SubscriptionKey) => ofSubscription(key, 'limit'),
    /** List: what it had lately, the latest last. */
    allowed: (key: SubscriptionKey) => ofSubscription(key, 'allowed'),
    /** Sorted set: FeedId by when it is due. */
    due: (partition: number) => place(partition, 'due'),
    /** Sorted set, all scores 0: the FeedId of every node that everybody may see. */
    directory: (partition: number) => place(partition, 'directory'),
    /** The same of nodes that only their members may see. */
    unlisted: (partition: number) => place(partition, 'unlisted'),
    /** Hash: FeedId of a node in the directory → its type, unless it is a feed that was given none. */
    types: (partition: number) => place(partition, 'types'),
    /** Hash: FeedId of a node that is no longer there → its successor as JSON. */
    moved: (partition: number) => place(partition, 'moved'),
    /** Sorted set: FeedId of a node whose items expire, by when they are to be looked through. */
    expiring: (partition: number) => place(partition, 'expiring'),
    /** Hash: the same FeedId → the seconds for which its items are kept. */
    lifetimes: (partition: number) => place(partition, 'lifetimes'),
    /** Hash: bare JID → affiliation. */
    affiliations: (node: FeedId | Firehose) =>
      node === FIREHOSE ? place(FIREHOSE, 'affiliations') : ofFeed(node, 'affiliations'),
    /** Set: FeedId of every node that one person is affiliated with. */
    affiliated: (bareJid: string) => `${ROOT}:{${digest(bareJid)}}:affiliations`,
    /** How the firehose is configured, as JSON. */
    firehoseConfig: place(FIREHOSE, 'config'),
    log: (partition: number) => place(partition, 'log'),
    /** How far the log was delivered and confirmed. */
    position: (partition: number) => place(partition, 'position'),
    /** The highest fencing token that has written here. */
    fence: (partition: number | Firehose) => place(partition, 'fence'),
    /** Hash: log id → why this record is never sent. */
    quarantine: (partition: number) => place(partition, 'quarantine'),
    /** Sorted set: "partition log-id FeedId" by firehose number. */
    firehose: place(FIREHOSE, 'index'),
    firehoseNumber: place(FIREHOSE, 'number'),
    /** Sorted set: fingerprint of an entry by the firehose number of the record that had it first. */
    firehoseFingerprints: place(FIREHOSE, 'fingerprints'),
    /** Hash: partition → the last log id that was numbered, or found to be a duplicate. */
    firehoseNumbered: place(FIREHOSE, 'numbered'),
    /** Sorted set: a time in ms since 1970, by the first number that was given then. */
    firehoseClock: place(FIREHOSE, 'clock'),
    /** Set: "FeedId SubID jid" of everything one person holds. */
    person: (bareJid: string) => `${ROOT}:{${digest(bareJid)}}:subscriptions`,
    /** Set: FeedId of every node on which somebody has waited for approval. */
    pending: `${ROOT}:{pending}:nodes`,
    /** Set: bare JIDs that have asked for our presence. */
    contacts: `${ROOT}:{contacts}:jids`,
    /** Set: the rooms that we are in. */
    rooms: `${ROOT}:{contacts}:rooms`,
    /** Sorted set: FeedIds that a URL stands for, the first known first. */
    alias: (url: string) => `${ROOT}:{${digest(url)}}:alias`,
    lease: (name: string) => `${ROOT}:{lease}:${name}`,
    snapshot: (name: string) => `${ROOT}:snapshot:${name}`,
  };
}

/** Thrown when what is stored is not stored as we would read it: nothing would be found, or the wrong thing. */
export class LayoutMismatch extends Error {
  override readonly name = 'LayoutMismatch';
}

/** Counts the ways in which we have stored things. What was stored in another way is not read. */
const LAYOUT = 2;

/**
 * The keys of this Redis. How things are stored, and in how many partitions, is decided by the first process that ever
 * starts.
 * @throws LayoutMismatch when it was decided differently
 */
export async function openKeys(redis: RedisClient, partitions: number): Promise<Keys> {
  const key = `${ROOT}:layout`;
  // Before there was a second way, only the partitions were written down.
  const isFirstLayout = (await redis.exists(`${ROOT}:partitions`)) === 1;
  if (!isFirstLayout) await redis.setnx(key, `${LAYOUT} ${partitions}`);
  const [layout, count] = isFirstLayout ? [1] : ((await redis.get(key)) ?? '').split(' ').map(Number);
  if (layout !== LAYOUT) {
    throw new LayoutMismatch(
      `This Redis holds data of another version (layout ${layout ?? '?'}, not ${LAYOUT}); empty it, or give Hydrant another one`,
    );
  }
  if (count !== partitions) {
    throw new LayoutMismatch(
      `PARTITIONS is ${partitions}, but this Redis was set up with ${count ?? '?'}; set it to ${count ?? '?'}`,
    );
  }
  return createKeys(partitions);
}
