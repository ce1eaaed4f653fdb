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

  it('gives the newest first, up to the limit', async () => {
    const items = await withItems();
    expect((await items.latest(ID, 2)).map(({ id }) => id)).toEqual([item('c'), item('b')]);
    expect(await items.latest(ID, 10)).toHaveLength(3);
  });

  it('gives none when none are asked for', async () => {
    const items = await withItems();
    expect(await items.latest(ID, 0)).toEqual([]);
    expect(await items.byId(ID, [])).toEqual([]);
  });

  it('gives those asked for by id, in the order asked for, without those it does not hold', async () => {
    const items = await withItems();
    const found = await items.byId(ID, [item('b'), item('nowhere'), item('c')]);
    expect(found.map(({ id }) => id)).toEqual([item('b'), item('c')]);
  });

  it('says when an item was committed', async () => {
    const before = Date.now();
    const [newest] = await (await withItems()).latest(ID, 1);
    expect(newest).toEqual({ id: item('c'), at: newest!.at, entry: entryOf('c') });
    expect(newest!.at).toBeGreaterThanOrEqual(before);
    expect(newest!.at).toBeLessThanOrEqual(Date.now());
  });

  it('holds nothing of another feed', async () => {
    const items = await withItems();
    const other = feedIdOf(parseFeedUrl('https://other.example/'));
    expect(await items.latest(other, 10)).toEqual([]);
    expect(await items.byId(other, [item('a')])).toEqual([]);
  });
});
