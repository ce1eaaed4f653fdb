import { afterEach, describe, expect, it } from '@jest/globals';
import { StreamDown, type Down } from '../../component/connection.js';
import { createDelivery } from '../../component/deliver.js';
import { feedIdOf, ownNodeIdOf, parseFeedUrl, type ItemId, type NodeKey } from '../../lib/domain.js';
import type { Events } from '../../lib/events.js';
import { Fenced, type LogRecord } from '../../lib/store/log.js';
import { createInbox } from '../../prosody/inbox.js';
import { memoryStores } from '../support/memory.js';
import { BLOG, collect, entryOf, look, openFeed, subscriptionOf } from '../support/stores.js';

/** A stream that does what the test says: what is written on it, and when its echoes come. */
function fakeStream() {
  const ups: (() => void)[] = [];
  const downs: ((why: Down) => void)[] = [];
  const written = createInbox<string>('written');
  let pending: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];
  let up = false;
  return {
    written,
    rise() {
      up = true;
      for (const listener of ups) listener();
    },
    die(why: Down = { kind: 'closed' }) {
      up = false;
      for (const { reject } of pending.splice(0)) reject(new StreamDown(why));
      for (const listener of downs) listener(why);
    },
    /** The echo of the oldest barrier comes back. */
    echo() {
      pending.shift()?.resolve();
    },
    connection: {
      get up() {
        return up;
      },
      write(stanzas: string) {
        if (!up) return Promise.reject(new StreamDown(undefined));
        written.push(stanzas);
        return Promise.resolve();
      },
      confirm: () =>
        up
          ? new Promise<void>((resolve, reject) => {
              pending = [...pending, { resolve, reject }];
            })
          : Promise.reject(new StreamDown(undefined)),
      onUp: (listener: () => void) => void ups.push(listener),
      onDown: (listener: (why: Down) => void) => void downs.push(listener),
    },
  };
}

/** Ends what a test that failed has left running. */
let end: (() => Promise<void>) | undefined;
afterEach(() => end?.());

async function bench(count: number, isPublic: (node: NodeKey) => boolean = () => true) {
  const stores = memoryStores({ partitions: 1, itemsPerNode: 1_000 });
  await openFeed(stores);
  const numbers = Array.from({ length: count }, (_, n) => String(n).padStart(3, '0'));
  await look(
    stores,
    BLOG,
    [...numbers].reverse().map((id) => entryOf(id)),
  );
  const stream = fakeStream();
  const reading = createInbox<string>('readings');
  const acknowledged = createInbox<string>('acknowledgements');
  /** When set, the log answers only once the gate opens. */
  const gate: { opens?: Promise<void> } = {};
  const fenced = createInbox<'fenced'>('fenced');
  const quarantined = createInbox<string>('quarantined');
  const told: (readonly [LogRecord, number | undefined])[] = [];
  const delivery = createDelivery({
    ...stores,
    log: {
      ...stores.log,
      async read(partition, after, limit) {
        reading.push(after);
        await gate.opens;
        return stores.log.read(partition, after, limit);
      },
      async acknowledge(...args) {
        await stores.log.acknowledge(...args);
        acknowledged.push(args[1]);
      },
    },
    connection: stream.connection,
    audience: () => ({
      isPublic: async (node) => isPublic(node),
      async *stanzasFor(record, number) {
        told.push([record, number]);
        if ('entry' in record) yield `${record.entry.id} `;
        else if (record.kind !== 'deleted' || record.announce) yield `${record.kind} `;
      },
    }),
    emit: (event, facts) => {
      if (event === 'quarantined') quarantined.push((facts as Events['quarantined']).why);
    },
    away: () => undefined,
    now: () => 0,
    keep: { ms: 3_600_000, records: 10_000 },
    onFenced: () => {
      fenced.push('fenced');
    },
  });
  end = async () => {
    stream.die();
    await delivery.stop();
  };
  return { stores, stream, reading, acknowledged, gate, fenced, quarantined, told, delivery, numbers };
}

const ids = (written: string) => written.trim().split(' ');

it('acknowledges what the echo has confirmed, and nothing before', async () => {
  const { stream, acknowledged, delivery, stores } = await bench(10);
  delivery.start(1);
  stream.rise();
  expect(ids(await stream.written.take())).toHaveLength(10);
  expect(await stores.log.position(0)).toBe('0');
  stream.echo();
  const position = await acknowledged.take();
  expect(await stores.log.position(0)).toBe(position);
  expect(await stores.log.backlog()).toBe(0);
  await delivery.stop();
});

it('keeps at most two windows on the way', async () => {
  const { stream, acknowledged, delivery } = await bench(200);
  delivery.start(1);
  stream.rise();
  const first = await stream.written.take();
  const second = await stream.written.take();
  expect([ids(first).length, ids(second).length]).toEqual([50, 50]);
  expect(stream.written.pending).toEqual([]);
  stream.echo();
  await acknowledged.take();
  expect(ids(await stream.written.take())[0]).toBe('100');
  stream.die();
  await delivery.stop();
});

it('what was lost with a stream comes first on the next one, even when the end went unnoticed while the log was read', async () => {
  const { stream, reading, acknowledged, gate, delivery, numbers } = await bench(150);
  let open: (() => void) | undefined;
  delivery.start(1);
  stream.rise();
  expect(ids(await stream.written.take())[0]).toBe('000');
  expect(ids(await stream.written.take())[0]).toBe('050');
  gate.opens = new Promise((resolve) => (open = resolve));
  stream.echo();
  await acknowledged.take();
  await reading.take((after) => after !== '0');

  stream.die();
  stream.rise();
  open?.();
  const again: string[] = [];
  while (again.at(-1) !== numbers.at(-1)) {
    again.push(...ids(await stream.written.take()));
    stream.echo();
  }
  expect(again).toEqual(numbers.slice(50));
  await delivery.stop();
});

it('stops, and acknowledges nothing, when somebody else holds the address by now', async () => {
  const { stream, delivery, fenced, stores } = await bench(10);
  await stores.log.acknowledge(0, '1-0', 9, { ms: 1, records: 1 });
  await expect(stores.log.acknowledge(0, '2-0', 8, { ms: 1, records: 1 })).rejects.toThrow(Fenced);
  delivery.start(8);
  stream.rise();
  await stream.written.take();
  stream.echo();
  await fenced.take();
  expect(await stores.log.position(0)).toBe('1-0');
  await delivery.stop();
});

it.each<[string, Down, number]>([
  ['twice with the server’s word for it', { kind: 'stream-error', condition: 'not-well-formed' }, 2],
  ['five times without a word', { kind: 'socket' }, 5],
])('a record that ends the stream, alone, %s, goes to quarantine', async (_, why, deaths) => {
  const { stream, quarantined, delivery, stores } = await bench(1);
  delivery.start(1);
  for (let n = 0; n < deaths; n++) {
    expect(quarantined.pending).toEqual([]);
    stream.rise();
    await stream.written.take();
    stream.die(why);
  }
  stream.rise();
  expect(await quarantined.take()).toContain(why.condition ?? '');
  expect(await stores.items.page(feedIdOf(BLOG), { limit: 10 })).toMatchObject({ count: 0 });
  expect(stream.written.pending).toEqual([]);
  await delivery.stop();
});

it('a server that goes down again and again costs no record its place', async () => {
  const { stream, quarantined, acknowledged, delivery, numbers } = await bench(8);
  delivery.start(1);
  for (let n = 0; n < 4; n++) {
    stream.rise();
    await stream.written.take();
    stream.die({ kind: 'closed' });
  }
  stream.rise();
  const came: string[] = [];
  while (came.at(-1) !== numbers.at(-1)) {
    came.push(...ids(await stream.written.take()));
    stream.echo();
    await acknowledged.take();
  }
  expect(came).toEqual(numbers);
  expect(quarantined.pending).toEqual([]);
  await delivery.stop();
});

describe('the firehose', () => {
  const OTHER = parseFeedUrl('https://other.example/feed');

  it('numbers what is new or edited on nodes that everybody may read, and nothing else', async () => {
    const { stores, stream, acknowledged, delivery, told } = await bench(2, (node) => node !== feedIdOf(OTHER));
    await openFeed(stores, OTHER);
    await look(stores, OTHER, [entryOf('private')]);
    const late = parseFeedUrl('https://late.example/feed');
    await stores.feeds.register(late);
    await stores.subscriptions.put(subscriptionOf(feedIdOf(late)));
    await look(stores, late, [entryOf('first')]);
    await stores.nodes.create('musings', 'admin@example.net', {});
    const item = { id: '1' as ItemId, payload: '<a/>', publisher: 'admin@example.net' };
    await stores.items.publish(ownNodeIdOf('musings'), [item], { persist: true, keep: 9, announce: true });
    await look(stores, BLOG, [entryOf('000', 'edited')]);

    delivery.start(1);
    stream.rise();
    expect(await stream.written.take()).toBe('000 001 private first published 000 ');
    expect(told.map(([, number]) => number)).toEqual([1, 2, undefined, undefined, undefined, 3]);
    expect(await stores.firehose.page({ limit: 10 })).toMatchObject({ count: 3 });
    stream.echo();
    await acknowledged.take();
    await delivery.stop();
  });

  it('numbers what several feeds show once, and the nodes of all of them still have it', async () => {
    const [hidden, planet] = ['https://hidden.example/', 'https://planet.example/'].map((url) => parseFeedUrl(url));
    const post = (id: string) => ({
      ...entryOf(id, 'Rain'),
      links: [{ rel: 'alternate', href: `https://blog.example/rain?utm_source=${id}` }],
    });
    const { stores, stream, acknowledged, delivery, told } = await bench(1, (node) => node !== feedIdOf(hidden!));
    for (const url of [hidden!, planet!]) await openFeed(stores, url);
    // What only members may read is not shown to everybody, and takes nothing from those who show it to everybody.
    for (const url of [hidden!, BLOG, planet!]) await look(stores, url, [post(url)]);
    await look(stores, planet!, [entryOf('other')]);

    delivery.start(1);
    stream.rise();
    await stream.written.take();
    expect(told.map(([, number]) => number)).toEqual([1, undefined, 2, undefined, 3]);
    expect(told.map(([record]) => 'entry' in record && record.entry.id)).toEqual([
      ...['000', hidden, BLOG, planet, 'other'],
    ]);
    stream.echo();
    await acknowledged.take();
    await delivery.stop();
  });

  it('gives a record the same number when it has to be sent again', async () => {
    const { stream, acknowledged, delivery, told } = await bench(3);
    delivery.start(1);
    stream.rise();
    await stream.written.take();
    stream.die();
    stream.rise();
    for (let sent = ''; !sent.includes('002'); await acknowledged.take()) {
      sent = await stream.written.take();
      stream.echo();
    }
    const numbers = new Map<string, Set<number | undefined>>();
    for (const [{ id }, number] of told) numbers.set(id, (numbers.get(id) ?? new Set()).add(number));
    expect([...numbers.values()].map((all) => [...all])).toEqual([[1], [2], [3]]);
    await delivery.stop();
  });
});

describe('those who followed a node that was deleted', () => {
  const deleted = async (announce: boolean) => {
    const one = await bench(0);
    const follower = subscriptionOf(feedIdOf(BLOG));
    await one.stores.subscriptions.put(follower);
    await one.stores.nodes.delete(feedIdOf(BLOG), { announce });
    const [record] = await one.stores.log.read(0, '0', 1);
    if (record?.kind !== 'deleted') throw new Error('the log has no such record');
    return { ...one, follower, followers: () => collect(one.stores.subscriptions.departed(record)) };
  };

  it('are remembered until it is confirmed that they were told', async () => {
    const { stream, acknowledged, delivery, follower, followers } = await deleted(true);
    delivery.start(1);
    for (let attempt = 0; attempt < 2; attempt++) {
      stream.rise();
      expect(await stream.written.take()).toBe('deleted ');
      expect(await followers()).toEqual([follower]);
      stream.die();
    }
    stream.rise();
    await stream.written.take();
    stream.echo();
    await acknowledged.take();
    expect(await followers()).toEqual([]);
    await delivery.stop();
  });

  it('are forgotten at once when they are not to be told', async () => {
    const { stream, acknowledged, delivery, followers } = await deleted(false);
    delivery.start(1);
    stream.rise();
    await acknowledged.take();
    expect(stream.written.pending).toEqual([]);
    expect(await followers()).toEqual([]);
    await delivery.stop();
  });

  it('are forgotten when to tell them kills the stream', async () => {
    const { stream, quarantined, delivery, followers } = await deleted(true);
    delivery.start(1);
    for (let death = 0; death < 2; death++) {
      stream.rise();
      await stream.written.take();
      stream.die({ kind: 'stream-error', condition: 'not-well-formed' });
    }
    stream.rise();
    expect(await quarantined.take()).toContain('not-well-formed');
    expect(await followers()).toEqual([]);
    await delivery.stop();
  });
});

it.each([
  ['retracted', 'retracted'],
  ['published', '1'],
])('what people have published goes to quarantine like everything else: %s', async (kind, item) => {
  const { stores, stream, quarantined, delivery, told } = await bench(0);
  const musings = ownNodeIdOf('musings');
  await stores.nodes.create('musings', 'admin@example.net', {});
  const published = { id: '1' as ItemId, payload: '<a/>', publisher: 'admin@example.net' };
  await stores.items.publish(musings, [published], { persist: true, keep: 9, announce: true });
  if (kind === 'retracted') {
    const [before] = await stores.log.read(0, '0', 1);
    await stores.log.acknowledge(0, before!.id, 1, { ms: 3_600_000, records: 100 });
    await stores.items.retract(musings, [published.id], true);
  }
  delivery.start(1);
  for (let death = 0; death < 2; death++) {
    stream.rise();
    expect(await stream.written.take()).toBe(`${kind} `);
    stream.die({ kind: 'stream-error', condition: 'not-well-formed' });
  }
  stream.rise();
  await quarantined.take();
  expect(told.map(([record]) => ('item' in record ? record.item : record.kind))).toEqual([item, item]);
  expect(await stores.items.page(musings, { limit: 10 })).toMatchObject({ count: 0 });
  expect((await stores.log.quarantined(0)).size).toBe(1);
  await delivery.stop();
});
