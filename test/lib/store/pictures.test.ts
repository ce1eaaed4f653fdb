import { expect, it } from '@jest/globals';
import { feedIdOf, parseFeedUrl } from '../../../lib/domain.js';
import type { Picture } from '../../../lib/store/pictures.js';
import { BLOG, contract, until } from '../../support/stores.js';

const FEED = feedIdOf(BLOG);
const OTHER = feedIdOf(parseFeedUrl('https://other.example/'));
const HOUR_MS = 3_600_000;

const SIZELESS: Picture = {
  sha1: '111f4b3c50d7b0df729d299bc6f8e9ef9066971f',
  type: 'image/png',
  bytes: 256,
  url: 'https://blog.example/icon.png',
  data: Buffer.from(Array.from({ length: 256 }, (_, i) => i)),
};
const PICTURE: Picture = { ...SIZELESS, width: 64, height: 32 };

contract((open) => {
  it('gives a picture back, byte for byte, to whom it belongs', async () => {
    const { pictures } = await open();
    expect(await pictures.get(FEED)).toBeUndefined();
    await pictures.put(FEED, PICTURE, HOUR_MS);
    expect(await pictures.get(FEED)).toEqual(PICTURE);
    expect(await pictures.get(OTHER)).toBeUndefined();
  });

  it('keeps pictures whose size nobody knows, whatever their URL', async () => {
    const { pictures } = await open();
    const odd = { ...SIZELESS, url: 'https://blog.example/\u00fc\n?a"b' };
    await pictures.put(FEED, odd, HOUR_MS);
    expect(await pictures.get(FEED)).toEqual(odd);
  });

  it('knows that there is none, until one is found, and the other way round', async () => {
    const { pictures } = await open();
    await pictures.put(FEED, 'none', HOUR_MS);
    expect(await pictures.get(FEED)).toBe('none');
    await pictures.put(FEED, PICTURE, HOUR_MS);
    expect(await pictures.get(FEED)).toEqual(PICTURE);
    await pictures.put(FEED, 'none', HOUR_MS);
    expect(await pictures.get(FEED)).toBe('none');
  });

  it.each([
    ['a picture', PICTURE],
    ['that there is none', 'none' as const],
  ])('forgets %s when its time is over', async (_, picture) => {
    const { pictures } = await open();
    await pictures.put(FEED, picture, 1);
    await until(async () => (await pictures.get(FEED)) === undefined);
    expect(await pictures.get(FEED)).toBeUndefined();
  });
});
