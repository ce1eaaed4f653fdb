import { describe, expect, it } from '@jest/globals';
import { FIREHOSE, feedIdOf, itemIdOf, nodeIdOf, parseFeedUrl, type Feed, type FeedUrl } from '../../../lib/domain.js';
import type { Seen } from '../../../lib/changes.js';
import { FORGET_FEED_MS, type Commit, type Facts } from '../../../lib/store/feeds.js';
import type { Stores } from '../../support/memory.js';
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
  subscriptionOf,
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

/** The ids of the entries that the node holds, the newest first. */
const shown = async (stores: Stores) => entriesOf(await newest(stores, ID, 100)).map(({ id }) => id);

/** All that a commit may write. */
async function everything(stores: Stores) {
  const { feeds, items } = stores;
  return {
    feed: await feeds.get(ID),
    known: await feeds.known(ID),
    items: await newest({ items }, ID, 100),
    log: await logged(stores),
    count: await feeds.count(),
  };
}

/** What is remembered of an entry that has said these things. */
const seenAs = (...hashes: string[]): Seen => ({ link: 'linked', words: 'worded', hashes });

const freshOutcome = (...ids: string[]): Commit['outcome'] => ({
  kind: 'fresh',
  source: NO_SOURCE,
  validators: { etag: '"1"' },
  body: 'hash',
  changes: {
    touched: [],
    left: 0,
    changes: ids.map((id) => ({ item: item(id), seen: seenAs('saidonce'), kind: 'new', entry: entryOf(id) })),
  },
});

const freshWith = (feed: Feed, ...ids: string[]): Commit => ({
  feed,
  nextMs: HOUR_MS,
  outcome: freshOutcome(...ids),
});

const take = async ({ feeds }: Stores, holder: string, ms: number) => (await feeds.take([ID], holder, ms)).get(ID)!;

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
      expect(await feeds.known(ID)).toEqual(new Map());
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
      expect(known).toEqual(new Map([item('a'), item('b')].map((id) => [id, seenAs('saidonce')])));
      expect(entriesOf(items)).toEqual([entryOf('b'), entryOf('a')]);
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
      await stores.subscriptions.put(subscriptionOf(ID));
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
      expect(await shown(stores)).toEqual(['c', 'b', 'a']);
      expect(await logged(stores)).toEqual([]);
    });

    it('that is longer than a node keeps is known all the same', async () => {
      const stores = await open({ itemsPerNode: 2 });
      const all = ['e', 'd', 'c', 'b', 'a'].map((id) => entryOf(id));
      await look(stores, BLOG, all);
      expect(entriesOf(await newest(stores, ID, 10))).toEqual([entryOf('e'), entryOf('d')]);
      expect((await stores.feeds.known(ID)).size).toBe(5);
      await look(stores, BLOG, all);
      expect(await logged(stores)).toEqual([]);
    });

    it('has its latest entry announced to those who subscribed before', async () => {
      const stores = await open();
      await stores.feeds.register(BLOG);
      await stores.subscriptions.put(subscriptionOf(ID));
      await look(stores, BLOG, [entryOf('c'), entryOf('b'), entryOf('a')]);
      expect(await logged(stores)).toMatchObject([{ kind: 'first', item: item('c') }]);
      expect(await newest(stores, ID, 10)).toHaveLength(3);
    });

    it('announces nothing because of a subscriber of another feed', async () => {
      const stores = await open();
      await stores.subscriptions.put(subscriptionOf(FIREHOSE));
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
      expect(await newest(stores, ID, 10)).toMatchObject([
        { id: item('a'), entry: entryOf('a', 'better') },
        { id: item('b'), entry: entryOf('b') },
      ]);
      expect(await logged(stores)).toMatchObject([
        { item: item('a'), kind: 'new' },
        { item: item('b'), kind: 'new' },
        { item: item('a'), kind: 'edited' },
      ]);
      expect((await stores.feeds.known(ID)).get(item('a'))?.hashes).toHaveLength(2);
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
      expect(await shown(stores)).toEqual(['e', 'd', 'c']);
      expect(await stores.items.byId(ID, [item('a'), item('e')])).toMatchObject([{ id: item('e') }]);
      await look(stores, BLOG, all);
      expect(await logged(stores)).toHaveLength(5);
      await look(stores, BLOG, [entryOf('f')]);
      expect(await shown(stores)).toEqual(['f', 'e', 'd']);
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
      expect(entriesOf(await newest(stores, ID, 1))).toEqual([entry]);
      expect(await logged(stores)).toEqual([expect.objectContaining({ entry })]);
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
        failing: after.failing,
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
      expect(feed).not.toHaveProperty('failing');
    });

    it('has the feed failing since the first one in a row', async () => {
      const stores = await open();
      await openFeed(stores);
      await failed(stores);
      const first = (await stores.feeds.get(ID))!;
      expect(first.failing).toBe(first.polled);
      await until(async () => Date.now() > first.failing!);
      await failed(stores);
      const second = (await stores.feeds.get(ID))!;
      expect(second.polled).toBeGreaterThan(first.polled!);
      expect(second.failing).toBe(first.failing);
      await stores.feeds.commit({ feed: second, nextMs: HOUR_MS, outcome: { kind: 'unchanged' } });
      expect(await stores.feeds.get(ID)).not.toHaveProperty('failing');
      await failed(stores);
      expect((await stores.feeds.get(ID))?.failing).toBeGreaterThan(first.failing!);
    });

    it('before the feed was ever read leaves it unread', async () => {
      const stores = await open();
      await stores.feeds.register(BLOG);
      await failed(stores);
      expect(await stores.feeds.get(ID)).not.toHaveProperty('read');
      expect(await stores.feeds.get(ID)).toHaveProperty('polled');
    });
  });

  describe('the state of a feed', () => {
    const failure = { reason: 'http-status', text: 'The server answered 410', status: 410 } as const;
    const gone = { state: 'gone', failure } as const;
    const outcomes: readonly Commit['outcome'][] = [
      { kind: 'failed', failure, status: gone },
      { kind: 'unchanged', status: gone },
      { ...freshOutcome('a', 'b'), status: gone },
    ];

    it.each(outcomes)(
      'is told by one record, ahead of the entries, when a look that is $kind says so',
      async (outcome) => {
        const stores = await open();
        await openFeed(stores);
        await stores.feeds.commit({ feed: (await stores.feeds.get(ID))!, nextMs: HOUR_MS, outcome });
        const [record, ...others] = await logged(stores);
        const { id, partition } = record!;
        expect(record).toEqual({ id, partition, feed: ID, url: BLOG, kind: 'status', status: gone });
        expect(others).toMatchObject(outcome.kind === 'fresh' ? [{ item: item('a') }, { item: item('b') }] : []);
      },
    );

    it('is not told by a commit that is refused', async () => {
      const stores = await open();
      await openFeed(stores);
      const stale = (await stores.feeds.get(ID))!;
      await look(stores, BLOG, []);
      const told = { feed: stale, nextMs: HOUR_MS, facts: { told: 'gone' }, outcome: outcomes[0]! } as const;
      expect(await stores.feeds.commit(told)).toBe('conflict');
      expect(await logged(stores)).toEqual([]);
      expect(await stores.feeds.get(ID)).not.toHaveProperty('told');
    });

    it('that subscribers were told of is kept until it is over', async () => {
      const stores = await open();
      await openFeed(stores);
      const commit = async (facts: Facts) => {
        const feed = (await stores.feeds.get(ID))!;
        await stores.feeds.commit({ feed, nextMs: HOUR_MS, facts, outcome: { kind: 'failed', failure } });
        return (await stores.feeds.get(ID))?.told;
      };
      expect(await commit({})).toBeUndefined();
      expect(await commit({ told: 'failing' })).toBe('failing');
      expect(await commit({})).toBe('failing');
      expect(await commit({ told: 'gone' })).toBe('gone');
      await look(stores, BLOG, []);
      expect((await stores.feeds.get(ID))?.told).toBe('gone');
      expect(await commit({ told: null })).toBeUndefined();
    });
  });

  describe('entries that are pushed', () => {
    const pushed = (feed: Feed, ...ids: string[]): Commit => {
      const { changes, source } = freshOutcome(...ids) as Extract<Commit['outcome'], { kind: 'fresh' }>;
      return { feed, outcome: { kind: 'pushed', source, changes } };
    };

    it('are known, held and announced like those that a look has found', async () => {
      const stores = await open();
      await openFeed(stores);
      expect(await stores.feeds.commit(pushed((await stores.feeds.get(ID))!, 'a', 'b'))).toBe('committed');
      const { known, items, log } = await everything(stores);
      expect(known).toEqual(new Map([item('a'), item('b')].map((id) => [id, seenAs('saidonce')])));
      expect(entriesOf(items)).toEqual([entryOf('b'), entryOf('a')]);
      expect(log).toMatchObject(['a', 'b'].map((id) => ({ kind: 'new', item: item(id), source: NO_SOURCE })));
    });

    it('say nothing of the feed itself', async () => {
      const stores = await open();
      await stores.feeds.register(BLOG);
      await stores.subscriptions.put(subscriptionOf(ID));
      for (const outcome of [freshOutcome(), { kind: 'failed', failure: { reason: 'dns', text: 'No.' } } as const]) {
        const source = { ...NO_SOURCE, title: { type: 'text', value: 'A blog' } } as const;
        const shown = outcome.kind === 'fresh' ? { ...outcome, source } : outcome;
        await stores.feeds.commit({ feed: (await stores.feeds.get(ID))!, nextMs: 0, outcome: shown });
        const before = (await stores.feeds.get(ID))!;
        await until(async () => Date.now() > before.polled!);
        await stores.feeds.commit(pushed(before, 'a'));
        expect(await stores.feeds.get(ID)).toEqual({ ...before, version: before.version + 1 });
        expect(await stores.feeds.count()).toEqual({ feeds: 1, due: 1 });
      }
    });

    it('leave a feed unread that never was read', async () => {
      const stores = await open();
      await stores.feeds.register(BLOG);
      const before = (await stores.feeds.get(ID))!;
      await stores.feeds.commit(pushed(before, 'a'));
      expect(await stores.feeds.get(ID)).toEqual({ ...before, version: 1 });
    });

    it('are refused when a look was committed meanwhile, and so is a look when they were', async () => {
      const stores = await open();
      await openFeed(stores);
      const stale = (await stores.feeds.get(ID))!;
      expect(await stores.feeds.commit(pushed(stale, 'a'))).toBe('committed');
      expect(await stores.feeds.commit(pushed(stale, 'b'))).toBe('conflict');
      expect(await stores.feeds.commit(freshWith(stale, 'b'))).toBe('conflict');
      expect(await shown(stores)).toEqual(['a']);
    });
  });

  it('where a feed is moving to is kept until it is said to be over', async () => {
    const stores = await open();
    await openFeed(stores);
    const commit = async (facts: Facts) => {
      const feed = (await stores.feeds.get(ID))!;
      await stores.feeds.commit({ feed, nextMs: HOUR_MS, facts, outcome: { kind: 'unchanged' } });
      return (await stores.feeds.get(ID))?.moving;
    };
    const moving = { to: parseFeedUrl('https://blog.example/moved'), times: 2, since: 1 };
    expect(await commit({})).toBeUndefined();
    expect(await commit({ moving })).toEqual(moving);
    expect(await commit({})).toEqual(moving);
    expect(await commit({ moving: null })).toBeUndefined();
  });

  describe('how many items are kept', () => {
    const all = ['e', 'd', 'c', 'b', 'a'].map((id) => entryOf(id));

    it('is what the node was configured with, where it was', async () => {
      const stores = await open({ itemsPerNode: 3 });
      await openFeed(stores);
      await stores.nodes.configure(ID, { maxItems: 2 }, false);
      await look(stores, BLOG, all.slice(2));
      expect(await shown(stores)).toEqual(['c', 'b']);
      await look(stores, BLOG, all);
      expect(await shown(stores)).toEqual(['e', 'd']);
      await stores.nodes.configure(ID, {}, false);
      await look(stores, BLOG, [entryOf('g'), entryOf('f')]);
      expect(await shown(stores)).toEqual(['g', 'f', 'e']);
      await stores.nodes.configure(ID, { maxItems: 4 }, false);
      await look(stores, BLOG, [entryOf('i'), entryOf('h')]);
      expect(await shown(stores)).toEqual(['i', 'h', 'g', 'f']);
    });

    it('may be more than usual, from the first reading on', async () => {
      const stores = await open({ itemsPerNode: 2 });
      await stores.feeds.register(BLOG);
      await stores.nodes.configure(ID, { maxItems: 4 }, false);
      await look(stores, BLOG, all);
      expect(await shown(stores)).toEqual(['e', 'd', 'c', 'b']);
    });
  });

  describe('how many feeds there are', () => {
    it('counts those that only members may see, and no node without a feed', async () => {
      const stores = await open();
      for (const url of urls(5)) await stores.feeds.register(url);
      await stores.nodes.configure(feedIdOf(urls(1)[0]!), { accessModel: 'whitelist' }, false);
      for (const name of ['news', 'more']) await stores.nodes.create(name, 'romeo@example.net', {});
      expect(await stores.feeds.count()).toEqual({ feeds: 5, due: 5 });
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
    it('comes back as it was remembered, whatever there is of it', async () => {
      const stores = await open();
      await openFeed(stores);
      const seen = [
        seenAs('saidonce'),
        { link: '', words: 'words1', hashes: ['saidfive', 'saidfour', '_aid-3rd', 'said2nd_', 'said1st-'] },
      ];
      const changes = seen.map((one, i) => ({
        ...{ item: item(`${i}`), seen: one, entry: entryOf(`${i}`) },
        kind: 'noted' as const,
      }));
      const outcome = { ...freshOutcome(), changes: { touched: [], left: 0, changes } } as Commit['outcome'];
      await stores.feeds.commit({ feed: (await stores.feeds.get(ID))!, nextMs: HOUR_MS, outcome });
      expect(await stores.feeds.known(ID)).toEqual(new Map(seen.map((one, i) => [item(`${i}`), one])));
      expect(await shown(stores)).toEqual([]);
      expect(await logged(stores)).toEqual([]);
    });
  });

  describe('a feed that is taken', () => {
    const MINUTE_MS = 60_000;

    it('comes with what is known of it and with how many follow it', async () => {
      const stores = await open();
      const { feeds, subscriptions } = stores;
      expect(await take(stores, 'schedule', MINUTE_MS)).toEqual({ kind: 'unknown' });
      await subscriptions.put(subscriptionOf(ID, 'juliet@example.net'));
      await subscriptions.put(subscriptionOf(ID, 'romeo@example.net'));
      await look(stores, BLOG, [entryOf('a')]);
      const feed = await feeds.get(ID);
      expect(await take(stores, 'schedule', MINUTE_MS)).toEqual({ kind: 'taken', feed, subscribers: 2 });
    });

    it('may be taken together with others, whatever their partitions', async () => {
      const stores = await open();
      const all = urls(20);
      for (const url of all) {
        await stores.subscriptions.put(subscriptionOf(feedIdOf(url)));
        await look(stores, url, []);
      }
      const ids = all.map(feedIdOf);
      await stores.feeds.take(ids.slice(0, 5), 'push', MINUTE_MS);
      const taken = await stores.feeds.take([...ids, ID], 'schedule', MINUTE_MS);
      const kinds = [...ids, ID].map((id) => taken.get(id)?.kind);
      expect(kinds).toEqual([...Array<string>(5).fill('busy'), ...Array<string>(15).fill('taken'), 'unknown']);
      for (const [id, one] of taken) expect(one.kind === 'taken' ? one.feed.id : id).toBe(id);
    });

    it('is taken by nobody else until the commit', async () => {
      const stores = await open();
      await openFeed(stores);
      await stores.subscriptions.put(subscriptionOf(ID));
      expect(await take(stores, 'schedule', MINUTE_MS)).toMatchObject({ kind: 'taken' });
      expect(await take(stores, 'push', MINUTE_MS)).toEqual({ kind: 'busy' });
      expect(await take(stores, 'schedule', MINUTE_MS)).toMatchObject({ kind: 'taken' });
      await look(stores, BLOG, []);
      expect(await take(stores, 'push', MINUTE_MS)).toMatchObject({ kind: 'taken' });
    });

    it('comes due for who found it busy when its time is over at the latest, and can be taken then', async () => {
      const stores = await open();
      const { feeds } = stores;
      await openFeed(stores);
      await stores.subscriptions.put(subscriptionOf(ID));
      await take(stores, 'ping', 50);
      const taken = Date.now();
      expect(await take(stores, 'schedule', MINUTE_MS)).toEqual({ kind: 'busy' });
      expect(await feeds.dueAt(ID)).toBeLessThanOrEqual(taken + 100);
      await until(async () => (await take(stores, 'schedule', MINUTE_MS)).kind === 'taken');
    });

    it('is due at once after the commit when it was pinged meanwhile', async () => {
      const stores = await open();
      const { feeds } = stores;
      await openFeed(stores);
      await stores.subscriptions.put(subscriptionOf(ID));
      await look(stores, BLOG, []);
      expect(await feeds.count()).toEqual({ feeds: 1, due: 0 });
      await take(stores, 'schedule', MINUTE_MS);
      expect(await take(stores, 'ping', MINUTE_MS)).toEqual({ kind: 'busy' });
      await look(stores, BLOG, []);
      expect(await feeds.count()).toEqual({ feeds: 1, due: 1 });
      await look(stores, BLOG, []);
      expect(await feeds.count()).toEqual({ feeds: 1, due: 0 });
    });

    it('is given back when it is postponed, and due after that time', async () => {
      const stores = await open();
      const { feeds } = stores;
      await openFeed(stores);
      await stores.subscriptions.put(subscriptionOf(ID));
      const before = Date.now();
      for (const [pinged, wait] of [
        [false, HOUR_MS],
        [true, 0],
      ] as const) {
        await take(stores, 'schedule', MINUTE_MS);
        if (pinged) await take(stores, 'ping', MINUTE_MS);
        await feeds.postpone(ID, HOUR_MS);
        const due = (await feeds.dueAt(ID))! - wait;
        expect(due).toBeGreaterThanOrEqual(before);
        expect(due).toBeLessThanOrEqual(Date.now());
        expect(await take(stores, 'push', MINUTE_MS)).toMatchObject({ kind: 'taken' });
        await feeds.postpone(ID, HOUR_MS);
      }
    });

    it('of which nobody knows is not made known by being postponed', async () => {
      const { feeds } = await open();
      await feeds.postpone(ID, HOUR_MS);
      await feeds.trustPush(ID, 1);
      expect(await feeds.dueAt(ID)).toBeUndefined();
      expect(await feeds.get(ID)).toBeUndefined();
      expect(await feeds.count()).toEqual({ feeds: 0, due: 0 });
    });
  });

  describe('a feed that nobody follows', () => {
    it('is paused by a commit, and is not taken', async () => {
      const stores = await open();
      const { feeds } = stores;
      const before = Date.now();
      await openFeed(stores);
      const { paused } = (await feeds.get(ID))!;
      expect(paused).toBeGreaterThanOrEqual(before);
      expect(await feeds.dueAt(ID)).toBe(paused! + FORGET_FEED_MS);
      expect(await take(stores, 'schedule', HOUR_MS)).toEqual({ kind: 'paused' });
      await look(stores, BLOG, []);
      expect((await feeds.get(ID))?.paused).toBe(paused);
    });

    it('is due at once when somebody subscribes, and goes on with the next commit', async () => {
      const stores = await open();
      const { feeds } = stores;
      await openFeed(stores);
      await stores.subscriptions.put(subscriptionOf(FIREHOSE));
      expect(await feeds.lease(1, HOUR_MS)).toEqual([]);
      await stores.subscriptions.put(subscriptionOf(ID));
      expect(await feeds.lease(1, HOUR_MS)).toEqual([ID]);
      await look(stores, BLOG, [], HOUR_MS);
      expect((await feeds.get(ID))?.paused).toBeUndefined();
      expect(await feeds.count()).toEqual({ feeds: 1, due: 0 });
    });

    it('is due at once when it gets an owner or a configuration', async () => {
      for (const claim of ['affiliate', 'configure'] as const) {
        const stores = await open();
        await openFeed(stores);
        if (claim === 'affiliate') await stores.nodes.affiliate(ID, 'romeo@example.net', 'owner');
        else await stores.nodes.configure(ID, { title: 'Mine' }, false);
        expect(await stores.feeds.lease(1, HOUR_MS)).toEqual([ID]);
        await look(stores, BLOG, [], HOUR_MS);
        expect((await stores.feeds.get(ID))?.paused).toBeUndefined();
      }
    });

    it('that is followed is not made due by one more subscriber', async () => {
      const stores = await open();
      await stores.subscriptions.put(subscriptionOf(ID));
      await look(stores, BLOG, [], HOUR_MS);
      await stores.subscriptions.put(subscriptionOf(ID, 'juliet@example.net'));
      expect(await stores.feeds.count()).toEqual({ feeds: 1, due: 0 });
    });
  });

  describe('an entry whose change is too small to be announced', () => {
    it('is replaced where it is, and told to nobody', async () => {
      const stores = await open();
      await openFeed(stores);
      await look(stores, BLOG, [entryOf('b'), entryOf('a')]);
      const before = await newest(stores, ID, 9);
      const changes = [
        { item: item('a'), seen: seenAs('saidmore'), kind: 'stored' as const, entry: entryOf('a', 'better') },
      ];
      const outcome = { ...freshOutcome(), changes: { touched: [], left: 0, changes } } as Commit['outcome'];
      await stores.feeds.commit({ feed: (await stores.feeds.get(ID))!, nextMs: HOUR_MS, outcome });
      const [b, a] = before;
      expect(await newest(stores, ID, 9)).toEqual([b, { ...a, entry: entryOf('a', 'better') }]);
      expect(await logged(stores)).toHaveLength(2);
      expect((await stores.feeds.known(ID)).get(item('a'))).toEqual(seenAs('saidmore'));
    });
  });

  it('everything that a look may say of a feed is kept until it is said to be over', async () => {
    const stores = await open();
    await openFeed(stores);
    const facts: Required<Facts> = {
      told: 'failing',
      moving: { to: BLOG, times: 2, since: 3 },
      at: parseFeedUrl('https://blog.example/elsewhere'),
      pace: { seconds: 60, hours: [1, 2], days: [0] },
      rhythm: { gap: 60, latest: 1, hits: 0.5, hours: '0'.repeat(24) },
      full: 5,
      lying: true,
      untrusted: true,
      partial: true,
      pushed: 7,
    };
    const commit = async (some: Facts) => {
      const feed = (await stores.feeds.get(ID))!;
      await stores.feeds.commit({ feed, nextMs: HOUR_MS, facts: some, outcome: { kind: 'unchanged' } });
      return stores.feeds.get(ID);
    };
    expect(await commit(facts)).toMatchObject(facts);
    expect(await commit({})).toMatchObject(facts);
    const after = await commit(Object.fromEntries(Object.keys(facts).map((name) => [name, null])));
    for (const name of Object.keys(facts)) expect(after).not.toHaveProperty(name);
  });

  it('a document that was not read to its end leaves nothing to recognise it by', async () => {
    const stores = await open();
    await openFeed(stores);
    await stores.feeds.commit(freshWith((await stores.feeds.get(ID))!, 'a'));
    expect(await stores.feeds.get(ID)).toMatchObject({ body: 'hash', validators: { etag: '"1"' } });
    const { body: _, ...unread } = freshOutcome('b') as Extract<Commit['outcome'], { kind: 'fresh' }>;
    const outcome = { ...unread, validators: {} };
    await stores.feeds.commit({ feed: (await stores.feeds.get(ID))!, nextMs: HOUR_MS, outcome });
    const feed = (await stores.feeds.get(ID))!;
    expect(feed).not.toHaveProperty('body');
    expect(feed.validators).toEqual({});
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
      await stores.subscriptions.put(subscriptionOf(ID));
      await stores.feeds.lease(10, 0);
      await look(stores, BLOG, [], HOUR_MS);
      expect(await stores.feeds.lease(10, HOUR_MS)).toEqual([]);
    });

    it('says when a feed is looked at next', async () => {
      const stores = await open();
      const within = (ms: number | undefined, start: number, later: number) => {
        expect(ms).toBeGreaterThanOrEqual(start + later);
        expect(ms).toBeLessThanOrEqual(Date.now() + later);
      };
      const start = Date.now();
      await stores.feeds.register(BLOG);
      await stores.subscriptions.put(subscriptionOf(ID));
      within(await stores.feeds.dueAt(ID), start, 0);
      await stores.feeds.lease(10, HOUR_MS);
      within(await stores.feeds.dueAt(ID), start, HOUR_MS);
      await look(stores, BLOG, [], 60_000);
      within(await stores.feeds.dueAt(ID), start, 60_000);
      expect(await stores.feeds.dueAt(feedIdOf(parseFeedUrl('https://nobody.example/')))).toBeUndefined();
    });

    it('forgets nobody: half of those that are taken have waited longest', async () => {
      for (const chance of [0, 0.5, 0.999]) {
        const { feeds } = await open({ partitions: 1, random: () => chance });
        const [oldest, ...others] = urls(40);
        await feeds.register(oldest!);
        const before = Date.now();
        await until(async () => Date.now() > before);
        for (const url of others) await feeds.register(url);
        const taken = await feeds.lease(4, HOUR_MS);
        expect(taken).toContain(feedIdOf(oldest!));
        expect(new Set(taken).size).toBe(4);
      }
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
    const ids = Array.from({ length: 2_100 }, (_, i) => `old ${i}`);
    await stores.feeds.commit(freshWith((await stores.feeds.get(ID))!, ...ids, 'shown'));
    const isKnown = async (id: string) => (await stores.feeds.known(ID)).has(item(id));

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
    const entries = Array.from({ length: 10_000 }, (_, i) => entryOf(`${i}`, 'x'.repeat(500)));
    const changes = entries.map((entry) => ({
      ...{ item: item(entry.id), seen: seenAs('saidonce'), entry },
      kind: 'new' as const,
    }));
    const outcome = { ...freshOutcome(), changes: { touched: [], left: 0, changes } } as Commit['outcome'];
    await stores.feeds.commit({ feed: (await stores.feeds.get(ID))!, nextMs: HOUR_MS, outcome });
    expect(await logged(stores)).toHaveLength(10_000);
    expect(await newest(stores, ID, 100)).toHaveLength(20);
  });
});
