import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from '@jest/globals';
import {
  feedIdOf,
  parseFeedUrl,
  type Entry,
  type FeedId,
  type FeedUrl,
  type Item,
  type NodeKey,
  type Source,
  type Subscription,
} from '../../lib/domain.js';
import { openRedis, ready, type RedisClient } from '../../lib/redis.js';
import { redisAliases } from '../../lib/store/aliases.js';
import { redisContacts, redisRooms } from '../../lib/store/contacts.js';
import { redisDigests } from '../../lib/store/digests.js';
import { redisFeeds } from '../../lib/store/feeds.js';
import { redisFirehose, type News } from '../../lib/store/firehose.js';
import { redisItems } from '../../lib/store/items.js';
import { createKeys } from '../../lib/store/keys.js';
import { redisLeases } from '../../lib/store/lease.js';
import { redisLimits } from '../../lib/store/limits.js';
import { redisLog } from '../../lib/store/log.js';
import { redisNodes } from '../../lib/store/nodes.js';
import { redisPictures } from '../../lib/store/pictures.js';
import { redisSnapshots } from '../../lib/store/snapshots.js';
import { redisSubscriptions } from '../../lib/store/subscriptions.js';
import { startRedis, type RedisServer } from '../../prosody/servers.js';
import { changesOf } from '../../scheduler/learn.js';
import { memoryStores, type StoreOptions, type Stores } from './memory.js';

/** The stores that Hydrant runs with. */
export function redisStores(redis: RedisClient, listener: RedisClient, options: StoreOptions = {}): Stores {
  const { now = Date.now, random = Math.random, itemsPerNode = 20, partitions = 4 } = options;
  const keys = createKeys(partitions);
  return {
    nodes: redisNodes(redis, keys),
    feeds: redisFeeds(redis, keys, { itemsPerNode, now, random }),
    items: redisItems(redis, keys),
    log: redisLog(redis, listener, keys),
    firehose: redisFirehose(redis, keys, now),
    subscriptions: redisSubscriptions(redis, keys),
    digests: redisDigests(redis, keys),
    limits: redisLimits(redis, keys),
    contacts: redisContacts(redis, keys),
    rooms: redisRooms(redis, keys),
    aliases: redisAliases(redis, keys, now),
    leases: redisLeases(redis, keys),
    snapshots: redisSnapshots(redis, keys),
    pictures: redisPictures(redis, keys),
  };
}

/** A throwaway Redis for the tests of the describe block in which this is called. */
export function throwawayRedis() {
  const clients: RedisClient[] = [];
  let dir: string;
  let server: RedisServer;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'hydrant-redis-'));
    server = await startRedis({ dir });
  });
  afterAll(async () => {
    for (const client of clients) client.disconnect();
    await server.stop();
    await rm(dir, { recursive: true });
  });
  return {
    get server() {
      return server;
    },
    /** A connection that takes commands, closed at the end. */
    async connect(temper: 'prompt' | 'patient' = 'prompt'): Promise<RedisClient> {
      const client = openRedis([server.url], temper, () => undefined);
      clients.push(client);
      await ready(client);
      return client;
    },
  };
}

export type OpenStores = (options?: StoreOptions) => Promise<Stores>;

/** One suite, every implementation: the fakes that other tests trust are held to the same promises. */
export function contract(suite: (open: OpenStores) => void): void {
  describe('in memory', () => {
    suite(async (options) => memoryStores(options));
  });

  describe('in Redis', () => {
    const redis = throwawayRedis();
    let client: RedisClient;
    let listener: RedisClient;
    beforeAll(async () => {
      [client, listener] = [await redis.connect(), await redis.connect('patient')];
    });
    suite(async (options) => {
      await client.flushall();
      return redisStores(client, listener, options);
    });
  });
}

export const BLOG = parseFeedUrl('https://blog.example/atom.xml');
export const NO_SOURCE: Source = { links: [], authors: [], categories: [] };

export const entryOf = (id: string, title = id): Entry => ({
  id,
  title: { type: 'text', value: title },
  links: [],
  authors: [],
  contributors: [],
  categories: [],
  media: [],
});

/** What polls do that find these entries, the newest first: as many as it takes. The feed is made known if it is not. */
export async function look(
  stores: Pick<Stores, 'feeds' | 'items'>,
  url: FeedUrl,
  entries: readonly Entry[],
  nextMs = 60_000,
): Promise<Awaited<ReturnType<Stores['feeds']['commit']>>> {
  const { feeds } = stores;
  await feeds.register(url);
  const feed = (await feeds.get(feedIdOf(url)))!;
  const changes = await changesOf(stores, feed, entries, feed.read === undefined);
  const outcome = { kind: 'fresh', source: NO_SOURCE, validators: {}, body: 'hash', changes } as const;
  const result = await feeds.commit({ feed, nextMs, outcome });
  return changes.left > 0 ? look(stores, url, entries, nextMs) : result;
}

/** The newest items of a node, newest first. */
export async function newest({ items }: Pick<Stores, 'items'>, feed: FeedId, limit: number): Promise<Item[]> {
  const page = await items.page(feed, { limit, before: '' });
  return [...(page?.entries ?? [])].reverse();
}

/** A feed that was read once, when it was empty, so that whatever it shows from now on is news. */
export async function openFeed(stores: Pick<Stores, 'feeds' | 'items'>, url: FeedUrl = BLOG): Promise<FeedId> {
  await look(stores, url, []);
  return feedIdOf(url);
}

const UNTIL_MS = 20_000;

/** For what no event tells: asks again until it is so. */
export async function until(condition: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + UNTIL_MS;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not so within ${UNTIL_MS} ms: ${String(condition)}`);
    await new Promise(setImmediate);
  }
}

/** Of a feed's items. */
export const entriesOf = (items: readonly Item[]): Entry[] =>
  items.flatMap((item) => ('entry' in item ? item.entry : []));

/** Records of the blog at these places of a log, to be numbered. */
export const newsOf = (...ids: readonly string[]): News[] =>
  ids.map((id) => ({ id, feed: feedIdOf(BLOG), fingerprints: [] }));

/** A plain subscription, as somebody makes it who says nothing else. */
export const subscriptionOf = (
  feed: NodeKey,
  jid = 'romeo@example.net',
  more: Partial<Subscription> = {},
): Subscription => ({
  feed,
  jid,
  subid: '1',
  node: feed,
  since: 1,
  state: 'subscribed',
  options: {},
  ...more,
});

export async function collect<T>(pages: AsyncIterable<readonly T[]>): Promise<T[]> {
  const all: T[] = [];
  for await (const page of pages) all.push(...page);
  return all;
}
