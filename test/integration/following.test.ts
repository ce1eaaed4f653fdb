import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import xml from '@xmpp/xml';
import type { Item } from '../../prosody/reader.js';
import { startRig, type Rig } from '../support/rig.js';
import { stampIn } from '../support/subscriber.js';

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
}, 60_000);
afterAll(() => rig.stop());

const PUBSUB = 'http://jabber.org/protocol/pubsub';
const SECONDS = 20;

describe('somebody with a Jabber client', () => {
  it('subscribes to the URL of a feed, gets the latest entry, and each new one as it is published', async () => {
    const feed = rig.feeds.feed('/soliloquies.xml', { format: 'atom', title: 'Soliloquies' });
    feed.publish({ title: 'Old' });
    const latest = feed.publish({ title: 'Latest' });
    const romeo = await rig.client('romeo');

    const subscription = await romeo.subscribe(feed.url);
    expect(subscription.attrs).toMatchObject({ node: feed.url, jid: 'romeo@localhost', subscription: 'subscribed' });
    expect(await romeo.arrivals.take(undefined, SECONDS)).toMatchObject({
      node: feed.url,
      title: 'Latest',
      link: latest.link,
    });

    const fresh = feed.publish({ title: 'Now I am alone' });
    const item = await romeo.arrivals.take(undefined, SECONDS);
    expect(item).toMatchObject({ node: feed.url, title: 'Now I am alone', link: fresh.link });
    expect(item.stanza.attrs).toMatchObject({ from: rig.service, type: 'headline' });
    expect(item.id).toMatch(/^[0-9a-f]{32}$/);

    const held = await romeo.items(feed.url);
    expect(held.map(({ title }) => title)).toEqual(['Old', 'Latest', 'Now I am alone']);
    expect(held.at(-1)?.id).toBe(item.id);
  });

  it('subscribes to a page and follows the feed that the page names, under the name of the page', async () => {
    const feed = rig.feeds.feed('/blog/rss', { format: 'rss', title: 'A blog' });
    const page = rig.feeds.page('/blog/', [feed]);
    const juliet = await rig.client('juliet');

    expect((await juliet.subscribe(page)).attrs['node']).toBe(page);
    const entry = feed.publish({ title: 'From the page' });
    expect(await juliet.arrivals.take(undefined, SECONDS)).toMatchObject({
      node: page,
      title: 'From the page',
      link: entry.link,
    });
    expect((await juliet.items(page)).map(({ title }) => title)).toEqual(['From the page']);
    await juliet.unsubscribe(page);
  });
});

it('an edited entry comes again with the same ItemID', async () => {
  const feed = rig.feeds.feed('/edited.xml', { format: 'atom', title: 'Edited' });
  const nurse = rig.tester.as('nurse');
  await nurse.subscribe(feed.url);
  const { id } = feed.publish({ title: 'Frist' });
  const first = await nurse.arrivals.take(undefined, SECONDS);
  feed.edit(id, { title: 'First' });
  const second = await nurse.arrivals.take(undefined, SECONDS);
  expect([first.title, second.title]).toEqual(['Frist', 'First']);
  expect(second.id).toBe(first.id);
  expect((await nurse.items(feed.url)).map(({ title }) => title)).toEqual(['First']);
});

it('an entry that vanishes from the feed stays with its node', async () => {
  const feed = rig.feeds.feed('/vanishing.xml', { format: 'atom', title: 'Vanishing' });
  const nurse = rig.tester.as('nurse');
  await nurse.subscribe(feed.url);
  const { id } = feed.publish({ title: 'Going' });
  await nurse.arrivals.take(({ title }) => title === 'Going', SECONDS);
  feed.drop(id);
  feed.publish({ title: 'Staying' });
  await nurse.arrivals.take(({ title }) => title === 'Staying', SECONDS);
  expect((await nurse.items(feed.url)).map(({ title }) => title)).toEqual(['Going', 'Staying']);
});

it('two subscribers get the same entry, each under the name that they gave the node', async () => {
  const feed = rig.feeds.feed('/shared.xml', { format: 'atom', title: 'Shared' });
  const [a, b] = [rig.tester.as('a'), rig.tester.as('b')];
  await a.subscribe(feed.url);
  const info = await a.request('get', xml('query', { xmlns: 'http://jabber.org/protocol/disco#items' }));
  const slug = info
    .getChild('query')!
    .getChildren('item')
    .map(({ attrs }) => String(attrs['node']))
    .find((node) => node.startsWith('127.0.0.1-') && node !== 'firehose');
  expect(slug).toMatch(/^[a-z0-9._-]+$/);
  await b.subscribe(feed.url.replace('http://', 'HTTP://'));
  feed.publish({ title: 'To both' });
  const [atA, atB] = await Promise.all([a.arrivals.take(undefined, SECONDS), b.arrivals.take(undefined, SECONDS)]);
  expect(atA.node).toBe(feed.url);
  expect(atB.node).toBe(feed.url.replace('http://', 'HTTP://'));
  expect(atA.id).toBe(atB.id);
});

it('who unsubscribed hears nothing more', async () => {
  const feed = rig.feeds.feed('/left.xml', { format: 'atom', title: 'Left' });
  const [stays, leaves] = [rig.tester.as('stays'), rig.tester.as('leaves')];
  await stays.subscribe(feed.url);
  await leaves.subscribe(feed.url);
  await leaves.unsubscribe(feed.url);
  feed.publish({ title: 'After the farewell' });
  // The stream is ordered and its lanes too: had there been a message for the other, it would have come before this one.
  await stays.arrivals.take(({ title }) => title === 'After the farewell', SECONDS);
  feed.publish({ title: 'Once more' });
  await stays.arrivals.take(({ title }) => title === 'Once more', SECONDS);
  expect(leaves.arrivals.pending).toEqual([]);
});

it('the firehose carries every entry of every feed, numbered, with the feed it comes from', async () => {
  const feeds = ['one', 'two', 'three'].map((name) => rig.feeds.feed(`/${name}.xml`, { format: 'atom', title: name }));
  const [bot, reader] = [rig.tester.as('bot'), rig.tester.as('reader')];
  for (const feed of feeds) await reader.subscribe(feed.url);
  expect((await bot.subscribe('firehose')).attrs).toMatchObject({ node: 'firehose', subscription: 'subscribed' });
  await bot.items('firehose');

  const titles: string[] = [];
  for (const [i, feed] of feeds.entries()) titles.push(feed.publish({ title: `Entry of ${i}` }).title);
  const drunk = [];
  while (drunk.length < titles.length) {
    const item = await bot.arrivals.take(({ title }) => title?.startsWith('Entry of') ?? false, SECONDS);
    drunk.push(item);
  }
  expect(drunk.map(({ title }) => title).sort()).toEqual(titles);
  const numbers = drunk.map(({ id }) => Number(id));
  expect(numbers).toEqual([0, 1, 2].map((n) => numbers[0]! + n));
  expect(drunk.map(({ id }) => id.length)).toEqual([12, 12, 12]);
  for (const { item, title } of drunk) {
    const source = item.getChild('entry')?.getChild('source');
    expect(source?.getChildText('title')).toBe(['one', 'two', 'three'][Number(title?.split(' ').at(-1))]);
  }
  const held = await bot.items('firehose');
  expect(held.slice(-3).map(({ id }) => id)).toEqual(drunk.map(({ id }) => id));
  const [second] = await idsOf('firehose', drunk[1]!.id);
  expect(second).toBe(drunk[1]!.id);
});

it('an entry that a feed shows long after it came out says when that was', async () => {
  const serve = (...entries: readonly string[]) =>
    rig.feeds.raw('/late.xml', {
      type: 'application/rss+xml',
      body: `<rss version="2.0"><channel><title>Late</title><link>${rig.feeds.url('/')}</link>${entries.join('')}</channel></rss>`,
    });
  const item = (title: string, date: Date) =>
    `<item><title>${title}</title><guid>urn:example:${title}</guid><pubDate>${date.toUTCString()}</pubDate></item>`;
  const [found, fresh] = [item('Found', new Date('2026-01-31T12:00:00Z')), item('Fresh', new Date())];
  const [reader, bot] = [rig.tester.as('late-reader'), rig.tester.as('late-bot')];
  await reader.subscribe(serve());
  await bot.subscribe('firehose');
  serve(found);
  const isFound = ({ title }: Item) => title === 'Found';
  for (const follower of [reader, bot]) {
    const { stanza } = await follower.arrivals.take(isFound, SECONDS);
    expect(stampIn(stanza)).toBe('2026-01-31T12:00:00.000Z');
  }
  serve(fresh, found);
  expect(stampIn((await reader.arrivals.take(undefined, SECONDS)).stanza)).toBeUndefined();
});

it('an entry of two feeds of a site is on the firehose once, and comes to the followers of both', async () => {
  const [rss, atom] = (['rss', 'atom'] as const).map((format) =>
    rig.feeds.feed(`/weather.${format}`, { format, title: 'Weather' }),
  );
  const [drinker, first, second] = ['drinker', 'of rss', 'of atom'].map((name) =>
    rig.tester.as(name.replace(' ', '-')),
  );
  await first!.subscribe(rss!.url);
  await second!.subscribe(atom!.url);
  await drinker!.subscribe('firehose');
  const next = async (follower: typeof drinker) => (await follower!.arrivals.take(undefined, SECONDS)).title;
  const ofWeather = async () =>
    (await drinker!.arrivals.take(({ link }) => link?.includes('/weather/') ?? false, SECONDS)).title;

  for (const title of ['Rain', 'Wind']) {
    const link = rig.feeds.url(`/weather/${title}`);
    rss!.publish({ title, link: `${link}?utm_source=rss`, summary: 'In short.' });
    expect([await next(first), await ofWeather()]).toEqual([title, title]);
    atom!.publish({ title, link: `${link}/`, summary: 'At length.' });
    expect(await next(second)).toBe(title);
  }
  // Numbers are in order: had there been a duplicate, it would have come before this one.
  atom!.publish({ title: 'Sun', link: rig.feeds.url('/weather/Sun') });
  expect([await next(second), await ofWeather()]).toEqual(['Sun', 'Sun']);
  const held = (await drinker!.items('firehose')).filter(({ link }) => link?.includes('/weather/'));
  expect(held.map(({ title }) => title)).toEqual(['Rain', 'Wind', 'Sun']);
});

it('a ping has a feed looked at at once', async () => {
  const feed = rig.feeds.feed('/pinged.xml', { format: 'atom', title: 'Pinged' });
  const reader = rig.tester.as('pinged');
  await reader.subscribe(feed.url);
  feed.publish({ title: 'Ping' });
  expect(await rig.ping(feed.url)).toBe(200);
  await rig.scheduler.log.see((line) => line.includes('"trigger":"ping"') && line.includes(feed.url), SECONDS);
  expect((await reader.arrivals.take(undefined, SECONDS)).title).toBe('Ping');
});

it('a ping for something nobody follows is answered and fetches nothing', async () => {
  const url = rig.feeds.raw('/nobody', { body: 'x' });
  expect(await rig.ping(url)).toBe(200);
  expect(rig.feeds.count('/nobody')).toBe(0);
  expect(await rig.ping('not a url')).toBe(400);
});

it('shows its health and its numbers', async () => {
  const health = (await (await fetch(`${rig.intake}/health`)).json()) as object;
  expect(health).toMatchObject({ ok: true, component: 'up', redis: 'up' });
  const metrics = await (await fetch(`${rig.intake}/metrics`)).text();
  expect(metrics).toMatch(/^hydrant_polls_total\{.*outcome="fresh".*\} [1-9]/m);
  expect(metrics).toContain('# TYPE hydrant_delivered_stanzas_total counter');
});

async function idsOf(node: string, ...ids: string[]): Promise<string[]> {
  const wanted = ids.map((id) => xml('item', { id }));
  const answer = await rig.tester.as('bot').request('get', xml('pubsub', PUBSUB, xml('items', { node }, ...wanted)));
  const items = answer.getChild('pubsub')?.getChild('items')?.getChildren('item') ?? [];
  return items.map(({ attrs }) => String(attrs['id']));
}
