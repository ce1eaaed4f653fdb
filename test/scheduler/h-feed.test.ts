import { expect, it } from '@jest/globals';
import { parseFeedUrl } from '../../lib/domain.js';
import { readDocument } from '../../scheduler/document.js';
import { hFeed } from '../../scheduler/formats/h-feed.js';

const PAGE = parseFeedUrl('https://page.example/dir/');

const entry = (inside: string) =>
  `<article class="h-entry"><a class="u-url p-name" href="/1">One</a>${inside}</article>`;
const feed = (...entries: string[]) => `<html><body><div class="h-feed">${entries.join('')}</div></body></html>`;
const read = (html: string) => readDocument(Buffer.from(html), 'text/html', PAGE);

it.each([
  [
    'an h-geo',
    '<p class="p-location h-geo"><data class="p-latitude" value="54.3"></data><data class="p-longitude" value="10.1"></data></p>',
  ],
  [
    'an address with one inside',
    '<p class="p-location h-card"><b class="p-geo h-geo"><data class="p-latitude" value="54.3"></data><data class="p-longitude" value="10.1"></data></b></p>',
  ],
  ['a URI', '<a class="u-geo" href="geo:54.3,10.1">here</a>'],
])('an entry says where it was written by %s', (_, place) => {
  expect(hFeed.read(feed(entry(place)), PAGE).entries[0]?.where).toMatchObject({ latitude: 54.3, longitude: 10.1 });
});

it('an entry without coordinates stands nowhere', () => {
  const place = '<p class="p-location h-adr"><span class="p-locality">Kiel</span></p>';
  expect(hFeed.read(feed(entry(place)), PAGE).entries[0]?.where).toBeUndefined();
});

it('an entry says what it answers to, by a link or by citing it', () => {
  const answers =
    '<a class="u-in-reply-to" href="https://a.example/1">a</a><p class="u-in-reply-to h-cite"><a class="u-url" href="https://b.example/2">b</a></p>';
  const [first] = hFeed.read(feed(entry(answers)), PAGE).entries;
  expect(first?.inReplyTo).toEqual([
    { ref: 'https://a.example/1', href: 'https://a.example/1' },
    { ref: 'https://b.example/2', href: 'https://b.example/2' },
  ]);
});

it('a page that names a feed is no feed itself', async () => {
  const head = '<link rel="alternate" type="application/rss+xml" href="/rss">';
  expect(await read(head + feed(entry('')))).toEqual({ kind: 'page', feeds: ['https://page.example/rss'] });
});

it.each([
  ['one entry alone', `<html><body>${entry('')}</body></html>`],
  ['an h-feed without entries', feed('')],
  ['the names of the format in its text', '<html><body>How to write an h-feed of h-entry elements</body></html>'],
])('a page with %s leads to what looks like a feed on it', async (_, html) => {
  const link = '<a href="/feed.xml">Feed</a></body>';
  expect(await read(html.replace('</body>', link))).toEqual({ kind: 'page', feeds: ['https://page.example/feed.xml'] });
});
