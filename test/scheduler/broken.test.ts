import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseFeedUrl } from '../../lib/domain.js';
import { readDocument } from '../../scheduler/document.js';
import { repair } from '../../scheduler/repair.js';
import { repairJson } from '../../scheduler/repair-json.js';

const FIXTURES = 'test/fixtures/feeds';
const URL = parseFeedUrl('https://feed.example/feed');
const NOW = Date.UTC(2026, 5, 1);
const NAMES = readdirSync(FIXTURES).filter((name) => !name.endsWith('.model.json'));

const fixture = (name: string) => readFileSync(`${FIXTURES}/${name}`);
const read = (document: Uint8Array | string, type = '') => readDocument(Buffer.from(document), type, URL, NOW);

const item = (id: string, inside = '') => `<item><guid>${id}</guid>${inside}</item>`;
const rss = (items: string, head = '') => `${head}<rss version="2.0"><channel><title>t</title>${items}</channel></rss>`;
const atom = (entries: string) => `<feed xmlns="http://www.w3.org/2005/Atom"><title>t</title>${entries}</feed>`;

async function entriesOf(document: Uint8Array | string) {
  const parsed = await read(document);
  return parsed.kind === 'feed' ? parsed.entries : [];
}

describe('a feed that was cut off', () => {
  // Whether an id is one is seen by the other entries that have it.
  const wholes = NAMES.filter((name) => !name.startsWith('h-feed-') && !name.includes('-shared-'));
  it.each(wholes)('%s gives its whole entries', async (name) => {
    const bytes = fixture(name);
    const whole = await entriesOf(bytes);
    for (let part = 1; part < 20; part++) {
      const found = await entriesOf(bytes.subarray(0, Math.floor((bytes.length * part) / 20)));
      expect(found).toEqual(whole.slice(0, found.length));
    }
  });

  it.each(NAMES.filter((name) => name.startsWith('broken-')))('%s says whether it was', async (name) => {
    const parsed = await read(fixture(name));
    expect(parsed.kind === 'feed' && parsed.cut === true).toBe(name.startsWith('broken-cut-'));
  });

  it('says so, with everything up to the cut', async () => {
    const feed = rss(item('1', '<description>one</description>') + item('2') + item('3'));
    const cut = feed.slice(0, feed.indexOf('<guid>3'));
    expect(await read(cut)).toMatchObject({ kind: 'feed', cut: true, entries: [{ id: '1' }, { id: '2' }] });
  });

  it.each([
    ['RSS', rss(item('1')).slice(0, -30)],
    ['Atom', atom('<entry><id>1</id></entry>').slice(0, -20)],
    ['JSON Feed', '{"version":"https://jsonfeed.org/version/1","items":[{"id":"1"'],
  ])('within its first entry cannot be read: %s', async (_, cut) => {
    expect(await read(cut)).toMatchObject({ kind: 'failed', reason: 'parse' });
  });

  it('is not taken for whole because an entry quotes the end of a feed', async () => {
    const half = '<item><guid>2</guid><description><![CDATA[It ends with </item></channel></rss> and';
    expect(await entriesOf(`<rss><channel>${item('1')}${half}`)).toMatchObject([{ id: '1' }]);
  });
});

describe('what is no feed', () => {
  const html = (body: string) => `<!DOCTYPE html>\n<html><head><title>x</title></head><body>${body}</body></html>`;
  it.each([
    ['an error page', html('<h1>500 Internal Server Error</h1><p>nginx')],
    ['a login page', html('<form method="post" action="/login"><input name="user"><input type="password"></form>')],
    ['a page about maintenance', html('<p>We will be back soon. <!-- <rss><channel><item/></channel></rss> -->')],
    ['a captcha', html('<script>var feed = "<rss><channel><item><guid>1</guid></item></channel></rss>";</script>')],
    ['an XHTML page', `<?xml version="1.0"?>${html('<p>Not here</p>')}`],
    ['a page without a head', '<h1>It works!</h1>'],
    ['an error in JSON', '{"error":{"code":404,"message":"no such feed"},"items":[]}'],
    ['an error in XML', '<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>No</Message></Error>'],
    ['a list of feeds', '<opml version="2.0"><body><outline xmlUrl="https://x.example/feed"/></body></opml>'],
    ['a map of a site', '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><url><loc>x</loc></url></urlset>'],
    ['a picture', '\u0089PNG\r\n\u001a\n\0\0\0'],
    ['nothing', ''],
  ])('%s names none, whatever it is called', async (_, text) => {
    expect(await read(text, 'application/rss+xml')).toEqual({ kind: 'page', feeds: [] });
  });
});

describe('hostile documents do nothing', () => {
  const attributes = (count: number, name: string) =>
    Array.from({ length: count }, (_, n) => `${name}${n}="urn:${n}"`).join(' ');
  const laughs = Array.from({ length: 9 }, (_, n) => `<!ENTITY l${n + 1} "${`&l${n};`.repeat(10)}">`).join('');
  it.each([
    [
      'billion laughs',
      rss(item('1', '<title>&l9;</title>') + item('2'), `<!DOCTYPE rss [<!ENTITY l0 "lol">${laughs}]>`),
    ],
    [
      'one large entity many times',
      rss(
        item('1', `<title>${'&a;'.repeat(20_000)}</title>`) + item('2'),
        `<!DOCTYPE r [<!ENTITY a "${'a'.repeat(50_000)}">]>`,
      ),
    ],
    [
      'parameter entities',
      rss(
        item('1') + item('2'),
        '<!DOCTYPE r SYSTEM "http://127.0.0.1:9/x.dtd" [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>',
      ),
    ],
    [
      'five hundred levels',
      rss(item('1', `<description>${'<div>'.repeat(500)}x${'</div>'.repeat(500)}</description>`) + item('2')),
    ],
    ['a hundred thousand levels', rss(item('1', '<a>'.repeat(100_000)) + item('2'))],
    ['thirty thousand attributes', rss(item('1', `<category ${attributes(30_000, 'a')}>x</category>`) + item('2'))],
    ['ten thousand namespaces', rss(item('1', `<x ${attributes(10_000, 'xmlns:a')}/>`) + item('2'))],
    ['a huge name', rss(item('1', `<${'a'.repeat(200_000)}/>`) + item('2'))],
    ['a huge attribute', rss(item('1', `<x a="${'a'.repeat(1_000_000)}"/>`) + item('2'))],
    [
      'names of JavaScript',
      rss(
        item('1', '<__proto__ __proto__="x"><polluted>1</polluted></__proto__><constructor/><prototype/>') + item('2'),
      ),
    ],
    [
      'keys of JavaScript',
      '{"version":"https://jsonfeed.org/version/1","constructor":{"prototype":{"polluted":1}},"items":[{"id":"1","__proto__":{"polluted":1}},{"id":"2"}]}',
    ],
  ])('%s, and the feed is read', async (_, document) => {
    const parsed = await read(document);
    expect(parsed).toMatchObject({ kind: 'feed', entries: [{ id: '1' }, { id: '2' }] });
    expect(JSON.stringify(parsed)).not.toMatch(/lollol|root:|aaaaaaaaaa/);
    expect({}).not.toHaveProperty('polluted');
  });
});

describe('a repaired document', () => {
  const part = fc.oneof(
    fc.constantFrom(
      ...[
        '<item>',
        '</item>',
        '<title>',
        '</title>',
        '<link href="',
        '">',
        '<guid a=b c>',
        '</guid',
        '<![CDATA[',
        ']]>',
      ],
      ...[
        '<!--',
        '-->',
        '<a:b>',
        '</a:b>',
        '<description>',
        '</description>',
        '<__proto__>',
        '</channel>',
        '<rss>',
        '<br>',
      ],
      ...['<?x', '?>', '<!DOCTYPE x [', ']>', '&amp;', '< ', '<item/>', "='", '</rss>', '<channel>'],
    ),
    fc.string(),
  );
  const markup = fc.array(part).map((parts) => rss(parts.join('')));

  it('is repaired for good', () => {
    fc.assert(
      fc.property(markup, (text) => {
        const root = { tag: 'rss', at: 0 };
        const once = repair(text, root);
        expect(repair(once, root)).toBe(once);
      }),
    );
  });

  it('of JSON is JSON', () => {
    const token = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"',
      '\\',
      '1',
      'null',
      '\n',
      '{"items":[',
      '{},',
    );
    fc.assert(
      fc.property(fc.array(token), (tokens) => {
        const repaired = repairJson(`{"items":[{"id":"1"},${tokens.join('')}`);
        expect(repaired === undefined || JSON.parse(repaired.text)).toBeDefined();
      }),
    );
  });
});

it('reads whatever is left of a feed, or says that it cannot', async () => {
  const seeds = NAMES.map(fixture);
  const place = fc.double({ min: 0, max: 1, noNaN: true });
  const noise = fc.oneof(
    fc.uint8Array(),
    fc.constantFrom('<', '>', '"', ']]>', '<!--', '<item>', '&', '</').map(Buffer.from),
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...seeds), place, place, noise, async (bytes, from, to, between) => {
      const at = (where: number) => Math.floor(where * bytes.length);
      const spoilt = Buffer.concat([bytes.subarray(0, at(from)), between, bytes.subarray(at(to))]);
      expect(['feed', 'page', 'failed']).toContain((await read(spoilt)).kind);
    }),
    { numRuns: 300 },
  );
});
