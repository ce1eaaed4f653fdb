import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { Cluster } from 'ioredis';
import {
  FIREHOSE,
  feedIdOf,
  itemIdOf,
  ownNodeIdOf,
  parseFeedUrl,
  type FeedUrl,
  type ItemId,
  type Subscription,
} from '../../../lib/domain.js';
import { openQuestions, openQueue, openWorker } from '../../../lib/queues.js';
import { durabilityProblems, openRedis, ready, redisAway, type RedisClient, type Temper } from '../../../lib/redis.js';
import { openKeys } from '../../../lib/store/keys.js';
import { Fenced, type LogRecord } from '../../../lib/store/log.js';
import { createInbox } from '../../../prosody/inbox.js';
import { freePort } from '../../../prosody/servers.js';
import type { Stores } from '../../support/memory.js';
import { BLOG, collect, entryOf, look, newest, newsOf, openFeed, redisStores, until } from '../../support/stores.js';

const PARTITIONS = 16;
const HOUR_MS = 3_600_000;
const KEEP = { ms: HOUR_MS, records: 10_000 };
const SLOTS = 16_384;
const ROMEO = { jid: 'romeo@example.net', subid: 'balcony', since: 1, state: 'subscribed', options: {} } as const;

interface Node {
  readonly url: string;
  readonly port: number;
  readonly bus: number;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** One Redis of a Cluster, on loopback. */
async function createNode(dir: string): Promise<Node> {
  const [port, bus] = [await freePort(), await freePort()];
  await mkdir(dir);
  const settings = {
    port,
    'cluster-port': bus,
    bind: '127.0.0.1',
    dir,
    'cluster-enabled': 'yes',
    'cluster-node-timeout': 1_000,
    appendonly: 'yes',
    save: '',
  };
  let server: ChildProcess | undefined;
  process.once('exit', () => server?.kill('SIGKILL'));
  return {
    url: `redis://127.0.0.1:${port}/0`,
    port,
    bus,
    async start() {
      const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, `${value}`]);
      const started = (server = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'ignore'] }));
      for await (const line of createInterface({ input: started.stdout })) {
        if (line.includes('Ready to accept connections')) break;
      }
      started.stdout.resume();
    },
    async stop() {
      if (!server) return;
      const gone = once(server, 'close');
      server.kill();
      await gone;
      server = undefined;
    },
  };
}

let dir: string;
let nodes: Node[];
let redis: RedisClient;
let listener: RedisClient;
const clients: RedisClient[] = [];

const urls = () => nodes.map(({ url }) => url);
const connect = async (addresses: readonly string[], temper: Temper) => {
  const client = openRedis(addresses, temper, () => undefined);
  clients.push(client);
  await ready(client);
  return client;
};

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'hydrant-cluster-'));
  nodes = await Promise.all([0, 1, 2].map((n) => createNode(join(dir, `${n}`))));
  await Promise.all(nodes.map((node) => node.start()));
  const each = await Promise.all(nodes.map(({ url }) => connect([url], 'patient')));
  for (const [n, one] of each.entries()) {
    const [from, to] = [n, n + 1].map((part) => Math.floor((part * SLOTS) / each.length));
    await one.call('CLUSTER', 'ADDSLOTSRANGE', `${from!}`, `${to! - 1}`);
    await one.call('CLUSTER', 'SET-CONFIG-EPOCH', `${n + 1}`);
  }
  for (const { port, bus } of nodes) await each[0]!.call('CLUSTER', 'MEET', '127.0.0.1', `${port}`, `${bus}`);
  for (const one of each) {
    await until(async () => {
      const info = String(await one.call('CLUSTER', 'INFO'));
      return info.includes('cluster_state:ok') && info.includes('cluster_known_nodes:3');
    });
  }
  [redis, listener] = [await connect(urls(), 'prompt'), await connect(urls(), 'patient')];
}, 30_000);

afterAll(async () => {
  for (const client of clients) client.disconnect();
  await Promise.all(nodes.map((node) => node.stop()));
  await rm(dir, { recursive: true });
});

beforeEach(async () => {
  if (redis instanceof Cluster) for (const node of redis.nodes('master')) await node.flushall();
});

const open = (): Stores => redisStores(redis, listener, { partitions: PARTITIONS });

const feeds = (count: number): FeedUrl[] =>
  Array.from({ length: count }, (_, i) => parseFeedUrl(`https://site${i}.example/feed`));

async function logged({ log }: Stores): Promise<LogRecord[]> {
  const read = Array.from({ length: PARTITIONS }, (_, partition) => log.read(partition, '0', 1_000));
  return (await Promise.all(read)).flat();
}

it('is a Cluster of three that shares the partitions among all nodes', async () => {
  expect(redis).toBeInstanceOf(Cluster);
  const stores = open();
  for (const url of feeds(60)) await openFeed(stores, url);
  const sizes = await Promise.all((redis as Cluster).nodes('master').map((node) => node.dbsize()));
  expect(sizes).toHaveLength(3);
  for (const size of sizes) expect(size).toBeGreaterThan(0);
});

it('every feed is committed whole, whatever the partition', async () => {
  const stores = open();
  for (const url of feeds(60)) {
    await openFeed(stores, url);
    await stores.subscriptions.put({ ...ROMEO, feed: feedIdOf(url), node: url });
    expect(await look(stores, url, [entryOf('b'), entryOf('a')])).toBe('committed');
    expect(await look(stores, url, [entryOf('b', 'better')])).toBe('committed');
  }
  const records = await logged(stores);
  expect(records).toHaveLength(180);
  expect(new Set(records.map(({ partition }) => partition)).size).toBe(PARTITIONS);
  for (const url of feeds(60)) {
    const kinds = records.flatMap((record) =>
      'entry' in record && record.url === url ? [[record.entry.id, record.kind]] : [],
    );
    expect(kinds).toEqual([
      ['a', 'new'],
      ['b', 'new'],
      ['b', 'edited'],
    ]);
    const [latest] = await newest(stores, feedIdOf(url), 1);
    expect(latest).toMatchObject({ id: itemIdOf(feedIdOf(url), 'b'), entry: entryOf('b', 'better') });
  }
});

it('one of many commits from the same version goes through', async () => {
  const stores = open();
  await openFeed(stores);
  const results = await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map((id) => look(stores, BLOG, [entryOf(id)])));
  expect(results.filter((result) => result === 'committed')).toHaveLength(1);
  expect(await logged(stores)).toHaveLength(1);
});

it('the schedule hands out every feed once, and the directory shows them all', async () => {
  const { feeds: store, nodes: directory } = open();
  for (const url of feeds(40)) await store.register(url);
  const ids = feeds(40).map(feedIdOf).sort();
  expect((await store.lease(100, HOUR_MS)).sort()).toEqual(ids);
  expect(await store.lease(100, HOUR_MS)).toEqual([]);
  expect((await directory.page({ limit: 100 }))?.entries.map(({ id }) => id).sort()).toEqual(ids);
  expect(await directory.page({ limit: 5, after: ids[0]! })).toMatchObject({ count: 40 });
  expect(await store.ping(ids[0]!, HOUR_MS)).toMatchObject({ delayMs: 0 });
});

it('nodes are made, configured, published to and deleted, on whichever nodes of Redis these are', async () => {
  const stores = open();
  const { nodes: store, items, subscriptions } = stores;
  const names = Array.from({ length: 40 }, (_, i) => `node ${i}`);
  const ids = names.map(ownNodeIdOf);
  for (const [i, name] of names.entries()) {
    const id = ids[i]!;
    expect(await store.create(name, 'juliet@example.com', { itemExpire: 60 })).toBe(true);
    await store.affiliate(id, 'juliet@example.com', 'owner');
    await subscriptions.put({ ...ROMEO, feed: id, node: name });
    for (const item of ['a', 'b', 'c', 'd'] as ItemId[]) {
      const published = { id: item, payload: '<a/>', publisher: 'juliet@example.com' };
      expect(await items.publish(id, [published], { persist: true, keep: 10, announce: true })).toBe(true);
    }
    expect(await items.retract(id, ['a' as ItemId], true)).toEqual(['a']);
    expect(await store.configure(id, { type: 'urn:example:custom', itemExpire: 60, maxItems: 2 }, true)).toBe(true);
    expect((await items.page(id, { limit: 10 }, 'creation'))?.entries.map((one) => one.id)).toEqual(['c', 'd']);
    expect(await items.retractOlder(id, HOUR_MS, true)).toBe(0);
    await items.purge(id, true);
  }
  const filter = { types: ['urn:example:custom'], usual: 'http://www.w3.org/2005/Atom', isExcluding: false };
  for (const part of [await store.page({ limit: 100 }), await store.page({ limit: 100 }, filter)]) {
    expect(part?.entries.map(({ id }) => id).sort()).toEqual([...ids].sort());
  }
  expect((await store.affiliationsOf('juliet@example.com')).map(({ id }) => id).sort()).toEqual([...ids].sort());
  expect(await store.expiring(100)).toHaveLength(40);
  await store.affiliate(FIREHOSE, 'juliet@example.com', 'owner');
  await store.configure(FIREHOSE, { title: 'All' }, false);
  expect(await store.get(FIREHOSE)).toMatchObject({ config: { title: 'All' } });

  for (const id of ids) expect(await store.delete(id, { announce: true, successor: { node: ids[0]! } })).toBe(true);
  expect(await store.page({ limit: 100 })).toEqual({ entries: [], index: 0, count: 0 });
  expect(await store.affiliationsOf('juliet@example.com')).toEqual([{ id: FIREHOSE, affiliation: 'owner' }]);
  for (const id of ids) expect(await store.successor(id)).toEqual({ node: ids[0] });
  const records = await logged(stores);
  expect(records).toHaveLength(40 * 8);
  const deleted = records.flatMap((record) => (record.kind === 'deleted' ? [record] : []));
  for (const record of deleted) {
    expect(await collect(subscriptions.departed(record))).toMatchObject([{ jid: ROMEO.jid }]);
    await stores.log.quarantine(record, 'not-well-formed', 1);
  }
  expect(deleted).toHaveLength(40);
});

it('the log is worked off, fenced and put into quarantine', async () => {
  const stores = open();
  for (const url of feeds(20)) {
    await openFeed(stores, url);
    await look(stores, url, [entryOf('a')]);
  }
  const records = await logged(stores);
  expect(await stores.log.backlog()).toBe(20);
  for (const record of records) {
    await stores.log.acknowledge(record.partition, record.id, 2, KEEP);
    expect(await stores.log.position(record.partition)).toBe(record.id);
    await expect(stores.log.acknowledge(record.partition, record.id, 1, KEEP)).rejects.toThrow(Fenced);
    await stores.log.quarantine(record, 'not-well-formed', 2);
    expect(await stores.log.at(record.partition, record.id)).toBeUndefined();
    expect(await newest(stores, record.feed, 1)).toEqual([]);
  }
  expect(await stores.log.backlog()).toBe(0);
});

it('tells of commits, wherever they were made', async () => {
  const stores = open();
  await openFeed(stores);
  const told = createInbox<number>('commits');
  stores.log.watch((partition) => {
    told.push(partition);
  });
  for (let n = 0; told.pending.length === 0; n++) await look(stores, BLOG, [entryOf(`${n}`)]);
  expect(await stores.log.read(await told.take(), '0', 1)).toMatchObject([{ url: BLOG }]);
});

it('the firehose is numbered without gaps', async () => {
  const stores = open();
  for (const url of feeds(30)) {
    await openFeed(stores, url);
    await look(stores, url, [entryOf('b'), entryOf('a')]);
  }
  const numberAll = async (token: number) => {
    const numbers = await Promise.all(
      Array.from({ length: PARTITIONS }, async (_, partition) => {
        const ids = (await stores.log.read(partition, '0', 1_000)).map(({ id }) => id);
        return stores.firehose.number(partition, newsOf(...ids), token);
      }),
    );
    return numbers.flat();
  };
  const numbers = await numberAll(1);
  expect(new Set(numbers)).toEqual(new Set(Array.from({ length: 60 }, (_, i) => i + 1)));
  expect(await numberAll(2)).toEqual(numbers);
  await expect(numberAll(1)).rejects.toThrow(Fenced);
  const latest = (await stores.firehose.page({ limit: 1, before: '' }))?.entries[0];
  expect(latest?.number).toBe(60);
  expect(await stores.log.at(latest!.partition, latest!.id)).toBeDefined();
  const part = await stores.firehose.between(0, undefined, { limit: 1, before: '' });
  expect(part).toMatchObject({ entries: [latest], index: 59, count: 60 });
  await stores.firehose.trim(-HOUR_MS, ({ number }) => number <= 10);
  expect((await stores.firehose.between(0, undefined, { limit: 1 }))?.count).toBe(50);
});

it('subscriptions have both their sides, on whichever nodes these are', async () => {
  const { subscriptions } = open();
  const nodeIds: Subscription['feed'][] = [...feeds(30).map(feedIdOf), FIREHOSE];
  const held: Subscription[] = nodeIds.map((feed, i) => ({
    ...ROMEO,
    feed,
    jid: `romeo@example.net/${i}`,
    node: `${i}`,
    since: i,
    state: i % 2 === 0 ? 'subscribed' : 'pending',
    options: { expire: i },
  }));
  for (const one of held) expect(await subscriptions.put(one)).toBe(true);
  expect(await subscriptions.ofPerson('romeo@example.net')).toEqual(held);
  for (const one of held) {
    expect(await collect(subscriptions.ofFeed(one.feed))).toEqual([one]);
    expect(await subscriptions.page(one.feed, { limit: 1, before: '' })).toEqual({
      entries: [one],
      index: 0,
      count: 1,
    });
  }
  expect((await subscriptions.expired(100)).map(({ jid }) => jid).sort()).toEqual(held.map(({ jid }) => jid).sort());
  expect(await subscriptions.pendingNodes()).toHaveLength(15);
  const [first, second] = feeds(2).map(feedIdOf);
  await subscriptions.copy(first!, second!);
  expect(await subscriptions.countOfPerson('romeo@example.net')).toBe(32);
  await subscriptions.move(first!, second!);
  expect(await subscriptions.countOfFeed(second!)).toBe(2);
  expect(await subscriptions.remove({ ...ROMEO, feed: FIREHOSE, jid: 'romeo@example.net/30' })).toBe(true);
  expect(await subscriptions.countOfPerson('romeo@example.net')).toBe(30);
});

it('who was subscribed to nodes that are deleted is forgotten on both sides', async () => {
  const stores = open();
  const { subscriptions, nodes } = stores;
  const held = feeds(12).map((url): Subscription => ({ ...ROMEO, feed: feedIdOf(url), node: url }));
  for (const url of feeds(12)) await openFeed(stores, url);
  for (const one of held) await subscriptions.put(one);
  for (const url of feeds(12)) await nodes.delete(feedIdOf(url), { announce: true });
  const records = (await logged(stores)).flatMap((record) => (record.kind === 'deleted' ? [record] : []));
  expect(records).toHaveLength(12);
  for (const record of records) {
    const one = held.find(({ feed }) => feed === record.feed);
    expect(await collect(subscriptions.departed(record))).toEqual([one]);
    await subscriptions.forget(record);
    expect(await collect(subscriptions.departed(record))).toEqual([]);
  }
  expect(await subscriptions.countOfPerson('romeo@example.net')).toBe(0);
});

it('digests, limits and contacts are kept, on whichever nodes these are', async () => {
  const { digests, limits, contacts } = open();
  const held = [...feeds(30).map(feedIdOf), FIREHOSE] as const;
  for (const feed of held) {
    const key = { ...ROMEO, feed };
    await digests.hold(key, ['000000000001', '000000000002'], 0);
    await digests.release(key, '000000000001');
    expect(await digests.held(key, 10)).toEqual(['000000000002']);
    expect(await limits.allow(key, '000000000001', 1)).toBe(true);
    expect(await limits.allow(key, '000000000002', 1)).toBe(false);
  }
  expect((await digests.due(100)).map(({ feed }) => feed).sort()).toEqual([...held].sort());
  expect(await contacts.add('romeo@example.net')).toBe(true);
  expect(await collect(contacts.all())).toEqual(['romeo@example.net']);
});

it('aliases, leases, snapshots and the number of partitions are kept', async () => {
  const { aliases, leases, snapshots } = open();
  await aliases.add(BLOG, feedIdOf(BLOG));
  expect(await aliases.feedsOf(BLOG)).toEqual([feedIdOf(BLOG)]);
  const token = await leases.acquire('feeds.localhost', 'a', HOUR_MS);
  expect(token).toBe(1);
  expect(await leases.renew('feeds.localhost', 'a', HOUR_MS)).toBe(true);
  await leases.release('feeds.localhost', 'a');
  expect(await leases.acquire('feeds.localhost', 'b', HOUR_MS)).toBe(2);
  await snapshots.put('component', 'up', HOUR_MS);
  expect(await snapshots.get('component')).toBe('up');
  expect((await openKeys(redis, PARTITIONS)).partitions).toBe(PARTITIONS);
});

it('queues hand out jobs, and questions are answered', async () => {
  const found = { kind: 'feed', feed: feedIdOf(BLOG) } as const;
  const worker = openWorker('probe', () => Promise.resolve(found), {
    redis: await connect(urls(), 'patient'),
    concurrency: 1,
    events: { onStalled: () => undefined, onFailed: () => undefined },
  });
  const questions = openQuestions('probe', redis, await connect(urls(), 'patient'));
  const polls = openQueue('poll', redis);
  expect(await questions.ask({ url: BLOG }, 10_000)).toEqual(found);
  for (let n = 0; n < 2; n++) await polls.enqueue({ feeds: [feedIdOf(BLOG)] });
  expect(await polls.pending()).toBe(1);
  await polls.close();
  await questions.close();
  await worker.close();
}, 15_000);

it('is asked on every node how it keeps data', async () => {
  expect(await durabilityProblems(redis)).toEqual([]);
  const [, second] = (redis as Cluster).nodes('master');
  await second!.config('SET', 'maxmemory-policy', 'allkeys-lru');
  expect(await durabilityProblems(redis)).toEqual([expect.stringContaining('maxmemory-policy allkeys-lru')]);
  await second!.config('SET', 'maxmemory-policy', 'noeviction');
});

it('counts as away while one of its nodes is, and comes back by itself', async () => {
  const stores = open();
  for (const url of feeds(12)) await openFeed(stores, url);
  await nodes[1]!.stop();
  const results = await Promise.all(
    feeds(12).map((url) =>
      look(stores, url, [entryOf('a')]).catch((error: unknown) => redisAway(error)?.code ?? String(error)),
    ),
  );
  expect(results).toContain('unavailable');
  expect(results.filter((result) => result !== 'committed' && result !== 'unavailable')).toEqual([]);
  await nodes[1]!.start();
  await until(async () => {
    const again = await Promise.allSettled(feeds(12).map((url) => look(stores, url, [entryOf('a')])));
    return again.every(({ status }) => status === 'fulfilled');
  });
  expect(await logged(stores)).toHaveLength(12);
}, 30_000);
