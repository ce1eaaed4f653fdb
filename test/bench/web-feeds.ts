import { parseFeedUrl, type FeedUrl, type Validators } from '../../lib/domain.js';

/**
 * How a feed answers. `quiet`: 304 to its validators. `lively`: 15 KB with ten entries, one of them new every time, and
 * no validators. `careless`: the same 15 KB every time, and no validators.
 */
export type Kind = 'quiet' | 'lively' | 'careless';

export const KINDS: readonly Kind[] = ['quiet', 'lively', 'careless'];

/** Of every quiet feed; as long as those of the web are. */
export const VALIDATORS = {
  etag: '"5f0c2b3a9d8e7f6a5b4c3d2e1f0a"',
  lastModified: 'Thu, 01 Jan 2026 00:00:00 GMT',
} as const satisfies Validators;

export const ENTRIES = 10;

/** The feed of this number (below ten million) at an address of its own, as if every feed had a host. */
export function urlOf(kind: Kind, number: number, port: number): FeedUrl {
  const host = `127.${1 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`;
  return parseFeedUrl(`http://${host}:${port}/${kind}/${digits(number)}/weblog/posts/atom.xml`);
}

const digits = (number: number): string => String(number).padStart(7, '0');

// Editions after these begin again with the first.
const EDITIONS = 400;
const PLACE = '@@@@@@@';
const WORDS = 'All the words that an entry of a usual feed has, with a <b>few</b> that are bold and &amp; signs. ';

const entry = (n: number): string => `
  <entry>
    <id>tag:feed-${PLACE}.example,2026:${n}</id>
    <title>Entry number ${n}</title>
    <link rel="alternate" type="text/html" href="https://feed-${PLACE}.example/weblog/${n}"/>
    <published>${new Date(Date.UTC(2026, 0, 1) + n * 60_000).toISOString()}</published>
    <updated>${new Date(Date.UTC(2026, 0, 1) + n * 60_000).toISOString()}</updated>
    <author><name>The bench</name></author>
    <category term="bench"/>
    <content type="html">${`<p>${WORDS.repeat(10)}</p>`.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</content>
  </entry>`;

const edition = (first: number): string => `<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom">
  <id>tag:feed-${PLACE}.example,2026:feed</id>
  <title>The weblog of feed ${PLACE}</title>
  <subtitle>What there is to say about it</subtitle>
  <link rel="alternate" type="text/html" href="https://feed-${PLACE}.example/weblog/"/>
  <updated>2026-01-01T00:00:00Z</updated>
  <author><name>The bench</name></author>${Array.from({ length: ENTRIES }, (_, i) => entry(first + ENTRIES - 1 - i)).join('')}
</feed>
`;

interface Prepared {
  readonly bytes: Buffer;
  /** Where the feed's number goes. */
  readonly places: readonly number[];
}

const prepared = new Map<number, Prepared>();

function prepare(first: number): Prepared {
  const bytes = Buffer.from(edition(first));
  const places: number[] = [];
  for (let at = bytes.indexOf(PLACE); at >= 0; at = bytes.indexOf(PLACE, at + PLACE.length)) places.push(at);
  return { bytes, places };
}

/** What the feed shows after so many changes: the newest entry first. */
export function bodyOf(number: number, changes: number): Buffer {
  const first = changes % EDITIONS;
  const { bytes, places } = prepared.get(first) ?? prepare(first);
  if (!prepared.has(first)) prepared.set(first, { bytes, places });
  const body = Buffer.from(bytes);
  for (const place of places) body.write(digits(number), place, 'latin1');
  return body;
}
