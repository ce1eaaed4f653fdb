import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { parseFeedUrl } from '../../lib/domain.js';
import { createParser } from '../../scheduler/parse.js';

// Worker threads run what was built: `npm test` builds first.
const worker = new URL('../../dist/scheduler/parse.worker.js', import.meta.url);
const FEED_URL = parseFeedUrl('https://feed.example/feed');
const GOOD = '<rss version="2.0"><channel><title>good</title><item><guid>1</guid></item></channel></rss>';

jest.setTimeout(60_000);

let parser: ReturnType<typeof createParser>;
beforeAll(() => void (parser = createParser({ worker, threads: 2, timeoutMs: 2_000 })));
afterAll(() => parser.close());

const parse = (text: string) => parser.parse(new Uint8Array(Buffer.from(text)), 'text/xml', FEED_URL);
const rss = (item: string, head = '') =>
  `${head}<rss version="2.0"><channel><title>t</title><item><guid>1</guid>${item}</item></channel></rss>`;
/** What only the second reader finds anything in. */
const odd = (item: string) => `<rss version="2.0"><channel>< item >${item}</ item ></channel></rss>`;
/** Makes the second reader work without end. */
const ENDLESS = odd(`<description><![CDATA[${'x<p'.repeat(200_000)}]]></description>`);
const FAILED = { kind: 'failed', reason: 'parse', text: 'The document takes too much time or memory to read' };

/** Each entity is ten times the one before. */
const LAUGHS = ['b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'].map(
  (name, index) => `<!ENTITY ${name} "${`&${'abcdefgh'.charAt(index)};`.repeat(10)}">`,
);

const many = (part: string, count: number) => part.repeat(count);

describe('a document', () => {
  it('is read in a thread of its own', async () => {
    expect(await parse(GOOD)).toMatchObject({
      kind: 'feed',
      source: { title: { value: 'good' } },
      entries: [{ id: '1' }],
    });
  });

  it('may be a page', async () => {
    const html = '<html><link rel="alternate" type="application/rss+xml" href="/rss"></html>';
    expect(await parse(html)).toEqual({ kind: 'page', feeds: ['https://feed.example/rss'] });
  });
});

describe('hostile documents end in time, and another feed is read meanwhile', () => {
  it.each([
    ['billion laughs', rss('<title>&i;</title>', `<!DOCTYPE rss [<!ENTITY a "lol">${LAUGHS.join('')}]>`)],
    ['external entities', rss('<title>&x;</title>', '<!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/passwd">]>')],
    ['an author of brackets', rss(`<author>${many('(', 300_000)}</author>`)],
    ['an author of brackets, deeper', rss(`<author><name>${many('(', 300_000)}</name></author>`)],
    ['tags without end in a description', odd(`<description>${many('x&lt;p', 60_000)}</description>`)],
    ['tags without end in CDATA', odd(`<description><![CDATA[${many('x<p', 100_000)}]]></description>`)],
    ['comments without end', odd(`<description><![CDATA[${many('<!--', 75_000)}]]></description>`)],
    ['deep nesting', rss(many('<a>', 60_000) + many('</a>', 60_000))],
    [
      'deep nesting in xhtml',
      `<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>1</id><content type="xhtml"><div>${many('<b>', 60_000)}${many('</b>', 60_000)}</div></content></entry></feed>`,
    ],
    [
      'ten thousand namespaces',
      `<rss ${Array.from({ length: 10_000 }, (_, n) => `xmlns:a${n}="urn:${n}"`).join(' ')}><channel/></rss>`,
    ],
    [
      'thirty thousand attributes',
      `<rss ${Array.from({ length: 30_000 }, (_, n) => `a${n}="1"`).join(' ')}><channel/></rss>`,
    ],
    ['CDATA without end', rss(`<title>${many('<![CDATA[', 40_000)}</title>`)],
    ['a doctype without end', `<!DOCTYPE rss [${many('<!ENTITY a "b">', 20_000)}`],
    ['half a million open tags', many('<rss>', 500_000)],
    ['deep JSON', `{"version":"https://jsonfeed.org/version/1","items":${many('[', 500_000)}`],
    ['a page of nothing but tags', `<html>${many('<b>', 500_000)}`],
  ])('%s', async (_, text) => {
    const [hostile, ...others] = await Promise.all([parse(text), parse(GOOD), parse(GOOD), parse(GOOD)]);
    expect(['feed', 'page', 'failed']).toContain(hostile.kind);
    expect(JSON.stringify(hostile)).not.toMatch(/lollol|root:/);
    for (const other of others) expect(other).toMatchObject({ kind: 'feed', entries: [{ id: '1' }] });
  });

  it('what takes too long fails, and its worker is replaced', async () => {
    const endless = (n: number) => parse(`<!-- ${n} -->${ENDLESS}`);
    const all = await Promise.all([endless(1), endless(2), endless(3), parse(GOOD)]);
    expect(all).toMatchObject([FAILED, FAILED, FAILED, { kind: 'feed' }]);
    expect(await parse(GOOD)).toMatchObject({ kind: 'feed' });
  });

  it('what takes too much memory fails, and its worker is replaced', async () => {
    const items = many('{"id":"1"},', 700_000);
    const parser = createParser({ worker, threads: 1, timeoutMs: 25_000, megabytes: 32 });
    const ask = (text: string) => parser.parse(new Uint8Array(Buffer.from(text)), '', FEED_URL);
    const all = [ask(`{"version":"https://jsonfeed.org/version/1","items":[${items}{"id":"2"}]}`), ask(GOOD)];
    expect(await Promise.all(all)).toMatchObject([FAILED, { kind: 'feed' }]);
    await parser.close();
  });

  it('two hundred feeds beside twenty such documents are all read', async () => {
    const parser = createParser({ worker, threads: 2, timeoutMs: 600 });
    const ask = (text: string) => parser.parse(new Uint8Array(Buffer.from(text)), '', FEED_URL);
    const hostile = (n: number) => ask(`<!-- ${n} -->${ENDLESS}`).then(({ kind }) => kind);
    const good = (n: number) => ask(GOOD.replace('good', `good ${n}`)).then((parsed) => [n, parsed] as const);
    const asked = Array.from({ length: 220 }, (_, n) => (n % 11 === 0 ? hostile(n) : good(n)));
    const found = await Promise.all(asked);
    expect(found.filter((one) => one === 'failed')).toHaveLength(20);
    const feeds = found.filter((one) => typeof one !== 'string');
    expect(feeds).toHaveLength(200);
    for (const [n, feed] of feeds)
      expect(feed).toMatchObject({ kind: 'feed', source: { title: { value: `good ${n}` } } });
    await parser.close();
  });

  it('what was fatal twice is refused for six hours without being read, and nothing else is', async () => {
    const clock = { now: 1 };
    const parser = createParser({ worker, threads: 1, timeoutMs: 1_000, now: () => clock.now });
    /** Whether a worker was given the bytes, and what came of it. */
    const ask = async (text: string) => {
      const bytes = new Uint8Array(Buffer.from(text));
      const { kind } = await parser.parse(bytes, '', FEED_URL);
      return { isRead: bytes.byteLength === 0, kind };
    };
    expect(await ask(ENDLESS)).toEqual({ isRead: true, kind: 'failed' });
    expect(await ask(ENDLESS)).toEqual({ isRead: true, kind: 'failed' });
    expect(await ask(ENDLESS)).toEqual({ isRead: false, kind: 'failed' });
    const asLong = GOOD.padEnd(ENDLESS.length);
    expect(await ask(asLong)).toEqual({ isRead: true, kind: 'feed' });
    clock.now += 6 * 3_600_000 + 1;
    expect(await ask(ENDLESS)).toEqual({ isRead: true, kind: 'failed' });
    await parser.close();
  });

  it('a feed of eight megabytes is read', async () => {
    const item = (n: number) =>
      `<item><guid>${n}</guid><pubDate>${new Date(Date.UTC(2020, 0) + n * 60_000).toUTCString()}</pubDate><description>${many('&lt;p&gt;words&lt;/p&gt; ', 28)}</description></item>`;
    const items = Array.from({ length: 10_000 }, (_, n) => item(n));
    const parser = createParser({ worker, threads: 1, timeoutMs: 25_000 });
    const long = new Uint8Array(Buffer.from(rss(items.join(''))));
    expect(long.byteLength).toBeGreaterThan(7_500_000);
    const parsed = await parser.parse(long, '', FEED_URL);
    expect(parsed.kind === 'feed' && parsed.entries.map(({ id }) => id)).toEqual(
      Array.from({ length: 2_000 }, (_, n) => String(n + 8_000)),
    );
    await parser.close();
  });

  it('an element named __proto__ changes nothing', async () => {
    expect(await parse(rss('<__proto__><a>b</a></__proto__><title>still read</title>'))).toMatchObject({
      entries: [{ title: { value: 'still read' } }],
    });
    expect(
      await parse('{"version":"https://jsonfeed.org/version/1","__proto__":{"items":1},"items":[{"id":"1"}]}'),
    ).toMatchObject({
      entries: [{ id: '1' }],
    });
  });
});
