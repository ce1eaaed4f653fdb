import { afterAll, beforeAll, expect, it } from '@jest/globals';
import xml, { type Element } from '@xmpp/xml';
import type { Follower } from '../../prosody/reader.js';
import { hashOf } from '../support/caps.js';
import { startRig, type Rig } from '../support/rig.js';

const CAPS = 'http://jabber.org/protocol/caps';
const DISCO_INFO = 'http://jabber.org/protocol/disco#info';
const SECONDS = 20;

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
}, 60_000);
afterAll(() => rig.stop());

const ours = (type: string | undefined) => (stanza: Element) =>
  stanza.attrs['from'] === rig.service && stanza.attrs['type'] === type;
/** The next presence of this type that comes from us. */
const next = (follower: Follower, type?: string) => follower.presences.take(ours(type), SECONDS);
/** What came from us and was not looked at; what was on its way before the answer to this request is here by now. */
async function rest(follower: Follower): Promise<readonly Element[]> {
  await follower.request('get', xml('ping', 'urn:xmpp:ping'));
  return follower.presences.pending.filter(({ attrs }) => attrs['from'] === rig.service);
}
const to = (type?: string) => xml('presence', { to: rig.service, ...(type && { type }) });
const info = async (follower: Follower, node?: string) =>
  (await follower.request('get', xml('query', { xmlns: DISCO_INFO, ...(node && { node }) }))).getChild('query')!;
const roster = (follower: Follower) => follower.request('get', xml('query', 'jabber:iq:roster'), follower.jid);

it('somebody who adds us to their contacts is accepted, sees us, and is asked whether we may see them', async () => {
  const romeo = await rig.client('romeo');
  await roster(romeo);
  await romeo.send(to('subscribe'));
  await next(romeo, 'subscribed');
  expect((await next(romeo)).getChild('c', CAPS)).toBeDefined();
  await next(romeo, 'subscribe');
  await romeo.send(to('subscribed'));

  const item = (await roster(romeo)).getChild('query')!.getChild('item')!;
  expect(item.attrs).toMatchObject({ jid: rig.service, subscription: 'both' });
});

it('what our presence says that we can is what we answer, also under the name that it gives to it', async () => {
  const nurse = rig.tester.as('nurse');
  await rig.tester.send(xml('presence', { from: `${nurse.jid}/house`, to: rig.service }));
  const { attrs } = (await next(nurse)).getChild('c', CAPS)!;
  expect(attrs).toMatchObject({ hash: 'sha-1', node: expect.stringMatching(/^[a-z]+:/) });
  const answer = await info(nurse);
  expect(attrs['ver']).toBe(hashOf(answer));

  const node = `${String(attrs['node'])}#${String(attrs['ver'])}`;
  const named = await info(nurse, node);
  expect(named.attrs['node']).toBe(node);
  expect(hashOf(named)).toBe(attrs['ver']);
  const features = named.getChildren('feature').map((feature) => String(feature.attrs['var']));
  expect(features).toContain(CAPS);
  await expect(info(nurse, `${String(attrs['node'])}#else`)).rejects.toMatchObject({ condition: 'item-not-found' });
});

it('somebody who shows us that they are there sees us, once', async () => {
  const juliet = await rig.client('juliet');
  await juliet.send(to());
  expect((await next(juliet)).attrs['to']).toMatch(/^juliet@localhost\/./);
  await juliet.send(xml('presence', { to: rig.service }, xml('show', {}, 'away')));
  expect(await rest(juliet)).toEqual([]);
});

it('a stranger whose server asks how we are is told that there is no subscription', async () => {
  const paris = rig.tester.as('paris');
  await rig.tester.send(xml('presence', { from: paris.jid, to: rig.service, type: 'probe' }));
  expect((await next(paris, 'unsubscribed')).attrs['to']).toBe(paris.jid);
});

it('a contact sees us again after a kill of the component, and is asked how they are', async () => {
  const [benvolio, tybalt] = [rig.tester.as('benvolio'), await rig.client('tybalt')];
  await rig.tester.send(xml('presence', { from: benvolio.jid, to: rig.service, type: 'subscribe' }));
  await next(benvolio, 'subscribe');
  await roster(tybalt);
  await tybalt.send(to('subscribe'));
  await next(tybalt, 'subscribe');
  for (const contact of [benvolio, tybalt]) await next(contact);
  await rig.component.kill();
  await rig.component.start();
  expect((await next(benvolio)).getChild('c', CAPS)).toBeDefined();
  await next(benvolio, 'probe');
  expect((await next(tybalt)).getChild('c', CAPS)).toBeDefined();
});

it('when the component is stopped its contacts see it go, and come back', async () => {
  const mercutio = await rig.client('mercutio');
  await roster(mercutio);
  await mercutio.send(to('subscribe'));
  await next(mercutio);
  await rig.component.stop();
  await next(mercutio, 'unavailable');
  await rig.component.start();
  await next(mercutio);
});

it('who removes us from their contacts sees us go, and does not see us come back', async () => {
  const rosaline = rig.tester.as('rosaline');
  const says = (type: string) => rig.tester.send(xml('presence', { from: rosaline.jid, to: rig.service, type }));
  await says('subscribe');
  for (const type of ['subscribed', undefined, 'subscribe']) await next(rosaline, type);
  await says('unsubscribe');
  for (const type of ['unavailable', 'unsubscribed']) await next(rosaline, type);

  const witness = rig.tester.as('witness');
  await rig.tester.send(xml('presence', { from: witness.jid, to: rig.service, type: 'subscribe' }));
  await next(witness, 'subscribe');
  await next(witness);
  await rig.component.kill();
  await rig.component.start();
  await next(witness);
  // So few contacts are told in one go: whatever the order, all of them were before this is answered.
  expect(await rest(rosaline)).toEqual([]);
});
