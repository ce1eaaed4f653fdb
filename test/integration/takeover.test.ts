import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { startProcess, type Server } from '../../prosody/servers.js';
import { startRig, type Rig } from '../support/rig.js';

const SECONDS = 20;

let rig: Rig;
let second: Server;
beforeAll(async () => {
  rig = await startRig();
  const env = {
    XMPP_SERVICE: rig.prosody.service,
    XMPP_DOMAIN: rig.prosody.domain,
    XMPP_SECRET: rig.prosody.secret,
    REDIS_URL: rig.redis.url,
  };
  second = await startProcess('component', { dir: join(rig.dir, 'second'), env });
}, 60_000);
afterAll(async () => {
  await second.stop();
  await rig.stop();
});

const said = (server: Server, event: string) =>
  server.log.pending.filter((line) => line.includes(`"event":"${event}"`)).length;

it('a second component stands by, takes over within ten seconds of the first one’s death, and neither evicts the other', async () => {
  const feed = rig.feeds.feed('/a.xml', { format: 'atom', title: 'A' });
  const romeo = rig.tester.as('romeo');
  await romeo.subscribe(feed.url);
  feed.publish({ title: 'By the first' });
  expect((await romeo.arrivals.take(undefined, SECONDS)).title).toBe('By the first');
  expect([said(rig.component, 'streamUp'), said(second, 'streamUp')]).toEqual([1, 0]);

  await rig.component.kill();
  await second.log.see((line) => line.includes('"event":"streamUp"'), 10);
  feed.publish({ title: 'By the second' });
  expect((await romeo.arrivals.take(({ title }) => title !== 'By the first', SECONDS)).title).toBe('By the second');

  await rig.component.start();
  feed.publish({ title: 'Still by the second' });
  await romeo.arrivals.take(({ title }) => title === 'Still by the second', SECONDS);
  expect([said(rig.component, 'streamUp'), said(second, 'streamUp')]).toEqual([0, 1]);
});

it('a holder that was frozen and wakes up too late gives way', async () => {
  const feed = rig.feeds.feed('/b.xml', { format: 'atom', title: 'B' });
  const romeo = rig.tester.as('romeo');
  await romeo.subscribe(feed.url);
  second.signal('SIGSTOP');
  await rig.component.log.see((line) => line.includes('"event":"streamUp"'), 15);
  second.signal('SIGCONT');
  await second.log.see((line) => line.includes('"event":"standingBy"'), SECONDS);
  feed.publish({ title: 'By the first again' });
  await romeo.arrivals.take(({ title }) => title === 'By the first again', SECONDS);
  expect([said(rig.component, 'streamUp'), said(second, 'streamUp')]).toEqual([1, 1]);
});
