import { describe, expect, it } from '@jest/globals';
import { feedIdOf, FIREHOSE, parseFeedUrl, type Subscription } from '../../../lib/domain.js';
import { createKeys } from '../../../lib/store/keys.js';
import { BLOG, collect, contract, redisStores, throwawayRedis } from '../../support/stores.js';

const FEED = feedIdOf(BLOG);
const OTHER = feedIdOf(parseFeedUrl('https://other.example/'));
const ROMEO: Subscription = { feed: FEED, jid: 'romeo@example.net/orchard wall', node: BLOG, since: 1 };

contract((open) => {
  describe('a subscription', () => {
    it('is added once', async () => {
      const { subscriptions } = await open();
      expect(await subscriptions.add(ROMEO)).toBe(true);
      expect(await subscriptions.add(ROMEO)).toBe(false);
      expect(await subscriptions.countOfFeed(FEED)).toBe(1);
    });

    it('replaces one with the same node and JID', async () => {
      const { subscriptions } = await open();
      await subscriptions.add(ROMEO);
      const renamed = { ...ROMEO, node: 'https://blog.example/', since: 2 };
      expect(await subscriptions.add(renamed)).toBe(false);
      expect(await subscriptions.get(FEED, ROMEO.jid)).toEqual(renamed);
      expect(await collect(subscriptions.ofFeed(FEED))).toEqual([renamed]);
      expect(await subscriptions.ofPerson(ROMEO.jid)).toEqual([renamed]);
      expect(await subscriptions.countOfPerson(ROMEO.jid)).toBe(1);
    });

    it('is removed from both sides, and says when there was nothing to remove', async () => {
      const { subscriptions } = await open();
      await subscriptions.add(ROMEO);
      expect(await subscriptions.remove(FEED, ROMEO.jid)).toBe(true);
      expect(await subscriptions.remove(FEED, ROMEO.jid)).toBe(false);
      expect(await subscriptions.get(FEED, ROMEO.jid)).toBeUndefined();
      expect(await subscriptions.ofPerson(ROMEO.jid)).toEqual([]);
      expect(await collect(subscriptions.ofFeed(FEED))).toEqual([]);
      expect(await subscriptions.countOfFeed(FEED)).toBe(0);
      expect(await subscriptions.countOfPerson(ROMEO.jid)).toBe(0);
    });

    it('to the firehose is one like any other', async () => {
      const { subscriptions } = await open();
      const drinking: Subscription = { ...ROMEO, feed: FIREHOSE, node: FIREHOSE };
      await subscriptions.add(drinking);
      expect(await collect(subscriptions.ofFeed(FIREHOSE))).toEqual([drinking]);
      expect(await collect(subscriptions.ofFeed(FEED))).toEqual([]);
      expect(await subscriptions.ofPerson(ROMEO.jid)).toEqual([drinking]);
    });
  });

  describe('one person', () => {
    it('holds what any of their resources holds, the oldest first', async () => {
      const { subscriptions } = await open();
      const phone = { ...ROMEO, jid: 'romeo@example.net/phone', since: 2 };
      const bare = { feed: OTHER, jid: 'romeo@example.net', node: 'https://other.example/', since: 3 };
      for (const one of [phone, bare, ROMEO]) await subscriptions.add(one);
      expect(await subscriptions.ofPerson('Romeo@EXAMPLE.net/balcony')).toEqual([ROMEO, phone, bare]);
      expect(await subscriptions.countOfPerson('romeo@example.net')).toBe(3);
    });

    it('holds nothing of others', async () => {
      const { subscriptions } = await open();
      for (const jid of ['romeo@example.net', 'romeo@example.net.example', 'xromeo@example.net', 'example.net']) {
        await subscriptions.add({ ...ROMEO, jid });
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
      for (const one of alike) await subscriptions.add({ ...ROMEO, jid: one, node: `for ${one}` });
      expect(await subscriptions.get(FEED, jid)).toEqual({ ...ROMEO, jid, node: `for ${jid}` });
      expect(await subscriptions.add({ ...ROMEO, jid, node: 'again' })).toBe(false);
      expect(await subscriptions.countOfFeed(FEED)).toBe(alike.length);
      expect(await subscriptions.remove(FEED, jid)).toBe(true);
      const left = await collect(subscriptions.ofFeed(FEED));
      expect(left.map((one) => one.jid).sort()).toEqual(alike.filter((one) => one !== jid).sort());
    });
  });

  describe('the subscribers of a feed', () => {
    it('come in pages, each once, ordered by JID', async () => {
      const { subscriptions } = await open();
      const jids = Array.from({ length: 2_500 }, (_, i) => `reader${String(i % 1_250).padStart(4, '0')}@example.net`);
      const all = jids.map((jid, i) => (i < 1_250 ? jid : `${jid}/with spaces ü`));
      await Promise.all(all.map((jid) => subscriptions.add({ ...ROMEO, jid })));
      await subscriptions.add({ ...ROMEO, feed: OTHER });
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
      await Promise.all(jids.map((jid) => subscriptions.add({ ...ROMEO, jid })));
      expect((await collect(subscriptions.ofFeed(FEED))).map(({ jid }) => jid)).toEqual(jids);
    });

    it('may leave while they are read', async () => {
      const { subscriptions } = await open();
      const jids = Array.from({ length: 1_500 }, (_, i) => `reader${String(i).padStart(4, '0')}@example.net`);
      await Promise.all(jids.map((jid) => subscriptions.add({ ...ROMEO, jid })));
      const seen: string[] = [];
      for await (const page of subscriptions.ofFeed(FEED)) {
        for (const { jid } of page) {
          seen.push(jid);
          await subscriptions.remove(FEED, jid);
        }
      }
      expect(seen).toEqual(jids);
    });
  });

  describe('handing subscribers over', () => {
    it('moves all of them, and each keeps the name it uses for the node', async () => {
      const { subscriptions } = await open();
      const jids = Array.from({ length: 1_100 }, (_, i) => `reader${String(i).padStart(4, '0')}@example.net`);
      await Promise.all(jids.map((jid) => subscriptions.add({ ...ROMEO, jid, node: `for ${jid}` })));
      await subscriptions.move(FEED, OTHER);
      expect(await subscriptions.countOfFeed(FEED)).toBe(0);
      const moved = await collect(subscriptions.ofFeed(OTHER));
      expect(moved).toEqual(jids.map((jid) => ({ ...ROMEO, feed: OTHER, jid, node: `for ${jid}` })));
      expect(await subscriptions.ofPerson(jids[7]!)).toEqual([moved[7]]);
      expect(await subscriptions.countOfPerson(jids[7]!)).toBe(1);
    });

    it('to the same feed loses nobody', async () => {
      const { subscriptions } = await open();
      await subscriptions.add(ROMEO);
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
    await client.sadd(keys.person('romeo@example.net'), `${FEED} ${ROMEO.jid}`);
    expect(await subscriptions.ofPerson(ROMEO.jid)).toEqual([]);
    expect(await subscriptions.get(FEED, ROMEO.jid)).toBeUndefined();
    expect(await subscriptions.add(ROMEO)).toBe(true);
    expect(await subscriptions.ofPerson(ROMEO.jid)).toEqual([ROMEO]);
  });

  it('of removing, what was removed does not show, and removing again cleans up', async () => {
    const client = await redis.connect();
    await client.flushall();
    const { subscriptions } = redisStores(client, client);
    await subscriptions.add(ROMEO);
    await client.del(keys.subscribers(FEED));
    expect(await subscriptions.ofPerson(ROMEO.jid)).toEqual([]);
    expect(await subscriptions.remove(FEED, ROMEO.jid)).toBe(false);
    expect(await subscriptions.countOfPerson(ROMEO.jid)).toBe(0);
  });

  it('of handing over, nobody is lost and the rest follows', async () => {
    const client = await redis.connect();
    await client.flushall();
    const { subscriptions } = redisStores(client, client);
    const second = { ...ROMEO, jid: 'tybalt@example.net' };
    for (const one of [ROMEO, second]) await subscriptions.add(one);
    // As far as move() comes when it is killed after its first step.
    await subscriptions.add({ ...ROMEO, feed: OTHER });
    await subscriptions.move(FEED, OTHER);
    expect(await collect(subscriptions.ofFeed(OTHER))).toEqual([ROMEO, second].map((one) => ({ ...one, feed: OTHER })));
    expect(await subscriptions.countOfFeed(FEED)).toBe(0);
  });
});
