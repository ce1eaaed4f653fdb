import { describe, expect, it } from '@jest/globals';
import {
  contentHash,
  feedIdOf,
  itemIdOf,
  nodeIdOf,
  parseFeedUrl,
  type Feed,
  type FeedUrl,
} from '../../../lib/domain.js';
import type { Commit } from '../../../lib/store/feeds.js';
import type { Stores } from '../../support/memory.js';
import {
  BLOG,
  contract,
  entryOf,
  look,
  newest,
  NO_SOURCE,
  openFeed,
  redisStores,
  throwawayRedis,
  until,
} from '../../support/stores.js';

const ID = feedIdOf(BLOG);
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const item = (id: string) => itemIdOf(ID, id);
const urls = (n: number): FeedUrl[] =>
  Array.from({ length: n }, (_, i) => parseFeedUrl(`https://site${i}.example/feed`));

/** Every record of every partition, in order. */
async function logged({ log }: Stores) {
  const partitions = Array.from({ length: log.partitions }, (_, partition) => log.read(partition, '0', 10_000));
  return (await Promise.all(partitions)).flat();
}

/** All that a commit may write. */
async function everything(stores: Stores) {
  const { feeds, items } = stores;
  return {
    feed: await feeds.get(ID),
    known: await feeds.known(ID, [item('a'), item('b')]),
    items: await newest({ items }, ID, 100),
    log: await logged(stores),
    count: await feeds.count(),
  };
}

const freshWith = (feed: Feed, ...ids: string[]): Commit => ({
  feed,
  nextMs: HOUR_MS,
  outcome: {
    kind: 'fresh',
    source: NO_SOURCE,
    validators: { etag: '"1"' },
    body: 'hash',
    changes: {
      touched: [],
      changes: ids.map((id) => ({ item: item(id), hash: 'h', kind: 'new', entry: entryOf(id) })),
    },
  },
});

contract((open) => {
  describe('a feed becomes known', () => {
    it('once, and due at once', async () => {
      const { feeds } = await open();
      expect(await feeds.register(BLOG)).toBe(true);
      expect(await feeds.register(BLOG)).toBe(false);
      expect(await feeds.count()).toEqual({ feeds: 1, due: 1 });
      expect(await feeds.lease(10, HOUR_MS)).toEqual([ID]);
    });

    it('with nothing learned yet', async () => {
      const { feeds } = await open();
      const before = Date.now();
      await feeds.register(BLOG);
      const feed = (await feeds.get(ID))!;
      expect(feed).toEqual({
        id: ID,
        url: BLOG,
        node: nodeIdOf(BLOG),
        version: 0,
        failures: 0,
        validators: {},
        added: expect.any(Number),
      });
      expect(feed.added).toBeGreaterThanOrEqual(before);
      expect(feed.added).toBeLessThanOrEqual(Date.now());
    });

    it('and one that never was known is not found', async () => {
      const { feeds } = await open();
      expect(await feeds.get(ID)).toBeUndefined();
      expect(await feeds.known(ID, [item('a')])).toEqual(new Map());
    });

    it('registering again forgets nothing', async () => {
      const stores = await open();
      await look(stores, BLOG, [entryOf('a')]);
      const before = await stores.feeds.get(ID);
      expect(await stores.feeds.register(BLOG)).toBe(false);
      expect(await stores.feeds.get(ID)).toEqual(before);
      expect(await stores.feeds.count()).toEqual({ feeds: 1, due: 0 });
    });
  });

  describe('a commit', () => {
    it('writes feed, items, what is known, the log and the next look together', async () => {
      const stores = await open();
      await openFeed(stores);
      const before = (await stores.feeds.get(ID))!;
      expect(await stores.feeds.commit(freshWith(before, 'a', 'b'))).toBe('committed');
      const { feed, known, items, log, count } = await everything(stores);
      expect(feed).toMatchObject({
        version: before.version + 1,
        validators: { etag: '"1"' },
        body: 'hash',
        failures: 0,
      });
      expect(feed?.source).toEqual(NO_SOURCE);
      expect(feed?.read).toBeGreaterThanOrEqual(before.read!);
      expect(known).toEqual(new Map([item('a'), item('b')].map((id) => [id, 'h'])));
      expect(items.map(({ entry }) => entry)).toEqual([entryOf('b'), entryOf('a')]);
      expect(log).toEqual(
        ['a', 'b'].map((id) => ({
          id: expect.stringMatching(/^\d+-\d+$/),
          partition: log[0]!.partition,
          feed: ID,
          url: BLOG,
          item: item(id),
          kind: 'new',
          entry: entryOf(id),
          source: NO_SOURCE,
        })),
      );
      expect(count).toEqual({ feeds: 1, due: 0 });
    });

    it('computed from an older version is refused and writes nothing', async () => {
      const stores = await open();
      await openFeed(stores);
      const stale = (await stores.feeds.get(ID))!;
      await stores.feeds.commit(freshWith(stale, 'a'));
      const before = await everything(stores);
      expect(await stores.feeds.commit({ ...freshWith(stale, 'b'), nextMs: 0 })).toBe('conflict');
      expect(await everything(stores)).toEqual(before);
    });

    it('one of many from the same version goes through', async () => {
      const stores = await open();
      await openFeed(stores);
      const feed = (await stores.feeds.get(ID))!;
      const results = await Promise.all(
        ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((id) => stores.feeds.commit(freshWith(feed, id))),
      );
      expect(results.filter((result) => result === 'committed')).toHaveLength(1);
      expect(results.filter((result) => result === 'conflict')).toHaveLength(7);
      expect(await logged(stores)).toHaveLength(1);
      expect(await newest(stores, ID, 100)).toHaveLength(1);
    });

    it('to a feed that is not known is refused and writes nothing', async () => {
      const stores = await open();
      const feed: Feed = {
        id: ID,
        url: BLOG,
        node: nodeIdOf(BLOG),
        version: 0,
        validators: {},
        added: 0,
        failures: 0,
      };
      const before = await everything(stores);
      expect(await stores.feeds.commit(freshWith(feed, 'a'))).toBe('gone');
      expect(await everything(stores)).toEqual(before);
    });

    it('says when the next look is', async () => {
      const stores = await open();
      await look(stores, BLOG, [], 0);
      expect(await stores.feeds.count()).toEqual({ feeds: 1, due: 1 });
      await look(stores, BLOG, [], HOUR_MS);
      expect(await stores.feeds.count()).toEqual({ feeds: 1, due: 0 });
    });

    it('of another feed touches nothing of this one', async () => {
      const stores = await open();
      await openFeed(stores);
      await look(stores, BLOG, [entryOf('a')]);
      const before = await everything(stores);
      await openFeed(stores, parseFeedUrl('https://other.example/'));
      expect(await everything(stores)).toEqual({ ...before, count: { feeds: 2, due: 0 } });
    });
  });

  describe('the first reading', () => {
    it('is kept for retrieval and announced to nobody', async () => {
      const stores = await open();
      await look(stores, BLOG, [entryOf('c'), entryOf('b'), entryOf('a')]);
      expect((await newest(stores, ID, 10)).map(({ entry }) => entry.id)).toEqual(['c', 'b', 'a']);
      expect(await logged(stores)).toEqual([]);
    });

    it('that is longer than a node keeps is known all the same', async () => {
      const stores = await open({ itemsPerNode: 2 });
      const all = ['e', 'd', 'c', 'b', 'a'].map((id) => entryOf(id));
      await look(stores, BLOG, all);
      expect((await newest(stores, ID, 10)).map(({ entry }) => entry)).toEqual([entryOf('e'), entryOf('d')]);
      expect(
        (
          await stores.feeds.known(
            ID,
            all.map(({ id }) => item(id)),
          )
        ).size,
      ).toBe(5);
      await look(stores, BLOG, all);
      expect(await logged(stores)).toEqual([]);
    });

    it('has its latest entry announced to those who subscribed before', async () => {
      const stores = await open();
      await stores.feeds.register(BLOG);
      await stores.subscriptions.add({ feed: ID, jid: 'romeo@example.net', node: BLOG, since: 1 });
      await look(stores, BLOG, [entryOf('c'), entryOf('b'), entryOf('a')]);
      expect(await logged(stores)).toMatchObject([{ kind: 'first', item: item('c') }]);
      expect(await newest(stores, ID, 10)).toHaveLength(3);
    });

    it('announces nothing because of a subscriber of another feed', async () => {
      const stores = await open();
      await stores.subscriptions.add({ feed: 'firehose', jid: 'romeo@example.net', node: 'firehose', since: 1 });
      await look(stores, BLOG, [entryOf('a')]);
      expect(await logged(stores)).toEqual([]);
    });
  });

  describe('an entry', () => {
    it('that was edited keeps its ItemID, becomes the newest and is announced again', async () => {
      const stores = await open();
      await openFeed(stores);
      await look(stores, BLOG, [entryOf('b'), entryOf('a')]);
      await look(stores, BLOG, [entryOf('b'), entryOf('a', 'better')]);
      expect((await newest(stores, ID, 10)).map(({ id, entry }) => [id, entry.title?.value])).toEqual([
        [item('a'), 'better'],
        [item('b'), 'b'],
      ]);
      expect((await logged(stores)).map(({ item: of, kind }) => [of, kind])).toEqual([
        [item('a'), 'new'],
        [item('b'), 'new'],
        [item('a'), 'edited'],
      ]);
      expect((await stores.feeds.known(ID, [item('a')])).get(item('a'))).toBe(contentHash(entryOf('a', 'better')));
    });

    it('that is still shown is not announced again', async () => {
      const stores = await open();
      await openFeed(stores);
      await look(stores, BLOG, [entryOf('a')]);
      await look(stores, BLOG, [entryOf('a')]);
      expect(await logged(stores)).toHaveLength(1);
    });

    it('that vanished is kept, and no news when it comes back', async () => {
      const stores = await open();
      await openFeed(stores);
      await look(stores, BLOG, [entryOf('a')]);
      await look(stores, BLOG, []);
      expect(await newest(stores, ID, 10)).toHaveLength(1);
      await look(stores, BLOG, [entryOf('a')]);
      expect(await logged(stores)).toHaveLength(1);
    });

    it('is not kept beyond the number that a node keeps, but stays known', async () => {
      const stores = await open({ itemsPerNode: 3 });
      await openFeed(stores);
      const all = ['e', 'd', 'c', 'b', 'a'].map((id) => entryOf(id));
      await look(stores, BLOG, all);
      expect((await newest(stores, ID, 10)).map(({ entry }) => entry.id)).toEqual(['e', 'd', 'c']);
      expect(await stores.items.byId(ID, [item('a'), item('e')])).toMatchObject([{ id: item('e') }]);
      await look(stores, BLOG, all);
      expect(await logged(stores)).toHaveLength(5);
      await look(stores, BLOG, [entryOf('f')]);
      expect((await newest(stores, ID, 10)).map(({ entry }) => entry.id)).toEqual(['f', 'e', 'd']);
    });

    it('comes back as it was, whatever it holds', async () => {
      const stores = await open();
      await openFeed(stores);
      const entry = {
        ...entryOf('tag:ü 😀\0\n', '<b>“quoted” \\ "plain"</b>'),
        links: [{ href: 'https://x.example/', rel: 'enclosure', length: 12 }],
        media: [{ url: 'https://x.example/i.png', width: 1.5 }],
        truncated: true as const,
      };
      await look(stores, BLOG, [entry]);
      expect((await newest(stores, ID, 1))[0]?.entry).toEqual(entry);
      expect((await logged(stores))[0]?.entry).toEqual(entry);
    });
  });

  describe('a look that failed', () => {
    const failure = { reason: 'http-status', text: 'The server answered 503', status: 503, retryAfter: 9 } as const;
    const failed = async ({ feeds }: Stores) =>
      feeds.commit({ feed: (await feeds.get(ID))!, nextMs: HOUR_MS, outcome: { kind: 'failed', failure } });

    it('is counted, says why, and forgets nothing that was learned', async () => {
      const stores = await open();
      await openFeed(stores);
      await stores.feeds.commit(freshWith((await stores.feeds.get(ID))!, 'a'));
      const before = (await stores.feeds.get(ID))!;
      expect(await failed(stores)).toBe('committed');
      expect(await failed(stores)).toBe('committed');
      const after = (await stores.feeds.get(ID))!;
      expect(after).toEqual({
        ...before,
        version: before.version + 2,
        polled: after.polled,
        failures: 2,
        failure,
      });
      expect(after.polled).toBeGreaterThanOrEqual(before.polled!);
      expect(await logged(stores)).toHaveLength(1);
    });

    it('is forgotten after one that went well', async () => {
      const stores = await open();
      await openFeed(stores);
      await failed(stores);
      await look(stores, BLOG, []);
      const feed = await stores.feeds.get(ID);
      expect(feed?.failures).toBe(0);
      expect(feed).not.toHaveProperty('failure');
    });

    it('before the feed was ever read leaves it unread', async () => {
      const stores = await open();
      await stores.feeds.register(BLOG);
      await failed(stores);
      expect(await stores.feeds.get(ID)).not.toHaveProperty('read');
      expect(await stores.feeds.get(ID)).toHaveProperty('polled');
    });
  });

  describe('a look that found nothing changed', () => {
    const unchanged = async ({ feeds }: Stores, validators?: { readonly etag?: string }) =>
      feeds.commit({
        feed: (await feeds.get(ID))!,
        nextMs: HOUR_MS,
        outcome: { kind: 'unchanged', ...(validators && { validators }) },
      });

    it('went well, and keeps what is known', async () => {
      const stores = await open();
      await openFeed(stores);
      await stores.feeds.commit(freshWith((await stores.feeds.get(ID))!, 'a'));
      const before = (await stores.feeds.get(ID))!;
      expect(await unchanged(stores)).toBe('committed');
      const after = (await stores.feeds.get(ID))!;
      expect(after).toEqual({ ...before, version: before.version + 1, polled: after.polled, read: after.read });
      expect(after.read).toBe(after.polled);
    });

    it('may bring other validators', async () => {
      const stores = await open();
      await openFeed(stores);
      await stores.feeds.commit(freshWith((await stores.feeds.get(ID))!, 'a'));
      await unchanged(stores, { etag: '"2"' });
      expect((await stores.feeds.get(ID))?.validators).toEqual({ etag: '"2"' });
      await unchanged(stores, {});
      expect((await stores.feeds.get(ID))?.validators).toEqual({});
    });
  });

  describe('what is known', () => {
    it('is told of the entries that were asked for, and of no others', async () => {
      const stores = await open();
      await openFeed(stores);
      await look(stores, BLOG, [entryOf('b'), entryOf('a')]);
      expect(await stores.feeds.known(ID, [item('a'), item('c')])).toEqual(
        new Map([[item('a'), contentHash(entryOf('a'))]]),
      );
      expect(await stores.feeds.known(ID, [])).toEqual(new Map());
    });
  });

  describe('the schedule', () => {
    it('hands each due feed to one taker, up to the limit, whatever the partition', async () => {
      const { feeds } = await open();
      for (const url of urls(20)) await feeds.register(url);
      const taken = await Promise.all([feeds.lease(7, HOUR_MS), feeds.lease(7, HOUR_MS), feeds.lease(7, HOUR_MS)]);
      expect(taken.map((some) => some.length).sort()).toEqual([6, 7, 7]);
      expect(new Set(taken.flat())).toEqual(new Set(urls(20).map(feedIdOf)));
      expect(await feeds.lease(7, HOUR_MS)).toEqual([]);
      expect(await feeds.count()).toEqual({ feeds: 20, due: 0 });
    });

    it('takes nothing when nothing is asked for', async () => {
      const { feeds } = await open();
      await feeds.register(BLOG);
      expect(await feeds.lease(0, HOUR_MS)).toEqual([]);
      expect(await feeds.count()).toEqual({ feeds: 1, due: 1 });
    });

    it('takes nothing before it is due', async () => {
      const stores = await open();
      for (const url of urls(5)) await look(stores, url, [], HOUR_MS);
      expect(await stores.feeds.lease(10, HOUR_MS)).toEqual([]);
    });

    it('has a feed due again by itself when its lease is over', async () => {
      const { feeds } = await open();
      await feeds.register(BLOG);
      expect(await feeds.lease(10, 0)).toEqual([ID]);
      expect(await feeds.lease(10, HOUR_MS)).toEqual([ID]);
      expect(await feeds.lease(10, HOUR_MS)).toEqual([]);
    });

    it('lets a commit say otherwise before', async () => {
      const stores = await open();
      await stores.feeds.register(BLOG);
      await stores.feeds.lease(10, 0);
      await look(stores, BLOG, [], HOUR_MS);
      expect(await stores.feeds.lease(10, HOUR_MS)).toEqual([]);
    });

    it('leaves to chance who is taken', async () => {
      const first = async (chance: number) => {
        const { feeds } = await open({ partitions: 1, random: () => chance });
        for (const url of urls(8)) await feeds.register(url);
        await feeds.lease(8, 0); // now all are due since the same moment
        return feeds.lease(1, HOUR_MS);
      };
      expect(await first(0)).toHaveLength(1);
      expect(await first(0)).not.toEqual(await first(0.999));
    });

    it('reads no partition always first', async () => {
      const { feeds } = await open({ partitions: 4 });
      for (const url of urls(40)) await feeds.register(url);
      const first = new Set<string>();
      await until(async () => {
        for (const id of await feeds.lease(3, 0)) first.add(id);
        return first.size === 40;
      });
      expect(first.size).toBe(40);
    });
  });

  describe('pings of one feed', () => {
    it('are one look now, and one for all that come in the time after it', async () => {
      const { feeds } = await open();
      await feeds.register(BLOG);
      const first = await feeds.ping(ID, HOUR_MS);
      expect(first.delayMs).toBe(0);
      const [second, third] = [await feeds.ping(ID, HOUR_MS), await feeds.ping(ID, HOUR_MS)];
      expect(second.delayMs).toBeGreaterThan(0);
      expect(second.delayMs).toBeLessThanOrEqual(HOUR_MS);
      expect(second.slot).not.toBe(first.slot);
      expect(third.slot).toBe(second.slot);
    });

    it('are acted on at once again when that time is over', async () => {
      const { feeds } = await open();
      await feeds.register(BLOG);
      const { slot } = await feeds.ping(ID, 1);
      let next = await feeds.ping(ID, 1);
      await until(async () => (next = await feeds.ping(ID, 1)).delayMs === 0 && !next.slot.endsWith('-after'));
      expect(next.slot).not.toBe(slot);
    });

    it('do not delay those of another', async () => {
      const { feeds } = await open();
      const other = parseFeedUrl('https://other.example/');
      for (const url of [BLOG, other]) await feeds.register(url);
      await feeds.ping(ID, HOUR_MS);
      expect((await feeds.ping(feedIdOf(other), HOUR_MS)).delayMs).toBe(0);
    });
  });

  describe('the directory', () => {
    it.each([1, 3, 7, 100])('in pages of %i has every feed once, in an order that stays', async (limit) => {
      const { feeds } = await open({ partitions: 5 });
      for (const url of urls(23)) await feeds.register(url);
      const read = async () => {
        const seen: string[] = [];
        for (let page = await feeds.list(undefined, limit); page.length > 0;) {
          expect(page.length).toBeLessThanOrEqual(limit);
          expect(seen.length).toBeLessThan(23);
          seen.push(...page.map(({ url }) => url));
          page = await feeds.list(page.at(-1)!.id, limit);
        }
        return seen;
      };
      const seen = await read();
      expect([...seen].sort()).toEqual([...urls(23)].sort());
      expect(await read()).toEqual(seen);
    });

    it('gives whole feeds', async () => {
      const { feeds } = await open();
      await feeds.register(BLOG);
      expect(await feeds.list(undefined, 10)).toEqual([await feeds.get(ID)]);
      expect(await feeds.list(ID, 10)).toEqual([]);
    });
  });
});

describe('in Redis alone', () => {
  const redis = throwawayRedis();

  it('a full Redis refuses the whole commit', async () => {
    const client = await redis.connect();
    const stores = redisStores(client, client);
    await openFeed(stores);
    const before = await everything(stores);
    await client.config('SET', 'maxmemory', '1');
    await expect(stores.feeds.commit(freshWith(before.feed!, 'a'))).rejects.toThrow(/^OOM /);
    expect(await everything(stores)).toEqual(before);
    await client.config('SET', 'maxmemory', '0');
    expect(await stores.feeds.commit(freshWith(before.feed!, 'a'))).toBe('committed');
  });

  it('entries not shown for sixty days are forgotten, once they are many', async () => {
    const client = await redis.connect();
    await client.flushall();
    let today = 20_000;
    const stores = redisStores(client, client, { now: () => today * DAY_MS });
    await openFeed(stores);
    const old = Array.from({ length: 2_100 }, (_, i) => entryOf(`old ${i}`));
    await look(stores, BLOG, [...old, entryOf('shown')]);
    const isKnown = async (id: string) => (await stores.feeds.known(ID, [item(id)])).size === 1;

    today += 60;
    await look(stores, BLOG, [entryOf('shown')]);
    expect(await isKnown('old 0')).toBe(true);
    today += 1;
    await look(stores, BLOG, []);
    expect(await isKnown('old 0')).toBe(false);
    expect(await isKnown('old 2099')).toBe(false);
    expect(await isKnown('shown')).toBe(true);
  });

  it('a large feed goes into one commit', async () => {
    const client = await redis.connect();
    await client.flushall();
    const stores = redisStores(client, client);
    await openFeed(stores);
    await look(
      stores,
      BLOG,
      Array.from({ length: 10_000 }, (_, i) => entryOf(`${i}`, 'x'.repeat(500))),
    );
    expect(await logged(stores)).toHaveLength(10_000);
    expect(await newest(stores, ID, 100)).toHaveLength(20);
  });
});
