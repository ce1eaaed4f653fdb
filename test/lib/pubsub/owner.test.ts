import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { feedIdOf, FIREHOSE, ownNodeIdOf, parseFeedUrl } from '../../../lib/domain.js';
import type { Notice } from '../../../lib/pubsub/subscriber.js';
import { subscriptionCursor } from '../../../lib/store/subscriptions.js';
import { createVault } from '../../../lib/vault.js';
import {
  ADMIN,
  BARE,
  bench,
  DAY_MS,
  form,
  ID,
  idsOf,
  JULIET,
  MALLORY,
  NEW,
  NODE,
  NOW,
  PAGE,
  refusal,
  ROMEO,
  withBlog,
  type Bench,
} from '../../support/service.js';
import { BLOG, collect } from '../../support/stores.js';

const NURSE = 'nurse@example.net';
const OWNER = 'capulet@example.net';

/** What subscribers of one node are told, in order. */
const told = async ({ stores: { log } }: Bench, id = ownNodeIdOf('musings')) =>
  (await log.read(log.partitionOf(id), '0', 1_000)).filter(({ feed }) => feed === id).map(({ kind }) => kind);

/** A node with an owner who is no admin, and two items. */
const withOwner = async (config: Readonly<Record<string, string>> = {}) => {
  const one = bench();
  await one.create('musings', config);
  await one.affiliate('musings', OWNER, 'owner');
  await one.publish('musings', '1');
  await one.publish('musings', '2');
  return one;
};

const brief = (notices: readonly Notice[]) =>
  notices.map((notice) => {
    switch (notice.kind) {
      case 'subscription':
        return `${notice.to} is ${notice.state}`;
      case 'affiliation':
        return `${notice.to} is ${notice.affiliation}`;
      case 'latest':
        return `${notice.held.subscription.jid} gets ${idsOf([notice.item]).join('')}`;
      case 'approval':
        return `${notice.to} is asked`;
    }
  });

const holders = async ({ stores }: Bench, id = ownNodeIdOf('musings')) =>
  (await collect(stores.subscriptions.ofFeed(id))).map(({ jid, state }) => `${jid} ${state}`);

const standing = async ({ service }: Bench, node = 'musings') =>
  (await service.affiliated(node, ADMIN)).entries.map(({ jid, affiliation }) => `${jid} ${affiliation}`);

describe('making a node', () => {
  it('gives it the name, the owner and the configuration that were asked for', async () => {
    const one = bench();
    const config = form({ title: 'Musings', access_model: 'authorize', max_items: 'max' });
    expect(await one.service.createNode({ requester: `${ADMIN}/desk`, node: 'musings', config })).toBe('musings');
    const node = await one.service.configuration('musings', ADMIN);
    expect(node).toMatchObject({
      kind: 'own',
      config: { title: 'Musings', accessModel: 'authorize', maxItems: 1_000 },
    });
    expect(node.record).toMatchObject({ created: NOW, creator: ADMIN });
    expect(await standing(one)).toEqual([`${ADMIN} owner`]);
  });

  it('without a name gives it one of its own, that works everywhere', async () => {
    const { service, publish } = bench();
    const [first, second] = [
      await service.createNode({ requester: ADMIN }),
      await service.createNode({ requester: ADMIN }),
    ];
    expect(first).not.toBe(second);
    await publish(first, '1');
    expect(idsOf((await service.items({ requester: BARE, node: first })).items)).toEqual(['1']);
    await service.deleteNode({ requester: ADMIN, node: first });
  });

  it.each([BARE, MALLORY, 'example.net'])('is not for %s', async (requester) => {
    const { service, looked } = bench();
    for (const node of ['musings', undefined, BLOG, NODE]) {
      expect(await refusal(service.createNode({ requester, ...(node && { node }) }))).toBe('forbidden');
    }
    expect(looked).toEqual([]);
  });

  it.each([
    ['its own node', 'musings'],
    ['the firehose', FIREHOSE],
    ['a feed', BLOG],
    ['a feed’s page', PAGE],
    ['a feed’s NodeID', NODE],
  ])('with the name of %s that is there is refused', async (_, node) => {
    const { service, create, stores } = await withBlog();
    await stores.aliases.add(PAGE, ID);
    await create('musings');
    expect(await refusal(service.createNode({ requester: ADMIN, node }))).toBe('conflict');
  });

  it.each([
    'princely_musings',
    'a',
    '/test/Pubnode123',
    'sinttest-Lm3-7',
    'princely_musings_Zm9v+YmFy=',
    'x'.repeat(200),
    'urn:xmpp:bookmarks:1',
    'news@example.net',
  ])('may be called %s', async (node) => {
    const { service, create } = bench();
    expect(await create(node)).toBe(node);
    expect((await service.directory({ page: { limit: 5 } })).entries.map(({ name }) => name)).toEqual([FIREHOSE, node]);
  });

  it.each([
    '',
    ' ',
    'a b',
    'tab\there',
    'line\nbreak',
    'right\u202eto left',
    'zero\u200bwidth',
    'nul\u0000',
    'Zürich',
    '<b>',
    "quote'",
    'a&b',
    'x'.repeat(201),
    '-dash',
    '.dot',
  ])('may not be called %j', async (node) => {
    const { service, stores } = bench();
    expect(await refusal(service.createNode({ requester: ADMIN, node }))).toBe('not-acceptable');
    expect(await stores.nodes.page({ limit: 5 })).toMatchObject({ count: 0 });
  });

  it('allows only names that every client can show', async () => {
    const { service } = bench();
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 300 }), async (node) => {
        fc.pre(!/^https?:/i.test(node));
        const name = await service.createNode({ requester: ADMIN, node }).catch(() => 'refused');
        expect(name).toMatch(/^[\x21-\x7e]{1,200}$/);
        expect(name).not.toMatch(/[<>&'"]/);
      }),
      { numRuns: 500 },
    );
  });

  it('of the feed at a URL looks at it, and configures what it finds', async () => {
    const { service, looked } = bench();
    const config = form({ title: 'Ours', max_items: '5' });
    const node = await service.createNode({ requester: ADMIN, node: NEW, config });
    expect(looked).toEqual([NEW]);
    expect(await service.configuration(node, ADMIN)).toMatchObject({
      ...{ id: feedIdOf(NEW), kind: 'feed', config: { title: 'Ours', maxItems: 5 } },
    });
  });

  it('of a feed, with a configuration that cannot be, makes none', async () => {
    const { service, looked, stores } = bench();
    const config = form({ max_items: '0' });
    expect(await refusal(service.createNode({ requester: ADMIN, node: NEW, config }))).toBe('not-acceptable');
    expect(looked).toEqual([]);
    expect(await stores.feeds.count()).toMatchObject({ feeds: 0 });
  });

  it.each([
    ['an access model that needs a roster', { access_model: 'roster' }, 'unsupported-access-model'],
    ['a collection', { node_type: 'collection' }, 'unsupported'],
    ['a place in a collection', { collection: 'blogs' }, 'unsupported'],
    ['what no field can take', { max_items: '-1' }, 'not-acceptable'],
    ['what is not done here', { purge_offline: '1' }, 'not-acceptable'],
  ])('with %s is refused', async (_, config, code) => {
    const { service, stores } = bench();
    const ask = { requester: ADMIN, node: 'musings', config: form(config) };
    expect(await refusal(service.createNode(ask))).toBe(code);
    expect(await stores.nodes.page({ limit: 5 })).toMatchObject({ count: 0 });
  });

  it('begins with what a node is when nobody says anything', async () => {
    const { service, create } = bench();
    await create('musings');
    expect((await service.configuration('musings', ADMIN)).config).toEqual(service.defaultNode().config);
  });
});

describe('what only owners may do', () => {
  const ACTIONS: readonly (readonly [string, (bench: Bench, requester: string, node: string) => Promise<unknown>])[] = [
    ['see the configuration', ({ service }, requester, node) => service.configuration(node, requester)],
    [
      'configure',
      ({ service }, requester, node) => service.configure({ requester, node, config: form({ title: 'x' }) }),
    ],
    ['purge', ({ service }, requester, node) => service.purge(node, requester)],
    ['see who is subscribed', ({ service }, requester, node) => service.subscribers(node, requester, { limit: 1 })],
    ['change subscriptions', ({ service }, requester, node) => service.changeSubscriptions(node, requester, [])],
    ['see affiliations', ({ service }, requester, node) => service.affiliated(node, requester)],
    ['change affiliations', ({ service }, requester, node) => service.changeAffiliations(node, requester, [])],
    ['delete', ({ service }, requester, node) => service.deleteNode({ requester, node })],
  ];

  it.each(ACTIONS)('%s', async (_, act) => {
    const one = await withOwner();
    await one.subscribe('musings', ROMEO);
    for (const affiliation of ['none', 'member', 'publisher', 'publish-only', 'outcast']) {
      await one.affiliate('musings', JULIET, affiliation);
      expect(await refusal(act(one, JULIET, 'musings'))).toBe('forbidden');
    }
    expect(await refusal(act(one, ROMEO, 'musings'))).toBe('forbidden');
    expect(await refusal(act(one, OWNER, 'nowhere'))).toBe('node-not-found');
    await act(one, `${OWNER}/x`, 'musings');
  });

  it.each(ACTIONS)('admins may on every node: %s', async (what, act) => {
    const one = await withBlog();
    const nodes = ['delete', 'purge'].includes(what) ? [NODE] : [NODE, FIREHOSE];
    for (const node of nodes) {
      expect(await refusal(act(one, JULIET, node))).toBe('forbidden');
      await act(one, ADMIN, node);
    }
  });

  it('nobody may delete or purge the firehose', async () => {
    const { service } = bench();
    expect(await refusal(service.deleteNode({ requester: ADMIN, node: FIREHOSE }))).toBe('not-allowed');
    expect(await refusal(service.purge(FIREHOSE, ADMIN))).toBe('not-allowed');
  });
});

describe('configuring', () => {
  it('changes what was submitted and nothing else', async () => {
    const { service, configure } = await withOwner({ title: 'Musings' });
    await configure('musings', { max_items: '5' });
    await configure('musings', { access_model: 'authorize' });
    expect((await service.configuration('musings', OWNER)).config).toMatchObject({
      ...{ title: 'Musings', maxItems: 5, accessModel: 'authorize' },
    });
  });

  it('takes nothing of a form that has something bad in it', async () => {
    const { service, configure } = await withOwner();
    expect(await refusal(configure('musings', { title: 'x', max_items: 'a few' }))).toBe('not-acceptable');
    expect((await service.configuration('musings', OWNER)).config.title).toBe('');
  });

  it('takes away what is more than is kept', async () => {
    const { service, configure } = await withOwner();
    await configure('musings', { max_items: '1' });
    expect(idsOf((await service.items({ requester: BARE, node: 'musings' })).items)).toEqual(['2']);
  });

  it('is told to subscribers where the node does so, this very change included', async () => {
    const one = await withOwner();
    await one.configure('musings', { title: 'a' });
    expect(await told(one)).not.toContain('configured');
    await one.configure('musings', { notify_config: '1' });
    await one.configure('musings', { title: 'b' });
    await one.configure('musings', { notify_config: '0' });
    expect((await told(one)).filter((kind) => kind === 'configured')).toHaveLength(2);
  });

  it('stores what differs from what the node is by itself', async () => {
    const { service, configure } = await withBlog();
    await configure(NODE, { title: BLOG, max_items: '20', language: 'it' });
    expect((await service.configuration(NODE, ADMIN)).record.config).toEqual({ language: 'it' });
  });

  it('does not touch what a kind of node has not', async () => {
    const { service, configure } = await withBlog();
    await configure(NODE, { publish_model: 'open', persist_items: '0' });
    expect((await service.configuration(NODE, ADMIN)).config).toMatchObject({
      ...{ publishModel: 'publishers', persistItems: true },
    });
    await configure(FIREHOSE, { max_items: '5', notify_delete: '0' });
    expect((await service.configuration(FIREHOSE, ADMIN)).record.config).toEqual({});
  });

  it('for members only ends the subscriptions of all others, and tells them', async () => {
    const one = await withOwner();
    for (const jid of [ROMEO, JULIET, NURSE, OWNER, ADMIN]) await one.subscribe('musings', jid);
    await one.affiliate('musings', JULIET, 'member');
    await one.affiliate('musings', NURSE, 'publisher');
    const notices = await one.configure('musings', { access_model: 'whitelist' });
    expect(brief(notices)).toEqual([`${ROMEO} is none`]);
    expect(await holders(one)).toEqual([ADMIN, OWNER, JULIET, NURSE].map((jid) => `${jid} subscribed`));
    expect(await one.configure('musings', { title: 'x' })).toEqual([]);
  });

  it('for everybody lets in who has waited', async () => {
    const one = await withOwner({ access_model: 'authorize' });
    await one.subscribe('musings', ROMEO);
    expect(brief(await one.configure('musings', { access_model: 'open' }))).toEqual([
      ...[`${ROMEO} is subscribed`, `${ROMEO} gets 2`],
    ]);
    expect(await holders(one)).toEqual([`${ROMEO} subscribed`]);
  });

  it('for whom owners approve leaves in who is in', async () => {
    const one = await withOwner();
    await one.subscribe('musings', ROMEO);
    expect(await one.configure('musings', { access_model: 'authorize' })).toEqual([]);
    expect(await holders(one)).toEqual([`${ROMEO} subscribed`]);
  });
});

describe('deleting', () => {
  it('leaves nothing for a node that is made with the same name', async () => {
    const one = await withOwner({ title: 'Musings' });
    await one.subscribe('musings');
    await one.service.deleteNode({ requester: OWNER, node: 'musings' });
    expect((await one.service.subscriptions(BARE)).count).toBe(0);
    await one.create('musings');
    expect(await one.service.configuration('musings', ADMIN)).toMatchObject({ config: { title: '' } });
    expect(await standing(one)).toEqual([`${ADMIN} owner`]);
    expect(await holders(one)).toEqual([]);
    expect((await one.service.items({ requester: BARE, node: 'musings' })).items).toEqual([]);
  });

  it.each([
    ['1', true],
    ['0', false],
  ])('is told to subscribers as the node is configured: %s', async (notify, announce) => {
    const { service, stores } = await withOwner({ notify_delete: notify });
    const uri = 'xmpp:pubsub.example.org?;node=musings';
    await service.deleteNode({ requester: OWNER, node: 'musings', uri });
    const partition = stores.log.partitionOf(ownNodeIdOf('musings'));
    const records = await stores.log.read(partition, '0', 10);
    expect(records.at(-1)).toMatchObject({ kind: 'deleted', announce, successor: { uri } });
  });

  it.each([
    '',
    'somewhere',
    'http://juliet:secret@blog.example/',
    'https://juliet@blog.example/',
    'xmpp:a b',
    'xmpp:a\u202eb',
    `xmpp:${'x'.repeat(2_048)}`,
  ])('to %j is refused', async (uri) => {
    const { service } = await withOwner();
    expect(await refusal(service.deleteNode({ requester: OWNER, node: 'musings', uri }))).toBe('bad-request');
    expect((await service.describe('musings', BARE)).node.name).toBe('musings');
  });
});

describe('purging', () => {
  it('takes all items away, and is told where retractions are', async () => {
    const one = await withOwner();
    await one.service.purge('musings', OWNER);
    expect((await one.service.items({ requester: BARE, node: 'musings' })).items).toEqual([]);
    await one.configure('musings', { notify_retract: '0' });
    await one.service.purge('musings', OWNER);
    expect((await told(one)).filter((kind) => kind === 'purged')).toHaveLength(1);
  });

  it('is refused where nothing is kept', async () => {
    const { service } = await withOwner({ persist_items: '0' });
    const asked = service.purge('musings', OWNER);
    expect(await refusal(asked)).toBe('unsupported');
    await expect(asked).rejects.toMatchObject({ feature: 'persistent-items' });
  });
});

describe('the subscriptions that owners see', () => {
  it('are all that are approved, ordered by JID, in pages', async () => {
    const one = await withOwner();
    for (const jid of [ROMEO, BARE, JULIET]) await one.subscribe('musings', jid);
    const all = await one.service.subscribers('musings', OWNER, { limit: 10 });
    expect(all.entries.map(({ jid }) => jid)).toEqual([JULIET, BARE, ROMEO]);
    const page = { limit: 1, after: subscriptionCursor(all.entries[0]!) };
    expect(await one.service.subscribers('musings', OWNER, page)).toMatchObject({
      ...{ entries: [{ jid: BARE }], index: 1, count: 3 },
    });
    const nowhere = one.service.subscribers('musings', OWNER, { limit: 1, after: 'x y' });
    expect(await refusal(nowhere)).toBe('item-not-found');
  });

  it('are without those that wait', async () => {
    const one = await withOwner({ access_model: 'authorize' });
    for (const jid of [ROMEO, JULIET]) await one.subscribe('musings', jid);
    await one.service.decide({ requester: OWNER, node: 'musings', jid: JULIET, allow: true });
    const page = { limit: 1 };
    expect(await one.service.subscribers('musings', OWNER, page)).toMatchObject({
      ...{ entries: [{ jid: JULIET }], count: 1 },
    });
  });
});

describe('changing subscriptions of others', () => {
  const change = (one: Bench, ...changes: readonly { jid: string; state: string; subid?: string }[]) =>
    one.service.changeSubscriptions('musings', OWNER, changes);

  it('subscribes and unsubscribes, and tells each of them', async () => {
    const one = await withOwner();
    await one.subscribe('musings', ROMEO);
    const { failed, notices } = await change(
      one,
      { jid: 'Juliet@example.net', state: 'subscribed' },
      { jid: ROMEO, state: 'none' },
    );
    expect(failed).toEqual([]);
    expect(brief(notices)).toEqual([`${JULIET} is subscribed`, `${JULIET} gets 2`, `${ROMEO} is none`]);
    expect(await holders(one)).toEqual([`${JULIET} subscribed`]);
  });

  it('lets in who waits, and lets wait who waits', async () => {
    const one = await withOwner({ access_model: 'authorize' });
    for (const jid of [ROMEO, JULIET]) await one.subscribe('musings', jid);
    const { failed, notices } = await change(
      one,
      { jid: ROMEO, state: 'subscribed' },
      { jid: JULIET, state: 'pending' },
    );
    expect(failed).toEqual([]);
    expect(brief(notices)).toEqual([`${ROMEO} is subscribed`, `${ROMEO} gets 2`]);
    expect(await holders(one)).toEqual([`${JULIET} pending`, `${ROMEO} subscribed`]);
  });

  it('that are so already changes nothing and tells nobody', async () => {
    const one = await withOwner();
    await one.subscribe('musings', ROMEO);
    expect(await change(one, { jid: ROMEO, state: 'subscribed' })).toEqual({ failed: [], notices: [] });
  });

  it('makes what can be, and says how the others still are', async () => {
    const one = await withOwner();
    const { subid } = (await one.subscribe('musings', ROMEO)).subscription;
    const { failed, notices } = await change(
      one,
      { jid: ROMEO, state: 'unconfigured', subid },
      { jid: NURSE, state: 'none' },
      { jid: '@', state: 'subscribed' },
      { jid: MALLORY, state: 'subscribed', subid: 'x' },
      { jid: JULIET, state: 'subscribed' },
      { jid: ROMEO, state: 'pending' },
    );
    expect(failed).toEqual([
      { jid: ROMEO, state: 'subscribed', subid },
      { jid: NURSE, state: 'none' },
      { jid: '@', state: 'none' },
      { jid: MALLORY, state: 'none', subid: 'x' },
      { jid: ROMEO, state: 'subscribed' },
    ]);
    expect(brief(notices)).toEqual([`${JULIET} is subscribed`, `${JULIET} gets 2`]);
    expect(await holders(one)).toEqual([`${JULIET} subscribed`, `${ROMEO} subscribed`]);
  });

  it('ends all of one JID, or the one that is named', async () => {
    const one = await withOwner();
    const subids = [];
    for (const digest of ['0', '1']) {
      const options = form({ digest });
      const ask = { requester: BARE, jid: BARE, node: 'musings', options };
      subids.push((await one.service.subscribe(ask)).subscription.subid);
    }
    await change(one, { jid: BARE, state: 'none', subid: subids[1]! });
    expect((await one.service.subscriptions(BARE)).entries).toMatchObject([{ subid: subids[0] }]);
    await one.service.subscribe({ requester: BARE, jid: BARE, node: 'musings', options: form({ digest: '1' }) });
    const { notices } = await change(one, { jid: BARE, state: 'none' });
    expect(notices).toHaveLength(2);
    expect(await holders(one)).toEqual([]);
  });
});

describe('changing affiliations', () => {
  const change = (one: Bench, ...changes: readonly { jid: string; affiliation: string }[]) =>
    one.service.changeAffiliations('musings', OWNER, changes);

  it('goes by the bare JID, and tells each of them', async () => {
    const one = await withOwner();
    const { failed, notices } = await change(one, { jid: 'Romeo@Example.net/x', affiliation: 'member' });
    expect(failed).toEqual([]);
    expect(notices).toEqual([{ kind: 'affiliation', to: BARE, node: 'musings', affiliation: 'member' }]);
    expect(await standing(one)).toEqual([`${ADMIN} owner`, `${OWNER} owner`, `${BARE} member`]);
    await change(one, { jid: BARE, affiliation: 'none' });
    expect(await standing(one)).toEqual([`${ADMIN} owner`, `${OWNER} owner`]);
  });

  it.each(['outcast', 'publish-only'])('to %s ends the subscriptions of every resource', async (affiliation) => {
    const one = await withOwner();
    for (const jid of [ROMEO, BARE, JULIET]) await one.subscribe('musings', jid);
    await one.subscribe(FIREHOSE, BARE);
    const { notices } = await change(one, { jid: BARE, affiliation });
    expect(brief(notices).sort()).toEqual([`${BARE} is ${affiliation}`, `${BARE} is none`, `${ROMEO} is none`].sort());
    expect(await holders(one)).toEqual([`${JULIET} subscribed`]);
    expect((await one.service.subscriptions(BARE)).count).toBe(1);
  });

  it('to none ends subscriptions only where members alone are let in', async () => {
    for (const [access, left] of [
      ['open', [`${BARE} subscribed`]],
      ['authorize', [`${BARE} subscribed`]],
      ['whitelist', []],
    ] as const) {
      const one = await withOwner({ access_model: access });
      await change(one, { jid: BARE, affiliation: 'member' });
      await one.subscribe('musings', BARE);
      await change(one, { jid: BARE, affiliation: 'none' });
      expect(await holders(one)).toEqual(left);
    }
  });

  it('to anything that lets in lets in who has waited', async () => {
    const one = await withOwner({ access_model: 'authorize' });
    await one.subscribe('musings', ROMEO);
    const { notices } = await change(one, { jid: BARE, affiliation: 'member' });
    expect(brief(notices)).toEqual([`${BARE} is member`, `${ROMEO} is subscribed`, `${ROMEO} gets 2`]);
    expect(await holders(one)).toEqual([`${ROMEO} subscribed`]);
  });

  it('makes what can be, and says how the others still are', async () => {
    const one = await withOwner();
    const { failed } = await change(
      one,
      { jid: JULIET, affiliation: 'emperor' },
      { jid: '@', affiliation: 'member' },
      { jid: OWNER, affiliation: '' },
      { jid: NURSE, affiliation: 'publisher' },
    );
    expect(failed).toEqual([
      { jid: JULIET, affiliation: 'none' },
      { jid: '@', affiliation: 'none' },
      { jid: OWNER, affiliation: 'owner' },
    ]);
    expect(await standing(one)).toEqual([`${ADMIN} owner`, `${OWNER} owner`, `${NURSE} publisher`]);
  });

  it('leaves an own node an owner: what counts is how it is in the end', async () => {
    const one = await withOwner();
    await change(one, { jid: ADMIN, affiliation: 'none' });
    const last = await change(one, { jid: OWNER, affiliation: 'none' }, { jid: JULIET, affiliation: 'member' });
    expect(last.failed).toEqual([{ jid: OWNER, affiliation: 'owner' }]);
    expect(await standing(one)).toEqual([`${OWNER} owner`, `${JULIET} member`]);

    const swapped = await change(one, { jid: OWNER, affiliation: 'none' }, { jid: JULIET, affiliation: 'owner' });
    expect(swapped.failed).toEqual([]);
    expect(await standing(one)).toEqual([`${JULIET} owner`]);
    expect(await refusal(one.service.affiliated('musings', OWNER))).toBe('forbidden');
  });

  it('takes the last owner from a feed or the firehose: they belong to the service', async () => {
    const one = await withBlog();
    for (const node of [NODE, FIREHOSE]) {
      await one.affiliate(node, JULIET, 'owner');
      const { failed } = await one.affiliate(node, JULIET, 'none');
      expect(failed).toEqual([]);
      expect(await standing(one, node)).toEqual([]);
    }
  });

  it('are listed by JID, in pages', async () => {
    const one = await withOwner();
    await change(one, { jid: JULIET, affiliation: 'member' }, { jid: BARE, affiliation: 'outcast' });
    expect(await one.service.affiliated('musings', OWNER, { limit: 2, after: OWNER })).toEqual({
      entries: [
        { jid: JULIET, affiliation: 'member' },
        { jid: BARE, affiliation: 'outcast' },
      ],
      ...{ index: 2, count: 4 },
    });
    const nowhere = one.service.affiliated('musings', OWNER, { limit: 1, before: NURSE });
    expect(await refusal(nowhere)).toBe('item-not-found');
  });
});

describe('whoever waits for approval', () => {
  const withWaiting = async () => {
    const one = await withOwner({ access_model: 'authorize' });
    const { subid } = (await one.subscribe('musings', ROMEO)).subscription;
    const ask = { requester: OWNER, node: 'musings', jid: ROMEO };
    return { ...one, subid, ask };
  };

  it('is let in by an owner, and gets the latest item', async () => {
    const one = await withWaiting();
    expect(brief(await one.service.decide({ ...one.ask, allow: true }))).toEqual([
      ...[`${ROMEO} is subscribed`, `${ROMEO} gets 2`],
    ]);
    expect(await holders(one)).toEqual([`${ROMEO} subscribed`]);
    expect(await one.service.pending(OWNER)).toEqual([]);
  });

  it('is turned away by an owner, and may ask again', async () => {
    const one = await withWaiting();
    expect(brief(await one.service.decide({ ...one.ask, allow: false }))).toEqual([`${ROMEO} is none`]);
    expect(await holders(one)).toEqual([]);
    expect((await one.subscribe('musings', ROMEO)).subscription.state).toBe('pending');
  });

  it('is decided about once, by owners, under its own name', async () => {
    const { service, ask, subid } = await withWaiting();
    const allow = true;
    expect(await refusal(service.decide({ ...ask, allow, requester: ROMEO }))).toBe('forbidden');
    expect(await refusal(service.decide({ ...ask, allow, jid: BARE }))).toBe('not-subscribed');
    expect(await refusal(service.decide({ ...ask, allow, subid: 'x' }))).toBe('not-subscribed');
    expect(await refusal(service.decide({ ...ask, allow, jid: '@' }))).toBe('invalid-jid');
    await service.decide({ ...ask, allow, subid });
    expect(await refusal(service.decide({ ...ask, allow: false }))).toBe('not-subscribed');
    expect((await service.subscriptions(BARE)).count).toBe(1);
  });

  it('is shown to owners, by node', async () => {
    const one = await withWaiting();
    await one.create('others', { access_model: 'authorize' });
    await one.subscribe('others', JULIET);
    await one.subscribe('musings', JULIET);
    const shown = async (requester: string) =>
      (await one.service.pending(requester)).map(({ node, waiting }) => [node.name, ...waiting.map(({ jid }) => jid)]);
    expect(await shown(OWNER)).toEqual([['musings', JULIET, ROMEO]]);
    expect(await shown(ADMIN)).toEqual(
      expect.arrayContaining([
        ['musings', JULIET, ROMEO],
        ['others', JULIET],
      ]),
    );
    expect(await shown(ROMEO)).toEqual([]);
  });
});

describe('a feed with credentials', () => {
  const SECRET_URL = 'https://juliet:canary@private.example/feed';
  const FEED = 'https://private.example/feed';
  const PRIVATE = feedIdOf(parseFeedUrl(FEED));
  const HEADERS = { 'hydrant#headers': ['X-Key: canary'] };
  const authorization = `Basic ${Buffer.from('juliet:canary').toString('base64')}`;

  const held = async ({ stores, vault }: Bench, id = ID) => vault.open((await stores.feeds.get(id))!);
  const access = async ({ service }: Bench, node: string = NODE) =>
    (await service.configuration(node, ADMIN)).config.accessModel;
  const shown = async ({ service }: Bench, node: string = NODE, jid = ADMIN) =>
    (await service.configuration(node, jid)).credentials;

  it('is made without a look at it, for its members, and out of the directory', async () => {
    const one = bench();
    const config = form({ ...HEADERS, title: 'Ours', access_model: 'open' });
    const node = await one.service.createNode({ requester: ADMIN, node: FEED, config });
    expect(one.looked).toEqual([]);
    expect(await held(one, PRIVATE)).toEqual({ 'x-key': 'canary' });
    expect(await one.stores.nodes.get(PRIVATE)).toMatchObject({ config: { title: 'Ours', accessModel: 'whitelist' } });
    expect((await one.service.directory({ page: { limit: 5 } })).entries.map(({ name }) => name)).toEqual([FIREHOSE]);
    expect(await one.stores.feeds.lease(1, DAY_MS)).toEqual([PRIVATE]);
    expect(await refusal(one.subscribe(FEED))).toBe('closed-node');
    await one.affiliate(node, JULIET, 'member');
    expect(await one.subscribe(FEED, JULIET)).toMatchObject({ subscription: { state: 'subscribed' } });
  });

  it('may be made of a URL that has them, which nobody sees again', async () => {
    const one = bench();
    const node = await one.service.createNode({ requester: ADMIN, node: SECRET_URL });
    expect(await held(one, PRIVATE)).toEqual({ authorization });
    const feed = await one.stores.feeds.get(PRIVATE);
    expect(feed?.url).toBe(FEED);
    expect(JSON.stringify([node, await one.service.configuration(node, ADMIN)])).not.toContain('canary');
    const more = form({ ...HEADERS, 'hydrant#authorization': 'romeo:x' });
    expect(await refusal(one.service.createNode({ requester: ADMIN, node: SECRET_URL, config: more }))).toBe(
      'conflict',
    );
    expect(await held(one, PRIVATE)).toEqual({ authorization });
  });

  it('has both kinds of them, of its URL and of its form', async () => {
    const one = bench();
    const config = form({ ...HEADERS, 'hydrant#authorization': '' });
    await one.service.createNode({ requester: ADMIN, node: SECRET_URL, config });
    expect(await held(one, PRIVATE)).toEqual({ authorization, 'x-key': 'canary' });
  });

  it('is not made by anybody else, nor by subscribing', async () => {
    const { service, looked, subscribe, stores } = bench();
    expect(await refusal(service.createNode({ requester: BARE, node: SECRET_URL }))).toBe('forbidden');
    for (const jid of [BARE, ADMIN]) expect(await refusal(subscribe(SECRET_URL, jid))).toBe('not-a-feed');
    expect(looked).toEqual([]);
    expect(await stores.feeds.get(PRIVATE)).toBeUndefined();
  });

  it('is not made where there is nothing to keep them in', async () => {
    const one = bench({}, createVault(undefined));
    const made = one.service.createNode({ requester: ADMIN, node: SECRET_URL });
    await expect(made).rejects.toThrow('Credentials need the setting CREDENTIALS_KEY, which is missing');
    expect(await one.stores.feeds.get(PRIVATE)).toBeUndefined();
  });

  it('is private as soon as it gets them, whatever the form says that brings them', async () => {
    const one = await withBlog();
    await one.affiliate(NODE, JULIET, 'member');
    await one.subscribe(NODE, BARE);
    await one.subscribe(NODE, JULIET);
    const notices = await one.service.configure({
      requester: ADMIN,
      node: NODE,
      config: form({ ...HEADERS, access_model: 'open' }),
    });
    expect(brief(notices)).toEqual([`${BARE} is none`]);
    expect(await access(one)).toBe('whitelist');
    expect(await held(one)).toEqual({ 'x-key': 'canary' });
    expect(await holders(one, ID)).toEqual([`${JULIET} subscribed`]);
    expect(await refusal(one.service.items({ requester: BARE, node: BLOG }))).toBe('closed-node');
    expect(await one.service.describe(BLOG, BARE)).toMatchObject({ isOpen: false });
  });

  it.each(['open', 'authorize'])(
    'cannot be made %s, by owners or admins, until they are gone',
    async (access_model) => {
      const one = await withBlog();
      await one.affiliate(NODE, OWNER, 'owner');
      await one.configure(NODE, { 'hydrant#authorization': 'juliet:canary' });
      for (const requester of [OWNER, ADMIN]) {
        const opened = one.service.configure({ requester, node: NODE, config: form({ access_model }) });
        await expect(opened).rejects.toThrow('pubsub#access_model must be whitelist: this feed has credentials');
      }
      expect(await access(one)).toBe('whitelist');
      await one.configure(NODE, { 'hydrant#authorization': '', access_model });
      expect(await access(one)).toBe(access_model);
      expect(await held(one)).toEqual({});
    },
  );

  it('stays for its members when it loses them, until an owner opens it', async () => {
    const one = await withBlog();
    await one.configure(NODE, { 'hydrant#authorization': 'juliet:canary' });
    await one.configure(NODE, { 'hydrant#authorization': '' });
    expect(await access(one)).toBe('whitelist');
    await one.configure(NODE, { access_model: 'open' });
    expect(await access(one)).toBe('open');
  });

  it('is private whatever else was written: two who configure it at once do not open it', async () => {
    const one = await withBlog();
    await one.configure(NODE, { 'hydrant#authorization': 'juliet:canary' });
    await one.stores.nodes.configure(ID, { accessModel: 'open' }, false);
    expect(await access(one)).toBe('whitelist');
    expect(await refusal(one.subscribe(BLOG))).toBe('closed-node');
  });

  it('keeps them when the form of an admin comes back as it was, and when an owner configures the rest', async () => {
    const one = await withBlog();
    await one.affiliate(NODE, OWNER, 'owner');
    await one.configure(NODE, { 'hydrant#authorization': 'juliet:canary' });
    const before = (await one.stores.feeds.get(ID))!;
    await one.configure(NODE, { 'hydrant#authorization': '********', 'hydrant#headers': '', title: 'Ours' });
    await one.service.configure({ requester: OWNER, node: NODE, config: form({ title: 'Theirs' }) });
    expect(await one.stores.feeds.get(ID)).toEqual(before);
    expect((await one.service.configuration(NODE, ADMIN)).config.title).toBe('Theirs');
  });

  it('shows admins, and nobody else, that there are some', async () => {
    const one = await withBlog();
    await one.affiliate(NODE, OWNER, 'owner');
    expect(await shown(one)).toEqual({ authorization: 'none', headers: 'none' });
    await one.configure(NODE, HEADERS);
    expect(await shown(one)).toEqual({ authorization: 'none', headers: 'set' });
    expect(await shown(one, NODE, OWNER)).toBeUndefined();
    await one.create('musings');
    expect(await shown(one, 'musings')).toBeUndefined();
  });

  it('gets none from owners: they are fields that their form does not have', async () => {
    const one = await withBlog();
    await one.affiliate(NODE, OWNER, 'owner');
    await one.service.configure({ requester: OWNER, node: NODE, config: form({ ...HEADERS, title: 'Theirs' }) });
    expect(await held(one)).toEqual({});
    await one.configure(NODE, { 'hydrant#authorization': 'juliet:canary' });
    await one.service.configure({ requester: OWNER, node: NODE, config: form({ 'hydrant#authorization': '' }) });
    expect(await held(one)).toEqual({ authorization });
  });

  it('is found by its own URL and its NodeID only', async () => {
    const one = await withBlog();
    await one.stores.aliases.add(PAGE, ID);
    expect((await one.service.describe(PAGE, BARE)).node.id).toBe(ID);
    await one.configure(NODE, { 'hydrant#authorization': 'juliet:canary' });
    expect(await refusal(one.service.describe(PAGE, ADMIN))).toBe('node-not-found');
    for (const name of [BLOG, NODE]) expect((await one.service.describe(name, ADMIN)).node.id).toBe(ID);
  });

  it('is the feed of its URL even before it was read, whatever else that URL has led to', async () => {
    const one = await withBlog();
    await one.stores.aliases.add(FEED, ID);
    const node = await one.service.createNode({ requester: ADMIN, node: SECRET_URL });
    expect((await one.service.describe(FEED, ADMIN)).node).toMatchObject({ id: PRIVATE, name: node });
  });
});
