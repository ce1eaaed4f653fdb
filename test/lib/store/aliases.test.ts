import { describe, expect, it } from '@jest/globals';
import { feedIdOf, parseFeedUrl } from '../../../lib/domain.js';
import { aliasOf } from '../../../lib/store/aliases.js';
import { contract } from '../../support/stores.js';

const PAGE = 'https://blog.example/';
const feed = (n: number) => feedIdOf(parseFeedUrl(`https://blog.example/feed${n}`));
const NOW = 1_800_000_000_000;

contract((open) => {
  it('leads from a URL to its feeds', async () => {
    const { aliases } = await open();
    expect(await aliases.feedsOf(PAGE)).toEqual([]);
    await aliases.add(PAGE, feed(1));
    await aliases.add('https://elsewhere.example/', feed(2));
    expect(await aliases.feedsOf(PAGE)).toEqual([feed(1)]);
  });

  it('keeps the first feed of a URL first, whatever is added later', async () => {
    const { aliases } = await open({ now: () => NOW });
    for (const n of [5, 3, 9, 1, 7]) await aliases.add(PAGE, feed(n));
    await aliases.add(PAGE, feed(3));
    expect(await aliases.feedsOf(PAGE)).toEqual([5, 3, 9, 1, 7].map(feed));
  });

  it('keeps the first feed first when the clock goes back', async () => {
    let now = NOW;
    const { aliases } = await open({ now: () => now });
    await aliases.add(PAGE, feed(1));
    now -= 3_600_000;
    await aliases.add(PAGE, feed(2));
    expect(await aliases.feedsOf(PAGE)).toEqual([feed(1), feed(2)]);
  });

  it('keeps fifty feeds of a URL and no more', async () => {
    const { aliases } = await open();
    for (let n = 0; n < 60; n++) await aliases.add(PAGE, feed(n));
    expect(await aliases.feedsOf(PAGE)).toEqual(Array.from({ length: 50 }, (_, n) => feed(n)));
  });

  it('keeps no more than fifty when they come all at once', async () => {
    const { aliases } = await open();
    await Promise.all(Array.from({ length: 200 }, (_, n) => aliases.add(PAGE, feed(n))));
    expect(await aliases.feedsOf(PAGE)).toHaveLength(50);
  });

  it.each([
    'http://blog.example',
    'https://www.blog.example/',
    'https://BLOG.example/#top',
    'https://blog.example:443//',
  ])('takes %s for the same page', async (spelling) => {
    const { aliases } = await open();
    await aliases.add(PAGE, feed(1));
    expect(await aliases.feedsOf(spelling)).toEqual([feed(1)]);
  });
});

describe('spellings that are pages of their own', () => {
  it.each([
    'https://blog.example/a',
    'https://blog.example/A',
    'https://blog.example/?page=2',
    'https://blog.example:8443/',
    'https://www2.blog.example/',
    'https://blog.example.net/',
  ])('%s', (url) => {
    expect(aliasOf(url)).not.toBe(aliasOf(PAGE));
  });
});
