import { existsSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { startRig, type Rig } from '../support/rig.js';

let rig: Rig;
beforeAll(async () => void (rig = await startRig()), 60_000);
afterAll(async () => {
  await rig.stop();
  expect(existsSync(rig.dir)).toBe(false);
}, 30_000);

it('brings an entry from a feed to a Jabber client and to a component', async () => {
  const juliet = await rig.client('juliet');
  const romeo = rig.tester.as('romeo');
  const feed = rig.feeds.feed('/blog', { format: 'atom', title: 'A blog' });
  feed.publish({ title: 'Old' });
  for (const reader of [juliet, romeo]) {
    expect((await reader.subscribe(feed.url)).attrs['subscription']).toBe('subscribed');
    expect((await reader.arrivals.take(undefined, 10)).title).toBe('Old');
  }
  const entry = feed.publish({ title: 'New <€>' });
  expect(await rig.ping(feed.url)).toBeLessThan(300);
  for (const reader of [juliet, romeo]) {
    const item = await reader.arrivals.take(undefined, 10);
    expect(item).toMatchObject({ node: feed.url, title: 'New <€>', link: entry.link, published: entry.published });
    expect((await reader.items(feed.url)).map(({ id }) => id)).toContain(item.id);
    await reader.unsubscribe(feed.url);
  }
}, 30_000);

it('goes on after its processes were killed and started again', async () => {
  const nurse = rig.tester.as('nurse');
  const feed = rig.feeds.feed('/verona', { format: 'rss', title: 'Verona' });
  await nurse.subscribe(feed.url);
  expect((await rig.scheduler.kill()).signal).toBe('SIGKILL');
  expect((await rig.component.stop()).code).toBe(0);
  feed.publish({ title: 'While they were away' });
  await Promise.all([rig.scheduler.start(), rig.component.start(), rig.prosody.attached(rig.service)]);
  expect((await nurse.arrivals.take(undefined, 20)).title).toBe('While they were away');
}, 60_000);
