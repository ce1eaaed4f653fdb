import { setTimeout as sleep } from 'node:timers/promises';
import { feedIdOf, type FeedId } from '../../lib/domain.js';
import { cpuOf } from './cpu.js';
import type { GotAnswer, GotOrder } from './got-loop.js';
import {
  beginSpan,
  both,
  layGround,
  total,
  until,
  type Database,
  type Ground,
  type Scheduler,
  type Span,
} from './ground.js';
import type { Options, Report, Table } from './main.js';
import { findModules, firstReadByProsody } from './mod-pubsub-feeds.js';
import { startProgram } from './program.js';
import { webRate } from './raw-reader.js';
import { keysOf, seedRead, seedUnread, storeOf, type Seeded } from './seed.js';
import { openCountingWay } from './turns.js';
import { urlOf, type Kind } from './web-feeds.js';

/** FETCH_CONCURRENCY, and what the got loop has under way. */
const AT_ONCE = 500;
const ROUNDS = 3;
const WARM_UP_MS = 3_000;
const MEASURE_MS = 5_000;
const GOT_SECONDS = 4;
const WEB_SECONDS = 2;

/** Distinct feeds that answer 304; each round asks for others. */
const QUIET = 100_000;
const LIVELY = 2_000;
const CARELESS = 2_000;

/** A million feeds in fifteen minutes. */
const PACE = 1_000_000 / 900;
const PACED_SECONDS = 60;
const GRACE_MS = 1_000;
/** Of the paced run, not counted: the first ticks and the compiler's work. */
const PACED_WARM_UP_SECONDS = 3;

const SIZES = [1_000, 100_000, 1_000_000] as const;
const POLLS_PER_ROUND = 1_000;
const SIZE_ROUNDS = 5;

const FIRST_READ = 1_000;
const ALONE = 20;
const SETTLE_MS = 250;
const IDLE_MS = 3_000;
const TOGETHER = 1_000;

const SHARED = 3_000;
const SHARED_SECONDS = 15;
const SHARED_DELAY_MS = 5;

/** More than a lease: a job that failed on a machine with too much to do is given out again after that. */
const DEADLINE_SECONDS = 180;
/** Items are not part of what an idle feed costs. */
const ITEM_KEYS = ['items', 'order', 'born'];

const [RATES, SMALL, LARGE, UNREAD, ALONE_DATABASE] = [0, 1, 2, 3, 4];
const FIRST_SPARE = 5;

/**
 * What polling costs, from the schedule to the commit: real schedulers, a private Redis that keeps everything (AOF, always),
 * and a web of feeds on many loopback addresses, which is a process of its own like the got loop beside it.
 * With `workers`, only what several schedulers do together.
 */
export async function* poll({ workers }: Options): AsyncGenerator<Report> {
  const ground = await layGround();
  try {
    if (workers > 1) {
      yield await together(ground, workers);
      return;
    }
    yield await webAlone(ground);
    const quiet = await seedQuiet(ground);
    yield await rates(ground, quiet);
    yield await paced(ground, quiet);
    yield await firstRead(ground);
    yield await turns(ground);
    yield await memory(ground);
    yield await sizes(ground, quiet);
  } finally {
    await ground.stop();
  }
}

interface Quiet {
  readonly database: Database;
  readonly feeds: Seeded;
}

async function seedQuiet(ground: Ground): Promise<Quiet> {
  const database = await ground.database(RATES);
  return { database, feeds: await seedRead(database, urlsOf(ground, 'quiet', QUIET), ITEM_KEYS) };
}

const urlsOf = ({ port }: Ground, kind: Kind, count: number) =>
  Array.from({ length: count }, (_, n) => urlOf(kind, n, port));

const numbers = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i);

// ---- The web by itself.

async function webAlone({ port }: Ground): Promise<Table> {
  const line = async (name: string, kept: boolean) => ({ name, cells: [[await webRate(port, kept, WEB_SECONDS)]] });
  return {
    name: 'what the web of feeds can give: 304 answers/s to sockets that parse nothing',
    columns: [{ name: 'answers/s', digits: 0 }],
    lines: [await line('connections kept', true), await line('a connection each, as pollers have them', false)],
    goals: [],
  };
}

// ---- How many fetches a second, and what they cost.

/** Everything of one kind, a value for each round. */
interface Rates {
  readonly name: string;
  readonly ours: Span[];
  /** Those looks that came to what they should come to. */
  readonly good: number[];
  readonly got: { readonly rate: number; readonly cpu: number }[];
}

async function rates(ground: Ground, quiet: Quiet): Promise<Table> {
  const { program: got } = await startProgram<GotOrder, GotAnswer>('got-loop.js');
  try {
    const all = [
      await quietRates(ground, quiet, (first) => gotRate(ground, got, 'quiet', first)),
      await busyRates(ground, 'lively', LIVELY, 'fresh', () => gotRate(ground, got, 'lively', 0)),
      await busyRates(ground, 'careless', CARELESS, 'unchanged', () => gotRate(ground, got, 'careless', 0)),
    ];
    return ratesTable(all);
  } finally {
    await got.stop();
  }
}

type GotRate = (first: number) => Promise<{ readonly rate: number; readonly cpu: number }>;

async function gotRate(
  { port }: Ground,
  got: Awaited<ReturnType<typeof startProgram<GotOrder, GotAnswer>>>['program'],
  kind: Kind,
  first: number,
) {
  const before = both(cpuOf(got.pid));
  const { fetches, seconds } = await got.ask({ kind, port, first, atOnce: AT_ONCE, seconds: GOT_SECONDS });
  return { rate: fetches / seconds, cpu: perThousand(both(cpuOf(got.pid)) - before, fetches) };
}

/** All feeds of a round are due at its beginning, and none is asked twice. */
async function quietRates(ground: Ground, { database, feeds }: Quiet, beside: GotRate): Promise<Rates> {
  const found: Rates = { name: '304', ours: [], good: [], got: [] };
  const share = Math.floor(QUIET / ROUNDS);
  for (let round = 0; round < ROUNDS; round++) {
    found.got.push(await beside(round * share));
    await feeds.due(numbers(round * share, share), () => Date.now());
    const span = await oneRound(ground, database, {});
    found.ours.push(span);
    found.good.push(span.polls.get('unchanged') ?? 0);
    await feeds.rest();
  }
  return found;
}

/** Feeds that are due again within a second, so that there is always one. */
async function busyRates(ground: Ground, kind: Kind, count: number, outcome: string, beside: GotRate): Promise<Rates> {
  const name = kind === 'lively' ? '15 KB, one entry of ten is new' : '15 KB, unchanged, no validators';
  const found: Rates = { name, ours: [], good: [], got: [] };
  const database = await ground.database(kind === 'lively' ? SMALL : LARGE);
  const feeds = await seedUnread(database, urlsOf(ground, kind, count));
  const env = { POLL_MIN_SECONDS: '1', POLL_MAX_SECONDS: '1' };
  await readAll(ground, database, env, count);
  for (let round = 0; round < ROUNDS; round++) {
    found.got.push(await beside(0));
    const span = await oneRound(ground, database, env);
    found.ours.push(span);
    found.good.push(span.polls.get(outcome) ?? 0);
  }
  await feeds.rest();
  await database.client.flushdb();
  return found;
}

async function oneRound(ground: Ground, database: Database, env: Readonly<Record<string, string>>): Promise<Span> {
  const scheduler = await ground.scheduler(database.url, { FETCH_CONCURRENCY: `${AT_ONCE}`, ...env });
  await sleep(WARM_UP_MS);
  const end = await beginSpan(ground, scheduler);
  await sleep(MEASURE_MS);
  const span = await end();
  await scheduler.stop();
  return span;
}

async function readAll(ground: Ground, database: Database, env: Readonly<Record<string, string>>, count: number) {
  const scheduler = await ground.scheduler(database.url, { FETCH_CONCURRENCY: `${AT_ONCE}`, ...env });
  await until('every feed is read once', DEADLINE_SECONDS, async () => total(await scheduler.polls()) >= 1.5 * count);
  await scheduler.stop();
}

function ratesTable(all: readonly Rates[]): Table {
  const rate = ({ ours, good }: Rates) => ours.map(({ seconds }, i) => (good[i] ?? NaN) / seconds);
  const ratio = (kind: Rates) => rate(kind).map((value, i) => value / (kind.got[i]?.rate ?? NaN));
  const cost = ({ ours, good }: Rates, part: 'main' | 'others' | 'redis' | 'web') =>
    ours.map((span, i) => perThousand(span[part], good[i] ?? NaN));
  const ownCost = (kind: Rates) => cost(kind, 'main').map((main, i) => main + (cost(kind, 'others')[i] ?? NaN));
  const [quiet] = all;
  return {
    name: `fetches/s from the schedule to the commit, ${AT_ONCE} at once, and CPU seconds for 1,000 of them`,
    columns: [
      { name: 'Hydrant/s', digits: 0 },
      { name: 'bare got/s', digits: 0 },
      { name: 'ratio', digits: 2 },
      ...['CPU: main thread', 'its other threads', 'Redis', 'web', 'bare got'].map((name) => ({ name, digits: 2 })),
      { name: 'other outcomes, %', digits: 1 },
    ],
    lines: all.map((kind) => ({
      name: kind.name,
      cells: [
        ...[rate(kind), kind.got.map((one) => one.rate), ratio(kind)],
        ...(['main', 'others', 'redis', 'web'] as const).map((part) => cost(kind, part)),
        kind.got.map(({ cpu }) => cpu),
        kind.ours.map(({ polls }, i) => 100 * (1 - (kind.good[i] ?? NaN) / total(polls))),
      ],
    })),
    goals: quiet
      ? [
          { name: '304 beside the bare got loop, fetches/s', ratios: ratio(quiet), goal: 0.5 },
          {
            name: '304 beside the bare got loop, fetches per CPU second of the process',
            ratios: ownCost(quiet).map((cpu, i) => (quiet.got[i]?.cpu ?? NaN) / cpu),
            goal: 0.5,
          },
        ]
      : [],
  };
}

const perThousand = (cpu: number, fetches: number): number => (cpu / fetches) * 1_000;

// ---- At the pace of a million feeds.

async function paced(ground: Ground, { database, feeds }: Quiet): Promise<Table> {
  const scheduler = await ground.scheduler(database.url, { FETCH_CONCURRENCY: `${AT_ONCE}` });
  await ground.web.ask({ ask: 'restart', delayMs: 0 });
  const first = Math.floor(PACE * PACED_WARM_UP_SECONDS);
  const count = first + Math.floor(PACE * PACED_SECONDS);
  const lead = 2_000;
  const begin = Date.now() + lead;
  const dueAt = (number: number) => begin + (number / PACE) * 1_000;
  await feeds.due(numbers(0, count), dueAt);
  await sleep(dueAt(first) - Date.now());
  const end = await beginSpan(ground, scheduler);
  await sleep(dueAt(count) - Date.now());
  const { seconds, polls, ...cpu } = await end();
  // What is late is waited for, but not for long: what is then not there yet is as late as that at least.
  await sleep(GRACE_MS);
  const arrivals = new Map((await ground.web.ask({ ask: 'tell' })).firsts);
  const now = Date.now();
  const delays = numbers(first, count - first).map((number) => (arrivals.get(number) ?? now) - dueAt(number));
  delays.sort((a, b) => a - b);
  await scheduler.stop();
  await feeds.rest();
  const at = (share: number) => [delays[Math.floor(share * (delays.length - 1))] ?? NaN];
  const share = (used: number) => [(100 * used) / seconds];
  return {
    name: `${Math.round(PACE).toLocaleString('en')} feeds coming due per second, as a million do in 15 minutes; ${PACED_SECONDS} s`,
    columns: [
      { name: 'looks/s', digits: 0 },
      ...['ms from due to asked: p50', 'p99', 'most'].map((name) => ({ name, digits: 0 })),
      { name: 'asked in time, %', digits: 1 },
      ...['% of a core: main thread', 'other threads', 'Redis', 'web'].map((name) => ({ name, digits: 0 })),
    ],
    lines: [
      {
        name: '304',
        cells: [
          ...[[total(polls) / seconds], at(0.5), at(0.99), at(1)],
          [(100 * numbers(first, count - first).filter((number) => arrivals.has(number)).length) / delays.length],
          ...[share(cpu.main), share(cpu.others), share(cpu.redis), share(cpu.web)],
        ],
      },
    ],
    goals: [{ name: 'looks beside feeds that come due', ratios: [total(polls) / seconds / PACE], goal: 0.98 }],
  };
}

// ---- The first read, beside Prosody's module.

async function firstRead(ground: Ground): Promise<Report> {
  const urls = urlsOf(ground, 'careless', FIRST_READ);
  const spans: Span[] = [];
  for (let round = 0; round < ROUNDS; round++) spans.push(await firstReadByUs(ground));
  const ours = spans.map(({ main, others, redis }) => main + others + redis);
  const theirs: number[] = [];
  let missing = '';
  try {
    // Once: it takes longer than all of ours together.
    theirs.push(await firstReadByProsody(ground, await findModules(`${ground.dir}/modules`), urls));
  } catch (error) {
    missing = ` (left out is mod_pubsub_feeds: ${error instanceof Error ? error.message : String(error)})`;
  }
  const ratios = theirs.flatMap((theirCpu) => ours.map((cpu) => theirCpu / cpu));
  return {
    name: `CPU seconds from idle to all read: ${FIRST_READ} feeds of ten entries, never read before${missing}`,
    columns: ['CPU s', 'main thread', 'other threads', 'Redis'].map((name) => ({ name, digits: 2 })),
    lines: [
      {
        name: 'Hydrant: scheduler and Redis',
        cells: [ours, ...(['main', 'others', 'redis'] as const).map((part) => spans.map((span) => span[part]))],
      },
      { name: "Prosody's mod_pubsub_feeds", cells: [theirs] },
    ],
    goals: theirs.length > 0 ? [{ name: 'mod_pubsub_feeds to Hydrant', ratios, goal: 5 }] : [],
  };
}

async function firstReadByUs(ground: Ground): Promise<Span> {
  const database = await ground.database(UNREAD);
  const urls = urlsOf(ground, 'careless', FIRST_READ);
  const feeds = await seedUnread(database, urls);
  await feeds.rest();
  const scheduler = await ground.scheduler(database.url, { FETCH_CONCURRENCY: `${AT_ONCE}` });
  await sleep(1_000);
  const end = await beginSpan(ground, scheduler);
  await feeds.due(numbers(0, FIRST_READ), () => Date.now());
  const isRead = async () => ((await scheduler.polls()).get('fresh') ?? 0) >= FIRST_READ;
  await until('every feed is read', DEADLINE_SECONDS, isRead);
  const span = await end();
  await scheduler.stop();
  const store = storeOf(database);
  for (const url of urls) {
    if ((await store.get(feedIdOf(url)))?.read === undefined) throw new Error(`${url} was not read`);
  }
  await database.client.flushdb();
  return span;
}

// ---- Round trips.

async function turns(ground: Ground): Promise<Table> {
  const database = await ground.database(ALONE_DATABASE);
  const store = storeOf(database);
  const feeds = await seedRead(database, urlsOf(ground, 'quiet', TOGETHER), ITEM_KEYS);
  const way = await openCountingWay(ground.redis.port);
  try {
    const through = `redis://127.0.0.1:${way.port}/${ALONE_DATABASE}`;
    const scheduler = await ground.scheduler(through, { FETCH_CONCURRENCY: `${AT_ONCE}` });
    // Its metrics do not tell here when it has polled: to show them, it asks Redis.
    const poll = async (which: readonly number[]) => {
      const started = Date.now();
      const waiting = [...which];
      await feeds.due(which, () => started);
      await until('what is due is polled', DEADLINE_SECONDS, async () => {
        for (let next = waiting.at(-1); next !== undefined; next = waiting.at(-1)) {
          const { polled = 0 } = (await store.get(feeds.ids[next] as FeedId)) ?? {};
          if (polled < started) return false;
          waiting.pop();
        }
        return true;
      });
      // The queue has its part to do after the commit.
      await sleep(SETTLE_MS);
    };
    const counted = async (work: () => Promise<void>) => {
      const [before, started] = [way.count(), performance.now()];
      await work();
      const after = way.count();
      const ms = performance.now() - started;
      return { turns: after.turns - before.turns, commands: after.commands - before.commands, ms };
    };
    await poll([0]);
    const idle = await counted(() => sleep(IDLE_MS));
    const alone = await counted(async () => {
      for (let n = 0; n < ALONE; n++) await poll([n]);
    });
    const many = await counted(() => poll(numbers(0, TOGETHER)));
    await scheduler.stop();
    const perPoll = (part: 'turns' | 'commands', all: typeof idle, polls: number) => [
      (all[part] - (idle[part] / idle.ms) * all.ms) / polls,
    ];
    const commands = perPoll('commands', many, TOGETHER);
    return {
      name: 'Redis, for a poll that finds nothing; what an idle scheduler does is taken off',
      columns: ['commands', 'round trips'].map((name) => ({ name, digits: 1 })),
      lines: [
        { name: 'one feed due alone', cells: [perPoll('commands', alone, ALONE), perPoll('turns', alone, ALONE)] },
        { name: `${TOGETHER} due together`, cells: [commands, perPoll('turns', many, TOGETHER)] },
      ],
      // Of what is pipelined nothing tells whose turn it is; no poll waits more often than it has commands.
      goals: [{ name: 'commands of a poll among many', ratios: commands, goal: 3, isLimit: true }],
    };
  } finally {
    way.stop();
    await database.client.flushdb();
  }
}

// ---- Memory.

async function memory(ground: Ground): Promise<Table> {
  const spare = await ground.database(FIRST_SPARE);
  const [model] = urlsOf(ground, 'quiet', 1);
  if (!model) throw new Error('no feeds');
  const perFeed = async (without: readonly string[], count: number) => {
    const before = await usedBy(spare);
    await seedRead(spare, urlsOf(ground, 'quiet', count), without);
    const bytes = ((await usedBy(spare)) - before) / count;
    await spare.client.flushdb();
    return bytes;
  };
  const idle = await perFeed(ITEM_KEYS, 20_000);
  const bare = await perFeed([...ITEM_KEYS, 'seen'], 20_000);
  const whole = await perFeed([], 2_000);
  await seedRead(spare, [model], []);
  const ofKeys = await Promise.all(
    (await keysOf(spare, feedIdOf(model))).map(async (key) => {
      const name = key.replace(/^[^}]*\}:/, '').replace(feedIdOf(model), '…');
      return { name: `MEMORY USAGE ${name}`, cells: [[(await spare.client.memory('USAGE', key)) ?? NaN]] };
    }),
  );
  await spare.client.flushdb();
  return {
    name: `bytes of Redis per idle feed: a subscriber, ten entries known, a URL of ${model.length} characters`,
    columns: [{ name: 'bytes', digits: 0 }],
    lines: [
      { name: 'with its schedule, without items', cells: [[idle]] },
      { name: 'without what it has seen', cells: [[bare]] },
      { name: 'with ten items', cells: [[whole]] },
      ...ofKeys,
    ],
    goals: [{ name: 'with its schedule, without items', ratios: [idle], goal: 1_228, isLimit: true }],
  };
}

async function usedBy({ client }: Database): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await client.info('memory'))?.[1]);
}

// ---- From few feeds to a million.

async function sizes(ground: Ground, quiet: Quiet): Promise<Table> {
  const redis = quiet.database.client;
  // A million feeds in one go: neither does each of them wait for the disk, nor is the AOF written again and again.
  await redis.config('SET', 'auto-aof-rewrite-percentage', '0');
  await redis.config('SET', 'appendfsync', 'everysec');
  const started = performance.now();
  const all: { readonly size: number; readonly feeds: Seeded; readonly scheduler: Scheduler }[] = [];
  for (const [i, size] of SIZES.entries()) {
    const database = size === QUIET ? quiet.database : await ground.database(FIRST_SPARE + i);
    const feeds = size === QUIET ? quiet.feeds : await seedRead(database, urlsOf(ground, 'quiet', size), ITEM_KEYS);
    all.push({ size, feeds, scheduler: await ground.scheduler(database.url, { FETCH_CONCURRENCY: `${AT_ONCE}` }) });
  }
  await redis.config('SET', 'appendfsync', 'always');
  const seeding = Math.round((performance.now() - started) / 1_000);
  const costs = new Map(SIZES.map((size) => [size as number, [] as number[]]));
  for (let round = -1; round < SIZE_ROUNDS; round++) {
    // Nobody is always the first; the first round warms up.
    for (const i of SIZES.keys()) {
      const one = all[(i + round + SIZES.length) % SIZES.length];
      if (!one) continue;
      const cost = await costOf(ground, one);
      if (round >= 0) costs.get(one.size)?.push(cost);
    }
  }
  for (const { scheduler } of all) await scheduler.stop();
  const [few, , most] = SIZES.map((size) => costs.get(size) ?? []);
  return {
    name: `CPU of scheduler and Redis by the number of feeds, the others idle (${seeding} s to fill Redis, and no AOF rewrite meanwhile)`,
    columns: SIZES.map((size) => ({ name: size.toLocaleString('en'), digits: 2 })),
    lines: [{ name: 'CPU s for 1,000 polls', cells: SIZES.map((size) => costs.get(size) ?? []) }],
    goals: [
      {
        name: '1,000,000 feeds beside 1,000',
        ratios: (most ?? []).map((cost, i) => cost / (few?.[i] ?? NaN)),
        goal: 1.1,
        isLimit: true,
      },
    ],
  };
}

async function costOf(
  ground: Ground,
  { size, feeds, scheduler }: { readonly size: number; readonly feeds: Seeded; readonly scheduler: Scheduler },
): Promise<number> {
  const step = Math.floor(size / POLLS_PER_ROUND);
  const before = total(await scheduler.polls());
  const end = await beginSpan(ground, scheduler);
  await feeds.due(
    numbers(0, POLLS_PER_ROUND).map((n) => n * step),
    () => Date.now(),
  );
  const isDone = async () => total(await scheduler.polls()) >= before + POLLS_PER_ROUND;
  await until('what is due is polled', DEADLINE_SECONDS, isDone);
  const { main, others, redis, polls } = await end();
  return perThousand(main + others + redis, total(polls));
}

// ---- Several schedulers.

async function together(ground: Ground, workers: number): Promise<Table> {
  const database = await ground.database(RATES);
  const feeds = await seedRead(database, urlsOf(ground, 'quiet', SHARED), ITEM_KEYS);
  const env = { FETCH_CONCURRENCY: `${AT_ONCE}`, POLL_MIN_SECONDS: '1', POLL_MAX_SECONDS: '1' };
  const schedulers = await Promise.all(Array.from({ length: workers }, () => ground.scheduler(database.url, env)));
  await feeds.due(numbers(0, SHARED), () => Date.now());
  await sleep(WARM_UP_MS);
  await ground.web.ask({ ask: 'restart', delayMs: SHARED_DELAY_MS });
  const ends = await Promise.all(schedulers.map((scheduler) => beginSpan(ground, scheduler)));
  await sleep(SHARED_SECONDS * 1_000);
  const spans = await Promise.all(ends.map((end) => end()));
  const { requests, overlaps, firsts } = await ground.web.ask({ ask: 'tell' });
  for (const scheduler of schedulers) await scheduler.stop();
  const rates = spans.map(({ polls, seconds }) => total(polls) / seconds);
  return {
    name: `${workers} schedulers over one Redis, ${SHARED} feeds due again at once, answers after ${SHARED_DELAY_MS} ms`,
    columns: [
      { name: 'looks/s', digits: 0 },
      ...['requests', 'feeds', 'fetched by two at once'].map((name) => ({ name, digits: 0 })),
    ],
    lines: [
      ...rates.map((rate, i) => ({ name: `scheduler ${i + 1}`, cells: [[rate], [], [], []] })),
      {
        name: 'together',
        cells: [[rates.reduce((sum, rate) => sum + rate, 0)], [requests], [firsts.length], [overlaps]],
      },
    ],
    goals: [{ name: 'feeds fetched by two at once', ratios: [overlaps], goal: 0, isLimit: true }],
  };
}
