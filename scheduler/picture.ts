import { createHash } from 'node:crypto';
import { imageSize } from 'image-size';
import { parseFeedUrl, type FeedId, type FeedUrl, type Source } from '../lib/domain.js';
import type { FeedStore } from '../lib/store/feeds.js';
import type { Picture, PictureStore } from '../lib/store/pictures.js';
import type { Fetch, FetchOptions } from './fetch.js';

/**
 * What a fetch of pictures differs in from one of feeds. PNG is what XEP-0084 demands of every client; formats that few
 * of them show are not asked for. Somebody may be waiting, but nobody for long.
 */
export const PICTURES = {
  accept: 'image/png, image/jpeg, image/gif, image/webp;q=0.9, image/vnd.microsoft.icon, image/x-icon, */*;q=0.1',
  concurrency: 4,
  perHost: 1,
  timeoutMs: 5_000,
  maxBytes: 262_144,
} as const satisfies Partial<FetchOptions>;

const DAY_MS = 86_400_000;
const KEEP_MS = 7 * DAY_MS;
const KEEP_NONE_MS = DAY_MS;

export interface PictureFetcherDeps {
  readonly feeds: Pick<FeedStore, 'get'>;
  readonly pictures: PictureStore;
  /** Made with PICTURES. */
  readonly fetch: Fetch;
}

/**
 * Finds the picture of a feed: what the feed names as its icon or its logo, else the /favicon.ico of its site; the first
 * of them that is one. What was found is stored, and so is that there is none; either is believed for a while. Of a feed
 * that was never read, nothing is learned.
 */
export function createPictureFetcher({ feeds, pictures, fetch }: PictureFetcherDeps) {
  async function pictureAt(url: FeedUrl): Promise<Picture | undefined> {
    const fetched = await fetch({ url, awaited: true });
    if (fetched.kind !== 'fetched' || fetched.isCut) return undefined;
    const image = identify(fetched.bytes);
    if (!image) return undefined;
    const data = Buffer.from(fetched.bytes);
    // The URL before all redirects: what they lead to is often signed and soon out of date.
    return { ...image, sha1: createHash('sha1').update(data).digest('hex'), bytes: data.length, url, data };
  }

  return async function findPicture(feed: FeedId): Promise<{ readonly found: boolean }> {
    // While the question was waiting, another one may have been answered.
    const known = await pictures.get(feed);
    if (known) return { found: known !== 'none' };
    const source = (await feeds.get(feed))?.source;
    if (!source) return { found: false };
    for (const url of candidates(source)) {
      const picture = await pictureAt(url);
      if (!picture) continue;
      await pictures.put(feed, picture, KEEP_MS);
      return { found: true };
    }
    await pictures.put(feed, 'none', KEEP_NONE_MS);
    return { found: false };
  };
}

/** Where the picture may be, the best place first. */
function candidates({ icon, logo, links }: Source): Set<FeedUrl> {
  const [site] = links.flatMap(({ rel, href }) => (rel === 'alternate' ? webUrl(href) : []));
  return new Set([icon, logo, site && new URL('/favicon.ico', site).href].flatMap((text) => webUrl(text)));
}

/** The URL where it is one that may be fetched, held to what a feed's own URL is held to. */
function webUrl(text: string | undefined): FeedUrl[] {
  try {
    return text === undefined ? [] : [parseFeedUrl(text)];
  } catch {
    return [];
  }
}

/**
 * The kinds of pictures that are taken, by the bytes they begin with: so many that image-size, which knows other kinds
 * too, comes to no other conclusion. SVG is a document that may hold scripts and name
 * other documents, and what was looked at here is fetched again by others: it is never taken.
 */
const KINDS = [
  { type: 'image/png', begins: /^\x89PNG\r\n\x1a\n[^]{4}IHDR/ },
  { type: 'image/jpeg', begins: /^\xff\xd8\xff/ },
  { type: 'image/gif', begins: /^GIF8[79]a/ },
  { type: 'image/webp', begins: /^RIFF[^]{4}WEBPVP8/ },
  { type: 'image/vnd.microsoft.icon', begins: /^\0\0\x01\0[^\0]\0/ },
] as const;
const LONGEST_BEGINNING = 16;

/** A few bytes can claim to be more pixels than fit into anybody's memory. */
const MAX_SIDE = 4_096;

/**
 * What the bytes are, or undefined when they are no picture that can be shown. They must be all that is in their buffer:
 * image-size takes what follows them for theirs.
 */
function identify(bytes: Uint8Array): Pick<Picture, 'type' | 'width' | 'height'> | undefined {
  const beginning = Buffer.from(bytes.subarray(0, LONGEST_BEGINNING)).toString('latin1');
  const found = KINDS.find(({ begins }) => begins.test(beginning));
  if (!found) return undefined;
  try {
    const { width, height } = imageSize(bytes);
    const isShown = [width, height].every((side) => side >= 1 && side <= MAX_SIDE);
    return isShown ? { type: found.type, width, height } : undefined;
  } catch {
    return undefined;
  }
}
