import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from '@jest/globals';
import { parseFeedUrl, type FeedUrl } from '../../lib/domain.js';
import { createFetch, type Fetched, type FetchOptions } from '../../scheduler/fetch.js';

const MEGABYTE = 1_048_576;
const servers: Server[] = [];

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

const bench = (options: Partial<FetchOptions> = {}) =>
  createFetch({
    concurrency: 100,
    perHost: 2,
    timeoutMs: 10_000,
    maxBytes: 10 * MEGABYTE,
    allow: ['127.0.0.0/8'],
    userAgent: 'Hydrant/test (+https://hydrant.example)',
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
    ['gzip', gzipSync(text).subarray(0, 40), 'parse'],
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

  it('that break off fail', async () => {
    const url = await serve((_, response) => {
      response.writeHead(200, { 'Content-Length': '100' });
      response.write('half', () => response.destroy());
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
    const results = await Promise.all(urls.flatMap((url) => Array.from({ length: 20 }, () => fetch({ url }))));
    expect(results.every(({ kind }) => kind === 'fetched')).toBe(true);
    expect(most).toEqual({ host: 2, all: 3 });
  });

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
  it('reads the same, whatever it is', async () => {
    const free = await serve(() => undefined);
    const closed = servers.pop();
    closed?.close();
    const unknown = bench({ resolve: () => Promise.reject(new Error('no such name')) });
    const results = [
      await bench()({ url: free }),
      await bench({ allow: [] })({ url: free }),
      await unknown({ url: parseFeedUrl('http://nowhere.example/') }),
      await bench()({ url: parseFeedUrl((await serve(() => undefined)).replace('http:', 'https:')) }),
    ];
    const reasons = results.map((result) => (result.kind === 'failed' ? result.reason : result.kind));
    expect(reasons).toEqual(['connect', 'blocked-address', 'dns', 'tls']);
    expect(new Set(results.map((result) => (result.kind === 'failed' ? result.text : '')))).toEqual(
      new Set(['The server could not be reached']),
    );
  });
});
