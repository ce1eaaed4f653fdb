import { describe, expect, it } from '@jest/globals';
import { feedIdOf, itemIdOf, type Entry } from '../../lib/domain.js';
import { readDocument } from '../../scheduler/document.js';
import type { Parse } from '../../scheduler/parse.js';
import { push, type PushDeps } from '../../scheduler/push.js';
import { memoryStores, type Stores } from '../support/memory.js';
import { BLOG, entriesOf, entryOf, look, newest, openFeed, subscriptionOf } from '../support/stores.js';

const ATOM = 'http://www.w3.org/2005/Atom';
const FEED = feedIdOf(BLOG);
const entryXml = (id: string, title = id, more = '') =>
  `<entry xmlns="${ATOM}"><id>${id}</id><title>${title}</title>${more}</entry>`;

const ask = (stores: Stores, entries: readonly string[], deps: Partial<PushDeps> = {}) =>
  push({ ...stores, parse: readDocument, ...deps }, { feed: FEED, entries, id: '1' });

async function logged({ log }: Stores) {
  const partitions = Array.from({ length: log.partitions }, (_, partition) => log.read(partition, '0', 100));
  return (await Promise.all(partitions)).flat();
}
const items = (...ids: readonly string[]) => ids.map((id) => itemIdOf(FEED, id));
const committed = (...ids: readonly string[]) => ({ kind: 'committed', items: items(...ids) });

describe('entries that are pushed', () => {
  it('are held and announced, and answered with their ItemIDs in the order in which they came', async () => {
    const stores = memoryStores();
    await openFeed(stores);
    const dated = (id: string, day: number) => entryXml(id, id, `<updated>2026-01-0${day}T00:00:00Z</updated>`);
    expect(await ask(stores, [dated('b', 2), dated('a', 1)])).toEqual(committed('b', 'a'));
    expect(await logged(stores)).toMatchObject(['a', 'b'].map((id) => ({ kind: 'new', entry: { id } })));
    expect(entriesOf(await newest(stores, FEED, 9)).map(({ id }) => id)).toEqual(['b', 'a']);
  });

  it('are read like those of the feed, with URLs relative to it', async () => {
    const stores = memoryStores();
    await openFeed(stores);
    const xml = entryXml('a', 'A &amp; B', '<link href="/a"/><content type="html">&lt;p&gt;ü</content>');
    await ask(stores, [xml]);
    expect(entriesOf(await newest(stores, FEED, 9))).toEqual([
      {
        ...entryOf('a', 'A & B'),
        links: [{ rel: 'alternate', href: 'https://blog.example/a' }],
        content: { type: 'html', value: '<p>ü</p>' },
      },
    ]);
  });

  it.each([
    ['another prefix', `<a:entry xmlns:a='${ATOM}'><a:id>a</a:id><a:title>a</a:title></a:entry>`],
    ['other attributes', `<entry xml:lang="en" xmlns = '${ATOM}'><id>a</id><title>a</title></entry>`],
  ])('may be written with %s', async (_, xml) => {
    const stores = memoryStores();
    await openFeed(stores);
    expect(await ask(stores, [xml])).toEqual(committed('a'));
  });

  it('that are known and unchanged have their ItemIDs and are not announced again', async () => {
    const stores = memoryStores();
    await openFeed(stores);
    for (let n = 0; n < 2; n++) expect(await ask(stores, [entryXml('a')])).toEqual(committed('a'));
    expect(await ask(stores, [entryXml('a', 'better'), entryXml('b')])).toEqual(committed('a', 'b'));
    expect((await logged(stores)).map((record) => [record.kind, 'item' in record && record.item])).toEqual([
      ['new', items('a')[0]],
      ['new', items('b')[0]],
      ['edited', items('a')[0]],
    ]);
  });

  it('are not announced again when the feed shows them', async () => {
    const stores = memoryStores();
    await openFeed(stores);
    await ask(stores, [entryXml('a')]);
    const { entry } = (await logged(stores))[0] as unknown as { readonly entry: Entry };
    await look(stores, BLOG, [entry]);
    expect(await logged(stores)).toHaveLength(1);
  });

  it('come with what the feed says of itself, and say nothing of it', async () => {
    const stores = memoryStores();
    await stores.feeds.register(BLOG);
    const source = { links: [], authors: [{ name: 'Romeo' }], categories: [] };
    const changes = { touched: [], changes: [], left: 0 };
    const outcome = { kind: 'fresh', source, validators: { etag: '"1"' }, body: 'x', changes } as const;
    await stores.feeds.commit({ feed: (await stores.feeds.get(FEED))!, nextMs: 9_000, outcome });
    const before = await stores.feeds.get(FEED);
    await ask(stores, [entryXml('a')]);
    expect(await logged(stores)).toMatchObject([{ source }]);
    expect(await stores.feeds.get(FEED)).toEqual({ ...before, version: before!.version + 1 });
    expect(await stores.feeds.count()).toEqual({ feeds: 1, due: 0 });
  });

  it('are news also of a feed that was never read', async () => {
    const stores = memoryStores();
    await stores.feeds.register(BLOG);
    await stores.subscriptions.put(subscriptionOf(FEED));
    expect(await ask(stores, [entryXml('a'), entryXml('b')])).toEqual(committed('a', 'b'));
    expect((await logged(stores)).map(({ kind }) => kind)).toEqual(['new', 'new']);
  });

  it('are compared again when a look was committed meanwhile', async () => {
    const stores = memoryStores();
    await openFeed(stores);
    let looks = 0;
    const known: PushDeps['feeds']['known'] = async (...what) => {
      const before = await stores.feeds.known(...what);
      if (looks++ === 0) await look(stores, BLOG, [entryOf('a')]);
      return before;
    };
    expect(await ask(stores, [entryXml('a')], { feeds: { ...stores.feeds, known } })).toEqual(committed('a'));
    expect((await logged(stores)).map(({ kind }) => kind)).toEqual(['new']);
  });

  it('fail when looks come in between again and again', async () => {
    const stores = memoryStores();
    await openFeed(stores);
    const feeds = { ...stores.feeds, commit: async () => 'conflict' as const };
    await expect(ask(stores, [entryXml('a')], { feeds })).rejects.toThrow('attempts');
  });
});

describe('what is pushed is refused, all of it, with a sentence', () => {
  const good = entryXml('good');
  it.each([
    ['something else', '<message xmlns="jabber:client"><body>x</body></message>'],
    ['no XML', 'hello'],
    ['nothing', ''],
    ['an entry of no namespace', '<entry><id>a</id><title>a</title></entry>'],
    ['an entry of another namespace', entryXml('a').replace(ATOM, 'urn:x')],
    ['an entry that only mentions the namespace', `<entry title='xmlns="${ATOM}"'><id>a</id></entry>`],
    ['an entry whose prefix is declared otherwise', `<a:entry xmlns="${ATOM}" xmlns:a="urn:x"><id>a</id></a:entry>`],
    [
      'an entry that declares the namespace for others',
      `<entry xmlns="urn:x" xmlns:a="${ATOM}"><title>a</title></entry>`,
    ],
    ['an element that begins like an entry', `<entrys xmlns="${ATOM}"><id>a</id></entrys>`],
    ['a whole feed', `<feed xmlns="${ATOM}">${entryXml('a')}</feed>`],
    ['an entry with nothing in it', `<entry xmlns="${ATOM}"/>`],
    ['two entries in one', entryXml('a') + entryXml('b')],
    ['the same id twice', good],
  ])('%s', async (_, xml) => {
    const stores = memoryStores();
    await openFeed(stores);
    const result = await ask(stores, [good, xml]);
    expect(result).toEqual({ kind: 'refused', text: expect.stringContaining('Each payload must be') });
    expect(await logged(stores)).toEqual([]);
  });

  it.each([
    ['not XML', `<entry xmlns="${ATOM}"><id>a</id><title>a`],
    ['empty', `<entry xmlns="${ATOM}"/>`],
    ['nothing but an id', `<entry xmlns="${ATOM}"><id>a</id></entry>`],
  ])('what is the only one and %s', async (_, xml) => {
    const stores = memoryStores();
    await openFeed(stores);
    expect(await ask(stores, [xml])).toEqual({ kind: 'refused', text: expect.stringMatching(/^The document|^Each/) });
    expect(await logged(stores)).toEqual([]);
  });

  it('what takes too long to read', async () => {
    const stores = memoryStores();
    await openFeed(stores);
    const parse: Parse = async () => ({ kind: 'failed', reason: 'parse', text: 'It takes too much time' });
    expect(await ask(stores, [good], { parse })).toEqual({ kind: 'refused', text: 'It takes too much time' });
  });

  it('what is for a feed that is not there, or goes meanwhile', async () => {
    const stores = memoryStores();
    const refused = { kind: 'refused', text: 'The feed is not followed any more' };
    expect(await ask(stores, [good])).toEqual(refused);
    await openFeed(stores);
    const gone = { ...stores.feeds, commit: async () => 'gone' as const };
    expect(await ask(stores, [good], { feeds: gone })).toEqual(refused);
    const parse: Parse = async (...document) => {
      await stores.nodes.delete(FEED, { announce: false });
      return readDocument(...document);
    };
    expect(await ask(stores, [good], { parse })).toEqual(refused);
  });
});
