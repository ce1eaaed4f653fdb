import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import xml, { type Element } from '@xmpp/xml';
import { nodeIdOf, parseFeedUrl } from '../../lib/domain.js';
import type { ServedFeed } from '../../prosody/feed-server.js';
import type { Follower } from '../../prosody/reader.js';
import { hashOf } from '../support/caps.js';
import {
  affiliate,
  configure,
  create,
  fieldsIn,
  NS,
  owner,
  publish,
  pubsub,
  refusal,
  rsm,
  setIn,
  submit,
  type PageWish,
} from '../support/requests.js';
import { startRig, type Rig } from '../support/rig.js';

const SECONDS = 20;
const TYPES = 'urn:xmpp:pubsub-filter:0';
const FEED_TYPE = 'urn:xmpp:pubsub-social-feed:1';
const BOOKS = 'urn:example:books';
// More than one answer names.
const SHELVES = 120;
const shelves = Array.from({ length: SHELVES }, (_, n) => `shelf-${n}`);

let rig: Rig;
let admin: Follower;
let romeo: Follower;
let sonnets: ServedFeed;
let news: ServedFeed;

beforeAll(async () => {
  rig = await startRig();
  [admin, romeo] = [rig.tester.as('admin'), rig.tester.as('romeo')];
  sonnets = rig.feeds.feed('/sonnets.xml', { format: 'atom', title: 'Sonnets' });
  news = rig.feeds.feed('/news.xml', { format: 'rss', title: 'News' });
  for (const feed of [sonnets, news]) await rig.tester.as('reader').subscribe(feed.url);
  await Promise.all(shelves.map((name) => create(admin, name)));
  await create(admin, 'library', { title: 'The library', type: BOOKS });
  await create(admin, 'vault', { title: 'The vault', type: BOOKS, access_model: 'whitelist' });
}, 60_000);
afterAll(() => rig.stop());

const nodeOf = (feed: ServedFeed) => nodeIdOf(parseFeedUrl(feed.url));
const queried = async (follower: Follower, xmlns: string, node?: string, ...children: Element[]) =>
  (await follower.request('get', xml('query', { xmlns, ...(node !== undefined && { node }) }, ...children))).getChild(
    'query',
  )!;
const info = (node?: string, follower = romeo) => queried(follower, NS.discoInfo, node);
const list = (node?: string, page?: PageWish, follower = romeo) =>
  queried(follower, NS.discoItems, node, ...(page ? [rsm(page)] : []));
const itemsIn = (query: Element) => query.getChildren('item').map(({ attrs }) => attrs as Record<string, string>);
const nodesIn = (query: Element) => itemsIn(query).map(({ node }) => node);
const featuresIn = (query: Element) => query.getChildren('feature').map(({ attrs }) => String(attrs['var']));
const identitiesIn = (query: Element) => query.getChildren('identity').map(({ attrs }) => attrs as object);

/** Reads a list page by page until there is nothing more; each page must know where it stands. */
async function walk(way: 'forwards' | 'backwards', max: number, node?: string): Promise<(string | undefined)[]> {
  const all: (string | undefined)[] = [];
  for (let cursor = ''; ;) {
    const wish = way === 'backwards' ? { before: cursor } : cursor ? { after: cursor } : {};
    const page = await list(node, { max, ...wish });
    const names = itemsIn(page).map((item) => (node === undefined ? item['node'] : item['name']));
    const set = setIn(page)!;
    if (names.length === 0) {
      expect([set.first, set.last, set.count]).toEqual([undefined, undefined, String(all.length)]);
      return all;
    }
    const index = way === 'forwards' ? all.length : Number(set.count) - all.length - names.length;
    expect(set).toMatchObject({ first: names[0], last: names.at(-1), index: String(index) });
    all.splice(way === 'forwards' ? all.length : 0, 0, ...names);
    cursor = (way === 'forwards' ? set.last : set.first)!;
  }
}

describe('the service', () => {
  it('says that it is a pubsub service, by name, and to whom one can write', async () => {
    const answer = await info();
    expect(answer.attrs['node']).toBeUndefined();
    expect(identitiesIn(answer)).toEqual([{ category: 'pubsub', type: 'service', name: 'Hydrant' }]);
    const form = answer.getChild('x', NS.data)!;
    expect(form.attrs['type']).toBe('result');
    const admins = ['xmpp:admin@tester.localhost', 'xmpp:admin@localhost'];
    expect(fieldsIn(answer)).toEqual({
      FORM_TYPE: ['http://jabber.org/network/serverinfo'],
      'admin-addresses': admins,
      'support-addresses': admins,
      'abuse-addresses': admins,
    });
  });

  it('names each of its features once', async () => {
    const features = featuresIn(await info());
    expect(new Set(features).size).toBe(features.length);
    const others = features.filter((name) => !name.startsWith(`${NS.pubsub}#`)).sort();
    expect(others).toEqual(
      [
        ...['disco#info', 'disco#items', 'pubsub', 'rsm', 'caps', 'commands'].map(
          (name) => `http://jabber.org/protocol/${name}`,
        ),
        ...['shim', 'shim#SubID', 'shim#Collection'].map((name) => `http://jabber.org/protocol/${name}`),
        ...['urn:xmpp:mam:2', 'urn:xmpp:mam:2#extended', 'urn:xmpp:order-by:1', `urn:xmpp:order-by:1@${NS.pubsub}`],
        ...['urn:xmpp:ping', 'jabber:iq:version', TYPES],
      ].sort(),
    );
    const verbs = ['subscribe', 'publish', 'retrieve-items', 'create-nodes', 'delete-items', 'config-node-max'];
    expect(features).toEqual(expect.arrayContaining(verbs.map((name) => `${NS.pubsub}#${name}`)));
    // Each of these would be a promise that is not kept.
    for (const name of ['multi-subscribe', 'collections', 'access-presence', 'access-roster', 'filtered-notifications'])
      expect(features).not.toContain(`${NS.pubsub}#${name}`);
  });

  it('shows in its presence the hash of this answer, which it gives under that name too', async () => {
    await rig.tester.send(xml('presence', { from: `${romeo.jid}/orchard`, to: rig.service }));
    const presence = await romeo.presences.take(({ attrs }) => attrs['from'] === rig.service, SECONDS);
    const { attrs } = presence.getChild('c', 'http://jabber.org/protocol/caps')!;
    const answer = await info();
    expect(attrs).toMatchObject({ hash: 'sha-1', ver: hashOf(answer) });

    const name = `${String(attrs['node'])}#${String(attrs['ver'])}`;
    const named = await info(name);
    expect(named.attrs['node']).toBe(name);
    expect(named.children.join('')).toBe(answer.children.join(''));
    expect(await refusal(info(`${String(attrs['node'])}#other`))).toBe('cancel item-not-found');
  });
});

describe('the directory', () => {
  const listed = 1 + 2 + SHELVES + 1;

  it('begins with the firehose and names a hundred nodes to whoever asks for no page', async () => {
    const answer = await list();
    expect(answer.attrs['node']).toBeUndefined();
    const items = itemsIn(answer);
    expect(items).toHaveLength(100);
    expect(items[0]).toMatchObject({ jid: rig.service, node: 'firehose', name: expect.any(String) });
    for (const item of items) expect(item).toMatchObject({ jid: rig.service, name: expect.stringMatching(/./) });
    expect(setIn(answer)).toEqual({
      first: 'firehose',
      index: '0',
      last: items.at(-1)?.['node'],
      count: String(listed),
    });
    expect(nodesIn(await list(undefined, { max: 500 }))).toEqual(items.map(({ node }) => node));
  });

  it('names every node once, with its title where it has one, whichever way its pages are turned', async () => {
    const all = await walk('forwards', 50);
    expect([...all].sort()).toEqual(['firehose', 'library', nodeOf(news), nodeOf(sonnets), ...shelves].sort());
    expect(all[0]).toBe('firehose');
    for (const [way, max] of [
      ['backwards', 50],
      ['forwards', 7],
      ['backwards', 9],
      ['backwards', 1],
    ] as const) {
      expect(await walk(way, max)).toEqual(all);
    }

    const title = async (node: string) => {
      const place = all.indexOf(node);
      return itemsIn(await list(undefined, { max: 1, after: all[place - 1]! }))[0];
    };
    expect(await title('library')).toEqual({ jid: rig.service, node: 'library', name: 'The library' });
    expect(await title('shelf-0')).toEqual({ jid: rig.service, node: 'shelf-0', name: 'shelf-0' });
    expect(await title(nodeOf(sonnets))).toMatchObject({ node: nodeOf(sonnets), name: 'Sonnets' });
    expect(await title(nodeOf(news))).toMatchObject({ node: nodeOf(news), name: 'News' });
  });

  it('says no more than how long it is to who asks for a page of nothing', async () => {
    const answer = await list(undefined, { max: 0 });
    expect(itemsIn(answer)).toEqual([]);
    expect(setIn(answer)).toEqual({ first: undefined, index: undefined, last: undefined, count: String(listed) });
  });

  it('refuses a page whose size is no number', async () => {
    const set = xml('set', { xmlns: NS.rsm }, xml('max', {}, '-1'));
    expect(await refusal(queried(romeo, NS.discoItems, undefined, set))).toBe('modify bad-request');
  });

  describe('can be asked for types of nodes', () => {
    const ofTypes = (fields: Record<string, readonly string[]>, page?: PageWish) =>
      queried(
        romeo,
        NS.discoItems,
        undefined,
        xml('filter', { xmlns: TYPES }, submit(TYPES, fields)),
        ...(page ? [rsm(page)] : []),
      );
    const sorted = (query: Element) => nodesIn(query).sort();

    it('to see only those', async () => {
      expect(nodesIn(await ofTypes({ 'included-types': [BOOKS] }))).toEqual(['library']);
      expect(sorted(await ofTypes({ 'included-types': [FEED_TYPE] }))).toEqual([nodeOf(news), nodeOf(sonnets)].sort());
      expect(nodesIn(await ofTypes({ 'included-types': ['http://www.w3.org/2005/Atom'] }))).toEqual(['firehose']);
      expect(nodesIn(await ofTypes({ 'included-types': ['urn:example:none'] }))).toEqual([]);
    });

    it('to see all others', async () => {
      expect(sorted(await ofTypes({ 'excluded-types': ['', FEED_TYPE] }))).toEqual(['firehose', 'library']);
      expect(sorted(await ofTypes({ 'excluded-types': ['', BOOKS, 'http://www.w3.org/2005/Atom'] }))).toEqual(
        [nodeOf(news), nodeOf(sonnets)].sort(),
      );
    });

    it('page by page, where the empty type is that of nodes that have none', async () => {
      const pages = [];
      for (let after = ''; ;) {
        const page = await ofTypes({ 'included-types': [BOOKS, ''] }, { max: 50, ...(after && { after }) });
        if (nodesIn(page).length === 0) break;
        expect(setIn(page)).toMatchObject({ index: String(pages.length), count: String(SHELVES + 1) });
        pages.push(...nodesIn(page));
        after = setIn(page)!.last!;
      }
      expect(pages.sort()).toEqual(['library', ...shelves].sort());
    });

    it('but not for some and without others at once, nor by another form', async () => {
      expect(await refusal(ofTypes({ 'included-types': [BOOKS], 'excluded-types': [''] }))).toBe('modify bad-request');
      const other = xml('filter', { xmlns: TYPES }, submit('urn:example:other', { 'included-types': [BOOKS] }));
      expect(await refusal(queried(romeo, NS.discoItems, undefined, other))).toBe('modify bad-request');
    });
  });

  it('never shows a node that is for its members, not even to them', async () => {
    const count = async () => setIn(await list(undefined, { max: 0 }, admin))?.count;
    expect(await walk('forwards', 100)).not.toContain('vault');
    expect(await count()).toBe(String(listed));
    for (const node of ['library', news.url]) await configure(admin, node, { access_model: 'whitelist' });
    expect(await count()).toBe(String(listed - 2));
    const all = await walk('backwards', 100);
    expect(all.filter((node) => node === 'library' || node === nodeOf(news))).toEqual([]);
    for (const node of ['library', news.url]) await configure(admin, node, { access_model: 'open' });
    expect(await walk('forwards', 100)).toEqual(expect.arrayContaining(['library', nodeOf(news)]));
  });

  it('does not know a node any more that was deleted', async () => {
    await create(admin, 'ephemeral');
    expect(await walk('forwards', 100)).toContain('ephemeral');
    await admin.request('set', owner(xml('delete', { node: 'ephemeral' })));
    expect(await walk('forwards', 100)).not.toContain('ephemeral');
    expect(await refusal(info('ephemeral'))).toBe('cancel item-not-found');
    expect(await refusal(list('ephemeral'))).toBe('cancel item-not-found');
  });
});

describe('a node', () => {
  const DATE = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

  it('of a feed says what it is, what the feed is about, who subscribes and how the feed is', async () => {
    const body = (entry: string) =>
      `<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="la"><id>urn:example:annals</id>
       <title>Annals</title><subtitle>Of &lt;the&gt; city</subtitle><updated>2026-01-01T00:00:00Z</updated>${entry}</feed>`;
    let status = 200;
    const url = rig.feeds.handle('/annals.xml', (_, response) => {
      response.writeHead(status, { 'content-type': 'application/atom+xml' }).end(body(''));
    });
    await romeo.subscribe(url);
    await rig.tester.as('juliet').subscribe(url);
    await configure(admin, url, { contact: 'livy@tester.localhost' });

    const answer = await info(url);
    expect(identitiesIn(answer)).toEqual([{ category: 'pubsub', type: 'leaf', name: 'Annals' }]);
    expect(featuresIn(answer)).toEqual([NS.pubsub, NS.mam, `${NS.mam}#extended`]);
    expect(answer.getChild('x', NS.data)?.attrs['type']).toBe('result');
    expect(fieldsIn(answer)).toMatchObject({
      FORM_TYPE: [`${NS.pubsub}#meta-data`],
      'pubsub#title': ['Annals'],
      'pubsub#description': ['Of <the> city'],
      'pubsub#type': [FEED_TYPE],
      'pubsub#language': ['la'],
      'pubsub#creation_date': [DATE],
      'pubsub#num_subscribers': ['2'],
      'pubsub#access_model': ['open'],
      'pubsub#publish_model': ['publishers'],
      'pubsub#owner': [rig.service],
      'pubsub#contact': ['livy@tester.localhost'],
      'pubsub#max_items': ['20'],
      'pubsub#node_type': ['leaf'],
      'hydrant#feed': [url],
      'hydrant#state': ['well'],
      'hydrant#next': [DATE],
      'hydrant#last_poll': [DATE],
      'hydrant#last_read': [DATE],
    });
    expect(fieldsIn(answer)).not.toHaveProperty('hydrant#reason');

    const polled = (reason: string) =>
      rig.scheduler.log.take((line) => line.includes(`"feed":"${url}"`) && line.includes(reason), SECONDS);
    status = 503;
    await polled('503');
    expect(fieldsIn(await info(url))).toMatchObject({
      'hydrant#state': ['failing'],
      'hydrant#reason': [expect.stringContaining('503')],
      'hydrant#since': [DATE],
      'hydrant#next': [DATE],
    });
    status = 410;
    for (let n = 0; n < 2; n++) await polled('410');
    expect(fieldsIn(await info(url))['hydrant#state']).toEqual(['gone']);
  });

  it('without a feed says who made it and how it is configured', async () => {
    const fields = { title: 'Minutes', description: 'Of our meetings', publish_model: 'open', max_items: '7' };
    await create(admin, 'minutes', fields);
    await affiliate(admin, 'minutes', romeo.jid, 'publisher');
    const answer = await info('minutes');
    expect(identitiesIn(answer)).toEqual([{ category: 'pubsub', type: 'leaf', name: 'Minutes' }]);
    expect(fieldsIn(answer)).toMatchObject({
      'pubsub#title': ['Minutes'],
      'pubsub#description': ['Of our meetings'],
      'pubsub#creation_date': [DATE],
      'pubsub#creator': [admin.jid],
      'pubsub#owner': [admin.jid],
      'pubsub#publisher': [romeo.jid],
      'pubsub#num_subscribers': ['0'],
      'pubsub#access_model': ['open'],
      'pubsub#publish_model': ['open'],
      'pubsub#max_items': ['7'],
    });
    expect(fieldsIn(answer)).not.toHaveProperty('hydrant#feed');
  });

  it('that is the firehose says so', async () => {
    const answer = await info('firehose');
    expect(identitiesIn(answer)).toMatchObject([{ category: 'pubsub', type: 'leaf' }]);
    expect(fieldsIn(answer)).toMatchObject({
      'pubsub#type': ['http://www.w3.org/2005/Atom'],
      'pubsub#access_model': ['open'],
      'pubsub#owner': [rig.service],
    });
    expect(fieldsIn(answer)).not.toHaveProperty('pubsub#max_items');
  });

  it('for members only tells strangers that it is that, and its members everything', async () => {
    const answer = await info('vault');
    expect(identitiesIn(answer)).toEqual([{ category: 'pubsub', type: 'leaf' }]);
    expect(fieldsIn(answer)).toEqual({
      FORM_TYPE: [`${NS.pubsub}#meta-data`],
      'pubsub#access_model': ['whitelist'],
    });
    expect(answer.toString()).not.toContain('The vault');
    expect(await refusal(list('vault'))).toBe('cancel not-allowed closed-node');
    await affiliate(admin, 'vault', romeo.jid, 'member');
    expect(fieldsIn(await info('vault'))).toMatchObject({ 'pubsub#title': ['The vault'], 'pubsub#owner': [admin.jid] });
    expect(itemsIn(await list('vault'))).toEqual([]);
  });

  it('that there is not is not found', async () => {
    for (const node of ['nobody', 'nobody.example-aaaaaaaaaa', 'https://nobody.example/feed', 'a\tb']) {
      expect([node, await refusal(info(node))]).toEqual([node, 'cancel item-not-found']);
      expect([node, await refusal(list(node))]).toEqual([node, 'cancel item-not-found']);
    }
  });
});

describe('the items of a node', () => {
  const ids = ['a', 'b', 'c', 'd', 'e'];

  it('are listed by their ItemIDs, oldest first, whichever way the pages are turned', async () => {
    await create(admin, 'letters');
    await publish(admin, 'letters', ids);
    const answer = await list('letters');
    expect(answer.attrs['node']).toBe('letters');
    expect(itemsIn(answer)).toEqual(ids.map((name) => ({ jid: rig.service, name })));
    expect(setIn(answer)).toBeUndefined();
    expect(await walk('forwards', 2, 'letters')).toEqual(ids);
    expect(await walk('backwards', 2, 'letters')).toEqual(ids);
    expect(setIn(await list('letters', { max: 0 }))).toMatchObject({ first: undefined, count: '5' });
    expect(await refusal(list('letters', { after: 'z' }))).toBe('cancel item-not-found');
  });

  it('of a node with many are the newest, and the answer says how many there are', async () => {
    await create(admin, 'diary', { max_items: '50' });
    await publish(
      admin,
      'diary',
      Array.from({ length: 30 }, (_, n) => `day ${n}`),
    );
    const answer = await list('diary');
    expect(itemsIn(answer).map(({ name }) => name)).toEqual(Array.from({ length: 20 }, (_, n) => `day ${n + 10}`));
    expect(setIn(answer)).toMatchObject({ index: '10', count: '30' });
  });

  it('of a feed are listed under the ItemIDs with which its entries come', async () => {
    const reader = rig.tester.as('reader');
    sonnets.publish({ title: 'Shall I compare thee' });
    const { id } = await reader.arrivals.take(({ title }) => title === 'Shall I compare thee', SECONDS);
    expect(itemsIn(await list(sonnets.url))).toEqual([{ jid: rig.service, name: id }]);
    const last = itemsIn(await list('firehose')).at(-1)!;
    expect(last['name']).toMatch(/^\d{12}$/);
  });

  it('are for those who may read them', async () => {
    await create(admin, 'petition', { access_model: 'authorize' });
    expect(await refusal(list('petition'))).toBe('auth not-authorized not-subscribed');
    await affiliate(admin, 'letters', romeo.jid, 'outcast');
    expect(await refusal(list('letters'))).toBe('auth forbidden');
    await affiliate(admin, 'letters', romeo.jid, 'none');
    expect(itemsIn(await list('letters'))).toHaveLength(5);
  });
});

describe('a node is found by each of its names, and answers under the one that was used:', () => {
  let names: Readonly<Record<string, string>>;
  beforeAll(async () => {
    const feed = rig.feeds.feed('/blog/atom.xml', { format: 'atom', title: 'A blog' });
    feed.publish({ title: 'One' });
    const page = rig.feeds.page('/blog/', [feed]);
    await romeo.subscribe(page);
    names = {
      NodeID: nodeOf(feed),
      'the URL of the feed': feed.url,
      'the same URL, written otherwise': `${feed.url.replace('http:', 'HTTP:')}#top`,
      'the URL of a page that names the feed': page,
    };
  });

  it.each([
    'NodeID',
    'the URL of the feed',
    'the same URL, written otherwise',
    'the URL of a page that names the feed',
  ])('%s', async (name) => {
    const node = names[name]!;
    const jid = romeo.jid;
    const entry = xml(
      'entry',
      'http://www.w3.org/2005/Atom',
      xml('id', {}, 'urn:example:two'),
      xml('title', {}, 'Two'),
    );
    const named: readonly [Follower, 'get' | 'set', Element][] = [
      [romeo, 'get', xml('query', { xmlns: NS.discoInfo, node })],
      [romeo, 'get', xml('query', { xmlns: NS.discoItems, node })],
      [romeo, 'set', pubsub(xml('subscribe', { node, jid }))],
      [romeo, 'get', pubsub(xml('options', { node, jid }))],
      [romeo, 'get', pubsub(xml('default', { node }))],
      [romeo, 'get', pubsub(xml('subscriptions', { node }))],
      [romeo, 'get', pubsub(xml('affiliations', { node }))],
      [romeo, 'get', pubsub(xml('items', { node }))],
      [romeo, 'set', pubsub(xml('unsubscribe', { node, jid }))],
      [admin, 'get', owner(xml('configure', { node }))],
      [admin, 'get', owner(xml('subscriptions', { node }))],
      [admin, 'get', owner(xml('affiliations', { node }))],
      [admin, 'set', pubsub(xml('publish', { node }, xml('item', {}, entry)))],
    ];
    for (const [who, type, request] of named) {
      const answer = (await who.request(type, request)).getChildElements()[0]!;
      const element = answer.is('query') ? answer : answer.getChildElements()[0]!;
      expect([request.toString(), element.attrs['node']]).toEqual([request.toString(), node]);
    }

    const past = xml('query', { xmlns: NS.mam, node, queryid: name });
    expect((await romeo.request('set', past)).getChild('fin', NS.mam)).toBeDefined();
    const results = romeo.messages.pending.flatMap((message) => message.getChild('result', NS.mam) ?? []);
    const forwarded = results
      .filter(({ attrs }) => attrs['queryid'] === name)
      .map((result) => result.getChild('forwarded')!.getChild('message')!.getChild('event')!.getChild('items'));
    expect(forwarded.map((items) => items?.attrs['node'] as string)).toEqual([node, node]);
    const ends = (await romeo.request('get', xml('metadata', { xmlns: NS.mam, node }))).getChild('metadata')!;
    expect(ends.getChildElements()).toHaveLength(2);

    await admin.request('set', owner(xml('configure', { node }, submit(`${NS.pubsub}#node_config`, {}))));
    await romeo.request('set', pubsub(xml('subscribe', { node, jid })));
    const options = submit(`${NS.pubsub}#subscribe_options`, { 'pubsub#include_body': '1' });
    await romeo.request('set', pubsub(xml('options', { node, jid }, options)));
    const held = await romeo.request('get', pubsub(xml('subscriptions', { node })));
    const [one, ...others] = held.getChild('pubsub')!.getChild('subscriptions')!.getChildren('subscription');
    expect([one?.attrs['node'], others]).toEqual([node, []]);
  });
});
