import { describe, expect, it } from '@jest/globals';
import xml, { type Element } from '@xmpp/xml';
import { createEvents } from '../../component/event.js';
import { createRouter } from '../../component/router.js';
import { NS } from '../../component/stanza.js';
import { xeps } from '../../component/xeps/index.js';
import type { Subscription } from '../../lib/domain.js';
import { createPubSub, type PubSubDeps, type PublishedItem } from '../../lib/pubsub.js';
import { memoryStores } from '../support/memory.js';
import { BLOG, entryOf, look, openFeed } from '../support/stores.js';

const DOMAIN = 'feeds.example';
const ROMEO = 'romeo@example.net';

/** The whole component but for its stream: XML in, XML out. */
function bench(overrides: Partial<PubSubDeps> = {}) {
  const stores = memoryStores();
  const sent: Element[] = [];
  const notified: { readonly to: Subscription; readonly item: PublishedItem }[] = [];
  const service = createPubSub({
    ...stores,
    probe: async () => ({ kind: 'refused', code: 'not-a-feed', text: 'There is no feed' }),
    now: () => 0,
    policy: { domain: DOMAIN, admins: [], whoMayAdd: 'anyone', maxSubscriptions: 10 },
    ...overrides,
  });
  const { item } = createEvents(DOMAIN, 61_440);
  const notify = async (to: Subscription, latest: PublishedItem) => void notified.push({ to, item: latest });
  const table = xeps({ service, domain: DOMAIN, version: '1.2.3', item, notify });
  async function ask(type: 'get' | 'set', payload: Element): Promise<Element> {
    const router = createRouter(table, {
      domain: DOMAIN,
      send: async (stanza) => void sent.push(stanza),
      emit: (event, facts) => {
        if (event === 'bug') throw (facts as { error: Error }).error;
      },
      away: () => undefined,
    });
    sent.length = 0;
    router.receive(xml('iq', { type, from: `${ROMEO}/orchard`, to: DOMAIN, id: '1' }, payload));
    await router.close();
    expect(sent).toHaveLength(1);
    return sent[0]!;
  }
  return {
    stores,
    notified,
    get: (payload: Element) => ask('get', payload),
    set: (payload: Element) => ask('set', payload),
  };
}

const pubsub = (verb: Element) => xml('pubsub', NS.pubsub, verb);
const subscribe = (node: string, jid = ROMEO) => pubsub(xml('subscribe', { node, jid }));

describe('disco', () => {
  it('advertises what the table answers, and a pubsub service', async () => {
    const info = (await bench().get(xml('query', NS.discoInfo))).getChild('query')!;
    expect(info.getChild('identity')?.attrs).toMatchObject({ category: 'pubsub', type: 'service' });
    const features = info.getChildren('feature').map(({ attrs }) => String(attrs['var']));
    expect(features).toEqual(expect.arrayContaining([NS.discoInfo, NS.discoItems, NS.ping, NS.version, NS.pubsub]));
    expect(features).toEqual(expect.arrayContaining([`${NS.pubsub}#subscribe`, `${NS.pubsub}#retrieve-items`]));
    expect(new Set(features).size).toBe(features.length);
  });

  it('lists the directory in pages, the firehose first', async () => {
    const { stores, get } = bench();
    for (const name of ['a', 'b', 'c']) await openFeed(stores, `https://${name}.example/` as typeof BLOG);
    const nodesOf = (answer: Element) => {
      const query = answer.getChild('query')!;
      const nodes = query.getChildren('item').map(({ attrs }) => String(attrs['node']));
      return { nodes, last: query.getChild('set', NS.rsm)?.getChildText('last') ?? '' };
    };
    const page = (after?: string) =>
      xml(
        'query',
        NS.discoItems,
        xml('set', NS.rsm, xml('max', {}, '2'), ...(after === undefined ? [] : [xml('after', {}, after)])),
      );
    const all = nodesOf(await get(xml('query', NS.discoItems))).nodes;
    expect(all[0]).toBe('firehose');
    expect(all).toHaveLength(4);
    const paged: string[] = [];
    for (let after: string | undefined; ;) {
      const { nodes, last } = nodesOf(await get(page(after)));
      if (nodes.length === 0) break;
      paged.push(...nodes);
      after = last;
    }
    expect(paged).toEqual(all);
  });

  it('describes a node and lists its items', async () => {
    const { stores, get } = bench();
    await openFeed(stores);
    await look(stores, BLOG, [entryOf('a')]);
    const info = (await get(xml('query', { xmlns: NS.discoInfo, node: BLOG }))).getChild('query')!;
    expect(info.attrs['node']).toBe(BLOG);
    expect(info.getChild('identity')?.attrs).toMatchObject({ category: 'pubsub', type: 'leaf' });
    const fields = info.getChild('x', NS.data)!.getChildren('field');
    const values = Object.fromEntries(fields.map((one) => [String(one.attrs['var']), one.getChildText('value')]));
    expect(values).toMatchObject({
      FORM_TYPE: `${NS.pubsub}#meta-data`,
      'pubsub#num_subscribers': '0',
      'hydrant#feed': BLOG,
    });
    const items = (await get(xml('query', { xmlns: NS.discoItems, node: BLOG })))
      .getChild('query')!
      .getChildren('item');
    expect(items.map(({ attrs }) => String(attrs['name']))).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/)]);
  });
});

it('says what it is', async () => {
  const query = (await bench().get(xml('query', NS.version))).getChild('query')!;
  expect([query.getChildText('name'), query.getChildText('version'), query.getChildText('os')]).toEqual([
    'Hydrant',
    '1.2.3',
    null,
  ]);
});

it('answers an XMPP ping', async () => {
  expect((await bench().get(xml('ping', NS.ping))).attrs['type']).toBe('result');
});

describe('pubsub', () => {
  it('subscribes under the name that was used, and sends the latest entry after the answer', async () => {
    const { stores, notified, set } = bench();
    await openFeed(stores);
    await look(stores, BLOG, [entryOf('new'), entryOf('old')]);
    const answer = await set(subscribe(BLOG));
    expect(answer.getChild('pubsub')?.getChild('subscription')?.attrs).toEqual({
      node: BLOG,
      jid: ROMEO,
      subscription: 'subscribed',
    });
    expect(notified.map(({ to, item }) => [to.jid, item.entry.id])).toEqual([[ROMEO, 'new']]);
  });

  it('lists what the asking person holds, and nobody else’s', async () => {
    const { stores, get, set } = bench();
    await openFeed(stores);
    await stores.subscriptions.add({ feed: 'firehose', jid: 'juliet@example.net', node: 'firehose', since: 0 });
    await set(subscribe(BLOG, `${ROMEO}/orchard`));
    await set(subscribe('firehose'));
    const held = async (attrs: Record<string, string>) => {
      const answer = await get(pubsub(xml('subscriptions', attrs)));
      const list = answer.getChild('pubsub')!.getChild('subscriptions')!;
      return list.getChildren('subscription').map(({ attrs: { node, jid } }) => `${String(node)} ${String(jid)}`);
    };
    expect((await held({})).sort()).toEqual([`firehose ${ROMEO}`, `${BLOG} ${ROMEO}/orchard`]);
    expect(await held({ node: 'firehose' })).toEqual([`firehose ${ROMEO}`]);
  });

  it('gives the newest items, oldest first, or those asked for, and an empty list for what there is not', async () => {
    const { stores, get } = bench();
    await openFeed(stores);
    await look(stores, BLOG, [entryOf('c'), entryOf('b'), entryOf('a')]);
    const itemsOf = async (attrs: Record<string, string>, ...ids: string[]) => {
      const answer = await get(pubsub(xml('items', { node: BLOG, ...attrs }, ...ids.map((id) => xml('item', { id })))));
      return answer.getChild('pubsub')!.getChild('items')!.getChildren('item');
    };
    const titles = (items: Element[]) => items.map((item) => item.getChild('entry')?.getChildText('title'));
    expect(titles(await itemsOf({}))).toEqual(['a', 'b', 'c']);
    const two = await itemsOf({ max_items: '2' });
    expect(titles(two)).toEqual(['b', 'c']);
    expect(titles(await itemsOf({}, String(two[0]?.attrs['id'])))).toEqual(['b']);
    expect(await itemsOf({}, 'nobody')).toEqual([]);
  });

  it('cuts an answer that would be too long for a stanza, and says so', async () => {
    const { stores, get } = bench();
    await openFeed(stores);
    const long = (id: string) => ({ ...entryOf(id), content: { type: 'text' as const, value: 'x'.repeat(40_000) } });
    await look(
      stores,
      BLOG,
      Array.from({ length: 12 }, (_, n) => long(`entry ${n}`)),
    );
    const answer = (await get(pubsub(xml('items', { node: BLOG })))).getChild('pubsub')!;
    const items = answer.getChild('items')!.getChildren('item');
    expect(items.length).toBeGreaterThan(3);
    expect(Buffer.byteLength(answer.toString())).toBeLessThan(262_144);
    const set = answer.getChild('set', NS.rsm)!;
    expect([set.getChildText('count'), set.getChildText('last')]).toEqual(['12', String(items.at(-1)?.attrs['id'])]);
    // The newest are the ones that stay.
    expect(items.at(-1)?.getChild('entry')?.getChildText('title')).toBe('entry 0');
    expect(set.getChild('first')?.attrs['index']).toBe(String(12 - items.length));
  });

  it('gives a node in pages, forwards and backwards, until there is nothing more', async () => {
    const { stores, get } = bench();
    await openFeed(stores);
    await look(
      stores,
      BLOG,
      ['e', 'd', 'c', 'b', 'a'].map((id) => entryOf(id)),
    );
    async function pageOf(...set: Element[]) {
      const envelope = pubsub(xml('items', { node: BLOG }));
      envelope.append(xml('set', NS.rsm, xml('max', {}, '2'), ...set));
      const answer = await get(envelope);
      const page = answer.getChild('pubsub')?.getChild('set', NS.rsm);
      const items = answer.getChild('pubsub')?.getChild('items')?.getChildren('item') ?? [];
      return {
        answer,
        titles: items.map((item) => item.getChild('entry')?.getChildText('title')),
        first: page?.getChildText('first') ?? '',
        last: page?.getChildText('last') ?? '',
        index: page?.getChild('first')?.attrs['index'] as string | undefined,
        count: page?.getChildText('count'),
      };
    }
    const one = await pageOf();
    expect(one).toMatchObject({ titles: ['a', 'b'], index: '0', count: '5' });
    const two = await pageOf(xml('after', {}, one.last));
    expect(two).toMatchObject({ titles: ['c', 'd'], index: '2', count: '5' });
    const three = await pageOf(xml('after', {}, two.last));
    expect(three).toMatchObject({ titles: ['e'], index: '4', count: '5' });
    expect(await pageOf(xml('after', {}, three.last))).toMatchObject({ titles: [], first: '', count: '5' });

    const end = await pageOf(xml('before', {}));
    expect(end).toMatchObject({ titles: ['d', 'e'], index: '3' });
    expect(await pageOf(xml('before', {}, end.first))).toMatchObject({ titles: ['b', 'c'], index: '1' });

    const error = (await pageOf(xml('after', {}, 'nobody'))).answer.getChild('error');
    expect(error?.getChild('item-not-found', NS.stanzas)).toBeDefined();
  });

  it('refuses what is no feed with the reason', async () => {
    const error = (await bench().set(subscribe('https://blog.example/picture.png'))).getChild('error')!;
    expect(error.attrs['type']).toBe('modify');
    expect(error.getChild('not-acceptable', NS.stanzas)).toBeDefined();
    expect(error.getChildText('text')).toBe('There is no feed');
  });

  it('names the feature that a refused verb would need', async () => {
    const error = (await bench().set(pubsub(xml('create', {})))).getChild('error')!;
    expect(error.getChild('unsupported', NS.pubsubErrors)?.attrs['feature']).toBe('create-nodes');
  });
});
