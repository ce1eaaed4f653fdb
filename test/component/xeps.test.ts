import { describe, expect, it } from '@jest/globals';
import xml, { type Element } from '@xmpp/xml';
import { createEvents, type Events } from '../../component/event.js';
import { Unprovable } from '../../component/payload.js';
import { createPresences } from '../../component/presence.js';
import { createRouter } from '../../component/router.js';
import { NS } from '../../component/stanza.js';
import { xeps } from '../../component/xeps/index.js';
import { look, BLOG, entryOf } from '../support/stores.js';
import { bench as rules, itemId, ROMEO } from '../support/service.js';

const DOMAIN = 'feeds.example.net';

/** The whole component but for its stream: XML in, XML out. */
function bench(render: (events: Events) => Events['item'] = ({ item }) => item) {
  const { service, stores } = rules();
  const events = createEvents(DOMAIN, 61_440);
  const table = xeps({
    service,
    domain: DOMAIN,
    admins: [],
    version: '1.2.3',
    events: { ...events, item: render(events) },
    tell: async () => undefined,
    pictures: { of: async () => undefined },
    presences: createPresences({ most: { people: 10, resources: 10 } }),
    contacts: stores.contacts,
    send: async () => undefined,
    drain: async () => undefined,
  });
  /** Everything that is sent for a request; the last of it is the answer. */
  async function ask(type: 'get' | 'set', payload: Element): Promise<Element[]> {
    const sent: Element[] = [];
    const router = createRouter(table.all, {
      domain: DOMAIN,
      send: async (stanza) => void sent.push(stanza),
      emit: (event, facts) => {
        if (event === 'bug') throw (facts as { error: Error }).error;
      },
      away: () => undefined,
    });
    router.receive(xml('iq', { type, from: ROMEO, to: DOMAIN, id: '1' }, payload));
    await router.close();
    return sent.map(read);
  }
  return {
    stores,
    get: async (payload: Element) => (await ask('get', payload)).at(-1)!,
    set: async (payload: Element) => (await ask('set', payload)).at(-1)!,
    past: async (query: Element) => ask('set', query),
  };
}

/** As whoever gets it reads it. */
function read(sent: Element): Element {
  const parser = new xml.Parser();
  const children: Element[] = [];
  parser.on('element', (child: Element) => children.push(child));
  parser.write(`<stream>${sent.toString()}</stream>`);
  return children[0]!;
}

const pubsub = (...children: Element[]) => xml('pubsub', NS.pubsub, ...children);
const titlesIn = (parent: Element) =>
  parent.getChildren('item').map((item) => item.getChild('entry')?.getChildText('title'));

it('says what it is, and not on what it runs', async () => {
  const query = (await bench().get(xml('query', NS.version))).getChild('query')!;
  expect([query.getChildText('name'), query.getChildText('version'), query.getChildText('os')]).toEqual([
    'Hydrant',
    '1.2.3',
    null,
  ]);
});

it('answers an XMPP ping', async () => {
  const answer = await bench().get(xml('ping', NS.ping));
  expect([answer.attrs['type'], answer.children]).toEqual(['result', []]);
});

it('refuses what is no feed with the reason', async () => {
  const request = pubsub(xml('subscribe', { node: 'https://broken.example/', jid: ROMEO }));
  const error = (await bench().set(request)).getChild('error')!;
  expect(error.attrs['type']).toBe('modify');
  expect(error.getChild('not-acceptable', NS.stanzas)).toBeDefined();
  expect(error.getChildText('text')).toBe('That is a picture');
});

describe('an answer that would be too long for a stanza', () => {
  const COUNT = 12;
  /** With entries of which not all fit into one answer, oldest first. */
  async function withLongEntries() {
    const one = bench();
    const long = (id: string) => ({ ...entryOf(id), content: { type: 'text' as const, value: 'x'.repeat(40_000) } });
    const ids = Array.from({ length: COUNT }, (_, n) => `entry ${n}`);
    await look(one.stores, BLOG, [...ids].reverse().map(long));
    const items = async (page?: Element, ...wanted: string[]) => {
      const list = xml('items', { node: BLOG }, ...wanted.map((id) => xml('item', { id: itemId(id) })));
      const answer = (await one.get(pubsub(list, ...(page ? [page] : [])))).getChild('pubsub')!;
      expect(Buffer.byteLength(answer.toString())).toBeLessThan(262_144);
      const set = answer.getChild('set', NS.rsm)!;
      return {
        titles: titlesIn(answer.getChild('items')!),
        last: set.getChildText('last')!,
        index: set.getChild('first')?.attrs['index'] as string | undefined,
        count: set.getChildText('count'),
      };
    };
    return { ids, items };
  }
  const page = (...children: Element[]) => xml('set', NS.rsm, ...children);

  it('has the newest of them, and says where they stand', async () => {
    const { ids, items } = await withLongEntries();
    const { titles, index, count } = await items();
    expect(titles.length).toBeGreaterThan(3);
    expect(titles).toEqual(ids.slice(-titles.length));
    expect([index, count]).toEqual([String(COUNT - titles.length), String(COUNT)]);
    expect(await items(page(xml('before')))).toMatchObject({ titles, index });
  });

  it('has the first of a page, whose rest is on the next one', async () => {
    const { ids, items } = await withLongEntries();
    const seen: (string | null | undefined)[] = [];
    for (let cursor: string | undefined; seen.length < COUNT;) {
      const part = await items(page(...(cursor ? [xml('after', {}, cursor)] : [])));
      expect(part).toMatchObject({ index: String(seen.length), count: String(COUNT) });
      expect(part.titles.length).toBeGreaterThan(0);
      seen.push(...part.titles);
      cursor = part.last;
    }
    expect(seen).toEqual(ids);
  });
});

it('an item that cannot be shown costs no other item', async () => {
  const hole = itemId('b');
  const { stores, get, past } = bench(({ item }) => (published, node) => {
    if (published.id === hole) throw new Unprovable('a hole in it');
    return item(published, node);
  });
  await look(
    stores,
    BLOG,
    ['c', 'b', 'a'].map((id) => entryOf(id)),
  );
  const answer = await get(pubsub(xml('items', { node: BLOG })));
  expect(titlesIn(answer.getChild('pubsub')!.getChild('items')!)).toEqual(['a', 'c']);
  const stanzas = await past(xml('query', { xmlns: NS.mam, node: BLOG }));
  expect(stanzas.map(({ name }) => name)).toEqual(['message', 'message', 'iq']);
  expect(stanzas.at(-1)!.getChild('fin')!.getChild('set')!.getChildText('count')).toBe('3');
});

it('the past of a node comes before the answer that it is complete', async () => {
  const { stores, past } = bench();
  await look(
    stores,
    BLOG,
    ['b', 'a'].map((id) => entryOf(id)),
  );
  const stanzas = await past(xml('query', { xmlns: NS.mam, node: BLOG, queryid: 'q' }));
  expect(stanzas.map(({ name, attrs }) => `${name} ${String(attrs['to'])}`)).toEqual([
    `message ${ROMEO}`,
    `message ${ROMEO}`,
    `iq ${ROMEO}`,
  ]);
  expect(stanzas.slice(0, 2).map((message) => message.getChild('result')?.attrs['id'] as string)).toEqual(
    ['a', 'b'].map(itemId),
  );
  expect(stanzas.at(-1)!.getChild('fin')!.attrs['complete']).toBe('true');
});
