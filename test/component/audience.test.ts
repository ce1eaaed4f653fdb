import { describe, expect, it } from '@jest/globals';
import type { Element } from '@xmpp/xml';
import fc from 'fast-check';
import { createAudiences } from '../../component/audience.js';
import { createEvents } from '../../component/event.js';
import type { Show } from '../../component/presence.js';
import { FIREHOSE, ownNodeIdOf, type Entry, type ItemId, type NodeKey, type Subscription } from '../../lib/domain.js';
import type { Options } from '../../lib/options.js';
import type { FeedStatus } from '../../lib/status.js';
import type { EntryRecord, LogRecord, NoticeRecord, PublishedRecord } from '../../lib/store/log.js';
import { ADMIN, ID, itemId, JULIET, NEW, NODE, NOW, withBlog } from '../support/service.js';
import { BLOG, entryOf, NO_SOURCE, openFeed, subscriptionOf } from '../support/stores.js';
import { attributesOf, stanzaIn } from '../support/xml.js';

const DOMAIN = 'feeds.example.net';
const ROMEO = 'romeo@example.net';
const MUSINGS = ownNodeIdOf('musings');

const place = (feed: NodeKey) => ({ partition: 0, id: `${NOW}-0`, feed: feed as EntryRecord['feed'] });

const entry = (parts: Partial<Entry> = {}, more: Partial<EntryRecord> = {}): EntryRecord => ({
  ...place(ID),
  kind: 'new',
  url: BLOG,
  item: itemId('a') as ItemId,
  entry: { ...entryOf('a', 'To be'), ...parts },
  source: { ...NO_SOURCE, title: { type: 'text', value: 'The Blog' } },
  ...more,
});

const published = (item: string, payload: string): PublishedRecord => ({
  ...place(MUSINGS),
  kind: 'published',
  item: item as ItemId,
  payload,
  publisher: ADMIN,
});

type Unplaced<R> = R extends NoticeRecord ? Omit<R, 'partition' | 'id' | 'feed'> : never;
const notice = (record: Unplaced<NoticeRecord>, feed: NodeKey = ID): NoticeRecord => ({ ...place(feed), ...record });

/** A blog and a node without a feed, both with nothing in them; `tell` gives what everybody is sent about one record. */
async function bench() {
  const one = await withBlog();
  const { stores, service, later } = one;
  await one.create('musings');
  const present = new Map<string, readonly Show[]>();
  const reads: NodeKey[] = [];
  const entered: string[] = [];
  let now = NOW;
  let pages: ((feed: NodeKey) => readonly (readonly Subscription[])[]) | undefined;
  const audiences = createAudiences({
    ...stores,
    subscriptions: {
      ...stores.subscriptions,
      async *ofFeed(feed) {
        reads.push(feed);
        if (pages) for (const page of pages(feed)) yield [...page];
        else yield* stores.subscriptions.ofFeed(feed);
      },
    },
    node: service.node,
    presences: { shows: (jid) => present.get(jid) ?? [] },
    rooms: {
      async ready(room) {
        entered.push(room);
      },
    },
    events: createEvents(DOMAIN, 61_440),
    configuration: ({ config }) => `<x xmlns='jabber:x:data' type='result'><title>${config.title}</title></x>`,
    now: () => now,
  });
  const tell = async (record: LogRecord, number?: number, audience = audiences()): Promise<Element[]> => {
    const told: Element[] = [];
    for await (const text of audience.stanzasFor(record, number)) told.push(stanzaIn(text));
    return told;
  };
  return {
    ...one,
    audiences,
    present,
    reads,
    entered,
    tell,
    later(ms: number) {
      now += ms;
      later(ms);
    },
    /** Subscribers come in these pages from now on. */
    paged: (read: typeof pages) => void (pages = read),
    /** Somebody subscribes who has said this. */
    async follow(options: Partial<Options> = {}, more: Partial<Subscription> = {}): Promise<Subscription> {
      const subscription = subscriptionOf(more.feed ?? ID, ROMEO, { options, ...more });
      await stores.subscriptions.put(subscription);
      return subscription;
    },
    /** Whom a record reaches. */
    reach: async (record: LogRecord, number?: number) => (await tell(record, number)).map(recipient),
  };
}

const recipient = (stanza: Element) => attributesOf(stanza)['to'];
const itemsIn = (stanza: Element) => stanza.getChild('event')!.getChild('items')!;
const subids = (stanza: Element) => headers(stanza, 'SubID');
const headers = (stanza: Element, name: string) =>
  (stanza.getChild('headers', 'http://jabber.org/protocol/shim')?.getChildren('header') ?? [])
    .filter(({ attrs }) => attrs['name'] === name)
    .map((header) => header.getText());
const stamp = (stanza: Element) => stanza.getChild('delay', 'urn:xmpp:delay')?.attrs['stamp'] as string | undefined;

const ENTRY = entry();
const PURGED = notice({ kind: 'purged' });
const RETRACTED = notice({ kind: 'retracted', items: ['1', '2'] as ItemId[] });

describe('a new entry', () => {
  it('reaches every subscriber, under the name that each uses, with nothing around it that nobody asked for', async () => {
    const { follow, tell } = await bench();
    await follow({}, { node: BLOG });
    await follow({}, { node: NODE, jid: `${JULIET}/balcony` });
    const [toJuliet, toRomeo, ...more] = await tell(ENTRY);
    expect(more).toEqual([]);
    expect(toJuliet!.attrs).toMatchObject({ from: DOMAIN, to: `${JULIET}/balcony`, type: 'headline' });
    expect(toRomeo!.attrs).toMatchObject({ from: DOMAIN, to: ROMEO, type: 'headline' });
    expect([toJuliet!, toRomeo!].map((stanza) => attributesOf(itemsIn(stanza))['node'])).toEqual([NODE, BLOG]);
    for (const stanza of [toJuliet!, toRomeo!]) {
      expect(stanza.getChildElements().map(({ name }) => name)).toEqual(['event']);
      const item = itemsIn(stanza).getChild('item')!;
      expect(item.attrs).toEqual({ id: itemId('a') });
      expect(item.getChild('entry')!.getChildText('title')).toBe('To be');
    }
  });

  it('has the same id in every attempt, another for each record', async () => {
    const { follow, tell } = await bench();
    await follow();
    const id = async (record: LogRecord) => (await tell(record))[0]!.attrs['id'] as string;
    expect(await id(ENTRY)).toBe(await id(ENTRY));
    expect(await id(entry({}, { id: `${NOW}-1` }))).not.toBe(await id(ENTRY));
    expect(await id(entry({}, { partition: 1 }))).not.toBe(await id(ENTRY));
  });

  it('reaches nobody when its node is no longer there', async () => {
    const { follow, reach, service } = await bench();
    await follow();
    await service.deleteNode({ requester: ADMIN, node: NODE });
    expect(await reach(ENTRY)).toEqual([]);
  });

  it('is named, not shown, to those who want no payload', async () => {
    const { follow, tell } = await bench();
    await follow({ payload: false });
    const item = itemsIn((await tell(ENTRY))[0]!).getChild('item')!;
    expect(item.attrs).toEqual({ id: itemId('a') });
    expect(item.children).toEqual([]);
  });

  it('says when it was committed as soon as that is more than a minute ago', async () => {
    const { follow, tell, later } = await bench();
    await follow();
    later(60_000);
    expect(stamp((await tell(ENTRY))[0]!)).toBeUndefined();
    later(1);
    expect(stamp((await tell(ENTRY))[0]!)).toBe(new Date(NOW).toISOString());
  });

  describe('that is found late', () => {
    const HOUR_MS = 3_600_000;
    const ago = (ms: number) => new Date(NOW - ms).toISOString();
    const stamps = async (parts: Partial<Entry>, kind: EntryRecord['kind'] = 'new', waited = 0) => {
      const { follow, tell, later } = await bench();
      await follow();
      await follow({}, { feed: FIREHOSE });
      later(waited);
      return (await tell(entry(parts, { kind }), 1)).map(stamp);
    };

    it.each<[string, Partial<Entry>]>([
      ['by when it was published', { published: ago(HOUR_MS + 1), updated: ago(0) }],
      ['by when it was updated, where that is all it says', { updated: ago(HOUR_MS + 1) }],
    ])('says when it came out: %s', async (_, parts) => {
      const old = ago(HOUR_MS + 1);
      expect(await stamps(parts)).toEqual([old, old]);
      expect(await stamps(parts, 'new', 90_000)).toEqual([old, old]);
      expect(await stamps(parts, 'first')).toEqual([old, old]);
    });

    it.each<[string, Partial<Entry>]>([
      ['it came out within the hour', { published: ago(HOUR_MS) }],
      ['it is from the future', { published: ago(-HOUR_MS) }],
      ['it says nothing', {}],
      ['it says nothing that is a date', { published: 'yesterday' }],
    ])('says only when it was committed, and only if it has waited, when %s', async (_, parts) => {
      expect(await stamps(parts)).toEqual([undefined, undefined]);
      expect(await stamps(parts, 'new', 90_000)).toEqual([ago(0), ago(0)]);
    });

    it.each<[string, Partial<Entry>, string | undefined]>([
      ['counts from its own date', { published: ago(9 * HOUR_MS), updated: ago(2 * HOUR_MS) }, ago(2 * HOUR_MS)],
      ['is no old find when it is new', { published: ago(9 * HOUR_MS), updated: ago(1_000) }, undefined],
      ['is no old find when only its entry is old', { published: ago(9 * HOUR_MS) }, undefined],
      [
        'is no old find when its date is still that of its entry',
        { published: ago(9 * HOUR_MS), updated: ago(9 * HOUR_MS) },
        undefined,
      ],
    ])('as an edit %s', async (_, parts, expected) => {
      expect(await stamps(parts, 'edited')).toEqual([expected, expected]);
    });
  });

  it('that was there before its subscriber says so at once', async () => {
    const { follow, tell } = await bench();
    await follow();
    expect(stamp((await tell(entry({}, { kind: 'first' })))[0]!)).toBe(new Date(NOW).toISOString());
  });
});

describe('a subscription', () => {
  it.each<[string, Partial<Subscription>]>([
    ['waits for approval', { state: 'pending' }],
    ['has no notifications', { options: { deliver: false } }],
    ['has run out', { options: { expire: NOW } }],
  ])('that %s is told nothing', async (_, more) => {
    const { follow, reach } = await bench();
    await follow({}, more);
    await follow({}, { jid: JULIET });
    const status: FeedStatus = { state: 'moved', to: NEW };
    for (const record of [ENTRY, PURGED, RETRACTED, notice({ kind: 'status', url: BLOG, status })]) {
      expect(await reach(record)).toEqual([JULIET]);
    }
  });

  it('that ends with presence, or later, is told', async () => {
    const { follow, reach } = await bench();
    await follow({ expire: 'presence' });
    await follow({ expire: NOW + 1 }, { jid: JULIET });
    expect(await reach(ENTRY)).toEqual([JULIET, ROMEO]);
  });

  it('is as the node is configured where its subscriber has said nothing', async () => {
    const { follow, tell, configure } = await bench();
    await configure(NODE, { notification_type: 'normal', deliver_payloads: '0' });
    await follow();
    await follow({ messageType: 'headline', payload: true }, { jid: JULIET });
    const [toJuliet, toRomeo] = await tell(ENTRY);
    expect([toJuliet!.attrs['type'], toRomeo!.attrs['type']]).toEqual(['headline', 'normal']);
    const shown = [toJuliet!, toRomeo!].map((stanza) => itemsIn(stanza).getChild('item')!.children.length);
    expect(shown).toEqual([1, 0]);
  });

  it('with a filter is told of entries that match, and of everything that is no entry', async () => {
    const { follow, reach } = await bench();
    await follow({ filter: '"to be" -not' });
    expect(await reach(ENTRY)).toEqual([ROMEO]);
    expect(await reach(entry({ title: { type: 'text', value: 'Not to be' } }))).toEqual([]);
    expect(await reach(RETRACTED)).toEqual([ROMEO]);
  });

  it('with a filter is told of what people publish by its words', async () => {
    const { follow, reach } = await bench();
    await follow({ filter: 'hydrant' }, { feed: MUSINGS });
    expect(await reach(published('1', '<a>A red <b>hydrant</b></a>'))).toEqual([ROMEO]);
    expect(await reach(published('1', '<hydrant/>'))).toEqual([]);
  });

  it('with a body has what chat clients show', async () => {
    const { follow, tell } = await bench();
    await follow({ includeBody: true });
    const links = [{ rel: 'alternate', href: 'https://blog.example/a' }];
    const record = entry({ links, summary: { type: 'html', value: '<p>That is <b>the</b> question</p>' } });
    const [stanza] = await tell(record);
    expect(stanza!.getChildText('body')).toBe('To be\nThat is the question\nhttps://blog.example/a');
    expect(stanza!.attrs['from']).toBe(DOMAIN);
  });

  it('as a chat comes from an address that clients show as a conversation', async () => {
    const { follow, tell } = await bench();
    await follow({ messageType: 'chat', includeBody: true });
    expect((await tell(ENTRY))[0]!.attrs).toMatchObject({ from: `news@${DOMAIN}`, type: 'chat' });
    expect((await tell(PURGED))[0]!.attrs).toMatchObject({ from: DOMAIN, type: 'chat' });
  });
});

describe('a chat room', () => {
  it('is told as text, by somebody who is in it, whatever was asked for', async () => {
    const { follow, tell, entered } = await bench();
    await follow({ messageType: 'headline', includeBody: false }, { room: true });
    const [stanza] = await tell(entry({ links: [{ rel: 'alternate', href: 'https://blog.example/a' }] }));
    expect(stanza!.attrs).toMatchObject({ from: `news@${DOMAIN}/hydrant`, to: ROMEO, type: 'groupchat' });
    expect(stanza!.getChildElements().map(({ name }) => name)).toEqual(['body']);
    expect(stanza!.getChildText('body')).toBe('To be\nhttps://blog.example/a');
    expect(entered).toEqual([ROMEO]);
  });

  it('is not told what is no text', async () => {
    const { follow, tell, entered } = await bench();
    await follow({}, { room: true });
    for (const record of [RETRACTED, PURGED]) expect(await tell(record)).toEqual([]);
    expect(entered).toEqual([]);
  });
});

describe('a digest', () => {
  it('holds items instead of sending them, by their place in the log', async () => {
    const { follow, reach, stores } = await bench();
    const key = await follow({ digest: true, digestFrequency: 5_000 });
    expect(await reach(ENTRY)).toEqual([]);
    expect(await reach(ENTRY)).toEqual([]);
    expect(await reach(entry({}, { id: `${NOW}-1` }))).toEqual([]);
    expect(await stores.digests.held(key, 10)).toEqual([`${NOW}-0`, `${NOW}-1`]);
  });

  it('is due when its first item has waited as long as its subscriber wants', async () => {
    const { follow, reach, stores, later } = await bench();
    await follow({ digest: true, digestFrequency: 5_000 });
    await reach(ENTRY);
    later(4_999);
    expect(await stores.digests.due(10)).toEqual([]);
    later(1);
    expect(await stores.digests.due(10)).toHaveLength(1);
  });

  it('of the firehose holds items by their number', async () => {
    const { follow, reach, stores } = await bench();
    const key = await follow({ digest: true }, { feed: FIREHOSE });
    expect(await reach(ENTRY, 7)).toEqual([]);
    expect(await stores.digests.held(key, 10)).toEqual(['000000000007']);
  });

  it.each<[string, Partial<Options>]>([
    ['that does not match', { filter: 'hydrant' }],
    ['when notifications are off', { deliver: false }],
    ['when it has run out', { expire: NOW }],
  ])('holds nothing %s', async (_, options) => {
    const { follow, reach, stores } = await bench();
    const key = await follow({ digest: true, ...options });
    await reach(ENTRY);
    expect(await stores.digests.held(key, 10)).toEqual([]);
  });

  it('collects while its subscriber is away, and counts nothing against a limit', async () => {
    const { follow, reach, stores } = await bench();
    const key = await follow({ digest: true, showValues: ['online'], dailyLimit: 1 });
    for (const n of [0, 1, 2]) await reach(entry({}, { id: `${NOW}-${n}` }));
    expect(await stores.digests.held(key, 10)).toHaveLength(3);
  });

  it('holds only items: everything else is told at once', async () => {
    const { follow, reach, stores } = await bench();
    const key = await follow({ digest: true });
    const status: FeedStatus = { state: 'moved', to: NEW };
    for (const record of [RETRACTED, PURGED, notice({ kind: 'status', url: BLOG, status })]) {
      expect(await reach(record)).toEqual([ROMEO]);
    }
    const event = await follow({ digest: true }, { feed: MUSINGS });
    expect(await reach(published('', ''))).toEqual([ROMEO]);
    for (const one of [key, event]) expect(await stores.digests.held(one, 10)).toEqual([]);
  });
});

describe('a daily limit', () => {
  it('lets so many through, the same ones however often they are tried', async () => {
    const { follow, reach } = await bench();
    await follow({ dailyLimit: 2 });
    const day = async () => {
      const reached = [];
      for (const n of [0, 1, 2]) reached.push((await reach(entry({}, { id: `${NOW}-${n}` }))).length);
      return reached;
    };
    expect(await day()).toEqual([1, 1, 0]);
    expect(await day()).toEqual([1, 1, 0]);
  });

  it('begins anew every day', async () => {
    const { follow, reach, later } = await bench();
    await follow({ dailyLimit: 1 });
    await reach(ENTRY);
    expect(await reach(entry({}, { id: `${NOW}-1` }))).toEqual([]);
    later(86_400_000);
    expect(await reach(entry({}, { id: `${NOW}-2` }))).toEqual([ROMEO]);
  });

  it('counts only what would have been sent', async () => {
    const { follow, reach, present } = await bench();
    await follow({ dailyLimit: 1, filter: '-secret', showValues: ['online'] });
    await reach(entry({}, { id: `${NOW}-1` }));
    present.set(ROMEO, ['online']);
    await reach(entry({ title: { type: 'text', value: 'Secret' } }, { id: `${NOW}-2` }));
    await reach(RETRACTED);
    expect(await reach(entry({}, { id: `${NOW}-3` }))).toEqual([ROMEO]);
    expect(await reach(entry({}, { id: `${NOW}-4` }))).toEqual([]);
    expect(await reach(RETRACTED)).toEqual([ROMEO]);
  });

  it('is that of one subscription', async () => {
    const { follow, reach } = await bench();
    await follow({ dailyLimit: 1 });
    await follow({ dailyLimit: 1 }, { feed: FIREHOSE });
    await follow({ dailyLimit: 1 }, { jid: JULIET });
    expect(await reach(ENTRY, 1)).toEqual([JULIET, ROMEO, ROMEO]);
    expect(await reach(entry({}, { id: `${NOW}-1` }), 2)).toEqual([]);
  });
});

describe('presence', () => {
  it.each<[readonly Show[], boolean, readonly Show[], boolean]>([
    [[], false, [], true],
    [[], true, [], false],
    [[], true, ['dnd'], true],
    [['chat', 'online'], false, [], false],
    [['chat', 'online'], false, ['away'], false],
    [['chat', 'online'], false, ['away', 'chat'], true],
    [['dnd'], true, ['online'], false],
    [['dnd'], true, ['dnd'], true],
  ])('wanted %j, demanded by the node: %s, there: %j: told %s', async (showValues, demanded, there, isTold) => {
    const { follow, reach, present, configure } = await bench();
    await configure(NODE, { presence_based_delivery: demanded ? '1' : '0' });
    await follow({ showValues });
    present.set(ROMEO, there);
    for (const record of [ENTRY, PURGED]) expect(await reach(record)).toEqual(isTold ? [ROMEO] : []);
  });

  it('is that of the JID that is subscribed', async () => {
    const { follow, reach, present } = await bench();
    await follow({ showValues: ['online'] }, { jid: `${ROMEO}/orchard` });
    present.set(`${ROMEO}/garden`, ['online']);
    expect(await reach(ENTRY)).toEqual([]);
    present.set(`${ROMEO}/orchard`, ['online']);
    expect(await reach(ENTRY)).toEqual([`${ROMEO}/orchard`]);
  });
});

describe('several subscriptions of one JID', () => {
  it('make one message, that names those that it is for', async () => {
    const { follow, tell } = await bench();
    await follow({}, { subid: 'a' });
    await follow({ filter: 'hydrant' }, { subid: 'b' });
    await follow({ digest: true }, { subid: 'c' });
    await follow({ filter: 'be' }, { subid: 'd' });
    await follow({}, { subid: 'e', jid: `${ROMEO}/orchard` });
    const told = await tell(ENTRY);
    expect(told.map((stanza) => [recipient(stanza), subids(stanza)])).toEqual([
      [ROMEO, ['a', 'd']],
      [`${ROMEO}/orchard`, []],
    ]);
    expect(told[0]!.getChildElements().at(-1)!.name).toBe('headers');
  });

  it('make none when it is for none of them', async () => {
    const { follow, reach } = await bench();
    await follow({ deliver: false }, { subid: 'a' });
    await follow({ digest: true }, { subid: 'b' });
    expect(await reach(ENTRY)).toEqual([]);
  });

  it('name the one that it is for, too, when it is only one', async () => {
    const { follow, tell } = await bench();
    await follow({ deliver: false }, { subid: 'a', node: NODE });
    await follow({}, { subid: 'b', node: BLOG });
    const [stanza] = await tell(ENTRY);
    expect(subids(stanza!)).toEqual(['b']);
    expect(itemsIn(stanza!).attrs['node']).toBe(BLOG);
  });

  it('name none where it is all the same to all of them', async () => {
    const { follow, tell } = await bench();
    for (const subid of ['a', 'b']) await follow({}, { subid });
    expect((await tell(PURGED)).map(subids)).toEqual([[]]);
    expect((await tell(RETRACTED)).map(subids)).toEqual([['a', 'b']]);
  });

  it.each<[string, readonly Partial<Options>[], { type: string; payload: boolean; body: boolean }]>([
    [
      'the most urgent type',
      [{ messageType: 'normal' }, { messageType: 'chat' }, {}],
      { type: 'chat', payload: true, body: false },
    ],
    [
      'a normal message rather than a headline',
      [{}, { messageType: 'normal' }],
      { type: 'normal', payload: true, body: false },
    ],
    ['a payload', [{ payload: false }, { payload: true }], { type: 'headline', payload: true, body: false }],
    ['no payload', [{ payload: false }, { payload: false }], { type: 'headline', payload: false, body: false }],
    ['a body', [{ includeBody: true }, {}], { type: 'headline', payload: true, body: true }],
    [
      'nothing of what it is not for',
      [{ messageType: 'chat', includeBody: true, filter: 'hydrant' }, { payload: false }],
      { type: 'headline', payload: false, body: false },
    ],
  ])('together get %s', async (_, all, { type, payload, body }) => {
    const { follow, tell } = await bench();
    for (const [i, options] of all.entries()) await follow(options, { subid: `${i}` });
    const [stanza, ...more] = await tell(ENTRY);
    expect(more).toEqual([]);
    expect(stanza!.attrs['type']).toBe(type);
    expect(itemsIn(stanza!).getChild('item')!.children).toHaveLength(payload ? 1 : 0);
    expect(stanza!.getChild('body') !== undefined).toBe(body);
  });

  it('are one message wherever the pages of the list end', async () => {
    const { tell, paged } = await bench();
    const list = ['a@x', 'b@x', 'b@x', 'b@x', 'c@x', 'd@x', 'd@x'].map((jid, i) =>
      subscriptionOf(ID, jid, { subid: `${i}` }),
    );
    const CUTS = fc.array(fc.nat(list.length), { maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(CUTS, async (cuts) => {
        const edges = [0, ...cuts.sort((a, b) => a - b), list.length];
        paged(() => edges.slice(1).map((edge, i) => list.slice(edges[i], edge)));
        expect((await tell(ENTRY)).map((stanza) => [recipient(stanza), ...subids(stanza)])).toEqual([
          ['a@x'],
          ['b@x', '1', '2', '3'],
          ['c@x'],
          ['d@x', '5', '6'],
        ]);
      }),
      { numRuns: 50 },
    );
  });
});

describe('a node that sends no notifications', () => {
  it('tells nothing, holds nothing and counts nothing', async () => {
    const { follow, reach, configure, stores } = await bench();
    const digest = await follow({ digest: true });
    const limited = await follow({ dailyLimit: 1 }, { jid: JULIET });
    await configure(NODE, { deliver_notifications: '0' });
    const status: FeedStatus = { state: 'moved', to: NEW };
    for (const record of [ENTRY, PURGED, notice({ kind: 'status', url: BLOG, status })]) {
      expect(await reach(record)).toEqual([]);
    }
    expect(await stores.digests.held(digest, 10)).toEqual([]);
    expect(await stores.limits.allow(limited, 'other', 1)).toBe(true);
  });

  it('keeps nothing from those who drink the firehose', async () => {
    const { follow, reach, configure } = await bench();
    await follow();
    await follow({}, { feed: FIREHOSE, jid: JULIET });
    await configure(NODE, { deliver_notifications: '0' });
    expect(await reach(ENTRY, 1)).toEqual([JULIET]);
  });
});

describe('the firehose', () => {
  it('carries what has a number, after the node, under the number, with the feed it comes from', async () => {
    const { follow, tell } = await bench();
    await follow();
    await follow({}, { feed: FIREHOSE });
    const [plain, numbered, ...more] = await tell(ENTRY, 7);
    expect(more).toEqual([]);
    expect(headers(plain!, 'Collection')).toEqual([]);
    expect(headers(numbered!, 'Collection')).toEqual([FIREHOSE]);
    expect(numbered!.attrs['id']).not.toBe(plain!.attrs['id']);
    expect(itemsIn(numbered!).attrs['node']).toBe(FIREHOSE);
    const item = itemsIn(numbered!).getChild('item')!;
    expect(item.attrs['id']).toBe('000000000007');
    expect(item.getChild('entry')!.getChild('source')!.getChildText('title')).toBe('The Blog');
    expect(itemsIn(plain!).getChild('item')!.getChild('entry')!.getChild('source')).toBeUndefined();
  });

  it('carries nothing else', async () => {
    const { follow, reach } = await bench();
    await follow({}, { feed: FIREHOSE });
    for (const record of [ENTRY, PURGED, published('1', '<a/>')]) expect(await reach(record)).toEqual([]);
  });

  it('takes entries of nodes that are open to everybody', async () => {
    const { audiences, configure } = await bench();
    const isPublic = async (access: string) => {
      await configure(NODE, { access_model: access });
      return audiences().isPublic(ID);
    };
    expect([await isPublic('open'), await isPublic('authorize'), await isPublic('whitelist')]).toEqual([
      true,
      false,
      false,
    ]);
    expect(await audiences().isPublic(ownNodeIdOf('nowhere'))).toBe(false);
  });
});

describe('subscribers are told', () => {
  it('what people have published, with who it was', async () => {
    const { follow, tell } = await bench();
    await follow({ includeBody: true }, { feed: MUSINGS, node: 'musings' });
    const [stanza] = await tell(published('current', '<a xmlns="urn:a">b</a>'));
    const item = itemsIn(stanza!).getChild('item')!;
    expect(item.attrs).toEqual({ id: 'current', publisher: ADMIN });
    expect(item.getChild('a', 'urn:a')!.getText()).toBe('b');
    expect(stanza!.getChild('body')).toBeUndefined();
  });

  it('what people have published twice within a millisecond, each as it was', async () => {
    const { follow, tell, audiences } = await bench();
    await follow({}, { feed: MUSINGS });
    const audience = audiences();
    const words = async (payload: string) =>
      itemsIn((await tell(published('current', payload), undefined, audience))[0]!)
        .getChild('item')!
        .getChildText('a');
    expect([await words('<a>1</a>'), await words('<a>2</a>')]).toEqual(['1', '2']);
  });

  it('that something has happened, where that is all there is', async () => {
    const { follow, tell } = await bench();
    await follow({}, { feed: MUSINGS, node: 'musings' });
    const [stanza] = await tell(published('', ''));
    expect(itemsIn(stanza!).attrs).toEqual({ node: 'musings' });
    expect(itemsIn(stanza!).children).toEqual([]);
  });

  it('which items were retracted', async () => {
    const { follow, tell } = await bench();
    await follow({}, { node: BLOG });
    const items = itemsIn((await tell(RETRACTED))[0]!);
    expect(items.attrs['node']).toBe(BLOG);
    expect(items.getChildElements().map((one) => [one.name, attributesOf(one)['id']])).toEqual([
      ['retract', '1'],
      ['retract', '2'],
    ]);
  });

  it('which items were retracted in more than one message, when they are too many for one', async () => {
    const { follow, tell } = await bench();
    await follow();
    const items = Array.from({ length: 1_000 }, (_, n) => `${n}${'"'.repeat(250)}`) as ItemId[];
    const told = await tell(notice({ kind: 'retracted', items }));
    const retracted = told
      .flatMap((stanza) => itemsIn(stanza).getChildren('retract'))
      .map((one) => attributesOf(one)['id']);
    expect(retracted).toEqual(items);
    expect(new Set(told.map((one) => attributesOf(one)['id'])).size).toBe(told.length);
    for (const stanza of told) expect(Buffer.byteLength(stanza.toString())).toBeLessThan(61_440);
  });

  it('that a node was purged', async () => {
    const { follow, tell } = await bench();
    await follow({}, { node: BLOG });
    expect((await tell(PURGED))[0]!.getChild('event')!.getChild('purge')!.attrs).toEqual({ node: BLOG });
  });

  it.each([
    ['1', ['x']],
    ['0', []],
  ])('that a node was configured, and how where payloads are sent: %s', async (payloads, children) => {
    const { follow, tell, configure } = await bench();
    await configure(NODE, { title: 'Ours', deliver_payloads: payloads });
    await follow({}, { node: BLOG });
    const told = (await tell(notice({ kind: 'configured' })))[0]!.getChild('event')!.getChild('configuration')!;
    expect(told.attrs).toEqual({ node: BLOG });
    expect(told.getChildElements().map(({ name }) => name)).toEqual(children);
  });
});

describe('the state of a feed', () => {
  const failure = { reason: 'http-status', text: 'The server answered 503', status: 503 } as const;
  const since = NOW - 1_000;
  const STATES: readonly (readonly [FeedStatus, readonly string[], RegExp])[] = [
    [{ state: 'failing', since, failure, lasting: false }, ['all'], /^https:.* cannot be read since .*503$/],
    [
      { state: 'failing', since, failure, lasting: false, next: NOW + 60_000 },
      ['all'],
      /503; next try at 2027-01-15T08:01:00.000Z$/,
    ],
    [{ state: 'failing', since, failure, lasting: true }, ['all', 'errors'], /cannot be read since/],
    [{ state: 'well', since, lasting: false }, ['all'], /can be read again/],
    [{ state: 'well', since, lasting: true }, ['all', 'errors'], /can be read again/],
    [{ state: 'gone', failure }, ['all', 'errors'], /is gone: The server answered 503$/],
    [{ state: 'moved', to: NEW }, ['all', 'errors'], /has moved to https:\/\/new\.example\/rss/],
  ];

  it.each(STATES)('%j is for those who want %j', async (status, wanted, words) => {
    const { follow, tell } = await bench();
    for (const want of ['all', 'errors', 'none'] as const) {
      await follow({ status: want, includeBody: true }, { jid: `${want}@example.net` });
    }
    const told = await tell(notice({ kind: 'status', url: BLOG, status }));
    expect(told.map(recipient)).toEqual(wanted.map((want) => `${want}@example.net`));
    for (const stanza of told) {
      expect(stanza.getChild('event')).toBeUndefined();
      expect(stanza.getChildText('body')).toMatch(words);
      const element = stanza.getChild('status', 'http://superfeedr.com/xmpp-pubsub-ext')!;
      expect(element.attrs).toEqual({
        ...{ xmlns: 'http://superfeedr.com/xmpp-pubsub-ext', feed: BLOG, state: status.state },
        ...('since' in status && { since: '2027-01-15T07:59:59.000Z' }),
        ...('next' in status && { next: '2027-01-15T08:01:00.000Z' }),
        ...('to' in status && { to: NEW }),
      });
    }
  });
});

describe('a node that was deleted', () => {
  /** Deletes the blog, and tells those who followed it. */
  const deleted = async (
    one: Awaited<ReturnType<typeof bench>>,
    how: Parameters<typeof one.stores.nodes.delete>[1],
  ) => {
    const { stores, tell } = one;
    await stores.nodes.delete(ID, how);
    const records = await stores.log.read(stores.log.partitionOf(ID), '0', 100);
    return tell(records.find(({ kind }) => kind === 'deleted')!);
  };

  it('is gone for all who followed it, and for those who waited', async () => {
    const one = await bench();
    await one.follow({ digest: true, status: 'none' }, { node: BLOG });
    await one.follow({}, { jid: JULIET, state: 'pending' });
    await one.follow({ deliver: false }, { jid: 'nurse@example.net' });
    const told = await deleted(one, { announce: true });
    expect(told.map(recipient)).toEqual([JULIET, ROMEO]);
    const element = told[1]!.getChild('event')!.getChild('delete')!;
    expect(element.attrs).toEqual({ node: BLOG });
    expect(element.children).toEqual([]);
  });

  it('says where it is to be found now, if it is', async () => {
    const one = await bench();
    await one.follow();
    const uri = 'xmpp:pubsub.example.org?;node=blog&x=\'"<';
    const [stanza] = await deleted(one, { announce: true, successor: { uri } });
    expect(stanza!.getChild('event')!.getChild('delete')!.getChild('redirect')!.attrs).toEqual({ uri });
  });

  it('says nothing when it should not', async () => {
    const one = await bench();
    await one.follow();
    expect(await deleted(one, { announce: false })).toEqual([]);
  });

  it('for another one of ours was no end for its followers: they hear that the feed has moved', async () => {
    const one = await bench();
    const other = await openFeed(one.stores, NEW);
    await one.follow({ includeBody: true }, { node: BLOG });
    await one.follow({ status: 'none' }, { jid: JULIET });
    await one.follow({}, { jid: 'nurse@example.net', state: 'pending' });
    const [stanza, ...more] = await deleted(one, { announce: true, successor: { node: other } });
    expect(more).toEqual([]);
    expect(stanza!.attrs['to']).toBe(ROMEO);
    expect(stanza!.getChild('event')).toBeUndefined();
    expect(stanza!.getChildText('body')).toMatch(`has moved to ${NEW}`);
    expect(stanza!.getChild('status')!.attrs).toMatchObject({ state: 'moved', to: NEW });
  });

  it('for another one that is gone as well is gone', async () => {
    const one = await bench();
    await one.follow();
    const [stanza] = await deleted(one, { announce: true, successor: { node: ownNodeIdOf('nowhere') } });
    expect(stanza!.getChild('event')!.getChild('delete')).toBeDefined();
  });
});

describe('a list of subscribers', () => {
  it('is read once for a run of records, and again for the next run', async () => {
    const { follow, tell, reads, audiences } = await bench();
    await follow();
    const audience = audiences();
    for (const n of [0, 1, 2]) await tell(entry({}, { id: `${NOW}-${n}` }), n + 1, audience);
    expect(reads).toEqual([ID, FIREHOSE]);
    await follow({}, { jid: JULIET });
    expect(await tell(ENTRY, undefined, audience)).toHaveLength(1);
    expect(await tell(ENTRY)).toHaveLength(2);
  });

  it('that is long is not kept', async () => {
    const { tell, paged, audiences, reads } = await bench();
    paged((feed) => [[subscriptionOf(feed, 'a@x')], [subscriptionOf(feed, 'b@x')]]);
    const audience = audiences();
    for (let n = 0; n < 3; n++) expect(await tell(ENTRY, undefined, audience)).toHaveLength(2);
    expect(reads).toEqual([ID, ID, ID]);
  });
});

describe('whatever is in it', () => {
  // What comes from strangers through an XML parser, or out of feeds that were made fit for XML.
  const legal = (text: string) => text.replace(/[^\t\n\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '');
  const hostile = fc
    .array(
      fc.oneof(
        fc.string({ unit: 'binary', maxLength: 10 }),
        fc.constantFrom(
          '<',
          '>',
          '&',
          "'",
          '"',
          ']]>',
          '<!--',
          '&amp;',
          '</message>',
          "' to='",
          '\u202e',
          '\u0085',
          '\t',
          '\n',
        ),
      ),
      { maxLength: 8 },
    )
    .map((parts) => legal(parts.join('')));
  const text = hostile.filter((one) => one !== '');

  it('a message is one well-formed stanza, to whom it is for, with what was meant', async () => {
    const { tell, paged } = await bench();
    const jid = fc.tuple(fc.constantFrom('a@x', 'b@y.example'), text).map(([bare, resource]) => `${bare}/${resource}`);
    await fc.assert(
      fc.asyncProperty(jid, text, text, text, text, async (to, node, subid, id, words) => {
        const options = { includeBody: true, messageType: 'chat' } as const;
        const mine = (feed: NodeKey) => [
          subscriptionOf(feed, to, { node, subid, options }),
          subscriptionOf(feed, to, { node, subid: `${subid}2`, options }),
        ];
        paged((feed) => [mine(feed)]);
        const href = `https://blog.example/?${words}`;
        const record = entry(
          {
            id,
            title: { type: 'text', value: words },
            links: [{ rel: 'alternate', href }],
            summary: { type: 'html', value: words },
          },
          { item: id as ItemId },
        );
        const told = [
          ...(await tell(record, 1)),
          ...(await tell(published(id, '<a/>'))),
          ...(await tell(notice({ kind: 'retracted', items: [id] as ItemId[] }))),
          ...(await tell(PURGED)),
          ...(await tell(notice({ kind: 'configured' }))),
          ...(await tell(notice({ kind: 'status', url: BLOG, status: { state: 'moved', to: href as typeof BLOG } }))),
        ];
        expect(told).toHaveLength(7);
        const seen = (value: string) => value.replace(/[\t\n]/g, ' ');
        for (const stanza of told) {
          expect(seen(String(stanza.attrs['to']))).toBe(seen(to));
          const inside = stanza.getChild('event')?.getChildElements()[0];
          if (inside) expect(seen(String(inside.attrs['node']))).toBe(seen(node));
          for (const one of subids(stanza)) expect([subid, `${subid}2`]).toContain(one);
        }
        for (const stanza of [told[0]!, told[2]!, told[3]!]) {
          expect(seen(String(itemsIn(stanza).getChildElements()[0]!.attrs['id']))).toBe(seen(id));
        }
      }),
      { numRuns: 300 },
    );
  });

  it('a body that no XML can carry goes out without what cannot be', async () => {
    const { tell, follow } = await bench();
    await follow({ includeBody: true });
    const [stanza] = await tell(entry({ title: { type: 'text', value: 'a\u0001b\ufffec\ud800d' } }));
    expect(stanza!.getChildText('body')).toBe('abcd');
    const failure = { reason: 'tls', text: 'a\u000bb' } as const;
    const [status] = await tell(notice({ kind: 'status', url: BLOG, status: { state: 'gone', failure } }));
    expect(status!.getChild('status')!.getChildText('http')).toBe('ab');
  });
});
