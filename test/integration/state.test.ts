import { afterAll, beforeAll, expect, it } from '@jest/globals';
import xml, { type Element } from '@xmpp/xml';
import type { Follower } from '../../prosody/reader.js';
import { startRig, type Rig } from '../support/rig.js';
import { subscriber } from '../support/subscriber.js';

const DISCO_INFO = 'http://jabber.org/protocol/disco#info';
const STATUS = 'http://superfeedr.com/xmpp-pubsub-ext';
const SECONDS = 20;
const DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
}, 60_000);
afterAll(() => rig.stop());

const statusIn = (message: Element) => message.getChild('status', STATUS)?.attrs ?? {};
const nextStatus = async (follower: Follower) =>
  statusIn(await follower.messages.take((message) => 'state' in statusIn(message), SECONDS));
const nextTitle = async (follower: Follower) => (await follower.arrivals.take(undefined, SECONDS)).title;

/** What is known of a feed by whoever asks: its state, why and since when it is so, when it is looked at next. */
async function saidOf(follower: Follower, node: string) {
  const answer = await follower.request('get', xml('query', { xmlns: DISCO_INFO, node }));
  const fields = answer.getChild('query')!.getChild('x')!.getChildren('field');
  const value = (name: string) => {
    const field = fields.find(({ attrs }) => attrs['var'] === `hydrant#${name}`);
    return field?.getChildText('value') ?? undefined;
  };
  return { state: value('state'), reason: value('reason'), since: value('since'), next: value('next') };
}
const stateOf = async (follower: Follower, node: string) => (await saidOf(follower, node)).state;

it('who follows a feed is told when it is gone and when it is back, and then gets its new entries', async () => {
  const feed = rig.feeds.feed('/mortal.xml', { format: 'atom', title: 'Mortal' });
  const nurse = rig.tester.as('nurse');
  await nurse.subscribe(feed.url);
  expect(await stateOf(nurse, feed.url)).toBe('well');
  feed.publish({ title: 'I am well' });
  expect(await nextTitle(nurse)).toBe('I am well');

  feed.hide({ status: 410 });
  expect(await nextStatus(nurse)).toMatchObject({ state: 'gone', feed: feed.url });
  expect(await stateOf(nurse, feed.url)).toBe('gone');
  expect(rig.feeds.count('/mortal.xml', 410)).toBe(2);

  // By itself, it is looked at once a day.
  feed.publish({ title: 'I am back' });
  feed.show();
  await rig.ping(feed.url);
  expect(await nextStatus(nurse)).toMatchObject({ state: 'well', feed: feed.url });
  expect(await nextTitle(nurse)).toBe('I am back');
  expect(await stateOf(nurse, feed.url)).toBe('well');
  expect(nurse.messages.pending).toEqual([]);
});

it('who wants to know everything hears when a feed cannot be read and when the next try is, and anybody can ask', async () => {
  const feed = rig.feeds.feed('/moody.xml', { format: 'atom', title: 'Moody' });
  const [friar, anybody] = [subscriber(rig.tester.as('friar')), rig.tester.as('anybody')];
  await friar.join(feed.url, { 'hydrant#status': 'all', 'pubsub#include_body': '1' });
  expect(await saidOf(anybody, feed.url)).toEqual({ state: 'well', next: expect.stringMatching(DATE) });

  feed.hide({ status: 503 });
  const told = await friar.messages.take((message) => statusIn(message)['state'] === 'failing', SECONDS);
  const { since, next } = statusIn(told) as { since: string; next: string };
  expect([since, next]).toEqual([expect.stringMatching(DATE), expect.stringMatching(DATE)]);
  expect(Date.parse(next)).toBeGreaterThan(Date.parse(since));
  expect(told.getChildText('body')).toMatch(
    new RegExp(`^Moody cannot be read since ${since}: .*; next try at ${next}$`),
  );
  const said = await saidOf(anybody, feed.url);
  expect(said).toMatchObject({ state: 'failing', next: expect.stringMatching(DATE) });
  expect(told.getChildText('body')).toContain(`: ${said.reason ?? ''};`);
  expect(said.since).toMatch(DATE);

  feed.show();
  const back = await friar.messages.take((message) => statusIn(message)['state'] === 'well', SECONDS);
  expect(statusIn(back)).not.toHaveProperty('next');
  expect(await saidOf(anybody, feed.url)).toMatchObject({ state: 'well', reason: undefined, since: undefined });
  await friar.quit(feed.url);
});

it('who follows a feed that moves for good follows it at its new place, and misses nothing', async () => {
  const [from, to] = ['/from.xml', '/to.xml'].map((path) => rig.feeds.feed(path, { format: 'atom', title: 'Nomad' }));
  const [romeo, juliet] = [rig.tester.as('romeo'), rig.tester.as('juliet')];
  const publish = (title: string) => to!.publish(from!.publish({ title }));
  const titles: unknown[] = [];
  const arrival = async (title: string) => {
    const item = await romeo.arrivals.take(undefined, SECONDS);
    titles.push(item.title);
    expect(item).toMatchObject({ node: from!.url, title });
  };

  await romeo.subscribe(from!.url);
  publish('Before');
  await arrival('Before');
  from!.hide({ status: 301, headers: { location: to!.url } });
  publish('On the way');
  await arrival('On the way');
  expect(await nextStatus(romeo)).toMatchObject({ state: 'moved', to: to!.url });

  publish('After');
  await arrival('After');
  // Whoever follows the new place gets the same items, and what is told of it is told once to each.
  await juliet.subscribe(to!.url);
  publish('Later');
  const later = await juliet.arrivals.take(({ title }) => title === 'Later', SECONDS);
  expect(later.node).toBe(to!.url);
  await arrival('Later');
  expect(titles).toEqual(['Before', 'On the way', 'After', 'Later']);
  expect([romeo, juliet].map(({ messages }) => messages.pending)).toEqual([[], []]);
  // The former address goes on being a name of the node.
  expect((await romeo.items(from!.url)).at(-1)).toMatchObject({ title: 'Later', node: from!.url });
  expect((await romeo.subscribe(from!.url)).attrs).toMatchObject({ node: from!.url, subscription: 'subscribed' });
  await romeo.unsubscribe(from!.url);
});

it('who follows a feed that is gone goes on with it where its site says that it is, and misses nothing', async () => {
  const feed = rig.feeds.feed('/lost.xml', { format: 'atom', title: 'Lost' });
  const warden = rig.tester.as('warden');
  await warden.subscribe(feed.url);
  const before = feed.publish({ title: 'Before' });
  expect(await nextTitle(warden)).toBe('Before');

  const found = rig.feeds.feed('/found.xml', { format: 'atom', title: 'Lost' });
  found.publish(before);
  found.publish({ title: 'Meanwhile' });
  rig.feeds.page('/', [found]);
  feed.hide({ status: 410 });
  const arrived = await warden.arrivals.take(undefined, SECONDS);
  expect([arrived.node, arrived.title]).toEqual([feed.url, 'Meanwhile']);
  // After three looks there, both are one; whoever follows it keeps the name that they know.
  expect(await nextStatus(warden)).toMatchObject({ state: 'moved', to: found.url });
  found.publish({ title: 'Afterwards' });
  const later = await warden.arrivals.take(undefined, SECONDS);
  expect([later.node, later.title]).toEqual([feed.url, 'Afterwards']);
});
