import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { firehoseItemId, firehoseNumberIn } from '../../../lib/store/firehose.js';
import { Fenced } from '../../../lib/store/log.js';
import { contract } from '../../support/stores.js';

const NOW = 1_800_000_000_000;

contract((open) => {
  describe('numbering', () => {
    it('gives each record the next number, without gaps, across partitions', async () => {
      const { firehose } = await open();
      expect(await firehose.number(0, ['5-0', '5-1'], 1)).toEqual([1, 2]);
      expect(await firehose.number(3, ['4-0'], 1)).toEqual([3]);
      expect(await firehose.number(0, ['9-0', '10-0'], 1)).toEqual([4, 5]);
    });

    it('gives a record that is read again the number it has', async () => {
      const { firehose } = await open();
      await firehose.number(0, ['5-0', '5-1', '6-0'], 1);
      await firehose.number(1, ['5-0'], 1);
      expect(await firehose.number(0, ['5-1', '6-0', '6-1'], 2)).toEqual([2, 3, 5]);
      expect(await firehose.number(1, ['5-0'], 2)).toEqual([4]);
    });

    it('gives places that look alike in two partitions two numbers', async () => {
      const { firehose } = await open();
      expect([await firehose.number(1, ['5-0'], 1), await firehose.number(11, ['5-0'], 1)]).toEqual([[1], [2]]);
    });

    it('of nothing is nothing', async () => {
      const { firehose } = await open();
      expect(await firehose.number(0, [], 1)).toEqual([]);
    });

    it('has no gaps when all partitions are numbered at once', async () => {
      const { firehose } = await open({ partitions: 8 });
      const places = Array.from({ length: 50 }, (_, i) => `${1_000 + i}-0`);
      const numbers = await Promise.all(
        Array.from({ length: 8 }, (_, partition) => firehose.number(partition, places, 1)),
      );
      for (const own of numbers) expect(own).toEqual([...own].sort((a, b) => a - b));
      expect(numbers.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: 400 }, (_, i) => i + 1));
    });

    it('is refused after a later holder has numbered, and uses no number up', async () => {
      const { firehose } = await open();
      await firehose.number(0, ['5-0'], 8);
      await expect(firehose.number(1, ['5-0'], 7)).rejects.toThrow(Fenced);
      expect(await firehose.number(1, ['5-0'], 8)).toEqual([2]);
    });
  });

  describe('the index', () => {
    const numbered = async (now = Date.now) => {
      const { firehose } = await open({ now });
      await firehose.number(0, [`${NOW}-0`, `${NOW + 1}-0`], 1);
      await firehose.number(2, [`${NOW}-7`], 1);
      return firehose;
    };
    const first = { number: 1, partition: 0, id: `${NOW}-0` };
    const second = { number: 2, partition: 0, id: `${NOW + 1}-0` };
    const third = { number: 3, partition: 2, id: `${NOW}-7` };

    it.each([
      ['the beginning', { limit: 2 }, [first, second], 0],
      ['what comes after a number', { limit: 10, after: firehoseItemId(1) }, [second, third], 1],
      ['nothing after the last one', { limit: 10, after: firehoseItemId(3) }, [], 3],
      ['the end', { limit: 2, before: '' }, [second, third], 1],
      ['what comes before a number', { limit: 1, before: firehoseItemId(3) }, [second], 1],
    ])('is paged through in the order of numbers: %s', async (_, ask, entries, index) => {
      expect(await (await numbered()).page(ask)).toEqual({ entries, index, count: 3 });
    });

    it.each(['nonsense', firehoseItemId(4), firehoseItemId(0)])(
      'knows no page at %s, which it does not have',
      async (id) => {
        expect(await (await numbered()).page({ limit: 1, after: id })).toBeUndefined();
      },
    );

    it('gives none when none are asked for', async () => {
      const firehose = await numbered();
      expect((await firehose.page({ limit: 0 }))?.entries).toEqual([]);
      expect(await firehose.byNumber([])).toEqual([]);
    });

    it('leads from a number to a place', async () => {
      const firehose = await numbered();
      expect(await firehose.byNumber([3, 99, 1])).toEqual([third, first]);
    });

    it('forgets what is old and delivered, and nothing else', async () => {
      const firehose = await numbered(() => NOW + 1_001);
      await firehose.trim(1_001, () => true);
      expect((await firehose.page({ limit: 10 }))?.entries).toEqual([first, second, third]);
      await firehose.trim(1_000, ({ partition }) => partition === 0);
      expect((await firehose.page({ limit: 10 }))?.entries).toEqual([second, third]);
      await firehose.trim(1_000, () => true);
      expect((await firehose.page({ limit: 10 }))?.entries).toEqual([second]);
    });

    it('never gives a forgotten number again', async () => {
      const firehose = await numbered(() => NOW + 1_000_000);
      await firehose.trim(0, () => true);
      expect((await firehose.page({ limit: 10 }))?.entries).toEqual([]);
      expect(await firehose.number(0, [`${NOW + 2}-0`], 1)).toEqual([4]);
    });
  });
});

describe('a firehose ItemID', () => {
  it('is as long as every other and leads back to its number', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 999_999_999_999 }), (number) => {
        expect(firehoseItemId(number)).toMatch(/^\d{12}$/);
        expect(firehoseNumberIn(firehoseItemId(number))).toBe(number);
      }),
    );
  });

  it('sorts as text as it does as a number', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), (a, b) => {
        expect(Math.sign(firehoseItemId(a) < firehoseItemId(b) ? -1 : 1)).toBe(a < b ? -1 : 1);
      }),
    );
  });

  it.each(['', '1', 'abc', '00000000001x', ' 000000000001', '-00000000001', 'firehose'])('is not %j', (text) => {
    expect(firehoseNumberIn(text)).toBeUndefined();
  });
});
