import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import xml, { type Element } from '@xmpp/xml';
import type { ServedFeed } from '../../prosody/feed-server.js';
import type { Follower } from '../../prosody/reader.js';
import { configure, create, fieldsIn, NS, publish, pubsub, refusal, submit } from '../support/requests.js';
import { startRig, type Rig } from '../support/rig.js';
import { eventIn, OPTIONS, stampIn, subscriber, type Filled, type Subscriber } from '../support/subscriber.js';

const SECONDS = 20;
const INVALID_OPTIONS = 'modify bad-request invalid-options';
const NOT_FOUND = 'cancel item-not-found';
const VALIDATE = 'http://jabber.org/protocol/xdata-validate';

/** The form of somebody who has said nothing, on a node of which nothing was said. */
const DEFAULTS = {
  FORM_TYPE: [OPTIONS],
  'pubsub#deliver': ['1'],
  'pubsub#digest': ['0'],
  'pubsub#digest_frequency': ['86400000'],
  'pubsub#expire': [],
  'pubsub#include_body': ['0'],
  'pubsub#show-values': [],
  'hydrant#message_type': ['headline'],
  'hydrant#payload': ['1'],
  'hydrant#status': ['errors'],
  'hydrant#daily_limit': ['0'],
  'hydrant#filter': [],
};

let rig: Rig;
let admin: Follower;
let witness: Subscriber;
beforeAll(async () => {
  // One partition: whatever was committed first comes first, whatever node it is of.
  rig = await startRig({ PARTITIONS: '1' });
  admin = rig.tester.as('admin');
  witness = as('witness');
  await create(admin, 'marker');
  await witness.join('marker');
}, 60_000);
afterAll(() => rig.stop());

const as = (name: string): Subscriber => subscriber(rig.tester.as(name));

let markers = 0;
/** Resolves when everybody has got what was published until now. */
async function settled(): Promise<void> {
  const id = `marker-${++markers}`;
  await publish(admin, 'marker', [id]);
  await witness.arrivals.take((item) => item.id === id, SECONDS);
}

/** A node whose latest item is sent to nobody. */
const quiet = (name: string) => create(admin, name, { send_last_published_item: 'never' });

/** Somebody who has subscribed to a node that is there for them alone. */
async function alone(name: string, filled?: Filled) {
  await quiet(name);
  const person = as(name);
  const { subid } = await person.join(name, filled);
  return { person, subid };
}

/** Somebody who has subscribed to a feed, and what they have heard of it till now. */
async function reader(name: string, filled?: Filled): Promise<{ person: Subscriber; feed: ServedFeed }> {
  const feed = rig.feeds.feed(`/${name}.xml`, { format: 'atom', title: `Feed of ${name}` });
  const person = as(name);
  await person.join(feed.url, filled);
  return { person, feed };
}

/** Asks again until it is so: for what nobody is told of. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + SECONDS * 1_000;
  while (!(await isSo())) if (Date.now() > deadline) throw new Error(`not within ${SECONDS} s`);
}

const typesIn = (options: Element) =>
  Object.fromEntries(
    options
      .getChild('x', NS.data)!
      .getChildren('field')
      .map(({ attrs }) => [String(attrs['var']), String(attrs['type'])]),
  );

describe('the form of a subscription', () => {
  it('has all options, with labels, choices and what is allowed', async () => {
    const { person } = await alone('form');
    const options = await person.optionsForm('form');
    expect(options.attrs).toMatchObject({ node: 'form', jid: person.jid });
    const form = options.getChild('x', NS.data)!;
    expect(form.attrs['type']).toBe('form');
    expect(fieldsIn(options)).toEqual(DEFAULTS);

    expect(typesIn(options)).toEqual({
      FORM_TYPE: 'hidden',
      ...{ 'pubsub#deliver': 'boolean', 'pubsub#digest': 'boolean', 'pubsub#digest_frequency': 'text-single' },
      ...{ 'pubsub#expire': 'text-single', 'pubsub#include_body': 'boolean', 'pubsub#show-values': 'list-multi' },
      ...{ 'hydrant#message_type': 'list-single', 'hydrant#payload': 'boolean', 'hydrant#status': 'list-single' },
      ...{ 'hydrant#daily_limit': 'text-single', 'hydrant#filter': 'text-single' },
    });
    const field = (name: string) => form.getChildren('field').find(({ attrs }) => attrs['var'] === name)!;
    const choices = (name: string) =>
      field(name)
        .getChildren('option')
        .map((one) => one.getChildText('value'));
    expect(choices('pubsub#show-values')).toEqual(['away', 'chat', 'dnd', 'online', 'xa']);
    expect(choices('hydrant#message_type')).toEqual(['headline', 'normal', 'chat']);
    expect(choices('hydrant#status')).toEqual(['none', 'errors', 'all']);
    const validate = field('pubsub#digest_frequency').getChild('validate', VALIDATE)!;
    expect(validate.attrs['datatype']).toBe('xs:integer');
    expect(validate.getChild('range')?.attrs).toEqual({ min: '1000', max: '86400000' });
    for (const one of form.getChildren('field').slice(1)) expect(one.attrs['label']).toMatch(/\w/);
  });

  it('changes only what is submitted, and stays so', async () => {
    const { person } = await alone('partial', { 'hydrant#daily_limit': '3' });
    await person.setOptions('partial', { 'pubsub#include_body': 'true', 'pubsub#show-values': ['online', 'chat'] });
    await person.setOptions('partial', { 'hydrant#status': 'all' });
    await person.setOptions('partial', {});
    const changed = {
      ...DEFAULTS,
      ...{ 'hydrant#daily_limit': ['3'], 'hydrant#status': ['all'], 'pubsub#include_body': ['1'] },
      ...{ 'pubsub#show-values': ['chat', 'online'] },
    };
    expect(await person.options('partial')).toEqual(changed);
    await person.setOptions('partial', { 'pubsub#show-values': [], 'hydrant#daily_limit': '0' });
    expect(await person.options('partial')).toEqual({
      ...changed,
      ...{ 'pubsub#show-values': [], 'hydrant#daily_limit': ['0'] },
    });
  });

  it('may come back as it was given, with what we do not know, or without a FORM_TYPE', async () => {
    const { person } = await alone('given');
    const form = (await person.optionsForm('given')).getChild('x', NS.data)!;
    form.attrs['type'] = 'submit';
    await person.request('set', pubsub(person.verb('options', 'given', {}, form)));
    expect(await person.options('given')).toEqual(DEFAULTS);
    const values = { ...Object.fromEntries(Object.entries(DEFAULTS).slice(1)), 'pubsub#unheard_of': 'x' };
    await person.setOptions('given', values);
    const bare = submit('', { 'pubsub#include_body': '1' });
    bare.children.shift();
    await person.request('set', pubsub(person.verb('options', 'given', {}, bare)));
    expect(await person.options('given')).toEqual({ ...DEFAULTS, 'pubsub#include_body': ['1'] });
  });

  it('that is cancelled changes nothing', async () => {
    const { person } = await alone('cancelled');
    const form = submit(OPTIONS, { 'pubsub#deliver': '0' });
    form.attrs['type'] = 'cancel';
    const answer = await person.request('set', pubsub(person.verb('options', 'cancelled', {}, form)));
    expect(answer.children).toEqual([]);
    expect(await person.options('cancelled')).toEqual(DEFAULTS);
  });

  it('comes with the subscription too, and the answer says how it is', async () => {
    await quiet('both');
    const joined = await as('both').join('both', {
      'hydrant#message_type': 'normal',
      'pubsub#digest_frequency': '60000',
    });
    const chosen = { ...DEFAULTS, 'hydrant#message_type': ['normal'], 'pubsub#digest_frequency': ['60000'] };
    expect(joined.options).toEqual(chosen);
    expect(await as('both').options('both')).toEqual(chosen);
  });

  it('has to follow the subscription that it comes with, and speaks of nothing else', async () => {
    await quiet('order');
    const person = as('order');
    const form = () => submit(OPTIONS, { 'pubsub#deliver': '0' });
    const subscribe = person.verb('subscribe', 'order');
    const refused = (...children: Element[]) => refusal(person.request('set', pubsub(...children)));
    expect(await refused(xml('options', {}, form()), subscribe)).toMatch(/^modify bad-request/);
    expect(await refused(subscribe, xml('options', { node: 'form' }, form()))).toBe('modify bad-request');
    expect(await refused(subscribe, xml('options', { jid: 'a@b' }, form()))).toBe('modify bad-request');
    expect(await refused(subscribe, xml('options'))).toBe(INVALID_OPTIONS);
    const cancelled = form();
    cancelled.attrs['type'] = 'cancel';
    expect(await refused(subscribe, xml('options', {}, cancelled))).toBe(INVALID_OPTIONS);
    expect((await person.subscriptions()).entries).toEqual([]);
  });
});

const PAST = '2020-01-31T12:00:00Z';
const INVALID: readonly (readonly [string, string | readonly string[]])[] = [
  ...['', 'yes', 'TRUE', '2'].map((value) => ['pubsub#deliver', value] as const),
  ['pubsub#deliver', ['0', '1']],
  ['pubsub#digest', 'daily'],
  ...['', '0', '999', '86400001', '-1000', '1e4', '1.5', 'max'].map(
    (value) => ['pubsub#digest_frequency', value] as const,
  ),
  ...['tomorrow', '2027-01-31', '2027-01-31T12:00:00', '2027-13-31T12:00:00Z', PAST].map(
    (value) => ['pubsub#expire', value] as const,
  ),
  ['pubsub#include_body', 'no'],
  ['pubsub#show-values', 'busy'],
  ['pubsub#show-values', ['online', 'Away']],
  ...['groupchat', 'error', ''].map((value) => ['hydrant#message_type', value] as const),
  ['hydrant#payload', 'none'],
  ['hydrant#status', 'some'],
  ...['-1', '1000001', 'many', ''].map((value) => ['hydrant#daily_limit', value] as const),
  ...['(', '"rose', 'colour:red', 'x'.repeat(1_025)].map((value) => ['hydrant#filter', value] as const),
  ['pubsub#subscription_type', 'items'],
  ['pubsub#subscription_depth', '1'],
];

describe('options that cannot be', () => {
  let person: Subscriber;
  beforeAll(async () => {
    ({ person } = await alone('invalid'));
    await quiet('refusing');
  });
  const textOf = (asked: Promise<unknown>) =>
    asked.then(
      () => '',
      (error: unknown) => (error as { element: Element }).element.getChildText('text') ?? '',
    );

  it.each(INVALID.map(([name, value]) => [name, JSON.stringify(value).slice(0, 30), value] as const))(
    '%s: %s is refused by name, now and later, and nothing of the form is taken',
    async (name, _, value) => {
      const filled = { 'hydrant#status': 'all', [name]: value };
      const asked = person.setOptions('invalid', filled);
      expect(await refusal(asked)).toBe(INVALID_OPTIONS);
      expect(await textOf(asked)).toContain(name);
      expect(await person.options('invalid')).toEqual(DEFAULTS);
      const joined = person.join('refusing', filled);
      expect(await refusal(joined)).toBe(INVALID_OPTIONS);
      expect(await textOf(joined)).toContain(name);
      expect((await person.subscriptions('refusing')).entries).toEqual([]);
    },
  );

  it('are all named when there are several', async () => {
    const wrong = { 'pubsub#deliver': 'x', 'hydrant#filter': '(', 'hydrant#daily_limit': '-1' };
    const text = await textOf(person.setOptions('invalid', wrong));
    for (const name of Object.keys(wrong)) expect(text).toContain(name);
  });

  it('are those of something that is no submitted form of options too', async () => {
    const refused = (...children: Element[]) =>
      refusal(person.request('set', pubsub(person.verb('options', 'invalid', {}, ...children))));
    const form = (change: (form: Element) => unknown) => {
      const changed = submit(OPTIONS, { 'pubsub#deliver': '0' });
      change(changed);
      return changed;
    };
    const field = (name: string) => xml('field', { var: name }, xml('value', {}, '0'));
    expect(await refused()).toBe(INVALID_OPTIONS);
    expect(await refused(form((x) => (x.attrs['type'] = 'form')))).toBe(INVALID_OPTIONS);
    expect(await refused(form((x) => delete x.attrs['type']))).toBe(INVALID_OPTIONS);
    expect(await refused(form((x) => x.append(field('pubsub#deliver'))))).toBe(INVALID_OPTIONS);
    expect(await refused(form((x) => x.append(xml('field', {}, xml('value', {}, '0')))))).toBe(INVALID_OPTIONS);
    expect(await refused(submit(`${NS.pubsub}#node_config`, { 'pubsub#deliver': '0' }))).toBe(INVALID_OPTIONS);
    expect(await person.options('invalid')).toEqual(DEFAULTS);
  });
});

describe.each(['get', 'set'] as const)('options are refused, asked for by a %s,', (type) => {
  const name = `refused-${type}`;
  let person: Subscriber;
  let subid: string;
  beforeAll(async () => {
    ({ person, subid } = await alone(name));
  });
  const form = () => (type === 'set' ? [submit(OPTIONS, { 'pubsub#deliver': '0' })] : []);
  const refused = (attributes: Readonly<Record<string, string>>, who = person) =>
    refusal(who.request(type, pubsub(xml('options', attributes, ...form()))));

  it('to somebody else', async () => {
    expect(await refused({ node: name, jid: person.jid }, as('stranger'))).toBe('auth forbidden');
    expect(await refused({ node: name, jid: `${person.jid}/home`, subid }, as('stranger'))).toBe('auth forbidden');
  });

  it('to who is not subscribed', async () => {
    const notSubscribed = 'cancel unexpected-request not-subscribed';
    expect(await refused({ node: name, jid: as('stranger').jid }, as('stranger'))).toBe(notSubscribed);
    expect(await refused({ node: name, jid: `${person.jid}/home` })).toBe(notSubscribed);
  });

  it('without a JID, a node, or one that is there', async () => {
    expect(await refused({ node: name })).toBe('modify bad-request jid-required');
    expect(await refused({ jid: person.jid })).toBe('modify bad-request nodeid-required');
    expect(await refused({ node: 'nothing', jid: person.jid })).toBe(NOT_FOUND);
  });

  it('without the right SubID, where there is a choice or one is named', async () => {
    const invalid = 'modify not-acceptable invalid-subid';
    expect(await refused({ node: name, jid: person.jid, subid: 'nonsense' })).toBe(invalid);
    await person.join(name, { 'pubsub#include_body': '1' });
    expect(await refused({ node: name, jid: person.jid })).toBe('modify bad-request subid-required');
    expect(await person.options(name, { subid })).toEqual(DEFAULTS);
  });
});

describe('the default options', () => {
  const defaults = async (node?: string) => {
    const answer = await as('curious').ask('get', xml('default', node === undefined ? {} : { node }));
    return answer.getChild('default')!;
  };

  it('are to be had for the service', async () => {
    const found = await defaults();
    expect(found.attrs['node']).toBeUndefined();
    expect(found.getChild('x', NS.data)!.attrs['type']).toBe('result');
    expect(Object.fromEntries(Object.entries(fieldsIn(found)))).toEqual(DEFAULTS);
  });

  it('are for one node as it is configured, and what a subscription without options has', async () => {
    await create(admin, 'defaults', { notification_type: 'normal', deliver_payloads: '0' });
    const expected = { ...DEFAULTS, 'hydrant#message_type': ['normal'], 'hydrant#payload': ['0'] };
    const found = await defaults('defaults');
    expect(found.attrs['node']).toBe('defaults');
    expect(fieldsIn(found)).toEqual(expected);
    const person = as('defaults');
    await person.join('defaults');
    expect(await person.options('defaults')).toEqual(expected);
    await configure(admin, 'defaults', { notification_type: 'headline' });
    expect(await person.options('defaults')).toEqual({ ...expected, 'hydrant#message_type': ['headline'] });
    expect(await refusal(defaults('nothing'))).toBe(NOT_FOUND);
  });
});

describe('what is delivered', () => {
  it('deliver: nothing, until it is wanted again', async () => {
    const { person } = await alone('deliver', { 'pubsub#deliver': '0' });
    await publish(admin, 'deliver', ['unwanted']);
    await settled();
    await person.setOptions('deliver', { 'pubsub#deliver': '1' });
    await publish(admin, 'deliver', ['wanted']);
    expect((await person.next()).id).toBe('wanted');
    await person.setOptions('deliver', { 'pubsub#deliver': '0' });
    await publish(admin, 'deliver', ['unwanted again']);
    await settled();
    expect(person.rest()).toEqual([]);
  });

  it('include_body: the title, what the entry says, and its link, for who wants it', async () => {
    const { person, feed } = await reader('body', { 'pubsub#include_body': '1' });
    const other = as('bodiless');
    await other.join(feed.url);
    const { link } = feed.publish({ title: 'A rose &amp; more', summary: 'By any other name.' });
    const { item, stanza } = await person.next();
    expect(stanza.getChildText('body')).toBe(`A rose &amp; more\nBy any other name.\n${link}`);
    expect(stanza.attrs).toMatchObject({ from: rig.service, type: 'headline' });
    expect(item.getChild('entry')).toBeDefined();
    expect((await other.next()).stanza.getChild('body')).toBeUndefined();
  });

  it('message_type: the type of the message; a conversation comes from somebody clients show', async () => {
    const { person, feed } = await reader('types');
    for (const type of ['normal', 'headline', 'chat']) {
      await person.setOptions(feed.url, { 'hydrant#message_type': type });
      feed.publish({ title: type });
      expect((await person.next()).stanza.attrs).toMatchObject({ type, from: rig.service });
    }
    await person.setOptions(feed.url, { 'pubsub#include_body': '1' });
    feed.publish({ title: 'Spoken' });
    const { stanza } = await person.next();
    expect(stanza.attrs).toMatchObject({ type: 'chat', from: `news@${rig.service}`, to: person.jid });
    expect(stanza.getChildText('body')).toMatch(/^Spoken\n/);
    expect(eventIn(stanza)?.getChild('item')?.getChild('entry')).toBeDefined();
  });

  it('payload: the ItemID alone, under which the item can be had', async () => {
    const { person } = await alone('payload', { 'hydrant#payload': '0' });
    await publish(admin, 'payload', ['named']);
    const { id, item } = await person.next();
    expect([id, item.children]).toEqual(['named', []]);
    const [held] = await person.items('payload');
    expect(held?.item.getChildElements()).toHaveLength(1);
    await person.setOptions('payload', { 'hydrant#payload': '1' });
    await publish(admin, 'payload', ['whole']);
    expect((await person.next()).item.getChildElements()).toHaveLength(1);
  });

  it('daily_limit: no more than so many a day', async () => {
    const { person } = await alone('limited', { 'hydrant#daily_limit': '2' });
    await publish(admin, 'limited', ['a', 'b', 'c']);
    await settled();
    expect(person.rest()).toEqual(['a', 'b']);
    await person.setOptions('limited', { 'hydrant#daily_limit': '3' });
    await publish(admin, 'limited', ['d', 'e']);
    await settled();
    expect(person.rest()).toEqual(['a', 'b', 'd']);
  });

  it('filter: what matches, of a feed, of a node without one, and of the firehose', async () => {
    const filter = { 'hydrant#filter': 'title:rose -thorn' };
    const { person, feed } = await reader('filtered', filter);
    const drinker = as('filtering-drinker');
    await drinker.join('firehose', filter);
    for (const title of ['A thorn of a rose', 'An oak', 'A rose']) feed.publish({ title });
    expect((await person.next()).title).toBe('A rose');
    expect((await drinker.next()).title).toBe('A rose');

    const own = (await alone('filtered-notes', { 'hydrant#filter': 'rose' })).person;
    await publish(admin, 'filtered-notes', ['oak'], 'brown');
    await publish(admin, 'filtered-notes', ['rose'], 'red');
    expect((await own.next()).id).toBe('rose');
    await settled();
    expect([...person.rest(), ...drinker.rest(), ...own.rest()]).toEqual([]);
  });

  it('filter: the last item is sent to who subscribes only when it matches', async () => {
    const feed = rig.feeds.feed('/filtered-last.xml', { format: 'atom', title: 'Filtered' });
    feed.publish({ title: 'A rose' });
    await as('first').join(feed.url);
    const [likes, likesNot] = [as('likes-roses'), as('likes-oaks')];
    await likesNot.join(feed.url, { 'hydrant#filter': 'oak' });
    await likes.join(feed.url, { 'hydrant#filter': 'rose' });
    expect((await likes.next()).title).toBe('A rose');
    feed.publish({ title: 'An oak' });
    expect((await likesNot.next()).title).toBe('An oak');
  });
});

describe('digest', () => {
  it('several entries come together, whole, once, also when the component was killed meanwhile', async () => {
    const { person, subid } = await alone('digest', { 'pubsub#digest': '1', 'pubsub#digest_frequency': '5000' });
    await publish(admin, 'digest', ['a', 'b', 'c']);
    await settled();
    expect(person.rest()).toEqual([]);
    await rig.component.kill();
    await rig.component.start();
    await rig.prosody.attached(rig.service);

    const [first, ...others] = [await person.next(), await person.next(), await person.next()];
    for (const { stanza } of others) expect(stanza).toBe(first.stanza);
    const items = eventIn(first.stanza)!;
    expect(items.attrs['node']).toBe('digest');
    expect(items.getChildren('item').map(({ attrs }) => String(attrs['id']))).toEqual(['a', 'b', 'c']);
    for (const item of items.getChildren('item')) expect(item.getChild('note')?.getText()).toMatch(/^first [abc]$/);
    expect(stampIn(first.stanza)).toBeDefined();

    await person.setOptions('digest', { 'pubsub#digest_frequency': '1000' }, { subid });
    await publish(admin, 'digest', ['d']);
    expect((await person.next()).id).toBe('d');
    await person.setOptions('digest', { 'pubsub#digest': '0' });
    await publish(admin, 'digest', ['e']);
    expect((await person.next()).id).toBe('e');
    expect(person.rest()).toEqual([]);
  });

  it('has a text with all of them for who wants one, the type they want, and no payload if they do not', async () => {
    const { person, feed } = await reader('digest-body', {
      ...{ 'pubsub#digest': '1', 'pubsub#digest_frequency': '3000', 'pubsub#include_body': '1' },
      ...{ 'hydrant#message_type': 'chat', 'hydrant#payload': '0' },
    });
    const links = ['One', 'Two'].map((title) => feed.publish({ title }).link);
    const { stanza } = await person.next();
    await person.next();
    expect(stanza.attrs).toMatchObject({ type: 'chat', from: `news@${rig.service}` });
    const items = eventIn(stanza)!.getChildren('item');
    expect(items.map(({ children }) => children)).toEqual([[], []]);
    const paragraphs = stanza.getChildText('body')!.split('\n\n');
    expect(paragraphs.map((text) => text.split('\n')[0])).toEqual(['One', 'Two']);
    expect(paragraphs.map((text) => text.split('\n').at(-1))).toEqual(links);
  });

  it('comes of the firehose too, and holds only what matches', async () => {
    const drinker = as('digesting-drinker');
    await drinker.join('firehose', {
      ...{ 'pubsub#digest': '1', 'pubsub#digest_frequency': '3000', 'hydrant#filter': 'tulip' },
    });
    const feed = rig.feeds.feed('/tulips.xml', { format: 'atom', title: 'Flowers' });
    await as('first').join(feed.url);
    for (const title of ['A tulip', 'An elm', 'Another tulip']) feed.publish({ title });
    const found = [await drinker.next(), await drinker.next()];
    expect(found.map(({ title }) => title).sort()).toEqual(['A tulip', 'Another tulip']);
    expect(found[1]!.stanza).toBe(found[0]!.stanza);
    expect(found[0]!.item.getChild('entry')?.getChild('source')).toBeDefined();
    expect(drinker.rest()).toEqual([]);
  });
});

describe('expire', () => {
  it('a subscription that is given a date ends by itself then, and its subscriber is told', async () => {
    const { person, subid } = await alone('lease');
    const expire = (ms: number) => ({ 'pubsub#expire': new Date(Date.now() + ms).toISOString() });
    await person.setOptions('lease', expire(3_600_000));
    await publish(admin, 'lease', ['during']);
    expect((await person.next()).id).toBe('during');
    await person.setOptions('lease', expire(1_500));
    const message = await person.told();
    expect(eventIn(message)?.attrs).toEqual({ node: 'lease', jid: person.jid, subid, subscription: 'none' });
    expect((await person.subscriptions()).entries).toEqual([]);
    await publish(admin, 'lease', ['after']);
    await settled();
    expect(person.rest()).toEqual([]);
  });

  it('a subscription that is renewed in time goes on, and one that is made to last for ever too', async () => {
    const { person } = await alone('renewed', { 'pubsub#expire': new Date(Date.now() + 3_000).toISOString() });
    await person.setOptions('renewed', { 'pubsub#expire': '' });
    const later = '2100-01-31T12:00:00.000Z';
    const other = (await alone('renewed-too', { 'pubsub#expire': '2100-01-31T14:00:00+02:00' })).person;
    expect((await other.options('renewed-too'))['pubsub#expire']).toEqual([later]);
    // One that is not renewed ends after the first two would have.
    const ends = (await alone('not-renewed', { 'pubsub#expire': new Date(Date.now() + 3_100).toISOString() })).person;
    await ends.told();
    for (const [one, node] of [
      [person, 'renewed'],
      [other, 'renewed-too'],
    ] as const) {
      await publish(admin, node, ['still']);
      expect((await one.next()).id).toBe('still');
    }
  });

  it('one that lasts as long as they are online ends when they go, and no other does', async () => {
    const { person } = await alone('session');
    await quiet('session-too');
    await person.join('session-too', { 'pubsub#expire': 'presence' });
    const full = `${person.jid}/balcony`;
    await person.join('session-too', { 'pubsub#expire': 'presence' }, { jid: full });
    const says = (resource: string, type?: string) =>
      rig.tester.send(xml('presence', { from: `${person.jid}/${resource}`, to: rig.service, ...(type && { type }) }));
    const held = async () => (await person.subscriptions()).entries.map(({ node, jid }) => `${node} ${jid}`).sort();
    await says('balcony');
    await says('garden');
    await publish(admin, 'session-too', ['there']);
    for (let n = 0; n < 2; n++) expect((await person.next()).id).toBe('there');

    await says('balcony', 'unavailable');
    await until(async () => !(await held()).includes(`session-too ${full}`));
    expect(await held()).toEqual([`session ${person.jid}`, `session-too ${person.jid}`]);
    await says('garden', 'unavailable');
    await until(async () => (await held()).length === 1);
    expect(await held()).toEqual([`session ${person.jid}`]);
    await publish(admin, 'session-too', ['gone']);
    await settled();
    expect(person.rest()).toEqual([]);
  });
});

describe('show-values', () => {
  const show = (text: string) => xml('show', {}, text);

  it('somebody hears of what comes only while they say that they are so, to us directly', async () => {
    const { person } = await alone('shown', { 'pubsub#show-values': ['online', 'chat'] });
    const says = (attributes: object, ...children: Element[]) =>
      rig.tester.send(xml('presence', { from: `${person.jid}/home`, to: rig.service, ...attributes }, ...children));
    const heard = async (id: string) => {
      await publish(admin, 'shown', [id]);
      await settled();
      const ids = person.arrivals.pending.map((item) => item.id);
      for (const one of ids) await person.arrivals.take((item) => item.id === one);
      return ids;
    };
    expect(await heard('offline')).toEqual([]);
    await says({}, show('away'));
    expect(await heard('away')).toEqual([]);
    await says({});
    expect(await heard('online')).toEqual(['online']);
    await says({}, show('chat'));
    expect(await heard('chatty')).toEqual(['chatty']);
    await says({}, show('dnd'));
    expect(await heard('busy')).toEqual([]);
    await says({});
    await says({ type: 'unavailable' });
    expect(await heard('gone')).toEqual([]);
    // None of the values: whether they are there or not.
    await person.setOptions('shown', { 'pubsub#show-values': [] });
    expect(await heard('whatever')).toEqual(['whatever']);
  });

  it('and through their contacts, without telling us by hand', async () => {
    await quiet('shown-to-contacts');
    const client = await rig.client('juliet');
    const juliet = subscriber(client);
    await juliet.request('get', xml('query', 'jabber:iq:roster'), juliet.jid);
    await client.send(xml('presence', { to: rig.service, type: 'subscribe' }));
    await client.presences.take(({ attrs }) => attrs['type'] === 'subscribe', SECONDS);
    await client.send(xml('presence', { to: rig.service, type: 'subscribed' }));
    await juliet.join('shown-to-contacts', { 'pubsub#show-values': 'online' });
    const ids = ['away', 'online', 'xa', 'back'];
    for (const id of ids) {
      await client.send(xml('presence', {}, ...(id === 'away' || id === 'xa' ? [show(id)] : [])));
      // What she says comes before this is asked.
      await juliet.subscriptions();
      await publish(admin, 'shown-to-contacts', [id]);
      await settled();
    }
    expect([(await juliet.next()).id, (await juliet.next()).id]).toEqual(['online', 'back']);
    expect(juliet.rest()).toEqual([]);
  });

  it('a subscription of one resource counts that resource alone', async () => {
    await quiet('resource');
    const person = as('resource');
    const says = (resource: string, ...children: Element[]) =>
      rig.tester.send(xml('presence', { from: `${person.jid}/${resource}`, to: rig.service }, ...children));
    await person.join('resource', { 'pubsub#show-values': 'online' }, { jid: `${person.jid}/phone` });
    await says('laptop');
    await says('phone', show('away'));
    await publish(admin, 'resource', ['away']);
    await settled();
    await says('phone');
    await publish(admin, 'resource', ['there']);
    expect((await person.next()).id).toBe('there');
    expect(person.rest()).toEqual([]);
  });

  it('a node that tells only those who are there does so whatever they say', async () => {
    await create(admin, 'there', { send_last_published_item: 'never', presence_based_delivery: '1' });
    const person = as('there');
    await person.join('there');
    await publish(admin, 'there', ['absent']);
    await settled();
    await rig.tester.send(xml('presence', { from: `${person.jid}/home`, to: rig.service }, show('xa')));
    await publish(admin, 'there', ['present']);
    expect((await person.next()).id).toBe('present');
    expect(person.rest()).toEqual([]);
  });

  it('who comes online as somebody who wants nothing is not sent the last item', async () => {
    await create(admin, 'greeted', { send_last_published_item: 'on_sub_and_presence' });
    await publish(admin, 'greeted', ['hello']);
    await settled();
    const person = as('greeted');
    await person.join('greeted', { 'pubsub#show-values': 'online' });
    await person.next();
    const says = (resource: string, ...children: Element[]) =>
      rig.tester.send(xml('presence', { from: `${person.jid}/${resource}`, to: rig.service }, ...children));
    await says('away', show('away'));
    await says('home');
    expect((await person.next()).stanza.attrs['to']).toBe(`${person.jid}/home`);
    expect(person.rest()).toEqual([]);
  });
});
