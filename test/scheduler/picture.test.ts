import { createHash } from 'node:crypto';
import { crc32, deflateSync, gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { feedIdOf, type Source } from '../../lib/domain.js';
import type { Picture } from '../../lib/store/pictures.js';
import { startFeedServer, type Answer, type FeedServer } from '../../prosody/feed-server.js';
import { createFetch, type FetchOptions } from '../../scheduler/fetch.js';
import { createPictureFetcher, PICTURES } from '../../scheduler/picture.js';
import { memoryStores } from '../support/memory.js';
import { BLOG, NO_SOURCE } from '../support/stores.js';

const FEED = feedIdOf(BLOG);
const DAY_MS = 86_400_000;

let web: FeedServer;
beforeEach(async () => void (web = await startFeedServer()));
afterEach(() => web.stop());

/** A feed that was read and says this of itself, in a world that consists of `web`. */
async function bench(source: Partial<Source> | undefined, options: Partial<FetchOptions> = {}) {
  let time = 0;
  const stores = memoryStores({ now: () => time });
  await stores.feeds.register(BLOG);
  const feed = (await stores.feeds.get(FEED))!;
  if (source) {
    const read = { kind: 'fresh', source: { ...NO_SOURCE, ...source }, validators: {}, body: 'hash' } as const;
    const outcome = { ...read, changes: { changes: [], touched: [], left: 0 } };
    await stores.feeds.commit({ feed, nextMs: 60_000, outcome });
  }
  const fetch = createFetch({ userAgent: 'Hydrant/test', allow: ['127.0.0.0/8'], ...PICTURES, ...options });
  const find = createPictureFetcher({ ...stores, fetch });
  return {
    find: () => find(FEED),
    stored: () => stores.pictures.get(FEED),
    async found(): Promise<Picture> {
      expect(await find(FEED)).toEqual({ found: true });
      const picture = await stores.pictures.get(FEED);
      if (!picture || picture === 'none') throw new Error('nothing is stored');
      return picture;
    },
    async findsNone() {
      expect(await find(FEED)).toEqual({ found: false });
      expect(await stores.pictures.get(FEED)).toBe('none');
    },
    after(ms: number) {
      time += ms;
    },
  };
}

const number = (value: number, bytes: number, endian: 'LE' | 'BE') => {
  const buffer = Buffer.alloc(bytes);
  if (endian === 'LE') buffer.writeUIntLE(value, 0, bytes);
  else buffer.writeUIntBE(value, 0, bytes);
  return buffer;
};
const be = (value: number, bytes = 2) => number(value, bytes, 'BE');
const le = (value: number, bytes = 2) => number(value, bytes, 'LE');
const ascii = (text: string) => Buffer.from(text, 'latin1');

function png(width: number, height: number): Buffer {
  const chunk = (name: string, data: Buffer) => {
    const content = Buffer.concat([ascii(name), data]);
    return Buffer.concat([be(data.length, 4), content, be(crc32(content), 4)]);
  };
  // One bit of grey for each pixel; each row begins with the number of its filter.
  const rows = Buffer.alloc(Math.min(height, 64) * (1 + Math.ceil(width / 8)));
  return Buffer.concat([
    ascii('\x89PNG\r\n\x1a\n'),
    chunk('IHDR', Buffer.concat([be(width, 4), be(height, 4), Buffer.from([1, 0, 0, 0, 0])])),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** Grey all over: in each block of 8 by 8 nothing differs from the one before. */
function jpeg(width: number, height: number): Buffer {
  const segment = (marker: number, ...data: Buffer[]) => {
    const content = Buffer.concat(data);
    return Buffer.concat([Buffer.from([0xff, marker]), be(content.length + 2), content]);
  };
  const oneCode = Buffer.from([1, ...Array<number>(15).fill(0), 0]);
  const bits = 2 * Math.ceil(width / 8) * Math.ceil(height / 8);
  const scan = Buffer.alloc(Math.ceil(bits / 8));
  if (bits % 8 > 0) scan[scan.length - 1] = (1 << (8 - (bits % 8))) - 1;
  return Buffer.concat([
    Buffer.from([0xff, 0xd8]),
    segment(0xe0, ascii('JFIF\0'), Buffer.from([1, 1, 0, 0, 1, 0, 1, 0, 0])),
    segment(0xdb, Buffer.from([0]), Buffer.alloc(64, 1)),
    segment(0xc0, Buffer.from([8]), be(height), be(width), Buffer.from([1, 1, 0x11, 0])),
    segment(0xc4, Buffer.from([0x00]), oneCode),
    segment(0xc4, Buffer.from([0x10]), oneCode),
    segment(0xda, Buffer.from([1, 1, 0x00, 0, 63, 0])),
    scan,
    Buffer.from([0xff, 0xd9]),
  ]);
}

/** One colour; LZW with codes of three bits that begins anew before each pixel, so that it needs no others. */
function gif(width: number, height: number): Buffer {
  const codes = Array.from({ length: width * height }, () => [4, 0]).flat();
  const bits = [...codes, 5].map((code) => [code & 1, (code >> 1) & 1, code >> 2]).flat();
  const bytes = Buffer.alloc(Math.ceil(bits.length / 8));
  for (const [i, bit] of bits.entries()) bytes[i >> 3]! |= bit << (i & 7);
  const screen = Buffer.concat([le(width), le(height)]);
  return Buffer.concat([
    ...[ascii('GIF89a'), screen, Buffer.from([0x80, 0, 0, 0, 0, 0, 255, 255, 255])],
    ...[ascii(','), Buffer.alloc(4), screen, Buffer.from([0, 2, bytes.length]), bytes, Buffer.from([0, 0x3b])],
  ]);
}

/** Lossless: four Huffman codes of one symbol each for the colour, which then needs no bits, and one for distances. */
function webp(width: number, height: number): Buffer {
  const bits: number[] = [];
  const put = (value: number, count: number) => {
    for (let i = 0; i < count; i++) bits.push((value >> i) & 1);
  };
  put(width - 1, 14);
  put(height - 1, 14);
  put(0, 1 + 3); // no alpha, version 0
  put(0, 1 + 1 + 1); // no transform, no colour cache, one group of codes
  for (let code = 0; code < 5; code++) put(0b0001, 4); // simple, one symbol of one bit: 0
  const data = Buffer.alloc(Math.ceil(bits.length / 8));
  for (const [i, bit] of bits.entries()) data[i >> 3]! |= bit << (i & 7);
  const chunk = Buffer.concat([Buffer.from([0x2f]), data]);
  const padded = Buffer.concat([chunk, Buffer.alloc(chunk.length % 2)]);
  const size = le(4 + 8 + padded.length, 4);
  return Buffer.concat([ascii('RIFF'), size, ascii('WEBPVP8L'), le(chunk.length, 4), padded]);
}

/** Icons of these sizes, each a PNG. */
function ico(...sides: number[]): Buffer {
  const images = sides.map((side) => png(side, side));
  let offset = 6 + 16 * images.length;
  const entries = images.map((image, i) => {
    const side = sides[i]! % 256;
    const entry = [Buffer.from([side, side, 0, 0]), le(1), le(32), le(image.length, 4), le(offset, 4)];
    offset += image.length;
    return Buffer.concat(entry);
  });
  return Buffer.concat([le(0), le(1), le(images.length), ...entries, ...images]);
}

/** As much of JPEG 2000 as says how large it is. */
const jpeg2000 = (width: number, height: number) =>
  Buffer.concat([be(0xff4f_ff51, 4), be(41), be(0), be(width, 4), be(height, 4), Buffer.alloc(25)]);

/** A PNG with the chunk in front that makes it Apple's own. */
const applePng = (width: number, height: number) => {
  const original = png(width, height);
  const chunk = Buffer.concat([be(4, 4), ascii('CgBI'), Buffer.alloc(8)]);
  return Buffer.concat([original.subarray(0, 8), chunk, original.subarray(8)]);
};

/** As much of TGA as says how large it is, and nothing in it that ICO could not begin with. */
const tga = (width: number, height: number) =>
  Buffer.concat([le(0), le(1), Buffer.alloc(8), le(width), le(height), Buffer.alloc(99)]);

/** As much of AVIF as says how large it is; the size of its first box is what ICO begins with. */
function avif(width: number, height: number): Buffer {
  const box = (name: string, ...content: Buffer[]) => {
    const length = content.reduce((total, { length }) => total + length, 8);
    return Buffer.concat([be(length, 4), ascii(name), ...content]);
  };
  const size = box('ispe', be(0, 4), be(width, 4), be(height, 4));
  const meta = box('meta', be(0, 4), box('iprp', box('ipco', size)));
  return Buffer.concat([box('ftyp', ascii('avif'), Buffer.alloc(244)), meta]);
}

const SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>';
const PAGE = '<!doctype html><title>No picture</title>';

const siteOf = (href: string): Partial<Source> => ({ links: [{ rel: 'alternate', href }] });

describe('the picture of a feed', () => {
  it.each([
    ['PNG', png(64, 48), 'image/png', 64, 48],
    ['JPEG', jpeg(100, 30), 'image/jpeg', 100, 30],
    ['GIF', gif(5, 3), 'image/gif', 5, 3],
    ['WebP', webp(640, 480), 'image/webp', 640, 480],
    ['ICO', ico(16), 'image/vnd.microsoft.icon', 16, 16],
    ['ICO with several sizes, of which the largest counts', ico(16, 256, 32), 'image/vnd.microsoft.icon', 256, 256],
  ])('may be %s', async (_, body, type, width, height) => {
    const icon = web.raw('/icon', { type: 'text/html', body });
    const picture = await (await bench({ icon })).found();
    const sha1 = createHash('sha1').update(body).digest('hex');
    expect(picture).toEqual({ sha1, type, bytes: body.length, width, height, url: icon, data: body });
  });

  it('is its icon, then its logo, then the favicon of its site', async () => {
    const icon = web.raw('/icon.png', { body: png(1, 1) });
    const logo = web.raw('/logo.png', { body: png(2, 2) });
    web.raw('/favicon.ico', { body: ico(16) });
    const site = siteOf(web.url('/blog/'));
    expect((await (await bench({ ...site, icon, logo })).found()).url).toBe(icon);
    expect((await (await bench({ ...site, logo })).found()).url).toBe(logo);
    expect((await (await bench(site)).found()).url).toBe(web.url('/favicon.ico'));
    expect(web.count('/favicon.ico')).toBe(1);
  });

  it.each<[string, Answer]>([
    ['a page', { type: 'image/png', body: PAGE }],
    ['an SVG document', { type: 'image/svg+xml', body: SVG }],
    ['an SVG document that says it is PNG', { type: 'image/png', body: `<?xml version="1.0"?>${SVG}` }],
    ['nothing', { type: 'image/png', body: '' }],
    ['no image, though it begins as one', { type: 'image/png', body: png(64, 64).subarray(0, 18) }],
    ['a JPEG that ends before its size', { type: 'image/jpeg', body: jpeg(64, 64).subarray(0, 60) }],
    ['an ICO that ends within its directory', { type: 'image/x-icon', body: ico(16, 32).subarray(0, 20) }],
    ['JPEG 2000, which begins nearly as JPEG', { body: jpeg2000(16, 16) }],
    ['PNG as Apple has it, which nobody else shows', { body: applePng(16, 16) }],
    ['TGA that begins as ICO', { body: tga(16, 16) }],
    ['a PNG without pixels', { type: 'image/png', body: png(0, 0) }],
    ['a few bytes that claim to be a billion pixels', { type: 'image/png', body: png(32_768, 32_768) }],
    ['another format', { type: 'image/bmp', body: Buffer.concat([ascii('BM'), Buffer.alloc(60, 1)]) }],
    ['AVIF that begins as ICO', { body: avif(16, 16) }],
    ['more than 256 KiB', { body: Buffer.concat([png(64, 64), Buffer.alloc(262_144)]) }],
    [
      'more than 256 KiB, packed',
      { headers: { 'content-encoding': 'gzip' }, body: gzipSync(Buffer.concat([png(64, 64), Buffer.alloc(262_144)])) },
    ],
    ['gone', { status: 410, type: 'image/png', body: png(64, 64) }],
  ])('is looked for further where there is %s, and may be nowhere', async (_, answer) => {
    const icon = web.raw('/icon', answer);
    await (await bench({ icon })).findsNone();
    web.raw('/favicon.ico', { body: ico(16) });
    expect((await (await bench({ ...siteOf(web.url('/')), icon })).found()).type).toBe('image/vnd.microsoft.icon');
  });

  it('may have 256 KiB', async () => {
    const body = Buffer.concat([png(64, 64), Buffer.alloc(262_144)]).subarray(0, 262_144);
    expect((await (await bench({ icon: web.raw('/icon', { body }) })).found()).bytes).toBe(262_144);
  });

  it.each([
    ['data:image/png;base64,iVBORw0KGgo='],
    ['file:///etc/passwd'],
    ['http://user:secret@127.0.0.1/'],
    ['not a URL'],
  ])('is never asked for at %s', async (icon) => {
    await (await bench({ icon, ...siteOf(icon) })).findsNone();
  });

  it('is not asked for behind the guard, neither straight nor by a redirect', async () => {
    const icon = web.raw('/icon.png', { body: png(64, 64) });
    await (await bench({ icon }, { allow: [] })).findsNone();
    expect(web.count('/icon.png')).toBe(0);
    const moved = web.raw('/moved', { status: 302, headers: { location: 'http://10.0.0.1/icon.png' } });
    await (await bench({ icon: moved })).findsNone();
  });

  it('is named by the URL that the feed names, not by where it leads today', async () => {
    web.raw('/icon.png', { body: png(64, 64) });
    const icon = web.raw('/moved', { status: 302, headers: { location: '/icon.png?signature=1' } });
    web.raw('/icon.png?signature=1', { body: png(8, 8) });
    expect(await (await bench({ icon })).found()).toMatchObject({ url: icon, width: 8 });
  });

  it('is asked for as a picture', async () => {
    const icon = web.raw('/icon.png', { body: png(64, 64) });
    await (await bench({ icon })).found();
    expect((await web.hits.take()).headers.accept).toMatch(/^image\/png, /);
  });

  it('does not take longer than the fetch may', async () => {
    const icon = web.handle('/icon.png', () => undefined);
    await (await bench({ icon }, { timeoutMs: 100 })).findsNone();
  });
});

describe('what is known', () => {
  it('is not asked for again: a picture for a week, that there is none for a day', async () => {
    const icon = web.url('/icon.png');
    const feed = await bench({ icon });
    await feed.findsNone();
    web.raw('/icon.png', { body: png(64, 64) });
    feed.after(DAY_MS - 1);
    await feed.findsNone();
    feed.after(1);
    await feed.found();
    feed.after(7 * DAY_MS - 1);
    await feed.found();
    expect([web.count('/icon.png', 404), web.count('/icon.png', 200)]).toEqual([1, 1]);
    feed.after(1);
    await feed.found();
    expect(web.count('/icon.png', 200)).toBe(2);
  });

  it('is nothing as long as the feed was not read, and nothing is stored', async () => {
    const feed = await bench(undefined);
    expect(await feed.find()).toEqual({ found: false });
    expect(await feed.stored()).toBeUndefined();
  });

  it('is that there is none, when the feed names nothing', async () => {
    await (await bench({})).findsNone();
  });
});

it('nothing is learned of a feed that nobody knows', async () => {
  const stores = memoryStores();
  const fetch = createFetch({ userAgent: 'Hydrant/test', allow: [], ...PICTURES });
  expect(await createPictureFetcher({ ...stores, fetch })(FEED)).toEqual({ found: false });
  expect(await stores.pictures.get(FEED)).toBeUndefined();
});
