import { describe, expect, it } from '@jest/globals';
import { feedIdOf, itemIdOf, ownNodeIdOf, parseFeedUrl, type FeedId, type ItemId } from '../../../lib/domain.js';
import { openRedis } from '../../../lib/redis.js';
import { createKeys } from '../../../lib/store/keys.js';
import { compareLogIds, Fenced, type LogRecord } from '../../../lib/store/log.js';
import { createInbox } from '../../../prosody/inbox.js';
import type { StoreOptions, Stores } from '../../support/memory.js';
import {
  BLOG,
  contract,
  entriesOf,
  entryOf,
  look,
  newest,
  NO_SOURCE,
  openFeed,
  redisStores,
  throwawayRedis,
  until,
  type OpenStores,
} from '../../support/stores.js';

const ID = feedIdOf(BLOG);
const NODE = ownNodeIdOf('news');
const JULIET = 'juliet@example.com';
const ITEM = { id: 'a' as ItemId, payload: '<a/>', publisher: JULIET };
const KEEP = { persist: true, keep: 20, announce: false };
const status = { state: 'well', since: 1, lasting: true } as const;
const HOUR = { ms: 3_600_000, records: 10_000 };
// Older than the clock: Redis counts whole seconds here, and the tests do not wait for one.
const NOTHING = { ms: -60_000, records: 10_000 };

/** One partition, so that everything is in one log; entries are published in the order given. */
async function openLog(open: OpenStores, options: StoreOptions = {}) {
  const stores = await open({ partitions: 1, ...options });
  await openFeed(stores);
  return { ...stores, publish: (...ids: string[]) => publish(stores, ids) };
}

const publish = (stores: Stores, ids: readonly string[]) =>
  look(
    stores,
    BLOG,
    [...ids].reverse().map((id) => entryOf(id)),
  );

const publishOwn = ({ items }: Stores, id: string, persist = true) =>
  items.publish(NODE, [{ ...ITEM, id: id as ItemId, payload: id && `<${id}/>` }], { ...KEEP, persist });

const read = async ({ log }: Pick<Stores, 'log'>, after = '0') => log.read(0, after, 10_000);
const ids = (records: readonly LogRecord[]) => records.flatMap((record) => ('entry' in record ? record.entry.id : []));

contract((open) => {
  describe('reading', () => {
    it('gives what comes after a place, in order, so many at a time', async () => {
      const stores = await openLog(open);
      await stores.publish('a', 'b', 'c');
      await stores.publish('d');
      const all = await read(stores);
      expect(ids(all)).toEqual(['a', 'b', 'c', 'd']);
      expect(ids(await stores.log.read(0, '0', 2))).toEqual(['a', 'b']);
      expect(ids(await stores.log.read(0, all[1]!.id, 1))).toEqual(['c']);
      expect(await read(stores, all[3]!.id)).toEqual([]);
    });

    it('goes on in the order of commits after the log was emptied of what was delivered', async () => {
      const stores = await openLog(open);
      await stores.publish('a');
      const [first] = await read(stores);
      await stores.log.acknowledge(0, first!.id, 1, NOTHING);
      await stores.publish('b');
      expect(ids(await read(stores, first!.id))).toEqual(['b']);
    });

    it('keeps the log of each partition to itself', async () => {
      const stores = await open({ partitions: 4 });
      const urls = Array.from({ length: 12 }, (_, i) => parseFeedUrl(`https://site${i}.example/`));
      for (const url of urls) {
        await openFeed(stores, url);
        await look(stores, url, [entryOf(url)]);
      }
      const logs = await Promise.all([0, 1, 2, 3].map((partition) => stores.log.read(partition, '0', 100)));
      expect(logs.flatMap(ids).sort()).toEqual([...urls].sort());
      logs.forEach((records, partition) => {
        for (const record of records) expect(record.partition).toBe(partition);
      });
      expect(stores.log.partitions).toBe(4);
    });
  });

  describe('a record', () => {
    it('is found at its place', async () => {
      const stores = await openLog(open);
      await stores.publish('a', 'b');
      const [, second] = await read(stores);
      expect(await stores.log.at(0, second!.id)).toEqual(second);
      expect(await stores.log.at(0, '1-1')).toBeUndefined();
    });

    it('has a place that tells when it was committed', async () => {
      const before = Date.now();
      const stores = await openLog(open);
      await stores.publish('a');
      const [record] = await read(stores);
      const at = Number(record!.id.split('-')[0]);
      expect(at).toBeGreaterThanOrEqual(before);
      expect(at).toBeLessThanOrEqual(Date.now());
    });
  });

  describe('whatever happens to a node', () => {
    const published = async (open: OpenStores) => {
      const stores = await openLog(open);
      await stores.nodes.create('news', JULIET, {});
      await publishOwn(stores, 'a');
      return stores;
    };

    it('is one log, in the order in which it happened', async () => {
      const stores = await published(open);
      await stores.publish('entry');
      await stores.items.retract(NODE, ['a' as ItemId], true);
      await stores.nodes.configure(ID, { title: 'A blog' }, true);
      await stores.items.purge(NODE, true);
      await stores.feeds.commit({
        feed: (await stores.feeds.get(ID))!,
        nextMs: 1,
        outcome: { kind: 'unchanged', status },
      });
      await stores.nodes.delete(NODE, { announce: true, successor: { node: ID } });
      await stores.nodes.delete(ID, { announce: false });
      const all = await read(stores);
      const at = all.map(({ partition, id }) => ({ partition, id }));
      const audience = expect.any(String) as unknown;
      expect(all).toEqual([
        { ...at[0], kind: 'published', feed: NODE, item: 'a', payload: '<a/>', publisher: JULIET },
        {
          ...at[1],
          kind: 'new',
          feed: ID,
          url: BLOG,
          item: itemIdOf(ID, 'entry'),
          entry: entryOf('entry'),
          source: NO_SOURCE,
        },
        { ...at[2], kind: 'retracted', feed: NODE, items: ['a'] },
        { ...at[3], kind: 'configured', feed: ID },
        { ...at[4], kind: 'purged', feed: NODE },
        { ...at[5], kind: 'status', feed: ID, url: BLOG, status },
        { ...at[6], kind: 'deleted', feed: NODE, announce: true, audience, successor: { node: ID } },
        { ...at[7], kind: 'deleted', feed: ID, announce: false, audience },
      ]);
      for (const record of all) expect(await stores.log.at(0, record.id)).toEqual(record);
    });

    it('can be put into quarantine', async () => {
      const stores = await published(open);
      await stores.nodes.configure(ID, {}, true);
      await publishOwn(stores, '', false);
      for (const record of await read(stores)) await stores.log.quarantine(record, 'not-well-formed', 1);
      expect(await stores.log.quarantined(0)).toEqual(new Set((await read(stores)).map(({ id }) => id)));
      for (const { id } of await read(stores)) expect(await stores.log.at(0, id)).toBeUndefined();
      expect(await stores.items.byId(NODE, ['a' as ItemId])).toEqual([]);
      expect(await stores.items.page(NODE, { limit: 1 })).toMatchObject({ count: 0 });
    });

    it('that is not about one item leaves the items alone when it is put into quarantine', async () => {
      const stores = await published(open);
      await stores.items.retract(NODE, ['nowhere', 'a'] as ItemId[], true);
      await publishOwn(stores, 'a');
      const [, retracted] = await read(stores);
      await stores.log.quarantine(retracted!, 'not-well-formed', 1);
      expect(await stores.items.byId(NODE, ['a' as ItemId])).toHaveLength(1);
    });

    it.each<[string, (stores: Stores, feed: FeedId) => Promise<unknown>]>([
      ['published', ({ items }) => items.publish(NODE, [ITEM], KEEP)],
      ['retracted', ({ items }, feed) => items.retract(feed, [itemIdOf(feed, 'a')], true)],
      ['retracted', ({ items }, feed) => items.retractOlder(feed, -HOUR.ms, true)],
      ['purged', ({ items }, feed) => items.purge(feed, true)],
      ['configured', ({ nodes }, feed) => nodes.configure(feed, {}, true)],
      ['deleted', ({ nodes }, feed) => nodes.delete(feed, { announce: true })],
      [
        'status',
        async ({ feeds }, feed) => {
          const outcome = { kind: 'unchanged', status } as const;
          return feeds.commit({ feed: (await feeds.get(feed))!, nextMs: 1, outcome });
        },
      ],
    ])('is told of as it happens: %s', async (kind, happens) => {
      const stores = await open({ partitions: 64 });
      await stores.nodes.create('news', JULIET, {});
      await look(stores, BLOG, [entryOf('a')]);
      const heard = new Set<number>();
      stores.log.watch((partition) => heard.add(partition));
      // A hint may be lost before the subscription is there.
      const other = await openFeed(stores, parseFeedUrl('https://other.example/'));
      await until(async () => {
        await stores.nodes.configure(other, {}, true);
        return heard.size > 0;
      });
      expect([...heard]).toEqual([createKeys(64).partitionOf(other)]);
      await happens(stores, ID);
      await until(async () => heard.size > 1);
      const [, partition] = [...heard];
      expect(await stores.log.read(partition!, '0', 10)).toMatchObject([{ kind }]);
    });
  });

  describe('acknowledging', () => {
    it('moves the position, which is 0 at the very beginning', async () => {
      const stores = await openLog(open);
      await stores.publish('a', 'b');
      expect(await stores.log.position(0)).toBe('0');
      const [first] = await read(stores);
      await stores.log.acknowledge(0, first!.id, 1, HOUR);
      expect(await stores.log.position(0)).toBe(first!.id);
    });

    it('leaves fewer records waiting', async () => {
      const stores = await openLog(open);
      expect(await stores.log.backlog()).toBe(0);
      await stores.publish('a', 'b', 'c');
      expect(await stores.log.backlog()).toBe(3);
      const [first, , third] = await read(stores);
      await stores.log.acknowledge(0, first!.id, 1, HOUR);
      expect(await stores.log.backlog()).toBe(2);
      await stores.log.acknowledge(0, third!.id, 1, HOUR);
      expect(await stores.log.backlog()).toBe(0);
    });

    it('keeps what is delivered for as long as it was told to', async () => {
      const stores = await openLog(open);
      await stores.publish(...Array.from({ length: 300 }, (_, i) => `${i}`));
      const all = await read(stores);
      await stores.log.acknowledge(0, all.at(-1)!.id, 1, HOUR);
      expect(await read(stores)).toEqual(all);
    });

    it('trims what is older, never what is not acknowledged', async () => {
      const stores = await openLog(open);
      await stores.publish(...Array.from({ length: 300 }, (_, i) => `old ${i}`));
      const old = await read(stores);
      const time = (record: LogRecord) => Number(record.id.split('-')[0]);
      await until(async () => Date.now() > time(old.at(-1)!));
      await stores.publish(...Array.from({ length: 300 }, (_, i) => `young ${i}`));
      const young = await read(stores, old.at(-1)!.id);
      expect(young).toHaveLength(300);

      await stores.log.acknowledge(0, old[0]!.id, 1, NOTHING);
      expect(await read(stores)).toEqual([...old, ...young]);
      await stores.log.acknowledge(0, young[0]!.id, 1, NOTHING);
      expect(await stores.log.at(0, old[0]!.id)).toBeUndefined();
      expect(await read(stores, young[0]!.id)).toEqual(young.slice(1));
      expect(await stores.log.backlog()).toBe(299);
    });
  });

  describe('a log that grows too long', () => {
    it('loses its oldest delivered records, never what is not acknowledged', async () => {
      const stores = await openLog(open);
      for (let n = 0; n < 6; n++) {
        await stores.publish(...Array.from({ length: 200 }, (_, i) => `${n} ${i}`));
        const newest = (await read(stores)).at(-1)!;
        await until(async () => Date.now() > Number(newest.id.split('-')[0]));
      }
      const all = await read(stores);
      const short = { ms: HOUR.ms, records: 100 };
      await stores.log.acknowledge(0, all[300]!.id, 1, short);
      expect(await read(stores, all[300]!.id)).toEqual(all.slice(301));
      for (const record of all.slice(1_100, 1_150)) await stores.log.acknowledge(0, record.id, 1, short);
      expect(await read(stores, all[1_149]!.id)).toEqual(all.slice(1_150));
      expect(await stores.log.at(0, all[0]!.id)).toBeUndefined();
    });
  });

  describe('quarantine', () => {
    it('takes a record out of the log and off the node, and says which it holds', async () => {
      const stores = await openLog(open);
      await stores.publish('good', 'poison');
      const [good, poison] = await read(stores);
      await stores.log.quarantine(poison!, 'not-well-formed', 1);
      expect(await stores.log.quarantined(0)).toEqual(new Set([poison!.id]));
      expect(await stores.log.at(0, poison!.id)).toBeUndefined();
      expect(await stores.log.at(0, good!.id)).toEqual(good);
      expect(entriesOf(await newest(stores, ID, 10)).map(({ id }) => id)).toEqual(['good']);
      expect(await stores.items.byId(ID, [itemIdOf(ID, 'poison')])).toEqual([]);
    });

    it('leaves a later edit of the entry on the node', async () => {
      const stores = await openLog(open);
      await stores.publish('poison');
      const [poison] = await read(stores);
      await until(async () => Date.now() > Number(poison!.id.split('-')[0]));
      await look(stores, BLOG, [entryOf('poison', 'healed')]);
      await stores.log.quarantine(poison!, 'not-well-formed', 1);
      expect(entriesOf(await newest(stores, ID, 10))).toEqual([entryOf('poison', 'healed')]);
    });

    it('is for ever: the entry is not announced again while the feed shows it', async () => {
      const stores = await openLog(open);
      await stores.publish('poison');
      const [poison] = await read(stores);
      await stores.log.quarantine(poison!, 'not-well-formed', 1);
      await stores.publish('poison');
      expect(await read(stores, poison!.id)).toEqual([]);
    });

    it('is empty at the beginning', async () => {
      const { log } = await openLog(open);
      expect(await log.quarantined(0)).toEqual(new Set());
    });
  });

  describe('whoever holds an older token', () => {
    it('can neither acknowledge nor quarantine after a later holder has written', async () => {
      const stores = await openLog(open);
      await stores.publish('a', 'b');
      const [first, second] = await read(stores);
      await stores.log.acknowledge(0, first!.id, 7, HOUR);
      await expect(stores.log.acknowledge(0, second!.id, 6, HOUR)).rejects.toThrow(Fenced);
      await expect(stores.log.quarantine(second!, 'why', 6)).rejects.toThrow(Fenced);
      expect(await stores.log.position(0)).toBe(first!.id);
      expect(await stores.log.quarantined(0)).toEqual(new Set());
      expect(await newest(stores, ID, 10)).toHaveLength(2);
    });

    it('is fenced by a quarantine too', async () => {
      const stores = await openLog(open);
      await stores.publish('a');
      const [first] = await read(stores);
      await stores.log.quarantine(first!, 'why', 10);
      await expect(stores.log.acknowledge(0, first!.id, 9, HOUR)).rejects.toThrow(Fenced);
    });

    it('is not in the way of the one who holds it still, nor of a later one', async () => {
      const stores = await openLog(open);
      await stores.publish('a', 'b', 'c');
      const [first, second, third] = await read(stores);
      await stores.log.acknowledge(0, first!.id, 9, HOUR);
      await stores.log.acknowledge(0, second!.id, 9, HOUR);
      await stores.log.acknowledge(0, third!.id, 10, HOUR);
      expect(await stores.log.position(0)).toBe(third!.id);
    });
  });

  it('tells of commits that announce something', async () => {
    const stores = await open({ partitions: 4 });
    await openFeed(stores);
    const told = createInbox<number>('commits');
    stores.log.watch((partition) => {
      told.push(partition);
    });
    // A hint may be lost, before the subscription is there too.
    for (let n = 0; told.pending.length === 0; n++) {
      await publish(stores, [`${n}`]);
      await new Promise(setImmediate);
    }
    const partition = await told.take();
    expect(ids(await stores.log.read(partition, '0', 10))).toContain('0');
  });
});

it.each([
  ['1-0', '2-0', -1],
  ['2-0', '2-1', -1],
  ['9-9', '10-0', -1],
  ['5-10', '5-9', 1],
  ['5-3', '5-3', 0],
  ['0', '1-0', -1],
])('place %s compared with %s gives %i', (a, b, sign) => {
  expect(Math.sign(compareLogIds(a, b))).toBe(sign);
});

describe('in Redis', () => {
  const redis = throwawayRedis();

  it('tells of commits when it was asked to before its connection was ready, and nothing goes wrong on the way', async () => {
    const troubles: Error[] = [];
    const client = await redis.connect();
    const listener = openRedis([redis.server.url], 'patient', (error) => troubles.push(error));
    const stores = redisStores(client, listener, { partitions: 1 });
    // Connected, but still asking whether Redis has loaded its data.
    await new Promise((resolve) => listener.once('connect', resolve));
    const told = createInbox<number>('commits');
    stores.log.watch((partition) => {
      told.push(partition);
    });
    await openFeed(stores);
    for (let n = 0; told.pending.length === 0; n++) {
      await publish(stores, [`${n}`]);
      await new Promise(setImmediate);
    }
    listener.disconnect();
    expect(troubles).toEqual([]);
  });
});
