import { describe, expect, it } from '@jest/globals';
import { feedIdOf, FIREHOSE, parseFeedUrl } from '../../../lib/domain.js';
import type { Notice } from '../../../lib/pubsub/subscriber.js';
import {
  ADMIN,
  BARE,
  bench,
  DAY_MS,
  form,
  ID,
  idsOf,
  JULIET,
  LOCKED_ROOM,
  NEW,
  NODE,
  NOW,
  PAGE,
  refusal,
  ROMEO,
  ROOM,
  withBlog,
  withFirehose,
} from '../../support/service.js';
import { BLOG, NO_SOURCE } from '../../support/stores.js';
import { firehoseItemId } from '../../../lib/store/firehose.js';

const PHONE = `${BARE}/phone`;

/** The items that somebody is sent because they have come. */
const latest = (notices: readonly Notice[]) =>
  notices.flatMap((notice) => (notice.kind === 'latest' ? [notice.item] : []));

/** Who is told what. */
const told = (notices: readonly Notice[]) =>
  notices.flatMap((notice) => {
    if (notice.kind === 'latest') return [];
    return `${notice.to} ${notice.kind === 'subscription' ? notice.state : notice.kind}`;
  });

const iso = (ms: number) => new Date(ms).toISOString();

describe('subscribing', () => {
  it('is answered with the subscription under the name that was used, and the latest entry', async () => {
    const { subscribe, stores } = await withBlog();
    const { subscription, notices } = await subscribe(BLOG, ROMEO);
    const state = 'subscribed';
    expect(subscription).toEqual({ feed: ID, jid: ROMEO, subid: 'id1', node: BLOG, since: NOW, state, options: {} });
    expect(idsOf(latest(notices))).toEqual(['b']);
    expect(latest(notices)[0]).toMatchObject({ at: NOW, url: BLOG, source: NO_SOURCE });
    expect(await stores.subscriptions.get(subscription)).toEqual(subscription);
  });

  it('to a known feed does not look at it', async () => {
    const { subscribe, looked } = await withBlog();
    await subscribe(BLOG);
    await subscribe(NODE, JULIET);
    expect(looked).toEqual([]);
  });

  it('to a URL that nobody follows yet looks at it first', async () => {
    const { subscribe, looked } = bench();
    const { subscription, notices } = await subscribe(NEW);
    expect(looked).toEqual([NEW]);
    expect(subscription).toMatchObject({ feed: feedIdOf(NEW), node: NEW });
    expect(idsOf(latest(notices))).toEqual(['latest']);
  });

  it('to a page follows the feed that the page names, under the name of the page', async () => {
    const { subscribe, service, looked } = bench();
    const { subscription } = await subscribe(PAGE);
    expect(subscription).toMatchObject({ feed: ID, node: PAGE });
    await subscribe(PAGE, JULIET);
    expect(looked).toEqual([PAGE]);
    expect(await service.describe(PAGE, BARE)).toMatchObject({ node: { id: ID }, subscribers: 2 });
  });

  it('to a URL that is slow succeeds, and the rest follows', async () => {
    const { subscribe, stores } = bench();
    const { subscription, notices } = await subscribe('https://slow.example/');
    expect(notices).toEqual([]);
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

  it('to a node that takes no subscriptions is refused', async () => {
    const { subscribe, create } = bench();
    await create('musings', { subscribe: '0' });
    const asked = subscribe('musings');
    expect(await refusal(asked)).toBe('unsupported');
    await expect(asked).rejects.toMatchObject({ feature: 'subscribe' });
  });

  it('is for oneself only', async () => {
    const { subscribe, stores } = await withBlog();
    for (const jid of [JULIET, 'romeo@example.net.example', 'example.net', ROOM]) {
      expect(await refusal(subscribe(BLOG, jid, ROMEO))).toBe('invalid-jid');
    }
    expect(await refusal(subscribe(BLOG, '@', ROMEO))).toBe('invalid-jid');
    expect(await stores.subscriptions.countOfFeed(ID)).toBe(0);
  });

  it('of chat rooms is for admins, who can subscribe nobody else either', async () => {
    const { subscribe, unsubscribe } = await withBlog();
    expect((await subscribe(BLOG, ROOM, ADMIN)).subscription).toMatchObject({ jid: ROOM, room: true });
    for (const jid of [JULIET, `${ROOM}/juliet`])
      expect(await refusal(subscribe(BLOG, jid, ADMIN))).toBe('invalid-jid');
    expect(await refusal(unsubscribe(BLOG, ROOM, ROMEO))).toBe('forbidden');
    const { notices } = await unsubscribe(BLOG, ROOM, ADMIN);
    expect(told(notices)).toEqual([`${ROOM} none`]);
  });

  it('of a chat room is refused when it does not let us in', async () => {
    const { subscribe, stores } = await withBlog();
    expect(await refusal(subscribe(BLOG, LOCKED_ROOM, ADMIN))).toBe('not-allowed');
    expect(await stores.subscriptions.countOfFeed(ID)).toBe(0);
  });

  it('may name the bare JID, this resource or another of the same person, in any spelling', async () => {
    const { subscribe, stores } = await withBlog();
    for (const jid of ['Romeo@EXAMPLE.net', ROMEO, PHONE]) await subscribe(BLOG, jid, ROMEO);
    const jids = (await stores.subscriptions.ofPerson(BARE)).map(({ jid }) => jid);
    expect(jids.sort()).toEqual([BARE, ROMEO, PHONE]);
  });

  it('to the firehose gives its latest entry', async () => {
    const { subscribe } = await withFirehose(3);
    const { subscription, notices } = await subscribe(FIREHOSE);
    expect(subscription).toMatchObject({ feed: FIREHOSE, node: FIREHOSE });
    expect(latest(notices)).toMatchObject([{ id: firehoseItemId(3), url: BLOG }]);
  });
});

describe('subscribing again', () => {
  it('succeeds, takes the new name and keeps the rest', async () => {
    const { subscribe, stores, later } = await withBlog();
    const first = (await subscribe(BLOG)).subscription;
    later(60_000);
    const { subscription } = await subscribe(NODE);
    expect(subscription).toEqual({ ...first, node: NODE });
    expect(await stores.subscriptions.ofPerson(BARE)).toEqual([subscription]);
  });

  it('never makes one more, however fast it comes', async () => {
    const { subscribe, stores } = await withBlog();
    const asked = Array.from({ length: 20 }, (_, i) => subscribe(i % 2 ? BLOG : NODE));
    const subids = (await Promise.all(asked)).map(({ subscription: { subid } }) => subid);
    expect(new Set(subids).size).toBe(1);
    expect(await stores.subscriptions.countOfFeed(ID)).toBe(1);
  });

  it('with the options of a subscription that is held gives that one', async () => {
    const { service, stores } = await withBlog();
    const ask = (options: Record<string, string | readonly string[]>) =>
      service.subscribe({ requester: ROMEO, jid: BARE, node: BLOG, options: form(options) });
    const plain = (await ask({})).subscription;
    const quiet = (await ask({ deliver: '0', 'show-values': ['chat', 'away'] })).subscription;
    expect(quiet).toMatchObject({ options: { deliver: false, showValues: ['away', 'chat'] } });
    expect((await ask({ 'show-values': ['away', 'chat', 'away'], deliver: 'false' })).subscription).toEqual(quiet);
    expect((await ask({ deliver: '1' })).subscription).toEqual(plain);
    expect(await stores.subscriptions.ofJid(ID, BARE)).toEqual([plain, quiet]);
  });

  it('with other options makes one more, with a SubID of its own', async () => {
    const { service, stores } = await withBlog();
    for (const type of ['chat', 'normal', 'headline']) {
      const options = form({ 'hydrant#message_type': type });
      await service.subscribe({ requester: ROMEO, jid: BARE, node: BLOG, options });
    }
    const held = await stores.subscriptions.ofJid(ID, BARE);
    expect(held.map(({ options }) => options)).toEqual([{ messageType: 'chat' }, { messageType: 'normal' }, {}]);
    expect(new Set(held.map(({ subid }) => subid)).size).toBe(3);
  });

  it('without options gives the first of several', async () => {
    const { service, subscribe } = await withBlog();
    const options = form({ 'hydrant#message_type': 'chat' });
    const { subscription } = await service.subscribe({ requester: ROMEO, jid: BARE, node: BLOG, options });
    expect((await subscribe(BLOG)).subscription).toEqual(subscription);
  });

  it('is told to be too early while an owner has yet to approve, whatever the options', async () => {
    const { service, subscribe, create } = bench();
    await create('musings', { access_model: 'authorize' });
    await subscribe('musings');
    expect(await refusal(subscribe('musings'))).toBe('pending-subscription');
    const options = form({ 'hydrant#message_type': 'chat' });
    const other = service.subscribe({ requester: ROMEO, jid: BARE, node: 'musings', options });
    expect(await refusal(other)).toBe('pending-subscription');
    expect((await service.subscriptions(BARE)).count).toBe(1);
  });

  it('lets in who waits, when nobody need be asked any more', async () => {
    const { service, subscribe, create, stores } = bench();
    await create('musings', { notify_sub: '1' });
    const { subscription } = await subscribe('musings');
    await stores.subscriptions.put({ ...subscription, state: 'pending' });
    const again = await subscribe('musings');
    expect(again.subscription).toEqual(subscription);
    expect(told(again.notices)).toEqual([`${ADMIN} subscribed`]);
    expect((await service.subscriptions(BARE)).entries).toEqual([subscription]);
  });

  it('of somebody who was approved once asks nobody', async () => {
    const { service, subscribe, create } = bench();
    await create('musings', { access_model: 'authorize' });
    await subscribe('musings');
    await service.decide({ requester: ADMIN, node: 'musings', jid: BARE, allow: true });
    const options = form({ 'hydrant#message_type': 'chat' });
    const second = await service.subscribe({ requester: ROMEO, jid: BARE, node: 'musings', options });
    expect(second.subscription.state).toBe('subscribed');
    expect(told(await second.notices())).toEqual([]);
  });

  it('after a subscription has run out makes a new one', async () => {
    const { service, subscribe, later } = await withBlog();
    const options = form({ expire: iso(NOW + 1_000) });
    const first = await service.subscribe({ requester: ROMEO, jid: BARE, node: BLOG, options });
    expect((await subscribe(BLOG)).subscription.subid).toBe(first.subscription.subid);
    later(1_000);
    const second = (await subscribe(BLOG)).subscription;
    expect(second.subid).not.toBe(first.subscription.subid);
    expect(second).toMatchObject({ options: {}, since: NOW + 1_000 });
  });
});

describe('the number of subscriptions of one person', () => {
  it('is limited, whatever the resource', async () => {
    const { subscribe } = await withBlog({ maxSubscriptions: 2 });
    await subscribe(BLOG, ROMEO);
    await subscribe(FIREHOSE, BARE);
    expect(await refusal(subscribe(NEW, PHONE))).toBe('too-many-subscriptions');
    expect(await refusal(subscribe(BLOG, PHONE))).toBe('too-many-subscriptions');
    expect(await refusal(subscribe(NODE, BARE))).toBe('too-many-subscriptions');
  });

  it('is limited, however fast they come', async () => {
    const { subscribe, stores } = await withBlog({ maxSubscriptions: 5 });
    const asked = Array.from({ length: 30 }, (_, i) => subscribe(BLOG, `${BARE}/${i}`, ROMEO));
    const refused = (await Promise.allSettled(asked)).filter(({ status }) => status === 'rejected');
    expect(refused).toHaveLength(25);
    expect(await stores.subscriptions.countOfPerson(BARE)).toBe(5);
  });

  it('is limited, whatever the options', async () => {
    const { service } = await withBlog({ maxSubscriptions: 2 });
    const ask = (limit: string) =>
      service.subscribe({
        ...{ requester: ROMEO, jid: BARE, node: BLOG },
        options: form({ 'hydrant#daily_limit': limit }),
      });
    await ask('1');
    await ask('2');
    expect(await refusal(ask('3'))).toBe('too-many-subscriptions');
    expect((await ask('2')).subscription.options).toEqual({ dailyLimit: 2 });
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
    expect((await subscribe(BLOG, JULIET)).subscription.feed).toBe(ID);
  });

  it('has room again after unsubscribing', async () => {
    const { subscribe, unsubscribe } = await withBlog({ maxSubscriptions: 1 });
    await subscribe(BLOG);
    await unsubscribe(BLOG);
    expect((await subscribe(NEW)).subscription.node).toBe(NEW);
  });
});

describe('the latest item', () => {
  it('is not sent where the node never does so', async () => {
    const { subscribe, configure } = await withBlog();
    await configure(NODE, { send_last_published_item: 'never' });
    expect((await subscribe(NODE)).notices).toEqual([]);
  });

  it('is not sent to who wants no notifications', async () => {
    const { service } = await withBlog();
    const options = form({ deliver: '0' });
    const { notices } = await service.subscribe({ requester: ROMEO, jid: BARE, node: BLOG, options });
    expect(await notices()).toEqual([]);
  });

  it('is not sent to who has asked for others', async () => {
    const { service } = await withBlog();
    const ask = async (filter: string) => {
      const options = form({ 'hydrant#filter': filter });
      const { notices } = await service.subscribe({ requester: ROMEO, jid: BARE, node: BLOG, options });
      return idsOf(latest(await notices()));
    };
    expect(await ask('-b')).toEqual([]);
    expect(await ask('b')).toEqual(['b']);
  });

  it('is not sent to who has to be approved first', async () => {
    const { subscribe, configure } = await withBlog();
    await configure(NODE, { access_model: 'authorize' });
    expect(latest((await subscribe(NODE)).notices)).toEqual([]);
  });

  it('is sent to who comes online, from nodes that do so: to the resource that has come', async () => {
    const { service, subscribe, create, configure, publish } = await withBlog();
    await configure(NODE, { send_last_published_item: 'on_sub_and_presence' });
    await create('musings');
    await publish('musings', '1');
    for (const node of [NODE, 'musings']) await subscribe(node, BARE);
    await subscribe(NODE, PHONE);
    const notices = await service.arrived(ROMEO, ['online']);
    expect(idsOf(latest(notices))).toEqual(['b']);
    expect(notices).toMatchObject([{ kind: 'latest', held: { subscription: { jid: ROMEO, node: NODE } } }]);
    expect(await service.arrived(JULIET, ['online'])).toEqual([]);
  });

  it('is not sent to who comes online in a way that was not asked for', async () => {
    const { service, configure } = await withBlog();
    await configure(NODE, { send_last_published_item: 'on_sub_and_presence' });
    const options = form({ 'show-values': ['chat', 'online'] });
    await service.subscribe({ requester: BARE, jid: BARE, node: NODE, options });
    expect(await service.arrived(ROMEO, ['dnd'])).toEqual([]);
    expect(latest(await service.arrived(ROMEO, ['chat']))).toHaveLength(1);
  });

  it.each([
    ['waits for approval', { access_model: 'authorize' }, {}],
    ['wants no notifications', {}, { deliver: '0' }],
    ['has run out', {}, { expire: iso(NOW + 1_000) }],
  ])('is not sent to who comes online when the subscription %s', async (_, config, options) => {
    const { service, configure, later } = await withBlog();
    await configure(NODE, { send_last_published_item: 'on_sub_and_presence', ...config });
    await service.subscribe({ requester: BARE, jid: BARE, node: NODE, options: form(options) });
    later(1_000);
    expect(await service.arrived(ROMEO, ['online'])).toEqual([]);
  });
});

describe('owners', () => {
  const withOwner = async (config: Readonly<Record<string, string>>) => {
    const one = bench();
    await one.create('musings', config);
    await one.affiliate('musings', JULIET, 'owner');
    await one.affiliate('musings', 'nurse@example.net', 'publisher');
    return one;
  };

  it('are asked, with the admins, about each who wants to subscribe', async () => {
    const { subscribe } = await withOwner({ access_model: 'authorize' });
    const { subscription, notices } = await subscribe('musings', ROMEO);
    expect(told(notices).sort()).toEqual([`${ADMIN} approval`, `${JULIET} approval`]);
    expect(notices[0]).toMatchObject({ node: 'musings', subscription });
  });

  it('are told of subscriptions that begin and end, where the node does so', async () => {
    const { subscribe, unsubscribe } = await withOwner({ notify_sub: '1' });
    expect(told((await subscribe('musings')).notices).sort()).toEqual([`${ADMIN} subscribed`, `${JULIET} subscribed`]);
    expect(told((await subscribe('musings')).notices)).toEqual([]);
    expect(told((await unsubscribe('musings')).notices).sort()).toEqual([`${ADMIN} none`, `${JULIET} none`]);
  });

  it('are told the name of the node that everybody knows, not the one that the subscriber uses', async () => {
    const { configure, subscribe } = await withBlog();
    await configure(NODE, { notify_sub: '1' });
    const { notices } = await subscribe(BLOG);
    expect(notices.find(({ kind }) => kind === 'subscription')).toMatchObject({ subscription: { node: NODE } });
  });

  it('are told nothing otherwise', async () => {
    const { subscribe, unsubscribe } = await withOwner({});
    expect(told((await subscribe('musings')).notices)).toEqual([]);
    expect((await unsubscribe('musings')).notices).toEqual([]);
  });
});

describe('unsubscribing', () => {
  it.each([BLOG, NODE, PAGE])('by %s ends it', async (name) => {
    const { subscribe, unsubscribe, stores } = await withBlog();
    await stores.aliases.add(PAGE, ID);
    const { subscription } = await subscribe(BLOG);
    expect((await unsubscribe(name)).ended).toEqual({ ...subscription, node: name });
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
    expect(await refusal(unsubscribe(BLOG, JULIET, ROMEO))).toBe('forbidden');
    expect(await refusal(unsubscribe(BLOG, '@', BARE))).toBe('invalid-jid');
    expect(await stores.subscriptions.countOfFeed(ID)).toBe(1);
  });

  it('from what has run out is refused: it is over', async () => {
    const { service, unsubscribe, later } = await withBlog();
    const options = form({ expire: iso(NOW + 1_000) });
    await service.subscribe({ requester: ROMEO, jid: BARE, node: BLOG, options });
    later(1_000);
    expect(await refusal(unsubscribe(BLOG))).toBe('not-subscribed');
  });

  it('takes back a request that an owner has yet to approve', async () => {
    const { service, subscribe, unsubscribe, create } = bench();
    await create('musings', { access_model: 'authorize' });
    await subscribe('musings');
    await unsubscribe('musings');
    expect(await service.pending(ADMIN)).toEqual([]);
  });
});

describe('one of several subscriptions', () => {
  const withSeveral = async () => {
    const one = await withBlog();
    const ask = (type: string) => {
      const options = form({ 'hydrant#message_type': type });
      return one.service.subscribe({ requester: ROMEO, jid: BARE, node: BLOG, options });
    };
    const subids = [(await ask('chat')).subscription.subid, (await ask('normal')).subscription.subid];
    const asked = { requester: ROMEO, jid: BARE, node: NODE };
    return { ...one, subids, asked, first: { ...asked, subid: subids[0]! }, wrong: { ...asked, subid: 'id99' } };
  };

  it('has to be named by its SubID, whatever is done with it', async () => {
    const { service, asked, wrong } = await withSeveral();
    const options = form({ deliver: '0' });
    for (const [ask, code] of [
      [asked, 'subid-required'],
      [wrong, 'invalid-subid'],
    ] as const) {
      expect(await refusal(service.unsubscribe(ask))).toBe(code);
      expect(await refusal(service.options(ask))).toBe(code);
      expect(await refusal(service.configureSubscription({ ...ask, options }))).toBe(code);
      const { requester, node } = ask;
      const subid = 'subid' in ask ? { subid: ask.subid } : {};
      expect(await refusal(service.items({ requester, node, ...subid }))).toBe(code);
    }
    expect((await service.subscriptions(BARE)).count).toBe(2);
  });

  it('is the one that is meant', async () => {
    const { service, first, subids } = await withSeveral();
    expect((await service.options(first)).options.messageType).toBe('chat');
    await service.configureSubscription({ ...first, options: form({ 'hydrant#message_type': 'headline' }) });
    const { entries } = await service.subscriptions(BARE);
    expect(entries.map(({ subid, options }) => [subid, options])).toEqual([
      [subids[0], {}],
      [subids[1], { messageType: 'normal' }],
    ]);
    expect((await service.unsubscribe(first)).ended.subid).toBe(subids[0]);
    await service.unsubscribe({ requester: ROMEO, jid: BARE, node: NODE });
    expect((await service.subscriptions(BARE)).count).toBe(0);
  });

  it('need not be named by who holds only one', async () => {
    const { service, subscribe } = await withBlog();
    const { subid } = (await subscribe(BLOG)).subscription;
    const asked = { requester: ROMEO, jid: BARE, node: NODE };
    expect((await service.options({ ...asked, subid })).subscription.subid).toBe(subid);
    expect(await refusal(service.options({ ...asked, subid: 'id99' }))).toBe('invalid-subid');
    expect((await service.options(asked)).subscription.subid).toBe(subid);
  });
});

describe('options', () => {
  it('are as the node is configured where the subscriber has said nothing', async () => {
    const { service, configure, subscribe } = await withBlog();
    await subscribe(BLOG);
    const asked = { requester: ROMEO, jid: BARE, node: NODE };
    expect((await service.options(asked)).options).toMatchObject({ messageType: 'headline', payload: true });
    await configure(NODE, { notification_type: 'normal', deliver_payloads: '0' });
    expect((await service.options(asked)).options).toMatchObject({ messageType: 'normal', payload: false });
    expect(await service.defaultOptions(NODE)).toMatchObject({ messageType: 'normal', payload: false });
    expect(await service.defaultOptions(undefined)).toMatchObject({ messageType: 'headline', payload: true });
  });

  it('are changed one by one, and stored only where they differ', async () => {
    const { service, subscribe, stores } = await withBlog();
    const { subscription } = await subscribe(BLOG);
    const asked = { requester: ROMEO, jid: BARE, node: NODE };
    await service.configureSubscription({ ...asked, options: form({ digest: '1', 'show-values': 'chat' }) });
    await service.configureSubscription({ ...asked, options: form({ digest: '0' }) });
    expect(await stores.subscriptions.ofJid(ID, BARE)).toEqual([
      { ...subscription, options: { showValues: ['chat'] } },
    ]);
  });

  it.each([
    ['what no field can take', { deliver: 'perhaps' }],
    ['an end that is past', { expire: iso(NOW) }],
    ['a type of collections', { subscription_type: 'items' }],
    ['a depth of collections', { subscription_depth: 'all' }],
    ['a query that is none', { 'hydrant#filter': '((' }],
  ])('are refused with %s, and nothing is changed', async (_, values) => {
    const { service, subscribe, stores } = await withBlog();
    const options = form({ digest: '1', ...values });
    const asked = { requester: ROMEO, jid: BARE, node: BLOG, options };
    expect(await refusal(service.subscribe(asked))).toBe('invalid-options');
    expect(await stores.subscriptions.ofPerson(BARE)).toEqual([]);
    const { subscription } = await subscribe(BLOG);
    expect(await refusal(service.configureSubscription(asked))).toBe('invalid-options');
    expect(await stores.subscriptions.ofPerson(BARE)).toEqual([subscription]);
  });

  it('of others are for admins', async () => {
    const { service, subscribe } = await withBlog();
    await subscribe(BLOG);
    const asked = { jid: BARE, node: NODE };
    expect(await refusal(service.options({ ...asked, requester: JULIET }))).toBe('forbidden');
    const options = form({ deliver: '0' });
    expect(await refusal(service.configureSubscription({ ...asked, requester: JULIET, options }))).toBe('forbidden');
    expect((await service.options({ ...asked, requester: ADMIN })).subscription.jid).toBe(BARE);
  });

  it('are for who is subscribed', async () => {
    const { service, subscribe } = await withBlog();
    await subscribe(BLOG, PHONE);
    expect(await refusal(service.options({ requester: ROMEO, jid: BARE, node: NODE }))).toBe('not-subscribed');
  });
});

describe('what one holds', () => {
  it('is shown for the bare JID, on all nodes or on one', async () => {
    const { subscribe, service, later } = await withBlog();
    const first = (await subscribe(BLOG, ROMEO)).subscription;
    later(1);
    const second = (await subscribe(FIREHOSE, BARE)).subscription;
    await subscribe(BLOG, JULIET);
    expect((await service.subscriptions(PHONE)).entries).toEqual([first, second]);
    expect((await service.subscriptions(BARE, NODE)).entries).toEqual([first]);
    expect((await service.subscriptions(BARE, FIREHOSE)).entries).toEqual([second]);
  });

  it('is shown as far as it has not run out', async () => {
    const { service, later } = await withBlog();
    const options = form({ expire: iso(NOW + DAY_MS) });
    await service.subscribe({ requester: ROMEO, jid: BARE, node: BLOG, options });
    later(DAY_MS - 1);
    expect((await service.subscriptions(BARE)).count).toBe(1);
    later(1);
    expect(await service.subscriptions(BARE)).toEqual({ entries: [], index: 0, count: 0 });
  });

  it('comes in pages, whose cursor is a SubID', async () => {
    const { service, subscribe } = await withBlog();
    for (const jid of [BARE, ROMEO, PHONE]) await subscribe(BLOG, jid);
    const page = await service.subscriptions(BARE, undefined, { limit: 1, after: 'id1' });
    expect(page).toMatchObject({ entries: [{ subid: 'id2' }], index: 1, count: 3 });
    expect(await refusal(service.subscriptions(BARE, undefined, { limit: 1, after: 'id99' }))).toBe('item-not-found');
  });
});

describe('affiliations', () => {
  it('of somebody are those they have been given, by canonical name', async () => {
    const { service, create, affiliate } = await withBlog();
    await create('musings');
    await affiliate(BLOG, JULIET, 'member');
    await affiliate('musings', JULIET, 'publisher');
    const { entries, count } = await service.affiliations(`${JULIET}/balcony`);
    expect(count).toBe(2);
    expect(entries).toContainEqual({ node: NODE, affiliation: 'member' });
    expect(entries).toContainEqual({ node: 'musings', affiliation: 'publisher' });
    expect(await service.affiliations(BARE)).toEqual({ entries: [], index: 0, count: 0 });
  });

  it('on one node come under the name that was used', async () => {
    const { service, affiliate } = await withBlog();
    await affiliate(NODE, JULIET, 'outcast');
    expect((await service.affiliations(JULIET, BLOG)).entries).toEqual([{ node: BLOG, affiliation: 'outcast' }]);
    expect((await service.affiliations(BARE, BLOG)).entries).toEqual([]);
    expect((await service.affiliations(ADMIN, BLOG)).entries).toEqual([{ node: BLOG, affiliation: 'owner' }]);
  });

  it('end with the node', async () => {
    const { service, create } = bench();
    await create('musings');
    expect((await service.affiliations(ADMIN)).entries).toEqual([{ node: 'musings', affiliation: 'owner' }]);
    await service.deleteNode({ requester: ADMIN, node: 'musings' });
    expect((await service.affiliations(ADMIN)).entries).toEqual([]);
  });
});

describe('a subscription for as long as somebody is online', () => {
  const withLeases = async () => {
    const one = await withBlog();
    for (const jid of [BARE, ROMEO, PHONE]) {
      await one.service.subscribe({ requester: ROMEO, jid, node: BLOG, options: form({ expire: 'presence' }) });
    }
    await one.subscribe(FIREHOSE);
    const held = async () => (await one.service.subscriptions(BARE)).entries.map(({ feed, jid }) => `${feed} ${jid}`);
    return { ...one, held };
  };

  it('ends with the resource that it names; of the bare JID, with the last resource', async () => {
    const { service, held } = await withLeases();
    await service.left(ROMEO, (jid) => jid !== ROMEO);
    expect(await held()).toEqual([`${ID} ${BARE}`, `${ID} ${PHONE}`, `${FIREHOSE} ${BARE}`]);
    await service.left(PHONE, () => false);
    expect(await held()).toEqual([`${FIREHOSE} ${BARE}`]);
  });

  it('ends altogether when it is said of the bare JID', async () => {
    const { service, held } = await withLeases();
    await service.left(BARE, () => false);
    expect(await held()).toEqual([`${FIREHOSE} ${BARE}`]);
  });

  it('stays when it is somebody else who leaves, or a resource that has come back', async () => {
    const { service, held } = await withLeases();
    await service.left(JULIET, () => false);
    await service.left(ROMEO, () => true);
    expect(await held()).toHaveLength(4);
  });
});
