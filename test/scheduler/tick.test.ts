import { expect, it } from '@jest/globals';
import { parseFeedUrl, type FeedId } from '../../lib/domain.js';
import { POLLS_PER_JOB } from '../../lib/queues.js';
import { createTick } from '../../scheduler/tick.js';
import { memoryStores } from '../support/memory.js';

async function bench(due: number, capacity: number) {
  const { feeds } = memoryStores();
  for (let n = 0; n < due; n++) await feeds.register(parseFeedUrl(`https://feed-${n}.example/`));
  const jobs: (readonly FeedId[])[] = [];
  const enqueue = async ({ feeds: job }: { readonly feeds: readonly FeedId[] }) => void jobs.push(job);
  const state = { waiting: 0 };
  const { tick, counted } = createTick({
    ...{ feeds, enqueue, capacity },
    waiting: async () => state.waiting,
    emit: () => undefined,
  });
  /** Begins to look at a feed; what comes back ends that. */
  const look = () => {
    let end: () => void = () => undefined;
    const ended = counted(() => new Promise<void>((resolve) => (end = resolve)));
    return async () => {
      end();
      await ended;
      await new Promise(setImmediate);
    };
  };
  return { jobs, state, tick, look, queued: () => jobs.flat() };
}

it('hands out what is due, each feed once, in few jobs', async () => {
  const { jobs, queued, tick } = await bench(45, 100);
  await tick();
  await tick();
  expect(new Set(queued()).size).toBe(45);
  expect(jobs.map(({ length }) => length)).toEqual([POLLS_PER_JOB, POLLS_PER_JOB, 5]);
});

it('never hands out more than the workers can take; the rest stays due', async () => {
  const { queued, state, tick } = await bench(60, 30);
  state.waiting = 1;
  await tick();
  expect(queued()).toHaveLength(10);
  state.waiting = 0;
  await tick();
  expect(new Set(queued()).size).toBe(40);
});

it('hands out nothing while the workers have enough', async () => {
  const { queued, state, tick, look } = await bench(10, 30);
  state.waiting = 1;
  const ends = Array.from({ length: 10 }, look);
  await tick();
  expect(queued()).toEqual([]);
  for (const end of ends) await end();
  await tick();
  expect(queued()).toHaveLength(10);
});

it('feeds that take long hold up the others only by their own number', async () => {
  const { queued, tick, look } = await bench(100, 30);
  for (let n = 0; n < 10; n++) look();
  await tick();
  expect(queued()).toHaveLength(20);
});

it('hands out more as soon as there is room when more is due', async () => {
  const { queued, tick, look } = await bench(50, 40);
  const ends = Array.from({ length: 40 }, look);
  await tick();
  expect(queued()).toEqual([]);
  const [first, ...others] = ends;
  await first?.();
  await tick();
  expect(queued()).toHaveLength(1);
  // Not for every single one, or each would be a job.
  for (const end of others.slice(0, 8)) await end();
  expect(queued()).toHaveLength(1);
  await others[8]?.();
  expect(queued()).toHaveLength(11);
});

it('leaves it to the next tick when nothing more was due', async () => {
  const { queued, tick, look } = await bench(5, 40);
  const ends = Array.from({ length: 20 }, look);
  await tick();
  expect(queued()).toHaveLength(5);
  for (const end of ends) await end();
  expect(queued()).toHaveLength(5);
});

it('goes on with the next tick when Redis was away', async () => {
  const { feeds } = memoryStores();
  await feeds.register(parseFeedUrl('https://feed.example/'));
  const jobs: unknown[] = [];
  let isAway = true;
  const { tick } = createTick({
    feeds,
    enqueue: async (job) => void jobs.push(job),
    waiting: async () => (isAway ? Promise.reject(new Error('away')) : 0),
    capacity: 10,
    emit: () => undefined,
  });
  await expect(tick()).rejects.toThrow('away');
  isAway = false;
  await tick();
  expect(jobs).toHaveLength(1);
});
