import { afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { feedIdOf, itemIdOf, parseFeedUrl } from '../../lib/domain.js';
import { openQuestions, openQueue, openWorker, type Jobs, type ProbeResult, type QueueName } from '../../lib/queues.js';
import { redisAway, type RedisClient } from '../../lib/redis.js';
import { createInbox } from '../../prosody/inbox.js';
import { BLOG, throwawayRedis, until } from '../support/stores.js';

const FEED = feedIdOf(BLOG);
const OTHER = feedIdOf(parseFeedUrl('https://other.example/'));
const HOUR_MS = 3_600_000;
const FOUND: ProbeResult = { kind: 'feed', feed: FEED };

const redis = throwawayRedis();
let prompt: RedisClient;
beforeAll(async () => void (prompt = await redis.connect()));
beforeEach(() => prompt.flushall());

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

function queueOf<N extends QueueName>(name: N) {
  const queue = openQueue(name, prompt);
  closing.push(queue.close);
  return queue;
}

async function questions() {
  const listener = await redis.connect('patient');
  const queue = openQuestions('probe', prompt, listener);
  closing.push(queue.close);
  return queue;
}

/** A worker whose jobs arrive in an inbox, and what it says of failures. */
async function workerOf<N extends QueueName>(
  name: N,
  answer: (payload: Jobs[N]['payload']) => Promise<Jobs[N]['result']>,
  concurrency = 1,
) {
  const jobs = createInbox<Jobs[N]['payload']>(name);
  const failed = createInbox<string>('failures');
  const worker = openWorker(
    name,
    (payload) => {
      jobs.push(payload);
      return answer(payload);
    },
    {
      redis: await redis.connect('patient'),
      concurrency,
      events: {
        onStalled: () => undefined,
        onFailed: (queue, job, error) => {
          failed.push(`${queue} ${job}: ${error.message}`);
        },
      },
    },
  );
  closing.push(worker.close);
  return { jobs, failed, close: worker.close };
}

const done = () => Promise.resolve();

/** A promise that the test resolves. */
function gate<T>() {
  let open: (value: T) => void = () => undefined;
  const passed = new Promise<T>((resolve) => (open = resolve));
  return { open: (value: T) => open(value), passed };
}

/** Lets time pass for whoever asks the clock, as long as `run` runs. */
async function atTime<T>(ms: number, run: () => Promise<T>): Promise<T> {
  const clock = Date.now;
  Date.now = () => ms;
  try {
    return await run();
  } finally {
    Date.now = clock;
  }
}

it('feeds that are polled together have one job, however often it is asked for', async () => {
  const polls = queueOf('poll');
  for (const feed of [FEED, FEED, OTHER, FEED]) await polls.enqueue({ feeds: [feed] });
  expect(await polls.pending()).toBe(2);
  const { jobs } = await workerOf('poll', done);
  expect([await jobs.take(), await jobs.take()]).toEqual([{ feeds: [FEED] }, { feeds: [OTHER] }]);
  await until(async () => (await polls.pending()) === 0);
  await polls.enqueue({ feeds: [FEED] });
  expect(await jobs.take()).toEqual({ feeds: [FEED] });
});

it('a feed whose poll failed can be polled again, and the failure is told', async () => {
  const polls = queueOf('poll');
  const { jobs, failed } = await workerOf('poll', () => Promise.reject(new Error('lost')));
  await polls.enqueue({ feeds: [FEED] });
  expect(await failed.take()).toMatch(/^poll poll-[a-z2-7]{16}: lost$/);
  await polls.enqueue({ feeds: [FEED] });
  expect(await failed.take()).toMatch(/^poll poll-[a-z2-7]{16}: lost$/);
  expect(jobs.pending).toHaveLength(2);
});

it('pings of one slot are one look, those of another slot another', async () => {
  const pings = queueOf('ping');
  await pings.enqueue({ feed: FEED, slot: '1' });
  await pings.enqueue({ feed: FEED, slot: '1-after' }, HOUR_MS);
  await pings.enqueue({ feed: FEED, slot: '1-after' }, HOUR_MS);
  await pings.enqueue({ feed: OTHER, slot: '1' });
  expect(await pings.pending()).toBe(3);
});

it('a ping that may wait does, while others are acted on in order', async () => {
  const pings = queueOf('ping');
  await pings.enqueue({ feed: FEED, slot: '1-after' }, HOUR_MS);
  await pings.enqueue({ feed: OTHER, slot: '2' });
  await pings.enqueue({ feed: FEED, slot: '3' });
  const { jobs } = await workerOf('ping', done);
  expect([(await jobs.take()).slot, (await jobs.take()).slot]).toEqual(['2', '3']);
  await until(async () => (await pings.pending()) === 1);
  expect(jobs.pending).toEqual([]);
});

it('a ping that has waited long enough is acted on', async () => {
  const pings = queueOf('ping');
  const { jobs } = await workerOf('ping', done);
  await pings.enqueue({ feed: FEED, slot: '1-after' }, 1);
  expect(await jobs.take()).toEqual({ feed: FEED, slot: '1-after' });
});

it('a worker takes as many jobs at once as it may', async () => {
  const polls = queueOf('poll');
  const { open, passed } = gate<undefined>();
  const { jobs } = await workerOf('poll', () => passed, 2);
  for (const name of 'abc') await polls.enqueue({ feeds: [feedIdOf(parseFeedUrl(`https://${name}.example/`))] });
  await Promise.all([jobs.take(), jobs.take()]);
  expect(await polls.pending()).toBe(3);
  expect(jobs.pending).toEqual([]);
  open(undefined);
  await jobs.take();
});

it('a worker that is closed finishes what is in hand and takes nothing more', async () => {
  const polls = queueOf('poll');
  const { open, passed } = gate<undefined>();
  const { jobs, close } = await workerOf('poll', () => passed);
  for (const feed of [FEED, OTHER]) await polls.enqueue({ feeds: [feed] });
  await jobs.take();
  const closed = close();
  open(undefined);
  await closed;
  expect(await polls.pending()).toBe(1);
  expect(jobs.pending).toEqual([]);
});

it('a queue that gives itself jobs goes on doing so, whoever asked and how often', async () => {
  const ticks = [queueOf('tick'), queueOf('tick')];
  for (const queue of ticks) await queue.every(5, {});
  const { jobs, close } = await workerOf('tick', done);
  for (let n = 0; n < 3; n++) expect(await jobs.take()).toEqual({});
  await close();
  expect(await ticks[0]!.pending()).toBe(1);
});

it('a question is answered', async () => {
  const { jobs } = await workerOf('probe', () => Promise.resolve(FOUND));
  expect(await (await questions()).ask({ url: BLOG }, 10_000)).toEqual(FOUND);
  expect(jobs.pending).toEqual([{ url: BLOG }]);
});

it('a question that is not answered in time stays asked', async () => {
  const queue = await questions();
  const late = gate<ProbeResult>();
  const answers = atTime(Date.now(), async () => {
    expect(await queue.ask({ url: BLOG }, 1)).toBeUndefined();
    const { jobs } = await workerOf('probe', () => late.passed);
    await jobs.take();
    const asked = queue.ask({ url: BLOG }, 10_000);
    late.open(FOUND);
    expect(await asked).toEqual(FOUND);
    expect(jobs.pending).toEqual([]);
  });
  await answers;
});

it('the same question is asked once, for all who ask meanwhile and shortly after', async () => {
  const [one, another] = [await questions(), await questions()];
  const late = gate<ProbeResult>();
  const { jobs } = await workerOf('probe', () => late.passed);
  await atTime(Date.now(), async () => {
    const asked = [one.ask({ url: BLOG }, 10_000), another.ask({ url: BLOG }, 10_000)];
    await jobs.take();
    late.open(FOUND);
    expect(await Promise.all(asked)).toEqual([FOUND, FOUND]);
    expect(await another.ask({ url: BLOG }, 10_000)).toEqual(FOUND);
  });
  expect(jobs.pending).toEqual([]);
});

it('each request to push is one of its own, even with the same entries', async () => {
  const pushes = openQuestions('push', prompt, await redis.connect('patient'));
  closing.push(pushes.close);
  const pushed = { kind: 'committed', items: [itemIdOf(FEED, 'a')] } as const;
  const { jobs } = await workerOf('push', () => Promise.resolve(pushed));
  const ask = (id: string) => pushes.ask({ feed: FEED, entries: ['<entry/>'], id }, 10_000);
  expect([await ask('one'), await ask('two')]).toEqual([pushed, pushed]);
  expect(jobs.pending.map(({ id }) => id)).toEqual(['one', 'two']);
});

it('an answer is not given for ever: the world may have changed', async () => {
  const queue = await questions();
  const refused: ProbeResult = { kind: 'refused', code: 'feed-unreachable', text: 'The server answered 503' };
  const answers = [refused, FOUND];
  await workerOf('probe', () => Promise.resolve(answers.shift()!));
  const now = Date.now();
  expect(await atTime(now, () => queue.ask({ url: BLOG }, 10_000))).toEqual(refused);
  expect(await atTime(now + 11_000, () => queue.ask({ url: BLOG }, 10_000))).toEqual(FOUND);
});

it('whoever asks is told when the worker failed', async () => {
  await workerOf('probe', () => Promise.reject(new Error('out of memory')));
  await expect((await questions()).ask({ url: BLOG }, 10_000)).rejects.toThrow('out of memory');
});

it('whoever adds a job or asks is told when Redis is away, and the queue goes on when it is back', async () => {
  const polls = queueOf('poll');
  const probes = await questions();
  const { jobs } = await workerOf('poll', done);
  await polls.enqueue({ feeds: [FEED] });
  await jobs.take();
  await redis.server.kill();
  const told = [polls.enqueue({ feeds: [OTHER] }), polls.pending(), probes.ask({ url: BLOG }, 10_000)].map((asked) =>
    asked.then(() => 'it went well', redisAway),
  );
  for (const fault of await Promise.all(told)) expect(fault).toMatchObject({ code: 'unavailable' });
  await redis.server.start();
  await until(() =>
    polls.enqueue({ feeds: [OTHER] }).then(
      () => true,
      () => false,
    ),
  );
  expect(await jobs.take()).toEqual({ feeds: [OTHER] });
});
