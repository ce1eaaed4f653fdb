import { describe, expect, it } from '@jest/globals';
import {
  FIREHOSE,
  feedIdOf,
  itemIdOf,
  nodeIdOf,
  ownNodeIdOf,
  parseFeedUrl,
  type FeedId,
  type FeedUrl,
  type ItemId,
  type PageAsk,
} from '../../../lib/domain.js';
import type { ConfigOverrides } from '../../../lib/node-config.js';
import { createKeys } from '../../../lib/store/keys.js';
import type { TypeFilter } from '../../../lib/store/nodes.js';
import type { Stores } from '../../support/memory.js';
import {
  BLOG,
  collect,
  contract,
  entryOf,
  look,
  newest,
  openFeed,
  redisStores,
  subscriptionOf,
  throwawayRedis,
} from '../../support/stores.js';

const ID = feedIdOf(BLOG);
const NODE = ownNodeIdOf('news');
const [JULIET, ROMEO, NURSE] = ['juliet@example.com', 'romeo@example.net', 'nurse@example.com'];
const HOUR_MS = 3_600_000;
const [ATOM, CUSTOM, OTHER] = ['http://www.w3.org/2005/Atom', 'urn:example:custom', 'urn:example:other'];

const urls = (n: number): FeedUrl[] =>
  Array.from({ length: n }, (_, i) => parseFeedUrl(`https://site${i}.example/feed`));

const KEEP = { persist: true, keep: 1_000, announce: false };
const publish = ({ items }: Stores, id: string, node = NODE) =>
  items.publish(node, [{ id: id as ItemId, payload: `<${id}/>`, publisher: JULIET }], KEEP);

const only = (...types: string[]): TypeFilter => ({ types, usual: ATOM, isExcluding: false });
const allBut = (...types: string[]): TypeFilter => ({ types, usual: ATOM, isExcluding: true });

/** What the log says, without where. */
async function told({ log }: Stores) {
  const partitions = Array.from({ length: log.partitions }, (_, partition) => log.read(partition, '0', 10_000));
  return (await Promise.all(partitions)).flat().map(({ id: _, partition: __, ...record }) => record);
}

/** The ids of a part of the directory. */
async function listed({ nodes }: Stores, ask: PageAsk = { limit: 1_000 }, filter?: TypeFilter) {
  const page = await nodes.page(ask, filter);
  return page?.entries.map(({ id }) => id as FeedId);
}

contract((open) => {
  const withNode = async (config: ConfigOverrides = {}) => {
    const stores = await open();
    await stores.nodes.create('news', JULIET, config);
    return stores;
  };

  describe('a node', () => {
    it('without a feed has its name, who made it and when', async () => {
      const before = Date.now();
      const { nodes } = await withNode({ title: 'News' });
      const node = await nodes.get(NODE);
      expect(node).toEqual({
        kind: 'own',
        id: NODE,
        name: 'news',
        creator: JULIET,
        created: expect.any(Number),
        config: { title: 'News' },
      });
      const created = node?.kind === 'own' ? node.created : 0;
      expect(created).toBeGreaterThanOrEqual(before);
      expect(created).toBeLessThanOrEqual(Date.now());
    });

    it('of a feed has all that is known of the feed', async () => {
      const stores = await open();
      await stores.subscriptions.put(subscriptionOf(ID));
      await look(stores, BLOG, [entryOf('a')]);
      const feed = (await stores.feeds.get(ID))!;
      expect(await stores.nodes.get(ID)).toEqual({ kind: 'feed', id: ID, feed, config: {} });
      await stores.nodes.configure(ID, { title: 'A blog' }, false);
      expect(await stores.nodes.get(ID)).toEqual({ kind: 'feed', id: ID, feed, config: { title: 'A blog' } });
      expect(await stores.feeds.get(ID)).toEqual(feed);
    });

    it('is the firehose too, always', async () => {
      const { nodes } = await open();
      expect(await nodes.get(FIREHOSE)).toEqual({ kind: 'firehose', id: FIREHOSE, config: {} });
    });

    it('that was never made is not there', async () => {
      const { nodes } = await open();
      expect(await nodes.get(NODE)).toBeUndefined();
      expect(await nodes.get(ID)).toBeUndefined();
    });

    it('is made once, whoever tries', async () => {
      const { nodes } = await open();
      expect(await nodes.create('news', JULIET, { title: 'Hers' })).toBe(true);
      expect(await nodes.create('news', ROMEO, { title: 'His' })).toBe(false);
      expect(await nodes.get(NODE)).toMatchObject({ creator: JULIET, config: { title: 'Hers' } });
      expect(await nodes.create('News', ROMEO, {})).toBe(true);
    });

    it('without a feed is nothing to look at', async () => {
      const stores = await withNode();
      expect(await stores.feeds.get(NODE)).toBeUndefined();
      expect(await stores.feeds.lease(10, HOUR_MS)).toEqual([]);
      const feed = { id: NODE, url: BLOG, node: nodeIdOf(BLOG), version: 0, validators: {}, added: 0, failures: 0 };
      expect(await stores.feeds.commit({ feed, nextMs: 0, outcome: { kind: 'unchanged' } })).toBe('gone');
      expect(await stores.feeds.lease(10, HOUR_MS)).toEqual([]);
    });
  });

  describe('a configuration', () => {
    it('is replaced as a whole', async () => {
      const { nodes } = await withNode({ title: 'News', maxItems: 5 });
      const config = { description: 'All of it', contact: [JULIET], subscribe: false, type: '' };
      expect(await nodes.configure(NODE, config, false)).toBe(true);
      expect((await nodes.get(NODE))?.config).toEqual(config);
      expect(await nodes.configure(NODE, {}, false)).toBe(true);
      expect((await nodes.get(NODE))?.config).toEqual({});
    });

    it('of the firehose is kept too', async () => {
      const stores = await open();
      expect(await stores.nodes.configure(FIREHOSE, { title: 'All' }, true)).toBe(true);
      expect(await stores.nodes.get(FIREHOSE)).toMatchObject({ config: { title: 'All' } });
      expect(await told(stores)).toEqual([]);
    });

    it('is told of where somebody is to hear of it', async () => {
      const stores = await withNode();
      await stores.nodes.configure(NODE, { title: 'Quiet' }, false);
      expect(await told(stores)).toEqual([]);
      await stores.nodes.configure(NODE, { title: 'Loud' }, true);
      expect(await told(stores)).toEqual([{ kind: 'configured', feed: NODE }]);
    });

    it('needs a node', async () => {
      const stores = await open();
      expect(await stores.nodes.configure(NODE, { title: 'News' }, true)).toBe(false);
      expect(await stores.nodes.get(NODE)).toBeUndefined();
      expect(await told(stores)).toEqual([]);
      expect(await listed(stores)).toEqual([]);
    });

    it('with fewer items lets go of the oldest at once', async () => {
      const stores = await withNode();
      for (const id of ['a', 'b', 'a', 'c']) await publish(stores, id);
      await stores.nodes.configure(NODE, { maxItems: 2 }, false);
      expect((await newest(stores, NODE, 10)).map(({ id }) => id)).toEqual(['c', 'a']);
      await stores.nodes.configure(NODE, {}, false);
      expect(await newest(stores, NODE, 10)).toHaveLength(2);
    });
  });

  describe('what the vault keeps for a feed', () => {
    it('comes and goes with its configuration, and stays when nothing is said of it', async () => {
      const stores = await open();
      await stores.feeds.register(BLOG);
      const sealed = async () => (await stores.feeds.get(ID))?.sealed;
      expect(await sealed()).toBeUndefined();
      expect(await stores.nodes.configure(ID, { accessModel: 'whitelist' }, false, 'one')).toBe(true);
      expect(await stores.nodes.get(ID)).toMatchObject({
        ...{ config: { accessModel: 'whitelist' }, feed: { sealed: 'one' } },
      });
      await stores.nodes.configure(ID, { accessModel: 'whitelist' }, false, 'another');
      await stores.nodes.configure(ID, { title: 'Mine' }, false);
      expect(await sealed()).toBe('another');
      await stores.nodes.configure(ID, {}, false, '');
      expect(await sealed()).toBeUndefined();
    });

    it('keeps the feed out of the directory, however it is configured', async () => {
      const stores = await open();
      const other = feedIdOf(parseFeedUrl('https://private.example/feed'));
      await stores.feeds.register(BLOG);
      await stores.feeds.register(parseFeedUrl('https://private.example/feed'), 'sealed');
      expect((await stores.feeds.get(other))?.sealed).toBe('sealed');
      expect(await listed(stores)).toEqual([ID]);
      await stores.nodes.configure(other, { accessModel: 'open', type: CUSTOM }, false);
      await stores.nodes.configure(ID, { type: CUSTOM }, false, 'sealed');
      expect(await listed(stores)).toEqual([]);
      expect(await listed(stores, { limit: 10 }, only(CUSTOM))).toEqual([]);
      await stores.nodes.configure(other, {}, false, '');
      expect(await listed(stores)).toEqual([other]);
    });

    it('goes with the feed', async () => {
      const stores = await open();
      await stores.feeds.register(BLOG, 'sealed');
      await stores.nodes.delete(ID, { announce: false });
      await stores.feeds.register(BLOG);
      expect((await stores.feeds.get(ID))?.sealed).toBeUndefined();
      expect(await listed(stores)).toEqual([ID]);
    });

    it('has the feed looked at again when it changes; a look that knows only what was before is refused', async () => {
      const stores = await open();
      await stores.subscriptions.put(subscriptionOf(ID));
      await look(stores, BLOG, [entryOf('a')]);
      await stores.feeds.lease(1, HOUR_MS);
      const before = (await stores.feeds.get(ID))!;
      await stores.nodes.configure(ID, { title: 'Mine' }, false);
      expect(await stores.feeds.lease(1, HOUR_MS)).toEqual([]);
      await stores.nodes.configure(ID, { accessModel: 'whitelist' }, false, 'sealed');
      expect(await stores.feeds.commit({ feed: before, outcome: { kind: 'unchanged' } })).toBe('conflict');
      expect(await stores.feeds.lease(1, HOUR_MS)).toEqual([ID]);
    });
  });

  describe('a node that is deleted', () => {
    it('is gone with all that belongs to it, and so it is when it is made again', async () => {
      const config = { type: CUSTOM, itemExpire: 9, maxItems: 1 } as const;
      const stores = await withNode(config);
      await publish(stores, 'a');
      await stores.nodes.affiliate(NODE, JULIET, 'owner');
      await stores.subscriptions.put(subscriptionOf(NODE, ROMEO));
      const isGone = async () => {
        expect(await newest(stores, NODE, 10)).toEqual([]);
        expect(await stores.nodes.affiliations(NODE)).toEqual(new Map());
        expect(await stores.nodes.affiliation(NODE, JULIET)).toBeUndefined();
        expect(await stores.nodes.affiliationsOf(JULIET)).toEqual([]);
        expect(await stores.nodes.expiring(10)).toEqual([]);
        expect(await listed(stores, { limit: 10 }, only(CUSTOM))).toEqual([]);
        expect(await stores.subscriptions.countOfFeed(NODE)).toBe(0);
        expect(await stores.subscriptions.ofPerson(ROMEO)).toEqual([]);
      };
      expect(await stores.nodes.delete(NODE, { announce: true })).toBe(true);
      expect(await stores.nodes.get(NODE)).toBeUndefined();
      expect(await listed(stores)).toEqual([]);
      await isGone();
      expect(await stores.nodes.create('news', ROMEO, {})).toBe(true);
      expect(await stores.nodes.get(NODE)).toMatchObject({ creator: ROMEO, config: {} });
      await isGone();
    });

    it('that has a feed is looked at no more, and what a look still brings is refused', async () => {
      const stores = await open();
      await look(stores, BLOG, [entryOf('a')], 0);
      const feed = (await stores.feeds.get(ID))!;
      expect(await stores.nodes.delete(ID, { announce: false })).toBe(true);
      expect(await stores.feeds.get(ID)).toBeUndefined();
      expect(await stores.feeds.known(ID)).toEqual(new Map());
      expect(await stores.feeds.count()).toEqual({ feeds: 0, due: 0 });
      expect(await stores.feeds.commit({ feed, nextMs: 0, outcome: { kind: 'unchanged' } })).toBe('gone');
      expect(await stores.feeds.lease(10, HOUR_MS)).toEqual([]);
      expect(await stores.feeds.register(BLOG)).toBe(true);
      expect(await stores.feeds.get(ID)).toMatchObject({ version: 0 });
    });

    it('leaves its subscribers to the record that tells them', async () => {
      const stores = await withNode();
      const held = [JULIET, ROMEO].map((jid) => subscriptionOf(NODE, jid));
      for (const one of held) await stores.subscriptions.put(one);
      await stores.nodes.delete(NODE, { announce: true, successor: { uri: 'xmpp:example.com?;node=news' } });
      const [record, ...others] = await told(stores);
      expect(others).toEqual([]);
      expect(record).toEqual({
        kind: 'deleted',
        feed: NODE,
        announce: true,
        audience: expect.any(String),
        successor: { uri: 'xmpp:example.com?;node=news' },
      });
      if (record?.kind !== 'deleted') throw new Error('no such record');
      expect(await collect(stores.subscriptions.departed(record))).toEqual(held);
    });

    it('twice has left both its audiences', async () => {
      const stores = await open();
      for (const jid of [JULIET, ROMEO]) {
        await stores.nodes.create('news', JULIET, {});
        await stores.subscriptions.put(subscriptionOf(NODE, jid));
        await stores.nodes.delete(NODE, { announce: false });
      }
      const audiences = (await told(stores)).map(async (record) => {
        const pages = stores.subscriptions.departed(record as { feed: FeedId; audience: string });
        return (await collect(pages)).map(({ jid }) => jid);
      });
      expect(await Promise.all(audiences)).toEqual([[JULIET], [ROMEO]]);
    });

    it('was there', async () => {
      const stores = await withNode();
      expect(await stores.nodes.delete(ID, { announce: true, successor: { node: NODE } })).toBe(false);
      expect(await stores.nodes.successor(ID)).toBeUndefined();
      expect(await told(stores)).toEqual([]);
      expect(await stores.nodes.delete(NODE, { announce: true })).toBe(true);
      expect(await stores.nodes.delete(NODE, { announce: true })).toBe(false);
      expect(await told(stores)).toHaveLength(1);
    });

    it('takes nothing of another with it', async () => {
      const stores = await open();
      for (const name of ['news', 'other']) {
        const id = ownNodeIdOf(name);
        await stores.nodes.create(name, JULIET, { type: CUSTOM, itemExpire: 9 });
        await publish(stores, 'a', id);
        await stores.nodes.affiliate(id, JULIET, 'owner');
        await stores.subscriptions.put(subscriptionOf(id, ROMEO));
      }
      await stores.nodes.delete(NODE, { announce: true });
      const other = ownNodeIdOf('other');
      expect(await newest(stores, other, 10)).toHaveLength(1);
      expect(await stores.nodes.affiliationsOf(JULIET)).toEqual([{ id: other, affiliation: 'owner' }]);
      expect(await stores.subscriptions.ofPerson(ROMEO)).toEqual([subscriptionOf(other, ROMEO)]);
      expect(await listed(stores, { limit: 10 }, only(CUSTOM))).toEqual([other]);
      expect(await stores.nodes.expiring(10)).toEqual([{ id: other, seconds: 9 }]);
    });
  });

  describe('the successor of a node', () => {
    it.each([{ node: ID }, { uri: 'xmpp:example.com?;node=news' }])('is known: %j', async (successor) => {
      const { nodes } = await withNode();
      expect(await nodes.successor(NODE)).toBeUndefined();
      await nodes.delete(NODE, { announce: true, successor });
      expect(await nodes.successor(NODE)).toEqual(successor);
      expect(await nodes.successor(ID)).toBeUndefined();
    });

    it('is forgotten when the node is there again', async () => {
      const { nodes, feeds } = await withNode();
      await feeds.register(BLOG);
      await nodes.delete(NODE, { announce: true, successor: { node: ID } });
      await nodes.delete(ID, { announce: true, successor: { node: NODE } });
      await nodes.create('news', JULIET, {});
      expect(await nodes.successor(NODE)).toBeUndefined();
      expect(await nodes.successor(ID)).toEqual({ node: NODE });
      await feeds.register(BLOG);
      expect(await nodes.successor(ID)).toBeUndefined();
    });

    it('may be none after all', async () => {
      const { nodes } = await withNode();
      await nodes.delete(NODE, { announce: true, successor: { node: ID } });
      await nodes.create('news', JULIET, {});
      await nodes.delete(NODE, { announce: true });
      expect(await nodes.successor(NODE)).toBeUndefined();
    });
  });

  describe('the directory', () => {
    /** 23 feeds and 7 nodes without one; some are for members only, some have a type of their own. */
    const withMany = async () => {
      const stores = await open({ partitions: 5 });
      for (const url of urls(23)) await stores.feeds.register(url);
      for (let i = 0; i < 7; i++) await stores.nodes.create(`own ${i}`, JULIET, i % 3 === 0 ? { type: CUSTOM } : {});
      const ids = urls(23).map(feedIdOf);
      for (const id of ids.slice(0, 3)) await stores.nodes.configure(id, { type: CUSTOM }, false);
      await stores.nodes.configure(ids[3]!, { type: OTHER }, false);
      await stores.nodes.configure(ids[4]!, { type: ATOM }, false);
      await stores.nodes.configure(ids[5]!, { type: '' }, false);
      await stores.nodes.configure(ids[6]!, { accessModel: 'whitelist', type: CUSTOM }, false);
      await stores.nodes.configure(ids[7]!, { accessModel: 'whitelist' }, false);
      await stores.nodes.configure(ids[8]!, { accessModel: 'authorize' }, false);
      return stores;
    };
    const [feeds, owns] = [urls(23).map(feedIdOf), Array.from({ length: 7 }, (_, i) => ownNodeIdOf(`own ${i}`))];
    const custom = [...feeds.slice(0, 3), owns[0]!, owns[3]!, owns[6]!];
    const visible = [...feeds.filter((_, i) => i !== 6 && i !== 7), ...owns];
    const special = [...custom, feeds[3]!, feeds[5]!];
    const usual = visible.filter((id) => feeds.includes(id) && !special.includes(id));
    const without = [feeds[5]!, owns[1]!, owns[2]!, owns[4]!, owns[5]!];

    it.each<[string, TypeFilter | undefined, readonly FeedId[]]>([
      ['all', undefined, visible],
      ['feeds of the usual type', only(ATOM), usual],
      ['those of another type', only(CUSTOM), custom],
      ['those of either', only(ATOM, CUSTOM), [...usual, ...custom]],
      ['those of two other types', only(CUSTOM, OTHER), [...custom, feeds[3]!]],
      ['those without one', only(''), without],
      ['those of an unknown type', only('urn:example:none'), []],
      ['those of no type at all', only(), []],
      ['all but those of the usual type', allBut(ATOM), [...special, ...without.slice(1)]],
      ['all but those of another type', allBut(CUSTOM), visible.filter((id) => !custom.includes(id))],
      ['all but those of either', allBut(ATOM, CUSTOM), [feeds[3]!, ...without]],
      ['all but those without one', allBut(''), visible.filter((id) => !without.includes(id))],
      ['all but none', allBut(), visible],
    ])('has %s, in an order that stays, and every page of it', async (_, filter, expected) => {
      const stores = await withMany();
      const all = (await listed(stores, { limit: 1_000 }, filter))!;
      expect([...all].sort()).toEqual([...expected].sort());
      expect(await listed(stores, { limit: 1_000 }, filter)).toEqual(all);
      const check = async (ask: PageAsk, start: number, stop: number) => {
        const page = (await stores.nodes.page(ask, filter))!;
        expect({ ask, index: page.index, count: page.count }).toEqual({ ask, index: start, count: all.length });
        expect(page.entries.map(({ id }) => id)).toEqual(all.slice(start, stop));
      };
      for (const limit of [0, 1, 7, 100]) {
        await check({ limit }, 0, Math.min(limit, all.length));
        await check({ limit, before: '' }, Math.max(0, all.length - limit), all.length);
        for (const [i, id] of all.entries()) {
          await check({ limit, after: id }, i + 1, Math.min(i + 1 + limit, all.length));
          await check({ limit, before: id }, Math.max(0, i - limit), i);
        }
      }
    });

    it('gives whole nodes', async () => {
      const stores = await withMany();
      const page = await stores.nodes.page({ limit: 1_000 });
      expect(page?.entries.filter(({ kind }) => kind === 'own')).toHaveLength(7);
      for (const node of page!.entries) expect(node).toEqual(await stores.nodes.get(node.id));
    });

    it('goes on where a node was that has gone meanwhile, or may no longer be seen', async () => {
      const stores = await withMany();
      const all = (await listed(stores))!;
      const [deleted, hidden] = [all[10]!, all[20]!];
      await stores.nodes.delete(deleted, { announce: false });
      await stores.nodes.configure(hidden, { accessModel: 'whitelist' }, false);
      const page = (ask: PageAsk) => listed(stores, ask);
      expect(await page({ limit: 2, after: deleted })).toEqual(all.slice(11, 13));
      expect(await page({ limit: 2, before: deleted })).toEqual(all.slice(8, 10));
      expect(await page({ limit: 2, after: hidden })).toEqual(all.slice(21, 23));
      expect(await page({ limit: 2, before: hidden })).toEqual(all.slice(18, 20));
      expect(await stores.nodes.page({ limit: 1, after: hidden })).toMatchObject({ index: 19, count: all.length - 2 });
    });

    it.each(['', 'nonsense', 'aaaaaaaaa', 'aaaaaaaaaaa', 'aaaaaaaaa1', 'AAAAAAAAAA', 'firehose', '(aaaaaaaaa'])(
      'has no page after %j, which is no FeedId',
      async (after) => {
        const { nodes } = await withMany();
        expect(await nodes.page({ limit: 1, after })).toBeUndefined();
        if (after) expect(await nodes.page({ limit: 1, before: after })).toBeUndefined();
      },
    );

    it('shows a node again when everybody may see it again', async () => {
      const stores = await withNode({ accessModel: 'whitelist', type: CUSTOM });
      const ofType = () => listed(stores, { limit: 10 }, only(CUSTOM));
      expect([await listed(stores), await ofType()]).toEqual([[], []]);
      await stores.nodes.configure(NODE, { type: CUSTOM }, false);
      expect([await listed(stores), await ofType()]).toEqual([[NODE], [NODE]]);
      await stores.nodes.configure(NODE, {}, false);
      expect([await listed(stores), await ofType()]).toEqual([[NODE], []]);
      await stores.nodes.configure(NODE, { accessModel: 'whitelist', type: CUSTOM }, false);
      expect([await listed(stores), await ofType()]).toEqual([[], []]);
      await openFeed(stores);
      expect(await listed(stores)).toEqual([ID]);
    });

    it('is empty at the beginning', async () => {
      const { nodes } = await open();
      const empty = { entries: [], index: 0, count: 0 };
      expect(await nodes.page({ limit: 10 })).toEqual(empty);
      expect(await nodes.page({ limit: 10, before: '' })).toEqual(empty);
      expect(await nodes.page({ limit: 10, after: ID }, only(ATOM))).toEqual(empty);
    });
  });

  describe('affiliations', () => {
    it('are seen from both sides', async () => {
      const { nodes, feeds } = await withNode();
      await feeds.register(BLOG);
      await nodes.affiliate(NODE, ROMEO, 'publisher');
      await nodes.affiliate(NODE, JULIET, 'owner');
      await nodes.affiliate(ID, JULIET, 'member');
      await nodes.affiliate(FIREHOSE, JULIET, 'outcast');
      expect([...(await nodes.affiliations(NODE))]).toEqual([
        [JULIET, 'owner'],
        [ROMEO, 'publisher'],
      ]);
      expect(await nodes.affiliations(FIREHOSE)).toEqual(new Map([[JULIET, 'outcast']]));
      const hers = await nodes.affiliationsOf(JULIET);
      expect(hers).toHaveLength(3);
      expect(hers).toEqual(
        expect.arrayContaining([
          { id: NODE, affiliation: 'owner' },
          { id: ID, affiliation: 'member' },
          { id: FIREHOSE, affiliation: 'outcast' },
        ]),
      );
      expect(await nodes.affiliation(NODE, ROMEO)).toBe('publisher');
      expect(await nodes.affiliation(FIREHOSE, JULIET)).toBe('outcast');
    });

    it('are one for each person and node; a later one replaces it', async () => {
      const { nodes } = await withNode();
      await nodes.affiliate(NODE, JULIET, 'member');
      await nodes.affiliate(NODE, JULIET, 'publish-only');
      expect(await nodes.affiliations(NODE)).toEqual(new Map([[JULIET, 'publish-only']]));
      expect(await nodes.affiliationsOf(JULIET)).toEqual([{ id: NODE, affiliation: 'publish-only' }]);
    });

    it('end', async () => {
      const { nodes } = await withNode();
      await nodes.affiliate(NODE, JULIET, 'owner');
      await nodes.affiliate(NODE, ROMEO, 'member');
      await nodes.affiliate(NODE, JULIET, undefined);
      await nodes.affiliate(NODE, NURSE, undefined);
      expect(await nodes.affiliation(NODE, JULIET)).toBeUndefined();
      expect(await nodes.affiliationsOf(JULIET)).toEqual([]);
      expect(await nodes.affiliations(NODE)).toEqual(new Map([[ROMEO, 'member']]));
    });

    it('are none with a node that is not there', async () => {
      const { nodes } = await open();
      await nodes.affiliate(NODE, JULIET, 'owner');
      await nodes.create('news', ROMEO, {});
      expect(await nodes.affiliations(NODE)).toEqual(new Map());
      expect(await nodes.affiliationsOf(JULIET)).toEqual([]);
    });
  });

  describe('nodes whose items expire', () => {
    it('are to be looked through at once, and then not for a while', async () => {
      const { nodes, feeds } = await withNode({ itemExpire: 120 });
      await feeds.register(BLOG);
      await nodes.configure(ID, { itemExpire: 3_600 }, false);
      const due = await nodes.expiring(10);
      expect(due).toHaveLength(2);
      expect(due).toEqual(
        expect.arrayContaining([
          { id: NODE, seconds: 120 },
          { id: ID, seconds: 3_600 },
        ]),
      );
      expect(await nodes.expiring(10)).toEqual([]);
    });

    it('are so many at a time, and all in the end', async () => {
      const { nodes } = await open();
      const names = Array.from({ length: 20 }, (_, i) => `node ${i}`);
      for (const name of names) await nodes.create(name, JULIET, { itemExpire: 3_600 });
      const taken = [await nodes.expiring(7), await nodes.expiring(7), await nodes.expiring(7)];
      expect(taken.map((some) => some.length)).toEqual([7, 7, 6]);
      const ids = taken.flat().map(({ id }) => id);
      expect(ids.sort()).toEqual(names.map(ownNodeIdOf).sort());
    });

    it('are only those that were configured so', async () => {
      const { nodes } = await withNode();
      expect(await nodes.expiring(10)).toEqual([]);
      await nodes.configure(NODE, { itemExpire: 60 }, false);
      await nodes.configure(NODE, { maxItems: 3 }, false);
      await nodes.configure(FIREHOSE, { title: 'All' }, false);
      expect(await nodes.expiring(10)).toEqual([]);
    });
  });
});

describe('in Redis alone', () => {
  const redis = throwawayRedis();
  const openStores = async () => {
    const client = await redis.connect();
    await client.flushall();
    return { client, stores: redisStores(client, client) };
  };

  it('a deleted node leaves no key but the log, and its subscribers until they are forgotten', async () => {
    const { client, stores } = await openStores();
    const { nodes, feeds, items, pictures, subscriptions } = stores;
    // A neighbour in the same partition, so that what is shared is there before and after.
    const keys = createKeys(4);
    const neighbour = Array.from({ length: 100 }, (_, i) => `neighbour ${i}`).find(
      (name) => keys.partitionOf(ownNodeIdOf(name)) === keys.partitionOf(ID),
    )!;
    await nodes.create(neighbour, JULIET, {});
    await publish(stores, 'a', ownNodeIdOf(neighbour));
    const before = (await client.keys('*')).sort();

    const config = { maxItems: 5, itemExpire: 60, type: CUSTOM, accessModel: 'open' } as const;
    await openFeed(stores);
    await nodes.configure(ID, config, true);
    await look(stores, BLOG, [entryOf('a'), entryOf('b')]);
    await look(stores, BLOG, [entryOf('a', 'better')]);
    await feeds.ping(ID, HOUR_MS);
    await pictures.put(ID, 'none', HOUR_MS);
    await nodes.affiliate(ID, JULIET, 'owner');
    await nodes.configure(ID, { ...config, accessModel: 'whitelist' }, true);
    await nodes.configure(ID, config, true);
    await items.retract(ID, [itemIdOf(ID, 'b')], true);
    await subscriptions.put(subscriptionOf(ID, ROMEO, { options: { expire: Date.now() + HOUR_MS } }));
    expect((await client.keys('*')).length).toBeGreaterThan(before.length + 10);

    expect(await nodes.delete(ID, { announce: true })).toBe(true);
    const record = (await stores.log.read(keys.partitionOf(ID), '0', 100)).at(-1);
    if (record?.kind !== 'deleted') throw new Error('no such record');
    const left = (await client.keys('*')).filter((key) => key.includes(ID));
    expect(left).toEqual([keys.departed(ID, record.audience)]);
    await subscriptions.forget(record);
    expect((await client.keys('*')).sort()).toEqual(before);
  });

  it('a successor is all that a deleted node leaves besides, and a node without a feed leaves no more', async () => {
    const { client, stores } = await openStores();
    const keys = createKeys(4);
    const partition = keys.partitionOf(NODE);
    await stores.nodes.create('news', JULIET, { itemExpire: 60, type: CUSTOM });
    await publish(stores, 'a');
    await publish(stores, 'a');
    await stores.nodes.affiliate(NODE, JULIET, 'owner');
    await stores.nodes.delete(NODE, { announce: false, successor: { node: ID } });
    expect((await client.keys('*')).sort()).toEqual([keys.log(partition), keys.moved(partition)].sort());
    await stores.nodes.create('news', JULIET, { accessModel: 'whitelist' });
    await stores.nodes.delete(NODE, { announce: false });
    expect(await client.keys('*')).toEqual([keys.log(partition)]);
  });

  it('a page of a large directory reads no more nodes than it has', async () => {
    const { client, stores } = await openStores();
    const all = urls(500);
    for (const url of all) await stores.feeds.register(url);
    for (const url of all.slice(0, 5)) await stores.nodes.configure(feedIdOf(url), { type: CUSTOM }, false);
    const filters = [undefined, only(ATOM), only(CUSTOM)];
    for (const filter of filters) {
      await client.config('RESETSTAT');
      const page = await stores.nodes.page({ limit: 3, after: 'maaaaaaaaa' }, filter);
      const stats = await client.info('commandstats');
      const read = Number(/cmdstat_hgetall:calls=(\d+)/.exec(stats)?.[1] ?? 0);
      // The types of each partition are read as a whole: they are few.
      expect(read).toBe(page!.entries.length + (filter ? stores.log.partitions : 0));
      expect(page!.count).toBe(filter ? (filter.types.includes(ATOM) ? 495 : 5) : 500);
    }
  });

  it('a node is looked through again in a minute, or after half of the time that its items have', async () => {
    const { client, stores } = await openStores();
    const keys = createKeys(4);
    for (const seconds of [1, 2, 20, 120, 121, 100_000]) {
      await stores.nodes.create(`${seconds}`, JULIET, { itemExpire: seconds });
    }
    const before = Date.now();
    expect(await stores.nodes.expiring(10)).toHaveLength(6);
    const after = Date.now();
    const waits = { 1: 1_000, 2: 1_000, 20: 10_000, 120: 60_000, 121: 60_000, 100_000: 60_000 };
    for (const [name, wait] of Object.entries(waits)) {
      const id = ownNodeIdOf(name);
      const again = Number(await client.zscore(keys.expiring(keys.partitionOf(id)), id));
      expect(again).toBeGreaterThanOrEqual(before + wait);
      expect(again).toBeLessThanOrEqual(after + wait);
    }
  });

  it('someone who is affiliated while the node is deleted is on no list', async () => {
    const { client, stores } = await openStores();
    await stores.nodes.create('news', JULIET, {});
    await Promise.all([
      stores.nodes.delete(NODE, { announce: true }),
      ...[JULIET, ROMEO, NURSE].map((jid) => stores.nodes.affiliate(NODE, jid, 'member')),
    ]);
    await stores.nodes.create('news', JULIET, {});
    expect(await stores.nodes.affiliations(NODE)).toEqual(new Map());
    expect(await client.keys('*affiliations*')).toEqual([]);
  });
});
