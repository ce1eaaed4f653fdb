import { expect, it } from '@jest/globals';
import { feedIdOf, parseFeedUrl } from '../../../lib/domain.js';
import { createKeys, openKeys, LayoutMismatch } from '../../../lib/store/keys.js';
import { throwawayRedis } from '../../support/stores.js';

const redis = throwawayRedis();

it('the first process decides the number of partitions; whoever thinks otherwise is told', async () => {
  const client = await redis.connect();
  expect((await openKeys(client, 16)).partitions).toBe(16);
  expect((await openKeys(client, 16)).partitions).toBe(16);
  const mistaken = openKeys(client, 8);
  await expect(mistaken).rejects.toThrow(LayoutMismatch);
  await expect(mistaken).rejects.toThrow('PARTITIONS is 8, but this Redis was set up with 16; set it to 16');
});

it('what was stored in another way is not touched; whoever starts is told', async () => {
  const client = await redis.connect();
  for (const [key, value] of [
    ['hydrant:partitions', '16'],
    ['hydrant:layout', '3 16'],
  ] as const) {
    await client.flushall();
    await client.set(key, value);
    await expect(openKeys(client, 16)).rejects.toThrow('This Redis holds data of another version');
    expect(await client.keys('*')).toEqual([key]);
  }
});

it('feeds are spread over all partitions', () => {
  const { partitionOf } = createKeys(16);
  const counts = Array.from({ length: 16 }, () => 0);
  for (let i = 0; i < 1_600; i++) counts[partitionOf(feedIdOf(parseFeedUrl(`https://site${i}.example/`)))]! += 1;
  for (const count of counts) expect(count).toBeGreaterThan(50);
});
