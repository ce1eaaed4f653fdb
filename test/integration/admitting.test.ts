import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import xml, { type Element } from '@xmpp/xml';
import { form, item, note, party, PUBSUB, refusal, refused, valuesIn, type Party } from '../support/owner.js';
import { startRig, type Rig } from '../support/rig.js';

const SECONDS = 20;
const AUTHORIZATION = `${PUBSUB}#subscribe_authorization`;
const COMMANDS = 'http://jabber.org/protocol/commands';
const NOT_FOUND = 'cancel item-not-found';
const FORBIDDEN = 'auth forbidden';

let rig: Rig;
let admin: Party;
beforeAll(async () => {
  // One partition: whatever was committed first comes first, whatever node it is of.
  rig = await startRig({ PARTITIONS: '1' });
  admin = as('admin');
  await admin.create('marker');
  await as('witness').subscribe('marker');
}, 60_000);
afterAll(() => rig.stop());

const as = (name: string): Party => party(rig.tester.as(name));
const jid = (name: string): string => as(name).jid;

/** Resolves when everybody has got what was published until now. */
async function settled(): Promise<void> {
  const [marker] = await admin.publish('marker', item(undefined, note('Until here')));
  await rig.tester.as('witness').arrivals.take(({ id }) => id === marker, SECONDS);
}

/** Has these people subscribe. */
async function subscribed(node: string, ...names: string[]): Promise<Party[]> {
  const people = names.map(as);
  for (const one of people) await one.subscribe(node);
  return people;
}

describe('an owner who looks after subscriptions', () => {
  const list = async (node: string, ...set: Element[]) => {
    const asked = xml('pubsub', `${PUBSUB}#owner`, xml('subscriptions', { node }), ...set);
    const answer = (await admin.request('get', asked)).getChild('pubsub')!;
    return { subscriptions: answer.getChild('subscriptions')!, set: answer.getChild('set') };
  };

  it('sees all of them, with their SubIDs', async () => {
    await admin.create('kept');
    expect((await list('kept')).subscriptions.toString()).toBe('<subscriptions node="kept"/>');
    const [romeo] = await subscribed('kept', 'romeo');
    const { subscriptions, set } = await list('kept');
    expect(set).toBeUndefined();
    const [{ attrs }] = subscriptions.getChildren('subscription') as [Element];
    expect(attrs).toEqual({ jid: romeo!.jid, subscription: 'subscribed', subid: expect.stringMatching(/./) });
  });

  it('sees them in pages', async () => {
    await admin.create('crowded');
    const names = Array.from({ length: 7 }, (_, i) => `crowd-${i}`);
    await subscribed('crowded', ...names);
    const page = (...children: Element[]) =>
      xml('set', 'http://jabber.org/protocol/rsm', xml('max', {}, '3'), ...children);
    const jids = ({ subscriptions }: { subscriptions: Element }) =>
      subscriptions.getChildren('subscription').map(({ attrs }) => String(attrs['jid']));
    const first = await list('crowded', page());
    expect(jids(first)).toEqual(names.slice(0, 3).map(jid));
    expect(first.set!.getChildText('count')).toBe('7');
    const second = await list('crowded', page(xml('after', {}, first.set!.getChildText('last')!)));
    expect(jids(second)).toEqual(names.slice(3, 6).map(jid));
    expect(second.set!.getChild('first')!.attrs['index']).toBe('3');
    expect(jids(await list('crowded', page(xml('before'))))).toEqual(names.slice(4).map(jid));
    expect(await refusal(list('crowded', page(xml('after', {}, 'nobody'))))).toBe(NOT_FOUND);
  });

  it('does not see there who still waits for approval, in pages or not', async () => {
    await admin.create('gated', { access_model: 'authorize' });
    await admin.affiliate('gated', { [jid('in-1')]: 'member', [jid('in-2')]: 'member' });
    await subscribed('gated', 'in-1', 'in-2', 'in-0-waiting', 'in-3-waiting');
    expect(await admin.subscribers('gated')).toEqual([`${jid('in-1')} subscribed`, `${jid('in-2')} subscribed`]);
    const { subscriptions, set } = await list(
      'gated',
      xml('set', 'http://jabber.org/protocol/rsm', xml('max', {}, '1')),
    );
    expect(subscriptions.getChildren('subscription').map(({ attrs }) => String(attrs['jid']))).toEqual([jid('in-1')]);
    expect(set!.getChildText('count')).toBe('2');
  });

  it('changes several at once, and each of those people is told', async () => {
    await admin.create('managed');
    const [romeo, juliet] = await subscribed('managed', 'romeo', 'juliet');
    const answer = await admin.setSubscriptions('managed', { [romeo!.jid]: 'none', [jid('nurse')]: 'subscribed' });
    expect(answer.getChildElements()).toEqual([]);
    expect(await admin.subscribers('managed')).toEqual([juliet!, as('nurse')].map((one) => `${one.jid} subscribed`));
    const out = await romeo!.message((message) => message.toString().includes('managed'));
    expect(out.getChildElements()).toHaveLength(1);
    expect(out.getChild('event')!.getChild('subscription')!.attrs).toMatchObject({
      ...{ node: 'managed', jid: romeo!.jid, subscription: 'none' },
    });
    expect((await as('nurse').told('managed')).attrs).toMatchObject({ jid: jid('nurse'), subscription: 'subscribed' });
    await admin.publish('managed', item('1', note('x')));
    expect((await as('nurse').next('managed')).id).toBe('1');
    expect((await juliet!.next('managed')).id).toBe('1');
    await settled();
    expect([romeo!, juliet!].flatMap((one) => one.rest('managed'))).toEqual([]);
  });

  it('hears which of them could not be changed, and how they still are; the others are changed', async () => {
    await admin.create('mixed');
    const [romeo, juliet, nurse] = await subscribed('mixed', 'romeo', 'juliet', 'nurse');
    const error = await refused(
      admin.setSubscriptions('mixed', {
        ...{ [romeo!.jid]: 'none', [juliet!.jid]: 'unconfigured', [nurse!.jid]: 'nonsense' },
        ...{ [jid('nobody')]: 'none', 'no jid@@': 'subscribed' },
      }),
    );
    expect(error.attrs['type']).toBe('modify');
    expect(error.getChild('not-acceptable')).toBeDefined();
    const left = (error.parent as Element).getChild('pubsub', `${PUBSUB}#owner`)!.getChild('subscriptions')!;
    expect(left.attrs).toEqual({ node: 'mixed' });
    expect(left.getChildren('subscription').map(({ attrs }) => attrs as object)).toEqual([
      { jid: juliet!.jid, subscription: 'subscribed' },
      { jid: nurse!.jid, subscription: 'subscribed' },
      { jid: jid('nobody'), subscription: 'none' },
      { jid: 'no jid@@', subscription: 'none' },
    ]);
    expect(await admin.subscribers('mixed')).toEqual([juliet!, nurse!].map((one) => `${one.jid} subscribed`));
    expect((await romeo!.told('mixed')).attrs['subscription']).toBe('none');
  });

  it('may end one of several that somebody has, by its SubID', async () => {
    await admin.create('manifold');
    const subscribe = async (deliver: string) => {
      const options = xml('options', {}, form('submit', `${PUBSUB}#subscribe_options`, { deliver }));
      const answer = await as('romeo').pubsub(
        'set',
        xml('subscribe', { node: 'manifold', jid: jid('romeo') }),
        options,
      );
      return String(answer.getChild('pubsub')!.getChild('subscription')!.attrs['subid']);
    };
    const [one, other] = [await subscribe('1'), await subscribe('0')];
    const change = (subid: string) =>
      admin.owner(
        'set',
        xml(
          'subscriptions',
          { node: 'manifold' },
          xml('subscription', { jid: jid('romeo'), subid, subscription: 'none' }),
        ),
      );
    await change(one);
    expect((await as('romeo').told('manifold')).attrs).toMatchObject({ subid: one, subscription: 'none' });
    const left = (await list('manifold')).subscriptions.getChildren('subscription');
    expect(left.map(({ attrs }) => String(attrs['subid']))).toEqual([other]);
    expect(await refusal(change(one))).toBe('modify not-acceptable');
  });

  it('changes nothing without saying to what', async () => {
    await subscribed('kept', 'romeo');
    const silent = xml('subscriptions', { node: 'kept' }, xml('subscription', { jid: jid('romeo') }));
    expect((await admin.owner('set', silent)).getChildElements()).toEqual([]);
    expect((await admin.owner('set', xml('subscriptions', { node: 'kept' }))).getChildElements()).toEqual([]);
    expect(await admin.subscribers('kept')).toEqual([`${jid('romeo')} subscribed`]);
    const nameless = xml('subscriptions', { node: 'kept' }, xml('subscription', { subscription: 'none' }));
    expect(await refusal(admin.owner('set', nameless))).toBe('modify bad-request jid-required');
  });

  it('owns the node; everybody else is refused', async () => {
    expect(await refusal(as('romeo').subscribers('kept'))).toBe(FORBIDDEN);
    expect(await refusal(as('romeo').setSubscriptions('kept', { [jid('romeo')]: 'none' }))).toBe(FORBIDDEN);
    expect(await refusal(admin.subscribers('nowhere'))).toBe(NOT_FOUND);
    for (const type of ['get', 'set'] as const) {
      expect(await refusal(admin.owner(type, xml('subscriptions')))).toBe('modify bad-request nodeid-required');
    }
  });

  it("may do all this on a feed's node and on the firehose", async () => {
    const reader = as('managedreader');
    const feed = rig.feeds.feed('/managed.xml', { format: 'atom', title: 'Managed' });
    for (const node of [feed.url, 'firehose']) await reader.subscribe(node);
    for (const node of [feed.url, 'firehose']) {
      expect(await admin.subscribers(node)).toContain(`${reader.jid} subscribed`);
      await admin.setSubscriptions(node, { [reader.jid]: 'none' });
      expect((await reader.told(node)).attrs['subscription']).toBe('none');
      expect(await admin.subscribers(node)).not.toContain(`${reader.jid} subscribed`);
    }
    expect(await reader.subscriptions()).toEqual([]);
  });
});

describe('an owner who looks after affiliations', () => {
  const isAffiliation = (node: string) => (message: Element) =>
    message.getChild('pubsub', PUBSUB)?.getChild('affiliations')?.attrs['node'] === node;
  const tellsAffiliation = async (who: Party, node: string) =>
    (await who.message(isAffiliation(node))).getChild('pubsub')!.getChild('affiliations')!.getChild('affiliation')!
      .attrs;

  it('sees and changes them, also several at once; those people are told', async () => {
    await admin.create('staffed');
    const [romeo, juliet, nurse] = ['romeo', 'juliet', 'nurse'].map(as);
    const answer = await admin.affiliate('staffed', { [romeo!.jid]: 'member', [juliet!.jid]: 'publish-only' });
    expect(answer.getChildElements()).toEqual([]);
    expect(await tellsAffiliation(romeo!, 'staffed')).toEqual({ jid: romeo!.jid, affiliation: 'member' });
    expect(await tellsAffiliation(juliet!, 'staffed')).toEqual({ jid: juliet!.jid, affiliation: 'publish-only' });
    await admin.affiliate('staffed', {
      [romeo!.jid]: 'none',
      [juliet!.jid]: 'publisher',
      [`${nurse!.jid}/house`]: 'outcast',
    });
    expect(await tellsAffiliation(romeo!, 'staffed')).toEqual({ jid: romeo!.jid, affiliation: 'none' });
    expect(await tellsAffiliation(nurse!, 'staffed')).toEqual({ jid: nurse!.jid, affiliation: 'outcast' });
    const now = { [admin.jid]: 'owner', [juliet!.jid]: 'publisher', [nurse!.jid]: 'outcast' };
    expect(await admin.affiliations('staffed')).toEqual(now);
    await admin.owner('set', xml('affiliations', { node: 'staffed' }, xml('affiliation', { jid: juliet!.jid })));
    await admin.owner('set', xml('affiliations', { node: 'staffed' }));
    expect(await admin.affiliations('staffed')).toEqual(now);
  });

  it('sees them in pages', async () => {
    await admin.create('populous');
    const names = Array.from({ length: 5 }, (_, i) => `people-${i}`);
    await admin.affiliate('populous', Object.fromEntries(names.map((name) => [jid(name), 'member'])));
    const page = xml('set', 'http://jabber.org/protocol/rsm', xml('max', {}, '2'), xml('after', {}, jid('people-0')));
    const asked = xml('pubsub', `${PUBSUB}#owner`, xml('affiliations', { node: 'populous' }), page);
    const answer = (await admin.request('get', asked)).getChild('pubsub')!;
    const list = answer.getChild('affiliations')!.getChildren('affiliation');
    expect(list.map(({ attrs }) => String(attrs['jid']))).toEqual([jid('people-1'), jid('people-2')]);
    expect(answer.getChild('set')!.getChildText('count')).toBe('6');
  });

  it('hears which of them could not be changed, and how they still are; the others are changed', async () => {
    await admin.create('odd');
    await admin.affiliate('odd', { [jid('romeo')]: 'member' });
    const error = await refused(
      admin.affiliate('odd', { [jid('romeo')]: 'king', [jid('juliet')]: 'member', '@': 'member' }),
    );
    expect(error.attrs['type']).toBe('modify');
    expect(error.getChild('not-acceptable')).toBeDefined();
    const left = (error.parent as Element).getChild('pubsub', `${PUBSUB}#owner`)!.getChild('affiliations')!;
    expect(left.getChildren('affiliation').map(({ attrs }) => attrs as object)).toEqual([
      { jid: jid('romeo'), affiliation: 'member' },
      { jid: '@', affiliation: 'none' },
    ]);
    expect(await admin.affiliations('odd')).toMatchObject({ [jid('romeo')]: 'member', [jid('juliet')]: 'member' });
  });

  it('cannot be the last one to leave, but may hand the node over', async () => {
    const [heir, paris] = [as('heir'), as('paris')];
    await admin.create('inherited');
    const error = await refused(
      admin.affiliate('inherited', { [admin.jid]: 'none', [heir.jid]: 'publisher', [paris.jid]: 'outcast' }),
    );
    expect(error.attrs['type']).toBe('modify');
    expect(error.getChild('not-acceptable')).toBeDefined();
    const left = (error.parent as Element).getChild('pubsub')!.getChild('affiliations')!.getChildren('affiliation');
    expect(left.map(({ attrs }) => attrs as object)).toEqual([{ jid: admin.jid, affiliation: 'owner' }]);
    const now = { [admin.jid]: 'owner', [heir.jid]: 'publisher', [paris.jid]: 'outcast' };
    expect(await admin.affiliations('inherited')).toEqual(now);

    await admin.affiliate('inherited', { [admin.jid]: 'none', [heir.jid]: 'owner' });
    expect(await heir.affiliations('inherited')).toEqual({ [heir.jid]: 'owner', [paris.jid]: 'outcast' });
    expect(await refusal(heir.affiliate('inherited', { [heir.jid]: 'publisher' }))).toBe('modify not-acceptable');
    await heir.configure('inherited', { title: 'Mine now' });
  });

  it("may be made one of a feed's node, and the service can take that back", async () => {
    const feed = rig.feeds.feed('/lent.xml', { format: 'atom', title: 'Lent' });
    const [reader, tenant] = await subscribed(feed.url, 'reader', 'tenant');
    expect(await refusal(tenant!.configure(feed.url, { title: 'Mine' }))).toBe(FORBIDDEN);
    expect((await reader!.describe(feed.url))['owner']).toBe(rig.service);
    await admin.affiliate(feed.url, { [tenant!.jid]: 'owner' });
    await tenant!.configure(feed.url, { title: 'Mine' });
    expect(await reader!.describe(feed.url)).toMatchObject({ title: 'Mine', owner: tenant!.jid });
    await admin.affiliate(feed.url, { [tenant!.jid]: 'none' });
    expect(await refusal(tenant!.configure(feed.url, { title: 'Still mine' }))).toBe(FORBIDDEN);
  });

  it('throws outcasts out', async () => {
    await admin.create('pure');
    const [romeo, juliet] = await subscribed('pure', 'romeo', 'juliet');
    await admin.affiliate('pure', { [romeo!.jid]: 'outcast' });
    expect((await romeo!.told('pure')).attrs).toMatchObject({ jid: romeo!.jid, subscription: 'none' });
    expect(await admin.subscribers('pure')).toEqual([`${juliet!.jid} subscribed`]);
    await admin.publish('pure', item('1', note('x')));
    expect((await juliet!.next('pure')).id).toBe('1');
    await settled();
    expect(romeo!.rest('pure')).toEqual([]);
    await admin.affiliate('pure', { [romeo!.jid]: 'none' });
    await romeo!.subscribe('pure');
  });

  it('loses members of a node that is for members only with their subscriptions', async () => {
    await admin.create('club', { access_model: 'whitelist' });
    await admin.affiliate('club', { [jid('romeo')]: 'member' });
    const [romeo] = await subscribed('club', 'romeo');
    await admin.affiliate('club', { [romeo!.jid]: 'none' });
    expect((await romeo!.told('club')).attrs['subscription']).toBe('none');
    expect(await refusal(romeo!.items('club'))).toBe('cancel not-allowed closed-node');
  });

  it('owns the node; everybody else is refused', async () => {
    expect(await refusal(as('romeo').affiliations('pure'))).toBe(FORBIDDEN);
    expect(await refusal(as('romeo').affiliate('pure', { [jid('romeo')]: 'owner' }))).toBe(FORBIDDEN);
    expect(await refusal(admin.affiliations('nowhere'))).toBe(NOT_FOUND);
    const nameless = xml('affiliations', { node: 'pure' }, xml('affiliation', { affiliation: 'owner' }));
    expect(await refusal(admin.owner('set', nameless))).toBe('modify bad-request jid-required');
    for (const type of ['get', 'set'] as const) {
      expect(await refusal(admin.owner(type, xml('affiliations')))).toBe('modify bad-request nodeid-required');
    }
  });

  it.each<[string, string]>([
    // subscribe, read, publish, retract their own and others', purge, configure, delete
    ['owner', 'yes yes yes yes yes yes yes yes'],
    ['publisher', 'yes yes yes yes yes no no no'],
    ['publish-only', 'no no yes yes no no no no'],
    ['member', 'yes yes no no no no no no'],
    ['none', 'yes yes no no no no no no'],
    ['outcast', 'no no no no no no no no'],
  ])('gives rights as XEP-0060 4.1 has them: %s', async (affiliation, rights) => {
    const node = `rights-${affiliation}`;
    const one = as(`a-${affiliation}`);
    await admin.create(node);
    await admin.publish(node, item('theirs', note('x')));
    await admin.affiliate(node, { [one.jid]: affiliation });
    const found: string[] = [];
    for (const attempt of [
      () => one.subscribe(node),
      () => one.items(node),
      () => one.publish(node, item('own', note('x'))),
      () => one.retract(node, ['own']),
      () => one.retract(node, ['theirs']),
      () => one.purge(node),
      () => one.configure(node, { title: 'x' }),
      () => one.delete(node),
    ]) {
      const asked = attempt();
      const done = await asked.then(
        () => true,
        () => false,
      );
      if (!done) expect(await refusal(asked)).toBe(FORBIDDEN);
      found.push(done ? 'yes' : 'no');
    }
    expect(found.join(' ')).toBe(rights);
  });
});

describe('a node whose subscribers need approval', () => {
  const asksFor = (node: string, who: Party) => (message: Element) => {
    const { FORM_TYPE, ...values } = valuesIn(message);
    return FORM_TYPE === AUTHORIZATION && values['node'] === node && values['subscriber_jid'] === who.jid;
  };
  /** An owner's client sends the form back. */
  async function answer(owner: Party, request: Element, type: string, allow?: string) {
    const { FORM_TYPE, ...asked } = valuesIn(request);
    const filled = { ...asked, ...(allow !== undefined && { allow }) };
    const id = String(request.attrs['id']);
    const from = `${owner.jid}/desk`;
    await rig.tester.send(xml('message', { from, to: rig.service, id }, form(type, String(FORM_TYPE), filled)));
  }
  const NOT_LET_IN = 'auth not-authorized not-subscribed';

  it('has its owners asked, and sends nothing until they have answered', async () => {
    const owner = as('owner');
    await admin.create('asked', { access_model: 'authorize' });
    await admin.affiliate('asked', { [owner.jid]: 'owner' });
    const romeo = as('romeo');
    const subscription = await romeo.subscribe('asked');
    expect(subscription.attrs).toMatchObject({ node: 'asked', jid: romeo.jid, subscription: 'pending' });
    for (const one of [owner, admin]) {
      const request = await one.message(asksFor('asked', romeo));
      expect(request.getChildElements()).toHaveLength(1);
      expect(request.getChild('x')!.attrs['type']).toBe('form');
      const { node, jid: subscriber_jid, subid } = subscription.attrs as Record<string, string>;
      expect(valuesIn(request)).toEqual({ FORM_TYPE: AUTHORIZATION, node, subscriber_jid, subid, allow: '0' });
    }
    expect(await refusal(romeo.subscribe('asked'))).toBe('auth not-authorized pending-subscription');
    expect(await refusal(romeo.items('asked'))).toBe(NOT_LET_IN);
    expect(await refusal(romeo.contents('asked'))).toBe(NOT_LET_IN);
    await admin.publish('asked', item('1', note('x')));
    await settled();
    expect(romeo.rest('asked')).toEqual([]);
    expect(await romeo.subscriptions()).toContain('asked pending');
  });

  it.each(['true', '1'])('lets in whom an owner approves (%s), and tells them', async (allow) => {
    const [owner, juliet] = [as('owner'), as(`approved-${allow}`)];
    await juliet.subscribe('asked');
    await answer(owner, await owner.message(asksFor('asked', juliet)), 'submit', allow);
    expect((await juliet.told('asked')).attrs).toMatchObject({ jid: juliet.jid, subscription: 'subscribed' });
    expect((await juliet.next('asked')).id).toBe('1');
    expect((await juliet.items('asked')).map(({ id }) => id)).toEqual(['1']);
    expect(await juliet.contents('asked')).toEqual(['1']);
    await juliet.subscribe('asked');
    await juliet.next('asked');
    await admin.publish('asked', item('1', note('Again')));
    expect((await juliet.next('asked')).item.getChildText('note')).toBe('Again');
  });

  it.each(['false', '0'])(
    'lets nobody in whom an owner denies (%s), tells them, and they may ask again',
    async (allow) => {
      const [owner, paris] = [as('owner'), as(`denied-${allow}`)];
      await paris.subscribe('asked');
      await answer(owner, await owner.message(asksFor('asked', paris)), 'submit', allow);
      expect((await paris.told('asked')).attrs).toMatchObject({ jid: paris.jid, subscription: 'none' });
      expect(await refusal(paris.items('asked'))).toBe(NOT_LET_IN);
      expect(await paris.subscriptions()).toEqual([]);
      expect((await paris.subscribe('asked')).attrs['subscription']).toBe('pending');
    },
  );

  it('leaves everything as it is when an owner cancels, or somebody else answers, or the answer is none', async () => {
    const [owner, tybalt] = [as('owner'), as('tybalt')];
    await tybalt.subscribe('asked');
    const request = await owner.message(asksFor('asked', tybalt));
    await answer(owner, request, 'cancel');
    await answer(owner, request, 'form', '1');
    await answer(owner, request, 'submit', 'perhaps');
    const { FORM_TYPE, ...values } = valuesIn(request);
    const approval = form('submit', String(FORM_TYPE), { ...values, allow: '1' });
    for (const from of [tybalt.jid, 'stranger@example.org']) {
      await rig.tester.send(
        xml('message', { from: from.includes('tester') ? from : jid('stranger'), to: rig.service }, approval),
      );
    }
    await rig.tester.send(
      xml(
        'message',
        { from: owner.jid, to: rig.service },
        form('submit', AUTHORIZATION, { ...values, subid: 'other', allow: '1' }),
      ),
    );
    await settled();
    expect(tybalt.rest('asked')).toEqual([]);
    expect(await tybalt.subscriptions()).toEqual(['asked pending']);
    await answer(owner, request, 'submit', '1');
    expect((await tybalt.told('asked')).attrs['subscription']).toBe('subscribed');
  });

  it('lets members, publishers and owners in without asking', async () => {
    await admin.create('members', { access_model: 'authorize' });
    const affiliations = ['member', 'publisher', 'owner'];
    await admin.affiliate('members', Object.fromEntries(affiliations.map((one) => [jid(`a-${one}`), one])));
    for (const one of affiliations.map((name) => as(`a-${name}`))) {
      expect((await one.subscribe('members')).attrs['subscription']).toBe('subscribed');
      await one.items('members');
    }
  });

  it('lets in who waits when an owner puts them on a list, and drops who is thrown out', async () => {
    await admin.create('list', { access_model: 'authorize' });
    const [one, other, third, outcast] = await subscribed(
      'list',
      'w-subscribed',
      'w-publisher',
      'w-member',
      'w-outcast',
    );
    await admin.setSubscriptions('list', { [one!.jid]: 'subscribed' });
    await admin.affiliate('list', { [other!.jid]: 'publisher', [third!.jid]: 'member', [outcast!.jid]: 'outcast' });
    for (const who of [one, other, third]) expect((await who!.told('list')).attrs['subscription']).toBe('subscribed');
    expect((await outcast!.told('list')).attrs['subscription']).toBe('none');
    expect(await admin.subscribers('list')).toHaveLength(3);
    await admin.publish('list', item('1', note('x')));
    for (const who of [one, other, third]) expect((await who!.next('list')).id).toBe('1');
  });

  it('lets in everybody who waits when it becomes open', async () => {
    await admin.create('opening', { access_model: 'authorize' });
    const [one, other] = await subscribed('opening', 'early-1', 'early-2');
    await admin.publish('opening', item('1', note('x')));
    await admin.configure('opening', { access_model: 'open' });
    for (const who of [one, other]) {
      expect((await who!.told('opening')).attrs['subscription']).toBe('subscribed');
      expect((await who!.next('opening')).id).toBe('1');
    }
  });

  it('may be left by who waits', async () => {
    const [mercutio] = await subscribed('asked', 'mercutio');
    await mercutio!.unsubscribe('asked');
    expect(await mercutio!.subscriptions()).toEqual([]);
  });

  it("may be a feed's, or the firehose", async () => {
    const feed = rig.feeds.feed('/asked.xml', { format: 'atom', title: 'Asked' });
    const [reader] = await subscribed(feed.url, 'first-reader');
    for (const node of [feed.url, 'firehose']) {
      await admin.configure(node, { access_model: 'authorize' });
      const [late] = await subscribed(node, 'late-reader');
      expect(await refusal(late!.items(node))).toBe(NOT_LET_IN);
      const name = String((await reader!.describe(node))['hydrant#feed'] ?? node);
      expect(name).toBe(node);
    }
    const late = as('late-reader');
    expect((await late.subscriptions()).sort()).toEqual([`${feed.url} pending`, 'firehose pending'].sort());
    feed.publish({ title: 'For the approved' });
    expect((await reader!.next(feed.url)).title).toBe('For the approved');
    await settled();
    expect([...late.rest(feed.url), ...late.rest('firehose')]).toEqual([]);
    for (const node of [feed.url, 'firehose']) await admin.configure(node, { access_model: 'open' });
    expect((await late.told(feed.url)).attrs['subscription']).toBe('subscribed');
    expect((await late.told('firehose')).attrs['subscription']).toBe('subscribed');
  });
});

describe('the command that lists who waits for approval', () => {
  const GET_PENDING = `${PUBSUB}#get-pending`;
  const command = async (who: Party, attributes: object = {}, ...children: Element[]) =>
    (
      await who.request('set', xml('command', { xmlns: COMMANDS, node: GET_PENDING, ...attributes }, ...children))
    ).getChild('command')!;
  const nodesIn = (answered: Element) =>
    answered
      .getChild('x')!
      .getChildren('field')
      .find(({ attrs }) => attrs['var'] === 'pubsub#node')!
      .getChildren('option')
      .map((option) => option.getChildText('value'));

  it('shows an owner the nodes, and asks again for each who waits on the one that is chosen', async () => {
    const keeper = as('keeper');
    for (const node of ['gate-1', 'gate-2', 'gate-3']) {
      await admin.create(node, { access_model: 'authorize' });
      if (node !== 'gate-3') await admin.affiliate(node, { [keeper.jid]: 'owner' });
    }
    expect(nodesIn(await command(keeper, { action: 'execute' }))).toEqual([]);
    await subscribed('gate-1', 'one-waits');
    await subscribed('gate-2', 'two-wait', 'two-wait-too');
    await subscribed('gate-3', 'not-for-the-keeper');
    const isRequest = (message: Element) => valuesIn(message)['FORM_TYPE'] === AUTHORIZATION;
    for (let n = 0; n < 3; n++) await keeper.message(isRequest);

    const first = await command(keeper, { action: 'execute' });
    expect(first.attrs).toMatchObject({ status: 'executing', sessionid: expect.stringMatching(/./) });
    expect(nodesIn(first).sort()).toEqual(['gate-1', 'gate-2']);
    expect(nodesIn(await command(admin))).toEqual(expect.arrayContaining(['gate-1', 'gate-2', 'gate-3']));
    const { sessionid } = first.attrs as { sessionid: string };
    const second = await command(
      keeper,
      { action: 'execute', sessionid },
      form('submit', AUTHORIZATION, { node: 'gate-2' }),
    );
    expect(second.attrs).toMatchObject({ status: 'completed', sessionid });
    const waiting = [await keeper.message(isRequest), await keeper.message(isRequest)].map(valuesIn);
    expect(waiting.map(({ subscriber_jid }) => subscriber_jid)).toEqual(
      expect.arrayContaining([jid('two-wait'), jid('two-wait-too')]),
    );
    expect(waiting.map(({ node }) => node)).toEqual(['gate-2', 'gate-2']);
    await admin.setSubscriptions('gate-1', { [jid('one-waits')]: 'none' });
    expect(nodesIn(await command(keeper))).toEqual(['gate-2']);
  });

  it('may be cancelled', async () => {
    const { sessionid } = (await command(admin)).attrs as { sessionid: string };
    expect((await command(admin, { action: 'cancel', sessionid })).attrs).toMatchObject({
      status: 'canceled',
      sessionid,
    });
  });

  it('is refused to who owns no node, and for nodes on which nobody waits', async () => {
    expect(await refusal(command(as('nobody')))).toBe(FORBIDDEN);
    for (const node of ['nowhere', 'gate-1']) {
      expect(await refusal(command(admin, {}, form('submit', AUTHORIZATION, { node })))).toBe(NOT_FOUND);
    }
    expect(await refusal(command(as('keeper'), {}, form('submit', AUTHORIZATION, { node: 'gate-3' })))).toBe(NOT_FOUND);
    const other = xml('command', { xmlns: COMMANDS, node: 'other' });
    expect(await refusal(admin.request('set', other))).toBe(NOT_FOUND);
  });
});
