import { describe, expect, it, jest } from '@jest/globals';
import { feedIdOf, FIREHOSE, ownNodeIdOf, parseFeedUrl, type PageAsk, type Subscription } from '../../../lib/domain.js';
import { createKeys } from '../../../lib/store/keys.js';
import { subscriptionCursor } from '../../../lib/store/subscriptions.js';
import { BLOG, collect, contract, redisStores, throwawayRedis } from '../../support/stores.js';

const FEED = feedIdOf(BLOG);
const OTHER = feedIdOf(parseFeedUrl('https://other.example/'));
const ROMEO: Subscription = {
  feed: FEED,
  jid: 'romeo@example.net/orchard wall',
  subid: 'balcony',
  node: BLOG,
  since: 1,
  state: 'subscribed',
  options: {},
};
const HOUR_MS = 3_600_000;

const keyOf = ({ feed, jid, subid }: Subscription) => ({ feed, jid, subid });
const subid = (n: number) => `s${String(n).padStart(4, '0')}`;

contract((open) => {
  describe('a subscription', () => {
    it('is added once', async () => {
      const { subscriptions } = await open();
      expect(await subscriptions.put(ROMEO)).toBe(true);
      expect(await subscriptions.put(ROMEO)).toBe(false);
      expect(await subscriptions.countOfFeed(FEED)).toBe(1);
    });

    it('replaces one with the same node, JID and SubID', async () => {
      const { subscriptions } = await open();
      await subscriptions.put(ROMEO);
      const renamed = { ...ROMEO, node: 'https://blog.example/', since: 2 };
      expect(await subscriptions.put(renamed)).toBe(false);
      expect(await subscriptions.get(ROMEO)).toEqual(renamed);
      expect(await collect(subscriptions.ofFeed(FEED))).toEqual([renamed]);
      expect(await subscriptions.ofPerson(ROMEO.jid)).toEqual([renamed]);
      expect(await subscriptions.countOfPerson(ROMEO.jid)).toBe(1);
    });

    it('is removed from both sides, and says when there was nothing to remove', async () => {
      const { subscriptions } = await open();
      await subscriptions.put(ROMEO);
      expect(await subscriptions.remove(ROMEO)).toBe(true);
      expect(await subscriptions.remove(ROMEO)).toBe(false);
      expect(await subscriptions.get(ROMEO)).toBeUndefined();
      expect(await subscriptions.ofPerson(ROMEO.jid)).toEqual([]);
      expect(await collect(subscriptions.ofFeed(FEED))).toEqual([]);
      expect(await subscriptions.countOfFeed(FEED)).toBe(0);
      expect(await subscriptions.countOfPerson(ROMEO.jid)).toBe(0);
    });

    it('knows that it is that of a room', async () => {
      const { subscriptions } = await open();
      const room: Subscription = { ...ROMEO, jid: 'verona@rooms.example.net', room: true };
      await subscriptions.put(room);
      expect(await subscriptions.get(room)).toEqual(room);
      expect(await subscriptions.ofPerson(room.jid)).toEqual([room]);
    });

    it('keeps every word of its options, and whether it is pending', async () => {
      const { subscriptions } = await open();
      const waiting: Subscription = {
        ...ROMEO,
        state: 'pending',
        options: {
          deliver: false,
          showValues: ['chat', 'dnd'],
          expire: 'presence',
          filter: 'a "b" \\ \u0000 ü',
          dailyLimit: 0,
        },
      };
      await subscriptions.put(waiting);
      expect(await subscriptions.get(ROMEO)).toEqual(waiting);
      expect(await collect(subscriptions.ofFeed(FEED))).toEqual([waiting]);
      const approved: Subscription = { ...waiting, state: 'subscribed', options: { payload: false } };
      expect(await subscriptions.put(approved)).toBe(false);
      expect(await subscriptions.get(ROMEO)).toEqual(approved);
      await subscriptions.put(ROMEO);
      expect(await subscriptions.get(ROMEO)).toEqual(ROMEO);
    });

    it('to the firehose is one like any other', async () => {
      const { subscriptions } = await open();
      const drinking: Subscription = { ...ROMEO, feed: FIREHOSE, node: FIREHOSE };
      await subscriptions.put(drinking);
      expect(await collect(subscriptions.ofFeed(FIREHOSE))).toEqual([drinking]);
      expect(await collect(subscriptions.ofFeed(FEED))).toEqual([]);
      expect(await subscriptions.ofPerson(ROMEO.jid)).toEqual([drinking]);
    });
  });

  describe('one JID', () => {
    const third = { ...ROMEO, subid: 'a', since: 3 };
    const second = { ...ROMEO, subid: 'balcony2', since: 2, options: { deliver: false } };
    const elsewhere = { ...ROMEO, feed: OTHER };
    const byPhone = { ...ROMEO, jid: `${ROMEO.jid}/phone` };
    const all = [third, byPhone, second, elsewhere, ROMEO];

    it('holds several on a node, told apart by their SubIDs, the oldest first', async () => {
      const { subscriptions } = await open();
      for (const one of all) expect(await subscriptions.put(one)).toBe(true);
      expect(await subscriptions.ofJid(FEED, ROMEO.jid)).toEqual([ROMEO, second, third]);
      expect(await subscriptions.ofJid(OTHER, ROMEO.jid)).toEqual([elsewhere]);
      expect(await subscriptions.ofJid(FEED, 'romeo@example.net')).toEqual([]);
      expect(await subscriptions.ofPerson(ROMEO.jid)).toHaveLength(5);
      expect(await subscriptions.countOfPerson(ROMEO.jid)).toBe(5);
      expect(await subscriptions.countOfFeed(FEED)).toBe(4);
    });

    it('changes and ends one of them without touching the others', async () => {
      const { subscriptions } = await open();
      for (const one of all) await subscriptions.put(one);
      const changed = { ...ROMEO, options: { digest: true } };
      expect(await subscriptions.put(changed)).toBe(false);
      expect(await subscriptions.ofJid(FEED, ROMEO.jid)).toEqual([changed, second, third]);
      expect(await subscriptions.remove(second)).toBe(true);
      expect(await subscriptions.ofJid(FEED, ROMEO.jid)).toEqual([changed, third]);
      expect(await subscriptions.get(second)).toBeUndefined();
      expect(await subscriptions.remove({ ...ROMEO, subid: '' })).toBe(false);
      expect(await subscriptions.get({ ...ROMEO, subid: 'balco' })).toBeUndefined();
      expect(await subscriptions.countOfPerson(ROMEO.jid)).toBe(4);
    });
  });

  describe('one person', () => {
    it('holds what any of their resources holds, the oldest first', async () => {
      const { subscriptions } = await open();
      const phone = { ...ROMEO, jid: 'romeo@example.net/phone', since: 2 };
      const bare = { ...ROMEO, feed: OTHER, jid: 'romeo@example.net', node: 'https://other.example/', since: 3 };
      for (const one of [phone, bare, ROMEO]) await subscriptions.put(one);
      expect(await subscriptions.ofPerson('Romeo@EXAMPLE.net/balcony')).toEqual([ROMEO, phone, bare]);
      expect(await subscriptions.countOfPerson('romeo@example.net')).toBe(3);
    });

    it('holds nothing of others', async () => {
      const { subscriptions } = await open();
      for (const jid of ['romeo@example.net', 'romeo@example.net.example', 'xromeo@example.net', 'example.net']) {
        await subscriptions.put({ ...ROMEO, jid });
      }
      expect((await subscriptions.ofPerson('romeo@example.net')).map(({ jid }) => jid)).toEqual(['romeo@example.net']);
      expect(await subscriptions.countOfPerson('juliet@example.net')).toBe(0);
    });
  });

  describe('JIDs that look alike', () => {
    const alike = [
      'romeo@example.net',
      'romeo@example.net/a',
      'romeo@example.net/a b',
      'romeo@example.net/a b c',
      'romeo@example.net/ab',
      'romeo@example.net/ä 😀 {"node":"x"}',
      'romeo@example.net/a/b@c',
      'romeo@example.network',
      'ромео@пример.рф/сад',
    ];

    it.each(alike)('%s is a subscription of its own', async (jid) => {
      const { subscriptions } = await open();
      for (const one of alike) await subscriptions.put({ ...ROMEO, jid: one, node: `for ${one}` });
      expect(await subscriptions.get({ ...ROMEO, jid })).toEqual({ ...ROMEO, jid, node: `for ${jid}` });
      expect(await subscriptions.put({ ...ROMEO, jid, node: 'again' })).toBe(false);
      expect(await subscriptions.countOfFeed(FEED)).toBe(alike.length);
      expect(await subscriptions.remove({ ...ROMEO, jid })).toBe(true);
      const left = await collect(subscriptions.ofFeed(FEED));
      expect(left.map((one) => one.jid).sort()).toEqual(alike.filter((one) => one !== jid).sort());
    });
  });

  describe('the subscribers of a feed', () => {
    it('come in pages, each once, ordered by JID', async () => {
      const { subscriptions } = await open();
      const jids = Array.from({ length: 2_500 }, (_, i) => `reader${String(i % 1_250).padStart(4, '0')}@example.net`);
      const all = jids.map((jid, i) => (i < 1_250 ? jid : `${jid}/with spaces ü`));
      await Promise.all(all.map((jid) => subscriptions.put({ ...ROMEO, jid })));
      await subscriptions.put({ ...ROMEO, feed: OTHER });
      const pages: number[] = [];
      const seen: string[] = [];
      for await (const page of subscriptions.ofFeed(FEED)) {
        pages.push(page.length);
        seen.push(...page.map(({ jid }) => jid));
      }
      expect(seen).toEqual([...all].sort());
      expect(pages.length).toBeGreaterThan(1);
      expect(await subscriptions.countOfFeed(FEED)).toBe(2_500);
    });

    it('come once when they fill a page exactly', async () => {
      const { subscriptions } = await open();
      const jids = Array.from({ length: 1_000 }, (_, i) => `reader${String(i).padStart(3, '0')}@example.net`);
      await Promise.all(jids.map((jid) => subscriptions.put({ ...ROMEO, jid })));
      expect((await collect(subscriptions.ofFeed(FEED))).map(({ jid }) => jid)).toEqual(jids);
    });

    it('come together where one JID holds several, however the pages fall', async () => {
      const { subscriptions } = await open();
      const jids = [...Array.from({ length: 600 }, (_, i) => `a${i}@example.net`), 'b@example.net', 'c@example.net'];
      const countOf = (jid: string) => (jid.startsWith('a') ? 1 : jid.startsWith('b') ? 1_500 : 500);
      const all = jids.flatMap((jid) =>
        Array.from({ length: countOf(jid) }, (_, n) => ({ ...ROMEO, jid, subid: subid(n) })),
      );
      await Promise.all(all.map((one) => subscriptions.put(one)));
      const pages: string[][] = [];
      for await (const page of subscriptions.ofFeed(FEED)) pages.push(page.map(({ jid }) => jid));
      expect(pages.length).toBeGreaterThan(1);
      expect(pages.flat()).toHaveLength(all.length);
      for (const jid of jids) expect(pages.filter((page) => page.includes(jid))).toHaveLength(1);
      const ofB = (await collect(subscriptions.ofFeed(FEED))).filter(({ jid }) => jid === 'b@example.net');
      expect(ofB.map((one) => one.subid)).toEqual(Array.from({ length: 1_500 }, (_, n) => subid(n)));
    });

    it('may leave while they are read', async () => {
      const { subscriptions } = await open();
      const jids = Array.from({ length: 1_500 }, (_, i) => `reader${String(i).padStart(4, '0')}@example.net`);
      await Promise.all(jids.map((jid) => subscriptions.put({ ...ROMEO, jid })));
      const seen: string[] = [];
      for await (const page of subscriptions.ofFeed(FEED)) {
        seen.push(...page.map(({ jid }) => jid));
        await Promise.all(page.map(subscriptions.remove));
      }
      expect(seen).toEqual(jids);
    });
  });

  describe('the subscribers of a feed, asked for in pages', () => {
    const held = [
      ['juliet@example.net', 'z'],
      ['romeo@example.net', 'b'],
      ['romeo@example.net', 'ba'],
      ['romeo@example.net', 'c'],
      ['romeo@example.net/a b', 'b'],
      ['romeo@example.net/ä 😀', 'b'],
      ['romeo@example.network', 'a'],
    ].map(([jid = '', id = ''], i): Subscription => ({ ...ROMEO, jid, subid: id, since: 100 - i }));
    const cursors = held.map(subscriptionCursor);
    const opened = async () => {
      const { subscriptions } = await open();
      for (const one of [3, 0, 6, 2, 5, 1, 4].map((i) => held[i]!)) await subscriptions.put(one);
      await subscriptions.put({ ...ROMEO, feed: OTHER });
      return subscriptions;
    };

    it('are given forwards after each of them', async () => {
      const subscriptions = await opened();
      expect(await subscriptions.page(FEED, { limit: 3 })).toEqual({ entries: held.slice(0, 3), index: 0, count: 7 });
      for (const [i, after] of cursors.entries()) {
        const page = await subscriptions.page(FEED, { limit: 3, after });
        expect(page).toEqual({ entries: held.slice(i + 1, i + 4), index: i + 1, count: 7 });
      }
    });

    it('are given backwards before each of them, and from the end', async () => {
      const subscriptions = await opened();
      expect(await subscriptions.page(FEED, { limit: 3, before: '' })).toEqual({
        entries: held.slice(4),
        index: 4,
        count: 7,
      });
      for (const [i, before] of cursors.entries()) {
        const page = await subscriptions.page(FEED, { limit: 3, before });
        expect(page).toEqual({ entries: held.slice(Math.max(0, i - 3), i), index: Math.max(0, i - 3), count: 7 });
      }
    });

    it.each<[string, PageAsk, number]>([
      ['the beginning', { limit: 0 }, 0],
      ['a cursor', { limit: 0, after: cursors[2]! }, 3],
      ['the end', { limit: 0, before: '' }, 7],
    ])('are counted when none of them is asked for, at %s', async (_, ask, index) => {
      expect(await (await opened()).page(FEED, ask)).toEqual({ entries: [], index, count: 7 });
    });

    it.each([
      'nonsense',
      'x romeo@example.net',
      'b romeo@example.ne',
      ' romeo@example.net',
      'b',
      'b ',
      subscriptionCursor(ROMEO),
    ])('have no page at %j, which nobody holds', async (cursor) => {
      const subscriptions = await opened();
      expect(await subscriptions.page(FEED, { limit: 3, after: cursor })).toBeUndefined();
      expect(await subscriptions.page(FEED, { limit: 3, before: cursor })).toBeUndefined();
    });

    it('of nobody are an empty page', async () => {
      const { subscriptions } = await open();
      expect(await subscriptions.page(FEED, { limit: 3 })).toEqual({ entries: [], index: 0, count: 0 });
      expect(await subscriptions.page(FIREHOSE, { limit: 3, before: '' })).toEqual({ entries: [], index: 0, count: 0 });
    });
  });

  describe('a subscription that ends', () => {
    const past = () => Date.now() - HOUR_MS;
    const [ended, other] = [ROMEO, { ...ROMEO, feed: OTHER, subid: 'orchard' }];

    it('is told of when its time is over, wherever it is, until it is removed', async () => {
      const { subscriptions } = await open();
      const drinking = { ...ROMEO, feed: FIREHOSE, jid: 'romeo@example.net' } as const;
      for (const one of [ended, other, drinking]) await subscriptions.put({ ...one, options: { expire: past() } });
      const found = await subscriptions.expired(10);
      expect(found).toHaveLength(3);
      expect(found).toEqual(expect.arrayContaining([ended, other, drinking].map(keyOf)));
      expect(await subscriptions.expired(2)).toHaveLength(2);
      for (const key of found.slice(1)) expect(await subscriptions.remove(key)).toBe(true);
      expect(await subscriptions.expired(10)).toEqual(found.slice(0, 1));
    });

    it('is not told of before, nor when it never ends or ends with presence', async () => {
      const { subscriptions } = await open();
      await subscriptions.put({ ...ROMEO, subid: 'a', options: { expire: Date.now() + HOUR_MS } });
      await subscriptions.put({ ...ROMEO, subid: 'b', options: { expire: 'presence' } });
      await subscriptions.put({ ...ROMEO, subid: 'c', options: { expire: '' } });
      await subscriptions.put({ ...ROMEO, subid: 'd' });
      expect(await subscriptions.expired(10)).toEqual([]);
    });

    it('may get more time, or no end at all', async () => {
      const { subscriptions } = await open();
      for (const one of [ended, other]) await subscriptions.put({ ...one, options: { expire: past() } });
      await subscriptions.put({ ...ended, options: { expire: Date.now() + HOUR_MS } });
      expect(await subscriptions.expired(10)).toEqual([keyOf(other)]);
      await subscriptions.put(other);
      expect(await subscriptions.expired(10)).toEqual([]);
      await subscriptions.put({ ...other, options: { expire: past() } });
      expect(await subscriptions.expired(10)).toEqual([keyOf(other)]);
    });
  });

  describe('a node on which somebody waits for approval', () => {
    it('is known', async () => {
      const { subscriptions } = await open();
      expect(await subscriptions.pendingNodes()).toEqual([]);
      await subscriptions.put(ROMEO);
      for (const jid of ['a@example.net', 'b@example.net']) {
        await subscriptions.put({ ...ROMEO, feed: OTHER, jid, state: 'pending' });
      }
      expect(await subscriptions.pendingNodes()).toEqual([OTHER]);
    });
  });

  describe('giving the subscribers of one feed to another too', () => {
    it('leaves all of them where they are; each keeps SubID, state, options and the name it uses', async () => {
      const { subscriptions } = await open();
      const one = { ...ROMEO, options: { payload: false, expire: Date.now() - HOUR_MS } };
      const two: Subscription = { ...ROMEO, subid: 'other', node: 'https://blog.example/', since: 5, state: 'pending' };
      const plain = { ...ROMEO, jid: 'tybalt@example.net' };
      for (const each of [one, two, plain]) await subscriptions.put(each);
      await subscriptions.copy(FEED, OTHER);
      expect(await collect(subscriptions.ofFeed(FEED))).toEqual([one, two, plain]);
      const copied = [one, two, plain].map((each) => ({ ...each, feed: OTHER }));
      expect(await collect(subscriptions.ofFeed(OTHER))).toEqual(copied);
      expect(await subscriptions.ofPerson('tybalt@example.net')).toHaveLength(2);
      expect(await subscriptions.countOfPerson(ROMEO.jid)).toBe(4);
      expect(await subscriptions.pendingNodes()).toHaveLength(2);
      expect(await subscriptions.expired(10)).toEqual(expect.arrayContaining([keyOf(one), keyOf(copied[0]!)]));
    });

    it('leaves out who has the same there', async () => {
      const { subscriptions } = await open();
      const options = { payload: false, showValues: ['chat'] } as const;
      const there = {
        ...ROMEO,
        feed: OTHER,
        subid: 'there',
        options: { showValues: ['chat'], payload: false } as const,
      };
      const twice = [1, 2].map((n) => ({ ...ROMEO, jid: 'tybalt@example.net', subid: subid(n) }));
      const differs = { ...ROMEO, subid: 'differs', options: { payload: true } };
      for (const one of [there, { ...ROMEO, options }, ...twice, differs]) await subscriptions.put(one);
      await subscriptions.copy(FEED, OTHER);
      const copied = [differs, ...twice].map((one) => ({ ...one, feed: OTHER }));
      expect(await collect(subscriptions.ofFeed(OTHER))).toEqual([copied[0], there, ...copied.slice(1)]);
    });

    it('again changes nothing, whatever was changed there meanwhile', async () => {
      const { subscriptions } = await open();
      await subscriptions.put(ROMEO);
      await subscriptions.copy(FEED, OTHER);
      const changed = { ...ROMEO, feed: OTHER, options: { deliver: false } };
      await subscriptions.put(changed);
      await subscriptions.copy(FEED, OTHER);
      expect(await collect(subscriptions.ofFeed(OTHER))).toEqual([changed]);
      await subscriptions.copy(FEED, FEED);
      expect(await subscriptions.countOfFeed(FEED)).toBe(1);
    });
  });

  describe('who was subscribed to a node that is deleted', () => {
    const NEWS = ownNodeIdOf('news');

    it('is known until forgotten, and holds nothing there any more', async () => {
      const { subscriptions, nodes, log } = await open();
      await nodes.create('news', 'juliet@example.net', {});
      const options = { expire: Date.now() - HOUR_MS };
      const held = [
        { ...ROMEO, feed: NEWS },
        { ...ROMEO, feed: NEWS, subid: 'other', options },
      ];
      for (const one of [...held, ROMEO]) await subscriptions.put(one);
      await nodes.delete(NEWS, { announce: false });
      expect(await subscriptions.ofPerson(ROMEO.jid)).toEqual([ROMEO]);
      const partitions = Array.from({ length: log.partitions }, (_, partition) => log.read(partition, '0', 10));
      const [record] = (await Promise.all(partitions)).flat();
      if (record?.kind !== 'deleted') throw new Error('nothing was deleted');
      expect(await collect(subscriptions.departed(record))).toEqual(held);
      expect(await collect(subscriptions.departed({ ...record, audience: 'another' }))).toEqual([]);
      await subscriptions.forget(record);
      expect(await collect(subscriptions.departed(record))).toEqual([]);
      expect(await subscriptions.countOfPerson(ROMEO.jid)).toBe(1);
      expect(await subscriptions.expired(10)).toEqual([]);
      await subscriptions.forget(record);
    });
  });

  describe('handing subscribers over', () => {
    it('moves all of them, and each keeps the name it uses for the node', async () => {
      const { subscriptions } = await open();
      const jids = Array.from({ length: 1_100 }, (_, i) => `reader${String(i).padStart(4, '0')}@example.net`);
      await Promise.all(jids.map((jid) => subscriptions.put({ ...ROMEO, jid, node: `for ${jid}` })));
      await subscriptions.move(FEED, OTHER);
      expect(await subscriptions.countOfFeed(FEED)).toBe(0);
      const moved = await collect(subscriptions.ofFeed(OTHER));
      expect(moved).toEqual(jids.map((jid) => ({ ...ROMEO, feed: OTHER, jid, node: `for ${jid}` })));
      expect(await subscriptions.ofPerson(jids[7]!)).toEqual([moved[7]]);
      expect(await subscriptions.countOfPerson(jids[7]!)).toBe(1);
    });

    it('takes those from the first who have the same at the second', async () => {
      const { subscriptions } = await open();
      const there = { ...ROMEO, feed: OTHER, subid: 'there', since: 9 };
      for (const one of [there, ROMEO, { ...ROMEO, subid: 'more', options: { digest: true } }]) {
        await subscriptions.put(one);
      }
      await subscriptions.move(FEED, OTHER);
      expect(await subscriptions.countOfFeed(FEED)).toBe(0);
      const more = { ...ROMEO, feed: OTHER, subid: 'more', options: { digest: true } };
      expect(await subscriptions.ofPerson(ROMEO.jid)).toEqual([more, there]);
    });

    it('to the same feed loses nobody', async () => {
      const { subscriptions } = await open();
      await subscriptions.put(ROMEO);
      await subscriptions.move(FEED, FEED);
      expect(await collect(subscriptions.ofFeed(FEED))).toEqual([ROMEO]);
      expect(await subscriptions.ofPerson(ROMEO.jid)).toEqual([ROMEO]);
    });
  });
});

describe('after a crash between the two sides', () => {
  const redis = throwawayRedis();
  const keys = createKeys(4);

  it('of adding, what was not added does not show, and adding again succeeds', async () => {
    const client = await redis.connect();
    await client.flushall();
    const { subscriptions } = redisStores(client, client);
    await client.sadd(keys.person('romeo@example.net'), `${FEED} ${ROMEO.subid} ${ROMEO.jid}`);
    expect(await subscriptions.ofPerson(ROMEO.jid)).toEqual([]);
    expect(await subscriptions.get(ROMEO)).toBeUndefined();
    expect(await subscriptions.put(ROMEO)).toBe(true);
    expect(await subscriptions.ofPerson(ROMEO.jid)).toEqual([ROMEO]);
  });

  it('of removing, what was removed does not show, and removing again cleans up', async () => {
    const client = await redis.connect();
    await client.flushall();
    const { subscriptions } = redisStores(client, client);
    await subscriptions.put(ROMEO);
    await client.del(keys.subscribers(FEED));
    expect(await subscriptions.ofPerson(ROMEO.jid)).toEqual([]);
    expect(await subscriptions.remove(ROMEO)).toBe(false);
    expect(await subscriptions.countOfPerson(ROMEO.jid)).toBe(0);
  });

  it.each([
    ['person', keys.person('romeo@example.net')],
    ['list of nodes where somebody waits', keys.pending],
  ])('of adding, nobody is subscribed whom the %s does not lead to', async (_, index) => {
    const client = await redis.connect();
    await client.flushall();
    const { subscriptions } = redisStores(client, client);
    await client.set(index, 'what no subscription can be added to');
    await expect(subscriptions.put({ ...ROMEO, state: 'pending' })).rejects.toThrow('WRONGTYPE');
    expect(await subscriptions.get(ROMEO)).toBeUndefined();
  });

  it('of removing, nobody stays subscribed whom the person does not lead to', async () => {
    const client = await redis.connect();
    await client.flushall();
    const { subscriptions } = redisStores(client, client);
    await subscriptions.put(ROMEO);
    await client.set(keys.person('romeo@example.net'), 'what nothing can be removed from');
    await expect(subscriptions.remove(ROMEO)).rejects.toThrow('WRONGTYPE');
    expect(await subscriptions.get(ROMEO)).toBeUndefined();
  });

  it('of removing, what was to end is not told of for ever', async () => {
    const client = await redis.connect();
    await client.flushall();
    const { subscriptions } = redisStores(client, client);
    await subscriptions.put({ ...ROMEO, options: { expire: Date.now() - HOUR_MS } });
    await client.del(keys.subscribers(FEED));
    expect(await subscriptions.expired(10)).toEqual([keyOf(ROMEO)]);
    await subscriptions.remove(ROMEO);
    expect(await subscriptions.expired(10)).toEqual([]);
  });

  it('of handing over, nobody is lost and the rest follows', async () => {
    const client = await redis.connect();
    await client.flushall();
    const { subscriptions } = redisStores(client, client);
    const second = { ...ROMEO, jid: 'tybalt@example.net' };
    for (const one of [ROMEO, second]) await subscriptions.put(one);
    // As far as move() comes when it is killed after its first step.
    await subscriptions.put({ ...ROMEO, feed: OTHER });
    await subscriptions.move(FEED, OTHER);
    expect(await collect(subscriptions.ofFeed(OTHER))).toEqual([ROMEO, second].map((one) => ({ ...one, feed: OTHER })));
    expect(await subscriptions.countOfFeed(FEED)).toBe(0);
  });
});

describe('what one person holds, in Redis', () => {
  const redis = throwawayRedis();

  it('is read in one question for the list and one for each partition', async () => {
    const client = await redis.connect();
    const { subscriptions } = redisStores(client, client, { partitions: 4 });
    const held = Array.from({ length: 60 }, (_, i) => ({
      ...ROMEO,
      feed: feedIdOf(parseFeedUrl(`https://site${i}.example/`)),
      since: i,
    }));
    await Promise.all(held.map((one) => subscriptions.put(one)));
    await subscriptions.ofPerson(ROMEO.jid);
    const asked = jest.spyOn(client, 'sendCommand');
    expect(await subscriptions.ofPerson(ROMEO.jid)).toEqual(held);
    expect(asked).toHaveBeenCalledTimes(5);
  });
});

describe('the subscribers of a node that is no longer there', () => {
  const redis = throwawayRedis();
  const keys = createKeys(4);
  const AUDIENCE = { feed: FEED, audience: 'k3f9qz7x2m' };

  const departing = async (all: readonly Subscription[]) => {
    const client = await redis.connect();
    await client.flushall();
    const { subscriptions } = redisStores(client, client);
    await Promise.all(all.map((one) => subscriptions.put(one)));
    // As deleting the node puts them aside.
    await client.rename(keys.subscribers(FEED), keys.departed(FEED, AUDIENCE.audience));
    return { client, subscriptions };
  };

  it('are there in pages until they are forgotten, for whoever names them', async () => {
    const all = Array.from({ length: 1_500 }, (_, i) => ({ ...ROMEO, jid: `reader${1_000 + i}@example.net` }));
    const { client, subscriptions } = await departing(all);
    expect(await subscriptions.countOfFeed(FEED)).toBe(0);
    expect(await subscriptions.ofPerson(all[0]!.jid)).toEqual([]);
    expect(await collect(subscriptions.departed(AUDIENCE))).toEqual(all);
    expect(await collect(subscriptions.departed({ ...AUDIENCE, audience: 'another' }))).toEqual([]);
    await subscriptions.forget(AUDIENCE);
    expect(await collect(subscriptions.departed(AUDIENCE))).toEqual([]);
    expect(await subscriptions.countOfPerson(all[0]!.jid)).toBe(0);
    expect(await client.dbsize()).toBe(0);
    await subscriptions.forget(AUDIENCE);
  });

  it('are not told of as expired once they are forgotten', async () => {
    const { subscriptions } = await departing([{ ...ROMEO, options: { expire: Date.now() - HOUR_MS } }]);
    await subscriptions.forget(AUDIENCE);
    expect(await subscriptions.expired(10)).toEqual([]);
  });

  it('keep what they hold again by then, and what they hold elsewhere', async () => {
    const elsewhere = { ...ROMEO, feed: OTHER };
    const { subscriptions } = await departing([ROMEO, elsewhere]);
    const again = { ...ROMEO, since: 2, options: { expire: Date.now() - HOUR_MS } };
    await subscriptions.put(again);
    await subscriptions.forget(AUDIENCE);
    expect(await subscriptions.ofPerson(ROMEO.jid)).toEqual([elsewhere, again]);
    expect(await subscriptions.expired(10)).toEqual([keyOf(again)]);
  });
});
