import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { Element } from '@xmpp/xml';
import { StreamDown } from '../../component/connection.js';
import { createEvents } from '../../component/event.js';
import { createHousekeeping, type HousekeepingDeps } from '../../component/housekeeping.js';
import { Unprovable } from '../../component/payload.js';
import { FIREHOSE, ownNodeIdOf, type ItemId, type Subscription } from '../../lib/domain.js';
import type { Events } from '../../lib/events.js';
import type { Options } from '../../lib/options.js';
import { createInbox } from '../../prosody/inbox.js';
import { ADMIN, bench as rules, ID, idsOf, itemId, NODE, NOW } from '../support/service.js';
import { BLOG, entryOf, look, newsOf, openFeed, subscriptionOf } from '../support/stores.js';
import { attributesOf, stanzasIn } from '../support/xml.js';

const DOMAIN = 'feeds.example.net';
const ROMEO = 'romeo@example.net';
const MUSINGS = ownNodeIdOf('musings');
const MINUTE_MS = 60_000;
const MAX_BYTES = 61_440;
const TURN_MS = 500;

let stop: (() => Promise<void>) | undefined;
beforeEach(() => void jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] }));
afterEach(async () => {
  await stop?.();
  jest.useRealTimers();
});

/** A blog, a node without a feed, a stream, and everything that housekeeping sends and says. */
async function bench(overrides: Partial<HousekeepingDeps> = {}) {
  const one = rules();
  const { stores, service } = one;
  await openFeed(stores);
  await one.create('musings');
  const sent = createInbox<readonly Element[]>('sent');
  const said = createInbox<string>('said');
  const entered: string[] = [];
  let now = NOW;
  let confirmed: Promise<unknown> = Promise.resolve();
  const stream = { up: true };
  const housekeeping = createHousekeeping({
    ...stores,
    node: service.node,
    numbered: service.numbered,
    connection: {
      get up() {
        return stream.up;
      },
      async write(text) {
        sent.push(stanzasIn(text));
      },
      confirm: async () => {
        await confirmed;
      },
    },
    rooms: { ready: async (room) => void entered.push(room) },
    events: createEvents(DOMAIN, MAX_BYTES),
    emit: (event, facts) =>
      said.push(event === 'warning' ? (facts as Events['warning']).text : `${event} ${JSON.stringify(facts)}`),
    now: () => now,
    maxBytes: MAX_BYTES,
    ...overrides,
  });
  stop = () => housekeeping.stop();
  return {
    ...one,
    sent,
    said,
    entered,
    stream,
    housekeeping,
    /** Sees to what is due, once. */
    async turn() {
      housekeeping.start();
      await jest.advanceTimersByTimeAsync(TURN_MS);
    },
    later(ms: number) {
      now += ms;
      one.later(ms);
    },
    /** What is written is confirmed when this resolves, from now on. */
    confirmedWhen: (promise: Promise<unknown>) => void (confirmed = promise),
    async follow(options: Partial<Options>, more: Partial<Subscription> = {}): Promise<Subscription> {
      const subscription = subscriptionOf(more.feed ?? ID, ROMEO, { node: NODE, options, ...more });
      await stores.subscriptions.put(subscription);
      return subscription;
    },
    /** Puts these entries on the blog, and into the digest of somebody: the first one of them is the oldest. */
    async collect(key: Subscription, ...entries: readonly ReturnType<typeof entryOf>[]): Promise<void> {
      const { log } = stores;
      const partition = log.partitionOf(ID);
      const before = (await log.read(partition, '0', 10_000)).at(-1)?.id ?? '0';
      await look(stores, BLOG, [...entries].reverse());
      const records = await log.read(partition, before, 10_000);
      const refs = records.map(({ id }) => id);
      if (key.feed === FIREHOSE) {
        const numbers = await stores.firehose.number(partition, newsOf(...refs), 1);
        await stores.digests.hold(
          key,
          numbers.map((n) => String(n).padStart(12, '0')),
          MINUTE_MS,
        );
      } else {
        await stores.digests.hold(key, refs, MINUTE_MS);
      }
    },
  };
}

const itemsIn = (stanza: Element) => stanza.getChild('event')!.getChild('items')!;
const titlesIn = (stanza: Element) =>
  itemsIn(stanza)
    .getChildren('item')
    .map((item) => item.getChild('entry')?.getChildText('title'));
const entriesOf = (...names: readonly string[]) => names.map((name) => entryOf(name));
const numbered = (count: number) => Array.from({ length: count }, (_, n) => `${n}`);

describe('a digest', () => {
  it('is one message with everything in order, from when its first item came', async () => {
    const { follow, collect, later, turn, sent, said, stores } = await bench();
    const key = await follow({ digest: true });
    await collect(key, ...entriesOf('a', 'b'));
    later(MINUTE_MS - 1);
    await collect(key, ...entriesOf('c'));
    later(1);
    await turn();
    const [stanza, ...more] = await sent.take();
    expect(more).toEqual([]);
    expect(stanza!.attrs).toMatchObject({ from: DOMAIN, to: ROMEO, type: 'headline' });
    expect(attributesOf(itemsIn(stanza!))).toEqual({ node: NODE });
    expect(titlesIn(stanza!)).toEqual(['a', 'b', 'c']);
    expect(attributesOf(itemsIn(stanza!).getChild('item')!)).toEqual({ id: itemId('a') });
    expect(stanza!.getChild('delay')!.attrs['stamp']).toBe(new Date(NOW).toISOString());
    expect(stanza!.getChild('body')).toBeUndefined();
    expect(await said.take()).toBe('digest {"items":3}');
    expect(await stores.digests.held(key, 10)).toEqual([]);
  });

  it('waits until it is due', async () => {
    const { follow, collect, later, turn, sent } = await bench();
    await collect(await follow({ digest: true }), ...entriesOf('a'));
    later(MINUTE_MS - 1);
    await turn();
    expect(sent.pending).toEqual([]);
    later(1);
    await turn();
    expect(titlesIn((await sent.take())[0]!)).toEqual(['a']);
  });

  it('is sent as its subscriber wants it', async () => {
    const { follow, collect, later, turn, sent } = await bench();
    const key = await follow({ digest: true, payload: false, includeBody: true, messageType: 'chat' });
    await collect(key, ...entriesOf('a', 'b'));
    later(MINUTE_MS);
    await turn();
    const [stanza] = await sent.take();
    expect(stanza!.attrs).toMatchObject({ from: `news@${DOMAIN}`, type: 'chat' });
    expect(stanza!.getChildText('body')).toBe('a\n\nb');
    const items = itemsIn(stanza!).getChildren('item');
    expect(items.map(({ attrs, children }) => [attrs['id'] as string, children])).toEqual([
      [itemId('a'), []],
      [itemId('b'), []],
    ]);
  });

  it('for a room is one text, said in the room', async () => {
    const { follow, collect, later, turn, sent, entered } = await bench();
    await collect(await follow({ digest: true }, { room: true }), ...entriesOf('a', 'b'));
    later(MINUTE_MS);
    await turn();
    const [stanza] = await sent.take();
    expect(stanza!.attrs).toMatchObject({ to: ROMEO, type: 'groupchat' });
    expect(stanza!.getChildElements().map(({ name }) => name)).toEqual(['body']);
    expect(stanza!.getChildText('body')).toBe('a\n\nb');
    expect(entered).toEqual([ROMEO]);
  });

  it('of the firehose has items by their number, with the feeds they come from', async () => {
    const { follow, collect, later, turn, sent } = await bench();
    await collect(await follow({ digest: true }, { feed: FIREHOSE, node: FIREHOSE }), ...entriesOf('a', 'b'));
    later(MINUTE_MS);
    await turn();
    const [stanza] = await sent.take();
    expect(itemsIn(stanza!).attrs['node']).toBe(FIREHOSE);
    const items = itemsIn(stanza!).getChildren('item');
    expect(items.map((item) => attributesOf(item)['id'])).toEqual(['000000000001', '000000000002']);
    expect(items[0]!.getChild('entry')!.getChild('source')!.getChildText('id')).toBe(BLOG);
  });

  it('of what people publish names who it was', async () => {
    const { follow, publish, stores, later, turn, sent } = await bench();
    const key = await follow({ digest: true }, { feed: MUSINGS, node: 'musings' });
    await publish('musings', '1');
    const [record] = await stores.log.read(stores.log.partitionOf(MUSINGS), '0', 1);
    await stores.digests.hold(key, [record!.id], MINUTE_MS);
    later(MINUTE_MS);
    await turn();
    const item = itemsIn((await sent.take())[0]!).getChild('item')!;
    expect(item.attrs).toEqual({ id: '1', publisher: ADMIN });
    expect(item.getChildText('p')).toBe('1');
  });

  it('that is too large for one message is several, told apart by their ids', async () => {
    const { follow, collect, later, turn, sent } = await bench();
    const names = numbered(20);
    const large = names.map((name) => entryOf(name, `${name} ${'x'.repeat(10_000)}`));
    await collect(await follow({ digest: true }), ...large);
    later(MINUTE_MS);
    await turn();
    const stanzas = await sent.take();
    expect(stanzas.length).toBeGreaterThan(1);
    expect(new Set(stanzas.map((stanza) => attributesOf(stanza)['id'])).size).toBe(stanzas.length);
    expect(stanzas.flatMap(titlesIn).map((title) => title?.split(' ')[0])).toEqual(names);
    for (const stanza of stanzas) expect(Buffer.byteLength(stanza.toString())).toBeLessThan(MAX_BYTES);
  });

  it('is no larger for the texts that chat clients show', async () => {
    const { follow, collect, later, turn, sent } = await bench();
    const names = numbered(400);
    const wordy = names.map((name) => entryOf(name, `${name} ${'丈&'.repeat(95)}`));
    await collect(await follow({ digest: true, payload: false, includeBody: true }), ...wordy);
    later(MINUTE_MS);
    await turn();
    const stanzas = await sent.take();
    expect(stanzas.flatMap((stanza) => stanza.getChildText('body')!.split('\n\n'))).toHaveLength(400);
    for (const stanza of stanzas) expect(Buffer.byteLength(stanza.toString())).toBeLessThan(MAX_BYTES);
  });

  it('that is very long comes in turns', async () => {
    const { follow, collect, later, turn, sent } = await bench();
    const names = numbered(700);
    await collect(await follow({ digest: true }), ...entriesOf(...names));
    later(MINUTE_MS);
    await turn();
    await turn();
    const turns = [(await sent.take()).flatMap(titlesIn), (await sent.take()).flatMap(titlesIn)];
    expect(turns.map(({ length }) => length)).toEqual([500, 200]);
    expect(turns.flat()).toEqual(names);
  });

  it.each<[string, (one: Awaited<ReturnType<typeof bench>>, key: Subscription) => Promise<unknown>]>([
    ['whose subscriber has left', ({ stores }, key) => stores.subscriptions.remove(key)],
    ['whose subscriber wants no notifications', ({ follow }) => follow({ digest: true, deliver: false })],
    ['of a node that sends none', ({ configure }) => configure(NODE, { deliver_notifications: '0' })],
    ['of a node that is gone', ({ service }) => service.deleteNode({ requester: ADMIN, node: NODE })],
  ])('%s is not sent, and is over', async (_, happens) => {
    const one = await bench();
    const key = await one.follow({ digest: true });
    await one.collect(key, ...entriesOf('a'));
    await happens(one, key);
    one.later(MINUTE_MS);
    await one.turn();
    expect(one.sent.pending).toEqual([]);
    expect(await one.stores.digests.held(key, 10)).toEqual([]);
  });

  it('is sent even by who does not collect any more', async () => {
    const { follow, collect, later, turn, sent } = await bench();
    await collect(await follow({ digest: true }), ...entriesOf('a'));
    await follow({ digest: false });
    later(MINUTE_MS);
    await turn();
    expect(titlesIn((await sent.take())[0]!)).toEqual(['a']);
  });

  it('leaves out what is not to be had any more; with nothing left it is not sent', async () => {
    const { follow, collect, later, turn, sent, said, stores } = await bench();
    const key = await follow({ digest: true });
    await collect(key, ...entriesOf('a', 'b'));
    const { log } = stores;
    const [a, b] = await log.read(log.partitionOf(ID), '0', 10);
    await log.quarantine(a!, 'poison', 1);
    later(MINUTE_MS);
    await turn();
    expect(titlesIn((await sent.take())[0]!)).toEqual(['b']);
    expect(await said.take()).toBe('digest {"items":1}');
    await log.quarantine(b!, 'poison', 1);
    await stores.digests.hold(key, [b!.id], 0);
    await turn();
    expect(await said.take()).toBe('digest {"items":0}');
    expect(sent.pending).toEqual([]);
  });

  it('leaves out what cannot be shown', async () => {
    const events = createEvents(DOMAIN, MAX_BYTES);
    const { follow, collect, later, turn, sent } = await bench({
      events: {
        ...events,
        item(item, node) {
          if (idsOf([item])[0] === 'b') throw new Unprovable('a hole in it');
          return events.item(item, node);
        },
      },
    });
    await collect(await follow({ digest: true }), ...entriesOf('a', 'b', 'c'));
    later(MINUTE_MS);
    await turn();
    expect(titlesIn((await sent.take())[0]!)).toEqual(['a', 'c']);
  });

  it('comes again, with the same id, when the stream broke before it was confirmed', async () => {
    const { follow, collect, later, turn, sent, said, confirmedWhen, stores } = await bench();
    const key = await follow({ digest: true });
    await collect(key, ...entriesOf('a'));
    later(MINUTE_MS);
    confirmedWhen(Promise.reject(new StreamDown({ kind: 'closed' })));
    await turn();
    const first = attributesOf((await sent.take())[0]!)['id'];
    expect(await said.take()).toContain('housekeeping: StreamDown');
    expect(await stores.digests.held(key, 10)).toHaveLength(1);
    confirmedWhen(Promise.resolve());
    await turn();
    expect(attributesOf((await sent.take())[0]!)['id']).toBe(first);
    expect(await said.take()).toBe('digest {"items":1}');
  });

  it('is not forgotten before it is confirmed', async () => {
    const { follow, collect, later, turn, housekeeping, sent, said, confirmedWhen, stores } = await bench();
    const key = await follow({ digest: true });
    await collect(key, ...entriesOf('a'));
    later(MINUTE_MS);
    let confirm: (() => void) | undefined;
    confirmedWhen(new Promise<void>((resolve) => (confirm = resolve)));
    await turn();
    await sent.take();
    expect(await stores.digests.held(key, 10)).toHaveLength(1);
    expect(said.pending).toEqual([]);
    confirm?.();
    await said.take();
    await housekeeping.stop();
    expect(await stores.digests.held(key, 10)).toEqual([]);
  });
});

describe('a subscription whose time is over', () => {
  it('ends, and its subscriber is told, under the name that was used', async () => {
    const { follow, later, turn, sent, stores } = await bench();
    const key = await follow({ expire: NOW + MINUTE_MS }, { node: BLOG, subid: 'x' });
    await follow({ expire: NOW + 2 * MINUTE_MS }, { jid: 'juliet@example.net' });
    later(MINUTE_MS);
    await turn();
    const [stanza, ...more] = await sent.take();
    expect(more).toEqual([]);
    expect(stanza!.attrs).toMatchObject({ from: DOMAIN, to: ROMEO, type: 'headline' });
    expect(attributesOf(stanza!.getChild('event')!.getChild('subscription')!)).toEqual({
      ...{ node: BLOG, jid: ROMEO, subid: 'x', subscription: 'none' },
    });
    expect(await stores.subscriptions.get(key)).toBeUndefined();
    expect(await stores.subscriptions.countOfFeed(ID)).toBe(1);
  });

  it('does not end when it was renewed at the last moment', async () => {
    const { stores } = rules();
    const key = subscriptionOf(ID, ROMEO, { options: { expire: NOW + MINUTE_MS } });
    const { later, turn, sent } = await bench({
      subscriptions: {
        ...stores.subscriptions,
        async expired() {
          await stores.subscriptions.put({ ...key, options: { expire: NOW + 9 * MINUTE_MS } });
          return [key];
        },
      },
    });
    later(2 * MINUTE_MS);
    await turn();
    expect(sent.pending).toEqual([]);
    expect(await stores.subscriptions.get(key)).toBeDefined();
  });
});

describe('items whose time is over', () => {
  it.each([
    ['1', ['retracted']],
    ['0', []],
  ])('go, and subscribers are told where the node does so: %s', async (notify, told) => {
    const { configure, publish, later, turn, stores, service } = await bench();
    await configure('musings', { item_expire: '60', notify_retract: notify });
    await publish('musings', 'old');
    later(30_000);
    await publish('musings', 'young');
    later(30_001);
    await turn();
    expect(idsOf((await service.items({ requester: ROMEO, node: 'musings' })).items)).toEqual(['young']);
    const records = await stores.log.read(stores.log.partitionOf(MUSINGS), '0', 10);
    expect(records.slice(2)).toMatchObject(told.map((kind) => ({ kind, items: ['old' as ItemId] })));
  });
});

describe('while the stream is down', () => {
  it('nothing is looked at, and everything is done when it is up again', async () => {
    const { follow, collect, later, turn, sent, stream, stores } = await bench();
    const key = await follow({ digest: true, expire: NOW + 2 * MINUTE_MS });
    await collect(key, ...entriesOf('a'));
    later(2 * MINUTE_MS);
    stream.up = false;
    await turn();
    expect(await stores.subscriptions.get(key)).toBeDefined();
    expect(await stores.digests.held(key, 1)).toHaveLength(1);
    stream.up = true;
    await turn();
    expect((await sent.take())[0]!.getChild('event')!.getChildElements()[0]!.name).toBe('items');
    expect((await sent.take())[0]!.getChild('event')!.getChildElements()[0]!.name).toBe('subscription');
  });
});

it('goes on after the store was away', async () => {
  let isAway = true;
  const one = rules();
  const { follow, turn, said, sent } = await bench({
    digests: {
      ...one.stores.digests,
      async due() {
        if (isAway) throw new Error('Redis is away');
        return [];
      },
    },
  });
  await follow({ expire: NOW });
  await turn();
  expect(await said.take()).toBe('housekeeping: Error: Redis is away');
  isAway = false;
  await turn();
  expect(sent.pending).toHaveLength(1);
});

it('starts once and stops for good', async () => {
  let looks = 0;
  const one = rules();
  const { housekeeping } = await bench({
    digests: {
      ...one.stores.digests,
      async due() {
        looks++;
        return [];
      },
    },
  });
  housekeeping.start();
  housekeeping.start();
  await jest.advanceTimersByTimeAsync(3 * TURN_MS);
  expect(looks).toBe(3);
  await housekeeping.stop();
  await housekeeping.stop();
  await jest.advanceTimersByTimeAsync(3 * TURN_MS);
  expect(looks).toBe(3);
});
