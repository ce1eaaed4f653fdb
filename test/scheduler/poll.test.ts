import { describe, expect, it } from '@jest/globals';
import { feedIdOf, parseFeedUrl, type Entry, type Reading, type Target } from '../../lib/domain.js';
import type { Events } from '../../lib/events.js';
import { poll, probe, type PollDeps } from '../../scheduler/poll.js';
import { memoryStores, type Stores } from '../support/memory.js';
import { BLOG, collect, entryOf, newest, NO_SOURCE } from '../support/stores.js';

const PAGE = parseFeedUrl('https://blog.example/');
const FEED = feedIdOf(BLOG);
const ROMEO = { feed: FEED, jid: 'romeo@example.net', node: BLOG, since: 1 };

const fresh = (...entries: readonly Entry[]): Reading => ({
  kind: 'fresh',
  entries,
  source: { ...NO_SOURCE, links: [{ rel: 'alternate', href: PAGE }] },
  validators: { etag: '"2"' },
  body: 'hash',
  url: BLOG,
});
const failed = (reason: 'dns' | 'not-a-feed'): Reading => ({ kind: 'failed', reason, text: 'No.' });

/** Stores, and a world in which each URL shows what it is told to. */
function bench() {
  const stores = memoryStores();
  const world = new Map<string, Reading>();
  const asked: Target[] = [];
  const told: Events['polled'][] = [];
  const deps: PollDeps = {
    ...stores,
    read: async (target) => {
      asked.push(target);
      return world.get(target.url) ?? failed('dns');
    },
    bounds: { minSeconds: 60, maxSeconds: 900 },
    random: () => 0,
    emit: (event, facts) => {
      if (event === 'polled') told.push(facts as Events['polled']);
    },
  };
  return { stores, world, asked, told, deps, look: () => poll(deps, FEED, 'schedule') };
}

const announced = async ({ log }: Stores) => {
  const partitions = Array.from({ length: log.partitions }, (_, partition) => log.read(partition, '0', 100));
  return (await Promise.all(partitions)).flat().map(({ entry, kind }) => `${kind} ${entry.id}`);
};

describe('a poll', () => {
  it('takes stock the first time, and announces what is new afterwards, once, oldest first', async () => {
    const { stores, world, look } = bench();
    await stores.feeds.register(BLOG);
    world.set(BLOG, fresh(entryOf('b'), entryOf('a')));
    await look();
    expect(await announced(stores)).toEqual([]);
    expect((await newest(stores, FEED, 9)).map(({ entry }) => entry.id)).toEqual(['b', 'a']);
    world.set(BLOG, fresh(entryOf('d'), entryOf('c'), entryOf('b'), entryOf('a')));
    await look();
    await look();
    expect(await announced(stores)).toEqual(['new c', 'new d']);
  });

  it('announces an edited entry as such', async () => {
    const { stores, world, look } = bench();
    await stores.feeds.register(BLOG);
    for (const title of ['Frist', 'First']) {
      world.set(BLOG, fresh(entryOf('a', title)));
      await look();
    }
    expect(await announced(stores)).toEqual(['edited a']);
  });

  it('asks with what the last look has learned', async () => {
    const { stores, world, asked, look } = bench();
    await stores.feeds.register(BLOG);
    world.set(BLOG, fresh());
    await look();
    await look();
    expect(asked).toEqual([
      { url: BLOG, validators: {} },
      { url: BLOG, validators: { etag: '"2"' }, body: 'hash' },
    ]);
  });

  it('remembers a failure, says so, and forgets it when the feed is back', async () => {
    const { stores, world, told, look } = bench();
    await stores.feeds.register(BLOG);
    await look();
    await look();
    expect(await stores.feeds.get(FEED)).toMatchObject({ failures: 2, failure: { reason: 'dns', text: 'No.' } });
    expect(told.map(({ outcome, reason }) => [outcome, reason])).toEqual([
      ['failed', 'No.'],
      ['failed', 'No.'],
    ]);
    world.set(BLOG, fresh());
    await look();
    const feed = await stores.feeds.get(FEED);
    expect([feed?.failures, feed?.failure]).toEqual([0, undefined]);
  });

  it('starts again when another look was committed meanwhile, so that nothing is announced twice', async () => {
    const { stores, world, deps, look } = bench();
    await stores.feeds.register(BLOG);
    world.set(BLOG, fresh(entryOf('a')));
    await look();
    world.set(BLOG, fresh(entryOf('b'), entryOf('a')));
    const read: PollDeps['read'] = async (target) => {
      await poll({ ...deps, read: deps.read }, FEED, 'ping');
      return deps.read(target);
    };
    let interfered = false;
    await poll(
      { ...deps, read: (target) => (interfered ? deps.read(target) : ((interfered = true), read(target))) },
      FEED,
      'schedule',
    );
    expect(await announced(stores)).toEqual(['new b']);
  });

  it('leaves no trace when it dies before the commit', async () => {
    const { stores, world, deps, look } = bench();
    await stores.feeds.register(BLOG);
    world.set(BLOG, fresh(entryOf('a')));
    await look();
    world.set(BLOG, fresh(entryOf('b'), entryOf('a')));
    const commit = () => Promise.reject(new Error('killed'));
    await expect(poll({ ...deps, feeds: { ...stores.feeds, commit } }, FEED, 'schedule')).rejects.toThrow('killed');
    await look();
    expect(await announced(stores)).toEqual(['new b']);
  });

  it('does nothing for a feed that was forgotten', async () => {
    const { asked, look } = bench();
    await look();
    expect(asked).toEqual([]);
  });
});

describe('a probe', () => {
  it('makes a feed known with what it holds', async () => {
    const { stores, world, deps } = bench();
    world.set(BLOG, fresh(entryOf('a')));
    expect(await probe(deps, BLOG)).toEqual({ kind: 'feed', feed: FEED });
    expect(await newest(stores, FEED, 9)).toHaveLength(1);
    expect(await announced(stores)).toEqual([]);
  });

  it('follows a page to the first of its feeds that can be read, and remembers what the page stands for', async () => {
    const { stores, world, deps } = bench();
    world.set(PAGE, { kind: 'page', feeds: [parseFeedUrl('https://blog.example/broken'), BLOG] });
    world.set(BLOG, fresh());
    expect(await probe(deps, PAGE)).toEqual({ kind: 'feed', feed: FEED });
    expect(await stores.aliases.feedsOf(PAGE)).toEqual([FEED]);
  });

  it.each([
    ['what is no feed', failed('not-a-feed'), 'not-a-feed'],
    ['what cannot be had', failed('dns'), 'feed-unreachable'],
    ['a page whose feeds are pages', { kind: 'page', feeds: [PAGE] } satisfies Reading, 'not-a-feed'],
  ])('refuses %s and keeps nothing of it', async (_, reading, code) => {
    const { stores, world, deps } = bench();
    world.set(PAGE, reading);
    expect(await probe(deps, PAGE)).toMatchObject({ kind: 'refused', code });
    expect(await stores.feeds.count()).toMatchObject({ feeds: 0 });
  });
});

it('subscribers of a page that was too slow to be looked at are handed over to its feed', async () => {
  const { stores, world, deps } = bench();
  const page = feedIdOf(PAGE);
  await stores.feeds.register(PAGE);
  await stores.subscriptions.add({ ...ROMEO, feed: page, node: PAGE });
  world.set(PAGE, { kind: 'page', feeds: [BLOG] });
  world.set(BLOG, fresh(entryOf('a')));
  await poll(deps, page, 'schedule');
  expect(await collect(stores.subscriptions.ofFeed(FEED))).toEqual([{ ...ROMEO, node: PAGE }]);
  expect(await collect(stores.subscriptions.ofFeed(page))).toEqual([]);
});
