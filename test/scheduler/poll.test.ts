import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { feedIdOf, parseFeedUrl, type Entry, type Reading, type Target } from '../../lib/domain.js';
import type { Events } from '../../lib/events.js';
import { createVault } from '../../lib/vault.js';
import { readDocument } from '../../scheduler/document.js';
import { poll, probe, type PollDeps } from '../../scheduler/poll.js';
import { push } from '../../scheduler/push.js';
import { memoryStores, type Stores } from '../support/memory.js';
import { BLOG, collect, entriesOf, entryOf, look, newest, NO_SOURCE, subscriptionOf } from '../support/stores.js';

const PAGE = parseFeedUrl('https://blog.example/');
const FEED = feedIdOf(BLOG);
const ROMEO = subscriptionOf(FEED, 'romeo@example.net', { node: BLOG });
const HOUR_MS = 3_600_000;
const VAULT = createVault(Buffer.alloc(32, 7));

const fresh = (...entries: readonly Entry[]): Extract<Reading, { kind: 'fresh' }> => ({
  kind: 'fresh',
  entries,
  source: { ...NO_SOURCE, links: [{ rel: 'alternate', href: PAGE }] },
  validators: { etag: '"2"' },
  body: 'hash',
  url: BLOG,
});
const failed = (reason: 'dns' | 'not-a-feed'): Reading => ({ kind: 'failed', reason, text: 'No.' });
const GONE: Reading = { kind: 'failed', reason: 'http-status', text: 'Gone.', status: 410 };

/** Stores, and a world in which each URL shows what it is told to. */
function bench() {
  const clock = { now: 1_000_000 };
  const stores = memoryStores({ now: () => clock.now });
  const world = new Map<string, Reading>();
  const asked: Target[] = [];
  const told: Events['polled'][] = [];
  const deps: PollDeps = {
    ...stores,
    read: async (target) => {
      asked.push(target);
      return world.get(target.url) ?? failed('dns');
    },
    mayLookAt: async () => true,
    takeMs: 60_000,
    counted: (look) => look(),
    vault: VAULT,
    bounds: { minSeconds: 60, maxSeconds: 900 },
    random: () => 0,
    now: () => clock.now,
    emit: (event, facts) => {
      if (event === 'polled') told.push(facts as Events['polled']);
    },
  };
  return { clock, stores, world, asked, told, deps, look: () => poll(deps, [FEED], 'schedule') };
}

/** The same stores; before the call number `at` of any of them, something else happens. */
function interrupted(stores: Stores, at: number, act: () => unknown): Stores {
  let calls = 0;
  const slowed = Object.entries(stores).map(([name, store]: [string, object]) => [
    name,
    new Proxy(store, {
      get(target, key) {
        const method = Reflect.get(target, key) as unknown;
        if (typeof method !== 'function' || ['ofFeed', 'partitionOf'].includes(String(key))) return method;
        return async (...args: unknown[]) => {
          if (calls++ === at) await act();
          return Reflect.apply(method, target, args) as unknown;
        };
      },
    }),
  ]);
  return Object.fromEntries(slowed) as Stores;
}

const partitionsOf = ({ log }: Stores) => Array.from({ length: log.partitions }, (_, partition) => partition);

async function logged(stores: Stores) {
  return (await Promise.all(partitionsOf(stores).map((one) => stores.log.read(one, '0', 1_000)))).flat();
}

/** A feed that somebody follows. */
async function follow({ feeds, subscriptions }: Stores) {
  await feeds.register(BLOG);
  await subscriptions.put(ROMEO);
}

/** What was announced as news. */
const announced = async (stores: Stores) =>
  (await logged(stores))
    .filter(({ kind }) => kind !== 'first')
    .map((record) => ('entry' in record ? `${record.kind} ${record.entry.id}` : record.kind));

describe('a poll', () => {
  it('takes stock the first time, and announces what is new afterwards, once, oldest first', async () => {
    const { stores, world, look } = bench();
    await follow(stores);
    world.set(BLOG, fresh(entryOf('b'), entryOf('a')));
    await look();
    expect(await announced(stores)).toEqual([]);
    expect(entriesOf(await newest(stores, FEED, 9)).map(({ id }) => id)).toEqual(['b', 'a']);
    world.set(BLOG, fresh(entryOf('d'), entryOf('c'), entryOf('b'), entryOf('a')));
    await look();
    await look();
    expect(await announced(stores)).toEqual(['new c', 'new d']);
  });

  it('announces an edited entry as such', async () => {
    const { stores, world, look } = bench();
    await follow(stores);
    for (const title of ['Frist', 'First']) {
      world.set(BLOG, fresh(entryOf('a', title)));
      await look();
    }
    expect(await announced(stores)).toEqual(['edited a']);
  });

  it('asks with what the last look has learned', async () => {
    const { stores, world, asked, look } = bench();
    await follow(stores);
    world.set(BLOG, fresh());
    await look();
    await look();
    expect(asked).toEqual([
      { url: BLOG, subscribers: 1, validators: {} },
      { url: BLOG, subscribers: 1, validators: { etag: '"2"' }, body: 'hash' },
    ]);
  });

  it('remembers a failure, says so, and forgets it when the feed is back', async () => {
    const { stores, world, told, look } = bench();
    await follow(stores);
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
    await follow(stores);
    world.set(BLOG, fresh(entryOf('a')));
    await look();
    world.set(BLOG, fresh(entryOf('b'), entryOf('a')));
    const read: PollDeps['read'] = async (target) => {
      await poll({ ...deps, read: deps.read }, [FEED], 'ping');
      return deps.read(target);
    };
    let interfered = false;
    await poll(
      { ...deps, read: (target) => (interfered ? deps.read(target) : ((interfered = true), read(target))) },
      [FEED],
      'schedule',
    );
    expect(await announced(stores)).toEqual(['new b']);
  });

  it('leaves no trace when it dies before the commit', async () => {
    const { stores, world, deps, look } = bench();
    await follow(stores);
    world.set(BLOG, fresh(entryOf('a')));
    await look();
    world.set(BLOG, fresh(entryOf('b'), entryOf('a')));
    const commit = () => Promise.reject(new Error('killed'));
    await expect(poll({ ...deps, feeds: { ...stores.feeds, commit } }, [FEED], 'schedule')).rejects.toThrow('killed');
    await look();
    expect(await announced(stores)).toEqual(['new b']);
  });

  it('does nothing for a feed that was forgotten', async () => {
    const { asked, look } = bench();
    await look();
    expect(asked).toEqual([]);
  });
});

describe('the state of a feed', () => {
  const states = async (stores: Stores) =>
    (await logged(stores)).flatMap((record) => (record.kind === 'status' ? [record.status] : []));

  it('is told when it begins to fail, when it has failed for a day, with the next look, and when it is back', async () => {
    const { clock, stores, world, look } = bench();
    await follow(stores);
    world.set(BLOG, fresh());
    await look();
    const since = clock.now;
    const nexts: number[] = [];
    world.delete(BLOG);
    for (const hours of [0, 1, 24, 25]) {
      clock.now = since + hours * HOUR_MS;
      await look();
      nexts.push(Math.round((await stores.feeds.dueAt(FEED)) ?? 0));
    }
    world.set(BLOG, { kind: 'unchanged' });
    for (let n = 0; n < 2; n++) await look();
    const failure = { reason: 'dns', text: 'No.' };
    expect(await states(stores)).toEqual([
      { state: 'failing', since, failure, lasting: false, next: nexts[0] },
      { state: 'failing', since, failure, lasting: true, next: nexts[2] },
      { state: 'well', since: clock.now, lasting: true },
    ]);
  });

  it('is told when it is gone, and when it comes back, ahead of what is new', async () => {
    const { stores, world, look } = bench();
    await follow(stores);
    world.set(BLOG, fresh());
    await look();
    world.set(BLOG, GONE);
    for (let n = 0; n < 4; n++) await look();
    world.set(BLOG, fresh(entryOf('a')));
    await look();
    expect((await states(stores)).map(({ state }) => state)).toEqual(['failing', 'gone', 'well']);
    expect((await announced(stores)).slice(-2)).toEqual(['status', 'new a']);
  });

  it('is failing when there is a page where the feed was', async () => {
    const { stores, world, look } = bench();
    await follow(stores);
    world.set(BLOG, fresh());
    await look();
    world.set(BLOG, { kind: 'page', feeds: [PAGE] });
    await look();
    expect(await states(stores)).toMatchObject([{ state: 'failing', failure: { reason: 'not-a-feed' } }]);
  });

  it('is not told of a feed that was never read', async () => {
    const { clock, stores, world, look } = bench();
    await follow(stores);
    for (const reading of [GONE, GONE, failed('dns'), fresh()]) {
      world.set(BLOG, reading);
      clock.now += 30 * HOUR_MS;
      await look();
    }
    expect(await logged(stores)).toEqual([]);
  });

  it('is looked at once a day when it is gone', async () => {
    const { clock, stores, world, look } = bench();
    await follow(stores);
    world.set(BLOG, GONE);
    for (let n = 0; n < 2; n++) await look();
    clock.now += 23 * HOUR_MS;
    expect((await stores.feeds.count()).due).toBe(0);
    clock.now += HOUR_MS;
    expect((await stores.feeds.count()).due).toBe(1);
  });
});

describe('a feed that nobody follows', () => {
  /** A feed with one entry, which somebody has followed and does not any more. */
  async function left() {
    const all = bench();
    await follow(all.stores);
    all.world.set(BLOG, fresh(entryOf('a')));
    await all.look();
    await all.stores.subscriptions.remove(ROMEO);
    await all.look();
    return all;
  }

  it('is not looked at until somebody does', async () => {
    const { clock, stores, asked, look } = await left();
    clock.now += 24 * HOUR_MS;
    expect((await stores.feeds.count()).due).toBe(0);
    for (const trigger of ['schedule', 'ping'] as const) await poll({ ...bench().deps, ...stores }, [FEED], trigger);
    expect(asked).toHaveLength(2);
    await stores.subscriptions.put(ROMEO);
    expect(await stores.feeds.lease(1, HOUR_MS)).toEqual([FEED]);
    await look();
    expect(asked).toHaveLength(3);
    expect((await stores.feeds.get(FEED))?.paused).toBeUndefined();
  });

  it('announces what it has had meanwhile when that is not long, else only the latest', async () => {
    for (const [hours, news] of [
      [1, ['new b', 'new c']],
      [25, []],
    ] as const) {
      const { clock, stores, world, look } = await left();
      clock.now += hours * HOUR_MS;
      await stores.subscriptions.put(ROMEO);
      world.set(BLOG, fresh(entryOf('c'), entryOf('b'), entryOf('a')));
      await look();
      expect(await announced(stores)).toEqual(news);
      expect(entriesOf(await newest(stores, FEED, 9)).map(({ id }) => id)).toEqual(['c', 'b', 'a']);
    }
  });

  it('is forgotten after thirty days, with its addresses', async () => {
    const { clock, stores, look } = await left();
    clock.now += 30 * 24 * HOUR_MS - 1;
    expect((await stores.feeds.count()).due).toBe(0);
    clock.now += 1;
    expect(await stores.feeds.lease(1, HOUR_MS)).toEqual([FEED]);
    await look();
    expect(await stores.feeds.get(FEED)).toBeUndefined();
    expect(await stores.feeds.count()).toEqual({ feeds: 0, due: 0 });
    expect(await stores.aliases.feedsOf(PAGE)).toEqual([]);
  });

  it('is not forgotten when somebody comes at the last moment', async () => {
    const { clock, stores, deps } = await left();
    clock.now += 30 * 24 * HOUR_MS;
    const remove: PollDeps['nodes']['delete'] = async (...how) => {
      await stores.subscriptions.put(ROMEO);
      return stores.nodes.delete(...how);
    };
    await poll({ ...deps, nodes: { ...stores.nodes, delete: remove } }, [FEED], 'schedule');
    expect(await stores.feeds.get(FEED)).toBeDefined();
    expect(await collect(stores.subscriptions.ofFeed(FEED))).toEqual([ROMEO]);
  });

  it('is looked at all the same when it has an owner or was configured, for it is on the firehose', async () => {
    for (const claim of [
      ({ nodes }: Stores) => nodes.affiliate(FEED, 'romeo@example.net', 'owner'),
      ({ nodes }: Stores) => nodes.configure(FEED, { title: 'Mine' }, false),
    ]) {
      const { clock, stores, world, asked, look } = bench();
      await stores.feeds.register(BLOG);
      world.set(BLOG, fresh());
      await look();
      expect((await stores.feeds.get(FEED))?.paused).toBe(clock.now);
      await claim(stores);
      expect(await stores.feeds.lease(1, HOUR_MS)).toEqual([FEED]);
      await look();
      expect(asked).toHaveLength(2);
      clock.now += HOUR_MS;
      expect((await stores.feeds.count()).due).toBe(1);
    }
  });
});

describe('one feed', () => {
  it('is looked at by one at a time, and once more when a ping comes meanwhile', async () => {
    const { stores, world, asked, deps } = bench();
    await follow(stores);
    world.set(BLOG, fresh());
    const read: PollDeps['read'] = async (target) => {
      await poll(deps, [FEED], 'ping');
      expect((await stores.feeds.count()).due).toBe(0);
      return deps.read(target);
    };
    await stores.feeds.lease(1, HOUR_MS);
    await poll({ ...deps, read }, [FEED], 'schedule');
    expect(asked).toHaveLength(1);
    expect((await stores.feeds.count()).due).toBe(1);
    await poll(deps, [FEED], 'schedule');
    expect((await stores.feeds.count()).due).toBe(0);
  });

  it('is looked at again by whoever took it and was lost, and by others when the time of that is over', async () => {
    const { clock, stores, world, asked, deps, look } = bench();
    await follow(stores);
    world.set(BLOG, fresh());
    const lost: PollDeps['read'] = async () => Promise.reject(new Error('killed'));
    await expect(poll({ ...deps, read: lost }, [FEED], 'ping')).rejects.toThrow('killed');
    await look();
    expect(asked).toHaveLength(0);
    await poll(deps, [FEED], 'ping');
    expect(asked).toHaveLength(1);
    await expect(poll({ ...deps, read: lost }, [FEED], 'ping')).rejects.toThrow('killed');
    clock.now += 60_000;
    await look();
    expect(asked).toHaveLength(2);
  });

  it('that its host has no time for comes due again when it has, as if nothing had been', async () => {
    const { clock, stores, world, told, look } = bench();
    await follow(stores);
    world.set(BLOG, { kind: 'postponed', seconds: 20 });
    const before = await stores.feeds.get(FEED);
    await look();
    expect(await stores.feeds.get(FEED)).toEqual(before);
    expect(await stores.feeds.dueAt(FEED)).toBe(clock.now + 20_000);
    expect(told).toMatchObject([{ outcome: 'postponed' }]);
  });
});

describe('what a server says of its feed', () => {
  const DAY_MS = 24 * HOUR_MS;

  it('is checked when it has claimed for a week that nothing has changed', async () => {
    const { clock, stores, world, asked, look } = bench();
    await follow(stores);
    world.set(BLOG, fresh(entryOf('a')));
    await look();
    world.set(BLOG, { kind: 'unchanged' });
    for (let day = 0; day < 7; day++) {
      clock.now += DAY_MS;
      await look();
    }
    const withValidators = asked.map(({ validators }) => validators?.etag !== undefined);
    expect(withValidators).toEqual([false, true, true, true, true, true, true, false]);
    world.set(BLOG, { kind: 'unchanged', hasBody: true });
    await look();
    await look();
    expect(asked.slice(-2).map(({ validators }) => validators?.etag)).toEqual([undefined, '"2"']);
  });

  it('is not believed any more once it was a lie', async () => {
    const { clock, stores, world, asked, look } = bench();
    await follow(stores);
    world.set(BLOG, fresh(entryOf('a')));
    await look();
    clock.now += 7 * DAY_MS;
    world.set(BLOG, fresh(entryOf('b'), entryOf('a')));
    await look();
    await look();
    expect(asked.slice(1).map(({ validators }) => validators)).toEqual([undefined, undefined]);
    expect(await announced(stores)).toEqual(['new b']);
  });

  it('about how often it wants to be asked is remembered as long as it says so', async () => {
    const { clock, stores, world, look } = bench();
    await follow(stores);
    const busy = [0, 60, 120].map((seconds) => ({
      ...entryOf(`${seconds}`),
      published: new Date(clock.now - seconds * 1_000).toISOString(),
    }));
    const waits: number[] = [];
    for (const reading of [
      { ...fresh(...busy), pace: { seconds: 400 } },
      { kind: 'unchanged' },
      { kind: 'unchanged', freshFor: 500 },
      fresh(...busy),
    ] as const) {
      world.set(BLOG, reading);
      await look();
      waits.push(((await stores.feeds.dueAt(FEED)) ?? 0) - clock.now);
    }
    expect(waits).toEqual([400_000, 400_000, 500_000, 60_000]);
  });
});

describe('a feed that cannot keep its ids', () => {
  it('is announced its real news only, however often it is read', async () => {
    const { stores, world, look, deps } = bench();
    const told: string[] = [];
    await follow(stores);
    let looks = 0;
    const page = (n: number): Entry => ({
      ...entryOf(`${++looks}`, `Entry ${n}`),
      links: [{ rel: 'alternate', href: `https://blog.example/${n}` }],
    });
    const show = (newest: number) => world.set(BLOG, fresh(...[0, 1, 2, 3, 4].map((back) => page(newest - back))));
    show(5);
    await look();
    const emit: PollDeps['emit'] = (event, facts) => {
      if (event === 'warning' && 'text' in facts) told.push(facts.text);
    };
    for (let n = 0; n < 30; n++) {
      show(n < 15 ? 5 : 6);
      await poll({ ...deps, emit }, [FEED], 'schedule');
    }
    expect(await announced(stores)).toHaveLength(1);
    expect(await stores.feeds.get(FEED)).toMatchObject({ untrusted: true });
    expect(told).toHaveLength(1);
    expect(await newest(stores, FEED, 99)).toHaveLength(6);
  });

  it('keeps of a long past the newest fifty, and remembers all of it', async () => {
    const { stores, world, look } = bench();
    await follow(stores);
    const all = fresh(...Array.from({ length: 180 }, (_, n) => entryOf(`${180 - n}`)));
    await stores.nodes.configure(FEED, { maxItems: 1_000 }, false);
    world.set(BLOG, all);
    await look();
    await look();
    expect(await newest(stores, FEED, 999)).toHaveLength(50);
    expect(await announced(stores)).toEqual([]);
  });

  it('is not announced an edit that hardly shows, or one that an owner does not want', async () => {
    const { stores, world, look } = bench();
    await follow(stores);
    const text = (last: string): Entry => ({
      ...entryOf('a', 'A title'),
      content: { type: 'text', value: `${'many words that stay '.repeat(20)}${last}` },
    });
    for (const entry of [text('one'), text('two')]) {
      world.set(BLOG, fresh(entry));
      await look();
    }
    expect(await announced(stores)).toEqual([]);
    expect(entriesOf(await newest(stores, FEED, 9))).toEqual([text('two')]);
    await stores.nodes.configure(FEED, { editThreshold: 0 }, false);
    world.set(BLOG, fresh(text('three')));
    await look();
    expect(await announced(stores)).toEqual(['edited a']);
  });
});

describe('a document that was not read to its end', () => {
  it('is read again as soon as may be when it had more news than one look takes', async () => {
    const { clock, stores, world, asked, look } = bench();
    await follow(stores);
    world.set(BLOG, fresh());
    await look();
    const ids = Array.from({ length: 130 }, (_, n) => `${n}`);
    world.set(BLOG, fresh(...ids.map((id) => entryOf(id)).reverse()));
    await look();
    expect(await announced(stores)).toHaveLength(100);
    expect(await stores.feeds.dueAt(FEED)).toBe(clock.now + 60_000);
    await look();
    expect(asked.at(-1)).toEqual({ url: BLOG, subscribers: 1, validators: {} });
    expect(await announced(stores)).toEqual(ids.map((id) => `new ${id}`));
    await look();
    expect(asked.at(-1)).toMatchObject({ body: 'hash' });
  });

  it('is read again when it was cut, even if it stays the same', async () => {
    const { stores, world, asked, look } = bench();
    await follow(stores);
    world.set(BLOG, { ...fresh(entryOf('a')), cut: true });
    await look();
    await look();
    expect(asked.at(-1)).toEqual({ url: BLOG, subscribers: 1, validators: {} });
  });
});

describe('a first reading that was cut', () => {
  it('is not all of the past: what was beyond is no news either', async () => {
    const { stores, world, look } = bench();
    await follow(stores);
    const show = (cut: boolean, ...ids: readonly string[]) =>
      world.set(BLOG, { ...fresh(...ids.map((id) => entryOf(id))), ...(cut && { cut }) });
    show(true, 'd', 'c');
    await look();
    show(true, 'e', 'd');
    await look();
    expect(await announced(stores)).toEqual(['new e']);
    show(false, 'e', 'd', 'c', 'b', 'a');
    await look();
    expect(await announced(stores)).toEqual(['new e']);
    show(false, 'f', 'e', 'd');
    await look();
    expect(await announced(stores)).toEqual(['new e', 'new f']);
  });
});

describe('a push that is trusted', () => {
  it('stands in for looks until one of them finds what it has missed', async () => {
    const { clock, stores, world, look } = bench();
    await follow(stores);
    world.set(BLOG, fresh(entryOf('a')));
    await look();
    await stores.feeds.trustPush(FEED, clock.now + 48 * HOUR_MS);
    const wait = async () => (await look(), ((await stores.feeds.dueAt(FEED)) ?? 0) - clock.now);
    expect(await wait()).toBe(6 * HOUR_MS);
    world.set(BLOG, fresh(entryOf('b'), entryOf('a')));
    expect(await wait()).toBe(900_000);
    expect(await wait()).toBe(900_000);
  });

  it('is not doubted because of what a ping has brought', async () => {
    const { clock, stores, world, deps, look } = bench();
    await follow(stores);
    world.set(BLOG, fresh(entryOf('a')));
    await look();
    await stores.feeds.trustPush(FEED, clock.now + 48 * HOUR_MS);
    world.set(BLOG, fresh(entryOf('b'), entryOf('a')));
    await poll(deps, [FEED], 'ping');
    expect(await stores.feeds.dueAt(FEED)).toBe(clock.now + 6 * HOUR_MS);
  });

  it('is over when its time is', async () => {
    const { clock, stores, world, look } = bench();
    await follow(stores);
    world.set(BLOG, fresh());
    await look();
    await stores.feeds.trustPush(FEED, clock.now + HOUR_MS);
    clock.now += HOUR_MS;
    await look();
    expect(await stores.feeds.dueAt(FEED)).toBe(clock.now + 900_000);
  });
});

describe('a feed that is lost', () => {
  const THERE = parseFeedUrl('https://blog.example/feed/');
  const NOT_FOUND: Reading = { ...GONE, status: 404 };

  /** A feed with an entry that its server does not know any more, on whose page another one is named. */
  async function lost(reading: Reading, there: Reading, times: number) {
    const all = bench();
    const { stores, world } = all;
    await stores.feeds.register(BLOG);
    world.set(BLOG, fresh(entryOf('a')));
    await all.look();
    await stores.subscriptions.put(ROMEO);
    world.set(BLOG, reading);
    world.set(PAGE, { kind: 'page', feeds: [parseFeedUrl('https://blog.example/comments'), THERE] });
    world.set(THERE, there);
    for (let n = 0; n < times; n++) await all.look();
    return all;
  }
  const foundAt = async ({ feeds }: Stores) => (await feeds.get(FEED))?.at;

  it('is found on its page after two 410 or three 404, and goes on as if it had always been there', async () => {
    for (const [reading, times] of [
      [GONE, 2],
      [NOT_FOUND, 3],
    ] as const) {
      const { stores, world, asked, look } = await lost(reading, fresh(entryOf('b'), entryOf('a')), times - 1);
      expect(await foundAt(stores)).toBeUndefined();
      await look();
      expect(await foundAt(stores)).toBe(THERE);
      expect(await announced(stores)).toEqual(['status', 'status', 'new b']);
      world.set(THERE, fresh(entryOf('c'), entryOf('b')));
      await look();
      expect(asked.at(-1)).toMatchObject({ url: THERE, validators: { etag: '"2"' } });
      expect((await announced(stores)).at(-1)).toBe('new c');
    }
  });

  it('becomes one with the feed there when it has been there for a while', async () => {
    const { stores, look } = await lost(GONE, fresh(entryOf('a')), 2);
    for (const partition of partitionsOf(stores)) {
      const [last] = (await stores.log.read(partition, '0', 100)).slice(-1);
      if (last) await stores.log.acknowledge(partition, last.id, 1, { ms: 99 * HOUR_MS, records: 1_000 });
    }
    for (let n = 0; n < 3; n++) await look();
    expect(await stores.feeds.get(FEED)).toBeUndefined();
    expect(await collect(stores.subscriptions.ofFeed(feedIdOf(THERE)))).toEqual([{ ...ROMEO, feed: feedIdOf(THERE) }]);
  });

  it('is looked for at its own URL again when it is not there any more either', async () => {
    const { stores, world, asked, look } = await lost(GONE, fresh(entryOf('a')), 2);
    world.set(THERE, failed('dns'));
    await look();
    expect(await foundAt(stores)).toBeUndefined();
    await look();
    expect(asked.at(-1)).toEqual({ url: BLOG, subscribers: 1, validators: {} });
  });

  it('is not taken for another feed of the same page', async () => {
    const { stores } = await lost(GONE, fresh(entryOf('something else')), 3);
    expect(await foundAt(stores)).toBeUndefined();
  });

  it('is not looked for where the site does not want us to look', async () => {
    const { stores, deps } = await lost(GONE, fresh(entryOf('a')), 1);
    await poll({ ...deps, mayLookAt: async (url) => url !== THERE }, [FEED], 'schedule');
    expect(await foundAt(stores)).toBeUndefined();
    await poll(deps, [FEED], 'schedule');
    expect(await foundAt(stores)).toBe(THERE);
  });
});

describe('a feed that moves for good', () => {
  const THERE = parseFeedUrl('https://new.example/atom.xml');
  const THITHER = feedIdOf(THERE);
  const OLD = entryOf('old');
  const moved = (...entries: readonly Entry[]): Reading => ({ ...fresh(...entries), url: THERE, moved: THERE });
  const subscribers = (stores: Stores, feed = THITHER) => collect(stores.subscriptions.ofFeed(feed));

  /** A feed with one entry and a subscriber, which has moved; so many looks have said so. */
  async function moving(looks = 0) {
    const all = bench();
    const { stores, world, deps } = all;
    const entries = [OLD];
    const show = (...ids: readonly string[]) => {
      entries.unshift(...ids.map((id) => entryOf(id)));
      world.set(BLOG, moved(...entries));
      world.set(THERE, { ...fresh(...entries), url: THERE });
    };
    await stores.feeds.register(BLOG);
    world.set(BLOG, fresh(OLD));
    await all.look();
    await stores.subscriptions.put(ROMEO);
    show();
    for (let n = 0; n < looks; n++) await all.look();

    const sent: string[] = [];
    /** Has everything delivered that is in the log. */
    async function deliver() {
      for (const partition of partitionsOf(stores)) {
        const records = await stores.log.read(partition, await stores.log.position(partition), 100);
        for (const record of records) {
          const what = 'entry' in record ? record.entry.id : record.kind;
          const audience =
            record.kind === 'deleted'
              ? stores.subscriptions.departed(record)
              : stores.subscriptions.ofFeed(record.feed);
          for (const { jid, node } of await collect(audience)) sent.push(`${jid} ${node} ${what}`);
        }
        const last = records.at(-1);
        if (last) await stores.log.acknowledge(partition, last.id, 1, { ms: 99 * HOUR_MS, records: 1_000 });
      }
    }
    const lookThere = () => poll(deps, [THITHER], 'schedule');
    const isMoved = async () => (await stores.feeds.get(FEED)) === undefined;
    return { ...all, show, deliver, lookThere, isMoved, sent };
  }
  const toRomeo = (...what: readonly string[]) => what.map((one) => `${ROMEO.jid} ${BLOG} ${one}`);

  it('is counted as long as looks are sent to the same place, within a day', async () => {
    const { clock, stores, world, look } = await moving();
    const count = async (reading: Reading) => {
      world.set(BLOG, reading);
      await look();
      return (await stores.feeds.get(FEED))?.moving?.times ?? 0;
    };
    const elsewhere = parseFeedUrl('https://else.example/');
    expect(await count(moved(OLD))).toBe(1);
    expect(await count({ kind: 'unchanged', moved: THERE })).toBe(2);
    expect(await count({ kind: 'unchanged', moved: elsewhere })).toBe(1);
    clock.now += 24 * HOUR_MS;
    expect(await count({ kind: 'unchanged', moved: elsewhere })).toBe(1);
    expect(await count({ kind: 'unchanged' })).toBe(0);
    expect(await count(moved(OLD))).toBe(1);
    expect(await count(failed('dns'))).toBe(0);
    expect(await stores.feeds.get(THITHER)).toBeUndefined();
  });

  it('is known at its new place after three looks, where nothing is announced', async () => {
    const { stores, isMoved, asked } = await moving(3);
    // The last of them needs everything, whether or not it has changed.
    expect(asked.map((target) => 'body' in target)).toEqual([false, true, true, false]);
    expect(entriesOf(await newest(stores, THITHER, 9))).toEqual([OLD]);
    expect(await isMoved()).toBe(false);
    expect(await logged(stores)).toEqual([]);
  });

  it('is then one with the feed there, which its subscribers follow under the name that they know', async () => {
    const { stores, look, isMoved, deliver, sent } = await moving(3);
    await look();
    expect(await subscribers(stores)).toEqual([{ ...ROMEO, feed: THITHER }]);
    expect(await isMoved()).toBe(true);
    const announce = { feed: FEED, kind: 'deleted', announce: true, successor: { node: THITHER } };
    expect(await logged(stores)).toMatchObject([announce]);
    for (const address of [BLOG, PAGE]) expect(await stores.aliases.feedsOf(address)).toContain(THITHER);
    await deliver();
    expect(sent).toEqual(toRomeo('deleted'));
  });

  it('is at once one with a feed that was known before and knows the same', async () => {
    const { stores, look: lookHere, isMoved } = await moving(2);
    const juliet = subscriptionOf(THITHER, 'juliet@example.net');
    await look(stores, THERE, [OLD]);
    await stores.subscriptions.put(juliet);
    await lookHere();
    expect(await subscribers(stores)).toEqual([juliet, { ...ROMEO, feed: THITHER }]);
    expect(await isMoved()).toBe(true);
  });

  it('tells its news first, and moves when they are delivered', async () => {
    const { look, show, deliver, isMoved, lookThere, sent } = await moving(3);
    show('a');
    // The look that finds it, one that the other feed learns from, one that must wait for the delivery.
    for (let n = 0; n < 3; n++) await look();
    expect(await isMoved()).toBe(false);
    await deliver();
    await look();
    expect(await isMoved()).toBe(true);
    show('b');
    await lookThere();
    await deliver();
    expect(sent.filter((one) => !one.endsWith('deleted'))).toEqual(toRomeo('a', 'b'));
  });

  it('waits for a delivery at its new place, which its subscribers would get again', async () => {
    const { look, show, deliver, isMoved, lookThere, sent } = await moving(3);
    show('a');
    await look();
    await deliver();
    await lookThere();
    await look();
    expect(await isMoved()).toBe(false);
    await deliver();
    await look();
    expect(await isMoved()).toBe(true);
    await deliver();
    expect(sent).toEqual(toRomeo('a', 'deleted'));
  });

  it('stays for the time being when the next look is sent elsewhere', async () => {
    const { stores, world, look: lookHere, isMoved } = await moving(2);
    await look(stores, THERE, [OLD]);
    world.set(BLOG, { ...fresh(OLD), moved: PAGE });
    await lookHere();
    expect(await isMoved()).toBe(false);
    expect(await subscribers(stores)).toEqual([]);
  });

  it('tells once what another look at it finds and tells in the middle', async () => {
    const { stores, deps, look, show, deliver, isMoved, sent } = await moving(3);
    let isFirst = true;
    const commit: PollDeps['feeds']['commit'] = async (what) => {
      const result = await stores.feeds.commit(what);
      if (!isFirst) return result;
      isFirst = false;
      show('a');
      await look();
      await deliver();
      return result;
    };
    await poll({ ...deps, feeds: { ...stores.feeds, commit } }, [FEED], 'schedule');
    await deliver();
    expect(await isMoved()).toBe(false);
    // Nobody follows the feed there yet, so it learns from a look at this one.
    await look();
    await deliver();
    await look();
    expect(await isMoved()).toBe(true);
    await deliver();
    expect(sent).toEqual(toRomeo('a', 'deleted'));
  });

  it('tells what is pushed to it in the middle', async () => {
    const { stores, deps, look, deliver, isMoved, sent } = await moving(3);
    const entries = [`<entry xmlns="http://www.w3.org/2005/Atom"><id>pushed</id><title>p</title></entry>`];
    const copy: PollDeps['subscriptions']['copy'] = async (from, to) => {
      await stores.subscriptions.copy(from, to);
      await push({ ...deps, parse: readDocument }, { feed: FEED, entries, id: '1' });
    };
    await poll({ ...deps, subscriptions: { ...stores.subscriptions, copy } }, [FEED], 'schedule');
    expect(await isMoved()).toBe(false);
    await deliver();
    await look();
    expect(await isMoved()).toBe(true);
    await deliver();
    expect(sent).toEqual(toRomeo('pushed', 'deleted'));
  });

  it('waits for a digest that holds something', async () => {
    const { stores, look, isMoved } = await moving(3);
    const digested = { ...ROMEO, subid: '2', options: { digest: true } };
    await stores.subscriptions.put(digested);
    await stores.digests.hold(digested, ['1-0'], HOUR_MS);
    await look();
    expect(await isMoved()).toBe(false);
    await stores.digests.release(digested, '1-0');
    await look();
    expect(await isMoved()).toBe(true);
  });

  it.each([
    ['it is configured', FEED, { maxItems: 5 }, undefined],
    ['the feed there is configured', THITHER, { accessModel: 'whitelist' }, undefined],
    ['it has an owner', FEED, {}, 'owner'],
    ['somebody is not let in there', THITHER, {}, 'outcast'],
  ] as const)('stays where it is when %s, and is read there as ever', async (_, node, config, affiliation) => {
    const { stores, look: lookHere, isMoved, asked } = await moving(0);
    await look(stores, THERE, [OLD]);
    await stores.nodes.configure(node, config, false);
    await stores.nodes.affiliate(node, 'juliet@example.net', affiliation);
    for (let n = 0; n < 5; n++) await lookHere();
    expect(await isMoved()).toBe(false);
    expect(await subscribers(stores)).toEqual([]);
    expect(asked.at(-1)).toHaveProperty('body');
    await stores.nodes.configure(node, {}, false);
    await stores.nodes.affiliate(node, 'juliet@example.net', undefined);
    await lookHere();
    expect(await isMoved()).toBe(true);
  });

  it('can move where a feed was that failed, which is then well', async () => {
    const { stores, world, look: lookHere, lookThere, deliver, isMoved } = await moving(2);
    await look(stores, THERE, [OLD]);
    world.set(THERE, GONE);
    for (let n = 0; n < 2; n++) await lookThere();
    for (let n = 0; n < 2; n++) {
      await lookHere();
      await deliver();
    }
    expect(await isMoved()).toBe(true);
    expect(await stores.feeds.get(THITHER)).toMatchObject({ failures: 0 });
  });

  // What may come between two steps of a look: its death, news, deliveries, looks at either feed.
  const interruption = fc.record({
    at: fc.nat({ max: 30 }),
    by: fc.oneof(
      fc.constant(['death' as const]),
      fc.subarray(['news' as const, 'look' as const, 'lookThere' as const, 'deliver' as const], { minLength: 1 }),
    ),
  });
  const deed = fc.oneof(
    { weight: 4, arbitrary: fc.constant('look' as const) },
    { weight: 2, arbitrary: fc.constantFrom('lookThere' as const, 'news' as const, 'deliver' as const) },
  );

  /** What Romeo is sent while all of this happens, and then nothing out of the ordinary, until the feed has moved. */
  async function sentDuring(
    history: readonly { readonly deed: string; readonly at?: number; readonly by?: readonly string[] }[],
  ) {
    const { stores, deps, look, lookThere, deliver, show, isMoved, sent } = await moving(2);
    const published: string[] = [];
    const news = () => show((published[published.length] = `entry ${published.length}`));
    const deeds = { look, lookThere, deliver, news, death: () => Promise.reject(new Error('killed')) };
    const run = async (...names: readonly string[]) => {
      for (const name of names) await deeds[name as keyof typeof deeds]();
    };
    for (const { deed: name, at, by = [] } of history) {
      if (name !== 'look' || at === undefined) await run(name);
      else
        await poll({ ...deps, ...interrupted(stores, at, () => run(...by)) }, [FEED], 'schedule').catch(
          () => undefined,
        );
    }
    for (let n = 0; n < 10 && !(await isMoved()); n++) await run('look', 'deliver');
    await run('news', 'lookThere', 'deliver');
    expect(await isMoved()).toBe(true);
    return { published, sent: sent.map((one) => one.slice(`${ROMEO.jid} ${BLOG} `.length)) };
  }

  it('neither loses an entry nor tells it twice, whatever is published, looked at and delivered meanwhile', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.record({ deed }), { maxLength: 16 }), async (history) => {
        const { published, sent } = await sentDuring(history);
        expect(sent.toSorted()).toEqual([...published, 'deleted'].toSorted());
      }),
    );
  });

  it('loses nothing and moves once, also when looks at one feed meet looks at the other, or die anywhere', async () => {
    const look = fc.oneof(
      fc.record({ deed }),
      interruption.map((more) => ({ deed: 'look' as const, ...more })),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(look, { maxLength: 16 }), async (history) => {
        const { published, sent } = await sentDuring(history);
        expect([...new Set(sent)].toSorted()).toEqual([...published, 'deleted'].toSorted());
        expect(sent.filter((what) => what === 'deleted')).toHaveLength(1);
      }),
      { numRuns: 1_000 },
    );
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
  await stores.subscriptions.put({ ...ROMEO, feed: page, node: PAGE });
  world.set(PAGE, { kind: 'page', feeds: [BLOG] });
  world.set(BLOG, fresh(entryOf('a')));
  await poll(deps, [page], 'schedule');
  expect(await collect(stores.subscriptions.ofFeed(FEED))).toEqual([{ ...ROMEO, node: PAGE }]);
  expect(await collect(stores.subscriptions.ofFeed(page))).toEqual([]);
});

describe('a look at a private feed', () => {
  const HEADERS = { authorization: 'Basic canary', 'x-key': 'canary' };

  it('is made with its credentials, and with none once it has none', async () => {
    const { stores, world, asked, look } = bench();
    await stores.feeds.register(BLOG, VAULT.seal(FEED, HEADERS));
    await stores.subscriptions.put(ROMEO);
    world.set(BLOG, fresh(entryOf('a')));
    await look();
    await stores.nodes.configure(FEED, {}, false, '');
    await look();
    expect(asked.map(({ headers }) => headers)).toEqual([HEADERS, undefined]);
    // What the server said of one is no answer to the other.
    expect(asked[1]).toEqual({ url: BLOG, subscribers: 1, validators: {} });
  });

  it('is not made when they cannot be read, and fails in words that say why', async () => {
    const { stores, asked, told, look } = bench();
    await stores.feeds.register(BLOG, createVault(Buffer.alloc(32, 8)).seal(FEED, HEADERS));
    await look();
    expect(asked).toEqual([]);
    const text = 'The credentials cannot be read with this CREDENTIALS_KEY';
    expect(await stores.feeds.get(FEED)).toMatchObject({ failures: 1, failure: { reason: 'credentials', text } });
    expect(told).toMatchObject([{ outcome: 'failed', reason: text }]);
  });

  it('is made again from the top when the credentials change meanwhile', async () => {
    const { stores, asked, deps } = bench();
    await stores.feeds.register(BLOG, VAULT.seal(FEED, { 'x-key': 'old' }));
    const read: PollDeps['read'] = async (target) => {
      asked.push(target);
      if (asked.length === 1) await stores.nodes.configure(FEED, {}, false, VAULT.seal(FEED, { 'x-key': 'new' }));
      return asked.length === 1 ? GONE : fresh(entryOf('a'));
    };
    await poll({ ...deps, read }, [FEED], 'schedule');
    expect(await stores.feeds.get(FEED)).toMatchObject({ failures: 0 });
    expect(await stores.feeds.lease(1, HOUR_MS)).toEqual([FEED]);
    await poll({ ...deps, read }, [FEED], 'schedule');
    expect(asked.map(({ headers }) => headers?.['x-key'])).toEqual(['old', 'new']);
    expect(await stores.feeds.get(FEED)).toMatchObject({ failures: 0, read: expect.any(Number) });
  });

  it('never follows strangers there: a page that names it is looked at without them', async () => {
    const { stores, world, asked, deps } = bench();
    await stores.feeds.register(BLOG, VAULT.seal(FEED, HEADERS));
    world.set(PAGE, { kind: 'page', feeds: [BLOG] });
    world.set(BLOG, {
      kind: 'failed',
      reason: 'http-status',
      status: 401,
      text: 'The server answered with status 401',
    });
    expect(await probe(deps, PAGE)).toMatchObject({ kind: 'refused' });
    expect(asked.map(({ headers }) => headers)).toEqual([undefined, undefined]);
    expect(await stores.aliases.feedsOf(PAGE)).toEqual([]);
  });
});
