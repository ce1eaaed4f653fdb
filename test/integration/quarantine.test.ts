import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { createAudiences } from '../../component/audience.js';
import { createConnection, type Connection } from '../../component/connection.js';
import { createDelivery, type Delivery } from '../../component/deliver.js';
import { createEvents } from '../../component/event.js';
import { Unprovable } from '../../component/payload.js';
import { compare } from '../../lib/changes.js';
import { feedIdOf, itemIdOf, parseFeedUrl, type Entry, type FeedUrl } from '../../lib/domain.js';
import type { Events } from '../../lib/events.js';
import { defaultConfig } from '../../lib/node-config.js';
import type { Node } from '../../lib/pubsub/nodes.js';
import type { PublishedItem } from '../../lib/pubsub/reader.js';
import { openRedis, ready, type RedisClient } from '../../lib/redis.js';
import { redisDigests } from '../../lib/store/digests.js';
import { redisFeeds, type FeedStore } from '../../lib/store/feeds.js';
import { redisFirehose } from '../../lib/store/firehose.js';
import { redisItems } from '../../lib/store/items.js';
import { createKeys } from '../../lib/store/keys.js';
import { redisLimits } from '../../lib/store/limits.js';
import { redisLog } from '../../lib/store/log.js';
import { redisNodes } from '../../lib/store/nodes.js';
import { redisSubscriptions } from '../../lib/store/subscriptions.js';
import { createInbox, type Inbox } from '../../prosody/inbox.js';
import { startProsody, startRedis, type ProsodyServer, type RedisServer } from '../../prosody/servers.js';
import { subscriptionOf } from '../support/stores.js';
import { startTester, type Tester } from '../support/tester.js';

// The pauses between the attempts to connect grow with each death of a young stream.
const SECONDS = 60;
const POISONED = parseFeedUrl('https://poisoned.example/');
const HEALTHY = parseFeedUrl('https://healthy.example/');
const keys = createKeys(4);

let dir: string;
let redisServer: RedisServer;
let prosody: ProsodyServer;
let tester: Tester;
let redis: RedisClient;
let listener: RedisClient;
let connection: Connection;
let feeds: FeedStore;
let downs: Inbox<Events['streamDown']>;
let quarantined: Inbox<Events['quarantined']>;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'hydrant-quarantine-'));
  [redisServer, prosody] = await Promise.all([
    startRedis({ dir: join(dir, 'redis') }),
    startProsody({ dir: join(dir, 'prosody'), tester: true }),
  ]);
  tester = await startTester(prosody.service, prosody.testerSecret!, prosody.domain);
  [redis, listener] = [
    openRedis([redisServer.url], 'prompt', () => undefined),
    openRedis([redisServer.url], 'patient', () => undefined),
  ];
  await ready(redis);
  feeds = redisFeeds(redis, keys, { itemsPerNode: 200, now: Date.now, random: Math.random });
  downs = createInbox('downs');
  quarantined = createInbox('quarantined');
  connection = createConnection({
    service: prosody.service,
    domain: prosody.domain,
    secret: prosody.secret,
    onStanza: () => undefined,
    onError: (error) => {
      throw error;
    },
  });
  connection.onDown((why) => downs.push(why));
  await feeds.register(POISONED);
  await feeds.register(HEALTHY);
  const subscriptions = redisSubscriptions(redis, keys);
  for (const url of [POISONED, HEALTHY]) {
    await subscriptions.put(subscriptionOf(feedIdOf(url), 'romeo@tester.localhost', { node: url }));
  }
}, 60_000);

afterEach(async () => {
  await delivery.stop();
  await connection.stop();
  await tester.stop();
  redis.disconnect();
  listener.disconnect();
  await Promise.all([prosody.stop(), redisServer.stop()]);
  await rm(dir, { recursive: true, force: true });
});

let delivery: Delivery;

/** Delivery as it is, but for one entry that is rendered by `poison`. */
function deliverWith(poison: (item: string) => string): void {
  const events = createEvents(prosody.domain, 61_440);
  const isPoison = (item: PublishedItem) => 'entry' in item && item.entry.id === 'poison';
  const subscriptions = redisSubscriptions(redis, keys);
  const nodes = redisNodes(redis, keys);
  delivery = createDelivery({
    log: redisLog(redis, listener, keys),
    firehose: redisFirehose(redis, keys, Date.now),
    subscriptions,
    connection,
    audience: createAudiences({
      subscriptions,
      async node(id): Promise<Node | undefined> {
        const record = await nodes.get(id);
        const config = defaultConfig();
        return record && { id, kind: record.kind, name: id, record, defaults: config, config };
      },
      digests: redisDigests(redis, keys),
      limits: redisLimits(redis, keys),
      presences: { shows: () => [] },
      rooms: { ready: () => Promise.resolve() },
      events: {
        ...events,
        item: (item, node) => (isPoison(item) ? poison(events.item(item, node)) : events.item(item, node)),
      },
      configuration: () => '',
      now: Date.now,
    }),
    emit: (event, facts) => {
      if (event === 'quarantined') quarantined.push(facts as Events['quarantined']);
      if (event === 'bug') throw (facts as Events['bug']).error;
    },
    away: () => undefined,
    now: Date.now,
    keep: { ms: 3_600_000, records: 10_000 },
    onFenced: () => undefined,
  });
  connection.start();
  delivery.start(1);
}

async function publish(url: FeedUrl, ids: readonly string[]): Promise<void> {
  const feed = (await feeds.get(feedIdOf(url)))!;
  const entries = ids.map((id): Entry => ({ id, title: { type: 'text', value: id }, ...EMPTY }));
  const changes = await compare({
    ...{ feed, known: new Map(), entries: [...entries].reverse(), first: false, threshold: 0 },
    held: async () => new Map(),
  });
  const outcome = {
    kind: 'fresh',
    source: { links: [], authors: [], categories: [] },
    validators: {},
    body: '',
    changes,
  } as const;
  expect(await feeds.commit({ feed, nextMs: 900_000, outcome })).toBe('committed');
}
const EMPTY = { links: [], authors: [], contributors: [], categories: [], media: [] };
const numbered = (name: string, count: number) => Array.from({ length: count }, (_, n) => `${name} ${n}`);

async function arrive(expected: readonly string[]): Promise<Set<string | undefined>> {
  const came = new Set<string | undefined>();
  while (!expected.every((title) => came.has(title))) {
    came.add((await tester.as('romeo').arrivals.take(undefined, SECONDS)).title);
  }
  return came;
}

it.each([
  ['an ill-formed stanza', (item: string) => item.replace('poison', 'po\u000bison')],
  ['a stanza larger than the server takes', (item: string) => item.replace('poison', 'poison'.repeat(200_000))],
])(
  'an item that kills the stream (%s) is found by halving, kept out for ever, and everything else goes on',
  async (_, poison) => {
    const [before, after] = [numbered('before', 30), numbered('after', 30)];
    const healthy = numbered('healthy', 60);
    await publish(POISONED, [...before, 'poison', ...after]);
    await publish(HEALTHY, healthy);
    deliverWith(poison);

    const came = await arrive([...before, ...after, ...healthy]);
    expect(came.has('poison')).toBe(false);
    expect((await quarantined.take(undefined, SECONDS)).item).toBe(itemIdOf(feedIdOf(POISONED), 'poison'));
    // At most two windows of fifty were on the way: the first death, seven halvings, and up to four more for the last
    // one, when the server hung up before it could be read why.
    expect(downs.pending.length).toBeLessThanOrEqual(12);
    expect(quarantined.pending).toEqual([]);

    const items = redisItems(redis, keys);
    const poisoned = itemIdOf(feedIdOf(POISONED), 'poison');
    expect(await items.byId(feedIdOf(POISONED), [poisoned])).toEqual([]);

    const deaths = downs.pending.length;
    await publish(POISONED, ['later']);
    await arrive(['later']);
    expect(downs.pending).toHaveLength(deaths);
  },
  180_000,
);

it('an item that cannot be proven never reaches the stream', async () => {
  await publish(POISONED, ['first', 'poison', 'last']);
  deliverWith(() => {
    throw new Unprovable('a hole in it');
  });
  expect(await arrive(['first', 'last'])).toEqual(new Set(['first', 'last']));
  expect((await quarantined.take(undefined, SECONDS)).why).toBe('a hole in it');
  expect(downs.pending).toEqual([]);
});
