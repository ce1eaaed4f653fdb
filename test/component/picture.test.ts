import { afterEach, describe, expect, it } from '@jest/globals';
import { createPictures, pictureData, pictureItem } from '../../component/picture.js';
import { feedIdOf, parseFeedUrl, type FeedId } from '../../lib/domain.js';
import { openQuestions, openWorker } from '../../lib/queues.js';
import type { Picture } from '../../lib/store/pictures.js';
import { memoryStores } from '../support/memory.js';
import { BLOG, throwawayRedis } from '../support/stores.js';

const FEED = feedIdOf(BLOG);
const OTHER = feedIdOf(parseFeedUrl('https://other.example/'));
const HOUR_MS = 3_600_000;

const SIZELESS: Picture = {
  sha1: '111f4b3c50d7b0df729d299bc6f8e9ef9066971f',
  type: 'image/png',
  bytes: 7,
  url: 'https://blog.example/icon.png?a=1&b=2',
  data: Buffer.from('\u0089PNG\r\n\0', 'latin1'),
};
const PICTURE: Picture = { ...SIZELESS, width: 64, height: 32 };

describe('on the wire', () => {
  it('a picture is an item that says what it is and where', () => {
    expect(pictureItem(PICTURE).toString()).toBe(
      '<item id="urn:xmpp:avatar:metadata"><metadata xmlns="urn:xmpp:avatar:metadata">' +
        '<info bytes="7" id="111f4b3c50d7b0df729d299bc6f8e9ef9066971f" type="image/png" ' +
        'url="https://blog.example/icon.png?a=1&amp;b=2" width="64" height="32"/></metadata></item>',
    );
  });

  it('what is not known is not said', () => {
    const info = pictureItem(SIZELESS).getChild('metadata')?.getChild('info');
    expect(Object.keys(info?.attrs ?? {})).toEqual(['bytes', 'id', 'type', 'url']);
  });

  it('its bytes are another item', () => {
    expect(pictureData(PICTURE)?.toString()).toBe(
      '<item id="urn:xmpp:avatar:data"><data xmlns="urn:xmpp:avatar:data">iVBORw0KAA==</data></item>',
    );
  });

  it('its bytes are left out where they are more than a reply takes', () => {
    const lengthOf = (bytes: number) => pictureData({ ...PICTURE, data: Buffer.alloc(bytes) })?.toString().length;
    expect(lengthOf(179_000)).toBeGreaterThan(230 * 1_024);
    expect(lengthOf(179_000)).toBeLessThan(240 * 1_024);
    expect(lengthOf(179_001)).toBeUndefined();
  });
});

/** Pictures, and the questions that are asked for them, each waiting to be answered. */
function bench() {
  const { pictures: store } = memoryStores();
  type Question = { readonly feed: FeedId; readonly timeoutMs: number; readonly answer: (found?: boolean) => void };
  const asked: Question[] = [];
  const pictures = createPictures({
    store,
    ask: ({ feed }, timeoutMs) =>
      new Promise((resolve) => {
        const answer = (found?: boolean) => resolve(found === undefined ? undefined : { found });
        asked.push({ feed, timeoutMs, answer });
      }),
  });
  return { store, asked, pictures, wait: () => new Promise(setImmediate) };
}

describe('the picture of a feed', () => {
  it('comes from the store, without a question', async () => {
    const { store, asked, pictures } = bench();
    await store.put(FEED, PICTURE, HOUR_MS);
    await store.put(OTHER, 'none', HOUR_MS);
    expect(await pictures.of(FEED)).toEqual(PICTURE);
    expect(await pictures.of(OTHER)).toBeUndefined();
    expect(asked).toEqual([]);
  });

  it('is asked for where nobody has looked, and waited for up to five seconds', async () => {
    const { store, asked, pictures, wait } = bench();
    const picture = pictures.of(FEED);
    await wait();
    expect(asked).toMatchObject([{ feed: FEED, timeoutMs: 5_000 }]);
    await store.put(FEED, PICTURE, HOUR_MS);
    asked[0]!.answer(true);
    expect(await picture).toEqual(PICTURE);
  });

  it.each([
    ['there is none', false],
    ['there is no answer in time', undefined],
  ])('is none when %s', async (_, answer) => {
    const { asked, pictures, wait } = bench();
    const picture = pictures.of(FEED);
    await wait();
    asked[0]!.answer(answer);
    expect(await picture).toBeUndefined();
  });

  it('is one question for all who ask meanwhile, and another one afterwards', async () => {
    const { store, asked, pictures, wait } = bench();
    const both = Promise.all([pictures.of(FEED), pictures.of(FEED)]);
    const other = pictures.of(OTHER);
    await wait();
    expect(asked.map(({ feed }) => feed)).toEqual([FEED, OTHER]);
    await store.put(FEED, PICTURE, HOUR_MS);
    asked[0]!.answer(true);
    expect(await both).toEqual([PICTURE, PICTURE]);
    asked[1]!.answer();
    expect(await other).toBeUndefined();
    void pictures.of(OTHER);
    await wait();
    expect(asked).toHaveLength(3);
  });

  it('can be asked for again after a question that could not be asked', async () => {
    const { pictures: store } = memoryStores();
    let asked = 0;
    const pictures = createPictures({
      store,
      async ask() {
        asked++;
        if (asked === 1) throw new Error('Connection is closed.');
        return { found: false };
      },
    });
    await expect(pictures.of(FEED)).rejects.toThrow('Connection is closed.');
    expect(await pictures.of(FEED)).toBeUndefined();
    expect(asked).toBe(2);
  });
});

describe('with the queue', () => {
  const redis = throwawayRedis();
  const closing: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  it('whoever works on it finds the picture for whoever asks', async () => {
    const { pictures: store } = memoryStores();
    const questions = openQuestions('picture', await redis.connect(), await redis.connect('patient'));
    closing.push(questions.close);
    const failed: Error[] = [];
    const worker = openWorker(
      'picture',
      async ({ feed }) => {
        await store.put(feed, feed === FEED ? PICTURE : SIZELESS, HOUR_MS);
        return { found: true };
      },
      {
        redis: await redis.connect('patient'),
        concurrency: 1,
        events: { onStalled: () => undefined, onFailed: (_, __, error) => void failed.push(error) },
      },
    );
    closing.push(worker.close);
    const pictures = createPictures({ store, ask: questions.ask });
    expect(await pictures.of(FEED)).toEqual(PICTURE);
    expect(await pictures.of(OTHER)).toEqual(SIZELESS);
    expect(failed).toEqual([]);
  });
});
