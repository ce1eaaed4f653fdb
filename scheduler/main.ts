import { existsSync } from 'node:fs';
import { merged, snapshot } from '../lib/metrics.js';
import { runProcess } from '../lib/process.js';
import { openQueue, openWorker, type WorkerEvents } from '../lib/queues.js';
import { redisAliases } from '../lib/store/aliases.js';
import { redisDigests } from '../lib/store/digests.js';
import { redisFeeds } from '../lib/store/feeds.js';
import { redisItems } from '../lib/store/items.js';
import { redisLog } from '../lib/store/log.js';
import { redisNodes } from '../lib/store/nodes.js';
import { redisPictures } from '../lib/store/pictures.js';
import { redisSnapshots } from '../lib/store/snapshots.js';
import { redisSubscriptions } from '../lib/store/subscriptions.js';
import { createVault } from '../lib/vault.js';
import { createFetch, type FetchOptions } from './fetch.js';
import { createResolve } from './guard.js';
import { createHosts, type HostsOptions } from './hosts.js';
import { createIntake, type Health } from './intake.js';
import { createParser } from './parse.js';
import { createPictureFetcher, PICTURES } from './picture.js';
import { poll, probe, type PollDeps } from './poll.js';
import { push } from './push.js';
import { createReader } from './read.js';
import { createRobots, ROBOTS } from './robots.js';
import { createTick, LEASE_MS } from './tick.js';

const TICK_MS = 1_000;
// The queues may be flushed at any time; this brings the ticks back.
const RENEW_TICK_MS = 10_000;
// Looks that people wait for: few at once, and never behind polls.
const PROBES_AT_ONCE = 10;
const PINGS_AT_ONCE = 20;
const PUSHES_AT_ONCE = 4;
// Feeds in hand, for each fetch that may be under way: what waits has its lease for long enough, however slow the web is.
const FEEDS_PER_FETCH = 4;

if (existsSync('.env')) process.loadEnvFile();

await runProcess('scheduler', process.env, async ({ config, version, emit, metrics, keys, redis, connect, later }) => {
  const now = Date.now;
  // Nobody waits for what the workers write: a slow moment of Redis must not cost a job, whose feeds would come due again
  // only when their lease is over.
  const patient = connect('patient');
  const storing = { itemsPerNode: config.ITEMS_PER_NODE, now, random: Math.random };
  const feeds = redisFeeds(patient, keys, storing);
  const aliases = redisAliases(patient, keys, now);
  const items = redisItems(patient, keys);
  const snapshots = redisSnapshots(redis, keys);

  const turns: HostsOptions = {
    concurrency: config.FETCH_CONCURRENCY,
    perHost: config.FETCH_PER_HOST,
    gapMs: config.FETCH_GAP_MS,
    longestRestSeconds: config.POLL_MAX_SECONDS,
  };
  const fetching: FetchOptions = {
    userAgent: `Hydrant/${version}`,
    contact: config.PUBLIC_URL,
    ...turns,
    hosts: createHosts(turns),
    resolve: createResolve({ local: config.FETCH_ALLOW.length > 0 }),
    timeoutMs: config.FETCH_TIMEOUT_SECONDS * 1_000,
    maxBytes: config.FETCH_MAX_BYTES,
    allow: config.FETCH_ALLOW,
  };
  const http = createFetch(fetching);
  const parser = createParser({ worker: new URL('./parse.worker.js', import.meta.url) });
  later('parser', () => parser.close());

  const queues = {
    tick: openQueue('tick', redis),
    poll: openQueue('poll', redis),
    ping: openQueue('ping', redis),
    probe: openQueue('probe', redis),
    push: openQueue('push', redis),
    picture: openQueue('picture', redis),
  };
  for (const queue of Object.values(queues)) later('queue', () => queue.close());

  const { tick, counted } = createTick({
    feeds,
    enqueue: queues.poll.enqueue,
    waiting: queues.poll.waiting,
    capacity: FEEDS_PER_FETCH * config.FETCH_CONCURRENCY,
    emit,
  });

  const deps: PollDeps = {
    feeds,
    items,
    mayLookAt: createRobots({ fetch: createFetch({ ...fetching, ...ROBOTS }) }),
    takeMs: LEASE_MS,
    counted,
    aliases,
    nodes: redisNodes(patient, keys),
    subscriptions: redisSubscriptions(patient, keys),
    digests: redisDigests(patient, keys),
    // It is not watched here: that takes a connection which can do nothing else.
    log: redisLog(patient, patient, keys),
    read: createReader({ fetch: http, parse: parser.parse }),
    vault: createVault(config.CREDENTIALS_KEY),
    bounds: { minSeconds: config.POLL_MIN_SECONDS, maxSeconds: config.POLL_MAX_SECONDS },
    random: Math.random,
    now,
    emit,
  };

  const findPicture = createPictureFetcher({
    feeds,
    pictures: redisPictures(patient, keys),
    fetch: createFetch({ ...fetching, ...PICTURES }),
  });

  const events: WorkerEvents = {
    onStalled: (queue, job) => {
      emit('stalled', { queue, job });
    },
    onFailed: (queue, job, error) => {
      emit('jobFailed', { queue, job, error });
    },
  };
  const workers = [
    openWorker('tick', tick, { redis: connect('patient'), concurrency: 1, events }),
    openWorker('poll', ({ feeds: due }) => poll(deps, due, 'schedule'), {
      redis: connect('patient'),
      // The fetcher sees to it that no more than that are fetched at once; a slow one must not hold the others of its job.
      concurrency: config.FETCH_CONCURRENCY,
      events,
    }),
    openWorker('ping', ({ feed }) => poll(deps, [feed], 'ping'), {
      redis: connect('patient'),
      concurrency: PINGS_AT_ONCE,
      events,
    }),
    openWorker('probe', ({ url }) => probe(deps, url), {
      redis: connect('patient'),
      concurrency: PROBES_AT_ONCE,
      events,
    }),
    openWorker('push', (pushed) => push({ feeds, items, parse: parser.parse }, pushed), {
      redis: connect('patient'),
      concurrency: PUSHES_AT_ONCE,
      events,
    }),
    openWorker('picture', ({ feed }) => findPicture(feed), {
      redis: connect('patient'),
      concurrency: PICTURES.concurrency,
      events,
    }),
  ];
  later('workers', async () => {
    await Promise.all(workers.map((worker) => worker.close()));
  });

  async function health(): Promise<Health> {
    try {
      const component = JSON.parse((await snapshots.get('component')) ?? '{}') as { up?: boolean; backlog?: number };
      const pending = Object.entries(queues).map(async ([name, queue]) => [name, await queue.pending()] as const);
      const counts = Object.fromEntries(await Promise.all(pending));
      return { component: component.up ? 'up' : 'down', redis: 'up', queues: counts, backlog: component.backlog ?? 0 };
    } catch {
      return { component: 'down', redis: 'down', queues: 'down', backlog: 0 };
    }
  }

  const intake = createIntake({
    feeds: redisFeeds(redis, keys, storing),
    aliases: redisAliases(redis, keys, now),
    enqueue: queues.ping.enqueue,
    pingMinMs: config.PING_MIN_SECONDS * 1_000,
    health,
    async metrics() {
      const component = await snapshots.get('component-metrics').catch(() => undefined);
      return merged([await snapshot(metrics), ...(component ? [component] : [])]);
    },
    emit,
  });
  later('intake', () => intake.close());
  await intake.listen({ host: config.HTTP_HOST, port: config.HTTP_PORT });
  await queues.tick.every(TICK_MS, {});
  const renewing = setInterval(() => void queues.tick.every(TICK_MS, {}).catch(() => undefined), RENEW_TICK_MS);
  later('ticks', () => {
    clearInterval(renewing);
  });
  emit('notice', { text: `listening on http://${config.HTTP_HOST}:${config.HTTP_PORT}` });
});
