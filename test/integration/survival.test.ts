import { afterEach, beforeEach, expect, it } from '@jest/globals';
import xml from '@xmpp/xml';
import { openRedis } from '../../lib/redis.js';
import type { Item } from '../../prosody/reader.js';
import { startRig, type Rig } from '../support/rig.js';

const SECONDS = 30;
const DISCO_ITEMS = 'http://jabber.org/protocol/disco#items';

let rig: Rig;
beforeEach(async () => {
  rig = await startRig({ LOG_LEVEL: 'debug' });
}, 60_000);
afterEach(() => rig.stop());

/** Takes arrivals until every one of these titles has come at least once. */
async function collect(from: { take(): Promise<Item> }, titles: readonly string[]): Promise<Item[]> {
  const missing = new Set(titles);
  const items: Item[] = [];
  while (missing.size > 0) {
    const item = await from.take();
    items.push(item);
    missing.delete(item.title ?? '');
  }
  return items;
}

const arrivalsOf = (name: string) => ({ take: () => rig.tester.as(name).arrivals.take(undefined, SECONDS) });

/** Copies of one entry carry one item id and one stanza id; copies of different ones never share either. */
function expectHonestRepeats(items: readonly Item[]): void {
  const ids = new Map<string, string>();
  for (const { title, id, stanza } of items) {
    const both = `${id} ${String(stanza.attrs['id'])}`;
    expect(ids.get(title ?? '') ?? both).toBe(both);
    ids.set(title ?? '', both);
  }
  expect(new Set(ids.values()).size).toBe(ids.size);
}

/** The order of first arrivals is the order of publishing. */
function expectOrder(items: readonly Item[], titles: readonly string[]): void {
  expect([...new Set(items.map(({ title }) => title))]).toEqual(titles);
}

it('Prosody is killed under way: nothing is lost, the order is kept', async () => {
  const feed = rig.feeds.feed('/busy.xml', { format: 'atom', title: 'Busy', keep: 500 });
  await rig.tester.as('romeo').subscribe(feed.url);
  const titles = Array.from({ length: 400 }, (_, n) => `Entry ${String(n).padStart(3, '0')}`);

  const collected = collect(arrivalsOf('romeo'), titles);
  for (const title of titles.slice(0, 200)) feed.publish({ title });
  await rig.ping(feed.url);
  await rig.component.log.see((line) => line.includes('"event":"sent"'), SECONDS);
  await rig.prosody.kill();
  for (const title of titles.slice(200)) feed.publish({ title });
  await rig.prosody.start();

  // What Prosody had routed to a subscriber that went down with it was confirmed, and is in the node.
  const held = () => rig.tester.as('romeo').items(feed.url);
  await rig.component.log.see((line) => line.includes('"event":"streamUp"'), SECONDS);
  const items = await collected;
  expectHonestRepeats(items);
  expectOrder(items, titles);
  expect((await held()).map(({ title }) => title)).toEqual(titles.slice(-20));
});

it('the component is killed between sending and confirmation: the entry comes, each time under the same ids', async () => {
  const feed = rig.feeds.feed('/once.xml', { format: 'atom', title: 'Once' });
  await rig.tester.as('romeo').subscribe(feed.url);
  await rig.tester.as('bot').subscribe('firehose');

  // A frozen Prosody reads nothing: what the component sends now is neither routed nor confirmed.
  rig.prosody.signal('SIGSTOP');
  feed.publish({ title: 'Once' });
  await rig.component.log.take((line) => line.includes('"event":"sent"'), SECONDS);
  await rig.component.kill();
  rig.prosody.signal('SIGCONT');
  await rig.component.start();

  for (const name of ['romeo', 'bot']) {
    const copies = [await arrivalsOf(name).take(), await arrivalsOf(name).take()];
    expect(copies.map(({ title }) => title)).toEqual(['Once', 'Once']);
    expectHonestRepeats(copies);
  }
});

it('the component is killed again and again: nothing is lost, the order is kept', async () => {
  const feed = rig.feeds.feed('/long.xml', { format: 'atom', title: 'Long', keep: 1_000 });
  await rig.tester.as('romeo').subscribe(feed.url);
  const titles = Array.from({ length: 600 }, (_, n) => `Entry ${String(n).padStart(3, '0')}`);
  const collected = collect(arrivalsOf('romeo'), titles);
  for (let n = 0; n < 6; n++) {
    for (const title of titles.slice(n * 100, n * 100 + 100)) feed.publish({ title });
    await rig.component.log.take((line) => line.includes('"event":"sent"'), SECONDS);
    await rig.component.kill();
    await rig.component.start();
  }
  const items = await collected;
  expectHonestRepeats(items);
  expectOrder(items, titles);
});

it('the scheduler is killed in the middle of a poll: the entry comes all the same, once', async () => {
  const feed = rig.feeds.feed('/slow.xml', { format: 'atom', title: 'Slow' });
  const romeo = rig.tester.as('romeo');
  await romeo.subscribe(feed.url);
  feed.publish({ title: 'Before' });
  await romeo.arrivals.take(({ title }) => title === 'Before', SECONDS);

  const caught = new Promise<void>((resolve) => {
    rig.feeds.handle('/slow.xml', () => {
      resolve(); // and never answer
    });
  });
  await caught;
  await rig.scheduler.kill();
  const again = rig.feeds.feed('/slow.xml', { format: 'atom', title: 'Slow' });
  again.publish({ title: 'After' });
  await rig.scheduler.start();
  expect((await romeo.arrivals.take(undefined, SECONDS)).title).toBe('After');
  await rig.healthy();
  again.publish({ title: 'Last' });
  expect((await romeo.arrivals.take(undefined, SECONDS)).title).toBe('Last');
});

it('Redis is away: requests are answered with "wait" within two seconds, and everything resumes', async () => {
  const feed = rig.feeds.feed('/redis.xml', { format: 'atom', title: 'Redis' });
  const romeo = rig.tester.as('romeo');
  await romeo.subscribe(feed.url);
  await romeo.request('get', xml('query', { xmlns: DISCO_ITEMS }));

  const promise = AbortSignal.timeout(10_000);
  const refused = { name: 'StanzaError', type: 'wait', condition: 'internal-server-error' };
  const withinTwoSeconds = (asked: Promise<unknown>) =>
    Promise.race([asked, new Promise((resolve) => AbortSignal.timeout(2_000).addEventListener('abort', resolve))]);

  await rig.redis.kill();
  for (let n = 0; !promise.aborted; n++) {
    const child = n % 2 ? xml('query', { xmlns: DISCO_ITEMS }) : subscribeTo(rig.feeds.url(`/new-${n}.xml`));
    await expect(withinTwoSeconds(romeo.request(n % 2 ? 'get' : 'set', child))).rejects.toMatchObject(refused);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await rig.redis.start();

  await rig.healthy();
  feed.publish({ title: 'Back' });
  expect((await romeo.arrivals.take(undefined, SECONDS)).title).toBe('Back');
  expect((await romeo.subscribe(feed.url)).attrs['subscription']).toBe('subscribed');
});

const subscribeTo = (node: string) =>
  xml('pubsub', 'http://jabber.org/protocol/pubsub', xml('subscribe', { node, jid: 'romeo@tester.localhost' }));

it('a frozen Redis is answered for as well', async () => {
  const romeo = rig.tester.as('romeo');
  rig.redis.signal('SIGSTOP');
  await expect(romeo.request('get', xml('query', { xmlns: DISCO_ITEMS }))).rejects.toMatchObject({ type: 'wait' });
  rig.redis.signal('SIGCONT');
  await rig.healthy();
  await romeo.request('get', xml('query', { xmlns: DISCO_ITEMS }));
});

it('the queues are flushed: nothing is forgotten', async () => {
  const feed = rig.feeds.feed('/flushed.xml', { format: 'atom', title: 'Flushed' });
  const romeo = rig.tester.as('romeo');
  await romeo.subscribe(feed.url);
  const redis = openRedis([rig.redis.url], 'patient', () => undefined);
  const queues = await redis.keys('{hydrant-queues}*');
  expect(queues.length).toBeGreaterThan(0);
  await redis.del(...queues);
  redis.disconnect();
  feed.publish({ title: 'After the flood' });
  expect((await romeo.arrivals.take(undefined, SECONDS)).title).toBe('After the flood');
});

it('SIGTERM ends both processes in good order', async () => {
  expect(await rig.component.stop()).toEqual({ code: 0, signal: null });
  expect(await rig.scheduler.stop()).toEqual({ code: 0, signal: null });
});
