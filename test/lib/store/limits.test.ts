import { describe, expect, it } from '@jest/globals';
import { feedIdOf, FIREHOSE, type SubscriptionKey } from '../../../lib/domain.js';
import { firehoseItemId } from '../../../lib/store/firehose.js';
import { createKeys } from '../../../lib/store/keys.js';
import type { LimitStore } from '../../../lib/store/limits.js';
import { memoryStores } from '../../support/memory.js';
import { BLOG, contract, redisStores, throwawayRedis } from '../../support/stores.js';

const ROMEO: SubscriptionKey = { feed: feedIdOf(BLOG), jid: 'romeo@example.net/orchard wall', subid: 'balcony' };
const DAY_MS = 86_400_000;

/** What is answered for each of these, asked for one after the other. */
async function answers(limits: LimitStore, refs: readonly string[], limit: number, key = ROMEO): Promise<boolean[]> {
  const all: boolean[] = [];
  for (const ref of refs) all.push(await limits.allow(key, ref, limit));
  return all;
}

contract((open) => {
  describe('the limit of the day', () => {
    it('lets the first ones through and none after', async () => {
      const { limits } = await open();
      expect(await answers(limits, ['5-0', '5-9', '5-10', '6-0', '40-0'], 3)).toEqual([true, true, true, false, false]);
    });

    it('gives the same answers again, in whatever order', async () => {
      const { limits } = await open();
      const refs = ['5-10', '5-0', '6-0', '5-9'];
      for (let n = 0; n < 3; n++) expect(await answers(limits, refs, 2)).toEqual([true, true, false, false]);
      expect(await answers(limits, [...refs].reverse(), 2)).toEqual([false, false, true, true]);
    });

    it('may be raised and lowered during the day', async () => {
      const { limits } = await open();
      expect(await answers(limits, ['5-0', '6-0'], 1)).toEqual([true, false]);
      expect(await answers(limits, ['7-0', '8-0'], 2)).toEqual([true, false]);
      expect(await answers(limits, ['5-0', '7-0', '9-0'], 1)).toEqual([true, true, false]);
    });

    it('counts on when there are more than are remembered', async () => {
      const { limits } = await open();
      const refs = Array.from({ length: 1_101 }, (_, i) => `${i}-0`);
      const all = await Promise.all(refs.map((ref) => limits.allow(ROMEO, ref, 1_100)));
      expect(all.filter(Boolean)).toHaveLength(1_100);
      const again = await Promise.all(refs.slice(-1_001).map((ref) => limits.allow(ROMEO, ref, 1_100)));
      expect(again).toEqual([...again.slice(1).map(() => true), false]);
      expect(await limits.allow(ROMEO, refs[0]!, 1_100)).toBe(false);
    });

    it('counts nothing twice', async () => {
      const { limits } = await open();
      await answers(limits, ['5-0', '5-0', '5-0'], 2);
      expect(await answers(limits, ['5-1', '5-2'], 2)).toEqual([true, false]);
    });

    it('of 0 is none', async () => {
      const { limits } = await open();
      expect(await answers(limits, ['5-0', '5-1', '5-2'], 0)).toEqual([true, true, true]);
    });

    it('is one subscription’s own', async () => {
      const { limits } = await open();
      const others: SubscriptionKey[] = [
        { ...ROMEO, subid: 'orchard' },
        { ...ROMEO, jid: 'romeo@example.net' },
        { ...ROMEO, feed: FIREHOSE },
      ];
      for (const key of [ROMEO, ...others]) {
        const refs = key.feed === FIREHOSE ? [9, 10].map(firehoseItemId) : ['9-0', '10-0'];
        expect(await answers(limits, refs, 1, key)).toEqual([true, false]);
      }
    });
  });
});

/** Today two of four are let through; the day after it goes on. */
async function overMidnight(limits: LimitStore, midnight: () => unknown): Promise<void> {
  expect(await answers(limits, ['1-0', '2-0', '3-0', '4-0'], 2)).toEqual([true, true, false, false]);
  await midnight();
  expect(await answers(limits, ['2-0', '1-0', '5-0', '6-0', '7-0'], 2)).toEqual([true, true, true, true, false]);
}

describe('a new day begins with nothing, and what was let through yesterday does not count', () => {
  const redis = throwawayRedis();

  it('in memory', async () => {
    let now = 1_800_000_000_000;
    const { limits } = memoryStores({ now: () => now });
    await overMidnight(limits, () => (now += DAY_MS));
  });

  it('in Redis, which forgets them in the end', async () => {
    const client = await redis.connect();
    const keys = createKeys(4);
    const { limits } = redisStores(client, client);
    await overMidnight(limits, () => client.hincrby(keys.limit(ROMEO), 'day', -1));
    for (const key of [keys.limit(ROMEO), keys.allowed(ROMEO)]) {
      const ttl = await client.pttl(key);
      expect(ttl).toBeGreaterThan(DAY_MS);
      expect(ttl).toBeLessThanOrEqual(2 * DAY_MS);
    }
  });
});
