import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { FIREHOSE, parseFeedUrl, type Page, type PageAsk } from '../../../lib/domain.js';
import type { Order, PublishedItem } from '../../../lib/pubsub/reader.js';
import { firehoseItemId } from '../../../lib/store/firehose.js';
import {
  ADMIN,
  BARE,
  bench,
  form,
  idsOf,
  itemId,
  NODE,
  NOW,
  PAGE,
  refusal,
  ROMEO,
  withBlog,
  withFirehose,
} from '../../support/service.js';
import { BLOG, entryOf, look, NO_SOURCE, openFeed } from '../../support/stores.js';

/** A blog that shows this many entries; the names count from the oldest. */
const withMany = async (count: number) => {
  const one = bench({ itemsPerNode: 1_000 });
  const many = Array.from({ length: count }, (_, i) => entryOf(`${count - i}`));
  await openFeed(one.stores);
  await look(one.stores, BLOG, many);
  return one;
};

const numbersTo = (last: number, first = 1) => Array.from({ length: last - first + 1 }, (_, i) => `${first + i}`);

/** Reads a whole list from one end to the other, in pages of random size, and checks where each page says that it is. */
async function walk<T>(
  read: (page: PageAsk) => Promise<Page<T>>,
  cursor: (one: T) => string,
  direction: 'forwards' | 'backwards',
  sizes: readonly number[],
): Promise<T[]> {
  const all: T[] = [];
  for (let turn = 0; ; turn++) {
    const limit = sizes[turn % sizes.length] ?? 1;
    const [first, last] = [all[0], all.at(-1)];
    const page = await read(
      direction === 'forwards'
        ? { limit, ...(last !== undefined && { after: cursor(last) }) }
        : { limit, before: first === undefined ? '' : cursor(first) },
    );
    expect(page.entries.length).toBeLessThanOrEqual(limit);
    if (direction === 'forwards') {
      expect(page.index).toBe(all.length);
      all.push(...page.entries);
    } else {
      expect(page.index).toBe(page.count - all.length - page.entries.length);
      all.unshift(...page.entries);
    }
    if (page.entries.length === 0) {
      expect(page.count).toBe(all.length);
      return all;
    }
  }
}

const SIZES = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 });
const DIRECTION = fc.constantFrom('forwards', 'backwards');

describe('the directory', () => {
  const URLS = numbersTo(12).map((n) => parseFeedUrl(`https://${n}.example/feed`));

  const withNodes = async (feeds: number, own: number) => {
    const one = bench();
    for (const url of URLS.slice(0, feeds)) await one.stores.feeds.register(url);
    for (const name of numbersTo(own)) await one.create(`own-${name}`, { type: 'urn:own' });
    const read = (page: PageAsk) => one.service.directory({ page });
    return { ...one, read };
  };
  const names = (entries: readonly { readonly name: string }[]) => entries.map(({ name }) => name);

  it('shows the firehose first, then every node once, however it is read', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(12), fc.nat(6), DIRECTION, SIZES, async (feeds, own, direction, sizes) => {
        const { read } = await withNodes(feeds, own);
        const all = names(await walk(read, ({ name }) => name, direction, sizes));
        expect(all[0]).toBe(FIREHOSE);
        expect(new Set(all).size).toBe(1 + feeds + own);
        expect(all).toEqual(names((await read({ limit: 100 })).entries));
      }),
      { numRuns: 150 },
    );
  });

  it('can be asked how long it is', async () => {
    const { read } = await withNodes(3, 2);
    for (const ask of [{}, { before: '' }, { before: FIREHOSE }, { after: FIREHOSE }]) {
      expect(await read({ limit: 0, ...ask })).toMatchObject({ entries: [], count: 6 });
    }
  });

  it('has nothing before the firehose', async () => {
    const { read } = await withNodes(3, 0);
    expect(await read({ limit: 5, before: FIREHOSE })).toEqual({ entries: [], index: 0, count: 4 });
  });

  it('shows nothing that is for members only, be it the firehose', async () => {
    const { read, configure } = await withNodes(2, 2);
    await configure('own-1', { access_model: 'whitelist' });
    await configure('own-2', { access_model: 'authorize' });
    expect(names((await read({ limit: 10 })).entries)).toContain('own-2');
    expect(names((await read({ limit: 10 })).entries)).not.toContain('own-1');
    expect(await read({ limit: 0 })).toMatchObject({ count: 4 });
    await configure(FIREHOSE, { access_model: 'whitelist' });
    const all = names(await walk(read, ({ name }) => name, 'backwards', [1, 2]));
    expect(all).toHaveLength(3);
    expect(all).not.toContain(FIREHOSE);
  });

  it.each([
    ['only the usual type', ['urn:test:feed'], false, 3],
    ['only another', ['urn:own'], false, 2],
    ['only the firehose’s', ['http://www.w3.org/2005/Atom'], false, 1],
    ['all but the usual type', ['urn:test:feed'], true, 3],
    ['all but the firehose’s', ['http://www.w3.org/2005/Atom'], true, 5],
    ['none', [], false, 0],
    ['all but none', [], true, 6],
  ])('shows nodes by type: %s', async (_, types, isExcluding, count) => {
    const { service } = await withNodes(3, 2);
    const read = (page: PageAsk) => service.directory({ page, types: { types, isExcluding } });
    for (const direction of ['forwards', 'backwards'] as const) {
      expect(await walk(read, ({ name }) => name, direction, [2, 1])).toHaveLength(count);
    }
  });
});

describe('the items of a node', () => {
  it('are the newest twenty unless asked otherwise, oldest first', async () => {
    const { service } = await withMany(120);
    const read = async (max?: number) =>
      idsOf((await service.items({ requester: BARE, node: NODE, ...(max !== undefined && { max }) })).items);
    expect(await read()).toEqual(numbersTo(120, 101));
    expect(await read(2)).toEqual(['119', '120']);
    expect(await read(0)).toEqual([]);
    expect(await read(50)).toEqual(numbersTo(120, 71));
    expect(await read(1_000)).toEqual(numbersTo(120, 21));
  });

  it('come with where they stand in the whole', async () => {
    const { service } = await withMany(25);
    const { node, page } = await service.items({ requester: BARE, node: BLOG, max: 3 });
    expect(node).toMatchObject({ name: NODE });
    expect(page).toEqual({ index: 22, count: 25 });
  });

  it('can be asked for by id, in any order; what there is not is left out', async () => {
    const { service } = await withMany(25);
    const read = async (...ids: string[]) => idsOf((await service.items({ requester: BARE, node: NODE, ids })).items);
    expect(await read(itemId('25'), 'nonsense', itemId('1'))).toEqual(['25', '1']);
    expect(await refusal(read('nonsense', firehoseItemId(1)))).toBe('item-not-found');
    expect(await refusal(read())).toBe('item-not-found');
  });

  it('are at most a hundred, by id too', async () => {
    const { service } = await withMany(120);
    const ids = numbersTo(120).map(itemId);
    expect((await service.items({ requester: BARE, node: NODE, ids })).items).toHaveLength(100);
    const page = { limit: 1_000_000 };
    expect((await service.items({ requester: BARE, node: NODE, page })).items).toHaveLength(100);
    expect((await service.contents(NODE, BARE, page)).entries).toHaveLength(100);
  });

  it('have an empty source while the feed was never read', async () => {
    const { service, stores } = bench();
    await stores.feeds.register(BLOG);
    const answer = await service.items({ requester: BARE, node: BLOG });
    expect(answer).toMatchObject({ node: { name: NODE }, items: [], page: { index: 0, count: 0 } });
  });

  it('carry what people have published as they have published it', async () => {
    const { service, create } = bench();
    await create('musings');
    await service.publish({ requester: `${ADMIN}/desk`, node: 'musings', items: [{ id: '1', payloads: ['<a/>'] }] });
    const { items } = await service.items({ requester: BARE, node: 'musings' });
    expect(items).toEqual([{ id: '1', at: NOW, payload: '<a/>', publisher: ADMIN }]);
  });

  it('are counted for who gives both a page and a number: the smaller one holds', async () => {
    const { service } = await withMany(25);
    const read = async (max: number, limit: number) =>
      (await service.items({ requester: BARE, node: NODE, max, page: { limit } })).items.length;
    expect([await read(3, 10), await read(10, 3)]).toEqual([3, 3]);
  });

  it('begin nowhere else than at an item that is held', async () => {
    const { service } = await withMany(25);
    for (const page of [
      { limit: 2, after: itemId('99') },
      { limit: 2, before: '../1' },
    ]) {
      expect(await refusal(service.items({ requester: BARE, node: NODE, page }))).toBe('item-not-found');
      expect(await refusal(service.contents(NODE, BARE, page))).toBe('item-not-found');
    }
  });
});

describe('an order', () => {
  /** A node whose second item was published again. */
  const withEdited = async () => {
    const one = bench();
    await one.create('musings');
    for (const id of ['1', '2', '3', '4', '2']) await one.publish('musings', id);
    const read = async (order: Order, more: { max?: number; page?: PageAsk } = {}) =>
      one.service.items({ requester: BARE, node: 'musings', order, ...more });
    return { ...one, read };
  };

  it.each([
    ['creation', false, ['1', '2', '3', '4']],
    ['creation', true, ['4', '3', '2', '1']],
    ['modification', false, ['1', '3', '4', '2']],
    ['modification', true, ['2', '4', '3', '1']],
  ] as const)('by %s, newest first: %s', async (by, newestFirst, expected) => {
    const { read } = await withEdited();
    const { items, page } = await read({ by, newestFirst });
    expect(idsOf(items)).toEqual(expected);
    expect(page).toEqual({ index: 0, count: 4 });
  });

  it('holds for as many items as are asked for', async () => {
    const { service } = await withMany(60);
    const order = { by: 'modification', newestFirst: true } as const;
    const { items } = await service.items({ requester: BARE, node: NODE, max: 50, order });
    expect(idsOf(items)).toEqual(numbersTo(60, 11).reverse());
  });

  it('turned round is the same list read from its other end, page by page', async () => {
    const { service } = await withMany(23);
    const read =
      (order: Order) =>
      async (page: PageAsk): Promise<Page<PublishedItem>> => {
        const answer = await service.items({ requester: BARE, node: NODE, order, page });
        return { entries: answer.items, ...answer.page! };
      };
    const ORDER = fc.record({ by: fc.constantFrom('creation', 'modification'), newestFirst: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(ORDER, DIRECTION, SIZES, async (order, direction, sizes) => {
        const all = idsOf(await walk(read(order), ({ id }) => id, direction, sizes));
        expect(all).toEqual(order.newestFirst ? numbersTo(23).reverse() : numbersTo(23));
      }),
    );
  });
});

describe('the items of the firehose', () => {
  it('come oldest first, with their number as id and the feed they come from', async () => {
    const { service } = await withFirehose(3);
    const { node, items } = await service.items({ requester: BARE, node: FIREHOSE, max: 2 });
    expect(node.id).toBe(FIREHOSE);
    expect(items).toMatchObject([
      { id: '000000000002', entry: { id: '2' }, url: BLOG, source: NO_SOURCE },
      { id: '000000000003', entry: { id: '3' }, url: BLOG, source: NO_SOURCE },
    ]);
  });

  it('are twenty unless asked otherwise, and a hundred at most', async () => {
    const { service } = await withFirehose(120);
    const read = async (more: { max?: number; ids?: string[] }) =>
      (await service.items({ requester: BARE, node: FIREHOSE, ...more })).items.length;
    expect(await read({})).toBe(20);
    expect(await read({ max: 1_000_000 })).toBe(100);
    expect(await read({ max: 0 })).toBe(0);
    expect(await read({ ids: Array.from({ length: 120 }, (_, i) => firehoseItemId(i + 1)) })).toBe(100);
  });

  it('can be asked for by id; what there is not is left out', async () => {
    const { service } = await withFirehose(3);
    const ids = [firehoseItemId(3), 'nonsense', firehoseItemId(99), firehoseItemId(1)];
    expect(idsOf((await service.items({ requester: BARE, node: FIREHOSE, ids })).items)).toEqual(['3', '1']);
    expect(await refusal(service.items({ requester: BARE, node: FIREHOSE, ids: [itemId('1')] }))).toBe(
      'item-not-found',
    );
  });

  it('leave out what was quarantined', async () => {
    const { service, stores } = await withFirehose(3);
    const [place] = await stores.firehose.byNumber([2]);
    await stores.log.quarantine((await stores.log.at(place!.partition, place!.id))!, 'not-well-formed', 1);
    expect(idsOf((await service.items({ requester: BARE, node: FIREHOSE })).items)).toEqual(['1', '3']);
    expect(idsOf(await service.numbered([1, 2, 3].map(firehoseItemId)))).toEqual(['1', '3']);
  });

  it('are had in pages from where somebody stopped', async () => {
    const { service } = await withFirehose(5);
    const ask = (after: string) =>
      service.items({ requester: BARE, node: FIREHOSE, page: { limit: 2, after: firehoseItemId(Number(after)) } });
    const next = await ask('2');
    expect(next.page).toEqual({ index: 2, count: 5 });
    expect(idsOf(next.items)).toEqual(['3', '4']);
    expect(await refusal(ask('77'))).toBe('item-not-found');
  });
});

describe('who holds several subscriptions', () => {
  it('says which one is asking for items; for names and the archive it is all the same', async () => {
    const { service, subscribe } = await withBlog();
    await subscribe(BLOG);
    const options = form({ digest: '1' });
    const { subscription } = await service.subscribe({ requester: BARE, jid: BARE, node: BLOG, options });
    expect(await refusal(service.items({ requester: ROMEO, node: NODE }))).toBe('subid-required');
    expect(await refusal(service.items({ requester: ROMEO, node: NODE, subid: 'x' }))).toBe('invalid-subid');
    const { items } = await service.items({ requester: ROMEO, node: NODE, subid: subscription.subid });
    expect(items).toHaveLength(2);
    expect((await service.contents(NODE, ROMEO, undefined)).entries).toHaveLength(2);
    expect((await service.archive({ requester: ROMEO, node: NODE, page: { limit: 5 } })).entries).toHaveLength(2);
  });

  it('may name a SubID that nobody has given out, where none is needed', async () => {
    const { service } = await withBlog();
    expect((await service.items({ requester: ROMEO, node: NODE, subid: 'x' })).items).toHaveLength(2);
  });
});

it('the latest item is the newest one, if there is any', async () => {
  const { service, create } = await withBlog();
  await create('musings');
  const latest = async (name: string) => idsOf(await service.latest(await service.readable(name, BARE)));
  expect(await latest(NODE)).toEqual(['b']);
  expect(await latest('musings')).toEqual([]);
});

// Both have ten items, published a second apart from NOW on, called 1 to 10.
const PASTS = {
  'of a node': async () => {
    const one = bench();
    await one.create('musings');
    for (const id of numbersTo(10)) {
      await one.publish('musings', id);
      one.later(1_000);
    }
    return { ...one, node: 'musings', id: (name: string) => name };
  },
  'of the firehose': async () => ({
    ...(await withFirehose(10)),
    node: FIREHOSE as string,
    id: (name: string) => firehoseItemId(Number(name)),
  }),
};

describe.each(Object.entries(PASTS))('the archive %s', (_, open) => {
  type Part = Omit<
    Parameters<Awaited<ReturnType<typeof open>>['service']['archive']>[0],
    'requester' | 'node' | 'page'
  >;
  const withPast = async () => {
    const one = await open();
    const read = (part: Part, page: PageAsk = { limit: 100 }) =>
      one.service.archive({ requester: BARE, node: one.node, page, ...part });
    return { ...one, read };
  };

  it('is all of it in the order of publishing', async () => {
    const { read } = await withPast();
    const { entries, index, count } = await read({});
    expect(idsOf(entries)).toEqual(numbersTo(10));
    expect([index, count]).toEqual([0, 10]);
  });

  it('can be asked for by time, to the millisecond, and by item', async () => {
    const { read, id } = await withPast();
    const part = async (part: Part) => idsOf((await read(part)).entries);
    expect(await part({ start: NOW + 3_000 })).toEqual(numbersTo(10, 4));
    expect(await part({ start: NOW + 3_001 })).toEqual(numbersTo(10, 5));
    expect(await part({ end: NOW + 3_000 })).toEqual(numbersTo(4));
    expect(await part({ start: NOW + 3_001, end: NOW + 3_999 })).toEqual([]);
    expect(await part({ afterId: id('3') })).toEqual(numbersTo(10, 4));
    expect(await part({ beforeId: id('3') })).toEqual(numbersTo(2));
    expect(await part({ afterId: id('3'), beforeId: id('6') })).toEqual(['4', '5']);
    expect(await part({ afterId: id('6'), beforeId: id('3') })).toEqual([]);
    expect(await part({ afterId: id('3'), end: NOW + 5_000 })).toEqual(['4', '5', '6']);
    expect(await part({ ids: [id('9'), id('2')] })).toEqual(['2', '9']);
  });

  it('knows only items that are held', async () => {
    const { read, id } = await withPast();
    for (const part of [{ afterId: id('99') }, { beforeId: id('99') }, { ids: [id('1'), id('99')] }]) {
      expect(await refusal(read(part))).toBe('item-not-found');
    }
    expect(await refusal(read({}, { limit: 1, after: id('99') }))).toBe('item-not-found');
    expect(await refusal(read({ afterId: id('2') }, { limit: 1, before: id('99') }))).toBe('item-not-found');
  });

  it('gives every part in pages, each item once, in both directions', async () => {
    const { read, id } = await withPast();
    const place = fc.option(fc.integer({ min: 1, max: 10 }), { nil: undefined });
    const moment = fc.option(fc.integer({ min: NOW - 1_000, max: NOW + 11_000 }), { nil: undefined });
    const part = fc.record({ start: moment, end: moment, afterId: place, beforeId: place });
    await fc.assert(
      fc.asyncProperty(part, DIRECTION, SIZES, async ({ start, end, afterId, beforeId }, direction, sizes) => {
        const within = (n: number) =>
          (start === undefined || NOW + (n - 1) * 1_000 >= start) &&
          (end === undefined || NOW + (n - 1) * 1_000 <= end) &&
          (afterId === undefined || n > afterId) &&
          (beforeId === undefined || n < beforeId);
        const asked = {
          ...(start !== undefined && { start }),
          ...(end !== undefined && { end }),
          ...(afterId !== undefined && { afterId: id(`${afterId}`) }),
          ...(beforeId !== undefined && { beforeId: id(`${beforeId}`) }),
        };
        const all = await walk(
          (page) => read(asked, page),
          ({ id: one }) => one,
          direction,
          sizes,
        );
        expect(idsOf(all)).toEqual(numbersTo(10).filter((n) => within(Number(n))));
      }),
      { numRuns: 300 },
    );
  });

  it('has two ends', async () => {
    const { service, node } = await withPast();
    expect(idsOf((await service.archiveEnds(node, BARE)).map((item) => item!))).toEqual(['1', '10']);
  });

  it('gives a hundred at most', async () => {
    const { read } = await withPast();
    expect((await read({}, { limit: 1_000_000 })).entries).toHaveLength(10);
    expect((await read({}, { limit: 0 })).entries).toEqual([]);
  });
});

it('the archive of a long firehose begins where somebody wants it to', async () => {
  const { service } = await withFirehose(130);
  const page = { limit: 1_000 };
  const ask = { requester: BARE, node: FIREHOSE, page };
  const { entries, count } = await service.archive({ ...ask, afterId: firehoseItemId(120) });
  expect(idsOf(entries)).toEqual(numbersTo(130, 121));
  expect(count).toBe(10);
  expect((await service.archive(ask)).entries).toHaveLength(100);
});

it('an archive with nothing in it has no ends', async () => {
  const { service, create } = bench();
  await create('musings');
  expect(await service.archiveEnds('musings', BARE)).toEqual([undefined, undefined]);
  expect(await service.archiveEnds(FIREHOSE, BARE)).toEqual([undefined, undefined]);
});

it('what a feed said before it was read again under a page is found under every name', async () => {
  const { service, stores } = await withBlog();
  await stores.aliases.add(PAGE, (await service.describe(NODE, BARE)).node.id as never);
  for (const node of [PAGE, BLOG, NODE]) {
    expect(idsOf((await service.items({ requester: BARE, node })).items)).toEqual(['a', 'b']);
  }
});
