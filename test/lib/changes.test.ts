import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { compare, FIRST_BACKLOG, NEW_AT_ONCE, VERSIONS, type Change, type Known } from '../../lib/changes.js';
import { itemIdOf, type Entry, type ItemId } from '../../lib/domain.js';
import { FEED, followed, following, told } from '../support/following.js';
import { entryOf } from '../support/stores.js';

const item = (id: string) => itemIdOf(FEED, id);
const on = (day: string, id: string): Entry => ({ ...entryOf(id), published: `2026-01-${day}T00:00:00Z` });
const saying = (text: string, more: Partial<Entry> = {}): Entry => ({
  ...entryOf('a'),
  content: { type: 'html', value: text },
  ...more,
});
/** The newest first. */
const many = (count: number, from = 0) => Array.from({ length: count }, (_, i) => entryOf(`${from + count - 1 - i}`));
const idsOf = (changes: readonly Change[]) => changes.map(({ entry }) => entry.id);
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `${from + i}`);

describe('comparing', () => {
  it('finds what is new and what was edited, and touches the rest', async () => {
    const feed = await followed([entryOf('edited'), entryOf('same')]);
    const found = await feed.look(entryOf('new'), entryOf('edited', 'better'), entryOf('same'));
    expect(found).toMatchObject({
      changes: [
        { item: item('edited'), kind: 'edited', entry: entryOf('edited', 'better') },
        { item: item('new'), kind: 'new', entry: entryOf('new') },
      ],
      touched: [item('same')],
      left: 0,
    });
  });

  it('leaves what vanished alone, and knows it when it returns', async () => {
    const feed = await followed([entryOf('b'), entryOf('a')]);
    expect(await feed.look()).toEqual({ changes: [], touched: [], left: 0 });
    expect(await feed.look(entryOf('b'), entryOf('a'))).toMatchObject({ changes: [], touched: [item('b'), item('a')] });
  });

  it('does not change what it was given', async () => {
    const entries = Object.freeze([on('02', 'b'), on('01', 'a')]);
    await following().look(...entries);
    expect(entries.map(({ id }) => id)).toEqual(['b', 'a']);
  });

  it('remembers short texts without spaces', async () => {
    const feed = await followed([saying('x', { links: [{ href: 'https://blog.example/a', rel: 'alternate' }] })]);
    expect([...feed.known.values()]).toEqual([
      {
        link: expect.stringMatching(/^[\w-]{6}$/) as unknown,
        words: expect.stringMatching(/^[\w-]{6}$/) as unknown,
        hashes: [expect.stringMatching(/^[\w-]{8}$/) as unknown],
      },
    ]);
  });

  it('remembers no page of an entry that has none of its own', async () => {
    const home = [{ href: 'https://blog.example/', rel: 'alternate' }];
    const feed = await followed([{ ...entryOf('b'), links: home }, { ...entryOf('a'), links: home }, entryOf('c')]);
    expect([...feed.known.values()].map(({ link }) => link)).toEqual(['', '', '']);
  });
});

describe('the order of announcement', () => {
  it('is that of the document from its end where dates are missing', async () => {
    const feed = await followed([]);
    expect(told(await feed.look(entryOf('c'), on('05', 'b'), on('09', 'a')))).toEqual(['new a', 'new b', 'new c']);
  });

  it('is that of the dates where every entry has one', async () => {
    const feed = await followed([]);
    const updated = { ...entryOf('b'), updated: '2026-01-02T00:00:00Z' };
    expect(
      told(await feed.look({ ...on('01', 'a'), updated: '2026-01-09T00:00:00Z' }, on('03', 'c'), updated)),
    ).toEqual(['new a', 'new b', 'new c']);
  });

  it('asks for the date of every entry, known or not', async () => {
    const feed = await followed([entryOf('known')]);
    expect(told(await feed.look(on('01', 'b'), on('02', 'a'), entryOf('known')))).toEqual(['new a', 'new b']);
  });

  it('is that of the document among entries of one date', async () => {
    const feed = await followed([]);
    expect(told(await feed.look(on('01', 'c'), on('01', 'b'), on('01', 'a')))).toEqual(['new a', 'new b', 'new c']);
  });

  it('holds for edits and news together', async () => {
    const feed = await followed([on('02', 'b')]);
    expect(
      told(await feed.look(on('01', 'a'), { ...on('02', 'b'), summary: { type: 'text', value: 'x' } }, on('03', 'c'))),
    ).toEqual(['new a', 'edited b', 'new c']);
  });
});

describe('the first reading', () => {
  it('is the past of the feed: stored, the latest one marked', async () => {
    expect(told(await following().look(entryOf('c'), entryOf('b'), entryOf('a')))).toEqual([
      'stored a',
      'stored b',
      'first c',
    ]);
  });

  it('may be empty', async () => {
    expect(await following().look()).toEqual({ changes: [], touched: [], left: 0 });
  });

  it('keeps the newest fifty, notes the others, and leaves none for the next look', async () => {
    const feed = following();
    const { changes, left } = await feed.look(...many(180));
    expect(left).toBe(0);
    expect(idsOf(changes)).toEqual(numbers(0, 180));
    expect(changes.map(({ kind }) => kind)).toEqual([
      ...Array.from({ length: 180 - FIRST_BACKLOG }, () => 'noted'),
      ...Array.from({ length: FIRST_BACKLOG - 1 }, () => 'stored'),
      'first',
    ]);
    expect(FIRST_BACKLOG).toBe(50);
    expect((await feed.look(...many(180))).touched.length).toBe(180);
  });

  it('touches what was pushed before it, and asks for nothing', async () => {
    const feed = await followed([entryOf('b'), entryOf('a')]);
    const compared = {
      feed: { id: FEED },
      known: feed.known,
      first: true,
      threshold: 0,
      held: () => Promise.reject(new Error('asked')),
    };
    expect(await compare({ ...compared, entries: [entryOf('c'), entryOf('b', 'better'), entryOf('a')] })).toMatchObject(
      {
        changes: [
          { item: item('b'), kind: 'stored' },
          { item: item('c'), kind: 'first' },
        ],
        touched: [item('a')],
      },
    );
  });
});

describe('many new entries', () => {
  it('are announced a hundred per look, the oldest first', async () => {
    const feed = await followed([]);
    const looks = [];
    for (let look = 0; look < 4; look++) looks.push(await feed.look(...many(250)));
    expect(NEW_AT_ONCE).toBe(100);
    expect(looks.map(({ left }) => left)).toEqual([150, 50, 0, 0]);
    expect(looks.map(({ touched }) => touched.length)).toEqual([0, 100, 200, 250]);
    expect(looks.map(({ changes }) => idsOf(changes))).toEqual([
      numbers(0, 100),
      numbers(100, 200),
      numbers(200, 250),
      [],
    ]);
  });

  it('do not hold up an edit', async () => {
    const feed = await followed([entryOf('known')]);
    const found = await feed.look(entryOf('known', 'better'), ...many(101));
    expect(found.left).toBe(1);
    expect(told(found).at(-1)).toBe('edited better');
  });
});

describe('what is no change', () => {
  const entry = saying('<p>text</p>', {
    links: [
      { href: 'http://blog.example/?p=1', rel: 'alternate' },
      { href: 'http://blog.example/1.mp3?sign=1', rel: 'enclosure', length: 1 },
    ],
  });

  it.each<[string, Partial<Entry>]>([
    ['when it was updated', { updated: '2026-01-01T00:00:00Z' }],
    ['when it was published', { published: '2026-01-01T00:00:00Z' }],
    ['what it is filed under', { categories: [{ term: 'news' }] }],
    ['how many answers there are', { replies: 3 }],
    [
      'how its links are spelt',
      {
        links: [
          { href: 'https://blog.example/?p=1&utm_source=feed', rel: 'alternate' },
          { href: 'https://blog.example/1.mp3?sign=2', rel: 'enclosure', length: 2 },
        ],
      },
    ],
  ])('is %s', async (_, change) => {
    const feed = await followed([entry]);
    expect(told(await feed.look({ ...entry, ...change }))).toEqual([]);
  });

  it('is a storm of dates', async () => {
    const feed = await followed(many(5));
    for (let day = 1; day <= 28; day++) {
      const updated = new Date(Date.UTC(2026, 1, day)).toISOString();
      expect(await feed.look(...many(5).map((one) => ({ ...one, updated })))).toMatchObject({ changes: [] });
    }
  });

  it.each<[string, Partial<Entry>]>([
    ['title', { title: { type: 'text', value: 'other' } }],
    ['type of the title', { title: { type: 'html', value: 'a' } }],
    ['summary', { summary: { type: 'text', value: 'short' } }],
    ['content', { content: { type: 'html', value: '<p>other</p>' } }],
    ['page', { links: [{ href: 'https://blog.example/?p=2', rel: 'alternate' }, ...entry.links.slice(1)] }],
    ['relation of a link', { links: [{ href: 'http://blog.example/?p=1', rel: 'related' }, ...entry.links.slice(1)] }],
  ])('is never the %s', async (_, change) => {
    const feed = await followed([entry]);
    expect((await feed.look({ ...entry, ...change })).changes).toMatchObject([{ kind: 'edited' }]);
  });

  it('is a version that was seen before: flapping between two announces each once', async () => {
    const feed = await followed([]);
    const news: string[] = [];
    for (let look = 0; look < 100; look++)
      news.push(...told(await feed.look(saying('a'))), ...told(await feed.look(saying('b'))));
    expect(news).toEqual(['new a', 'edited a']);
  });

  it('is one of the last five versions, not one before them', async () => {
    const feed = await followed(['1', '2', '3', '4', '5'].slice(0, 1).map((text) => saying(text)));
    for (const text of ['2', '3', '4', '5']) expect(told(await feed.look(saying(text)))).toEqual(['edited a']);
    expect(told(await feed.look(saying('1')))).toEqual([]);
    const latest = (await feed.look(saying('6'))).changes[0]?.seen.hashes ?? [];
    expect(latest.length).toBe(VERSIONS);
    expect(VERSIONS).toBe(5);
    expect(told(await feed.look(saying('2')))).toEqual([]);
    expect((await feed.look(saying('1'))).changes[0]?.seen.hashes.slice(1)).toEqual(latest.slice(0, 4));
  });
});

describe('an edit', () => {
  const TEN = 'one two three four five six seven eight nine ten';
  const edited = async (threshold: number, entry: Entry) =>
    told(await (await followed([saying(TEN)], { threshold })).look(entry));

  it.each([
    [10, 'edited a'],
    [10.5, 'stored a'],
    [0, 'edited a'],
    [100, 'stored a'],
  ])('of one word in ten at a threshold of %d is %j', async (threshold, what) => {
    expect(await edited(threshold, saying(TEN.replace('ten', 'TWENTY')))).toEqual([what]);
  });

  it('that nobody can see is announced by a node that announces any', async () => {
    const marked = saying(TEN.replace('one', '<b>one</b>'));
    expect(await edited(0, marked)).toEqual(['edited a']);
    expect(await edited(1, marked)).toEqual(['stored a']);
  });

  it('that leaves nothing is announced by every node', async () => {
    expect(await edited(100, saying('entirely new'))).toEqual(['edited a']);
  });

  it('is measured against what the node holds', async () => {
    const feed = await followed([saying(TEN)], { threshold: 20 });
    expect(told(await feed.look(saying(TEN.replace('one', 'x'))))).toEqual(['stored a']);
    expect(feed.node.get(item('a'))).toEqual(saying(TEN.replace('one', 'x')));
    expect(told(await feed.look(saying(TEN.replace('one', 'x').replace('two', 'x'))))).toEqual(['stored a']);
  });

  it('of what the node no longer holds is noted, and no news when it is seen again', async () => {
    const feed = await followed([saying(TEN)]);
    feed.node.clear();
    expect(told(await feed.look(saying('x')))).toEqual(['noted a']);
    expect(told(await feed.look(saying('x')))).toEqual([]);
  });

  it('asks for the versions of all that has changed at once, and only then', async () => {
    const feed = await followed(many(3));
    await feed.look(...many(4));
    expect(feed.asked).toEqual([]);
    await feed.look(entryOf('2', 'x'), entryOf('1', 'x'), entryOf('0'), entryOf('9'));
    expect(feed.asked).toEqual([[item('1'), item('2')]]);
  });

  it('is not lost when the node cannot be asked', async () => {
    const feed = await followed([saying(TEN)]);
    const held = () => Promise.reject(new Error('Redis is away'));
    const asked = compare({
      feed: { id: FEED },
      known: feed.known,
      entries: [saying('x')],
      first: false,
      threshold: 0,
      held,
    });
    await expect(asked).rejects.toThrow('Redis is away');
  });
});

it('every entry is either touched or changed, once, and a second look finds nothing', async () => {
  const entries = fc.uniqueArray(fc.string(), { maxLength: 30 }).map((ids) => ids.map((id) => entryOf(id)));
  await fc.assert(
    fc.asyncProperty(entries, fc.array(fc.nat(29)), async (shown, known) => {
      const feed = await followed([...new Set(known)].flatMap((i) => shown[i] ?? []));
      const { changes, touched } = await feed.look(...shown);
      const seen = [...touched, ...changes.map((change) => change.item)];
      expect(seen.sort()).toEqual(shown.map(({ id }) => item(id)).sort());
      expect((await feed.look(...shown)).changes).toEqual([]);
    }),
  );
});

describe('whatever a feed does', () => {
  /** What is true of one feed for all of its life. */
  interface World {
    readonly ids: 'kept' | 'moving' | 'random';
    readonly links: 'own' | 'home';
    readonly isDated: boolean;
  }
  type Step =
    | { readonly do: 'publish'; readonly count: number }
    | { readonly do: 'edit' | 'retitle' | 'back' | 'drop' | 'return' | 'reuse'; readonly at: number }
    | { readonly do: 'shuffle'; readonly by: number }
    | { readonly do: 'move' | 'look' };

  const worlds: fc.Arbitrary<World> = fc.record({
    ids: fc.constantFrom('kept', 'moving', 'random'),
    links: fc.constantFrom('own', 'home'),
    isDated: fc.boolean(),
  });
  const steps: fc.Arbitrary<Step[]> = fc.array(
    fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({ do: fc.constant('publish' as const), count: fc.constantFrom(1, 1, 2, 3, 120) }),
      },
      {
        weight: 6,
        arbitrary: fc.record({
          do: fc.constantFrom(
            'edit' as const,
            'retitle' as const,
            'back' as const,
            'drop' as const,
            'return' as const,
            'reuse' as const,
          ),
          at: fc.nat(200),
        }),
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('shuffle' as const), by: fc.nat() }) },
      { weight: 5, arbitrary: fc.record({ do: fc.constantFrom('move' as const, 'look' as const, 'look' as const) }) },
    ),
    { maxLength: 40 },
  );

  /** A real entry, as its author knows it. */
  interface Real {
    readonly n: number;
    readonly id: number;
    title: number;
    text: number;
    /** What was published of it, the latest last. */
    readonly texts: number[];
  }

  /** A publisher: does what a step says where the world allows it, and shows a document. */
  function publisherIn({ ids, links, isDated }: World) {
    let shown: Real[] = [];
    const gone: Real[] = [];
    let made = 0;
    let looks = 0;
    let scheme = 'http';
    // Without a date the text is all that tells an entry whose id changes, so a change of both is beyond anybody.
    const mayEdit = ids === 'kept' || isDated;
    const publish = (id?: number) => {
      const n = ++made;
      shown.unshift({ n, id: id ?? n, title: 0, text: 0, texts: [0] });
    };
    publish();
    publish();

    const does: { readonly [Name in Step['do']]?: (one: Real, at: number) => void } = {
      edit: (one) => {
        if (!mayEdit) return;
        one.text = one.texts.length;
        one.texts.push(one.text);
      },
      back: (one) => {
        if (mayEdit) one.text = one.texts.at(-2) ?? one.text;
      },
      retitle: (one) => {
        if (ids === 'kept') one.title++;
      },
      drop: (one) => {
        // Two at least, or nothing shows that a page is that of all.
        if (shown.length <= 2) return;
        gone.push(one);
        shown = shown.filter((other) => other !== one);
      },
      return: (_, at) => {
        const [one] = gone.splice(at % Math.max(1, gone.length), 1);
        if (one) shown = [...shown, one].sort((a, b) => b.n - a.n);
      },
      reuse: (_, at) => {
        const former = gone[at % Math.max(1, gone.length)];
        if (former && ids === 'kept' && links === 'own') publish(former.id);
      },
    };

    return {
      does(step: Step) {
        if (step.do === 'publish') for (let i = 0; i < step.count; i++) publish();
        if (step.do === 'move' && ids === 'moving') scheme = scheme === 'http' ? 'https' : 'http';
        if (step.do === 'shuffle' && isDated) shown.sort((a, b) => ((a.n * step.by) % 7) - ((b.n * step.by) % 7));
        const one = 'at' in step ? shown[step.at % shown.length] : undefined;
        if ('at' in step && one) does[step.do]?.(one, step.at);
      },
      document() {
        looks++;
        return shown.map((real): readonly [Real, Entry] => {
          const { n, id, title, text } = real;
          const entry: Entry = {
            ...entryOf(ids === 'random' ? `${n}-${looks}` : `${scheme}://blog.example/id/${id}`, `Title ${n}/${title}`),
            content: { type: 'html', value: `<p>text ${n}/${text}</p>` },
            links: [{ href: `${scheme}://blog.example/${links === 'own' ? n : ''}`, rel: 'alternate' }],
            ...(isDated && { published: new Date(Date.UTC(2026, 0, 1, n)).toISOString() }),
          };
          return [real, entry];
        });
      },
    };
  }

  /** What is known of every real entry that was told of: its ItemID and what it has said, the latest first. */
  type Memory = Map<number, { readonly item: ItemId; readonly said: string[] }>;

  it('each of its entries is announced once, in order, under one ItemID that no other has', async () => {
    await fc.assert(
      fc.asyncProperty(worlds, steps, async (world, history) => {
        const publisher = publisherIn(world);
        const feed = following();
        const memory: Memory = new Map();
        for (const step of [{ do: 'look' } as const, ...history, { do: 'look' } as const, { do: 'look' } as const]) {
          publisher.does(step);
          if (step.do !== 'look') continue;
          const document = publisher.document();
          const isFirst = memory.size === 0;
          const found = await feed.look(...document.map(([, entry]) => entry));
          const inOrder = world.isDated ? document.toSorted(([a], [b]) => a.n - b.n) : document.toReversed();
          const strangers = inOrder.filter(([{ n }]) => !memory.has(n));
          const late = new Set(strangers.slice(NEW_AT_ONCE));
          const said = ({ title, text }: Real) => `${title}/${text}`;
          const isSaid = (real: Real) => memory.get(real.n)?.said.slice(0, VERSIONS).includes(said(real));

          const expected = inOrder.filter((one) => !late.has(one) && !isSaid(one[0]));
          expect(found.left).toBe(late.size);
          expect(found.changes.map(({ entry }) => entry)).toEqual(expected.map(([, entry]) => entry));
          if (!isFirst) {
            expect(found.changes.map(({ kind }) => kind)).toEqual(
              expected.map(([{ n }]) => (memory.has(n) ? 'edited' : 'new')),
            );
          }
          expect([...found.touched].sort()).toEqual(
            inOrder.flatMap(([real]) => (isSaid(real) ? (memory.get(real.n)?.item ?? []) : [])).sort(),
          );
          expected.forEach(([real], i) => {
            const { item: told } = found.changes[i]!;
            const before = memory.get(real.n);
            if (before) expect(told).toBe(before.item);
            memory.set(real.n, { item: told, said: [said(real), ...(before?.said ?? [])] });
          });
          expect(new Set([...memory.values()].map((one) => one.item)).size).toBe(memory.size);
        }
      }),
    );
  });
});

it('what is known may be of any order', async () => {
  const feed = await followed(many(5));
  const backwards: Known = new Map([...feed.known].reverse());
  const found = await compare({
    feed: { id: FEED },
    known: backwards,
    entries: many(6),
    first: false,
    threshold: 0,
    held: async () => new Map(),
  });
  expect(idsOf(found.changes)).toEqual(['5']);
});
