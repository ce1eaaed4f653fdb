import xml, { type Element } from '@xmpp/xml';
import type { FeedId } from '../lib/domain.js';
import type { Jobs } from '../lib/queues.js';
import type { Picture, PictureStore } from '../lib/store/pictures.js';

/** XEP-0084: the namespaces, which are also the ItemIDs under which a node has its picture. */
export const AVATAR_METADATA = 'urn:xmpp:avatar:metadata';
export const AVATAR_DATA = 'urn:xmpp:avatar:data';

/** What is said of a picture (XEP-0084 4.2.1), with the URL where it is: the only thing that Movim reads. */
export function pictureItem({ bytes, sha1, type, url, width, height }: Picture): Element {
  const info = {
    bytes: String(bytes),
    id: sha1,
    type,
    url,
    ...(width !== undefined && { width: String(width) }),
    ...(height !== undefined && { height: String(height) }),
  };
  return xml('item', { id: AVATAR_METADATA }, xml('metadata', { xmlns: AVATAR_METADATA }, xml('info', info)));
}

// A reply stays below 240 KiB, and Base64 makes four characters of three bytes.
const DATA_MAX_BYTES = 179_000;

/** The picture itself (XEP-0084 4.1), or undefined when it is more than one reply can take. */
export function pictureData({ data }: Picture): Element | undefined {
  if (data.length > DATA_MAX_BYTES) return undefined;
  return xml('item', { id: AVATAR_DATA }, xml('data', { xmlns: AVATAR_DATA }, data.toString('base64')));
}

export interface PicturesDeps {
  readonly store: Pick<PictureStore, 'get'>;
  /** Asks the queue; undefined when there is no answer in time. */
  readonly ask: (
    payload: Jobs['picture']['payload'],
    timeoutMs: number,
  ) => Promise<Jobs['picture']['result'] | undefined>;
}

export type Pictures = ReturnType<typeof createPictures>;

// Somebody is waiting who can do without.
const ASK_MS = 5_000;

/** The feeds' pictures. One that nobody has looked for is looked for, once for all who ask meanwhile. */
export function createPictures({ store, ask }: PicturesDeps) {
  const asked = new Map<FeedId, ReturnType<PicturesDeps['ask']>>();

  function askOnce(feed: FeedId): ReturnType<PicturesDeps['ask']> {
    const asking = asked.get(feed) ?? ask({ feed }, ASK_MS).finally(() => asked.delete(feed));
    asked.set(feed, asking);
    return asking;
  }

  return {
    /** undefined when there is none, or when finding it takes too long: it may be there the next time. */
    async of(feed: FeedId): Promise<Picture | undefined> {
      let picture = await store.get(feed);
      if (picture === undefined && (await askOnce(feed))?.found) picture = await store.get(feed);
      return picture === 'none' ? undefined : picture;
    },
  };
}
