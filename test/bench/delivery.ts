import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createEvents } from '../../component/event.js';
import { feedIdOf, itemIdOf, parseFeedUrl, type Entry, type Source } from '../../lib/domain.js';
import { openRedis, ready } from '../../lib/redis.js';
import { redisFeeds } from '../../lib/store/feeds.js';
import { openKeys } from '../../lib/store/keys.js';
import { redisLog } from '../../lib/store/log.js';
import { redisSubscriptions } from '../../lib/store/subscriptions.js';
import { startProcess, startProsody, startRedis } from '../../prosody/servers.js';
import { bareComponent } from './bare-component.js';
import type { Row } from './main.js';

const ENTRIES = 6_000;
const PER_COMMIT = 20;
const FEEDS = 30;
const ROUNDS = 7;
const PARTITIONS = 16;
const TESTER = 'tester.localhost';
const SUBSCRIBER = `drain@${TESTER}`;
const SEEN = { link: 'linked', words: 'worded', hashes: ['12345678'] };
const SOURCE: Source = { title: { type: 'text', value: 'Bench' }, links: [], authors: [], categories: [] };

/**
 * Entries per second from commit to confirmed delivery for one subscriber, beside the raw limit: as many stanzas of the
 * same size, serialised beforehand, written to the same Prosody by a bare socket, in turns in one run.
 */
export async function delivery(): Promise<Row> {
  const dir = await mkdtemp(join(tmpdir(), 'hydrant-bench-'));
  const [redisServer, prosody] = await Promise.all([
    startRedis({ dir: join(dir, 'redis') }),
    startProsody({ dir: join(dir, 'prosody'), tester: true }),
  ]);
  const redis = openRedis([redisServer.url], 'prompt', () => undefined);
  await ready(redis);
  const keys = await openKeys(redis, PARTITIONS);
  const feeds = redisFeeds(redis, keys, { itemsPerNode: 20, now: Date.now, random: Math.random });
  const log = redisLog(redis, redis, keys);
  const subscriptions = redisSubscriptions(redis, keys);

  const urls = Array.from({ length: FEEDS }, (_, n) => parseFeedUrl(`https://feed-${n}.example/atom.xml`));
  for (const url of urls) {
    await feeds.register(url);
    const subscription = { feed: feedIdOf(url), jid: SUBSCRIBER, node: url, since: Date.now() };
    await subscriptions.put({ ...subscription, subid: 'bench', state: 'subscribed', options: {} });
  }
  const component = await startProcess('component', {
    dir: join(dir, 'component'),
    env: {
      XMPP_SERVICE: prosody.service,
      XMPP_DOMAIN: prosody.domain,
      XMPP_SECRET: prosody.secret,
      REDIS_URL: redisServer.url,
    },
  });
  await component.log.see((line) => line.includes('"streamUp"'), 20);
  const tester = await bareComponent(prosody.componentPort, TESTER, prosody.testerSecret ?? '');

  let serial = 0;
  async function commitAll(): Promise<void> {
    const commitTo = async (url: (typeof urls)[number]) => {
      for (let done = 0; done < ENTRIES / FEEDS; done += PER_COMMIT) {
        const feed = await feeds.get(feedIdOf(url));
        if (!feed) throw new Error(`${url} is not known`);
        const changes = Array.from({ length: PER_COMMIT }, () => {
          const entry = entryNumber(serial++);
          return { item: itemIdOf(feed.id, entry.id), seen: SEEN, kind: 'new' as const, entry };
        });
        const outcome = {
          kind: 'fresh',
          source: SOURCE,
          validators: {},
          body: '',
          changes: { changes, touched: [], left: 0 },
        };
        await feeds.commit({ feed, nextMs: 900_000, outcome: { ...outcome, kind: 'fresh' } });
      }
    };
    await Promise.all(urls.map(commitTo));
  }

  /** Looks at positions only: counting what is left would cost Redis more than delivery does. */
  async function acknowledged(): Promise<void> {
    for (let partition = 0; partition < keys.partitions; partition++) {
      const [last] = await redis.xrevrange(keys.log(partition), '+', '-', 'COUNT', 1);
      while (last && (await log.position(partition)) !== last[0]) await sleep(5);
    }
  }

  async function hydrant(): Promise<number> {
    const started = performance.now();
    await commitAll();
    await acknowledged();
    return ENTRIES / ((performance.now() - started) / 1_000);
  }

  // The same stanza, from one of the tester's addresses to another.
  const events = createEvents(TESTER, 61_440);
  const stanzas = Array.from({ length: ENTRIES }, (_, n) => {
    const entry = entryNumber(n);
    const [url] = urls;
    if (!url) throw new Error('no feeds');
    const feed = feedIdOf(url);
    const item = events.item({ id: itemIdOf(feed, entry.id), at: Date.now(), entry, source: SOURCE, url }, feed);
    const event = events.items(url, item);
    return events.message({ to: SUBSCRIBER, type: 'headline', id: `0-${Date.now()}-${n}`, event });
  });
  async function bare(): Promise<number> {
    const started = performance.now();
    await tester.push(stanzas);
    return ENTRIES / ((performance.now() - started) / 1_000);
  }

  try {
    await hydrant();
    await bare();
    const pairs: { readonly ours: number; readonly raw: number }[] = [];
    for (let round = 0; round < ROUNDS; round++) pairs.push({ raw: await bare(), ours: await hydrant() });
    return {
      name: `entries/s from commit to confirmed, one subscriber, ${stanzas[0]?.length ?? 0} bytes a stanza`,
      ours: pairs.map(({ ours }) => ours),
      beside: 'bare socket, serialised beforehand',
      theirs: pairs.map(({ raw }) => raw),
      goal: 0.7,
    };
  } finally {
    tester.close();
    redis.disconnect();
    await component.stop();
    await Promise.all([prosody.stop(), redisServer.stop()]);
    await rm(dir, { recursive: true, force: true });
  }
}

const entryNumber = (n: number): Entry => ({
  id: `tag:bench.example,2026:${n}`,
  title: { type: 'text', value: `Entry number ${n}` },
  content: { type: 'html', value: `<p>${'All the words that an entry of a usual feed has. '.repeat(20)}</p>` },
  links: [{ rel: 'alternate', href: `https://bench.example/${n}` }],
  authors: [{ name: 'The bench' }],
  contributors: [],
  categories: [{ term: 'bench' }],
  published: '2026-01-01T00:00:00.000Z',
  updated: '2026-01-01T00:00:00.000Z',
  media: [],
});
