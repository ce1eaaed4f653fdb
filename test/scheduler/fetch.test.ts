import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from '@jest/globals';
import { parseFeedUrl, type FeedUrl } from '../../lib/domain.js';
import { createFetch, type Fetched, type FetchOptions } from '../../scheduler/fetch.js';
import { NoAnswer, UnknownHost } from '../../scheduler/guard.js';
import { createAuthority, selfSigned, type Identity } from '../support/certificates.js';

const MEGABYTE = 1_048_576;
const servers: Pick<Server, 'close' | 'closeAllConnections'>[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});

async function serve(listener: RequestListener): Promise<FeedUrl> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return parseFeedUrl(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
}

/** Names of such a server lead to it when `bench` is given `HERE`. */
async function serveSecurely(identity: Identity, listener: RequestListener, name = 'feed.example'): Promise<FeedUrl> {
  const server = createSecureServer(identity, listener).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return parseFeedUrl(`https://${name}:${(server.address() as AddressInfo).port}/`);
}

const HERE = { resolve: async () => ['127.0.0.1'] };

const bench = (options: Partial<FetchOptions> = {}) =>
  createFetch({
    concurrency: 100,
    perHost: 2,
    timeoutMs: 10_000,
    maxBytes: 10 * MEGABYTE,
    allow: ['127.0.0.0/8'],
    userAgent: 'Hydrant/test',
    contact: 'https://hydrant.example',
    ...options,
  });

function textOf(fetched: Fetched): string {
  if (fetched.kind !== 'fetched') throw new Error(JSON.stringify(fetched));
  return Buffer.from(fetched.bytes).toString();
}

describe('a conditional GET', () => {
  it('says who is asking for what, and gives back what came', async () => {
    const asked: unknown[] = [];
    const url = await serve((request, response) => {
      asked.push(request.method, request.headers);
      response.setHeader('Content-Type', 'application/rss+xml; charset=utf-8');
      response.setHeader('Link', ['<https://hub.example/>; rel="hub"', '</feed>; rel="self"']);
      response.setHeader('ETag', 'W/"a, b"').setHeader('Last-Modified', 'Thu, 01 Jan 2026 00:00:00 GMT').end('<rss/>');
    });
    const fetched = await bench()({ url });
    expect(fetched).toEqual({
      kind: 'fetched',
      bytes: new Uint8Array(Buffer.from('<rss/>')),
      contentType: 'application/rss+xml; charset=utf-8',
      link: '<https://hub.example/>; rel="hub", </feed>; rel="self"',
      validators: { etag: 'W/"a, b"', lastModified: 'Thu, 01 Jan 2026 00:00:00 GMT' },
      url,
    });
    expect(asked).toEqual([
      'GET',
      expect.objectContaining({
        'user-agent': 'Hydrant/test (+https://hydrant.example)',
        accept: expect.stringContaining('application/atom+xml'),
        'accept-encoding': 'gzip, deflate, br',
      }),
    ]);
    expect(asked[1]).not.toHaveProperty('if-none-match');
    expect(asked[1]).not.toHaveProperty('cookie');
  });

  it.each(['"plain"', 'W/"weak"', 'unquoted', '"caf\u00e9"', '"a", "b"'])(
    'echoes the validators exactly: %s',
    async (etag) => {
      const lastModified = 'whenever it was';
      const url = await serve((request, response) => {
        const same = request.headers['if-none-match'] === etag && request.headers['if-modified-since'] === lastModified;
        if (!same) response.setHeader('ETag', etag).setHeader('Last-Modified', lastModified);
        response.writeHead(same ? 304 : 200).end('x');
      });
      const fetch = bench();
      const first = await fetch({ url });
      if (first.kind !== 'fetched') throw new Error(first.kind);
      expect(first.validators).toEqual({ etag, lastModified });
      expect(await fetch({ url, validators: first.validators })).toEqual({ kind: 'not-modified' });
    },
  );

  it.each([
    [{ contact: 'https://hydrant.example/' }, undefined, 'Hydrant/1.0 (+https://hydrant.example/)'],
    [{ contact: 'https://hydrant.example/' }, 5, 'Hydrant/1.0 (+https://hydrant.example/; 5 subscribers)'],
    [{ contact: 'https://hydrant.example/' }, 1, 'Hydrant/1.0 (+https://hydrant.example/; 1 subscriber)'],
    [{ contact: 'https://hydrant.example/' }, 0, 'Hydrant/1.0 (+https://hydrant.example/)'],
    [{ contact: undefined }, 12, 'Hydrant/1.0 (12 subscribers)'],
    [{ contact: undefined }, undefined, 'Hydrant/1.0'],
  ])('says how to reach us and for how many it is: %j %s', async (contact, subscribers, expected) => {
    const url = await serve((request, response) => void response.end(request.headers['user-agent']));
    const fetch = bench({ userAgent: 'Hydrant/1.0', ...contact });
    expect(textOf(await fetch({ url, ...(subscribers !== undefined && { subscribers }) }))).toBe(expected);
  });

  it('asks for what it is told to ask for', async () => {
    const url = await serve((request, response) => void response.end(request.headers.accept));
    expect(textOf(await bench({ accept: 'image/png' })({ url }))).toBe('image/png');
  });

  it('tells of newer validators in a 304', async () => {
    const url = await serve((_, response) => void response.writeHead(304, { ETag: '"2"' }).end());
    const validators = { etag: '"2"' };
    expect(await bench()({ url, validators: { etag: '"1"' } })).toEqual({ kind: 'not-modified', validators });
  });

  it('takes no validators that are too long to be stored', async () => {
    const url = await serve((_, response) => void response.writeHead(200, { ETag: `"${'x'.repeat(5_000)}"` }).end('x'));
    expect(await bench()({ url })).toMatchObject({ kind: 'fetched', validators: {} });
  });
});

describe('how long an answer is fresh', () => {
  const DATE = 'Thu, 01 Jan 2026 00:00:00 GMT';
  it.each([
    [{ 'Cache-Control': 'max-age=600' }, 600],
    [{ 'Cache-Control': 'public, Max-Age="600"' }, 600],
    [{ 'Cache-Control': 'max-age=600', Age: '590' }, 10],
    [{ 'Cache-Control': 'max-age=600', Age: '601' }, undefined],
    [{ 'Cache-Control': 'max-age=600', Age: 'old' }, 600],
    [{ 'Cache-Control': 'max-age=60, s-maxage=600' }, 60],
    [{ 'Cache-Control': 's-maxage=600' }, undefined],
    [{ 'Cache-Control': 'max-age=0' }, undefined],
    [{ 'Cache-Control': 'max-age=-5' }, undefined],
    [{ 'Cache-Control': 'no-cache, max-age=600' }, undefined],
    [{ 'Cache-Control': 'max-age=600,no-store' }, undefined],
    [{ 'Cache-Control': 'max-age=31536000' }, undefined],
    [{ 'Cache-Control': 'max-age=99999999999999999999' }, undefined],
    [{ 'Cache-Control': 'private' }, undefined],
    [{ Expires: 'Thu, 01 Jan 2026 00:10:00 GMT', Date: DATE }, 600],
    [{ Expires: 'Thu, 01 Jan 2026 00:10:00 GMT', Date: DATE, Age: '60' }, 540],
    [{ Expires: 'Thu, 01 Jan 2026 00:10:00 GMT', Date: DATE, 'Cache-Control': 'max-age=60' }, 60],
    [{ Expires: 'Wed, 31 Dec 2025 00:00:00 GMT', Date: DATE }, undefined],
    [{ Expires: '0' }, undefined],
    [{ Expires: 'soon' }, undefined],
    [{}, undefined],
  ])('%j', async (headers, seconds) => {
    const url = await serve((request, response) => {
      response.writeHead(request.headers['if-none-match'] ? 304 : 200, headers).end();
    });
    const fresh = seconds === undefined ? {} : { freshFor: seconds };
    const { kind, freshFor } = (await bench()({ url })) as Extract<Fetched, { kind: 'fetched' }>;
    expect({ kind, ...(freshFor !== undefined && { freshFor }) }).toEqual({ kind: 'fetched', ...fresh });
    expect(await bench()({ url, validators: { etag: '"1"' } })).toEqual({ kind: 'not-modified', ...fresh });
  });
});

describe('statuses', () => {
  it.each([
    [404, {}, {}],
    [410, {}, {}],
    [500, {}, {}],
    [304, {}, { kind: 'not-modified' }],
    [301, {}, {}],
    [429, { 'Retry-After': '120' }, { retryAfter: 120 }],
    [
      503,
      { Date: 'Thu, 01 Jan 2026 00:00:00 GMT', 'Retry-After': 'Thu, 01 Jan 2026 01:00:00 GMT' },
      { retryAfter: 3_600 },
    ],
    [503, { Date: 'Thu, 01 Jan 2026 02:00:00 GMT', 'Retry-After': 'Thu, 01 Jan 2026 01:00:00 GMT' }, { retryAfter: 0 }],
  ])('%i %j', async (status, headers, expected) => {
    const url = await serve((_, response) => void response.writeHead(status, headers).end('no'));
    const failed = { kind: 'failed', reason: 'http-status', status, text: `The server answered with status ${status}` };
    expect(await bench()({ url })).toEqual('kind' in expected ? expected : { ...failed, ...expected });
  });

  it('makes nothing of a Retry-After that is neither', async () => {
    const url = await serve((_, response) => void response.writeHead(503, { 'Retry-After': 'later' }).end());
    expect(await bench()({ url })).not.toHaveProperty('retryAfter');
  });
});

describe('redirects', () => {
  it.each([301, 302, 303, 307, 308])('%i is followed, with the validators', async (status) => {
    const url = await serve((request, response) => {
      if (request.url === '/') response.writeHead(status, { Location: 'a/../b?c' }).end('moved');
      else response.end(`${request.url ?? ''} ${request.headers['if-none-match'] ?? ''}`);
    });
    const fetched = await bench()({ url, validators: { etag: '"1"' } });
    expect(textOf(fetched)).toBe('/b?c "1"');
    expect(fetched).toMatchObject({ url: `${url}b?c` });
  });

  it.each([
    ['all of them are', [301, 308], true],
    ['one of them is not', [301, 302, 308], false],
    ['the last one is not', [308, 307], false],
    ['the first one is not', [303, 301], false],
    ['there are none', [], false],
  ])('are permanent when %s', async (_, statuses, isPermanent) => {
    const url = await serve((request, response) => {
      const hop = Number(request.url?.slice(1));
      const status = statuses[hop];
      if (status) response.writeHead(status, { Location: `/${hop + 1}` }).end();
      else response.writeHead(request.headers['if-none-match'] ? 304 : 200).end('x');
    });
    const end = isPermanent ? { moved: `${url}${statuses.length}` } : {};
    const from = parseFeedUrl(`${url}0`);
    const { kind, moved } = (await bench()({ url: from })) as Extract<Fetched, { kind: 'fetched' }>;
    expect({ kind, ...(moved !== undefined && { moved }) }).toEqual({ kind: 'fetched', ...end });
    const unchanged = await bench()({ url: from, validators: { etag: '"1"' } });
    expect(unchanged).toEqual({ kind: 'not-modified', ...end });
  });

  it('that lead back to where they began have moved nothing', async () => {
    let asked = 0;
    const url = await serve((request, response) => {
      if (++asked > 2) response.end('x');
      else response.writeHead(301, { Location: request.url === '/' ? '/there' : '/' }).end();
    });
    const fetched = await bench()({ url });
    expect(fetched).toMatchObject({ kind: 'fetched', url });
    expect(fetched).not.toHaveProperty('moved');
  });

  it('that fail have moved nothing', async () => {
    const url = await serve((request, response) => {
      if (request.url === '/') response.writeHead(301, { Location: '/there' }).end();
      else response.writeHead(404).end();
    });
    const failed = { kind: 'failed', reason: 'http-status', status: 404, text: 'The server answered with status 404' };
    expect(await bench()({ url })).toEqual(failed);
  });

  it('may write their target in UTF-8', async () => {
    const url = await serve((request, response) => {
      if (request.url === '/') response.writeHead(302, { Location: Buffer.from('/ü').toString('latin1') }).end();
      else response.end(request.url);
    });
    expect(textOf(await bench()({ url }))).toBe('/%C3%BC');
  });

  it('end after five', async () => {
    let asked = 0;
    const url = await serve((_, response) => void response.writeHead(302, { Location: `/${++asked}` }).end());
    expect(await bench()({ url })).toMatchObject({ kind: 'failed', reason: 'redirects' });
    expect(asked).toBe(6);
  });

  it.each(['ftp://x.example/', 'http://user:secret@x.example/', 'file:///etc/passwd', 'http://[bad/', 'javascript:0'])(
    'to %s are not followed',
    async (location) => {
      const url = await serve((_, response) => void response.writeHead(302, { Location: location }).end());
      expect(await bench()({ url })).toMatchObject({ kind: 'failed', reason: 'redirects' });
    },
  );

  it('to a private address are refused there', async () => {
    let hits = 0;
    const inner = await serve((_, response) => void response.end(String(++hits)));
    const outer = await serve((_, response) => void response.writeHead(302, { Location: inner }).end());
    const { port } = new URL(outer);
    // Only the first host is let in: the second is where a private address was reached.
    const fetch = bench({ allow: ['127.0.0.2/32'], resolve: async () => ['127.0.0.2'] });
    const server = createServer((_, response) => void response.writeHead(302, { Location: inner }).end());
    servers.push(server.listen(Number(port), '127.0.0.2'));
    await once(server, 'listening');
    const failed = { kind: 'failed', reason: 'blocked-address', text: 'The server could not be reached' };
    expect(await fetch({ url: parseFeedUrl(`http://first.example:${port}/`) })).toEqual(failed);
    expect(hits).toBe(0);
  });
});

describe('bodies', () => {
  const text = '<rss>déjà vu</rss>'.repeat(50);

  it.each([
    ['gzip', gzipSync(text)],
    ['x-gzip', gzipSync(text)],
    ['br', brotliCompressSync(text)],
    ['deflate', deflateSync(text)],
    ['deflate', deflateRawSync(text)],
    ['identity', Buffer.from(text)],
    ['utf-8', Buffer.from(text)],
  ])('are decompressed: %s', async (encoding, body) => {
    const url = await serve((_, response) => void response.writeHead(200, { 'Content-Encoding': encoding }).end(body));
    expect(textOf(await bench()({ url }))).toBe(text);
  });

  it.each([
    ['gzip', Buffer.from('plain text'), 'parse'],
    ['gzip', gzipSync(text).subarray(0, 5), 'parse'],
    ['gzip, br', brotliCompressSync(gzipSync(text)), 'parse'],
    ['gzip, gzip', gzipSync(gzipSync(text)), 'parse'],
    ['gzip', gzipSync(Buffer.alloc(200 * MEGABYTE)), 'too-large'],
    ['br', brotliCompressSync(Buffer.alloc(100 * MEGABYTE)), 'too-large'],
    // Within the limit in bytes, but a thousand times what was sent.
    ['gzip', gzipSync(Buffer.alloc(8 * MEGABYTE)), 'too-large'],
  ])('that are no good fail: %s', async (encoding, body, reason) => {
    const url = await serve((_, response) => void response.writeHead(200, { 'Content-Encoding': encoding }).end(body));
    expect(await bench()({ url })).toMatchObject({ kind: 'failed', reason });
  });

  it('without end are received only up to the limit', async () => {
    const ended = new Promise((resolve) => {
      void serve((_, response) => {
        const chunk = Buffer.alloc(65_536);
        const more = () => response.write(chunk, (error) => (error ? undefined : more()));
        more();
        response.on('close', resolve);
      }).then(async (url) => {
        expect(await bench({ maxBytes: MEGABYTE })({ url })).toMatchObject({ kind: 'failed', reason: 'too-large' });
      });
    });
    await ended;
  });

  it.each([
    ['an announced length', { 'Content-Length': '100000' }, Buffer.from(text)],
    ['chunks', {}, Buffer.from(text)],
    ['gzip', { 'Content-Encoding': 'gzip' }, gzipSync(text + Buffer.from(text).toString('base64')).subarray(0, 90)],
    ['brotli', { 'Content-Encoding': 'br' }, brotliCompressSync(text.repeat(9)).subarray(0, 40)],
    ['deflate', { 'Content-Encoding': 'deflate' }, deflateSync(text.repeat(9)).subarray(0, 60)],
  ])('that break off are given as far as they came, without validators: %s', async (_, headers, body) => {
    const url = await serve((__, response) => {
      response.writeHead(200, { ...headers, ETag: '"1"' });
      response.write(body, () => response.destroy());
    });
    const fetched = await bench()({ url });
    expect(fetched).toMatchObject({ kind: 'fetched', isCut: true });
    expect(fetched).toHaveProperty('validators', {});
    expect(textOf(fetched)).toMatch(/^<rss>/);
  });

  it('that end in the middle of what was compressed are given as far as they came', async () => {
    const body = gzipSync(text + 'x'.repeat(50)).subarray(0, -9);
    const url = await serve((_, response) => void response.writeHead(200, { 'Content-Encoding': 'gzip' }).end(body));
    expect(await bench()({ url })).toMatchObject({ kind: 'fetched', isCut: true });
  });

  it('that are whole when they are decompressed are whole, whatever length was announced', async () => {
    const url = await serve((_, response) => {
      response.writeHead(200, { 'Content-Encoding': 'gzip', 'Content-Length': '100000', ETag: '"1"' });
      response.write(gzipSync(text), () => response.destroy());
    });
    const fetched = await bench()({ url });
    expect(textOf(fetched)).toBe(text);
    expect(fetched).toMatchObject({ validators: { etag: '"1"' } });
    expect(fetched).not.toHaveProperty('isCut');
  });

  it('that never begin fail', async () => {
    const url = await serve((_, response) => {
      response.writeHead(200, { 'Content-Length': '100' }).flushHeaders();
      response.destroy();
    });
    expect(await bench()({ url })).toMatchObject({ kind: 'failed', reason: 'connect' });
  });
});

describe('the deadline', () => {
  it.each([
    ['a server that never answers', () => undefined],
    [
      'a server that drips',
      (_, response) => {
        const drip = setInterval(() => response.write('.'), 20);
        response.on('close', () => clearInterval(drip));
      },
    ],
    [
      'a server that redirects slowly',
      (_, response) => void setTimeout(() => response.writeHead(302, { Location: '/' }).end(), 120),
    ],
  ] as [string, RequestListener][])('ends %s', async (_, listener) => {
    const url = await serve(listener);
    const timeout = { kind: 'failed', reason: 'timeout', text: 'The server could not be reached' };
    expect(await bench({ timeoutMs: 300 })({ url })).toEqual(timeout);
  });

  it('does not count the wait for a turn', async () => {
    const url = await serve((_, response) => void setTimeout(() => response.end('x'), 200));
    const fetch = bench({ perHost: 1, timeoutMs: 500 });
    const all = await Promise.all([1, 2, 3, 4, 5].map(() => fetch({ url })));
    expect(all.map(({ kind }) => kind)).toEqual(Array(5).fill('fetched'));
  });
});

describe('turns', () => {
  it('are taken by host, and in all', async () => {
    const now = new Map<string, number>();
    const most = { host: 0, all: 0 };
    const listener: RequestListener = ({ headers: { host = '' } }, response) => {
      now.set(host, (now.get(host) ?? 0) + 1);
      most.host = Math.max(most.host, ...now.values());
      most.all = Math.max(
        most.all,
        [...now.values()].reduce((a, b) => a + b),
      );
      setTimeout(() => {
        now.set(host, (now.get(host) ?? 0) - 1);
        response.end('x');
      }, 5);
    };
    const urls = [await serve(listener), await serve(listener), await serve(listener)];
    const fetch = bench({ perHost: 2, concurrency: 3 });
    const results = await Promise.all(
      urls.flatMap((url) => Array.from({ length: 20 }, () => fetch({ url, awaited: true }))),
    );
    expect(results.every(({ kind }) => kind === 'fetched')).toBe(true);
    expect(most).toEqual({ host: 2, all: 3 });
  });

  it('are postponed where the line is full, unless somebody waits', async () => {
    const begun: (() => void)[] = [];
    const url = await serve((_, response) => void begun.push(() => response.end('x')));
    const fetch = bench({ perHost: 1 });
    const polls = Array.from({ length: 6 }, () => fetch({ url }));
    expect(await polls[5]).toEqual({ kind: 'postponed', seconds: expect.any(Number) });
    const awaited = fetch({ url, awaited: true });
    const answering = setInterval(() => begun.shift()?.(), 1);
    expect((await Promise.all([...polls.slice(0, 5), awaited])).map(({ kind }) => kind)).toEqual(
      Array(6).fill('fetched'),
    );
    clearInterval(answering);
  });

  it.each([
    ['429 from one URL', 'postponed', [[429, '/a']]],
    ['503 from one URL', 'fetched', [[503, '/a']]],
    [
      '503 from two URLs',
      'postponed',
      [
        [503, '/a'],
        [503, '/b'],
      ],
    ],
    [
      '404 from two URLs',
      'fetched',
      [
        [404, '/a'],
        [404, '/b'],
      ],
    ],
  ] as [string, string, [number, string][]][])(
    'after %s: the next poll of the host is %s',
    async (_, kind, answers) => {
      const url = await serve((request, response) => {
        const [status] = answers.find(([, path]) => path === request.url) ?? [200];
        response.writeHead(status, { 'Retry-After': '100' }).end('x');
      });
      const fetch = bench();
      for (const [, path] of answers) await fetch({ url: parseFeedUrl(new URL(path, url).href) });
      expect(await fetch({ url })).toMatchObject({ kind });
    },
  );

  it('come to an end when the process does', async () => {
    const url = await serve(() => undefined);
    const fetch = bench({ perHost: 1 });
    const stop = new AbortController();
    const waiting = [fetch({ url }, stop.signal), fetch({ url }, stop.signal)];
    stop.abort(new Error('the process ends'));
    for (const end of await Promise.allSettled(waiting))
      expect(end).toMatchObject({ reason: { message: 'the process ends' } });
    expect(await Promise.allSettled([fetch({ url }, stop.signal)])).toMatchObject([{ status: 'rejected' }]);
  });
});

describe('what cannot be reached', () => {
  it('reads the same, whether it is closed, forbidden or dumb', async () => {
    const free = await serve(() => undefined);
    servers.pop()?.close();
    const results = [
      await bench()({ url: free }),
      await bench({ allow: [] })({ url: free }),
      await bench({ timeoutMs: 100 })({ url: await serve(() => undefined) }),
      await bench()({ url: await serve((_, response) => void response.destroy()) }),
    ];
    const text = 'The server could not be reached';
    expect(results).toEqual(
      ['connect', 'blocked-address', 'timeout', 'connect'].map((reason) => ({ kind: 'failed', reason, text })),
    );
  });

  it.each([
    ['There is no server of that name', new UnknownHost('no')],
    ['The name of the server cannot be looked up at the moment', new NoAnswer('no')],
  ])('for the lack of an address is told as such: %s', async (text, error) => {
    const fetch = bench({ resolve: () => Promise.reject(error) });
    const failed = { kind: 'failed', reason: 'dns', text };
    expect(await fetch({ url: parseFeedUrl('http://nowhere.example/') })).toEqual(failed);
  });
});

describe('TLS', () => {
  const authority = createAuthority('An authority');
  const good = authority.issue({ name: 'feed.example' });
  const [old, past, future] = [new Date('2020-01-01'), new Date('2021-01-01'), new Date('2090-01-01')];

  it.each([
    ['has expired', authority.issue({ name: 'feed.example', from: old, until: past })],
    ['is not valid yet', authority.issue({ name: 'feed.example', from: future, until: new Date('2091-01-01') })],
    ['is for another host', authority.issue({ name: 'other.example' })],
    ['is signed by itself', selfSigned({ name: 'feed.example' })],
    ['comes from an issuer that is not known', createAuthority('Another').issue({ name: 'feed.example' })],
  ])('is refused where the certificate %s, and that is said', async (what, identity) => {
    const url = await serveSecurely(identity, (_, response) => void response.end('x'));
    const failed = { kind: 'failed', reason: 'tls', text: `The certificate of the server ${what}` };
    expect(await bench({ ...HERE, ca: authority.ca })({ url })).toEqual(failed);
  });

  it('is refused where the server does not speak it, and that is said', async () => {
    const url = await serve(() => undefined);
    const text = 'No secure connection to the server can be agreed on';
    const fetched = await bench()({ url: parseFeedUrl(url.replace('http:', 'https:')) });
    expect(fetched).toEqual({ kind: 'failed', reason: 'tls', text });
  });

  it('is used where all is well', async () => {
    const url = await serveSecurely(good, (_, response) => void response.end('well'));
    expect(textOf(await bench({ ...HERE, ca: authority.ca })({ url }))).toBe('well');
  });

  describe('and the headers of a private feed', () => {
    const secret = { Authorization: 'Basic c2VjcmV0', 'X-Key': 'secret' };
    const said: RequestListener = (request, response) => {
      response.end(`${request.headers.authorization ?? '-'} ${String(request.headers['x-key'] ?? '-')}`);
    };
    const private_ = (options: Partial<FetchOptions> = {}) => bench({ ...HERE, ca: authority.ca, ...options });

    it('which are sent, also where a redirect stays with the server', async () => {
      const url = await serveSecurely(good, (request, response) => {
        if (request.url === '/') response.writeHead(302, { Location: '/there' }).end();
        else said(request, response);
      });
      expect(textOf(await private_()({ url, headers: secret }))).toBe('Basic c2VjcmV0 secret');
    });

    it('which are not sent to where a redirect leads, nor from there back', async () => {
      let home = '';
      const other = await serveSecurely(good, (request, response) => {
        if (request.url === '/back') response.writeHead(302, { Location: `${home}there` }).end();
        else said(request, response);
      });
      home = await serveSecurely(good, (request, response) => {
        const to = { '/': other, '/away': `${other}back` }[request.url ?? ''];
        if (to) response.writeHead(302, { Location: to }).end();
        else said(request, response);
      });
      expect(textOf(await private_()({ url: parseFeedUrl(home), headers: secret }))).toBe('- -');
      expect(textOf(await private_()({ url: parseFeedUrl(`${home}away`), headers: secret }))).toBe('- -');
    });

    it('which are not followed to where there is no TLS', async () => {
      let asked = 0;
      const open = await serve((_, response) => void response.end(String(++asked)));
      const url = await serveSecurely(good, (_, response) => void response.writeHead(302, { Location: open }).end());
      const fetched = await private_()({ url, headers: secret });
      expect(fetched).toMatchObject({ kind: 'failed', reason: 'redirects' });
      expect(JSON.stringify(fetched)).not.toMatch(/secret|c2VjcmV0/);
      expect(asked).toBe(0);
      expect(textOf(await private_()({ url }))).toBe('1');
    });

    it.each([{ 'X-Key': 'secret\nline' }, { 'X Key': 'secret' }])('which cannot be sent: %j', async (headers) => {
      const url = await serveSecurely(good, said);
      const fetched = await private_()({ url, headers });
      expect(fetched).toMatchObject({ kind: 'failed', reason: 'connect' });
      expect(JSON.stringify(fetched)).not.toContain('secret');
    });
  });
});

describe('connections', () => {
  /** A server that counts its connections; each visit says how many there were. */
  async function counting(answer: RequestListener = () => undefined) {
    let connections = 0;
    const url = await serve((request, response) => {
      answer(request, response);
      if (!response.writableEnded) response.end(String(connections));
    });
    (servers.at(-1) as Server).on('connection', () => connections++);
    return url;
  }

  const visits = async (fetch: ReturnType<typeof bench>, url: FeedUrl, times: number) => {
    const seen = [];
    for (let time = 0; time < times; time++) {
      const fetched = await fetch({ url });
      seen.push(fetched.kind === 'fetched' ? textOf(fetched) : fetched.kind);
    }
    return seen;
  };

  it('are kept for a host that was connected to before', async () => {
    expect(await visits(bench(), await counting(), 4)).toEqual(['1', '2', '2', '2']);
  });

  it('are kept through answers without a body', async () => {
    let asked = 0;
    const url = await counting((_, response) => {
      if (++asked < 5) response.writeHead(304).end();
    });
    expect(await visits(bench(), url, 5)).toEqual([...Array<string>(4).fill('not-modified'), '2']);
  });

  it('lead where they were checked to lead, whatever the DNS says later', async () => {
    const answers = ['127.0.0.1', '127.0.0.1', '10.0.0.1', '10.0.0.1'];
    const resolve = async () => [answers.shift() ?? '10.0.0.1'];
    const { port } = new URL(await counting());
    const fetch = bench({ resolve, allow: ['127.0.0.1/32'] });
    const url = parseFeedUrl(`http://feed.example:${port}/`);
    expect(await visits(fetch, url, 3)).toEqual(['1', '2', '2']);
  });

  it('that the server has closed are not noticed', async () => {
    let asked = 0;
    const url = await counting((request, response) => {
      // The third request comes on a connection that is no longer there for it.
      if (++asked === 3) request.socket.destroy();
      else response.end(String(asked));
    });
    expect(await visits(bench(), url, 3)).toEqual(['1', '2', '4']);
  });

  it('that the server closes again are a failure', async () => {
    let asked = 0;
    const url = await counting((request) => {
      if (++asked > 2) request.socket.destroy();
    });
    expect(await visits(bench(), url, 3)).toEqual(['1', '2', 'failed']);
    expect(asked).toBe(4);
  });

  it('are kept for a few hosts, however many there are', async () => {
    const { port } = new URL(await counting());
    const fetch = bench({ ...HERE, gapMs: 0 });
    const hosts = Array.from({ length: 300 }, (_, at) => parseFeedUrl(`http://host-${at}.example:${port}/`));
    await Promise.all(hosts.map((url) => visits(fetch, url, 2)));
    const counts = await Promise.all(hosts.map((url) => visits(fetch, url, 1)));
    // Two for each of them, and a third one for those whose second one was not kept.
    expect(Math.max(...counts.flat().map(Number))).toBeGreaterThanOrEqual(600 + 44);
  });

  it('that are new are not tried twice', async () => {
    let asked = 0;
    const url = await counting((request) => {
      asked++;
      request.socket.destroy();
    });
    expect(await visits(bench(), url, 1)).toEqual(['failed']);
    expect(asked).toBe(1);
  });
});
