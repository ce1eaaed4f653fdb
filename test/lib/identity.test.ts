import { describe, expect, it } from '@jest/globals';
import { itemIdOf, type Entry } from '../../lib/domain.js';
import { FEED, followed, following, told } from '../support/following.js';
import { BLOG, entryOf } from '../support/stores.js';

const dateOf = (day: number) => new Date(Date.UTC(2026, 0, day)).toISOString();
const textOf = (value: string) => ({ type: 'text', value }) as const;
const linkTo = (href: string) => [{ href, rel: 'alternate' }];

/** An entry with a page and a text of its own, and nothing else, all told by one number. */
const bare = (n: number): Entry => ({
  id: `id-${n}`,
  content: textOf(`text of ${n}`),
  links: linkTo(`https://blog.example/${n}`),
  authors: [],
  contributors: [],
  categories: [],
  media: [],
});
const undated = (n: number, more: Partial<Entry> = {}): Entry => ({ ...bare(n), title: textOf(`Title ${n}`), ...more });
const untitled = (n: number, more: Partial<Entry> = {}): Entry => ({ ...bare(n), published: dateOf(n), ...more });
const entry = (n: number, more: Partial<Entry> = {}): Entry => ({ ...undated(n), published: dateOf(n), ...more });
/** On the feed's page, as all of its entries. */
const homely = (n: number, more: Partial<Entry> = {}): Entry =>
  entry(n, { links: linkTo('https://blog.example/'), ...more });
/** The newest first. */
const many = (count: number, make: (n: number) => Entry): Entry[] =>
  Array.from({ length: count }, (_, i) => make(count - i));
const numbered = (items: number) => Array.from({ length: items }, (_, i) => i + 1);

let ids = 0;
/** As a publisher makes it who makes up ids at every look. */
const renamed = (one: Entry): Entry => ({ ...one, id: `made-up-${ids++}` });

describe('an entry', () => {
  it('is the one with its id, whatever else is another now', async () => {
    const feed = await followed([entry(1)]);
    const { changes } = await feed.look(
      entry(1, { links: linkTo('https://blog.example/moved'), content: textOf('x') }),
    );
    expect(changes).toMatchObject([{ kind: 'edited', item: itemIdOf(FEED, 'id-1') }]);
  });

  it('has an ItemID by its id where that is new', async () => {
    const feed = await followed([entry(1)]);
    expect((await feed.look(entry(2), entry(1))).changes).toMatchObject([
      { kind: 'new', item: itemIdOf(FEED, 'id-2') },
    ]);
  });
});

describe('an id that is used for something else', () => {
  const other = entry(2, { id: 'id-1' });

  it('names a new entry, which is found again', async () => {
    const feed = await followed([entry(1)]);
    const { changes } = await feed.look(other);
    expect(changes).toMatchObject([{ kind: 'new', entry: other }]);
    expect(changes[0]?.item).not.toBe(itemIdOf(FEED, 'id-1'));
    expect(await feed.look(other)).toEqual({ changes: [], touched: [changes[0]?.item], left: 0 });
    const edited = await feed.look({ ...other, content: textOf('better') });
    expect(edited.changes).toMatchObject([{ kind: 'edited', item: changes[0]?.item }]);
  });

  it('leaves the former entry its own', async () => {
    const feed = await followed([entry(1)]);
    await feed.look(other);
    expect(await feed.look(entry(1))).toEqual({ changes: [], touched: [itemIdOf(FEED, 'id-1')], left: 0 });
    const { changes, touched } = await feed.look(other, entry(1));
    expect(changes).toEqual([]);
    expect(new Set(touched).size).toBe(2);
  });

  it.each<[string, Partial<Entry>]>([
    ['the page', { links: entry(1).links }],
    ['title and date', { title: textOf('Title 1'), published: dateOf(1) }],
  ])('is the same still where %s stayed', async (_, same) => {
    const feed = await followed([entry(1)]);
    expect((await feed.look({ ...other, ...same })).changes).toMatchObject([
      { kind: 'edited', item: itemIdOf(FEED, 'id-1') },
    ]);
  });

  it('is the same still where what it says was said before', async () => {
    const feed = await followed([entry(1)]);
    await feed.look(entry(1, { links: other.links, content: textOf('x') }));
    await feed.look(entry(1, { links: other.links, title: textOf('Title 2') }));
    expect(await feed.look(entry(1))).toEqual({ changes: [], touched: [itemIdOf(FEED, 'id-1')], left: 0 });
  });

  it('is the same still where the page stayed, and is that of another entry besides', async () => {
    const feed = await followed([entry(1)]);
    await feed.look(entry(5, { links: entry(1).links }));
    const changed = entry(2, { id: 'id-1', links: entry(1).links });
    expect((await feed.look(changed)).changes).toMatchObject([{ kind: 'edited', item: itemIdOf(FEED, 'id-1') }]);
  });

  it('is the same still where title and date stayed, and are those of another entry besides', async () => {
    const twin = entry(5, { title: textOf('Title 1'), published: dateOf(1) });
    const feed = await followed([twin, entry(1)]);
    const changed = entry(1, { links: other.links, content: textOf('x') });
    expect((await feed.look(changed)).changes).toMatchObject([{ kind: 'edited', item: itemIdOf(FEED, 'id-1') }]);
  });

  it('is the same still where there is no page that could be another', async () => {
    const feed = await followed([entry(1, { links: [] })]);
    expect(told(await feed.look(other))).toEqual(['edited Title 2']);
    expect(told(await feed.look(entry(3, { id: 'id-1', links: [] })))).toEqual(['edited Title 3']);
  });

  it('may go from entry to entry, as where ids are the places of a list', async () => {
    const at = (place: number, n: number) => entry(n, { id: `place-${place}` });
    const feed = await followed([at(1, 3), at(2, 2), at(3, 1)]);
    expect(told(await feed.look(at(1, 4), at(2, 3), at(3, 2)))).toEqual(['new Title 4']);
    expect(told(await feed.look(at(1, 6), at(2, 5), at(3, 4)))).toEqual(['new Title 5', 'new Title 6']);
    expect(told(await feed.look(at(1, 6), at(2, 5), at(3, 4)))).toEqual([]);
  });
});

describe('an id that has changed', () => {
  it('names the same entry where page, title and date are the same', async () => {
    const feed = await followed([entry(1)]);
    expect(await feed.look(renamed(entry(1)))).toEqual({ changes: [], touched: [itemIdOf(FEED, 'id-1')], left: 0 });
    const { changes } = await feed.look(renamed(entry(1, { content: textOf('better') })));
    expect(changes).toMatchObject([{ kind: 'edited', item: itemIdOf(FEED, 'id-1') }]);
  });

  it('names the same entry where it has no page', async () => {
    const feed = await followed([entry(1, { links: [] })]);
    expect((await feed.look(renamed(entry(1, { links: [] })))).touched).toEqual([itemIdOf(FEED, 'id-1')]);
  });

  it('names the same entry where only `updated` has moved besides', async () => {
    const feed = await followed([undated(1, { updated: dateOf(2) })]);
    expect(told(await feed.look(renamed(undated(1, { updated: dateOf(3) }))))).toEqual([]);
  });

  it.each<[string, Entry]>([
    ['the page', entry(1, { links: linkTo('https://blog.example/other') })],
    ['the title', entry(1, { title: textOf('Another') })],
    ['the date', entry(1, { published: dateOf(2) })],
  ])('names a new entry where %s is another', async (_, other) => {
    const feed = await followed([entry(1)]);
    expect((await feed.look(renamed(other))).changes).toMatchObject([{ kind: 'new' }]);
  });

  it('names a new entry where there is no date, and the text is another', async () => {
    const feed = await followed([undated(1)]);
    expect((await feed.look(renamed(undated(1, { content: textOf('other') })))).changes).toMatchObject([
      { kind: 'new' },
    ]);
  });

  it('names a new entry where there is no title, and the text is another', async () => {
    const feed = await followed([untitled(1)]);
    expect((await feed.look(renamed(untitled(1, { content: textOf('other') })))).changes).toMatchObject([
      { kind: 'new' },
    ]);
  });

  it('is another entry while the one it looks like is still shown', async () => {
    const feed = await followed([entry(1)]);
    const twin = renamed(entry(1));
    expect((await feed.look(twin, entry(1))).changes).toMatchObject([{ kind: 'new', item: itemIdOf(FEED, twin.id) }]);
  });

  it('does not tell which of two entries it was that are alike', async () => {
    const alike = (n: number) => entry(1, { id: `id-${n}`, links: [], content: textOf(`text ${n}`) });
    const feed = await followed([alike(2), alike(1)]);
    expect(told(await feed.look(renamed(alike(1))))).toEqual(['new Title 1']);
  });

  it('does not tell which of two entries it is that are alike', async () => {
    const alike = (n: number) => renamed(homely(1, { content: textOf(`text ${n}`) }));
    const feed = await followed([homely(2), homely(1)]);
    expect(told(await feed.look(alike(4), alike(3), homely(2)))).toEqual(['new Title 1', 'new Title 1']);
  });

  it('names the same entry while its former id is used for something else', async () => {
    const feed = await followed([entry(1)]);
    const { changes, touched } = await feed.look(entry(2, { id: 'id-1' }), renamed(entry(1)));
    expect(changes).toMatchObject([{ kind: 'new', entry: { title: { value: 'Title 2' } } }]);
    expect(touched).toEqual([itemIdOf(FEED, 'id-1')]);
  });

  it('announces nothing again when a site moves to https', async () => {
    const at = (scheme: string) =>
      many(10, (n) =>
        entry(n, { id: `${scheme}://blog.example/?p=${n}`, links: linkTo(`${scheme}://blog.example/${n}`) }),
      );
    const feed = await followed(at('http'));
    const { changes, touched } = await feed.look(...at('https'));
    expect(changes).toEqual([]);
    expect(touched).toEqual(at('http').map(({ id }) => itemIdOf(FEED, id)));
    expect(told(await feed.look(...at('https').slice(1), ...at('http').slice(0, 1)))).toEqual([]);
  });
});

describe('ids are found out to change from look to look', () => {
  const shown = (known: number, unknown: number) => [
    ...many(unknown, (n) => renamed(entry(n))),
    ...numbered(known).map((n) => entry(unknown + n)),
  ];

  it.each([
    ['all of three', 0, 3, true],
    ['more than four of five', 1, 5, true],
    ['four of five', 1, 4, undefined],
    ['both of two', 0, 2, undefined],
  ])('where %s have other ids than before', async (_, known, unknown, untrusted) => {
    const feed = await followed(many(known + unknown, entry));
    const found = await feed.look(...shown(known, unknown));
    expect(found.untrusted).toBe(untrusted);
    expect(found.changes).toEqual([]);
    expect(found.touched.length).toBe(known + unknown);
  });

  it('by title and date where all have one page', async () => {
    const feed = await followed(many(3, homely));
    expect(await feed.look(...many(3, homely).map(renamed))).toMatchObject({ changes: [], untrusted: true });
  });

  it('by the page where titles change as well', async () => {
    const feed = await followed(many(3, entry));
    const titled = many(3, (n) => entry(n, { title: textOf(`Better ${n}`) })).map(renamed);
    const { changes, untrusted } = await feed.look(...titled);
    expect(untrusted).toBe(true);
    expect(changes.map(({ kind, item }) => [kind, item])).toEqual(
      numbered(3).map((n) => ['edited', itemIdOf(FEED, `id-${n}`)]),
    );
  });

  it('not where the entries are new', async () => {
    const feed = await followed(many(3, entry));
    const found = await feed.look(...[6, 5, 4].map((n) => entry(n)));
    expect(found.untrusted).toBeUndefined();
    expect(told(found)).toEqual(['new Title 4', 'new Title 5', 'new Title 6']);
  });

  it('not where nothing but a page is the same that all have', async () => {
    const feed = await followed([homely(1)]);
    const found = await feed.look(...[4, 3, 2].map((n) => homely(n)));
    expect(found.untrusted).toBeUndefined();
    expect(found.changes.length).toBe(3);
  });

  it('not where nothing is the same but a title and a date that all have', async () => {
    const feed = await followed([homely(1)]);
    const alike = numbered(3).map((n) => renamed(homely(1, { content: textOf(`other ${n}`) })));
    expect(await feed.look(...alike)).not.toHaveProperty('untrusted');
  });

  it('once', async () => {
    const feed = await followed(many(3, entry));
    expect(await feed.look(...many(3, entry).map(renamed))).toHaveProperty('untrusted', true);
    expect(await feed.look(...many(3, entry).map(renamed))).not.toHaveProperty('untrusted');
  });
});

describe('where ids are not to be trusted', () => {
  const UNTRUSTED = { untrusted: true };

  it('a page names its entry, whatever the title says', async () => {
    const feed = await followed([entry(1)], UNTRUSTED);
    const item = [...feed.known.keys()][0];
    const other = renamed(entry(1, { title: textOf('Better'), published: dateOf(2) }));
    expect((await feed.look(other)).changes).toMatchObject([{ kind: 'edited', item }]);
  });

  it('title and date name an entry whose page is not known', async () => {
    const feed = await followed([entry(1)], UNTRUSTED);
    const item = [...feed.known.keys()][0];
    const moved = renamed(entry(1, { links: linkTo('https://blog.example/moved') }));
    expect((await feed.look(moved)).changes).toMatchObject([{ kind: 'edited', item }]);
  });

  it('the page comes before title and date', async () => {
    const feed = await followed([entry(2), entry(1)], UNTRUSTED);
    const items = new Map([...feed.node].map(([item, { id }]) => [id, item]));
    const { changes } = await feed.look(
      renamed(entry(3, { title: textOf('Title 1'), published: dateOf(1) })),
      renamed(entry(1, { title: textOf('Other'), published: dateOf(8) })),
    );
    expect(changes.map(({ kind, item }) => [kind, item === items.get('id-1')])).toEqual([
      ['new', false],
      ['edited', true],
    ]);
  });

  it('an id says nothing', async () => {
    const feed = await followed([entry(1)], UNTRUSTED);
    expect(told(await feed.look(entry(2, { id: 'id-1' })))).toEqual(['new Title 2']);
  });

  it.each([
    ['page', (n: number) => entry(n)],
    ['title and date', (n: number) => homely(n)],
    ['title and text', (n: number) => undated(n, { links: [] })],
  ])('a new entry gets the same ItemID by its %s whoever looks', async (_, make) => {
    const one = await followed([make(1)], UNTRUSTED);
    const other = await followed([make(1)], UNTRUSTED);
    const itemBy = async (feed: typeof one) => (await feed.look(...[3, 2].map(make).map(renamed))).changes[0]?.item;
    const item = await itemBy(one);
    expect(item).toMatch(/^[0-9a-f]{32}$/);
    expect(await itemBy(other)).toBe(item);
  });

  it('a new entry keeps the ItemID by its page whatever it says', async () => {
    const [one, other] = [await followed([entry(1)], UNTRUSTED), await followed([entry(1)], UNTRUSTED)];
    const before = await one.look(renamed(entry(2)));
    const after = await other.look(renamed(entry(2, { title: textOf('Better'), content: textOf('better') })));
    expect(after.changes[0]?.item).toBe(before.changes[0]?.item);
  });

  it('a new entry is not taken for the one that says the same at another date', async () => {
    const again = (day: number) => renamed(homely(1, { links: [], published: dateOf(day) }));
    const feed = await followed([again(1)], UNTRUSTED);
    expect(told(await feed.look(again(2)))).toEqual(['new Title 1']);
  });

  it('a new entry is not taken for another that has no page either', async () => {
    const feed = await followed([entry(2), entry(1, { links: [] })], UNTRUSTED);
    expect(told(await feed.look(renamed(entry(3, { links: [] }))))).toEqual(['new Title 3']);
  });

  it('a page that several have names none of them', async () => {
    const feed = await followed([entry(1), entry(2)], UNTRUSTED);
    const both = [entry(4), entry(3)].map((one) => ({ ...renamed(one), links: entry(1).links }));
    expect(told(await feed.look(...both))).toEqual(['new Title 3', 'new Title 4']);
    expect(told(await feed.look(...both.map(renamed)))).toEqual([]);
  });

  it('title and date that several have name none of them', async () => {
    const feed = await followed([homely(2), homely(1)], UNTRUSTED);
    const alike = [5, 4].map((n) => renamed(homely(1, { content: textOf(`text of ${n}`) })));
    expect((await feed.look(...alike)).changes.map(({ kind }) => kind)).toEqual(['new', 'new']);
    expect(told(await feed.look(...alike.map(renamed)))).toEqual([]);
  });

  it('an entry that has gone to another page does not take the next one there', async () => {
    const feed = await followed([entry(9)], UNTRUSTED);
    await feed.look(entry(1));
    await feed.look(renamed(entry(1, { links: linkTo('https://blog.example/moved') })));
    expect(told(await feed.look(renamed(entry(2, { links: entry(1).links }))))).toEqual(['new Title 2']);
  });

  it('what is shown twice is one entry', async () => {
    const feed = await followed([entry(1)], UNTRUSTED);
    expect(told(await feed.look(renamed(entry(2)), renamed(entry(2)), renamed(entry(1))))).toEqual(['new Title 2']);
  });
});

describe('an id that several entries of a document have', () => {
  const shared = (n: number, more: Partial<Entry> = {}) => entry(n, { id: 'shared', ...more });

  it('names none of them: all are found, each once', async () => {
    const feed = following();
    expect(new Set((await feed.look(shared(3), shared(2), shared(1))).changes.map(({ item }) => item)).size).toBe(3);
    expect(told(await feed.look(shared(4), shared(3), shared(2)))).toEqual(['new Title 4']);
    expect(told(await feed.look(shared(4), shared(3, { content: textOf('x') }), shared(2)))).toEqual([
      'edited Title 3',
    ]);
  });

  it('names the next entry that has it alone', async () => {
    const feed = await followed([shared(2), shared(1)].map((one) => ({ ...one, links: homely(1).links })));
    expect(told(await feed.look(shared(3, { links: [] })))).toEqual(['new Title 3']);
  });

  it('leaves the entry its ItemID that had it alone', async () => {
    const feed = await followed([shared(1)]);
    const found = await feed.look(shared(2), shared(1));
    expect(told(found)).toEqual(['new Title 2']);
    expect(found.touched).toEqual([itemIdOf(FEED, 'shared')]);
  });

  it('does not take the next entry for it where all have one page', async () => {
    const atHome = (n: number) => homely(n, { id: 'shared' });
    const feed = await followed([atHome(1)]);
    const found = await feed.look(atHome(2), atHome(1));
    expect(told(found)).toEqual(['new Title 2']);
    expect(found.touched).toEqual([itemIdOf(FEED, 'shared')]);
  });

  it.each<[string, Partial<Entry>]>([
    ['the same', {}],
    ['the same of another date', { published: dateOf(9) }],
    ['a former version of it', { content: textOf('former') }],
  ])('is that of one entry where it stands at %s', async (_, more) => {
    const { changes } = await following().look(shared(2), shared(2, more), entry(1));
    expect(changes.map(({ item, entry: { content } }) => [item, content])).toEqual([
      [itemIdOf(FEED, 'id-1'), textOf('text of 1')],
      [itemIdOf(FEED, 'shared'), textOf('text of 2')],
    ]);
  });
});

it.each<[string, number, (n: number) => Entry]>([
  ['with pages', 10, entry],
  ['without pages', 10, homely],
  ['without dates', 10, (n) => undated(n, { links: [] })],
  ['of one entry', 1, entry],
  ['of two entries', 2, homely],
])('a feed %s that makes up ids at every look tells each entry once in a hundred looks', async (_, size, make) => {
  const feed = await followed(many(size, make).map(renamed));
  const news: string[] = [];
  for (let look = 1; look <= 100; look++) {
    const newest = size + Math.floor(look / 10);
    const window = Array.from({ length: size }, (_, i) => make(newest - i));
    news.push(...told(await feed.look(...window.map(renamed))));
  }
  expect(news).toEqual(numbered(10).map((n) => `new Title ${size + n}`));
});

it('thousands of entries that are alike in everything but their ids are told apart', async () => {
  const alike = many(2_000, (n) => ({ ...entryOf(`${n}`, 'Alike'), links: linkTo(BLOG) }));
  const feed = await followed(alike);
  const found = await feed.look(...alike);
  expect(found).toMatchObject({ changes: [] });
  expect(found.touched.length).toBe(2_000);
});
