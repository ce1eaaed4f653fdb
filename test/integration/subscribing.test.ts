import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import xml, { type Element } from '@xmpp/xml';
import { nodeIdOf, parseFeedUrl } from '../../lib/domain.js';
import type { ServedFeed } from '../../prosody/feed-server.js';
import type { Follower, Reader } from '../../prosody/reader.js';
import { affiliate, configure, create, owner, publish, pubsub, refusal, setIn } from '../support/requests.js';
import { startRig, type Rig } from '../support/rig.js';
import { eventIn, headersIn, stampIn, subscriber, type Attributes, type Subscriber } from '../support/subscriber.js';

const SECONDS = 20;
const MOST = 12;
const ROOMS = 'rooms.localhost';
const MUC = 'http://jabber.org/protocol/muc';
const SUBID = /^[0-9a-f]{32}$/;
const NOT_FOUND = 'cancel item-not-found';
const FORBIDDEN = 'auth forbidden';
const INVALID_JID = 'modify bad-request invalid-jid';
const NOT_SUBSCRIBED = 'cancel unexpected-request not-subscribed';
const OFF = { 'pubsub#deliver': '0' };
const WITH_BODY = { 'pubsub#include_body': '1' };

let rig: Rig;
let admin: Follower;
let witness: Subscriber;
beforeAll(async () => {
  // One partition: whatever was committed first comes first, whatever node it is of.
  rig = await startRig({ PARTITIONS: '1', MAX_SUBSCRIPTIONS: String(MOST) }, `Component "${ROOMS}" "muc"`);
  admin = rig.tester.as('admin');
  witness = as('witness');
  await create(admin, 'marker');
  await witness.join('marker');
}, 60_000);
afterAll(() => rig.stop());

const as = (name: string): Subscriber => subscriber(rig.tester.as(name));

let markers = 0;
/** Resolves when everybody has got what was published until now. */
async function settled(): Promise<void> {
  const id = `marker-${++markers}`;
  await publish(admin, 'marker', [id]);
  await witness.arrivals.take((item) => item.id === id, SECONDS);
}

/** A feed with one entry that somebody follows already. */
async function followed(path: string): Promise<ServedFeed> {
  const feed = rig.feeds.feed(path, { format: 'atom', title: `Feed of ${path}` });
  feed.publish({ title: 'Old' });
  await as('first').join(feed.url);
  return feed;
}

/** A node whose latest item is sent to nobody. */
const quiet = (name: string) => create(admin, name, { send_last_published_item: 'never' });

describe('who subscribes', () => {
  it('may call the node by its URL, by the URL of a page or by its NodeID; all that follows calls it so too', async () => {
    const feed = await followed('/names.xml');
    const page = rig.feeds.page('/names/', [feed]);
    const names = [feed.url, feed.url.replace('http:', 'HTTP:'), page, nodeIdOf(parseFeedUrl(feed.url))];
    const people = names.map((_, i) => as(`named-${i}`));
    for (const [i, node] of names.entries()) {
      const person = people[i]!;
      const { subid, ...rest } = await person.join(node);
      expect(rest).toEqual({ node, jid: person.jid, subscription: 'subscribed' });
      expect(subid).toMatch(SUBID);
      expect(await person.next()).toMatchObject({ node, title: 'Old' });
    }
    feed.publish({ title: 'New' });
    for (const [i, node] of names.entries()) {
      const person = people[i]!;
      expect(await person.next()).toMatchObject({ node, title: 'New' });
      expect((await person.subscriptions()).entries).toMatchObject([{ node }]);
      expect((await person.quit(node))['node']).toBe(node);
    }
  });

  it('and leaves under another name than the one it was subscribed by is answered with the name that was used', async () => {
    const feed = await followed('/renamed.xml');
    const person = as('renaming');
    const { subid } = await person.join(feed.url);
    const node = nodeIdOf(parseFeedUrl(feed.url));
    expect(await person.quit(node)).toEqual({ node, jid: person.jid, subid, subscription: 'none' });
    expect((await person.subscriptions()).entries).toEqual([]);
  });

  it('again gets the same subscription, under the name that was used last', async () => {
    const feed = await followed('/again.xml');
    const person = as('again');
    const { subid } = await person.join(feed.url);
    const node = nodeIdOf(parseFeedUrl(feed.url));
    expect(await person.join(node)).toMatchObject({ node, subid });
    expect((await person.subscriptions()).entries).toEqual([
      { node, jid: person.jid, subid, subscription: 'subscribed' },
    ]);
    feed.publish({ title: 'Once' });
    await person.arrivals.take((item) => item.node === node && item.title === 'Once', SECONDS);
    await settled();
    expect(person.arrivals.pending.filter(({ title }) => title === 'Once')).toEqual([]);
  });

  it('may subscribe a bare JID and a full one, which are two subscriptions', async () => {
    await quiet('jids');
    const person = as('jids');
    const full = `${person.jid}/balcony`;
    const [bare, other] = [await person.join('jids'), await person.join('jids', undefined, { jid: full })];
    expect([bare.jid, other.jid]).toEqual([person.jid, full]);
    expect(other.subid).not.toBe(bare.subid);
    await publish(admin, 'jids', ['both']);
    const to = [await person.next(), await person.next()].map(({ stanza }) => String(stanza.attrs['to']));
    expect(to.sort()).toEqual([person.jid, full]);

    await person.quit('jids');
    await publish(admin, 'jids', ['one']);
    expect((await person.next()).stanza.attrs['to']).toBe(full);
    await settled();
    expect(person.rest()).toEqual([]);
  });

  it('with the full JID of one client hears nothing on another', async () => {
    await quiet('clients');
    const [phone, laptop] = [subscriber(await rig.client('juliet')), subscriber(await rig.client('juliet'))];
    const jid = String((await phone.request('get', xml('ping', 'urn:xmpp:ping'))).attrs['to']);
    expect(jid).toMatch(/^juliet@localhost\/./);
    await phone.join('clients', undefined, { jid });
    await publish(admin, 'clients', ['for the phone']);
    expect((await phone.next()).stanza.attrs['to']).toBe(jid);
    await laptop.join('clients');
    await publish(admin, 'clients', ['for both']);
    expect((await laptop.next()).id).toBe('for both');
    expect(laptop.rest()).toEqual([]);
  });
});

describe('a subscription is refused', () => {
  const refused = (node: string, jid?: string, person = as('refused')) =>
    refusal(person.join(node, undefined, jid === undefined ? {} : { jid }));

  it('for somebody else', async () => {
    await quiet('others');
    for (const jid of ['paris@tester.localhost', 'refused@localhost', 'tester.localhost', 'refused', '@', 'a b@c']) {
      expect([jid, await refused('others', jid)]).toEqual([jid, INVALID_JID]);
    }
  });

  it('without a JID or a node', async () => {
    const request = (attributes: Attributes) => refusal(admin.request('set', pubsub(xml('subscribe', attributes))));
    expect(await request({ node: 'others' })).toBe('modify bad-request jid-required');
    expect(await request({ jid: admin.jid })).toBe('modify bad-request nodeid-required');
  });

  it('to who is not on the whitelist', async () => {
    await create(admin, 'members', { access_model: 'whitelist' });
    expect(await refused('members')).toBe('cancel not-allowed closed-node');
    await affiliate(admin, 'members', as('member').jid, 'member');
    expect(await as('member').join('members')).toMatchObject({ subscription: 'subscribed' });
  });

  it('to who has to wait already', async () => {
    await create(admin, 'asked', { access_model: 'authorize' });
    const person = as('waiting');
    const { subid, ...first } = await person.join('asked');
    expect(first).toEqual({ node: 'asked', jid: person.jid, subscription: 'pending' });
    expect(await refused('asked', undefined, person)).toBe('auth not-authorized pending-subscription');
    expect((await person.subscriptions()).entries).toEqual([{ ...first, subid }]);
    await publish(admin, 'asked', ['unheard']);
    await settled();
    expect(person.rest()).toEqual([]);
  });

  it('to an outcast', async () => {
    await quiet('blocked');
    await affiliate(admin, 'blocked', as('outcast').jid, 'outcast');
    expect(await refused('blocked', undefined, as('outcast'))).toBe(FORBIDDEN);
    expect(await refused('blocked', `${as('outcast').jid}/home`, as('outcast'))).toBe(FORBIDDEN);
  });

  it('to who has too many, but not for what they have already', async () => {
    const person = as('greedy');
    const names = Array.from({ length: MOST + 1 }, (_, n) => `greed-${n}`);
    for (const name of names) await quiet(name);
    for (const name of names.slice(1)) await person.join(name);
    const tooMany = 'wait policy-violation too-many-subscriptions';
    expect(await refused(names[0]!, undefined, person)).toBe(tooMany);
    expect(await refused(names[0]!, `${person.jid}/other`, person)).toBe(tooMany);
    expect(await refusal(person.join(names[1]!, OFF))).toBe(tooMany);
    await person.join(names[1]!);
    await person.quit(names[1]!);
    await person.join(names[0]!);
  });

  it('where the node takes none', async () => {
    await create(admin, 'shut', { subscribe: '0' });
    expect(await refused('shut')).toBe('cancel feature-not-implemented unsupported subscribe');
  });

  it('where the node has moved, with its new address', async () => {
    await quiet('left');
    const uri = 'xmpp:feeds.localhost?;node=elsewhere';
    await admin.request('set', owner(xml('delete', { node: 'left' }, xml('redirect', { uri }))));
    const asked = as('refused').join('left');
    expect(await refusal(asked)).toBe('modify gone');
    const error = await asked.catch((reason: unknown) => (reason as { element: Element }).element);
    expect((error as Element).getChildText('gone')).toBe(uri);
  });

  it('where there is no node, no feed, or nobody answers', async () => {
    expect(await refused('nothing')).toBe(NOT_FOUND);
    expect(await refused(rig.feeds.raw('/picture.png', { type: 'image/png', body: 'no feed' }))).toBe(
      'modify not-acceptable',
    );
    expect(await refused(rig.feeds.url('/nowhere.xml'))).toBe(NOT_FOUND);
    expect(await refused('http://romeo:secret@127.0.0.1/feed')).toBe('modify not-acceptable');
  });

  it('even to an admin for somebody who is no room', async () => {
    await rig.client('benvolio');
    const others = [as('anybody').jid, 'benvolio@localhost', 'nobody@localhost', 'localhost', rig.service];
    for (const jid of others)
      expect([jid, await refused('others', jid, subscriber(admin))]).toEqual([jid, INVALID_JID]);
  });
});

describe('several subscriptions of one JID', () => {
  it('come from other options, not from the same ones or from none', async () => {
    await quiet('several');
    const person = as('several');
    const plain = await person.join('several');
    const more = await person.join('several', WITH_BODY);
    expect(more.subid).not.toBe(plain.subid);
    expect(more.options).toMatchObject({ 'pubsub#include_body': ['1'], 'pubsub#deliver': ['1'] });
    expect((await person.join('several', WITH_BODY)).subid).toBe(more.subid);
    expect((await person.join('several', { ...WITH_BODY, 'pubsub#deliver': 'true' })).subid).toBe(more.subid);
    expect((await person.join('several', { 'pubsub#deliver': '1' })).subid).toBe(plain.subid);
    expect((await person.join('several')).subid).toBe(plain.subid);

    const held = [plain, more].map(({ subid }) => ({
      ...{ node: 'several', jid: person.jid, subid, subscription: 'subscribed' },
    }));
    for (const node of [undefined, 'several']) {
      expect((await person.subscriptions(node)).entries).toEqual(node ? held : expect.arrayContaining(held));
    }
  });

  it('are told apart by their SubIDs, and end one by one', async () => {
    await quiet('apart');
    const person = as('apart');
    const [plain, more] = [await person.join('apart'), await person.join('apart', WITH_BODY)];
    expect(await refusal(person.quit('apart'))).toBe('modify bad-request subid-required');
    expect(await refusal(person.options('apart'))).toBe('modify bad-request subid-required');
    expect(await refusal(person.quit('apart', { subid: 'nonsense' }))).toBe('modify not-acceptable invalid-subid');
    expect(await refusal(person.options('apart', { subid: 'nonsense' }))).toBe('modify not-acceptable invalid-subid');
    expect((await person.options('apart', { subid: plain.subid }))['pubsub#include_body']).toEqual(['0']);
    expect((await person.options('apart', { subid: more.subid }))['pubsub#include_body']).toEqual(['1']);

    expect(await person.quit('apart', { subid: plain.subid })).toMatchObject({ subid: plain.subid });
    expect((await person.subscriptions('apart')).entries).toMatchObject([{ subid: more.subid }]);
    expect(await refusal(person.quit('apart', { subid: plain.subid }))).toBe('modify not-acceptable invalid-subid');
    await person.quit('apart');
    expect((await person.subscriptions('apart')).entries).toEqual([]);
  });

  it('are served by one message that names them, and by one without names when only one is left', async () => {
    const feed = await followed('/headers.xml');
    const person = as('headers');
    const filter = (query: string) => ({ 'hydrant#filter': query });
    const rose = await person.join(feed.url, filter('rose'));
    const flower = await person.join(feed.url, { ...filter('rose | tulip'), ...WITH_BODY });
    const message = async (title: string) => {
      feed.publish({ title });
      return (await person.arrivals.take((item) => item.title === title, SECONDS)).stanza;
    };

    const both = await message('A rose');
    expect(headersIn(both, 'SubID')?.sort()).toEqual([rose.subid, flower.subid].sort());
    expect(both.getChildElements().at(-1)!.name).toBe('headers');
    // XEP-0060 12.7: a body for all when it is for some.
    expect(both.getChildText('body')).toMatch(/^A rose\n/);
    const one = await message('A tulip');
    expect(headersIn(one, 'SubID')).toEqual([flower.subid]);
    feed.publish({ title: 'An oak' });
    await person.quit(feed.url, { subid: flower.subid });
    const alone = await message('Another rose');
    expect(headersIn(alone, 'SubID')).toBeUndefined();
    await settled();
    expect(person.rest()).toEqual([]);
  });

  it('are named with what is retracted too, but not where there is nothing to tell apart', async () => {
    await create(admin, 'notices', { notify_config: '1' });
    const person = as('notices');
    const [plain, more] = [await person.join('notices'), await person.join('notices', WITH_BODY)];
    const subids = [plain.subid, more.subid].sort();
    await publish(admin, 'notices', ['x', 'y']);
    for (let n = 0; n < 2; n++) expect(headersIn((await person.next()).stanza, 'SubID')?.sort()).toEqual(subids);

    await admin.request('set', pubsub(xml('retract', { node: 'notices', notify: '1' }, xml('item', { id: 'x' }))));
    const retracted = await person.told();
    expect(eventIn(retracted)?.getChild('retract')).toBeDefined();
    expect(headersIn(retracted, 'SubID')?.sort()).toEqual(subids);

    const alike = [
      ['purge', () => admin.request('set', owner(xml('purge', { node: 'notices' })))],
      ['configuration', () => configure(admin, 'notices', { title: 'Notices' })],
      ['delete', () => admin.request('set', owner(xml('delete', { node: 'notices' })))],
    ] as const;
    for (const [name, act] of alike) {
      await act();
      const message = await person.told();
      expect([eventIn(message)?.name, headersIn(message, 'SubID')]).toEqual([name, undefined]);
    }
  });
});

describe('unsubscribing is refused', () => {
  it('where nobody is subscribed, or it is somebody else', async () => {
    await quiet('unsubscribed');
    const [person, other] = [as('leaver'), as('other-leaver')];
    const { subid } = await person.join('unsubscribed');
    expect(await refusal(other.quit('unsubscribed'))).toBe(NOT_SUBSCRIBED);
    expect(await refusal(person.quit('unsubscribed', { jid: `${person.jid}/home` }))).toBe(NOT_SUBSCRIBED);
    expect(await refusal(other.quit('unsubscribed', { jid: person.jid }))).toBe(FORBIDDEN);
    expect(await refusal(other.quit('unsubscribed', { jid: person.jid, subid }))).toBe(FORBIDDEN);
    expect(await refusal(other.quit('unsubscribed', { jid: 'nobody@localhost' }))).toBe(FORBIDDEN);
    expect((await person.subscriptions('unsubscribed')).entries).toMatchObject([{ subid }]);
  });

  it('with a SubID that is none of theirs, even when there is one subscription only', async () => {
    await quiet('subids');
    const person = as('subids');
    const { subid } = await person.join('subids');
    expect(await refusal(person.quit('subids', { subid: `${subid}0` }))).toBe('modify not-acceptable invalid-subid');
    expect(await person.quit('subids', { subid })).toEqual({
      ...{ node: 'subids', jid: person.jid, subid, subscription: 'none' },
    });
  });

  it('where there is no node, or none is named', async () => {
    const person = as('leaver');
    expect(await refusal(person.quit('nothing'))).toBe(NOT_FOUND);
    expect(await refusal(person.quit(rig.feeds.url('/nobody-follows.xml')))).toBe(NOT_FOUND);
    expect(await refusal(person.ask('set', xml('unsubscribe', { jid: person.jid })))).toBe(
      'modify bad-request nodeid-required',
    );
    expect(await refusal(person.ask('set', xml('unsubscribe', { node: 'subids' })))).toBe(
      'modify bad-request jid-required',
    );
    expect(await refusal(person.quit('subids', { jid: '@' }))).toMatch(/^modify bad-request/);
  });
});

it('an admin may end the subscription of somebody, who is told so', async () => {
  await quiet('ended');
  const person = as('ended');
  const { subid } = await person.join('ended');
  await subscriber(admin).quit('ended', { jid: person.jid });
  const message = await person.told();
  expect(message.attrs['to']).toBe(person.jid);
  expect(eventIn(message)?.attrs).toEqual({ node: 'ended', jid: person.jid, subid, subscription: 'none' });
  expect((await person.subscriptions()).entries).toEqual([]);
});

describe('the list of subscriptions', () => {
  it('has all that somebody holds, whatever the resource and state, and nobody else’s', async () => {
    const person = as('listed');
    expect((await person.subscriptions()).list.toString()).toBe('<subscriptions/>');
    for (const name of ['list-a', 'list-b']) await quiet(name);
    await create(admin, 'list-c', { access_model: 'authorize' });
    await as('other-listed').join('list-a');
    const held = [
      await person.join('list-a'),
      await person.join('list-b'),
      await person.join('list-b', undefined, { jid: `${person.jid}/home` }),
      await person.join('list-c'),
    ];
    expect(held.map(({ subscription }) => subscription)).toEqual(['subscribed', 'subscribed', 'subscribed', 'pending']);
    const { list, entries } = await person.subscriptions();
    expect(list.attrs['node']).toBeUndefined();
    expect(entries).toEqual(expect.arrayContaining(held));
    expect(entries).toHaveLength(4);

    const ofOne = await person.subscriptions('list-b');
    expect(ofOne.list.attrs['node']).toBe('list-b');
    expect(ofOne.entries).toEqual(held.slice(1, 3));
    expect((await as('other-listed').subscriptions('list-b')).entries).toEqual([]);
    expect(await refusal(person.subscriptions('nothing'))).toBe(NOT_FOUND);
  });

  it.each([undefined, 'paged'])('comes in pages, both ways, with a count: node %s', async (node) => {
    const person = as(node === undefined ? 'pages' : 'pages-of-one');
    const held: string[] = [];
    if (node !== undefined) await quiet(node);
    for (let n = 0; n < 5; n++) {
      if (node === undefined) await quiet(`page-${n}`);
      const jid = node === undefined ? person.jid : `${person.jid}/${n}`;
      held.push((await person.join(node ?? `page-${n}`, undefined, { jid })).subid);
    }
    const page = async (wish: { max?: number; after?: string; before?: string }) => {
      const { answer, entries } = await person.subscriptions(node, wish);
      return { subids: entries.map(({ subid }) => subid), set: setIn(answer) };
    };
    const all = (await person.subscriptions(node)).entries.map(({ subid }) => subid!);
    expect([...all].sort()).toEqual([...held].sort());
    expect(setIn((await person.subscriptions(node)).answer)).toBeUndefined();

    const set = (first: number, last: number) => ({
      first: all[first],
      last: all[last],
      index: String(first),
      count: '5',
    });
    expect(await page({ max: 2 })).toEqual({ subids: all.slice(0, 2), set: set(0, 1) });
    expect(await page({ max: 2, after: all[1]! })).toEqual({ subids: all.slice(2, 4), set: set(2, 3) });
    expect(await page({ max: 2, after: all[3]! })).toEqual({ subids: all.slice(4), set: set(4, 4) });
    expect(await page({ max: 2, before: '' })).toEqual({ subids: all.slice(3), set: set(3, 4) });
    expect(await page({ max: 2, before: all[3]! })).toEqual({ subids: all.slice(1, 3), set: set(1, 2) });
    expect(await page({ max: 0 })).toMatchObject({ subids: [], set: { count: '5' } });
    expect(await refusal(page({ max: 2, after: 'nonsense' }))).toBe(NOT_FOUND);
  });
});

describe('the list of affiliations', () => {
  it('has what somebody was given, and nothing when that is nothing', async () => {
    const person = as('affiliated');
    expect((await person.affiliations()).list.toString()).toBe('<affiliations/>');
    const given: Readonly<Record<string, string>> = {
      ...{
        'post-a': 'owner',
        'post-b': 'publisher',
        'post-c': 'member',
        'post-d': 'outcast',
        'post-e': 'publish-only',
      },
    };
    for (const [node, affiliation] of Object.entries(given)) {
      await quiet(node);
      await affiliate(admin, node, person.jid, affiliation);
    }
    const all = Object.entries(given).map(([node, affiliation]) => ({ node, affiliation }));
    const { entries } = await person.affiliations();
    expect(entries).toEqual(expect.arrayContaining(all));
    expect(entries).toHaveLength(5);
    const ofOne = await person.affiliations('post-b');
    expect(ofOne.list.attrs['node']).toBe('post-b');
    expect(ofOne.entries).toEqual([{ node: 'post-b', affiliation: 'publisher' }]);
    await affiliate(admin, 'post-b', person.jid, 'none');
    expect((await person.affiliations('post-b')).entries).toEqual([]);
    expect((await person.affiliations()).entries).toHaveLength(4);
    expect(await refusal(person.affiliations('nothing'))).toBe(NOT_FOUND);

    const nodes = entries.map(({ node }) => node!).filter((node) => node !== 'post-b');
    const page = await person.affiliations(undefined, { max: 2, after: nodes[0]! });
    expect(page.entries.map(({ node }) => node)).toEqual(nodes.slice(1, 3));
    expect(setIn(page.answer)).toEqual({ first: nodes[1], index: '1', last: nodes[2], count: '4' });
    expect(await refusal(person.affiliations(undefined, { max: 2, after: 'nonsense' }))).toBe(NOT_FOUND);
  });
});

describe('the last item', () => {
  it('is sent to who subscribes, says how old it is, and what comes then does not', async () => {
    await create(admin, 'latest');
    await publish(admin, 'latest', ['old', 'last']);
    await settled();
    const person = as('latest');
    await person.join('latest');
    const last = await person.next();
    expect(last.id).toBe('last');
    expect(Date.parse(stampIn(last.stanza)!)).toBeLessThanOrEqual(Date.now());
    await publish(admin, 'latest', ['new']);
    const fresh = await person.next();
    expect([fresh.id, stampIn(fresh.stanza)]).toEqual(['new', undefined]);
    expect(fresh.stanza.getChildElements().map(({ name }) => name)).toEqual(['event']);
    expect(person.rest()).toEqual([]);
  });

  it('is sent to nobody where the node does not, or who wants nothing delivered', async () => {
    await quiet('silent');
    await create(admin, 'spoken');
    for (const name of ['silent', 'spoken']) await publish(admin, name, ['unseen']);
    await settled();
    const person = as('silent');
    await person.join('silent');
    await person.join('spoken', OFF);
    await settled();
    expect(person.rest()).toEqual([]);
  });

  it('is sent to a subscriber who comes online, where an owner wants that, and to that client only', async () => {
    for (const name of ['greeting', 'greeting-not']) {
      await quiet(name);
      await publish(admin, name, ['hello']);
    }
    await settled();
    const person = as('arriving');
    for (const name of ['greeting', 'greeting-not']) await person.join(name);
    await configure(admin, 'greeting', { send_last_published_item: 'on_sub_and_presence' });
    const says = (resource: string, ...children: Element[]) =>
      rig.tester.send(xml('presence', { from: `${person.jid}/${resource}`, to: rig.service }, ...children));
    await says('one');
    const first = await person.next();
    expect([first.node, first.id, first.stanza.attrs['to']]).toEqual(['greeting', 'hello', `${person.jid}/one`]);
    expect(stampIn(first.stanza)).toBeDefined();
    // Who is there already and only says something else is not greeted again.
    await says('one', xml('show', {}, 'away'));
    await says('two');
    expect((await person.next()).stanza.attrs['to']).toBe(`${person.jid}/two`);
    await settled();
    expect(person.rest()).toEqual([]);
  });

  it('is sent to a client that logs in, where its user has us among their contacts', async () => {
    await create(admin, 'login', { send_last_published_item: 'on_sub_and_presence' });
    await publish(admin, 'login', ['welcome']);
    await settled();
    const tybalt = subscriber(await rig.client('tybalt'));
    await tybalt.join('login');
    await tybalt.next();
    const us = (type: string) => xml('presence', { to: rig.service, type });
    await tybalt.request('get', xml('query', 'jabber:iq:roster'), tybalt.jid);
    const client = await rig.client('tybalt');
    await client.send(us('subscribe'));
    await client.presences.take(({ attrs }) => attrs['type'] === 'subscribe', SECONDS);
    await client.send(us('subscribed'));
    // Both clients are there for us by now, and new to us.
    for (const one of [tybalt, subscriber(client)]) expect((await one.next()).id).toBe('welcome');
    const third = subscriber(await rig.client('tybalt'));
    expect((await third.next()).id).toBe('welcome');
    expect(tybalt.rest()).toEqual([]);
  });
});

describe('a chat room', () => {
  const room = (name: string) => `${name}@${ROOMS}`;
  const presence = (to: string, ...children: Element[]) =>
    xml('presence', { to }, xml('x', { xmlns: MUC }, ...children));
  const isOurs = (name: string) => (stanza: Element) => stanza.attrs['from'] === `${room(name)}/Hydrant`;
  /** The next that Hydrant says in the room. */
  const said = (person: Subscriber, name: string) =>
    person.messages.take((message) => isOurs(name)(message) && message.getChild('body') !== undefined, SECONDS);
  /** The next that is seen of Hydrant in the room. */
  const seen = (person: Subscriber, name: string, type?: string) =>
    person.presences.take((stanza) => isOurs(name)(stanza) && stanza.attrs['type'] === type, SECONDS);

  /** Somebody opens a room and stays in it. */
  async function open(name: string): Promise<{ person: Reader & Subscriber; name: string }> {
    const client = await rig.client(`host-of-${name}`);
    await client.send(presence(`${room(name)}/host`));
    await client.presences.take((stanza) => stanza.attrs['from'] === `${room(name)}/host`, SECONDS);
    const form = xml('x', { xmlns: 'jabber:x:data', type: 'submit' });
    await client.request('set', xml('query', { xmlns: `${MUC}#owner` }, form), room(name));
    return { person: { ...client, ...subscriber(client) }, name };
  }

  it('is subscribed by an admin; what comes is said there, as a text', async () => {
    const { person, name } = await open('verona');
    const feed = await followed('/verona.xml');
    const { subid, ...rest } = await subscriber(admin).join(feed.url, undefined, { jid: room(name) });
    expect(rest).toEqual({ node: feed.url, jid: room(name), subscription: 'subscribed' });
    await seen(person, name);
    // The last item.
    expect((await said(person, name)).getChildText('body')).toMatch(/^Old\n/);
    const { link } = feed.publish({ title: 'A plague', summary: 'On both your houses.' });
    const message = await said(person, name);
    expect(message.attrs['type']).toBe('groupchat');
    expect(message.getChildText('body')).toBe(`A plague\nOn both your houses.\n${link}`);
    // There are clients that hide what has one.
    expect(eventIn(message)).toBeUndefined();

    expect(await subscriber(admin).quit(feed.url, { jid: room(name) })).toMatchObject({ subid, subscription: 'none' });
    await seen(person, name, 'unavailable');
    feed.publish({ title: 'Peace' });
    await as('first').arrivals.take(({ title }) => title === 'Peace', SECONDS);
    await settled();
    expect(person.messages.pending.filter(isOurs(name))).toEqual([]);
  });

  it('cannot be subscribed by an ordinary user, not even by one who is in it', async () => {
    const { person, name } = await open('mantua');
    await quiet('for-rooms');
    for (const who of [as('anybody'), person]) {
      expect(await refusal(who.join('for-rooms', undefined, { jid: room(name) }))).toBe(INVALID_JID);
    }
    const boss = subscriber(admin);
    expect(await refusal(boss.join('for-rooms', undefined, { jid: `${room(name)}/host` }))).toBe(INVALID_JID);
    expect(await refusal(boss.join('for-rooms', undefined, { jid: room('nowhere') }))).toBe(INVALID_JID);
  });

  it('that does not let us in is not subscribed, and the admin is told why', async () => {
    const { person, name } = await open('closed');
    await quiet('knocking');
    const ban = xml('item', { affiliation: 'outcast', jid: `news@${rig.service}` });
    await person.request('set', xml('query', { xmlns: `${MUC}#admin` }, ban), room(name));
    const asked = subscriber(admin).join('knocking', undefined, { jid: room(name) });
    expect(await refusal(asked)).toBe('cancel not-allowed');
    const error = await asked.catch((reason: unknown) => (reason as { element: Element }).element);
    expect((error as Element).getChildText('text')).toContain('forbidden');
    const list = await admin.request('get', owner(xml('subscriptions', { node: 'knocking' })));
    expect(list.getChild('pubsub')!.getChild('subscriptions')!.children).toEqual([]);
  });

  it('in which our name is taken meets us under another', async () => {
    const { person, name } = await open('namesakes');
    const feed = await followed('/namesakes.xml');
    await (await rig.client('namesake')).send(presence(`${room(name)}/Hydrant`));
    await seen(person, name);
    await subscriber(admin).join(feed.url, undefined, { jid: room(name) });
    feed.publish({ title: 'Who is who' });
    const message = await person.messages.take(
      (one) => one.getChildText('body')?.startsWith('Who is who') ?? false,
      SECONDS,
    );
    expect(message.attrs['from']).toBe(`${room(name)}/Hydrant_`);
  });

  it('hears of what comes after a kill of the component too, and digests and filters are for rooms as well', async () => {
    const { person, name } = await open('padua');
    const feed = await followed('/padua.xml');
    await subscriber(admin).join(
      feed.url,
      { 'hydrant#filter': 'shrew', 'pubsub#digest': '1', 'pubsub#digest_frequency': '1000' },
      { jid: room(name) },
    );
    await seen(person, name);
    await rig.component.kill();
    await rig.component.start();
    await rig.prosody.attached(rig.service);
    for (const title of ['A shrew', 'A lamb', 'Another shrew']) feed.publish({ title });
    const bodies: string[] = [];
    while (!bodies.join().includes('Another')) bodies.push((await said(person, name)).getChildText('body')!);
    const titles = bodies.flatMap((body) => body.split('\n\n').map((text) => text.split('\n')[0]));
    expect(titles.sort()).toEqual(['A shrew', 'Another shrew']);
  });

  it('sees us go when the component is stopped, and come back', async () => {
    const { person, name } = await open('milan');
    await quiet('milanese');
    await subscriber(admin).join('milanese', undefined, { jid: room(name) });
    await seen(person, name);
    await rig.component.stop();
    await seen(person, name, 'unavailable');
    await rig.component.start();
    await rig.prosody.attached(rig.service);
    await seen(person, name);
  });

  it('that has put us out is not entered again until an admin says so', async () => {
    const { person, name } = await open('exile');
    const feed = await followed('/exile.xml');
    const join = () => subscriber(admin).join(feed.url, undefined, { jid: room(name) });
    await join();
    await seen(person, name);
    await said(person, name);
    const kick = xml('item', { nick: 'Hydrant', role: 'none' });
    await person.request('set', xml('query', { xmlns: `${MUC}#admin` }, kick), room(name));
    await seen(person, name, 'unavailable');
    feed.publish({ title: 'Unheard' });
    await as('first').arrivals.take(({ title }) => title === 'Unheard', SECONDS);
    await settled();
    expect(person.presences.pending.filter(isOurs(name))).toEqual([]);
    await join();
    await seen(person, name);
    expect((await said(person, name)).getChildText('body')).toMatch(/^Unheard\n/);
  });

  it('that was closed and opened again is entered when there is something to say', async () => {
    const { person, name } = await open('globe');
    const feed = await followed('/globe.xml');
    await subscriber(admin).join(feed.url, undefined, { jid: room(name) });
    await said(person, name);
    await person.request('set', xml('query', { xmlns: `${MUC}#owner` }, xml('destroy')), room(name));
    const again = await open(name);
    feed.publish({ title: 'Rebuilt' });
    expect((await said(again.person, name)).getChildText('body')).toMatch(/^Rebuilt\n/);
  });
});

it('what comes through the firehose says so, and what comes of a node does not', async () => {
  const feed = await followed('/collected.xml');
  const [drinker, reader] = [as('drinker'), as('reader')];
  await drinker.join('firehose');
  await reader.join(feed.url);
  feed.publish({ title: 'Collected' });
  const drunk = await drinker.arrivals.take(({ title }) => title === 'Collected', SECONDS);
  expect(headersIn(drunk.stanza, 'Collection')).toEqual(['firehose']);
  expect(headersIn(drunk.stanza, 'SubID')).toEqual([]);
  const read = await reader.arrivals.take(({ title }) => title === 'Collected', SECONDS);
  expect(headersIn(read.stanza, 'Collection')).toBeUndefined();
  expect(stampIn(drunk.stanza)).toBeUndefined();
});

it('subscriptions survive a kill of the component', async () => {
  await quiet('kept');
  const person = as('kept');
  const held = [await person.join('kept'), await person.join('kept', WITH_BODY)];
  await rig.component.kill();
  await rig.component.start();
  await rig.prosody.attached(rig.service);
  await publish(admin, 'kept', ['after']);
  expect(headersIn((await person.next()).stanza, 'SubID')?.sort()).toEqual(held.map(({ subid }) => subid).sort());
  expect((await person.options('kept', { subid: held[1]!.subid }))['pubsub#include_body']).toEqual(['1']);
});
