import { describe, expect, it } from '@jest/globals';
import { FIREHOSE, ownNodeIdOf, type ItemId } from '../../../lib/domain.js';
import {
  ADMIN,
  BARE,
  bench,
  form,
  ID,
  idsOf,
  itemId,
  JULIET,
  NEW,
  NODE,
  NOW,
  refusal,
  withBlog,
  type Bench,
} from '../../support/service.js';
import { BLOG, openFeed } from '../../support/stores.js';

const item = (id: string, ...payloads: readonly string[]) => ({ id, payloads });

const publish = ({ service }: Bench, node: string, items: readonly { id?: string; payloads: readonly string[] }[]) =>
  service.publish({ requester: ADMIN, node, items });

const held = async ({ service }: Bench, node: string) =>
  idsOf((await service.items({ requester: ADMIN, node, max: 100 })).items);

/** Everything that subscribers of all nodes are told, in order. */
const told = async ({ stores: { log } }: Bench) => {
  const lanes = Array.from({ length: log.partitions }, (_, partition) => log.read(partition, '0', 1_000));
  return (await Promise.all(lanes)).flat().map((record) => {
    if ('items' in record) return `${record.kind} ${record.items.join(' ')}`;
    return 'item' in record ? `${record.kind} ${record.item}` : record.kind;
  });
};

const withNode = async (config: Readonly<Record<string, string>> = {}) => {
  const one = bench();
  await one.create('musings', config);
  return one;
};

describe('who may publish', () => {
  // Publish model, affiliation, whether subscribed, whether allowed (XEP-0060 4.1, 17.4.4).
  it.each([
    ['publishers', 'none', false, false],
    ['publishers', 'none', true, false],
    ['publishers', 'member', true, false],
    ['publishers', 'publisher', false, true],
    ['publishers', 'publish-only', false, true],
    ['publishers', 'owner', false, true],
    ['publishers', 'outcast', false, false],
    ['subscribers', 'none', false, false],
    ['subscribers', 'none', true, true],
    ['subscribers', 'member', false, false],
    ['subscribers', 'publisher', false, true],
    ['subscribers', 'outcast', false, false],
    ['open', 'none', false, true],
    ['open', 'member', false, true],
    ['open', 'publish-only', false, true],
    ['open', 'outcast', false, false],
  ])('on a node for %s: %s, subscribed %s: %s', async (model, affiliation, isSubscribed, may) => {
    const one = await withNode({ publish_model: model });
    await one.affiliate('musings', BARE, affiliation);
    if (isSubscribed) await one.subscribe('musings');
    const asked = one.service.publish({ requester: `${BARE}/x`, node: 'musings', items: [item('1', '<a/>')] });
    if (may) expect(await asked).toEqual(['1']);
    else expect(await refusal(asked)).toBe('forbidden');
    expect(await held(one, 'musings')).toEqual(may ? ['1'] : []);
  });

  it('where subscribers may, is not who still waits for approval', async () => {
    const { service, subscribe } = await withNode({ publish_model: 'subscribers', access_model: 'authorize' });
    await subscribe('musings');
    const ask = { requester: BARE, node: 'musings', items: [item('1', '<a/>')] };
    expect(await refusal(service.publish(ask))).toBe('forbidden');
  });

  it.each(['none', 'member', 'publisher', 'publish-only', 'outcast'])(
    'on a feed’s node: not %s',
    async (affiliation) => {
      const one = await withBlog();
      await one.affiliate(NODE, BARE, affiliation);
      await one.service.subscribe({ requester: BARE, jid: BARE, node: NODE }).catch(() => undefined);
      const asked = one.service.publish({ requester: BARE, node: NODE, items: [item('1', '<entry/>')] });
      expect(await refusal(asked)).toBe('forbidden');
      expect(one.pushed).toEqual([]);
    },
  );

  it('on the firehose is nobody', async () => {
    const { service } = bench();
    for (const requester of [ADMIN, BARE]) {
      const asked = service.publish({ requester, node: FIREHOSE, items: [item('1', '<a/>')] });
      expect(await refusal(asked)).toBe('unsupported');
      await expect(asked).rejects.toMatchObject({ feature: 'publish' });
    }
  });
});

describe('what is published', () => {
  it('is held and told, as it is, with who it was', async () => {
    const one = await withNode();
    await one.service.publish({ requester: `${ADMIN}/desk`, node: 'musings', items: [item('1', "<a b='c'/>")] });
    const { items } = await one.service.items({ requester: BARE, node: 'musings' });
    expect(items).toEqual([{ id: '1', at: NOW, payload: "<a b='c'/>", publisher: ADMIN }]);
    expect(await told(one)).toEqual(['published 1']);
  });

  it('gets an id where it has none', async () => {
    const one = await withNode();
    const ids = await publish(one, 'musings', [{ payloads: ['<a/>'] }, { payloads: ['<b/>'] }]);
    expect(new Set(ids).size).toBe(2);
    expect(await held(one, 'musings')).toEqual(ids);
  });

  it('under an id that is there replaces it and is the newest', async () => {
    const one = await withNode();
    for (const id of ['1', '2', '1']) await one.publish('musings', id);
    expect(await held(one, 'musings')).toEqual(['2', '1']);
    expect(await told(one)).toEqual(['published 1', 'published 2', 'published 1']);
  });

  it('several together come in their order, each told by itself', async () => {
    const one = await withNode();
    expect(await publish(one, 'musings', [item('1', '<a/>'), item('2', '<b/>')])).toEqual(['1', '2']);
    expect(await held(one, 'musings')).toEqual(['1', '2']);
    expect(await told(one)).toEqual(['published 1', 'published 2']);
  });

  it.each([
    ['has two payloads', [item('2', '<a/>', '<b/>')], 'invalid-payload'],
    ['has no payload', [item('2')], 'payload-required'],
    ['is too large', [item('2', `<a>${'x'.repeat(49_152)}</a>`)], 'payload-too-big'],
    ['has an empty id', [item('', '<a/>')], 'bad-request'],
    ['has a long id', [item('x'.repeat(257), '<a/>')], 'bad-request'],
    ['has an id with a control character', [item('a\u0085b', '<a/>')], 'bad-request'],
  ])('is refused together when one of it %s', async (_, bad, code) => {
    const one = await withNode();
    expect(await refusal(publish(one, 'musings', [item('1', '<a/>'), ...bad]))).toBe(code);
    expect(await held(one, 'musings')).toEqual([]);
    expect(await told(one)).toEqual([]);
  });

  it('is measured in bytes, as the node is configured', async () => {
    const one = await withNode({ max_payload_size: '10' });
    await publish(one, 'musings', [item('1', '<a>äb</a>')]);
    expect(await refusal(publish(one, 'musings', [item('2', '<a>äbc</a>')]))).toBe('payload-too-big');
    expect(await refusal(publish(one, 'musings', [item('2', '<a>äöü</a>')]))).toBe('payload-too-big');
  });

  it('may be as much as the node keeps, and no more', async () => {
    const one = await withNode({ max_items: '2' });
    const three = ['1', '2', '3'].map((id) => item(id, '<a/>'));
    expect(await refusal(publish(one, 'musings', three))).toBe('too-many-items');
    await publish(one, 'musings', three.slice(0, 2));
    expect(await held(one, 'musings')).toEqual(['1', '2']);
  });

  it('takes the place of what is oldest, which subscribers are told after it', async () => {
    const one = await withNode({ max_items: '2' });
    for (const id of ['1', '2', '3']) await one.publish('musings', id);
    expect(await held(one, 'musings')).toEqual(['2', '3']);
    expect(await told(one)).toEqual(['published 1', 'published 2', 'published 3', 'retracted 1']);
  });

  it('takes its place in silence where the node does not tell of retractions', async () => {
    const one = await withNode({ max_items: '1', notify_retract: '0' });
    for (const id of ['1', '2']) await one.publish('musings', id);
    expect(await told(one)).toEqual(['published 1', 'published 2']);
  });
});

describe('an event', () => {
  // XEP-0060 4.3: persist_items, deliver_payloads, what is given, what comes of it.
  const NOTHING: never[] = [];
  const EMPTY = [item('1')];
  const FULL = [item('1', '<a/>')];
  it.each([
    ['persistent with payload', '1', '1', 'nothing', NOTHING, 'item-required'],
    ['persistent with payload', '1', '1', 'an empty item', EMPTY, 'payload-required'],
    ['persistent with payload', '1', '1', 'an item with payload', FULL, 'held'],
    ['persistent without payload', '1', '0', 'nothing', NOTHING, 'item-required'],
    ['persistent without payload', '1', '0', 'an empty item', EMPTY, 'held'],
    ['persistent without payload', '1', '0', 'an item with payload', FULL, 'held'],
    ['transient with payload', '0', '1', 'nothing', NOTHING, 'item-required'],
    ['transient with payload', '0', '1', 'an empty item', EMPTY, 'payload-required'],
    ['transient with payload', '0', '1', 'an item with payload', FULL, 'told'],
    ['transient without payload', '0', '0', 'nothing', NOTHING, 'an event'],
    ['transient without payload', '0', '0', 'an empty item', EMPTY, 'item-forbidden'],
    ['transient without payload', '0', '0', 'an item with payload', FULL, 'item-forbidden'],
  ])('that is %s (%s, %s), with %s', async (_, persist, payloads, __, items, outcome) => {
    const one = await withNode({ persist_items: persist, deliver_payloads: payloads });
    const asked = publish(one, 'musings', items);
    const stored = await asked.then(
      () => one.stores.items.page(ownNodeIdOf('musings'), { limit: 10 }),
      () => undefined,
    );
    switch (outcome) {
      case 'held':
        expect(await asked).toEqual(['1']);
        expect(await held(one, 'musings')).toEqual(['1']);
        expect(await told(one)).toEqual(['published 1']);
        break;
      case 'told':
      case 'an event':
        expect(await asked).toEqual(outcome === 'told' ? ['1'] : []);
        expect(stored?.count).toBe(0);
        expect(await told(one)).toEqual([outcome === 'told' ? 'published 1' : 'published ']);
        break;
      default:
        expect(await refusal(asked)).toBe(outcome);
        expect(await told(one)).toEqual([]);
    }
  });
});

describe('publishing on a feed’s node', () => {
  it('hands the entries over as if the feed had shown them, and tells their ids', async () => {
    const one = await withBlog();
    one.answers.push = { kind: 'committed', items: [itemId('x') as ItemId] };
    expect(await publish(one, BLOG, [item('mine', '<entry/>')])).toEqual([itemId('x')]);
    expect(one.pushed).toEqual([{ feed: ID, entries: ['<entry/>'] }]);
  });

  it.each([
    ['no entry', { kind: 'refused', text: 'That is no entry' }, 'invalid-payload'],
    ['nothing in time', undefined, 'unavailable'],
  ] as const)('is refused when what comes of it is %s', async (_, answer, code) => {
    const one = await withBlog();
    one.answers.push = answer;
    expect(await refusal(publish(one, NODE, [item('1', '<entry/>')]))).toBe(code);
  });

  it('needs a payload even where payloads are not sent', async () => {
    const one = await withBlog();
    await one.configure(NODE, { deliver_payloads: '0' });
    expect(await refusal(publish(one, NODE, [item('1')]))).toBe('payload-required');
    expect(one.pushed).toEqual([]);
  });
});

describe('publishing where nothing is', () => {
  it('makes a node for admins, with what they say of it', async () => {
    const one = bench();
    const options = form({ access_model: 'whitelist', title: 'Musings' });
    await one.service.publish({ requester: ADMIN, node: 'musings', items: [item('1', '<a/>')], options });
    const { node, owners } = await one.service.describe('musings', ADMIN);
    expect(node.config).toMatchObject({ accessModel: 'whitelist', title: 'Musings' });
    expect(owners).toEqual([ADMIN]);
    expect(await held(one, 'musings')).toEqual(['1']);
  });

  it.each([
    ['somebody else', BARE, 'musings', {}, 'node-not-found'],
    ['an admin, of a URL', ADMIN, NEW, {}, 'node-not-found'],
    ['an admin, with a name that is none', ADMIN, 'to be\u202eor not', {}, 'not-acceptable'],
    ['an admin, with a name that is too long', ADMIN, 'x'.repeat(201), {}, 'not-acceptable'],
    [
      'an admin, with a configuration that is none',
      ADMIN,
      'musings',
      { access_model: 'roster' },
      'unsupported-access-model',
    ],
    ['an admin, with a field that there is not', ADMIN, 'musings', { magic: '1' }, 'precondition-not-met'],
  ])('makes none for %s', async (_, requester, node, options, code) => {
    const one = bench();
    const asked = one.service.publish({ requester, node, items: [item('1', '<a/>')], options: form(options) });
    expect(await refusal(asked)).toBe(code);
    expect(one.looked).toEqual([]);
    expect(await one.stores.nodes.page({ limit: 10 })).toMatchObject({ count: 0 });
  });
});

describe('preconditions', () => {
  it.each([
    ['nothing', {}],
    ['what is so', { access_model: 'open', max_items: '20', title: '' }],
    ['what is so by another spelling', { persist_items: 'true' }],
  ])('that ask for %s are met', async (_, options) => {
    const one = await withNode();
    const ask = { requester: ADMIN, node: 'musings', items: [item('1', '<a/>')], options: form(options) };
    expect(await one.service.publish(ask)).toEqual(['1']);
  });

  it.each([
    ['what is not so', { access_model: 'whitelist' }],
    ['one thing that is so and one that is not', { access_model: 'open', persist_items: '0' }],
    ['what no node here can be', { access_model: 'roster' }],
    ['what is no value', { max_items: 'a few' }],
    ['what there is not', { magic: '1' }],
    ['what there is not, and empty', { magic: [] }],
  ])('that ask for %s are not met, and nothing is published', async (_, options) => {
    const one = await withNode();
    const ask = { requester: ADMIN, node: 'musings', items: [item('1', '<a/>')], options: form(options) };
    const asked = one.service.publish(ask);
    expect(await refusal(asked)).toBe('precondition-not-met');
    expect(await held(one, 'musings')).toEqual([]);
  });

  it('are no way to learn how a node is configured that one may not publish on', async () => {
    const one = await withNode({ title: 'secret' });
    const ask = { requester: BARE, node: 'musings', items: [item('1', '<a/>')], options: form({ title: 'secret' }) };
    expect(await refusal(one.service.publish(ask))).toBe('forbidden');
  });
});

describe('who may take items back', () => {
  const retract = (one: Bench, requester: string, node: string, ...ids: readonly string[]) =>
    one.service.retract({ requester, node, ids, notify: false });

  // On an open node with one item of the admin's and one of romeo's own: affiliation, what becomes of a request for his
  // own, for the admin's, for one that there is not.
  it.each([
    ['none', 'gone', 'forbidden', 'forbidden'],
    ['member', 'gone', 'forbidden', 'forbidden'],
    ['publish-only', 'gone', 'forbidden', 'forbidden'],
    ['publisher', 'gone', 'gone', 'item-not-found'],
    ['owner', 'gone', 'gone', 'item-not-found'],
    ['outcast', 'forbidden', 'forbidden', 'forbidden'],
  ])('%s: own items %s, those of others %s, none %s', async (affiliation, own, others, none) => {
    const one = await withNode({ publish_model: 'open' });
    await one.publish('musings', 'admin’s');
    await one.service.publish({ requester: `${BARE}/a`, node: 'musings', items: [item('own', '<a/>')] });
    await one.affiliate('musings', BARE, affiliation);
    for (const [id, outcome] of [
      ['none', none],
      ['admin’s', others],
      ['own', own],
    ] as const) {
      const asked = retract(one, `${BARE}/b`, 'musings', id);
      if (outcome === 'gone') await asked;
      else expect(await refusal(asked)).toBe(outcome);
      expect((await held(one, 'musings')).includes(id)).toBe(id !== 'none' && outcome !== 'gone');
    }
  });

  it('all at once or not at all', async () => {
    const one = await withNode();
    for (const id of ['1', '2', '3']) await one.publish('musings', id);
    expect(await refusal(retract(one, ADMIN, 'musings', '1', '9'))).toBe('item-not-found');
    expect(await held(one, 'musings')).toEqual(['1', '2', '3']);
    await retract(one, ADMIN, 'musings', '1', '3', '1');
    expect(await held(one, 'musings')).toEqual(['2']);
  });

  it('own items and those of others in one request: no', async () => {
    const one = await withNode({ publish_model: 'open' });
    await one.publish('musings', 'admin’s');
    await one.service.publish({ requester: BARE, node: 'musings', items: [item('own', '<a/>')] });
    expect(await refusal(retract(one, BARE, 'musings', 'own', 'admin’s'))).toBe('forbidden');
    expect(await held(one, 'musings')).toEqual(['admin’s', 'own']);
  });

  it('of a feed’s node are owners alone', async () => {
    const one = await withBlog();
    await one.affiliate(NODE, JULIET, 'publisher');
    for (const who of [BARE, JULIET]) expect(await refusal(retract(one, who, NODE, itemId('a')))).toBe('forbidden');
    await retract(one, ADMIN, NODE, itemId('a'));
    expect(await held(one, NODE)).toEqual(['b']);
  });

  it('of the firehose is nobody', async () => {
    const one = await withBlog();
    await openFeed(one.stores, NEW);
    expect(await refusal(retract(one, ADMIN, FIREHOSE, '000000000001'))).toBe('unsupported');
  });

  it('of a node that keeps none is nobody', async () => {
    const one = await withNode({ persist_items: '0' });
    const asked = retract(one, ADMIN, 'musings', '1');
    expect(await refusal(asked)).toBe('unsupported');
    await expect(asked).rejects.toMatchObject({ feature: 'persistent-items' });
  });
});

describe('that an item was taken back', () => {
  it.each([
    ['the node does so', '1', false, true],
    ['who takes it back wants it', '0', true, true],
    ['nobody wants it', '0', false, false],
  ])('is told when %s: %s, %s', async (_, configured, notify, isTold) => {
    const one = await withNode({ notify_retract: configured });
    await one.publish('musings', '1');
    await one.service.retract({ requester: ADMIN, node: 'musings', ids: ['1'], notify });
    expect((await told(one)).slice(1)).toEqual(isTold ? ['retracted 1'] : []);
  });
});
