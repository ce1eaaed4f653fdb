import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { feedIdOf, parseFeedUrl, type FeedId, type PageAsk } from '../../../lib/domain.js';
import { firehoseItemId, firehoseNumberIn, type Firehose, type News } from '../../../lib/store/firehose.js';
import { createKeys } from '../../../lib/store/keys.js';
import { Fenced } from '../../../lib/store/log.js';
import { BLOG, contract, newsOf, redisStores, throwawayRedis, until } from '../../support/stores.js';

const NOW = 1_800_000_000_000;

/** The next millisecond. */
async function tick(): Promise<void> {
  const start = Date.now();
  await until(async () => Date.now() > start);
}

const inOrder = (numbers: readonly (number | undefined)[]) => numbers.map(Number).sort((a, b) => a - b);

/** Everything, with the time at which each was numbered. */
async function timed(firehose: Firehose) {
  return (await firehose.between(undefined, undefined, { limit: 1_000 }))?.entries ?? [];
}

contract((open) => {
  describe('numbering', () => {
    it('gives each record the next number, without gaps, across partitions', async () => {
      const { firehose } = await open();
      expect(await firehose.number(0, newsOf('5-0', '5-1'), 1)).toEqual([1, 2]);
      expect(await firehose.number(3, newsOf('4-0'), 1)).toEqual([3]);
      expect(await firehose.number(0, newsOf('9-0', '10-0'), 1)).toEqual([4, 5]);
    });

    it('gives a record that is read again the number it has', async () => {
      const { firehose } = await open();
      await firehose.number(0, newsOf('5-0', '5-1', '6-0'), 1);
      await firehose.number(1, newsOf('5-0'), 1);
      expect(await firehose.number(0, newsOf('5-1', '6-0', '6-1'), 2)).toEqual([2, 3, 5]);
      expect(await firehose.number(1, newsOf('5-0'), 2)).toEqual([4]);
    });

    it('gives places that look alike in two partitions two numbers', async () => {
      const { firehose } = await open();
      expect([await firehose.number(1, newsOf('5-0'), 1), await firehose.number(11, newsOf('5-0'), 1)]).toEqual([
        [1],
        [2],
      ]);
    });

    it('of nothing is nothing', async () => {
      const { firehose } = await open();
      expect(await firehose.number(0, newsOf(), 1)).toEqual([]);
    });

    it('has no gaps when all partitions are numbered at once', async () => {
      const { firehose } = await open({ partitions: 8 });
      const places = Array.from({ length: 50 }, (_, i) => `${1_000 + i}-0`);
      const numbers = await Promise.all(
        Array.from({ length: 8 }, (_, partition) => firehose.number(partition, newsOf(...places), 1)),
      );
      for (const own of numbers) expect(own).toEqual(inOrder(own));
      expect(inOrder(numbers.flat())).toEqual(Array.from({ length: 400 }, (_, i) => i + 1));
    });

    it('is refused after a later holder has numbered, and uses no number up', async () => {
      const { firehose } = await open();
      await firehose.number(0, newsOf('5-0'), 8);
      await expect(firehose.number(1, newsOf('5-0'), 7)).rejects.toThrow(Fenced);
      expect(await firehose.number(1, newsOf('5-0'), 8)).toEqual([2]);
    });
  });

  describe('an entry of several feeds', () => {
    const [ONE, OTHER] = [feedIdOf(BLOG), feedIdOf(parseFeedUrl('https://planet.example/atom'))];
    const news = (id: string, feed: FeedId, ...fingerprints: string[]): News => ({ id, feed, fingerprints });

    it('has one number, that of the feed which had it first', async () => {
      const { firehose } = await open();
      expect(await firehose.number(0, [news('5-0', ONE, 'hamlet')], 1)).toEqual([1]);
      const later = [news('5-0', OTHER, 'hamlet'), news('6-0', OTHER, 'macbeth')];
      expect(await firehose.number(1, later, 1)).toEqual([undefined, 2]);
      expect(await firehose.number(0, [news('6-0', ONE, 'macbeth'), news('6-1', ONE)], 1)).toEqual([undefined, 3]);
      const index = (await firehose.page({ limit: 10 }))?.entries;
      expect(index?.map(({ number, partition, id }) => [number, partition, id])).toEqual([
        [1, 0, '5-0'],
        [2, 1, '6-0'],
        [3, 0, '6-1'],
      ]);
    });

    it('has one number also when its feeds are numbered in one go', async () => {
      const { firehose } = await open();
      const all = [news('5-0', ONE, 'a'), news('5-1', OTHER, 'a'), news('5-2', OTHER, 'b'), news('5-3', ONE, 'b')];
      expect(await firehose.number(0, all, 1)).toEqual([1, undefined, 2, undefined]);
    });

    it('that is read again is as it was: the number stays, and a duplicate stays one', async () => {
      const { firehose } = await open();
      const [first, second] = [[news('5-0', ONE, 'a')], [news('5-0', OTHER, 'a'), news('5-1', OTHER, 'b')]];
      await firehose.number(0, first, 1);
      await firehose.number(1, second, 1);
      expect(await firehose.number(1, second, 2)).toEqual([undefined, 2]);
      expect(await firehose.number(0, first, 2)).toEqual([1]);
      expect(await firehose.number(1, [...second, news('5-2', OTHER, 'c')], 3)).toEqual([undefined, 2, 3]);
    });

    it('is as many as one feed makes of it', async () => {
      const { firehose } = await open();
      expect(await firehose.number(0, [news('5-0', ONE, 'a'), news('5-1', ONE, 'a')], 1)).toEqual([1, 2]);
      expect(await firehose.number(1, [news('5-0', OTHER, 'a')], 1)).toEqual([undefined]);
      expect(await firehose.number(0, [news('6-0', ONE, 'a')], 1)).toEqual([3]);
    });

    it('is known by all its fingerprints, of which the first decides', async () => {
      const { firehose } = await open();
      expect(await firehose.number(0, [news('5-0', ONE, 'a')], 1)).toEqual([1]);
      expect(await firehose.number(1, [news('5-0', OTHER, 'a, edited', 'a')], 1)).toEqual([2]);
      expect(await firehose.number(0, [news('6-0', ONE, 'a, edited', 'a')], 1)).toEqual([undefined]);
      expect(await firehose.number(0, [news('7-0', ONE, 'b, edited', 'b')], 1)).toEqual([3]);
      expect(await firehose.number(1, [news('7-0', OTHER, 'b')], 1)).toEqual([undefined]);
      // Who had it first goes on being free to show it once more.
      expect(await firehose.number(0, [news('8-0', ONE, 'a')], 1)).toEqual([4]);
    });

    it('is never taken for another when nothing tells what it is', async () => {
      const { firehose } = await open();
      expect(await firehose.number(0, [news('5-0', ONE), news('5-1', OTHER)], 1)).toEqual([1, 2]);
    });

    it('is not taken by a former holder', async () => {
      const { firehose } = await open();
      await firehose.number(2, [news('5-0', ONE)], 8);
      await expect(firehose.number(0, [news('5-0', ONE, 'a')], 7)).rejects.toThrow(Fenced);
      expect(await firehose.number(1, [news('5-0', OTHER, 'a')], 8)).toEqual([2]);
    });

    it('is news again once the index has forgotten it, and what was a duplicate stays one', async () => {
      const { firehose } = await open();
      await firehose.number(0, [news('5-0', ONE, 'a'), news('5-1', ONE, 'b'), news('5-2', ONE, 'c')], 1);
      const duplicate = news('5-0', OTHER, 'a');
      expect(await firehose.number(1, [duplicate], 1)).toEqual([undefined]);
      await firehose.trim(0, ({ number }) => number !== 2);
      expect(await firehose.number(1, [duplicate], 1)).toEqual([undefined]);
      const again = [news('6-0', OTHER, 'b'), news('6-1', OTHER, 'c'), news('6-2', OTHER, 'a')];
      expect(await firehose.number(1, again, 1)).toEqual([undefined, 4, 5]);
      expect(await firehose.number(0, [news('6-0', ONE, 'c'), news('6-1', ONE, 'a')], 1)).toEqual([
        undefined,
        undefined,
      ]);
    });

    it('has one number whichever of its feeds come at once, and numbers have no gaps', async () => {
      const { firehose } = await open({ partitions: 8 });
      const numbers = await Promise.all(
        Array.from({ length: 8 }, (_, partition) => {
          const feed = feedIdOf(parseFeedUrl(`https://${partition}.example/`));
          const all = Array.from({ length: 30 }, (_, i) => news(`${1_000 + i}-0`, feed, `entry ${i}`));
          return firehose.number(partition, all, 1);
        }),
      );
      for (let i = 0; i < 30; i++) expect(numbers.filter((own) => own[i] !== undefined)).toHaveLength(1);
      expect(inOrder(numbers.flat().filter((number) => number !== undefined))).toEqual(
        Array.from({ length: 30 }, (_, i) => i + 1),
      );
    });
  });

  describe('the index', () => {
    const numbered = async (now = Date.now) => {
      const { firehose } = await open({ now });
      await firehose.number(0, newsOf(`${NOW}-0`, `${NOW + 1}-0`), 1);
      await firehose.number(2, newsOf(`${NOW}-7`), 1);
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
      expect(await firehose.number(0, newsOf(`${NOW + 2}-0`), 1)).toEqual([4]);
    });
  });

  describe('the part of the index that was numbered in some time', () => {
    const numbered = async () => {
      const { firehose } = await open();
      const calls: [number, string[]][] = [
        [0, ['5-0', '5-1']],
        [1, ['5-0']],
        [0, ['6-0', '7-0', '8-0']],
      ];
      for (const [partition, ids] of calls) {
        await firehose.number(partition, newsOf(...ids), 1);
        await tick();
      }
      return firehose;
    };

    it('has the time of each, which is the time of the call that numbered it', async () => {
      const start = Date.now();
      const firehose = await numbered();
      const all = await timed(firehose);
      expect(all.map(({ number, partition, id }) => [number, partition, id])).toEqual([
        [1, 0, '5-0'],
        [2, 0, '5-1'],
        [3, 1, '5-0'],
        [4, 0, '6-0'],
        [5, 0, '7-0'],
        [6, 0, '8-0'],
      ]);
      const [first, , second, third] = all.map(({ at }) => at);
      expect(all.map(({ at }) => at)).toEqual([first, first, second, third, third, third]);
      expect(first).toBeGreaterThanOrEqual(start);
      expect(second).toBeGreaterThan(first!);
      expect(third).toBeGreaterThan(second!);
      expect(third).toBeLessThanOrEqual(Date.now());
    });

    it('keeps the time of a record that is read again', async () => {
      const firehose = await numbered();
      const before = await timed(firehose);
      await firehose.number(0, newsOf('5-1', '6-0', '7-0', '8-0'), 2);
      expect(await timed(firehose)).toEqual(before);
    });

    it.each([0, 1, 2, 10])('is a list of its own, in pages of %d', async (limit) => {
      const firehose = await numbered();
      const all = await timed(firehose);
      const [first, second, third] = [all[0]!.at, all[2]!.at, all[3]!.at];
      const bounds: [number | undefined, number | undefined][] = [
        [undefined, undefined],
        [undefined, first - 1],
        [undefined, second],
        [second, undefined],
        [second, second],
        [first + 1, third - 1],
        [third, third + 1],
        [third + 1, undefined],
        [second, first],
      ];
      for (const [start, end] of bounds) {
        const part = all.filter(({ at }) => at >= (start ?? 0) && at <= (end ?? Infinity));
        const upTo = (number: number) => part.filter((place) => place.number <= number).length;
        const asks: [PageAsk, number, number][] = [
          [{ limit }, 0, limit],
          [{ limit, before: '' }, Math.max(0, part.length - limit), part.length],
          ...all.flatMap(({ number }): [PageAsk, number, number][] => [
            [{ limit, after: firehoseItemId(number) }, upTo(number), upTo(number) + limit],
            [{ limit, before: firehoseItemId(number) }, Math.max(0, upTo(number - 1) - limit), upTo(number - 1)],
          ]),
        ];
        for (const [ask, from, to] of asks) {
          const page = { entries: part.slice(from, to), index: from, count: part.length };
          expect([start, end, ask, await firehose.between(start, end, ask)]).toEqual([start, end, ask, page]);
        }
      }
    });

    it.each(['nonsense', firehoseItemId(7), firehoseItemId(0)])(
      'knows no page at %s, which the index does not have',
      async (cursor) => {
        const firehose = await numbered();
        expect(await firehose.between(0, undefined, { limit: 1, after: cursor })).toBeUndefined();
        expect(await firehose.between(undefined, 0, { limit: 1, before: cursor })).toBeUndefined();
      },
    );

    it('is cut by numbers too, with or without a time', async () => {
      const firehose = await numbered();
      const all = await timed(firehose);
      const second = all[2]!.at;
      for (const above of [undefined, 0, 1, 3, 6, 9]) {
        for (const below of [undefined, 1, 3, 5, 7, 9]) {
          const part = all.filter(({ number }) => number > (above ?? 0) && number < (below ?? 99));
          const whole = await firehose.between(undefined, undefined, { limit: 10 }, { above, below });
          expect([above, below, whole]).toEqual([above, below, { entries: part, index: 0, count: part.length }]);
          const since = part.filter(({ at }) => at >= second);
          const later = await firehose.between(second, undefined, { limit: 2, before: '' }, { above, below });
          expect([above, below, later?.entries, later?.count]).toEqual([above, below, since.slice(-2), since.length]);
        }
      }
    });

    it('is found for every time, though many are numbered at once', async () => {
      const { firehose } = await open();
      const ids = Array.from({ length: 25 }, (_, i) => `${i + 1}-0`);
      await Promise.all(
        ids.flatMap((id) => [0, 1, 2, 3].map((partition) => firehose.number(partition, newsOf(id), 1))),
      );
      const all = await timed(firehose);
      expect(all).toHaveLength(100);
      for (const at of new Set(all.map((place) => place.at))) {
        const page = await firehose.between(at, at, { limit: 100 });
        expect(page?.entries).toEqual(all.filter((place) => place.at === at));
      }
      expect(all.map(({ at }) => at)).toEqual(all.map(({ at }) => at).sort((a, b) => a - b));
    });

    it('keeps its times when what came before is forgotten', async () => {
      const firehose = await numbered();
      const all = await timed(firehose);
      for (const left of [5, 4, 3, 2, 1, 0]) {
        await firehose.trim(0, ({ number }) => number <= all.length - left);
        expect(await timed(firehose)).toEqual(all.slice(all.length - left));
      }
      await firehose.number(0, newsOf('9-0'), 1);
      const [next] = await timed(firehose);
      expect(next).toMatchObject({ number: 7, id: '9-0' });
      expect(next!.at).toBeGreaterThan(all[5]!.at);
    });
  });
});

describe('the times of the firehose, in Redis', () => {
  const redis = throwawayRedis();
  const keys = createKeys(4);
  const opened = async () => {
    const client = await redis.connect();
    await client.flushall();
    return { client, firehose: redisStores(client, client).firehose };
  };

  it('are forgotten with the numbers', async () => {
    const { client, firehose } = await opened();
    for (const id of ['5-0', '6-0', '7-0', '8-0']) {
      await firehose.number(0, newsOf(id), 1);
      await tick();
    }
    expect(await client.zcard(keys.firehoseClock)).toBe(4);
    await firehose.trim(0, ({ number }) => number <= 2);
    expect(await client.zcard(keys.firehoseClock)).toBe(2);
    await firehose.trim(0, () => true);
    expect(await client.zcard(keys.firehoseClock)).toBe(1);
  });

  it('and its fingerprints are forgotten with the numbers', async () => {
    const { client, firehose } = await opened();
    const feed = feedIdOf(BLOG);
    const news = ['5-0', '6-0', '7-0'].map((id) => ({ id, feed, fingerprints: [`of ${id}`, `beside ${id}`] }));
    await firehose.number(0, news, 1);
    expect(await client.zcard(keys.firehoseFingerprints)).toBe(6);
    await firehose.trim(0, ({ number }) => number <= 2);
    expect((await client.zrange(keys.firehoseFingerprints, 0, -1)).sort()).toEqual(['beside 7-0', 'of 7-0']);
    await firehose.trim(0, () => true);
    expect(await client.exists(keys.firehoseFingerprints)).toBe(0);
  });

  it('never go back, though its clock does', async () => {
    const { client, firehose } = await opened();
    await firehose.number(0, newsOf('5-0', '6-0'), 1);
    // As it is after the clock was an hour ahead.
    const ahead = Date.now() + 3_600_000;
    await client.del(keys.firehoseClock);
    await client.zadd(keys.firehoseClock, 1, `${ahead}`);
    await firehose.number(0, newsOf('7-0'), 1);
    expect((await timed(firehose)).map(({ at }) => at)).toEqual([ahead, ahead, ahead]);
    expect((await firehose.between(ahead, ahead, { limit: 10 }))?.count).toBe(3);
  });

  it('that were never kept are those of the commits', async () => {
    const { client, firehose } = await opened();
    await firehose.number(0, newsOf(`${NOW}-0`, `${NOW + 5}-1`), 1);
    await client.del(keys.firehoseClock);
    expect((await timed(firehose)).map(({ at }) => at)).toEqual([NOW, NOW + 5]);
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
