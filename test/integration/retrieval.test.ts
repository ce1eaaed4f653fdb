import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import xml, { type Element } from '@xmpp/xml';
import type { ServedFeed } from '../../prosody/feed-server.js';
import type { Follower } from '../../prosody/reader.js';
import {
  affiliate,
  configure,
  create,
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
const ORDER = 'urn:xmpp:order-by:1';
const METADATA = 'urn:xmpp:avatar:metadata';
const DATA = 'urn:xmpp:avatar:data';

let rig: Rig;
let admin: Follower;
let romeo: Follower;
/** Of a feed's node with five entries, oldest first. */
let sonnets: ServedFeed;
let sonnetIds: string[];
const titles = ['I', 'II', 'III', 'IV', 'V'];

beforeAll(async () => {
  rig = await startRig();
  [admin, romeo] = [rig.tester.as('admin'), rig.tester.as('romeo')];
  sonnets = rig.feeds.feed('/sonnets.xml', { format: 'atom', title: 'Sonnets' });
  const bot = rig.tester.as('bot');
  await bot.subscribe('firehose');
  await bot.subscribe(sonnets.url);
  for (const title of titles) {
    sonnets.publish({ title });
    await bot.arrivals.take(({ node, title: come }) => node === 'firehose' && come === title, SECONDS);
  }
  sonnetIds = (await bot.items(sonnets.url)).map(({ id }) => id);
  await create(admin, 'letters');
  await publish(admin, 'letters', ['a', 'b', 'c', 'd', 'e']);
}, 60_000);
afterAll(() => rig.stop());

/** What a node holds, as it is asked for. */
async function ask(
  node: string,
  wish: { attrs?: Record<string, string>; ids?: readonly string[]; page?: PageWish; order?: Element } = {},
  follower = romeo,
) {
  const { attrs = {}, ids = [], page, order } = wish;
  const wanted = xml('items', { node, ...attrs }, ...ids.map((id) => xml('item', { id })));
  const answer = await follower.request('get', pubsub(wanted, ...(order ? [order] : []), ...(page ? [rsm(page)] : [])));
  const payload = answer.getChild('pubsub', NS.pubsub)!;
  const list = payload.getChild('items')!;
  expect(list.attrs['node']).toBe(node);
  const items = list.getChildren('item');
  return {
    items,
    ids: items.map(({ attrs: { id } }) => String(id)),
    texts: items.map((item) => item.getChildText('note')),
    titles: items.map((item) => item.getChild('entry', 'http://www.w3.org/2005/Atom')?.getChildText('title')),
    set: setIn(payload),
  };
}
const idsOf = async (node: string, wish?: Parameters<typeof ask>[1], follower?: Follower) =>
  (await ask(node, wish, follower)).ids;

describe('the items of a node', () => {
  it('come all at once, oldest first, each with its payload', async () => {
    const own = await ask('letters');
    expect(own.ids).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(own.texts).toEqual(['first a', 'first b', 'first c', 'first d', 'first e']);
    expect(own.items.map(({ attrs }) => attrs['publisher'] as string)).toEqual(Array(5).fill(admin.jid));
    expect(own.set).toBeUndefined();

    const feed = await ask(sonnets.url);
    expect([feed.ids, feed.titles]).toEqual([sonnetIds, titles]);
    expect(feed.set).toBeUndefined();
    const hose = await ask('firehose');
    expect(hose.titles).toEqual(titles);
    expect(hose.ids).toEqual([...hose.ids].sort());
    expect((await ask('firehose', {}, admin)).items[0]?.getChild('entry')?.getChild('source')).toBeDefined();

    await create(admin, 'empty');
    expect(await ask('empty')).toMatchObject({ ids: [], set: undefined });
  });

  it('come as many as are wanted, the newest of them', async () => {
    expect(await idsOf('letters', { attrs: { max_items: '2' } })).toEqual(['d', 'e']);
    expect((await ask('letters', { attrs: { max_items: '2' } })).set).toBeUndefined();
    expect(await idsOf('letters', { attrs: { max_items: '50' } })).toHaveLength(5);
    expect((await ask(sonnets.url, { attrs: { max_items: '1' } })).titles).toEqual(['V']);
    expect((await ask('firehose', { attrs: { max_items: '3' } })).titles).toEqual(['III', 'IV', 'V']);
    for (const max of ['0', '-1', 'many', '1.5', '']) {
      const request = idsOf('letters', { attrs: { max_items: max } });
      expect([max, await refusal(request)]).toEqual([max, 'modify bad-request']);
    }
    const both = idsOf('letters', { attrs: { max_items: '1' }, ids: ['a'] });
    expect(await refusal(both)).toBe('modify bad-request');
  });

  it('that do not all fit into an answer are the newest ones, and the answer says how many there are', async () => {
    await create(admin, 'diary', { max_items: '150' });
    await publish(
      admin,
      'diary',
      Array.from({ length: 110 }, (_, n) => `${n}`),
    );
    const some = await ask('diary');
    expect(some.ids).toEqual(Array.from({ length: 20 }, (_, n) => `${n + 90}`));
    expect(some.set).toEqual({ first: '90', index: '90', last: '109', count: '110' });
    const more = await ask('diary', { attrs: { max_items: '105' } });
    expect(more.ids).toEqual(Array.from({ length: 100 }, (_, n) => `${n + 10}`));
    expect(more.set).toMatchObject({ index: '10', count: '110' });
    expect((await ask('diary', { attrs: { max_items: '20' } })).set).toBeUndefined();
  });

  it('come by their ids in the order in which they are asked for, without those that there are not', async () => {
    expect((await ask('letters', { ids: ['d', 'z', 'a'] })).texts).toEqual(['first d', 'first a']);
    const [first, , third] = sonnetIds as [string, string, string];
    expect((await ask(sonnets.url, { ids: [third, first] })).titles).toEqual(['III', 'I']);
    const hose = await idsOf('firehose');
    expect((await ask('firehose', { ids: [hose[4]!, '999999999999', hose[1]!] })).titles).toEqual(['V', 'II']);
    for (const node of ['letters', sonnets.url, 'firehose']) {
      expect(await refusal(idsOf(node, { ids: ['z', '__proto__'] }))).toBe('cancel item-not-found');
    }
    const nameless = romeo.request('get', pubsub(xml('items', { node: 'letters' }, xml('item'))));
    expect(await refusal(nameless)).toBe('modify bad-request');
  });

  it('come with their payload by id, also where notifications are sent without', async () => {
    const [juliet, feed] = [rig.tester.as('juliet'), rig.feeds.feed('/terse.xml', { format: 'atom', title: 'Terse' })];
    await juliet.subscribe(feed.url);
    await configure(admin, feed.url, { deliver_payloads: '0' });
    feed.publish({ title: 'Brevity' });
    const bare = await juliet.arrivals.take(({ node }) => node === feed.url, SECONDS);
    expect(bare.item.children).toEqual([]);
    expect((await ask(feed.url, { ids: [bare.id] })).titles).toEqual(['Brevity']);

    const options = submit(`${NS.pubsub}#subscribe_options`, { 'hydrant#payload': '0' });
    const [node, jid] = ['letters', juliet.jid];
    await juliet.request('set', pubsub(xml('subscribe', { node, jid }), xml('options', {}, options)));
    await juliet.arrivals.take(({ id }) => id === 'e', SECONDS);
    await publish(admin, 'letters', ['f']);
    const notice = await juliet.arrivals.take(({ id }) => id === 'f', SECONDS);
    expect(notice.item.children).toEqual([]);
    expect((await ask('letters', { ids: ['f'] }, juliet)).texts).toEqual(['first f']);
    await admin.request('set', pubsub(xml('retract', { node }, xml('item', { id: 'f' }))));
  });

  it.each(['letters', 'the feed', 'firehose'])(
    'come in pages both ways, each knowing where it stands: %s',
    async (name) => {
      const node = name === 'the feed' ? sonnets.url : name;
      const [a, b, c, d, e] = await idsOf(node, { page: { before: '', max: 5 } });
      const page = async (wish: PageWish) => {
        const { ids, set } = await ask(node, { page: { max: 2, ...wish } });
        return [ids, set];
      };
      const place = (first: string, last: string, index: string, count: string) => ({ first, last, index, count });
      const n = Number((await ask(node, { page: { max: 0 } })).set?.count);
      const at = (index: number) => String(n - 5 + index);
      expect(await page({ after: a! })).toEqual([[b, c], place(b!, c!, at(1), String(n))]);
      expect(await page({ after: c! })).toEqual([[d, e], place(d!, e!, at(3), String(n))]);
      expect(await page({ after: d! })).toEqual([[e], place(e!, e!, at(4), String(n))]);
      expect(await page({ after: e! })).toMatchObject([[], { count: String(n) }]);
      expect(await page({ before: '' })).toEqual([[d, e], place(d!, e!, at(3), String(n))]);
      expect(await page({ before: d! })).toEqual([[b, c], place(b!, c!, at(1), String(n))]);
      const [oldest] = await idsOf(node, { page: { max: 1 } });
      expect(await page({ before: oldest! })).toMatchObject([[], { count: String(n) }]);
      for (const wish of [{ after: 'z' }, { before: 'z' }]) {
        expect(await refusal(page(wish))).toBe('cancel item-not-found');
      }
    },
  );

  it('come in the order of creation or of modification, also in pages and backwards', async () => {
    await create(admin, 'balcony');
    await publish(admin, 'balcony', ['A', 'B', 'C', 'D']);
    await publish(admin, 'balcony', ['C', 'A'], 'second');
    const order = (by: string, desc?: string) => xml('order', { xmlns: ORDER, by, ...(desc && { desc }) });
    const of = (by: string, desc?: string, more: Parameters<typeof ask>[1] = {}) =>
      idsOf('balcony', { order: order(by, desc), ...more });
    expect(await of('creation')).toEqual(['A', 'B', 'C', 'D']);
    expect(await of('creation', 'false')).toEqual(['A', 'B', 'C', 'D']);
    expect(await of('modification', '0')).toEqual(['B', 'D', 'C', 'A']);
    expect(await of('creation', 'true')).toEqual(['D', 'C', 'B', 'A']);
    expect(await of('modification', '1')).toEqual(['A', 'C', 'D', 'B']);
    expect((await ask('balcony', { order: order('creation') })).texts).toContain('second A');
    expect(await of('creation', 'true', { attrs: { max_items: '3' } })).toEqual(['D', 'C', 'B']);
    expect(await of('modification', 'true', { attrs: { max_items: '1' } })).toEqual(['A']);

    // The pages of the example in XEP-0413 3.5, and the same from the other end.
    const page = (by: string, desc: string, wish: PageWish) =>
      ask('balcony', { order: order(by, desc), page: { max: 2, ...wish } });
    expect(await page('modification', 'false', {})).toMatchObject({
      ids: ['B', 'D'],
      set: { first: 'B', index: '0', last: 'D', count: '4' },
    });
    expect(await page('modification', 'false', { after: 'D' })).toMatchObject({
      ids: ['C', 'A'],
      set: { first: 'C', index: '2', last: 'A', count: '4' },
    });
    expect(await page('modification', 'true', { after: 'C' })).toMatchObject({
      ids: ['D', 'B'],
      set: { first: 'D', index: '2', last: 'B', count: '4' },
    });
    expect(await page('creation', 'true', { before: 'A' })).toMatchObject({
      ids: ['C', 'B'],
      set: { first: 'C', index: '1', last: 'B', count: '4' },
    });
    expect(await page('creation', 'true', { before: '' })).toMatchObject({ ids: ['B', 'A'], set: { index: '2' } });
    expect(await refusal(of('title'))).toBe('cancel feature-not-implemented');
    expect(await refusal(of('creation', 'perhaps'))).toBe('modify bad-request');
  });

  it('of a feed are ordered by when an entry was first there, or by when it was last changed', async () => {
    const feed = rig.feeds.feed('/edited.xml', { format: 'atom', title: 'Edited' });
    const nurse = rig.tester.as('nurse');
    await nurse.subscribe(feed.url);
    const { id } = feed.publish({ title: 'Frist' });
    await nurse.arrivals.take(({ title }) => title === 'Frist', SECONDS);
    feed.publish({ title: 'Second' });
    await nurse.arrivals.take(({ title }) => title === 'Second', SECONDS);
    feed.edit(id, { title: 'First' });
    await nurse.arrivals.take(({ title }) => title === 'First', SECONDS);
    const titlesBy = async (by: string) => (await ask(feed.url, { order: xml('order', { xmlns: ORDER, by }) })).titles;
    expect(await titlesBy('creation')).toEqual(['First', 'Second']);
    expect(await titlesBy('modification')).toEqual(['Second', 'First']);
  });

  it('are given to who holds several subscriptions when they say which one is asking', async () => {
    await create(admin, 'gazette');
    await publish(admin, 'gazette', ['1']);
    const [node, jid] = ['gazette', romeo.jid];
    const subscribe = async (options: Record<string, string>) => {
      const form = submit(`${NS.pubsub}#subscribe_options`, options);
      const answer = await romeo.request('set', pubsub(xml('subscribe', { node, jid }), xml('options', {}, form)));
      return String(answer.getChild('pubsub')!.getChild('subscription')!.attrs['subid']);
    };
    const of = (subid: string) => idsOf(node, { attrs: { subid } });
    const one = await subscribe({});
    expect(await idsOf(node)).toEqual(['1']);
    expect(await of(one)).toEqual(['1']);
    expect(await refusal(of('wrong'))).toBe('modify not-acceptable invalid-subid');
    const other = await subscribe({ 'pubsub#include_body': '1' });
    expect(other).not.toBe(one);
    expect(await refusal(idsOf(node))).toBe('modify bad-request subid-required');
    expect(await refusal(of('wrong'))).toBe('modify not-acceptable invalid-subid');
    expect([await of(one), await of(other)]).toEqual([['1'], ['1']]);
    expect(await idsOf(node, {}, rig.tester.as('stranger'))).toEqual(['1']);
  });

  it('and its past are for those who may read it', async () => {
    const stranger = rig.tester.as('stranger');
    await create(admin, 'closed', { access_model: 'whitelist' });
    await create(admin, 'asking', { access_model: 'authorize' });
    await create(admin, 'open');
    await affiliate(admin, 'open', stranger.jid, 'outcast');
    for (const node of ['closed', 'asking', 'open']) await publish(admin, node, ['x']);
    const ways = (node: string) => [
      idsOf(node, {}, stranger),
      idsOf(node, { ids: ['x'] }, stranger),
      idsOf(node, { ids: [METADATA] }, stranger),
      past(node, {}, stranger),
      past(node, { fields: { ids: 'x' } }, stranger),
      stranger.request('get', xml('metadata', { xmlns: NS.mam, node })),
    ];
    const refusals = (node: string) => Promise.all(ways(node).map(refusal));
    expect(new Set(await refusals('closed'))).toEqual(new Set(['cancel not-allowed closed-node']));
    expect(new Set(await refusals('asking'))).toEqual(new Set(['auth not-authorized not-subscribed']));
    expect(new Set(await refusals('open'))).toEqual(new Set(['auth forbidden']));
    expect(new Set(await refusals('nobody'))).toEqual(new Set(['cancel item-not-found']));
    // Who waits to be let in is not in.
    const subscription = await stranger.subscribe('asking');
    expect(subscription.attrs['subscription']).toBe('pending');
    expect(new Set(await refusals('asking'))).toEqual(new Set(['auth not-authorized not-subscribed']));

    const { jid } = stranger;
    const approved = xml('subscription', { jid, subscription: 'subscribed' });
    await admin.request('set', owner(xml('subscriptions', { node: 'asking' }, approved)));
    await affiliate(admin, 'closed', jid, 'member');
    await affiliate(admin, 'open', jid, 'none');
    for (const node of ['closed', 'asking', 'open']) {
      expect(await idsOf(node, {}, stranger)).toEqual(['x']);
      expect((await past(node, {}, stranger)).ids).toEqual(['x']);
    }
    expect(stranger.messages.pending.filter((message) => message.getChild('result', NS.mam))).toEqual([]);
  });
});

describe('the picture of a node', () => {
  // One transparent pixel.
  const PIXEL = Buffer.from(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
    'base64',
  );
  const served = (path: string, body: Buffer, type = 'image/png') => rig.feeds.raw(path, { type, body });
  /** A feed whose icon is there. */
  async function pictured(path: string, icon?: string): Promise<string> {
    const body = `<feed xmlns="http://www.w3.org/2005/Atom"><id>urn:example:${path}</id><title>Pictured</title>
      <updated>2026-01-01T00:00:00Z</updated>${icon ? `<icon>${icon}</icon>` : ''}</feed>`;
    const url = rig.feeds.raw(path, { type: 'application/atom+xml', body });
    await romeo.subscribe(url);
    return url;
  }
  const infoOf = async (node: string) => {
    const { items, ids } = await ask(node, { ids: [METADATA] });
    expect(ids).toEqual([METADATA]);
    return items[0]!.getChild('metadata', METADATA)!.getChild('info')!.attrs as object;
  };
  const dataOf = async (node: string) => {
    const { items, ids } = await ask(node, { ids: [DATA] });
    expect(ids).toEqual([DATA]);
    return Buffer.from(items[0]!.getChildText('data', DATA)!, 'base64');
  };

  it('is that of its feed', async () => {
    const url = served('/icon.png', PIXEL);
    const node = await pictured('/pictured.xml', url);
    expect(await infoOf(node)).toEqual({
      bytes: String(PIXEL.length),
      id: createHash('sha1').update(PIXEL).digest('hex'),
      type: 'image/png',
      url,
      width: '1',
      height: '1',
    });
    expect(await dataOf(node)).toEqual(PIXEL);
    expect(await infoOf(node)).toMatchObject({ url });
    expect(rig.feeds.count('/icon.png')).toBe(1);
    // It is none of the node's items.
    expect((await ask(node)).ids).toEqual([]);
  });

  it('is named with its URL alone when it is too big to be sent', async () => {
    const url = served('/big.png', Buffer.concat([PIXEL, Buffer.alloc(200_000)]));
    const node = await pictured('/big.xml', url);
    expect(await infoOf(node)).toMatchObject({ bytes: String(PIXEL.length + 200_000), url });
    expect(await refusal(dataOf(node))).toBe('cancel item-not-found');
  });

  it('is missing where the feed has none, or one that is no picture or too big to be fetched', async () => {
    const huge = served('/huge.png', Buffer.concat([PIXEL, Buffer.alloc(300_000)]));
    const page = served('/page.png', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'));
    const nodes = [
      await pictured('/plain.xml'),
      await pictured('/huge.xml', huge),
      await pictured('/page.xml', page),
      await pictured('/lost.xml', rig.feeds.url('/lost.png')),
      'letters',
      'firehose',
    ];
    for (const node of nodes) {
      expect([node, await refusal(infoOf(node))]).toEqual([node, 'cancel item-not-found']);
      expect([node, await refusal(dataOf(node))]).toEqual([node, 'cancel item-not-found']);
    }
    expect(await refusal(infoOf('nobody'))).toBe('cancel item-not-found');
  });
});

interface PastWish {
  readonly fields?: Readonly<Record<string, string | readonly string[]>>;
  readonly page?: PageWish;
  readonly flip?: boolean;
  readonly queryid?: string;
}
let queries = 0;

/** The past of a node as an archive (XEP-0442), or a part of it. */
async function past(node: string, wish: PastWish = {}, follower = romeo) {
  const { fields, page, flip, queryid = `query ${++queries}` } = wish;
  const query = xml(
    'query',
    { xmlns: NS.mam, node, queryid },
    ...(fields ? [submit(NS.mam, fields)] : []),
    ...(page ? [rsm(page)] : []),
    ...(flip ? [xml('flip-page')] : []),
  );
  const fin = (await follower.request('set', query)).getChild('fin', NS.mam)!;
  // All of them came before the answer.
  const messages = follower.messages.pending.filter((message) => message.getChild('result', NS.mam));
  for (const message of messages) await follower.messages.take((one) => one === message);
  const results = messages.map((message) => message.getChild('result', NS.mam)!);
  for (const result of results) expect(result.attrs['queryid']).toBe(queryid);
  const ids = results.map(({ attrs }) => String(attrs['id']));
  return {
    messages,
    ids,
    stamps: results.map((result) => {
      const delay = result.getChild('forwarded', 'urn:xmpp:forward:0')!.getChild('delay', 'urn:xmpp:delay')!;
      return String(delay.attrs['stamp']);
    }),
    isComplete: fin.attrs['complete'] === 'true',
    set: setIn(fin)!,
  };
}

describe('the past of a node', () => {
  it('can be asked for in a form whose fields are known beforehand', async () => {
    const answer = await romeo.request('get', xml('query', { xmlns: NS.mam, node: 'letters' }));
    const form = answer.getChild('query', NS.mam)!.getChild('x', NS.data)!;
    expect(form.attrs['type']).toBe('form');
    const fields = form.getChildren('field').map(({ attrs: { var: name, type } }) => [name, type] as string[]);
    expect(fields).toEqual([
      ['FORM_TYPE', 'hidden'],
      ['start', 'text-single'],
      ['end', 'text-single'],
      ['before-id', 'text-single'],
      ['after-id', 'text-single'],
      ['ids', 'list-multi'],
    ]);
    // Any id can be asked for, though none is offered.
    const validation = form
      .getChildren('field')
      .at(-1)!
      .getChild('validate', 'http://jabber.org/protocol/xdata-validate');
    expect(validation?.attrs['datatype']).toBe('xs:string');
    expect(validation?.getChild('open')).toBeDefined();
  });

  it('is one message for each item, a notification as it was, and then an end that says where one is', async () => {
    const { messages, ids, set, isComplete } = await past('letters');
    expect(ids).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect([set, isComplete]).toEqual([{ first: 'a', index: '0', last: 'e', count: '5' }, true]);
    for (const message of messages) expect(message.attrs).toMatchObject({ from: rig.service, to: romeo.jid });
    const forwarded = messages[0]!.getChild('result')!.getChild('forwarded')!;
    const event = forwarded.getChild('message', 'jabber:client')!.getChild('event', NS.event)!;
    const items = event.getChild('items')!;
    expect(items.attrs['node']).toBe('letters');
    const [item, ...others] = items.getChildElements();
    expect(others).toEqual([]);
    expect(item!.attrs).toMatchObject({ id: 'a', publisher: admin.jid });
    expect(item!.getChildText('note', 'urn:example:note')).toBe('first a');

    const reader = rig.tester.as('reader');
    await reader.subscribe(sonnets.url);
    const { item: notified } = await reader.arrivals.take(({ title }) => title === 'V', SECONDS);
    const { messages: entries, ids: entryIds } = await past(sonnets.url);
    expect(entryIds).toEqual(sonnetIds);
    const last = entries.at(-1)!.getChild('result')!.getChild('forwarded')!.getChild('message')!.getChild('event')!;
    expect(last.getChild('items')!.getChild('item')!.toString()).toBe(notified.toString());
  });

  it('needs no queryid, and gives none then', async () => {
    await romeo.request('set', xml('query', { xmlns: NS.mam, node: 'letters' }));
    const results = romeo.messages.pending.flatMap((message) => message.getChild('result', NS.mam) ?? []);
    expect(results).toHaveLength(5);
    for (const result of results) expect(result.attrs).not.toHaveProperty('queryid');
    for (let left = results.length; left > 0; left--) await romeo.messages.take();
  });

  describe.each(['letters', 'the feed', 'firehose'])('can be asked for by part: %s', (name) => {
    let node: string;
    let all: Awaited<ReturnType<typeof past>>;
    beforeAll(async () => {
      node = name === 'the feed' ? sonnets.url : name;
      all = await past(node);
      expect(all.ids.length).toBeGreaterThanOrEqual(5);
    });

    it('between two times, both included', async () => {
      const { ids, stamps } = all;
      expect(stamps).toEqual([...stamps].sort());
      const [second, fourth] = [stamps[1]!, stamps[3]!];
      const within = (start: string, end: string) => ids.filter((_, i) => stamps[i]! >= start && stamps[i]! <= end);
      const later = (stamp: string, ms: number) => new Date(Date.parse(stamp) + ms).toISOString();
      expect((await past(node, { fields: { start: second } })).ids).toEqual(within(second, stamps.at(-1)!));
      expect((await past(node, { fields: { end: fourth } })).ids).toEqual(within(stamps[0]!, fourth));
      const part = await past(node, { fields: { start: second, end: fourth } });
      expect([part.ids, part.stamps]).toEqual([
        within(second, fourth),
        stamps.filter((stamp) => stamp >= second && stamp <= fourth),
      ]);
      expect(part.set).toMatchObject({ index: '0', count: String(part.ids.length) });
      const inside = [later(second, 1), later(fourth, -1)] as const;
      expect((await past(node, { fields: { start: inside[0], end: inside[1] } })).ids).toEqual(within(...inside));
      // Another zone, and another precision.
      const elsewhere = later(second, 2 * 3_600_000).replace('Z', '+02:00');
      expect((await past(node, { fields: { start: elsewhere } })).ids).toEqual(within(second, stamps.at(-1)!));
      const none = await past(node, { fields: { end: '2001-01-01T00:00:00Z' } });
      expect([none.ids, none.isComplete, none.set.count]).toEqual([[], true, '0']);
    });

    it('after or before an item, or between two', async () => {
      const { ids } = all;
      const [a, b] = [ids.at(-4)!, ids.at(-2)!];
      const place = ids.length - 4;
      expect((await past(node, { fields: { 'after-id': a } })).ids).toEqual(ids.slice(place + 1));
      expect((await past(node, { fields: { 'before-id': b } })).ids).toEqual(ids.slice(0, place + 2));
      const part = await past(node, { fields: { 'after-id': a, 'before-id': b } });
      expect([part.ids, part.stamps]).toEqual([[ids[place + 1]], [all.stamps[place + 1]]]);
      expect(part.set).toMatchObject({ index: '0', count: '1' });
      expect((await past(node, { fields: { 'after-id': b, 'before-id': a } })).ids).toEqual([]);
      const since = { 'after-id': ids[0]!, start: all.stamps[place]! };
      expect((await past(node, { fields: since })).ids).toEqual(
        ids.filter((_, i) => i > 0 && all.stamps[i]! >= all.stamps[place]!),
      );
      for (const field of ['after-id', 'before-id']) {
        expect(await refusal(past(node, { fields: { [field]: 'z' } }))).toBe('cancel item-not-found');
      }
    });

    it('by the ids of items, which are all there or refused', async () => {
      const [first, , third] = all.ids as [string, string, string];
      const found = await past(node, { fields: { ids: [third, first] } });
      expect([found.ids, found.isComplete]).toEqual([[first, third], true]);
      expect(found.stamps).toEqual([all.stamps[0], all.stamps[2]]);
      expect(await refusal(past(node, { fields: { ids: [first, 'z'] } }))).toBe('cancel item-not-found');
    });

    it('in pages both ways, until it is complete', async () => {
      const { ids } = all;
      const count = String(ids.length);
      const forwards = [];
      for (let cursor = ''; ;) {
        const page = await past(node, { page: { max: 2, ...(cursor && { after: cursor }) } });
        expect(page.set).toMatchObject({ index: String(forwards.length), count });
        forwards.push(...page.ids);
        expect(page.isComplete).toBe(forwards.length === ids.length);
        if (page.isComplete) break;
        cursor = page.set.last!;
      }
      expect(forwards).toEqual(ids);
      const backwards: string[] = [];
      for (let cursor = ''; ;) {
        const page = await past(node, { page: { max: 2, before: cursor } });
        expect(page.set).toMatchObject({ index: String(ids.length - backwards.length - page.ids.length), count });
        backwards.unshift(...page.ids);
        expect(page.isComplete).toBe(backwards.length === ids.length);
        if (page.isComplete) break;
        cursor = page.set.first!;
      }
      expect(backwards).toEqual(ids);
      const start = all.stamps.at(-4)!;
      const part = ids.filter((_, i) => all.stamps[i]! >= start);
      const page = await past(node, { fields: { start }, page: { max: 1, after: part[0]! } });
      expect([page.ids, page.set.index, page.set.count]).toEqual([[part[1]], '1', String(part.length)]);
      const nothing = await past(node, { page: { max: 0 } });
      expect([nothing.ids, nothing.isComplete, nothing.set.count]).toEqual([[], false, count]);
      for (const wish of [{ after: 'z' }, { before: 'z' }]) {
        expect(await refusal(past(node, { page: wish }))).toBe('cancel item-not-found');
      }
    });

    it('with a page turned round', async () => {
      const page = { max: 3, before: '' };
      const [straight, flipped] = [await past(node, { page }), await past(node, { page, flip: true })];
      expect(flipped.ids).toEqual([...straight.ids].reverse());
      expect([flipped.set, flipped.isComplete]).toEqual([straight.set, straight.isComplete]);
      expect(straight.set).toMatchObject({ first: straight.ids[0], last: straight.ids[2] });
    });

    it('from one end to the other, as its metadata says', async () => {
      const answer = await romeo.request('get', xml('metadata', { xmlns: NS.mam, node }));
      const ends = answer.getChild('metadata', NS.mam)!.getChildElements();
      expect(ends.map(({ name: end, attrs }) => [end, attrs['id'], attrs['timestamp']] as string[])).toEqual([
        ['start', all.ids[0], all.stamps[0]],
        ['end', all.ids.at(-1), all.stamps.at(-1)],
      ]);
    });
  });

  it('comes in pages also where many items are asked for by their ids', async () => {
    await create(admin, 'annals', { max_items: '150', notification_type: 'normal' });
    const years = Array.from({ length: 120 }, (_, n) => `year ${n}`);
    await publish(admin, 'annals', years);
    const fields = { ids: [...years].reverse() };
    const first = await past('annals', { fields });
    expect([first.ids, first.isComplete]).toEqual([years.slice(0, 50), false]);
    expect(first.set).toEqual({ first: 'year 0', index: '0', last: 'year 49', count: '120' });
    const last = await past('annals', { fields, page: { before: '', max: 100 } });
    expect([last.ids, last.set.index, last.isComplete]).toEqual([years.slice(70), '70', false]);
    const message = last.messages[0]!.getChild('result')!.getChild('forwarded')!.getChild('message')!;
    expect(message.attrs).toMatchObject({ type: 'normal', from: rig.service });
  });

  it('is empty where nothing was published', async () => {
    await create(admin, 'silence');
    expect(await past('silence')).toMatchObject({ ids: [], isComplete: true, set: { count: '0' } });
    const metadata = await romeo.request('get', xml('metadata', { xmlns: NS.mam, node: 'silence' }));
    expect(metadata.getChild('metadata', NS.mam)!.getChildElements()).toEqual([]);
  });

  it('is refused where the question cannot be answered as it was meant', async () => {
    expect(await refusal(past('letters', { fields: { 'full-text': 'x' } }))).toBe('cancel feature-not-implemented');
    expect(await refusal(past('letters', { fields: { with: romeo.jid } }))).toBe('cancel feature-not-implemented');
    for (const start of ['yesterday', '2026-01-01', '2026-13-01T00:00:00Z']) {
      expect([start, await refusal(past('letters', { fields: { start } }))]).toEqual([start, 'modify bad-request']);
    }
    const nameless = romeo.request('set', xml('query', { xmlns: NS.mam }));
    expect(await refusal(nameless)).toBe('modify bad-request nodeid-required');
    const other = xml('query', { xmlns: NS.mam, node: 'letters' }, submit('urn:example:other', {}));
    expect(await refusal(romeo.request('set', other))).toBe('modify bad-request');
    expect(await refusal(past('nobody'))).toBe('cancel item-not-found');
  });
});
