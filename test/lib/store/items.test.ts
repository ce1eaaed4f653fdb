import { expect, it } from '@jest/globals';
import { feedIdOf, itemIdOf, parseFeedUrl } from '../../../lib/domain.js';
import { BLOG, contract, entryOf, look, openFeed } from '../../support/stores.js';

const ID = feedIdOf(BLOG);
const item = (id: string) => itemIdOf(ID, id);

contract((open) => {
  const withItems = async () => {
    const stores = await open();
    await openFeed(stores);
    await look(stores, BLOG, [entryOf('c'), entryOf('b'), entryOf('a')]);
    return stores.items;
  };

  it.each([
    ['the beginning', { limit: 2 }, ['a', 'b'], 0],
    ['all of it', { limit: 10 }, ['a', 'b', 'c'], 0],
    ['what comes after an item', { limit: 10, after: item('a') }, ['b', 'c'], 1],
    ['what comes right after an item', { limit: 1, after: item('a') }, ['b'], 1],
    ['nothing after the last one', { limit: 10, after: item('c') }, [], 3],
    ['the end', { limit: 2, before: '' }, ['b', 'c'], 1],
    ['what comes before an item', { limit: 10, before: item('c') }, ['a', 'b'], 0],
    ['what comes right before an item', { limit: 1, before: item('c') }, ['b'], 1],
    ['nothing before the first one', { limit: 10, before: item('a') }, [], 0],
    ['nothing but the count', { limit: 0 }, [], 0],
    ['nothing but the count, from the end', { limit: 0, before: '' }, [], 3],
  ])('pages through a node, oldest first: %s', async (_, ask, expected, index) => {
    const page = await (await withItems()).page(ID, ask);
    expect(page).toMatchObject({ index, count: 3 });
    expect(page?.entries.map(({ entry }) => entry.id)).toEqual(expected);
  });

  it('knows no page at an item that it does not hold', async () => {
    const items = await withItems();
    expect(await items.page(ID, { limit: 1, after: item('nowhere') })).toBeUndefined();
    expect(await items.page(ID, { limit: 1, before: item('nowhere') })).toBeUndefined();
    expect(await items.byId(ID, [])).toEqual([]);
  });

  it('gives those asked for by id, in the order asked for, without those it does not hold', async () => {
    const items = await withItems();
    const found = await items.byId(ID, [item('b'), item('nowhere'), item('c')]);
    expect(found.map(({ id }) => id)).toEqual([item('b'), item('c')]);
  });

  it('says when an item was committed', async () => {
    const before = Date.now();
    const [last] = (await (await withItems()).page(ID, { limit: 1, before: '' }))!.entries;
    expect(last).toEqual({ id: item('c'), at: last!.at, entry: entryOf('c') });
    expect(last!.at).toBeGreaterThanOrEqual(before);
    expect(last!.at).toBeLessThanOrEqual(Date.now());
  });

  it('holds nothing of another feed', async () => {
    const items = await withItems();
    const other = feedIdOf(parseFeedUrl('https://other.example/'));
    expect(await items.page(other, { limit: 10 })).toEqual({ entries: [], index: 0, count: 0 });
    expect(await items.byId(other, [item('a')])).toEqual([]);
  });
});
