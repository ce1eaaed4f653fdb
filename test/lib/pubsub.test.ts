import { describe, expect, it } from '@jest/globals';
import { feedIdOf, FIREHOSE, nodeIdOf, parseFeedUrl, type FeedUrl } from '../../lib/domain.js';
import { Fault } from '../../lib/faults.js';
import { createPubSub, type Policy } from '../../lib/pubsub.js';
import type { ProbeResult } from '../../lib/queues.js';
import { firehoseItemId } from '../../lib/store/firehose.js';
import { memoryStores } from '../support/memory.js';
import { BLOG, entryOf, look, NO_SOURCE, openFeed } from '../support/stores.js';

const ID = feedIdOf(BLOG);
const NODE = nodeIdOf(BLOG);
const PAGE = parseFeedUrl('https://blog.example/');
const NEW = parseFeedUrl('https://new.example/rss');
const ROMEO = 'romeo@example.net/orchard';
const BARE = 'romeo@example.net';
const NOW = 1_800_000_000_000;

/** The world: a URL is a feed, a page of the blog, something else, or too slow to say. */
const ANSWERS: Readonly<Record<string, ProbeResult | 'slow'>> = {
  'https://broken.example/': { kind: 'refused', code: 'not-a-feed', text: 'That is a picture' },
  'https://down.example/': { kind: 'refused', code: 'feed-unreachable', text: 'The server answered 503' },
  'https://slow.example/': 'slow',
};

function bench(policy: Partial<Policy> = {}) {
  let now = NOW;
  const stores = memoryStores({ now: () => now });
  const looked: string[] = [];
  const service = createPubSub({
    ...stores,
    now: () => now,
    policy: { domain: 'feeds.example.net', admins: [], whoMayAdd: 'anyone', maxSubscriptions: 10, ...policy },
    async probe(url: FeedUrl): Promise<ProbeResult | undefined> {
      looked.push(url);
      const answer = ANSWERS[url];
      if (answer) return answer === 'slow' ? undefined : answer;
      const feed = url === PAGE ? BLOG : url;
      await look(stores, feed, [entryOf('latest'), entryOf('older')]);
      if (url === PAGE) await stores.aliases.add(PAGE, ID);
      return { kind: 'feed', feed: feedIdOf(feed) };
    },
  });
  return {
    service,
    stores,
    looked,
    later: (ms: number) => (now += ms),
    subscribe: (node: string, jid = BARE, requester = jid) => service.subscribe({ requester, node, jid }),
    unsubscribe: (node: string, jid = BARE, requester = jid) => service.unsubscribe({ requester, node, jid }),
  };
}

/** With a blog that has two entries. */
async function withBlog(policy: Partial<Policy> = {}) {
  const one = bench(policy);
  await look(one.stores, BLOG, [entryOf('b'), entryOf('a')]);
  return one;
}

/** With entries on the firehose, numbered from 1. */
async function withFirehose(count: number) {
  const one = bench();
  const { stores } = one;
  await openFeed(stores);
  for (let n = 1; n <= count; n++) await look(stores, BLOG, [entryOf(`${n}`)]);
  for (let partition = 0; partition < stores.log.partitions; partition++) {
    const records = await stores.log.read(partition, '0', count);
    if (records.length > 0)
      await stores.firehose.number(
        partition,
        records.map(({ id }) => id),
        1,
      );
  }
  return one;
}

async function refusal(promise: Promise<unknown>): Promise<string> {
  const error: unknown = await promise.then(
    () => 'was not refused',
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(Fault);
  return (error as Fault).code;
}

const ids = (items: readonly { readonly entry: { readonly id: string } }[]) => items.map(({ entry }) => entry.id);

describe('a node', () => {
  it.each([
    ['NodeID', NODE],
    ['URL', BLOG],
    ['URL in another spelling', 'HTTPS://blog.example:443/atom.xml#top'],
    ['URL of its page', PAGE],
  ])('is found by its %s', async (_, name) => {
    const { service, stores } = await withBlog();
    await stores.aliases.add(PAGE, ID);
    expect(await service.describe(name)).toMatchObject({ kind: 'feed', feed: { id: ID }, subscribers: 0 });
  });

  it.each([
    ['an unknown NodeID', 'blog.example-aaaaaaaaaa'],
    ['an unknown URL', NEW],
    ['a NodeID with the wrong host', `other.example-${ID}`],
    ['some other word', 'princely_musings'],
    ['nothing', ''],
  ])('is not found by %s', async (_, name) => {
    const { service } = await withBlog();
    expect(await refusal(service.describe(name))).toBe('node-not-found');
    expect(await refusal(service.items({ node: name }))).toBe('node-not-found');
    expect(await refusal(service.subscriptions(BARE, name))).toBe('node-not-found');
    expect(await refusal(service.unsubscribe({ requester: BARE, jid: BARE, node: name }))).toBe('node-not-found');
  });

  it('named by something that looks like a URL and is none is refused as such', async () => {
    const { service } = await withBlog();
    expect(await refusal(service.describe('https://blog.example/a b'))).toBe('not-a-feed');
    expect(await refusal(service.describe('https://juliet:secret@blog.example/'))).toBe('not-a-feed');
  });

  it('says how many follow it', async () => {
    const { service, subscribe } = await withBlog();
    await subscribe(BLOG);
    await subscribe(NODE, 'juliet@example.net');
    await subscribe(FIREHOSE);
    expect(await service.describe(NODE)).toMatchObject({ subscribers: 2 });
    expect(await service.describe(FIREHOSE)).toEqual({ kind: 'firehose', subscribers: 1 });
  });
});

it('the directory shows all feeds in pages', async () => {
  const { service, stores } = bench();
  for (const url of [BLOG, NEW, PAGE]) await stores.feeds.register(url);
  const first = await service.directory(undefined, 2);
  const second = await service.directory(first.at(-1)!.id, 2);
  expect([...first, ...second].map(({ url }) => url).sort()).toEqual([BLOG, PAGE, NEW].sort());
});

describe('subscribing', () => {
  it('is answered with the subscription under the name that was used, and the latest entry', async () => {
    const { subscribe, stores } = await withBlog();
    const { subscription, latest } = await subscribe(BLOG, ROMEO);
    expect(subscription).toEqual({ feed: ID, jid: ROMEO, node: BLOG, since: NOW });
    expect(ids(latest)).toEqual(['b']);
    expect(latest[0]).toMatchObject({ at: NOW, url: BLOG, source: NO_SOURCE });
    expect(await stores.subscriptions.get(ID, ROMEO)).toEqual(subscription);
  });

  it('to a known feed does not look at it', async () => {
    const { subscribe, looked } = await withBlog();
    await subscribe(BLOG);
    await subscribe(NODE, 'juliet@example.net');
    expect(looked).toEqual([]);
  });

  it('to a URL that nobody follows yet looks at it first', async () => {
    const { subscribe, looked } = bench();
    const { subscription, latest } = await subscribe(NEW);
    expect(looked).toEqual([NEW]);
    expect(subscription).toMatchObject({ feed: feedIdOf(NEW), node: NEW });
    expect(ids(latest)).toEqual(['latest']);
  });

  it('to a page follows the feed that the page names, under the name of the page', async () => {
    const { subscribe, service, looked } = bench();
    const { subscription } = await subscribe(PAGE);
    expect(subscription).toMatchObject({ feed: ID, node: PAGE });
    await subscribe(PAGE, 'juliet@example.net');
    expect(looked).toEqual([PAGE]);
    expect(await service.describe(PAGE)).toMatchObject({ feed: { id: ID }, subscribers: 2 });
  });

  it('to a URL that is slow succeeds, and the rest follows', async () => {
    const { subscribe, stores } = bench();
    const { subscription, latest } = await subscribe('https://slow.example/');
    expect(latest).toEqual([]);
    expect(await stores.feeds.get(feedIdOf(parseFeedUrl('https://slow.example/')))).toMatchObject({ version: 0 });
    expect(await stores.feeds.count()).toEqual({ feeds: 1, due: 1 });
    expect(await stores.subscriptions.ofPerson(BARE)).toEqual([subscription]);
  });

  it.each([
    ['https://broken.example/', 'not-a-feed', 'That is a picture'],
    ['https://down.example/', 'feed-unreachable', 'The server answered 503'],
  ])('to %s is refused with %s, in the words of who looked', async (url, code, text) => {
    const { subscribe, stores } = bench();
    const asked = subscribe(url);
    expect(await refusal(asked)).toBe(code);
    await expect(asked).rejects.toThrow(text);
    expect(await stores.subscriptions.ofPerson(BARE)).toEqual([]);
    expect(await stores.feeds.count()).toEqual({ feeds: 0, due: 0 });
  });

  it('to what cannot be a feed is refused without a look', async () => {
    const { subscribe, looked } = bench();
    expect(await refusal(subscribe('princely_musings'))).toBe('node-not-found');
    expect(await refusal(subscribe('blog.example-aaaaaaaaaa'))).toBe('node-not-found');
    expect(await refusal(subscribe('https://juliet:secret@blog.example/'))).toBe('not-a-feed');
    expect(await refusal(subscribe('ftp://blog.example/'))).toBe('node-not-found');
    expect(looked).toEqual([]);
  });

  it('is for oneself only', async () => {
    const { subscribe, stores } = await withBlog();
    for (const jid of ['juliet@example.net', 'romeo@example.net.example', 'example.net']) {
      expect(await refusal(subscribe(BLOG, jid, ROMEO))).toBe('invalid-jid');
    }
    expect(await refusal(subscribe(BLOG, '@', ROMEO))).toBe('invalid-jid');
    expect(await stores.subscriptions.countOfFeed(ID)).toBe(0);
  });

  it('may name the bare JID, this resource or another of the same person, in any spelling', async () => {
    const { subscribe, stores } = await withBlog();
    for (const jid of ['Romeo@EXAMPLE.net', ROMEO, 'romeo@example.net/phone']) await subscribe(BLOG, jid, ROMEO);
    const jids = (await stores.subscriptions.ofPerson(BARE)).map(({ jid }) => jid);
    expect(jids.sort()).toEqual([BARE, ROMEO, 'romeo@example.net/phone']);
  });

  it('again succeeds, takes the new name and keeps the time of the first', async () => {
    const { subscribe, stores, later } = await withBlog();
    await subscribe(BLOG);
    later(60_000);
    const { subscription } = await subscribe(NODE);
    expect(subscription).toEqual({ feed: ID, jid: BARE, node: NODE, since: NOW });
    expect(await stores.subscriptions.ofPerson(BARE)).toEqual([subscription]);
  });

  it('to the firehose gives its latest entry', async () => {
    const { subscribe } = await withFirehose(3);
    const { subscription, latest } = await subscribe(FIREHOSE);
    expect(subscription).toMatchObject({ feed: FIREHOSE, node: FIREHOSE });
    expect(latest).toMatchObject([{ id: firehoseItemId(3), url: BLOG }]);
  });
});

describe('the number of subscriptions of one person', () => {
  it('is limited, whatever the resource', async () => {
    const { subscribe } = await withBlog({ maxSubscriptions: 2 });
    await subscribe(BLOG, ROMEO);
    await subscribe(FIREHOSE, BARE);
    expect(await refusal(subscribe(NEW, `${BARE}/phone`))).toBe('too-many-subscriptions');
    expect(await refusal(subscribe(BLOG, `${BARE}/phone`))).toBe('too-many-subscriptions');
    expect(await refusal(subscribe(NODE, BARE))).toBe('too-many-subscriptions');
  });

  it('is looked at before anything is fetched or made known', async () => {
    const { subscribe, looked, stores } = await withBlog({ maxSubscriptions: 1 });
    await subscribe(BLOG);
    expect(await refusal(subscribe(NEW))).toBe('too-many-subscriptions');
    expect(looked).toEqual([]);
    expect(await stores.feeds.get(feedIdOf(NEW))).toBeUndefined();
  });

  it('does not keep one from subscribing again', async () => {
    const { subscribe } = await withBlog({ maxSubscriptions: 1 });
    await subscribe(BLOG);
    expect((await subscribe(NODE)).subscription.node).toBe(NODE);
  });

  it('is one number for each person', async () => {
    const { subscribe } = await withBlog({ maxSubscriptions: 1 });
    await subscribe(BLOG);
    expect((await subscribe(BLOG, 'juliet@example.net')).subscription.feed).toBe(ID);
  });

  it('has room again after unsubscribing', async () => {
    const { subscribe, unsubscribe } = await withBlog({ maxSubscriptions: 1 });
    await subscribe(BLOG);
    await unsubscribe(BLOG);
    expect((await subscribe(NEW)).subscription.node).toBe(NEW);
  });
});

describe('who may add feeds', () => {
  const asks = [
    ['anyone', 'mallory@elsewhere.example', true],
    ['local', 'romeo@example.net/orchard', true],
    ['local', 'romeo@notexample.net', false],
    ['local', 'romeo@sub.example.net', false],
    ['local', 'mallory@elsewhere.example', false],
    ['local', 'boss@elsewhere.example', true],
    ['admins', 'romeo@example.net', false],
    ['admins', 'Boss@elsewhere.example/desk', true],
    ['admins', 'boss@elsewhere.example.net', false],
  ] as const;

  it.each(asks)('%s: %s may: %s', async (whoMayAdd, jid, may) => {
    const { subscribe, looked } = bench({ whoMayAdd, admins: ['boss@elsewhere.example'] });
    const asked = subscribe(NEW, jid);
    if (may) expect((await asked).subscription.feed).toBe(feedIdOf(NEW));
    else expect(await refusal(asked)).toBe('forbidden');
    expect(looked).toHaveLength(may ? 1 : 0);
  });

  it.each(asks)('%s: %s may drink the firehose: %s', async (whoMayAdd, jid, may) => {
    const { subscribe } = bench({ whoMayAdd, admins: ['boss@elsewhere.example'] });
    const asked = subscribe(FIREHOSE, jid);
    if (may) expect((await asked).subscription.feed).toBe(FIREHOSE);
    else expect(await refusal(asked)).toBe('forbidden');
  });

  it('keeps nobody from following what is known', async () => {
    const { subscribe } = await withBlog({ whoMayAdd: 'admins' });
    expect((await subscribe(BLOG)).subscription.feed).toBe(ID);
  });
});

describe('unsubscribing', () => {
  it.each([BLOG, NODE, PAGE])('by %s ends it', async (name) => {
    const { subscribe, unsubscribe, stores } = await withBlog();
    await stores.aliases.add(PAGE, ID);
    await subscribe(BLOG);
    await unsubscribe(name);
    expect(await stores.subscriptions.countOfFeed(ID)).toBe(0);
  });

  it('goes by the name it was made with, even when that has come to mean another feed', async () => {
    const { subscribe, unsubscribe, stores } = await withBlog();
    await stores.feeds.register(NEW);
    await subscribe(NEW);
    await stores.subscriptions.move(feedIdOf(NEW), ID);
    await unsubscribe(NEW);
    expect(await stores.subscriptions.ofPerson(BARE)).toEqual([]);
  });

  it('is refused to those who are not subscribed', async () => {
    const { subscribe, unsubscribe } = await withBlog();
    await subscribe(BLOG, ROMEO);
    expect(await refusal(unsubscribe(BLOG, BARE))).toBe('not-subscribed');
    expect(await refusal(unsubscribe(FIREHOSE, BARE))).toBe('not-subscribed');
    await unsubscribe(BLOG, ROMEO);
    expect(await refusal(unsubscribe(BLOG, ROMEO))).toBe('not-subscribed');
  });

  it('is for oneself only', async () => {
    const { subscribe, unsubscribe, stores } = await withBlog();
    await subscribe(BLOG);
    expect(await refusal(unsubscribe(BLOG, BARE, 'mallory@example.net'))).toBe('forbidden');
    expect(await refusal(unsubscribe(BLOG, '@', BARE))).toBe('invalid-jid');
    expect(await stores.subscriptions.countOfFeed(ID)).toBe(1);
  });
});

describe('what one holds', () => {
  it('is shown for the bare JID, on all nodes or on one', async () => {
    const { subscribe, service, later } = await withBlog();
    const first = (await subscribe(BLOG, ROMEO)).subscription;
    later(1);
    const second = (await subscribe(FIREHOSE, BARE)).subscription;
    await subscribe(BLOG, 'juliet@example.net');
    expect(await service.subscriptions(`${BARE}/phone`)).toEqual([first, second]);
    expect(await service.subscriptions(BARE, NODE)).toEqual([first]);
    expect(await service.subscriptions(BARE, FIREHOSE)).toEqual([second]);
  });
});

describe('the items of a feed', () => {
  const withMany = async () => {
    const { stores, service } = bench();
    const many = Array.from({ length: 20 }, (_, i) => entryOf(`${i}`));
    await look(stores, BLOG, many);
    return service;
  };

  it('are the newest twenty unless asked otherwise, oldest first', async () => {
    const service = await withMany();
    const { feed, items } = await service.items({ node: NODE });
    expect(feed).toBe(ID);
    expect(ids(items)).toEqual(Array.from({ length: 20 }, (_, i) => `${19 - i}`));
    expect(ids((await service.items({ node: BLOG, max: 2 })).items)).toEqual(['1', '0']);
    expect((await service.items({ node: BLOG, max: 0 })).items).toEqual([]);
  });

  it('can be asked for by id; what there is not is left out', async () => {
    const service = await withMany();
    const [first, second] = (await service.items({ node: NODE, max: 2 })).items;
    const { items } = await service.items({ node: NODE, ids: [second!.id, 'nonsense', first!.id] });
    expect(items).toEqual([second, first]);
    expect((await service.items({ node: NODE, ids: [] })).items).toEqual([]);
  });

  it('have an empty source while the feed was never read', async () => {
    const { service, stores } = bench();
    await stores.feeds.register(BLOG);
    expect(await service.items({ node: BLOG })).toEqual({ feed: ID, items: [], page: { index: 0, count: 0 } });
  });
});

describe('the items of the firehose', () => {
  it('come oldest first, with their number as id and the feed they come from', async () => {
    const { service } = await withFirehose(3);
    const { feed, items } = await service.items({ node: FIREHOSE, max: 2 });
    expect(feed).toBe(FIREHOSE);
    expect(items.map(({ id, entry, url }) => [id, entry.id, url])).toEqual([
      ['000000000002', '2', BLOG],
      ['000000000003', '3', BLOG],
    ]);
    expect(items[0]).toMatchObject({ at: NOW, source: NO_SOURCE });
  });

  it('are twenty unless asked otherwise, and a hundred at most', async () => {
    const { service } = await withFirehose(120);
    expect((await service.items({ node: FIREHOSE })).items).toHaveLength(20);
    expect((await service.items({ node: FIREHOSE, max: 1_000_000 })).items).toHaveLength(100);
    expect((await service.items({ node: FIREHOSE, max: 0 })).items).toEqual([]);
    const wanted = Array.from({ length: 120 }, (_, i) => firehoseItemId(i + 1));
    expect((await service.items({ node: FIREHOSE, ids: wanted })).items).toHaveLength(100);
  });

  it('can be asked for by id; what there is not is left out', async () => {
    const { service } = await withFirehose(3);
    const wanted = [firehoseItemId(3), 'nonsense', firehoseItemId(99), firehoseItemId(1)];
    expect(ids((await service.items({ node: FIREHOSE, ids: wanted })).items)).toEqual(['3', '1']);
  });

  it('leave out what was quarantined', async () => {
    const { service, stores } = await withFirehose(3);
    const [place] = await stores.firehose.byNumber([2]);
    await stores.log.quarantine((await stores.log.at(place!.partition, place!.id))!, 'not-well-formed', 1);
    expect(ids((await service.items({ node: FIREHOSE })).items)).toEqual(['1', '3']);
  });

  it('are had in pages from where somebody stopped', async () => {
    const { service } = await withFirehose(5);
    const next = await service.items({ node: FIREHOSE, page: { limit: 2, after: firehoseItemId(2) } });
    expect(next).toMatchObject({ page: { index: 2, count: 5 } });
    expect(ids(next.items)).toEqual(['3', '4']);
    const gone = service.items({ node: FIREHOSE, page: { limit: 2, after: firehoseItemId(77) } });
    await expect(gone).rejects.toMatchObject({ code: 'item-not-found' });
  });
});
