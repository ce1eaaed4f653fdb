import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import xml, { type Element } from '@xmpp/xml';
import { form, item, note, party, PUBSUB, refusal, type Filled, type Party } from '../support/owner.js';
import { startRig, type Rig } from '../support/rig.js';

const SECONDS = 20;
const ATOM = 'http://www.w3.org/2005/Atom';
const NOT_FOUND = 'cancel item-not-found';
const FORBIDDEN = 'auth forbidden';
const BAD = 'modify bad-request';
const UNMET = 'cancel conflict precondition-not-met';

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

/** Resolves when everybody has got what was published until now. */
async function settled(): Promise<void> {
  const [marker] = await admin.publish('marker', item(undefined, note('Until here')));
  await rig.tester.as('witness').arrivals.take(({ id }) => id === marker, SECONDS);
}

/** A node of its own that somebody follows. */
async function followed(node: string, config: Filled = {}): Promise<Party> {
  const reader = as(`reader-of-${node}`);
  await admin.create(node, config);
  await reader.subscribe(node);
  return reader;
}

const idsOf = async (node: string) => (await as('romeo').items(node)).map(({ id }) => id);

/** An element by what it means, whatever prefixes say it. */
function meaning(element: Element): unknown {
  const resolved = (name: string, isAttribute: boolean) => {
    const [local, prefix] = name.split(':').reverse() as [string, string?];
    return isAttribute && prefix === undefined ? local : `{${element.findNS(prefix) ?? prefix ?? ''}}${local}`;
  };
  const attributes = Object.entries(element.attrs as Record<string, string>).filter(
    ([name]) => !/^xmlns(:|$)/.test(name),
  );
  return [
    resolved(element.name, false),
    Object.fromEntries(attributes.map(([name, value]) => [resolved(name, true), value])),
    ...(element.children as (Element | string)[]).map((child) => (typeof child === 'string' ? child : meaning(child))),
  ];
}

describe('a publisher', () => {
  it('publishes an item, which subscribers get and the node holds, with the name of who published it', async () => {
    const romeo = await followed('news');
    const answer = await admin.pubsub('set', xml('publish', { node: 'news' }, item('first', note('Hello'))));
    expect(answer.getChild('pubsub')!.toString()).toBe(
      `<pubsub xmlns="${PUBSUB}"><publish node="news"><item id="first"/></publish></pubsub>`,
    );
    const { stanza, item: sent } = await romeo.next('news');
    expect(stanza.attrs).toMatchObject({
      from: rig.service,
      to: romeo.jid,
      type: 'headline',
      id: expect.stringMatching(/./),
    });
    expect(stanza.getChildElements().map((child) => child.name)).toEqual(['event']);
    expect(sent.attrs).toEqual({ id: 'first', publisher: admin.jid });
    expect(meaning(sent.getChildElements()[0]!)).toEqual(meaning(note('Hello')));
    const [held] = await romeo.items('news');
    expect(meaning(held!.item.getChildElements()[0]!)).toEqual(meaning(note('Hello')));
    expect(held!.item.attrs).toEqual({ id: 'first', publisher: admin.jid });
    expect(await romeo.contents('news')).toEqual(['first']);
  });

  it('need not name the item', async () => {
    const romeo = await followed('nameless');
    const ids = [
      ...(await admin.publish('nameless', item(undefined, note('1')))),
      ...(await admin.publish('nameless', item(undefined, note('2')))),
    ];
    expect(new Set(ids).size).toBe(2);
    expect([(await romeo.next('nameless')).id, (await romeo.next('nameless')).id]).toEqual(ids);
    expect(await idsOf('nameless')).toEqual(ids);
  });

  it('overwrites an item by its ItemID; it is the newest then', async () => {
    const romeo = await followed('draft');
    for (const [id, text] of [
      ['1', 'Frist'],
      ['2', 'Second'],
      ['1', 'First'],
    ] as const) {
      await admin.publish('draft', item(id, note(text)));
      expect((await romeo.next('draft')).item.getChildText('note')).toBe(text);
    }
    const held = await romeo.items('draft');
    expect(held.map(({ id, item: one }) => [id, one.getChildText('note')])).toEqual([
      ['2', 'Second'],
      ['1', 'First'],
    ]);
  });

  it('cannot say that it was somebody else', async () => {
    const romeo = await followed('signed');
    await admin.publish('signed', xml('item', { id: '1', publisher: 'juliet@capulet.example' }, note('x')));
    expect((await romeo.next('signed')).item.attrs['publisher']).toBe(admin.jid);
    const desk = await rig.client('admin');
    await party(desk).publish('signed', item('2', note('x')));
    expect((await romeo.next('signed')).item.attrs['publisher']).toBe('admin@localhost');
  });

  it.each<[string, Element]>([
    ['without a namespace of its own', xml('a', { b: `"it's" <&>` }, xml('b'), 'words \u{1f409}', xml('b'))],
    ['of the namespace of stanzas', xml('presence', { xmlns: 'jabber:client', id: 'x' }, xml('show', {}, 'away'))],
    [
      'with several namespaces',
      xml('a', 'urn:example:a', xml('b', 'urn:example:b', xml('a', 'urn:example:a')), xml('c')),
    ],
    [
      'with prefixes',
      xml(
        'x:a',
        { 'xmlns:x': 'urn:example:x', 'x:y': '1', y: '2', 'xml:lang': 'de' },
        xml('x:b'),
        xml('c', { 'x:z': '3' }),
      ),
    ],
    ['with white space and nothing else', xml('a', 'urn:example:a', '\n  \t')],
  ])('publishes a payload %s; it means the same wherever it comes out', async (what, payload) => {
    const node = `payload-${what.replace(/\W/g, '-')}`;
    const romeo = await followed(node);
    const publish = xml('publish', { node }, item('1', payload));
    await admin.pubsub('set', publish);
    const sent = (await romeo.next(node)).item.getChildElements();
    const [held] = await romeo.items(node);
    expect(sent.map(meaning)).toEqual([meaning(payload)]);
    expect(held!.item.getChildElements().map(meaning)).toEqual([meaning(payload)]);
  });

  it('publishes a payload whose prefixes are explained further out', async () => {
    const romeo = await followed('prefixed');
    const payload = xml('x:a', { 'y:b': '1' }, xml('x:c'));
    const publish = xml('publish', { node: 'prefixed', 'xmlns:y': 'urn:example:y' }, item('1', payload));
    await admin.request(
      'set',
      xml('pubsub', { xmlns: PUBSUB, 'xmlns:x': 'urn:example:x', 'xmlns:unused': 'urn:no' }, publish),
    );
    const expected = ['{urn:example:x}a', { '{urn:example:y}b': '1' }, ['{urn:example:x}c', {}]];
    expect((await romeo.next('prefixed')).item.getChildElements().map(meaning)).toEqual([expected]);
    expect((await romeo.items('prefixed'))[0]!.item.getChildElements().map(meaning)).toEqual([expected]);
  });

  it('publishes several items at once, in their order', async () => {
    const romeo = await followed('batch', { max_items: '3' });
    const batch = ['1', '2', '3'].map((id) => item(id, note(id)));
    expect(await admin.publish('batch', ...batch)).toEqual(['1', '2', '3']);
    for (const id of ['1', '2', '3']) expect((await romeo.next('batch')).id).toBe(id);
    expect(await idsOf('batch')).toEqual(['1', '2', '3']);
  });

  it('publishes all of them or none', async () => {
    const romeo = await followed('whole', { max_items: '3', max_payload_size: '200' });
    const batch = (...last: Element[]) => admin.publish('whole', item('1', note('1')), item('2', note('2')), ...last);
    expect(await refusal(batch(item('3')))).toBe(`${BAD} payload-required`);
    expect(await refusal(batch(item('3', note('x'.repeat(200)))))).toBe('modify not-acceptable payload-too-big');
    expect(await refusal(batch(item('', note('x'))))).toBe(BAD);
    expect(await refusal(batch(item('3', note('3')), item('4', note('4'))))).toBe(
      'cancel not-allowed max-items-exceeded',
    );
    expect(await idsOf('whole')).toEqual([]);
    await settled();
    expect(romeo.rest('whole')).toEqual([]);
  });

  it('makes the node by publishing to it, when they may make nodes', async () => {
    expect(await refusal(as('romeo').publish('automatic', item('1', note('x'))))).toBe(NOT_FOUND);
    expect(await admin.publish('automatic', item('1', note('x')))).toEqual(['1']);
    expect(await idsOf('automatic')).toEqual(['1']);
    expect(await admin.affiliations('automatic')).toEqual({ [admin.jid]: 'owner' });
    expect(await refusal(admin.publish('no node', item('1', note('x'))))).toBe('modify not-acceptable');
    const url = rig.feeds.url('/nobody.xml');
    expect(await refusal(admin.publish(url, item('1', note('x'))))).toBe(NOT_FOUND);
    expect(rig.feeds.count('/nobody.xml')).toBe(0);
  });
});

describe('what is published is refused', () => {
  it('from who may not publish there', async () => {
    await admin.create('closed');
    await admin.affiliate('closed', { [as('outcast').jid]: 'outcast', [as('member').jid]: 'member' });
    for (const name of ['romeo', 'outcast', 'member']) {
      expect(await refusal(as(name).publish('closed', item('1', note('x'))))).toBe(FORBIDDEN);
      expect(await refusal(as(name).publish('closed'))).toBe(FORBIDDEN);
    }
    expect(await idsOf('closed')).toEqual([]);
  });

  it('without a node', async () => {
    expect(await refusal(admin.pubsub('set', xml('publish', {}, item('1', note('x')))))).toBe(`${BAD} nodeid-required`);
    expect(await refusal(admin.pubsub('set', xml('publish', { node: '' })))).toBe(`${BAD} nodeid-required`);
  });

  it('on the firehose, from everybody', async () => {
    for (const who of [admin, as('romeo')]) {
      expect(await refusal(who.publish('firehose', item('1', note('x'))))).toBe(
        'cancel feature-not-implemented unsupported:publish',
      );
    }
  });

  it.each<[string, Filled, readonly Element[], string]>([
    ['no item where items are kept', {}, [], 'item-required'],
    ['no item where payloads are sent', { persist_items: '0' }, [], 'item-required'],
    ['no item where items are kept without payloads', { deliver_payloads: '0' }, [], 'item-required'],
    ['no payload where payloads are sent', {}, [item('1')], 'payload-required'],
    ['only words', {}, [xml('item', { id: '1' }, 'words')], 'payload-required'],
    ['no payload where payloads are only sent', { persist_items: '0' }, [item('1')], 'payload-required'],
    ['two payloads', {}, [item('1', note('x'), note('y'))], 'invalid-payload'],
    [
      'an item where only it is told that something has happened',
      { persist_items: '0', deliver_payloads: '0' },
      [item('1', note('x'))],
      'item-forbidden',
    ],
  ])('when it is %s', async (what, config, items, expected) => {
    const node = `refusing-${what.replace(/\W/g, '-')}`;
    const romeo = await followed(node, config);
    expect(await refusal(admin.publish(node, ...items))).toBe(`${BAD} ${expected}`);
    await settled();
    expect(romeo.rest(node)).toEqual([]);
  });

  it.each(['', 'x'.repeat(257), 'next\u0085line'])('with an ItemID that is none: %j', async (id) => {
    expect(await refusal(admin.publish('closed', item(id, note('x'))))).toBe(BAD);
  });

  it('when it is larger than anything here may be', async () => {
    const large = note('x'.repeat(49_152));
    expect(await refusal(admin.publish('closed', item('1', large)))).toBe('modify not-acceptable payload-too-big');
  });
});

describe('an event without a payload', () => {
  it('only says that something has happened, where nothing is kept and nothing sent', async () => {
    const romeo = await followed('bell', { persist_items: '0', deliver_payloads: '0' });
    const answer = await admin.pubsub('set', xml('publish', { node: 'bell' }));
    expect(answer.getChild('pubsub')!.getChild('publish')!.toString()).toBe('<publish node="bell"/>');
    expect((await romeo.told('bell')).toString()).toBe('<items node="bell"/>');
  });

  it('names the item, where items are kept and payloads not sent; there may be one in the node or none', async () => {
    const romeo = await followed('index', { deliver_payloads: '0' });
    await admin.publish('index', item('1', note('Inside')));
    const [generated] = await admin.publish('index', item(undefined));
    const { item: named } = await romeo.next('index');
    expect([named.attrs, named.children]).toEqual([{ id: '1', publisher: admin.jid }, []]);
    expect((await romeo.next('index')).id).toBe(generated);
    const held = await romeo.items('index');
    expect(held.map(({ item: one }) => one.getChildText('note'))).toEqual(['Inside', null]);
  });
});

describe('options of a publication', () => {
  const OPTIONS = `${PUBSUB}#publish-options`;
  const publish = (node: string, ...forms: Element[]) =>
    admin.pubsub('set', xml('publish', { node }, item('1', note('x'))), xml('publish-options', {}, ...forms));

  it('are preconditions: when they are not met nothing is published', async () => {
    await admin.create('strict', { max_items: '5', title: 'Strict' });
    expect(await refusal(publish('strict', form('submit', OPTIONS, { access_model: 'whitelist' })))).toBe(UNMET);
    expect(await refusal(publish('strict', form('submit', OPTIONS, { persist_items: 'true', max_items: '6' })))).toBe(
      UNMET,
    );
    expect(await refusal(publish('strict', form('submit', OPTIONS, { access_model: 'presence' })))).toBe(UNMET);
    expect(await refusal(publish('strict', form('submit', OPTIONS, { itemreply: 'owner' })))).toBe(UNMET);
    expect(await refusal(publish('strict', form('submit', OPTIONS, { max_items: 'many' })))).toBe(UNMET);
    expect(await idsOf('strict')).toEqual([]);
    await publish(
      'strict',
      form('submit', OPTIONS, { access_model: 'open', persist_items: 'true', max_items: '5', title: 'Strict' }),
    );
    expect(await idsOf('strict')).toEqual(['1']);
  });

  it('may come in a form without a type, with fields of wrong types', async () => {
    await admin.create('lenient');
    const field = (name: string, value: string) => xml('field', { var: name, type: 'fixed' }, xml('value', {}, value));
    const x = (max: string) => xml('x', 'jabber:x:data', field('FORM_TYPE', OPTIONS), field('pubsub#max_items', max));
    expect(await refusal(publish('lenient', x('7')))).toBe(UNMET);
    await publish('lenient', x('20'));
    expect(await idsOf('lenient')).toEqual(['1']);
  });

  it('are a form', async () => {
    expect(await refusal(publish('lenient'))).toBe(BAD);
    expect(await refusal(publish('lenient', form('cancel', OPTIONS)))).toBe(BAD);
    expect(await refusal(publish('lenient', form('submit', `${PUBSUB}#node_config`)))).toBe(BAD);
  });

  it('configure the node that is made with them, unless it cannot be so', async () => {
    expect(await refusal(publish('optional', form('submit', OPTIONS, { itemreply: 'owner' })))).toBe(UNMET);
    expect(await refusal(publish('optional', form('submit', OPTIONS, { access_model: 'roster' })))).toBe(
      'modify not-acceptable unsupported-access-model',
    );
    expect(await refusal(admin.configuration('optional'))).toBe(NOT_FOUND);
    await publish('optional', form('submit', OPTIONS, { access_model: 'whitelist', max_items: '3' }));
    expect(await admin.configuration('optional')).toMatchObject({
      access_model: 'whitelist',
      max_items: '3',
      title: [],
    });
  });
});

describe('a retraction', () => {
  const ITEMS = ['1', '2', '3'].map((id) => item(id, note(id)));

  it('takes an item away and tells it', async () => {
    const romeo = await followed('retracted');
    await admin.publish('retracted', ...ITEMS);
    const answer = await admin.retract('retracted', ['2']);
    expect(answer.getChildElements()).toEqual([]);
    expect((await romeo.told('retracted')).toString()).toBe('<items node="retracted"><retract id="2"/></items>');
    expect(await idsOf('retracted')).toEqual(['1', '3']);
    expect(await romeo.contents('retracted')).toEqual(['1', '3']);
    expect(await refusal(admin.retract('retracted', ['2']))).toBe(NOT_FOUND);
  });

  it('is told where the publisher wants it, or the node; else not', async () => {
    const romeo = await followed('silent', { notify_retract: '0' });
    await admin.publish('silent', ...ITEMS);
    await admin.retract('silent', ['1']);
    await admin.retract('silent', ['2'], '0');
    await admin.retract('silent', ['3'], 'true');
    expect((await romeo.told('silent')).getChild('retract')!.attrs['id']).toBe('3');
    await settled();
    expect(romeo.rest('silent')).toEqual(['1', '2', '3']);
    expect(await idsOf('silent')).toEqual([]);
  });

  it('may be of several items at once: all or none', async () => {
    const romeo = await followed('several');
    await admin.publish('several', ...ITEMS);
    expect(await refusal(admin.retract('several', ['1', '2', '9']))).toBe(NOT_FOUND);
    expect(await idsOf('several')).toEqual(['1', '2', '3']);
    await admin.retract('several', ['1', '3']);
    const retractions = (await romeo.told('several')).getChildren('retract');
    expect(retractions.map(({ attrs }) => String(attrs['id']))).toEqual(['1', '3']);
    expect(await idsOf('several')).toEqual(['2']);
  });

  it('is refused as XEP-0060 7.2.3 says', async () => {
    await admin.create('firm', { publish_model: 'open' });
    await admin.publish('firm', ...ITEMS);
    const romeo = as('romeo');
    await romeo.publish('firm', item("romeo's", note('x')));
    expect(await refusal(romeo.retract('firm', ['1']))).toBe(FORBIDDEN);
    expect(await refusal(romeo.retract('firm', ["romeo's", '1']))).toBe(FORBIDDEN);
    await romeo.retract('firm', ["romeo's"]);
    expect(await refusal(admin.retract('nowhere', ['1']))).toBe(NOT_FOUND);
    expect(await refusal(admin.retract('firm', ['9']))).toBe(NOT_FOUND);
    const retract = (attributes: object, ...items: Element[]) =>
      refusal(admin.pubsub('set', xml('retract', { ...attributes }, ...items)));
    expect(await retract({}, item('1'))).toBe(`${BAD} nodeid-required`);
    expect(await retract({ node: 'firm' })).toBe(`${BAD} item-required`);
    expect(await retract({ node: 'firm' }, xml('item'))).toBe(`${BAD} item-required`);
    expect(await retract({ node: 'firm' }, item('1', note('x')))).toBe(BAD);
    expect(await retract({ node: 'firm', notify: 'perhaps' }, item('1'))).toBe(BAD);
    const unkept = 'cancel feature-not-implemented unsupported:persistent-items';
    await admin.create('unkept', { persist_items: '0' });
    expect(await retract({ node: 'unkept' }, item('1'))).toBe(unkept);
    expect(await idsOf('firm')).toEqual(['1', '2', '3']);
  });

  it('is not possible on the firehose', async () => {
    for (const who of [admin, as('romeo')]) {
      expect(await refusal(who.retract('firehose', ['000000000001']))).toBe(
        'cancel feature-not-implemented unsupported:retract-items',
      );
    }
  });
});

describe("on a feed's node", () => {
  /** An entry as somebody would hand it over. */
  const entry = (id: string, title: string): Element =>
    xml(
      'entry',
      ATOM,
      xml('id', {}, id),
      xml('title', {}, title),
      xml('updated', {}, '2026-01-02T03:04:05Z'),
      xml('link', { rel: 'alternate', href: `https://example.org/${encodeURIComponent(id)}` }),
      xml('content', { type: 'html' }, `<p>${title}</p>`),
    );

  async function feedFor(reader: Party, path: string) {
    const feed = rig.feeds.feed(path, { format: 'atom', title: `Feed of ${path}` });
    feed.publish({ title: 'Old' });
    await reader.subscribe(feed.url);
    await reader.next(feed.url);
    return feed;
  }

  it('nobody publishes or retracts but its owners', async () => {
    const [reader, publisher] = [as('reader'), as('publisher')];
    const feed = await feedFor(reader, '/guarded.xml');
    await admin.affiliate(feed.url, { [publisher.jid]: 'publisher' });
    const [held] = await reader.items(feed.url);
    for (const who of [reader, publisher]) {
      expect(await refusal(who.publish(feed.url, item(undefined, entry('tag:x', 'x'))))).toBe(FORBIDDEN);
      expect(await refusal(who.retract(feed.url, [held!.id]))).toBe(FORBIDDEN);
    }
  });

  it('an entry that an admin publishes is an entry like any other', async () => {
    const [reader, drinker] = [as('reader'), as('drinker')];
    const feed = await feedFor(reader, '/pushed.xml');
    await drinker.subscribe('firehose');
    const [id] = await admin.publish(feed.url, item('mine', entry('tag:example.org,2026:1', 'Frist')));
    expect(id).toMatch(/^[0-9a-f]{32}$/);
    const sent = await reader.next(feed.url);
    expect(sent).toMatchObject({ id, title: 'Frist', link: 'https://example.org/tag%3Aexample.org%2C2026%3A1' });
    expect(sent.item.attrs['publisher']).toBeUndefined();
    const drunk = await drinker.next('firehose');
    expect(drunk).toMatchObject({ title: 'Frist', id: expect.stringMatching(/^\d{12}$/) });
    expect(drunk.item.getChild('entry')!.getChild('source')!.getChildText('title')).toBe('Feed of /pushed.xml');
    expect((await reader.items(feed.url)).map(({ title }) => title)).toEqual(['Old', 'Frist']);

    expect(await admin.publish(feed.url, item(undefined, entry('tag:example.org,2026:1', 'First')))).toEqual([id]);
    expect(await reader.next(feed.url)).toMatchObject({ id, title: 'First' });
    expect((await drinker.next('firehose')).title).toBe('First');
    feed.publish({ id: 'tag:example.org,2026:1', title: 'First, says the feed' });
    expect(await reader.next(feed.url)).toMatchObject({ id, title: 'First, says the feed' });
    expect((await reader.items(feed.url)).map(({ title }) => title)).toEqual(['Old', 'First, says the feed']);
    await drinker.unsubscribe('firehose');
  });

  it('the same entry again is no news', async () => {
    const reader = as('reader');
    const feed = await feedFor(reader, '/repeated.xml');
    const once = item(undefined, entry('tag:1', 'Once'));
    const [id] = await admin.publish(feed.url, once);
    await reader.next(feed.url);
    expect(await admin.publish(feed.url, item(undefined, entry('tag:1', 'Once')))).toEqual([id]);
    await settled();
    expect(reader.rest(feed.url)).toEqual([]);
  });

  it('several entries are published together, by any name of the node, with preconditions', async () => {
    const reader = as('reader');
    const feed = await feedFor(reader, '/several.xml');
    const slug = [...(await admin.directory())].find(([, name]) => name === 'Feed of /several.xml')![0];
    const options = form('submit', `${PUBSUB}#publish-options`, { access_model: 'open' });
    const items = ['A', 'B'].map((title) => item(undefined, entry(`tag:${title}`, title)));
    const answer = await admin.pubsub(
      'set',
      xml('publish', { node: slug }, ...items),
      xml('publish-options', {}, options),
    );
    const ids = answer
      .getChild('pubsub')!
      .getChild('publish')!
      .getChildren('item')
      .map(({ attrs }) => String(attrs['id']));
    const sent = [await reader.next(feed.url), await reader.next(feed.url)];
    expect(sent.map(({ title }) => title).sort()).toEqual(['A', 'B']);
    expect(new Map(sent.map(({ id, title }) => [title, id]))).toEqual(
      new Map([
        ['A', ids[0]],
        ['B', ids[1]],
      ]),
    );
  });

  it.each<[string, Element[], string]>([
    ['nothing', [], 'item-required'],
    ['an item without an entry', [item('1')], 'payload-required'],
    ['something that is no entry', [item('1', note('x'))], 'invalid-payload'],
    [
      'an entry of no namespace',
      [item('1', xml('entry', {}, xml('id', {}, 'x'), xml('title', {}, 'x')))],
      'invalid-payload',
    ],
    ['an entry with nothing in it', [item('1', xml('entry', ATOM))], 'invalid-payload'],
    ['two entries in one item', [item('1', entry('tag:1', '1'), entry('tag:2', '2'))], 'invalid-payload'],
    ['an entry and nonsense', [item('1', entry('tag:1', '1')), item('2', note('x'))], 'invalid-payload'],
  ])('what is %s is refused', async (_, items, expected) => {
    const reader = as('nonsense-reader');
    const feed = rig.feeds.feed('/nonsense.xml', { format: 'atom', title: 'No nonsense' });
    await reader.subscribe(feed.url);
    expect(await refusal(admin.publish(feed.url, ...items))).toBe(`${BAD} ${expected}`);
    await settled();
    expect(reader.rest(feed.url)).toEqual([]);
  });

  it('an entry that an owner retracts is gone for good, even while the feed still shows it', async () => {
    const reader = as('reader');
    const feed = await feedFor(reader, '/unwanted.xml');
    const { id: ignored, ...spam } = feed.publish({ title: 'Spam' });
    expect(spam.title).toBe('Spam');
    const { id } = await reader.next(feed.url);
    expect(ignored).not.toBe(id);
    await admin.retract(feed.url, [id]);
    expect((await reader.told(feed.url)).getChild('retract')!.attrs).toEqual({ id });
    feed.publish({ title: 'Ham' });
    expect((await reader.next(feed.url)).title).toBe('Ham');
    expect((await reader.items(feed.url)).map(({ title }) => title)).toEqual(['Old', 'Ham']);
  });
});

it('what is published to nodes without a feed is not on the firehose', async () => {
  const drinker = as('thirsty');
  await drinker.subscribe('firehose');
  const romeo = await followed('private-matters');
  await settled();
  const before = drinker.rest('firehose');
  await admin.publish('private-matters', item('1', note('x')));
  await romeo.next('private-matters');
  await settled();
  expect(drinker.rest('firehose')).toEqual(before);
});
