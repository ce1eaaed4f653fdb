import { describe, expect, it } from '@jest/globals';
import { feedIdOf, FIREHOSE, parseFeedUrl, type SubscriptionKey } from '../../../lib/domain.js';
import { firehoseItemId } from '../../../lib/store/firehose.js';
import { BLOG, contract, until } from '../../support/stores.js';

const ROMEO: SubscriptionKey = { feed: feedIdOf(BLOG), jid: 'romeo@example.net/orchard {wall} ü', subid: 'balcony' };
const HOUR_MS = 3_600_000;

contract((open) => {
  describe('a digest', () => {
    it('is due some time after the first that it holds, whatever comes later', async () => {
      const { digests } = await open();
      await digests.hold(ROMEO, ['5-0'], HOUR_MS);
      await digests.hold(ROMEO, ['5-1'], 0);
      expect(await digests.due(10)).toEqual([]);
      const second = { ...ROMEO, subid: 'second' };
      await digests.hold(second, ['5-0'], 1);
      await until(async () => (await digests.due(10)).length > 0);
      await digests.hold(second, ['5-1'], HOUR_MS);
      expect(await digests.due(10)).toEqual([second]);
    });

    it('is never due while it holds nothing', async () => {
      const { digests } = await open();
      await digests.hold(ROMEO, [], 0);
      expect(await digests.due(10)).toEqual([]);
      expect(await digests.held(ROMEO, 10)).toEqual([]);
      await digests.release(ROMEO, '5-0');
      expect(await digests.due(10)).toEqual([]);
    });

    it('holds each once, in order, though the same is said again', async () => {
      const { digests } = await open();
      await digests.hold(ROMEO, ['5-0', '5-9'], HOUR_MS);
      await digests.hold(ROMEO, ['5-0', '5-9', '5-10', '6-0'], HOUR_MS);
      await digests.hold(ROMEO, ['5-10', '40-0'], HOUR_MS);
      expect(await digests.held(ROMEO, 10)).toEqual(['5-0', '5-9', '5-10', '6-0', '40-0']);
      expect(await digests.held(ROMEO, 2)).toEqual(['5-0', '5-9']);
      expect(await digests.held(ROMEO, 0)).toEqual([]);
    });

    it('is due at once with what is left of it, and no longer with nothing left', async () => {
      const { digests } = await open();
      await digests.hold(ROMEO, ['5-9', '5-10', '6-0'], HOUR_MS);
      await digests.release(ROMEO, '5-10');
      expect(await digests.held(ROMEO, 10)).toEqual(['6-0']);
      expect(await digests.due(10)).toEqual([ROMEO]);
      await digests.release(ROMEO, '6-0');
      expect(await digests.held(ROMEO, 10)).toEqual([]);
      expect(await digests.due(10)).toEqual([]);
    });

    it('forgets nothing with what it does not hold', async () => {
      const { digests } = await open();
      await digests.hold(ROMEO, ['5-0'], HOUR_MS);
      await digests.release(ROMEO, '7-0');
      expect(await digests.held(ROMEO, 10)).toEqual(['5-0']);
      expect(await digests.due(10)).toEqual([]);
    });

    it('begins anew after all of it was told', async () => {
      const { digests } = await open();
      await digests.hold(ROMEO, ['5-0', '6-0'], 0);
      await digests.release(ROMEO, '6-0');
      await digests.hold(ROMEO, ['8-0'], HOUR_MS);
      expect(await digests.due(10)).toEqual([]);
      expect(await digests.held(ROMEO, 10)).toEqual(['8-0']);
    });

    it('is due at once when it holds a thousand', async () => {
      const { digests } = await open();
      const refs = Array.from({ length: 1_000 }, (_, i) => `${i}-0`);
      await digests.hold(ROMEO, refs.slice(0, 999), HOUR_MS);
      await digests.hold(ROMEO, refs.slice(0, 500), HOUR_MS);
      expect(await digests.due(10)).toEqual([]);
      await digests.hold(ROMEO, refs, HOUR_MS);
      expect(await digests.due(10)).toEqual([ROMEO]);
      expect(await digests.held(ROMEO, 2_000)).toEqual(refs);
    });

    it('does not lose what comes late, and late in its order, while the rest is told', async () => {
      const { digests } = await open();
      const key = { ...ROMEO, feed: FIREHOSE } as const;
      const [early = '', late = '', second = ''] = [21, 5, 22].map(firehoseItemId);
      await digests.hold(key, [early], 0);
      const told = await digests.held(key, 10);
      await digests.hold(key, [late], 0);
      await digests.hold(key, [late, early, second], 0);
      await digests.release(key, told.at(-1)!);
      expect(await digests.held(key, 10)).toEqual([late, second]);
      expect(await digests.due(10)).toEqual([key]);
    });

    it('on the firehose holds its numbers', async () => {
      const { digests } = await open();
      const key = { ...ROMEO, feed: FIREHOSE } as const;
      const refs = [9, 10, 11, 999_999_999_999, 1_000_000_000_000].map(firehoseItemId);
      await digests.hold(key, refs.slice(0, 3), 0);
      await digests.hold(key, refs, 0);
      expect(await digests.held(key, 10)).toEqual(refs);
      await digests.release(key, refs[3]!);
      expect(await digests.held(key, 10)).toEqual([refs[4]]);
      expect(await digests.due(10)).toEqual([key]);
    });

    it('is one subscription’s own', async () => {
      const { digests } = await open();
      const others: SubscriptionKey[] = [
        { ...ROMEO, subid: 'orchard' },
        { ...ROMEO, jid: 'romeo@example.net' },
        { ...ROMEO, feed: feedIdOf(parseFeedUrl('https://other.example/')) },
        { ...ROMEO, feed: FIREHOSE },
      ];
      for (const [n, key] of others.entries()) await digests.hold(key, [`${n}-0`], 0);
      await digests.hold(ROMEO, ['9-0'], HOUR_MS);
      for (const [n, key] of others.entries()) expect(await digests.held(key, 10)).toEqual([`${n}-0`]);
      const due = await digests.due(10);
      expect(due).toHaveLength(4);
      expect(due).toEqual(expect.arrayContaining(others));
      expect(await digests.due(3)).toHaveLength(3);
      for (const [n, key] of others.entries()) await digests.release(key, `${n}-0`);
      expect(await digests.held(ROMEO, 10)).toEqual(['9-0']);
    });
  });
});
