import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import xml, { type Element } from '@xmpp/xml';
import {
  form,
  item,
  NODE_CONFIG,
  note,
  party,
  PUBSUB,
  refusal,
  refused,
  valuesIn,
  type Party,
} from '../support/owner.js';
import { startRig, type Rig } from '../support/rig.js';

const SECONDS = 20;
const NOT_FOUND = 'cancel item-not-found';
const FORBIDDEN = 'auth forbidden';
const NO_COLLECTIONS = 'cancel feature-not-implemented unsupported:collections';

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

/** A feed that somebody follows and that has been read. */
async function followed(path: string, reader: Party) {
  const feed = rig.feeds.feed(path, { format: 'atom', title: `Feed of ${path}` });
  feed.publish({ title: 'Old' });
  await reader.subscribe(feed.url);
  await reader.next(feed.url);
  return feed;
}

/** The canonical NodeID of a feed's node. */
async function slugOf(url: string): Promise<string | undefined> {
  const title = (await as('anybody').describe(url)).name;
  return [...(await as('anybody').directory())].find(([, name]) => name === title)?.[0];
}

const isThere = async (node: string): Promise<boolean> => (await as('anybody').directory()).has(node);

describe('an admin who creates a node', () => {
  it('has it at once, as its owner', async () => {
    expect(await admin.create('plain')).toBe('plain');
    expect(await admin.affiliations('plain')).toEqual({ [jid('admin')]: 'owner' });
    expect(await as('romeo').describe('plain')).toMatchObject({
      ...{ node_type: 'leaf', owner: jid('admin'), creator: jid('admin'), access_model: 'open' },
      creation_date: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      num_subscribers: '0',
    });
    expect(await isThere('plain')).toBe(true);
  });

  it('need not think of a name', async () => {
    const [one, other] = [await admin.create(), await admin.create()];
    expect(one).not.toBe(other);
    const [romeo] = await subscribed(one, 'romeo');
    await admin.publish(one, item('1', note('Nameless')));
    expect((await romeo!.next(one)).id).toBe('1');
    expect((await admin.configuration(one))['title']).toEqual([]);
    await admin.delete(one);
    expect(await isThere(one)).toBe(false);
    expect(await isThere(other)).toBe(true);
  });

  it('may configure it with the same request, as far as it matters', async () => {
    const before = await admin.configuration('plain');
    await admin.create('configured', { title: 'Princely musings', max_items: '7', access_model: 'whitelist' });
    expect(await admin.configuration('configured')).toEqual({
      ...before,
      ...{ title: 'Princely musings', max_items: '7', access_model: 'whitelist' },
    });
  });

  it('may configure nothing with the same request', async () => {
    await admin.pubsub('set', xml('create', { node: 'empty' }), xml('configure'));
    expect(await admin.configuration('empty')).toEqual(await admin.configuration('plain'));
  });

  it.each(['/test/Pubnode-1', 'princely_musings_a+b=', 'UPPER.case~@example.org', '7'])(
    'may call it what clients call nodes: %s',
    async (name) => {
      expect(await admin.create(name)).toBe(name);
      await admin.publish(name, item('1', note('x')));
      expect(await as('romeo').contents(name)).toEqual(['1']);
    },
  );

  it('may create the node of a feed with its configuration before anybody follows it', async () => {
    const feed = rig.feeds.feed('/created.xml', { format: 'atom', title: 'Created' });
    feed.publish({ title: 'First' });
    const configured = [
      xml('create', { node: feed.url }),
      xml('configure', {}, form('submit', NODE_CONFIG, { title: 'Mine' })),
    ];
    const answer = await admin.pubsub('set', ...configured);
    const node = String(answer.getChild('pubsub')!.getChild('create')!.attrs['node']);
    expect(node).toMatch(/^127\.0\.0\.1-[a-z2-7]{10}$/);
    expect(await as('romeo').describe(feed.url)).toMatchObject({ name: 'Mine', 'hydrant#feed': feed.url });
    expect(await refusal(admin.create(feed.url))).toBe('cancel conflict');
    expect(await refusal(admin.create(node))).toBe('cancel conflict');
    expect(await refusal(as('romeo').create(rig.feeds.url('/uncreated.xml')))).toBe(FORBIDDEN);
  });
});

describe('the creation of a node is refused', () => {
  it('to everybody else', async () => {
    expect(await refusal(as('romeo').create('romeos'))).toBe(FORBIDDEN);
    expect(await refusal(as('romeo').create())).toBe(FORBIDDEN);
    expect(await refusal(admin.configuration('romeos'))).toBe(NOT_FOUND);
  });

  it('when there is one of that name, which stays as it is', async () => {
    await admin.create('taken', { title: 'The first' });
    expect(await refusal(admin.create('taken', { title: 'The second' }))).toBe('cancel conflict');
    expect(await refusal(admin.create('firehose'))).toBe('cancel conflict');
    expect((await admin.configuration('taken'))['title']).toBe('The first');
  });

  it.each([
    ['of a collection', { type: 'collection' }, {}],
    ['of a collection by its form', {}, { node_type: 'collection' }],
    ['in a collection', {}, { collection: 'news' }],
  ])('when it is to be that %s', async (_, attributes, config) => {
    const create = xml('create', { node: 'never', ...attributes });
    const configure = xml('configure', {}, form('submit', NODE_CONFIG, config));
    expect(await refusal(admin.pubsub('set', create, configure))).toBe(NO_COLLECTIONS);
    expect(await refusal(as('romeo').describe('never'))).toBe(NOT_FOUND);
  });

  it.each<[string, Record<string, string>, string]>([
    ['presence', { access_model: 'presence' }, 'modify not-acceptable unsupported-access-model'],
    ['roster', { access_model: 'roster' }, 'modify not-acceptable unsupported-access-model'],
    ['what would not be done', { purge_offline: '1' }, 'modify not-acceptable'],
    ['nonsense', { max_items: 'many', title: 'Fine' }, 'modify not-acceptable'],
  ])('with a form that asks for %s', async (_, config, expected) => {
    expect(await refusal(admin.create('never', config))).toBe(expected);
    expect(await refusal(as('romeo').describe('never'))).toBe(NOT_FOUND);
  });

  it.each<[string, Element]>([
    ['is none', xml('x', { xmlns: 'jabber:x:data', type: 'result' })],
    ['has no type', xml('x', { xmlns: 'jabber:x:data' })],
    ['is for something else', form('submit', `${PUBSUB}#publish-options`)],
  ])('with a form that %s', async (_, x) => {
    const asked = admin.pubsub('set', xml('create', { node: 'never' }), xml('configure', {}, x));
    expect(await refusal(asked)).toBe('modify bad-request');
  });

  it('when the configuration comes first, or names a node of its own', async () => {
    const create = () => xml('create', { node: 'never' });
    const configure = (attributes = {}) => xml('configure', attributes, form('submit', NODE_CONFIG));
    expect(await refusal(admin.pubsub('set', configure(), create()))).toBe('modify bad-request');
    expect(await refusal(admin.pubsub('set', create(), configure({ node: 'never' })))).toBe('modify bad-request');
    expect(await refusal(as('romeo').describe('never'))).toBe(NOT_FOUND);
  });

  it.each(['with space', '-dash', 'ümlaut', `a${'b'.repeat(200)}`, 'http:'])(
    'with a name that is none: %s',
    async (name) => {
      expect(await refusal(admin.create(name))).toBe('modify not-acceptable');
    },
  );

  it('with credentials in its URL, where the service has no key to keep them under', async () => {
    const error = await refused(admin.create('https://user:secret@private.example/feed'));
    expect(error.getChild('not-allowed')).toBeDefined();
    expect(error.getChildText('text')).toBe('Credentials need the setting CREDENTIALS_KEY, which is missing');
    expect(await refusal(admin.configuration('https://private.example/feed'))).toBe(NOT_FOUND);
  });
});

/** var, type, value and choices of every field, as XEP-0060 17.4.4 has them, with what this service begins with. */
const FIELDS: readonly (readonly [name: string, type: string, value: string, choices?: string])[] = [
  ['title', 'text-single', ''],
  ['description', 'text-single', ''],
  ['type', 'text-single', ''],
  ['language', 'list-single', '', 'en'],
  ['contact', 'jid-multi', ''],
  ['access_model', 'list-single', 'open', 'open authorize whitelist'],
  ['publish_model', 'list-single', 'publishers', 'publishers subscribers open'],
  ['subscribe', 'boolean', '1'],
  ['deliver_notifications', 'boolean', '1'],
  ['deliver_payloads', 'boolean', '1'],
  ['notification_type', 'list-single', 'headline', 'headline normal'],
  ['send_last_published_item', 'list-single', 'on_sub', 'never on_sub on_sub_and_presence'],
  ['presence_based_delivery', 'boolean', '0'],
  ['persist_items', 'boolean', '1'],
  ['max_items', 'text-single', '20'],
  ['item_expire', 'text-single', 'max'],
  ['max_payload_size', 'text-single', '49152'],
  ['notify_config', 'boolean', '0'],
  ['notify_delete', 'boolean', '1'],
  ['notify_retract', 'boolean', '1'],
  ['notify_sub', 'boolean', '0'],
  ['node_type', 'list-single', 'leaf', 'leaf'],
];

describe('the configuration of a node', () => {
  const formOf = (answer: Element, verb: string) => answer.getChild('pubsub')!.getChild(verb)!.getChild('x')!;
  const shown = (x: Element) =>
    x.getChildren('field').map((one) => {
      const options = one.getChildren('option').map((option) => option.getChildText('value'));
      const name = String(one.attrs['var']).replace('pubsub#', '');
      return [
        name,
        String(one.attrs['type']),
        one.getChildText('value') ?? '',
        ...(options.length > 0 ? [options] : []),
      ];
    });
  const expectedFields = (without: readonly string[] = []) => [
    ['FORM_TYPE', 'hidden', NODE_CONFIG],
    ...FIELDS.filter(([name]) => !without.includes(name)).map(([name, type, value, choices]) => {
      if (choices === undefined) return [name, type, value];
      return [name, type, value, name === 'language' ? expect.arrayContaining([choices]) : choices.split(' ')];
    }),
  ];

  it('is a form with every field that takes effect, as it is registered', async () => {
    await admin.create('formal');
    const answer = await admin.owner('get', xml('configure', { node: 'formal' }));
    expect(answer.getChild('pubsub')!.getChild('configure')!.attrs).toEqual({ node: 'formal' });
    const x = formOf(answer, 'configure');
    expect(x.attrs).toMatchObject({ type: 'form' });
    expect(shown(x)).toEqual(expectedFields());
    expect(
      x
        .getChildren('field')
        .slice(1)
        .every((one) => one.attrs['label']),
    ).toBe(true);
  });

  it('is to be had without a node, as new nodes have it, by anybody', async () => {
    const answer = await as('romeo').owner('get', xml('default'));
    expect(answer.getChild('pubsub')!.getChild('default')!.attrs).toEqual({});
    expect(shown(formOf(answer, 'default'))).toEqual(expectedFields());
    expect(await refusal(as('romeo').owner('get', xml('default', { type: 'collection' })))).toBe(NO_COLLECTIONS);
    await as('romeo').owner('get', xml('default', { type: 'leaf' }));
  });

  it('has of a feed what the feed does not decide, and of the firehose what can be', async () => {
    const feed = await followed('/form.xml', as('formreader'));
    const names = async (node: string) => Object.keys(await admin.configuration(node)).slice(1);
    const all = FIELDS.map(([name]) => name);
    const without = (...some: string[]) => all.filter((name) => !some.includes(name));
    const decided = ['publish_model', 'persist_items', 'max_payload_size'];
    const ofFeeds = ['hydrant#edit_threshold', 'hydrant#authorization', 'hydrant#headers'];
    expect((await names(feed.url)).filter((name) => !ofFeeds.includes(name))).toEqual(without(...decided));
    expect(await names(feed.url)).toEqual(expect.arrayContaining(ofFeeds));
    const kept = ['max_items', 'item_expire', 'notify_config', 'notify_delete', 'notify_retract'];
    expect(await names('firehose')).toEqual(without(...decided, ...kept));
    expect(await admin.configuration(feed.url)).toMatchObject({ title: 'Feed of /form.xml', max_items: '20' });
  });

  it('changes only in what is submitted, and can be read back', async () => {
    await admin.create('changing', { title: 'Before', description: 'Stays' });
    const before = await admin.configuration('changing');
    const answer = await admin.configure('changing', { title: 'After', notify_sub: 'true', item_expire: '3600' });
    expect(answer.getChildElements()).toEqual([]);
    const after = { ...before, title: 'After', notify_sub: '1', item_expire: '3600' };
    expect(await admin.configuration('changing')).toEqual(after);
    await admin.configure('changing', { ...after, max_items: 'max' });
    expect(await admin.configuration('changing')).toEqual({ ...after, max_items: 'max' });
  });

  it('may be sent by clients that know little of forms: without FORM_TYPE, with wrong types, with more than there is', async () => {
    await admin.create('sloppy');
    const field = (name: string, type: string, value: string) =>
      xml('field', { var: name, type }, xml('value', {}, value));
    const fields = [
      field('pubsub#title', 'fixed', 'Sloppy'),
      field('pubsub#max_items', 'boolean', '3'),
      field('pubsub#itemreply', 'list-single', 'owner'),
      field('x-mine', 'nonsense', '?'),
    ];
    await admin.owner(
      'set',
      xml('configure', { node: 'sloppy' }, xml('x', { xmlns: 'jabber:x:data', type: 'submit' }, ...fields)),
    );
    expect(await admin.configuration('sloppy')).toMatchObject({ title: 'Sloppy', max_items: '3' });
  });

  it('stays when the owner cancels', async () => {
    await admin.create('cancelled', { title: 'Kept' });
    const before = await admin.configuration('cancelled');
    for (const x of [
      form('cancel', NODE_CONFIG, { title: 'New' }),
      xml('x', { xmlns: 'jabber:x:data', type: 'cancel' }),
    ]) {
      const answer = await admin.owner('set', xml('configure', { node: 'cancelled' }, x));
      expect(answer.attrs['type']).toBe('result');
    }
    expect(await admin.configuration('cancelled')).toEqual(before);
  });

  it('is refused to who does not own the node, and where there is none', async () => {
    await admin.create('guarded');
    expect(await refusal(as('romeo').configuration('guarded'))).toBe(FORBIDDEN);
    expect(await refusal(as('romeo').configure('guarded', { title: 'Mine' }))).toBe(FORBIDDEN);
    expect(await refusal(as('romeo').configuration('firehose'))).toBe(FORBIDDEN);
    expect(await refusal(admin.configuration('nowhere'))).toBe(NOT_FOUND);
    expect(await refusal(admin.configure('nowhere', { title: 'x' }))).toBe(NOT_FOUND);
    for (const type of ['get', 'set'] as const) {
      expect(await refusal(admin.owner(type, xml('configure')))).toBe('modify bad-request nodeid-required');
    }
  });

  it.each<[string, Record<string, string | string[]>, string]>([
    ['the access model "presence"', { access_model: 'presence' }, 'modify not-acceptable unsupported-access-model'],
    ['the access model "roster"', { access_model: 'roster' }, 'modify not-acceptable unsupported-access-model'],
    ['an access model that nobody knows', { access_model: 'x' }, 'modify not-acceptable unsupported-access-model'],
    ['a collection', { node_type: 'collection' }, NO_COLLECTIONS],
    ['to be in a collection', { collection: 'news' }, NO_COLLECTIONS],
    ['another kind of node', { node_type: 'twig' }, 'modify not-acceptable'],
    ['items to go with their publisher', { purge_offline: 'true' }, 'modify not-acceptable'],
    ['only temporary subscriptions', { tempsub: '1' }, 'modify not-acceptable'],
    ['to be full', { publish_node_full: 'reject' }, 'modify not-acceptable'],
    ['chat messages', { notification_type: 'chat' }, 'modify not-acceptable'],
    ['a flag that is none', { notify_sub: '7' }, 'modify not-acceptable'],
    ['too many items', { max_items: '1001' }, 'modify not-acceptable'],
    ['no items', { max_items: '0' }, 'modify not-acceptable'],
    ['less than no items', { max_items: '-1' }, 'modify not-acceptable'],
    ['two numbers', { max_items: ['1', '2'] }, 'modify not-acceptable'],
    ['a payload size of "max"', { max_payload_size: 'max' }, 'modify not-acceptable'],
    ['a language that is none', { language: 'plain english' }, 'modify not-acceptable'],
    ['somebody to ask who is nobody', { contact: '@' }, 'modify not-acceptable'],
  ])('cannot be: %s; nothing of the form is done then', async (_, config, expected) => {
    const before = await admin.configuration('plain');
    expect(await refusal(admin.configure('plain', { title: 'Changed', ...config }))).toBe(expected);
    expect(await admin.configuration('plain')).toEqual(before);
  });

  it('is a form: without one the request is refused', async () => {
    const configure = (...children: Element[]) => admin.owner('set', xml('configure', { node: 'plain' }, ...children));
    expect(await refusal(configure())).toBe('modify bad-request');
    expect(await refusal(configure(xml('x', 'jabber:x:data')))).toBe('modify bad-request');
    expect(await refusal(configure(form('result', NODE_CONFIG)))).toBe('modify bad-request');
    expect(await refusal(configure(form('submit', `${PUBSUB}#subscribe_options`)))).toBe('modify bad-request');
  });

  it('takes what asks for nothing else than what is done anyway', async () => {
    const harmless = {
      purge_offline: '0',
      tempsub: 'false',
      collection: '',
      node_type: 'leaf',
      publish_node_full: 'retract-oldest',
    };
    await admin.create('harmless', { ...harmless, title: 'Harmless' });
    await admin.configure('harmless', harmless);
    expect((await admin.configuration('harmless'))['title']).toBe('Harmless');
  });
});

describe('what a node says of itself', () => {
  const said = {
    ...{ title: 'News', description: 'What is new', type: 'urn:example:note', language: 'gsw-CH' },
    contact: ['editor@example.org', 'office@example.org'],
  };

  it('is what its owner has set', async () => {
    await admin.create('said', said);
    expect(await as('romeo').describe('said')).toMatchObject({ name: 'News', ...said });
    expect((await as('romeo').directory()).get('said')).toBe('News');
    await admin.configure('said', { title: 'Old news', contact: 'editor@example.org' });
    const contact = 'editor@example.org';
    expect(await as('romeo').describe('said')).toMatchObject({ ...said, name: 'Old news', title: 'Old news', contact });
    expect((await as('romeo').directory()).get('said')).toBe('Old news');
  });

  it('is of a feed what the feed says, unless its owner has set something else', async () => {
    const feed = await followed('/said.xml', as('saidreader'));
    await admin.configure(feed.url, said);
    expect(await as('romeo').describe(feed.url)).toMatchObject({ name: 'News', ...said });
    await admin.configure(feed.url, { title: '', type: '' });
    expect(await as('romeo').describe(feed.url)).toMatchObject({
      ...{ title: 'Feed of /said.xml', type: 'urn:xmpp:pubsub-social-feed:1', description: 'What is new' },
    });
  });

  it('can be said of the firehose too', async () => {
    const before = await admin.configuration('firehose');
    await admin.configure('firehose', { title: 'Everything', contact: 'office@example.org' });
    expect(await as('romeo').describe('firehose')).toMatchObject({ name: 'Everything', contact: 'office@example.org' });
    expect((await as('romeo').directory()).get('firehose')).toBe('Everything');
    await admin.configure('firehose', { title: '', contact: [] });
    expect(await admin.configuration('firehose')).toEqual(before);
  });
});

describe('who may subscribe and read', () => {
  const CLOSED = 'cancel not-allowed closed-node';

  it('is everybody on an open node', async () => {
    await admin.create('open');
    await admin.publish('open', item('1', note('x')));
    const romeo = as('romeo');
    expect((await romeo.items('open')).map(({ id }) => id)).toEqual(['1']);
    expect(await romeo.contents('open')).toEqual(['1']);
    expect((await romeo.subscribe('open')).attrs['subscription']).toBe('subscribed');
  });

  it('are only members, publishers and owners where the access model is whitelist', async () => {
    await admin.create('club', { access_model: 'whitelist', title: 'Secret' });
    await admin.publish('club', item('1', note('x')));
    await admin.affiliate('club', {
      [jid('member')]: 'member',
      [jid('publisher')]: 'publisher',
      [jid('owner')]: 'owner',
    });
    const romeo = as('romeo');
    expect(await refusal(romeo.subscribe('club'))).toBe(CLOSED);
    expect(await refusal(romeo.items('club'))).toBe(CLOSED);
    expect(await refusal(romeo.contents('club'))).toBe(CLOSED);
    for (const inside of ['member', 'publisher', 'owner', 'admin'].map(as)) {
      expect((await inside.items('club')).map(({ id }) => id)).toEqual(['1']);
      expect(await inside.contents('club')).toEqual(['1']);
      expect((await inside.describe('club'))['title']).toBe('Secret');
      expect((await inside.subscribe('club')).attrs['subscription']).toBe('subscribed');
      await inside.next('club');
    }
  });

  it('hear of a node for members only that it is there, when they know its name', async () => {
    expect(await isThere('club')).toBe(false);
    const { FORM_TYPE, ...shown } = await as('romeo').describe('club');
    expect(FORM_TYPE).toBe(`${PUBSUB}#meta-data`);
    expect(shown).toEqual({ name: undefined, access_model: 'whitelist' });
  });

  it('lose their subscriptions when a node becomes one for members only, and are told', async () => {
    await admin.create('closing');
    await admin.affiliate('closing', { [jid('member')]: 'member' });
    const [romeo, member] = await subscribed('closing', 'romeo', 'member');
    await admin.configure('closing', { access_model: 'whitelist' });
    expect((await romeo!.told('closing')).attrs).toMatchObject({ jid: romeo!.jid, subscription: 'none' });
    expect(await romeo!.subscriptions()).not.toContain('closing subscribed');
    expect(await admin.subscribers('closing')).toEqual([`${member!.jid} subscribed`]);
    await admin.publish('closing', item('1', note('x')));
    expect((await member!.next('closing')).id).toBe('1');
    await settled();
    expect(romeo!.rest('closing')).toEqual([]);
  });

  it('is decided for a feed and for the firehose as well', async () => {
    const [reader, drinker] = [as('closedreader'), as('drinker')];
    const feed = await followed('/closed.xml', reader);
    await drinker.subscribe('firehose');
    await admin.affiliate(feed.url, { [reader.jid]: 'member' });
    await admin.configure(feed.url, { access_model: 'whitelist' });
    expect(await refusal(as('romeo').items(feed.url))).toBe(CLOSED);
    expect(await refusal(as('romeo').subscribe(feed.url))).toBe(CLOSED);
    expect([...(await as('romeo').directory()).values()]).not.toContain('Feed of /closed.xml');
    feed.publish({ title: 'Members only' });
    expect((await reader.next(feed.url)).title).toBe('Members only');
    await settled();
    expect(drinker.rest('firehose')).toEqual([]);

    await admin.configure('firehose', { access_model: 'whitelist' });
    expect((await drinker.told('firehose')).attrs['subscription']).toBe('none');
    expect(await refusal(drinker.subscribe('firehose'))).toBe(CLOSED);
    await admin.configure('firehose', { access_model: 'open' });
    await drinker.subscribe('firehose');
    await drinker.unsubscribe('firehose');
  });

  it('is nobody new where subscriptions are off; who has one keeps it', async () => {
    await admin.create('full');
    const [romeo] = await subscribed('full', 'romeo');
    await admin.configure('full', { subscribe: '0' });
    expect(await refusal(as('paris').subscribe('full'))).toBe('cancel feature-not-implemented unsupported:subscribe');
    await admin.publish('full', item('1', note('x')));
    expect((await romeo!.next('full')).id).toBe('1');
    expect((await as('paris').items('full')).map(({ id }) => id)).toEqual(['1']);
  });
});

describe('the publish model', () => {
  it('lets publishers publish, or subscribers too, or everybody', async () => {
    await admin.create('model');
    await admin.affiliate('model', { [jid('publisher')]: 'publisher', [jid('outcast')]: 'outcast' });
    await subscribed('model', 'subscriber');
    const who = async () => {
      const can: string[] = [];
      for (const name of ['admin', 'publisher', 'subscriber', 'stranger', 'outcast']) {
        const outcome = await as(name)
          .publish('model', item(name, note(name)))
          .catch((error: unknown) => error);
        if (!(outcome instanceof Error)) can.push(name);
        else expect(await refusal(Promise.reject(outcome))).toBe(FORBIDDEN);
      }
      return can;
    };
    expect(await who()).toEqual(['admin', 'publisher']);
    await admin.configure('model', { publish_model: 'subscribers' });
    expect(await who()).toEqual(['admin', 'publisher', 'subscriber']);
    await admin.configure('model', { publish_model: 'open' });
    expect(await who()).toEqual(['admin', 'publisher', 'subscriber', 'stranger']);
  });
});

describe('what subscribers are sent', () => {
  it('is nothing where notifications are off', async () => {
    await admin.create('mute', { deliver_notifications: '0' });
    const [romeo] = await subscribed('mute', 'romeo');
    await admin.publish('mute', item('1', note('Silent')));
    await admin.retract('mute', ['1'], 'true');
    await admin.publish('mute', item('2', note('Silent')));
    await settled();
    expect(romeo!.rest('mute')).toEqual([]);
    expect((await romeo!.items('mute')).map(({ id }) => id)).toEqual(['2']);
    await admin.configure('mute', { deliver_notifications: '1' });
    await admin.publish('mute', item('3', note('Loud')));
    expect((await romeo!.next('mute')).id).toBe('3');
  });

  it('is only the ItemID where payloads are off; the node has the rest', async () => {
    await admin.create('thin', { deliver_payloads: '0' });
    const [romeo] = await subscribed('thin', 'romeo');
    await admin.publish('thin', item('1', note('Thick')));
    const { item: sent } = await romeo!.next('thin');
    expect(sent.attrs).toEqual({ id: '1', publisher: admin.jid });
    expect(sent.children).toEqual([]);
    const [held] = await romeo!.items('thin');
    expect(held!.item.getChildText('note')).toBe('Thick');
  });

  it('is of a feed and of the firehose only the ItemID, nothing, or messages of another type, as they are configured', async () => {
    const [reader, drinker] = [as('thinreader'), as('thindrinker')];
    const feed = await followed('/thin.xml', reader);
    await drinker.subscribe('firehose');
    await admin.configure(feed.url, { deliver_payloads: '0', notification_type: 'normal' });
    feed.publish({ title: 'Thin' });
    const thin = await reader.next(feed.url);
    expect(thin.item.children).toEqual([]);
    expect(thin.stanza.attrs['type']).toBe('normal');
    expect((await reader.items(feed.url)).at(-1)).toMatchObject({ id: thin.id, title: 'Thin' });
    expect(await drinker.next('firehose')).toMatchObject({ title: 'Thin', stanza: { attrs: { type: 'headline' } } });

    await admin.configure('firehose', { deliver_payloads: '0', notification_type: 'normal' });
    await admin.configure(feed.url, { deliver_notifications: '0' });
    feed.publish({ title: 'Only for the firehose' });
    const drunk = await drinker.next('firehose');
    expect(drunk.item.children).toEqual([]);
    expect(drunk.stanza.attrs['type']).toBe('normal');
    await settled();
    expect(reader.rest(feed.url)).toEqual([]);
    await admin.configure('firehose', { deliver_payloads: '1', notification_type: 'headline' });
    await drinker.unsubscribe('firehose');
  });

  it('are messages of the type that the node has, unless the subscriber wants another', async () => {
    await admin.create('typed', { notification_type: 'normal' });
    const [romeo, chatty] = await subscribed('typed', 'romeo', 'chatty');
    const x = xml(
      'x',
      { xmlns: 'jabber:x:data', type: 'submit' },
      xml('field', { var: 'hydrant#message_type' }, xml('value', {}, 'chat')),
    );
    await chatty!.pubsub('set', xml('options', { node: 'typed', jid: chatty!.jid }, x));
    await admin.publish('typed', item('1', note('x')));
    expect((await romeo!.next('typed')).stanza.attrs['type']).toBe('normal');
    expect((await chatty!.next('typed')).stanza.attrs['type']).toBe('chat');
    await admin.configure('typed', { notification_type: 'headline' });
    await admin.publish('typed', item('2', note('x')));
    expect((await romeo!.next('typed')).stanza.attrs['type']).toBe('headline');
  });

  it('is the latest item to who subscribes, and to who comes online, as far as the node is configured so', async () => {
    await admin.create('latest', { send_last_published_item: 'never' });
    for (const id of ['1', '2']) await admin.publish('latest', item(id, note(id)));
    await settled();
    const comes = (name: string) => rig.tester.send(xml('presence', { from: `${jid(name)}/balcony`, to: rig.service }));
    await comes('never');
    const [never] = await subscribed('latest', 'never');
    await admin.configure('latest', { send_last_published_item: 'on_sub' });
    const [once] = await subscribed('latest', 'once');
    const welcome = await once!.next('latest');
    expect(welcome.id).toBe('2');
    expect(welcome.stanza.getChild('delay', 'urn:xmpp:delay')?.attrs['stamp']).toMatch(/^\d{4}-.*Z$/);
    await comes('once');

    await admin.configure('latest', { send_last_published_item: 'on_sub_and_presence' });
    const [twice] = await subscribed('latest', 'twice');
    expect((await twice!.next('latest')).id).toBe('2');
    await comes('twice');
    const again = await twice!.next('latest');
    expect([again.id, again.stanza.attrs['to']]).toEqual(['2', `${twice!.jid}/balcony`]);
    await settled();
    expect([never, once, twice].flatMap((one) => one!.rest('latest'))).toEqual([]);
  });

  it('is nothing while they are away, where delivery is based on presence', async () => {
    await admin.create('present', { presence_based_delivery: '1', send_last_published_item: 'never' });
    const [romeo] = await subscribed('present', 'absent');
    const says = (type?: string) =>
      rig.tester.send(xml('presence', { from: `${romeo!.jid}/orchard`, to: rig.service, ...(type && { type }) }));
    await admin.publish('present', item('1', note('Away')));
    await settled();
    await says();
    await romeo!.presences.take(({ attrs }) => attrs['from'] === rig.service, SECONDS);
    await admin.publish('present', item('2', note('There')));
    expect((await romeo!.next('present')).id).toBe('2');
    await says('unavailable');
    await romeo!.describe('present');
    await admin.publish('present', item('3', note('Away again')));
    await settled();
    expect(romeo!.rest('present')).toEqual([]);
  });

  it('is decided for a feed and for the firehose in the same way', async () => {
    const [there, absent] = [as('there'), as('not-there')];
    const feed = await followed('/decided.xml', as('decidedreader'));
    feed.publish({ title: 'On both' });
    await as('decidedreader').next(feed.url);
    await rig.tester.send(xml('presence', { from: `${there.jid}/desk`, to: rig.service }));
    await there.presences.take(({ attrs }) => attrs['from'] === rig.service, SECONDS);
    const settings = { send_last_published_item: 'never', presence_based_delivery: '1', notify_sub: '1' };
    for (const node of [feed.url, 'firehose']) {
      await admin.configure(node, settings);
      for (const one of [there, absent]) await one.subscribe(node);
      const name = node === 'firehose' ? node : String(await slugOf(node));
      for (const one of [there, absent]) expect((await admin.told(name)).attrs['jid']).toBe(one.jid);
      await admin.configure(node, { subscribe: '0' });
      expect(await refusal(as('paris').subscribe(node))).toBe('cancel feature-not-implemented unsupported:subscribe');
    }
    feed.publish({ title: 'For who is there' });
    expect((await there.next(feed.url)).title).toBe('For who is there');
    expect((await there.next('firehose')).title).toBe('For who is there');
    await settled();
    expect([there, absent].flatMap((one) => [...one.rest(feed.url), ...one.rest('firehose')])).toEqual([]);
    const normal = {
      send_last_published_item: 'on_sub',
      presence_based_delivery: '0',
      notify_sub: '0',
      subscribe: '1',
    };
    await admin.configure('firehose', normal);
  });
});

describe('the items that a node keeps', () => {
  const idsOf = async (node: string) => (await as('romeo').items(node)).map(({ id }) => id);
  const UNKEPT = 'cancel feature-not-implemented unsupported:persistent-items';

  it('are none where items are not kept; who is there gets them', async () => {
    await admin.create('fleeting', { persist_items: '0', max_items: '1' });
    const [romeo] = await subscribed('fleeting', 'romeo');
    const [id] = await admin.publish('fleeting', item(undefined, note('Now')));
    expect(await romeo!.next('fleeting')).toMatchObject({ id });
    expect(await admin.publish('fleeting', item('a', note('Two')), item('b', note('at once')))).toEqual(['a', 'b']);
    expect([(await romeo!.next('fleeting')).id, (await romeo!.next('fleeting')).id]).toEqual(['a', 'b']);
    expect(await refusal(romeo!.items('fleeting'))).toBe(UNKEPT);
    expect(await refusal(admin.retract('fleeting', [id!]))).toBe(UNKEPT);
    expect(await refusal(admin.purge('fleeting'))).toBe(UNKEPT);
    expect(await romeo!.contents('fleeting')).toEqual([]);
  });

  it('are gone when the node keeps none any more', async () => {
    await admin.create('forgetting');
    await admin.publish('forgetting', item('1', note('x')));
    const [romeo] = await subscribed('forgetting', 'romeo');
    await romeo!.next('forgetting');
    await admin.configure('forgetting', { persist_items: '0' });
    expect((await romeo!.told('forgetting')).getName()).toBe('purge');
    await admin.configure('forgetting', { persist_items: '1' });
    expect(await idsOf('forgetting')).toEqual([]);
  });

  it('are the newest ones: the oldest is retracted when there are too many, and at once when fewer may be', async () => {
    await admin.create('small', { max_items: '2' });
    const [romeo] = await subscribed('small', 'romeo');
    for (const id of ['1', '2', '3']) await admin.publish('small', item(id, note(id)));
    const retraction = await romeo!.told('small');
    expect(retraction.toString()).toBe(`<items node="small"><retract id="1"/></items>`);
    expect(await idsOf('small')).toEqual(['2', '3']);
    await admin.configure('small', { max_items: '1' });
    expect(await idsOf('small')).toEqual(['3']);
    await admin.configure('small', { max_items: '3', notify_retract: '0' });
    for (const id of ['4', '5', '6']) await admin.publish('small', item(id, note(id)));
    expect(await idsOf('small')).toEqual(['4', '5', '6']);
    await settled();
    expect(romeo!.rest('small')).toEqual(['1', '2', '3', '4', '5', '6']);
  });

  it('are of a feed as many as its owner says', async () => {
    const reader = as('fewreader');
    const feed = await followed('/few.xml', reader);
    for (const title of ['2', '3', '4']) feed.publish({ title });
    for (const title of ['2', '3', '4']) expect((await reader.next(feed.url)).title).toBe(title);
    const titles = async () => (await reader.items(feed.url)).map(({ title }) => title);
    expect(await titles()).toEqual(['Old', '2', '3', '4']);
    await admin.configure(feed.url, { max_items: '2' });
    expect(await titles()).toEqual(['3', '4']);
    feed.publish({ title: '5' });
    expect((await reader.next(feed.url)).title).toBe('5');
    expect(await titles()).toEqual(['4', '5']);
  });

  it('expire when their time is over, and subscribers are told', async () => {
    const reader = as('latereader');
    const feed = await followed('/expiring.xml', reader);
    await admin.create('expiring');
    const [romeo] = await subscribed('expiring', 'romeo');
    await admin.publish('expiring', item('1', note('Soon gone')));
    await romeo!.next('expiring');
    const [old] = await reader.items(feed.url);
    for (const node of ['expiring', feed.url]) await admin.configure(node, { item_expire: '1' });
    expect((await romeo!.told('expiring')).getChild('retract')?.attrs).toEqual({ id: '1' });
    expect((await reader.told(feed.url)).getChild('retract')?.attrs).toEqual({ id: old!.id });
    expect(await idsOf('expiring')).toEqual([]);
    expect(await idsOf(feed.url)).toEqual([]);
    await admin.configure('expiring', { notify_retract: '0' });
    await admin.publish('expiring', item('2', note('Silently gone')));
    await romeo!.next('expiring');
    while ((await idsOf('expiring')).length > 0);
    await settled();
    expect(romeo!.rest('expiring')).toEqual([]);
  });

  it('have payloads that are not too large', async () => {
    await admin.create('slim', { max_payload_size: '100' });
    const long = note('x'.repeat(101 - note('x').toString().length));
    expect(Buffer.byteLength(long.toString())).toBe(100);
    await admin.publish('slim', item('1', long));
    expect(await refusal(admin.publish('slim', item('2', note(`é${long.getText().slice(1)}`))))).toBe(
      'modify not-acceptable payload-too-big',
    );
    expect(await idsOf('slim')).toEqual(['1']);
  });
});

describe('what subscribers and owners are told of a node', () => {
  it('is how it is configured, where it says so', async () => {
    await admin.create('telling');
    const [romeo] = await subscribed('telling', 'romeo');
    await admin.configure('telling', { title: 'Nobody is told' });
    await admin.configure('telling', { title: 'Told', notify_config: '1' });
    const told = await romeo!.told('telling');
    expect(told.getName()).toBe('configuration');
    expect(told.getChild('x')!.attrs['type']).toBe('result');
    expect(valuesIn(told)).toMatchObject({ FORM_TYPE: NODE_CONFIG, title: 'Told', notify_config: '1' });
    await admin.configure('telling', { deliver_payloads: '0' });
    expect((await romeo!.told('telling')).toString()).toBe('<configuration node="telling"/>');
    await admin.configure('telling', { notify_config: '0' });
    await settled();
    expect(romeo!.rest('telling')).toEqual([]);
  });

  it('is the configuration of a feed, under the name that they gave it', async () => {
    const reader = as('configreader');
    const feed = await followed('/telling.xml', reader);
    await admin.configure(feed.url, { notify_config: '1', title: 'Told' });
    expect(valuesIn(await reader.told(feed.url))).toMatchObject({ title: 'Told' });
  });

  it('is who subscribes and who leaves, to owners who want to know', async () => {
    const [curious, publisher] = [as('curious'), as('publisher')];
    await admin.create('watched');
    await admin.affiliate('watched', { [curious.jid]: 'owner', [publisher.jid]: 'publisher' });
    const [quiet] = await subscribed('watched', 'quiet');
    await admin.configure('watched', { notify_sub: '1' });
    const [romeo] = await subscribed('watched', 'romeo');
    await romeo!.subscribe('watched');
    await romeo!.unsubscribe('watched');
    await quiet!.unsubscribe('watched');
    for (const owner of [curious, admin]) {
      for (const [who, subscription] of [
        [romeo, 'subscribed'],
        [romeo, 'none'],
        [quiet, 'none'],
      ] as const) {
        expect((await owner.told('watched')).attrs).toMatchObject({ node: 'watched', jid: who!.jid, subscription });
      }
    }
    await settled();
    for (const one of [romeo!, quiet!, publisher, curious]) expect(one.rest('watched')).toEqual([]);
  });
});

describe('a node that is deleted', () => {
  it('is deleted by its owners only, and once', async () => {
    await admin.create('mine');
    expect(await refusal(as('romeo').delete('mine'))).toBe(FORBIDDEN);
    const answer = await admin.delete('mine');
    expect(answer.getChildElements()).toEqual([]);
    expect(await refusal(admin.delete('mine'))).toBe(NOT_FOUND);
    expect(await refusal(as('romeo').delete('mine'))).toBe(NOT_FOUND);
    expect(await refusal(admin.owner('set', xml('delete')))).toBe('modify bad-request nodeid-required');
  });

  it('is gone with all that it had, and who followed it is told', async () => {
    await admin.create('doomed', { title: 'Doomed', access_model: 'authorize' });
    await admin.affiliate('doomed', { [jid('publisher')]: 'publisher', [jid('romeo')]: 'member' });
    await admin.publish('doomed', item('1', note('x')));
    await settled();
    const [romeo, waiting] = await subscribed('doomed', 'romeo', 'waiting');
    await romeo!.next('doomed');
    await admin.delete('doomed');
    for (const one of [romeo!, waiting!]) {
      expect((await one.told('doomed')).toString()).toBe('<delete node="doomed"/>');
      expect((await one.subscriptions()).join()).not.toContain('doomed');
    }
    expect(await isThere('doomed')).toBe(false);
    for (const asked of [
      () => romeo!.items('doomed'),
      () => romeo!.describe('doomed'),
      () => romeo!.contents('doomed'),
      () => romeo!.subscribe('doomed'),
      () => romeo!.unsubscribe('doomed'),
      () => romeo!.publish('doomed', item('2', note('x'))),
      () => romeo!.retract('doomed', ['1']),
      () => admin.configuration('doomed'),
      () => admin.affiliations('doomed'),
      () => admin.subscribers('doomed'),
      () => admin.purge('doomed'),
    ]) {
      expect(await refusal(asked())).toBe(NOT_FOUND);
    }
    const mine = (await as('publisher').pubsub('get', xml('affiliations'))).toString();
    expect(mine).not.toContain('doomed');

    await admin.create('doomed');
    expect(await admin.affiliations('doomed')).toEqual({ [admin.jid]: 'owner' });
    expect(await admin.subscribers('doomed')).toEqual([]);
    expect(await romeo!.items('doomed')).toEqual([]);
    expect((await admin.configuration('doomed'))['title']).toEqual([]);
    await admin.publish('doomed', item('1', note('New')));
    await settled();
    expect(romeo!.rest('doomed')).toEqual([]);
  });

  it('tells nobody where it is configured so', async () => {
    await admin.create('discreet', { notify_delete: '0' });
    const [romeo] = await subscribed('discreet', 'romeo');
    await admin.delete('discreet');
    await settled();
    expect(romeo!.rest('discreet')).toEqual([]);
  });

  it('may say where it has gone: to its subscribers, and to who asks for it later', async () => {
    const uri = 'xmpp:pubsub.example.org?;node=news&more';
    await admin.create('moved');
    const [romeo] = await subscribed('moved', 'romeo');
    await admin.delete('moved', uri);
    const told = await romeo!.told('moved');
    expect(told.getChild('redirect')?.attrs).toEqual({ uri });
    for (const asked of [
      () => romeo!.items('moved'),
      () => romeo!.subscribe('moved'),
      () => romeo!.describe('moved'),
      () => romeo!.publish('moved', item('1', note('x'))),
    ]) {
      const error = await refused(asked());
      expect(error.attrs['type']).toBe('modify');
      expect(error.getChild('gone')?.getText()).toBe(uri);
    }
    await admin.create('moved');
    expect(await romeo!.items('moved')).toEqual([]);
  });

  it('goes nowhere that is no address', async () => {
    await admin.create('staying');
    for (const redirect of [xml('redirect'), xml('redirect', { uri: 'nowhere' }), xml('redirect', { uri: '' })]) {
      expect(await refusal(admin.owner('set', xml('delete', { node: 'staying' }, redirect)))).toBe(
        'modify bad-request',
      );
    }
    expect(await isThere('staying')).toBe(true);
  });

  it("may be a feed's, which can be followed again by its URL", async () => {
    const reader = as('faithful');
    const feed = await followed('/deleted.xml', reader);
    expect(await refusal(reader.delete(feed.url))).toBe(FORBIDDEN);
    await admin.configure(feed.url, { title: 'Of old' });
    await admin.delete(feed.url);
    expect((await reader.told(feed.url)).toString()).toBe(`<delete node="${feed.url}"/>`);
    expect(await reader.subscriptions()).toEqual([]);
    expect(await refusal(reader.items(feed.url))).toBe(NOT_FOUND);

    feed.publish({ title: 'Meanwhile' });
    await reader.subscribe(feed.url);
    expect((await reader.next(feed.url)).title).toBe('Meanwhile');
    feed.publish({ title: 'Since then' });
    expect((await reader.next(feed.url)).title).toBe('Since then');
    expect((await reader.items(feed.url)).map(({ title }) => title)).toEqual(['Old', 'Meanwhile', 'Since then']);
    expect((await reader.describe(feed.url)).name).toBe('Feed of /deleted.xml');
  });

  it("may be a feed's that has gone elsewhere, until an admin creates it anew", async () => {
    const uri = 'https://example.org/new-home';
    const reader = as('mover');
    const feed = await followed('/gone.xml', reader);
    const slug = (await slugOf(feed.url))!;
    await admin.delete(feed.url, uri);
    expect((await reader.told(feed.url)).getChild('redirect')!.attrs).toEqual({ uri });
    for (const node of [feed.url, slug]) {
      for (const asked of [reader.subscribe(node), reader.items(node), reader.describe(node)]) {
        expect((await refused(asked)).getChild('gone')?.getText()).toBe(uri);
      }
    }
    expect(await admin.create(feed.url)).toBe(slug);
    await reader.subscribe(feed.url);
    expect((await reader.next(feed.url)).title).toBe('Old');
  });

  it('is not the firehose', async () => {
    expect(await refusal(admin.delete('firehose'))).toBe('cancel not-allowed');
    expect(await refusal(as('romeo').delete('firehose'))).toBe(FORBIDDEN);
    expect(await isThere('firehose')).toBe(true);
  });
});

describe('a purge', () => {
  it('takes all items away and tells it once', async () => {
    await admin.create('purged');
    const [romeo] = await subscribed('purged', 'romeo');
    for (const id of ['1', '2']) await admin.publish('purged', item(id, note(id)));
    const answer = await admin.purge('purged');
    expect(answer.getChildElements()).toEqual([]);
    expect((await romeo!.told('purged')).toString()).toBe('<purge node="purged"/>');
    expect(await romeo!.items('purged')).toEqual([]);
    await admin.configure('purged', { notify_retract: '0' });
    await admin.publish('purged', item('3', note('3')));
    await admin.purge('purged');
    await settled();
    expect(romeo!.rest('purged')).toEqual(['1', '2', '3']);
    expect(await romeo!.items('purged')).toEqual([]);
  });

  it('is refused to who does not own the node, where there is none, and on the firehose', async () => {
    expect(await refusal(as('romeo').purge('plain'))).toBe(FORBIDDEN);
    expect(await refusal(admin.purge('nowhere'))).toBe(NOT_FOUND);
    expect(await refusal(admin.owner('set', xml('purge')))).toBe('modify bad-request nodeid-required');
    expect(await refusal(admin.purge('firehose'))).toBe('cancel not-allowed');
  });

  it('of a feed leaves what the feed still shows out, and lets new entries in', async () => {
    const reader = as('purgereader');
    const feed = await followed('/purged.xml', reader);
    await admin.purge(feed.url);
    expect((await reader.told(feed.url)).getName()).toBe('purge');
    feed.publish({ title: 'New' });
    expect((await reader.next(feed.url)).title).toBe('New');
    expect((await reader.items(feed.url)).map(({ title }) => title)).toEqual(['New']);
  });
});

it('a kill of the component changes nothing: a node is as it was, and what is gone stays gone', async () => {
  const [member, waiting] = [as('member'), as('waiting')];
  await admin.create('lasting', { title: 'Lasting', access_model: 'authorize', max_items: '3', contact: member.jid });
  await admin.affiliate('lasting', { [member.jid]: 'member', [jid('outcast')]: 'outcast', [jid('owner')]: 'owner' });
  for (const id of ['1', '2', '3', '4']) await admin.publish('lasting', item(id, note(id)));
  await settled();
  for (const one of [member, waiting]) await one.subscribe('lasting');
  await member.next('lasting');
  await admin.create('left');
  await admin.delete('left', 'xmpp:pubsub.example.org?;node=left');
  const state = async () => ({
    configuration: await admin.configuration('lasting'),
    description: await member.describe('lasting'),
    affiliations: await admin.affiliations('lasting'),
    subscribers: await admin.subscribers('lasting'),
    subscriptions: [await member.subscriptions(), await waiting.subscriptions()],
    items: (await member.items('lasting')).map((one) => one.item.toString()),
    left: (await refused(member.describe('left'))).toString(),
    outcast: await refusal(as('outcast').items('lasting')),
    waiting: await refusal(waiting.subscribe('lasting')),
  });
  const before = await state();
  expect(before.items).toHaveLength(3);
  expect(before.waiting).toBe('auth not-authorized pending-subscription');

  await rig.component.kill();
  await rig.component.start();
  await rig.component.log.see((line) => line.includes('"event":"streamUp"'), SECONDS);
  expect(await state()).toEqual(before);
  await admin.publish('lasting', item('5', note('5')));
  expect((await member.next('lasting')).id).toBe('5');
  await admin.setSubscriptions('lasting', { [waiting.jid]: 'subscribed' });
  expect((await waiting.told('lasting')).attrs['subscription']).toBe('subscribed');
});
