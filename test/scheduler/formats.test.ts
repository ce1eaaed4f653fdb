import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseFeedUrl, type Text } from '../../lib/domain.js';
import { readDocument } from '../../scheduler/document.js';
import type { Settled } from '../../scheduler/drafts.js';

const FIXTURES = 'test/fixtures/feeds';
const URL = parseFeedUrl('https://feed.example/feed');
const NOW = Date.UTC(2026, 5, 1);

const read = (document: Uint8Array | string) => readDocument(Buffer.from(document), '', URL, NOW);

async function readFeed(document: Uint8Array | string): Promise<Settled> {
  const { kind, ...settled } = await read(document);
  if (kind !== 'feed') throw new Error(`Read as ${kind}: ${JSON.stringify(settled)}`);
  return settled as Settled;
}

describe('a feed comes out as the model beside it', () => {
  const names = readdirSync(FIXTURES).filter((name) => !name.endsWith('.model.json'));
  it.each(names)('%s', async (name) => {
    const model: unknown = JSON.parse(readFileSync(`${FIXTURES}/${name}.model.json`, 'utf8'));
    expect(await readFeed(readFileSync(`${FIXTURES}/${name}`))).toEqual(model);
  });
});

const item = (inside: string) => `<item>${inside}</item>`;
const rss = (items: string) => `<rss version="2.0"><channel><title>t</title>${items}</channel></rss>`;

describe('what is too much', () => {
  it('of a text is cut, and the entry says so', async () => {
    const words = 'word '.repeat(60_000);
    const long = `<p>${words}</p>`.replaceAll('<', '&lt;');
    const { entries } = await readFeed(
      rss(
        item(`<guid>1</guid><description>${long}</description>`) +
          item('<guid>2</guid><description>short</description>') +
          item(`<guid>3</guid><title>${words}</title>`),
      ),
    );
    const [content] = entries.map((entry) => entry.content as Text | undefined);
    expect(content?.value).toMatch(/^<p>(word )+word…<\/p>$/);
    expect(content?.value.length).toBeGreaterThan(131_000);
    expect(content?.value.length).toBeLessThanOrEqual(131_072);
    expect(entries[2]?.title?.value.length).toBeLessThanOrEqual(4_096);
    expect(entries.map(({ truncated }) => truncated)).toEqual([true, undefined, undefined]);
  });

  it('of a summary is cut, and the entry says so', async () => {
    const text = 'word '.repeat(10_000);
    const { entries } = await readFeed(
      `<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>1</id><summary>${text}</summary></entry></feed>`,
    );
    expect(entries[0]?.summary?.value.length).toBeLessThanOrEqual(16_384);
    expect(entries[0]?.truncated).toBe(true);
  });

  it('of entries: the newest stay, in their order', async () => {
    const day = (n: number) => new Date(Date.UTC(2020, 0, 1 + n)).toUTCString();
    const items = Array.from({ length: 2_500 }, (_, n) => item(`<guid>${n}</guid><pubDate>${day(n)}</pubDate>`));
    const { entries } = await readFeed(rss(item('<guid>undated</guid>') + items.join('')));
    expect(entries.map(({ id }) => id)).toEqual(Array.from({ length: 2_000 }, (_, n) => String(n + 500)));
  });

  it('of an author is no name', async () => {
    const { entries } = await readFeed(
      rss(item(`<guid>1</guid><author>${'('.repeat(600)}</author><author>Ann</author>`)),
    );
    expect(entries[0]?.authors).toEqual([{ name: 'Ann' }]);
  });

  it('of an id is a hash of it', async () => {
    const { entries } = await readFeed(
      rss(item(`<guid>${'x'.repeat(5_000)}</guid>`) + item(`<guid>${'x'.repeat(5_001)}</guid>`)),
    );
    expect(entries.map(({ id }) => id)).toEqual([
      expect.stringMatching(/^hydrant:/),
      expect.stringMatching(/^hydrant:/),
    ]);
  });
});

describe('an id that is none', () => {
  it('is the same wherever the entry stands', async () => {
    const entry = (n: number) =>
      item(`<guid>https://t.example/</guid><title>${n}</title><link>https://t.example/${n}</link>`);
    const site = '<link>https://t.example/</link>';
    const [first, later] = [await readFeed(rss(site + entry(1))), await readFeed(rss(site + entry(2) + entry(1)))];
    expect(first.entries[0]?.id).toBe('https://t.example/1');
    expect(later.entries[1]?.id).toBe('https://t.example/1');
  });

  it('costs no entry of the document, however links and titles repeat', async () => {
    const link = fc.constantFrom('https://t.example/1', 'https://t.example/2', 'https://t.example/3');
    const entries = fc.uniqueArray(fc.tuple(link, fc.constantFrom('a', 'b', 'c')), {
      selector: (parts) => parts.join(' '),
    });
    await fc.assert(
      fc.asyncProperty(entries, async (parts) => {
        const items = parts.map(([page, title]) => item(`<guid>t</guid><link>${page}</link><title>${title}</title>`));
        const { entries: read } = await readFeed(rss(items.join('')));
        expect(read.map(({ links, title }) => [links[0]?.href, title?.value])).toEqual(parts);
      }),
    );
  });
});

describe('an entry without an id', () => {
  it('keeps the one it is given, whatever else is in the feed', async () => {
    const entry = item('<title>t</title><description>d</description><pubDate>1 Jan 2026</pubDate>');
    const [alone, among] = [await readFeed(rss(entry)), await readFeed(rss(item('<title>newer</title>') + entry))];
    expect(alone.entries[0]?.id).toBe(among.entries[1]?.id);
  });
});

it('reads whatever comes, or says that it cannot', async () => {
  const seeds = readdirSync(FIXTURES).map((name) => readFileSync(`${FIXTURES}/${name}`));
  const splice = fc.tuple(
    fc.constantFrom(...seeds),
    fc.constantFrom(...seeds),
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.uint8Array(),
  );
  await fc.assert(
    fc.asyncProperty(splice, async ([a, b, at, noise]) => {
      const cut = (bytes: Buffer) => Math.floor(at * bytes.length);
      const { kind } = await read(Buffer.concat([a.subarray(0, cut(a)), noise, b.subarray(cut(b))]));
      expect(['feed', 'page', 'failed']).toContain(kind);
    }),
  );
});
