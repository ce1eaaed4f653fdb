import { describe, expect, it } from '@jest/globals';
import { feedIdOf, itemIdOf, ownNodeIdOf, parseFeedUrl, type ItemId } from '../../../lib/domain.js';
import type { ItemOrder } from '../../../lib/store/items.js';
import { createKeys } from '../../../lib/store/keys.js';
import type { Stores } from '../../support/memory.js';
import {
  BLOG,
  contract,
  entriesOf,
  entryOf,
  look,
  NO_SOURCE,
  openFeed,
  redisStores,
  throwawayRedis,
} from '../../support/stores.js';

const ID = feedIdOf(BLOG);
const NODE = ownNodeIdOf('news');
const JULIET = 'juliet@example.com';
const HOUR_MS = 3_600_000;
const item = (id: string) => itemIdOf(ID, id);
const ids = (...texts: string[]) => texts as ItemId[];

const KEEP = { persist: true, keep: 20, announce: false };
const publish = ({ items }: Stores, id: string, payload: string, how: { persist?: boolean; keep?: number } = {}) =>
  items.publish(NODE, [{ id: id as ItemId, payload, publisher: JULIET }], { ...KEEP, ...how });

/** All that a node holds, the oldest first. */
const heldBy = async ({ items }: Stores, node = NODE) => (await items.page(node, { limit: 1_000 }))!.entries;

/** What the log says, without where. */
async function told({ log }: Stores) {
  const partitions = Array.from({ length: log.partitions }, (_, partition) => log.read(partition, '0', 10_000));
  return (await Promise.all(partitions)).flat().map(({ id: _, partition: __, ...record }) => record);
}

contract((open) => {
  const withNode = async () => {
    const stores = await open();
    await stores.nodes.create('news', JULIET, {});
    return stores;
  };
  const withPublished = async (...published: string[]) => {
    const stores = await withNode();
    for (const id of published) await publish(stores, id, `<${id}/>`, { persist: true, keep: 1_000 });
    return stores;
  };

  const withItems = async () => {
    const stores = await open();
    await openFeed(stores);
    await look(stores, BLOG, [entryOf('c'), entryOf('b'), entryOf('a')]);
    return stores.items;
  };

  it.each([
    ['the beginning', { limit: 2 }, ['a', 'b'], 0],
    ['all of it', { limit: 10 }, ['a', 'b', 'c'], 0],
    ['what comes after an item', { limit: 10, after: item('a') }, ['b', 'c'], 1],
    ['what comes right after an item', { limit: 1, after: item('a') }, ['b'], 1],
    ['nothing after the last one', { limit: 10, after: item('c') }, [], 3],
    ['the end', { limit: 2, before: '' }, ['b', 'c'], 1],
    ['what comes before an item', { limit: 10, before: item('c') }, ['a', 'b'], 0],
    ['what comes right before an item', { limit: 1, before: item('c') }, ['b'], 1],
    ['nothing before the first one', { limit: 10, before: item('a') }, [], 0],
    ['nothing but the count', { limit: 0 }, [], 0],
    ['nothing but the count, from the end', { limit: 0, before: '' }, [], 3],
  ])('pages through a node, oldest first: %s', async (_, ask, expected, index) => {
    const page = await (await withItems()).page(ID, ask);
    expect(page).toMatchObject({ index, count: 3 });
    expect(entriesOf(page!.entries).map(({ id }) => id)).toEqual(expected);
  });

  it('knows no page at an item that it does not hold', async () => {
    const items = await withItems();
    expect(await items.page(ID, { limit: 1, after: item('nowhere') })).toBeUndefined();
    expect(await items.page(ID, { limit: 1, before: item('nowhere') })).toBeUndefined();
    expect(await items.byId(ID, [])).toEqual([]);
  });

  it('gives those asked for by id, in the order asked for, without those it does not hold', async () => {
    const items = await withItems();
    const found = await items.byId(ID, [item('b'), item('nowhere'), item('c')]);
    expect(found.map(({ id }) => id)).toEqual([item('b'), item('c')]);
  });

  it('says when an item was committed', async () => {
    const before = Date.now();
    const [last] = (await (await withItems()).page(ID, { limit: 1, before: '' }))!.entries;
    expect(last).toEqual({ id: item('c'), at: last!.at, entry: entryOf('c') });
    expect(last!.at).toBeGreaterThanOrEqual(before);
    expect(last!.at).toBeLessThanOrEqual(Date.now());
  });

  it('holds nothing of another feed', async () => {
    const items = await withItems();
    const other = feedIdOf(parseFeedUrl('https://other.example/'));
    expect(await items.page(other, { limit: 10 })).toEqual({ entries: [], index: 0, count: 0 });
    expect(await items.byId(other, [item('a')])).toEqual([]);
  });

  describe('in the order in which items were first published', () => {
    const ask = { limit: 10 };
    const titles = async (stores: Stores, by?: ItemOrder) =>
      entriesOf((await stores.items.page(ID, ask, by))!.entries).map(({ title }) => title?.value);

    const edited = async (itemsPerNode?: number) => {
      const stores = await open(itemsPerNode === undefined ? {} : { itemsPerNode });
      await openFeed(stores);
      await look(stores, BLOG, [entryOf('c'), entryOf('b'), entryOf('a')]);
      await look(stores, BLOG, [entryOf('a', 'better a')]);
      await look(stores, BLOG, [entryOf('b', 'better b')]);
      await look(stores, BLOG, [entryOf('a', 'best a')]);
      return stores;
    };

    it('an edited one stays where it was, while by modification it is the newest', async () => {
      const stores = await edited();
      expect(await titles(stores, 'creation')).toEqual(['best a', 'better b', 'c']);
      expect(await titles(stores, 'modification')).toEqual(['c', 'better b', 'best a']);
      expect(await titles(stores)).toEqual(['c', 'better b', 'best a']);
    });

    it.each([
      ['what comes after an item', { limit: 10, after: item('a') }, ['b', 'c'], 1],
      ['what comes right before an item', { limit: 1, before: item('c') }, ['b'], 1],
      ['the end', { limit: 2, before: '' }, ['b', 'c'], 1],
      ['nothing after the last one', { limit: 10, after: item('c') }, [], 3],
      ['nothing but the count', { limit: 0 }, [], 0],
    ])('there are pages too: %s', async (_, part, expected, index) => {
      const page = await (await edited()).items.page(ID, part, 'creation');
      expect(page).toMatchObject({ index, count: 3 });
      expect(entriesOf(page!.entries).map(({ id }) => id)).toEqual(expected);
    });

    it('there is no page at an item that is not held', async () => {
      const stores = await edited();
      expect(await stores.items.page(ID, { limit: 1, after: item('nowhere') }, 'creation')).toBeUndefined();
    });

    /** An edit of an entry that the node does not hold any more. */
    async function announceAgain({ feeds }: Stores) {
      const seen = { link: '', words: 'worded', hashes: ['saidmore'] };
      const entry = entryOf('a', 'a once more');
      const changes = { touched: [], left: 0, changes: [{ item: item('a'), seen, kind: 'edited', entry }] } as const;
      const outcome = { kind: 'pushed', source: NO_SOURCE, changes } as const;
      await feeds.commit({ feed: (await feeds.get(ID))!, outcome });
    }

    it('one that went and came back is as new as any', async () => {
      const stores = await edited();
      await stores.items.retract(ID, [item('a')], false);
      await announceAgain(stores);
      expect(await titles(stores, 'creation')).toEqual(['better b', 'c', 'a once more']);
    });

    it('one that there was no more room for does not count', async () => {
      const stores = await edited(3);
      await look(stores, BLOG, [entryOf('f'), entryOf('e'), entryOf('d')]);
      expect(await titles(stores, 'creation')).toEqual(['d', 'e', 'f']);
      await announceAgain(stores);
      expect(await titles(stores, 'creation')).toEqual(['e', 'f', 'a once more']);
    });
  });

  describe('publishing on a node without a feed', () => {
    it('takes several items at once, and tells of what they push out behind them', async () => {
      const stores = await withNode();
      const items = ['a', 'b', 'c'].map((id) => ({ id: id as ItemId, payload: `<${id}/>`, publisher: JULIET }));
      await stores.items.publish(NODE, items.slice(0, 2), { persist: true, keep: 2, announce: true });
      await stores.items.publish(NODE, items.slice(2), { persist: true, keep: 2, announce: true });
      expect((await heldBy(stores)).map(({ id }) => id)).toEqual(['b', 'c']);
      const kinds = (await told(stores)).map((record) =>
        'items' in record ? record.items : 'item' in record && record.item,
      );
      expect(kinds).toEqual(['a', 'b', 'c', ['a']]);
    });

    it('keeps the item and tells of it in one step', async () => {
      const stores = await withNode();
      const before = Date.now();
      expect(await publish(stores, 'a', '<a/>')).toBe(true);
      const [held] = await heldBy(stores);
      expect(held).toEqual({ id: 'a', at: held!.at, payload: '<a/>', publisher: JULIET });
      expect(held!.at).toBeGreaterThanOrEqual(before);
      expect(held!.at).toBeLessThanOrEqual(Date.now());
      expect(await told(stores)).toEqual([
        { kind: 'published', feed: NODE, item: 'a', payload: '<a/>', publisher: JULIET },
      ]);
    });

    it('replaces an item with the same id, which becomes the newest', async () => {
      const stores = await withNode();
      for (const id of ['a', 'b', 'a']) await publish(stores, id, `<${id} n='${(await heldBy(stores)).length}'/>`);
      expect(await heldBy(stores)).toMatchObject([
        { id: 'b', payload: "<b n='1'/>" },
        { id: 'a', payload: "<a n='2'/>" },
      ]);
      expect(await told(stores)).toHaveLength(3);
      const page = await stores.items.page(NODE, { limit: 10 }, 'creation');
      expect(page?.entries.map(({ id }) => id)).toEqual(['a', 'b']);
    });

    it('lets go of what is more than is kept, the oldest first', async () => {
      const stores = await withNode();
      for (const id of ['a', 'b', 'a', 'c', 'd']) await publish(stores, id, '<x/>', { persist: true, keep: 3 });
      expect((await heldBy(stores)).map(({ id }) => id)).toEqual(['a', 'c', 'd']);
      await publish(stores, 'e', '<x/>', { persist: true, keep: 1 });
      expect((await heldBy(stores)).map(({ id }) => id)).toEqual(['e']);
      expect((await told(stores)).map(({ kind }) => kind)).toEqual(Array(6).fill('published'));
    });

    it('lets go of all that is more, however many these are', async () => {
      const stores = await withNode();
      const many = ids(...Array.from({ length: 2_503 }, (_, i) => `${i}`));
      const published = many.map((id) => ({ id, payload: '<x/>', publisher: JULIET }));
      for (const some of [published.slice(0, 1_000), published]) {
        await stores.items.publish(NODE, some, { ...KEEP, keep: 1_000 });
      }
      await stores.nodes.configure(NODE, { maxItems: 3 }, false);
      const last = many.slice(-3);
      expect((await stores.items.byId(NODE, many)).map(({ id }) => id)).toEqual(last);
      for (const by of ['creation', 'modification'] as const) {
        const page = await stores.items.page(NODE, { limit: 10 }, by);
        expect(page?.entries.map(({ id }) => id)).toEqual(last);
      }
    });

    it('only tells of it where no items are kept, even when there is nothing in it', async () => {
      const stores = await withNode();
      expect(await publish(stores, '', '', { persist: false, keep: 20 })).toBe(true);
      expect(await heldBy(stores)).toEqual([]);
      expect(await told(stores)).toEqual([{ kind: 'published', feed: NODE, item: '', payload: '', publisher: JULIET }]);
    });

    it('is refused where there is no such node, and on the node of a feed', async () => {
      const stores = await open();
      await openFeed(stores);
      expect(await publish(stores, 'a', '<a/>')).toBe(false);
      const item = { id: 'a' as ItemId, payload: '<a/>', publisher: JULIET };
      expect(await stores.items.publish(ID, [item], KEEP)).toBe(false);
      expect(await heldBy(stores)).toEqual([]);
      expect(await heldBy(stores, ID)).toEqual([]);
      expect(await told(stores)).toEqual([]);
    });

    it('gives back whatever was published, as it was', async () => {
      const stores = await withNode();
      const [id, payload] = ['ü 😀 "quoted" \\ /', '<a b="\'">\n\t“ü” 😀 \\ </a>'];
      await publish(stores, id, payload);
      expect(await stores.items.byId(NODE, [id as ItemId])).toMatchObject([{ id, payload, publisher: JULIET }]);
      expect(await told(stores)).toMatchObject([{ item: id, payload }]);
      expect(await stores.items.retract(NODE, [id as ItemId], true)).toEqual([id]);
      expect((await told(stores))[1]).toMatchObject({ kind: 'retracted', items: [id] });
    });
  });

  describe('retracting', () => {
    it('takes away those that are there, and tells of them in one record', async () => {
      const stores = await withPublished('a', 'b', 'c');
      expect(await stores.items.retract(NODE, ids('c', 'nowhere', 'a', 'c'), true)).toEqual(['c', 'a']);
      expect((await heldBy(stores)).map(({ id }) => id)).toEqual(['b']);
      expect((await told(stores)).slice(3)).toEqual([{ kind: 'retracted', feed: NODE, items: ['c', 'a'] }]);
    });

    it('tells of nothing when nothing was there, or nobody is to hear of it', async () => {
      const stores = await withPublished('a');
      expect(await stores.items.retract(NODE, ids('nowhere'), true)).toEqual([]);
      expect(await stores.items.retract(NODE, [], true)).toEqual([]);
      expect(await stores.items.retract(NODE, ids('a'), false)).toEqual(['a']);
      expect(await heldBy(stores)).toEqual([]);
      expect(await told(stores)).toHaveLength(1);
    });

    it('takes a feed’s item away for good: the entry is no news while the feed shows it', async () => {
      const stores = await open();
      await openFeed(stores);
      await look(stores, BLOG, [entryOf('a')]);
      expect(await stores.items.retract(ID, [item('a')], true)).toEqual([item('a')]);
      await look(stores, BLOG, [entryOf('a')]);
      expect(await heldBy(stores, ID)).toEqual([]);
      expect((await told(stores)).map(({ kind }) => kind)).toEqual(['new', 'retracted']);
    });
  });

  describe('retracting what is older', () => {
    it('leaves what is not', async () => {
      const stores = await withPublished('a', 'b');
      expect(await stores.items.retractOlder(NODE, HOUR_MS, true)).toBe(0);
      expect(await heldBy(stores)).toHaveLength(2);
      expect(await told(stores)).toHaveLength(2);
    });

    it('takes all of it, a hundred at once, the oldest first, and tells of them together', async () => {
      const stores = await withPublished(...Array.from({ length: 101 }, (_, i) => `${i}`));
      expect(await stores.items.retractOlder(NODE, -HOUR_MS, true)).toBe(100);
      expect((await heldBy(stores)).map(({ id }) => id)).toEqual(['100']);
      expect(await stores.items.retractOlder(NODE, -HOUR_MS, false)).toBe(1);
      expect(await stores.items.retractOlder(NODE, -HOUR_MS, true)).toBe(0);
      const after = (await told(stores)).slice(101);
      expect(after).toEqual([{ kind: 'retracted', feed: NODE, items: Array.from({ length: 100 }, (_, i) => `${i}`) }]);
    });

    it('finds nothing where nothing is', async () => {
      const stores = await open();
      expect(await stores.items.retractOlder(NODE, 0, true)).toBe(0);
      expect(await told(stores)).toEqual([]);
    });
  });

  describe('purging', () => {
    it('takes everything away and tells of it in one record', async () => {
      const stores = await withPublished('a', 'b', 'a');
      await stores.items.purge(NODE, true);
      expect(await heldBy(stores)).toEqual([]);
      expect(await stores.items.page(NODE, { limit: 1 }, 'creation')).toEqual({ entries: [], index: 0, count: 0 });
      expect((await told(stores)).slice(3)).toEqual([{ kind: 'purged', feed: NODE }]);
      await publish(stores, 'b', '<b/>');
      await publish(stores, 'a', '<a/>');
      const page = await stores.items.page(NODE, { limit: 10 }, 'creation');
      expect(page?.entries.map(({ id }) => id)).toEqual(['b', 'a']);
    });

    it('tells nobody where nobody is to hear of it, and of no node that is not there', async () => {
      const stores = await withPublished('a');
      await stores.items.purge(NODE, false);
      await stores.items.purge(ID, true);
      expect(await heldBy(stores)).toEqual([]);
      expect(await told(stores)).toHaveLength(1);
    });
  });
});

describe('in Redis alone', () => {
  const redis = throwawayRedis();

  it('what was published longer ago is retracted, and what was not is left', async () => {
    const client = await redis.connect();
    const stores = redisStores(client, client);
    await stores.nodes.create('news', JULIET, {});
    for (const id of ['a', 'b', 'c']) await publish(stores, id, `<${id}/>`);
    const key = createKeys(4).items(NODE);
    for (const id of ['a', 'b']) {
      const [held] = await stores.items.byId(NODE, ids(id));
      await client.hset(key, id, JSON.stringify({ at: held!.at - HOUR_MS, payload: `<${id}/>`, publisher: JULIET }));
    }
    expect(await stores.items.retractOlder(NODE, HOUR_MS / 2, true)).toBe(2);
    expect((await heldBy(stores)).map(({ id }) => id)).toEqual(['c']);
    expect((await told(stores)).at(-1)).toMatchObject({ kind: 'retracted', items: ['a', 'b'] });
  });
});
