import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { ping, startFeedServer, type FeedServer } from '../../prosody/feed-server.js';

let server: FeedServer;
beforeEach(async () => void (server = await startFeedServer()));
afterEach(() => server.stop());

it.each(['atom', 'rss'] as const)('serves a feed of %s whose validators change with it', async (format) => {
  const feed = server.feed('/feed', { format, title: 'A & B' });
  feed.publish({ title: 'One < two' });
  const first = await fetch(feed.url);
  expect(await first.text()).toContain('<title>One &#60; two</title>');
  const etag = first.headers.get('etag')!;
  const modified = first.headers.get('last-modified')!;

  const statusWith = async (headers: Record<string, string>) => (await fetch(feed.url, { headers })).status;
  expect(await statusWith({ 'if-none-match': `W/${etag}` })).toBe(304);
  expect(await statusWith({ 'if-none-match': `"other", ${etag}` })).toBe(304);
  expect(await statusWith({ 'if-modified-since': modified })).toBe(304);
  feed.publish();
  expect(await statusWith({ 'if-none-match': etag })).toBe(200);
  expect(await statusWith({ 'if-modified-since': modified })).toBe(200);
  expect(await statusWith({ 'if-none-match': etag, 'if-modified-since': new Date().toUTCString() })).toBe(200);
  expect(server.count('/feed')).toBe(7);
  expect(server.count('/feed', 304)).toBe(3);
});

it('edits in place, and shows no more than it keeps', async () => {
  const feed = server.feed('/feed', { format: 'atom', title: 'Feed', keep: 2 });
  const first = feed.publish();
  feed.publish();
  expect(feed.edit(first.id, { title: 'Changed' })).toMatchObject({ id: first.id, published: first.published });
  expect(feed.entries.map(({ title }) => title)).toEqual(['Entry 2', 'Changed']);
  expect(await (await fetch(feed.url)).text()).toContain('<title>Changed</title>');
  feed.publish();
  expect(feed.entries.map(({ title }) => title)).toEqual(['Entry 3', 'Entry 2']);
});

it('serves pages, raw bytes and trouble', async () => {
  const feed = server.feed('/feed', { format: 'rss', title: 'Feed' });
  const page = await fetch(server.page('/page', [feed]));
  expect(page.headers.get('content-type')).toMatch('text/html');
  expect(await page.text()).toContain(`<link rel="alternate" type="application/rss+xml" href="${feed.url}">`);
  const gone = await fetch(server.raw('/gone', { status: 410, body: 'gone' }));
  expect([gone.status, await gone.text()]).toEqual([410, 'gone']);
  const moved = await fetch(server.raw('/moved', { status: 302, headers: { location: '/feed' } }));
  expect([moved.status, moved.url]).toEqual([200, feed.url]);
  expect((await server.hits.take(({ path }) => path === '/moved')).status).toBe(302);
  expect((await fetch(server.url('/nowhere'))).status).toBe(404);
});

it('hides a feed behind something else, and shows it again', async () => {
  const feed = server.feed('/feed', { format: 'rss', title: 'Feed' });
  feed.hide({ status: 410 });
  expect((await fetch(feed.url)).status).toBe(410);
  feed.publish({ title: 'Hidden' });
  feed.show();
  expect(await (await fetch(feed.url)).text()).toContain('<title>Hidden</title>');
});

it('pings like a publisher', async () => {
  const pinged = server.handle('/ping', (request, response) => {
    request.setEncoding('utf8').on('data', (body: string) => response.end(body));
  });
  expect(await ping(pinged, 'http://blog.example/a?b=c&d')).toBe(200);
  const { headers } = await server.hits.take();
  expect(headers['content-type']).toMatch('application/x-www-form-urlencoded');
});
