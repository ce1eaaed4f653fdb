import { expect, it } from '@jest/globals';
import { parseFeedUrl, type FeedId } from '../../lib/domain.js';
import { tick } from '../../scheduler/tick.js';
import { memoryStores } from '../support/memory.js';

async function bench(due: number, pending: number, capacity: number) {
  const { feeds } = memoryStores();
  for (let n = 0; n < due; n++) await feeds.register(parseFeedUrl(`https://feed-${n}.example/`));
  const queued: FeedId[] = [];
  const enqueue = async ({ feed }: { feed: FeedId }) => void queued.push(feed);
  const run = () => tick({ feeds, enqueue, pending: async () => pending, capacity, emit: () => undefined });
  return { queued, run };
}

it('hands out what is due, each feed once', async () => {
  const { queued, run } = await bench(5, 0, 10);
  await run();
  await run();
  expect(new Set(queued).size).toBe(5);
  expect(queued).toHaveLength(5);
});

it('never hands out more than the workers can take; the rest stays due', async () => {
  const { queued, run } = await bench(10, 6, 10);
  await run();
  expect(queued).toHaveLength(4);
  await run();
  expect(new Set(queued).size).toBe(8);
});

it('hands out nothing while the workers have enough', async () => {
  const { queued, run } = await bench(10, 10, 10);
  await run();
  expect(queued).toEqual([]);
});
