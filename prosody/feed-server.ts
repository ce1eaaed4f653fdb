import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createInbox, type Inbox } from './inbox.js';

/** An entry of a served feed; what is absent is filled in. */
export interface Draft {
  readonly id?: string;
  readonly title?: string;
  readonly link?: string;
  readonly summary?: string;
}

/** An entry as it is served. */
export interface Published {
  readonly id: string;
  readonly title: string;
  readonly link: string;
  readonly summary: string;
  readonly published: string;
  readonly updated: string;
}

/** A feed that changes when told to. */
export interface ServedFeed {
  readonly url: string;
  readonly type: 'application/atom+xml' | 'application/rss+xml';
  /** Newest first. */
  readonly entries: readonly Published[];
  /** Adds an entry at the top. */
  publish(draft?: Draft): Published;
  /** Changes an entry in place: same id, later `updated`. */
  edit(id: string, changes: Draft): Published;
  /** Takes an entry out of the feed, as publishers do with old ones. */
  drop(id: string): void;
  /** Answers like this in its place, until it is told to show itself again. */
  hide(answer: Answer): void;
  show(): void;
}

/** What to answer with, as it stands. */
export interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly type?: string;
  readonly body?: string | Buffer;
}

/** One request that was answered. */
export interface Hit {
  readonly path: string;
  readonly method: string;
  readonly headers: IncomingMessage['headers'];
  readonly status: number;
}

/** A small web server on loopback for feeds, pages and trouble. */
export interface FeedServer {
  readonly port: number;
  /** Every answered request; take() one to wait for it. */
  readonly hits: Inbox<Hit>;
  url(path: string): string;
  /** How often a path was answered, in all or with this status. */
  count(path: string, status?: number): number;
  /** Serves a feed with correct validators. `keep` is how many entries it shows. */
  feed(path: string, options: { format: 'atom' | 'rss'; title: string; keep?: number }): ServedFeed;
  /** Serves an HTML page that names these feeds by rel=alternate. */
  page(path: string, feeds: readonly ServedFeed[]): string;
  /** Serves the same bytes every time, with correct validators when the status is 200. */
  raw(path: string, answer: Answer): string;
  /** Serves whatever the handler does: hanging, dripping, lying. */
  handle(path: string, handler: (request: IncomingMessage, response: ServerResponse) => void): string;
  stop(): Promise<void>;
}

/** Starts the feed server; without a port, on a free one. */
export async function startFeedServer(port = 0): Promise<FeedServer> {
  const handlers = new Map<string, (request: IncomingMessage, response: ServerResponse) => void>();
  const counts = new Map<string, number>();
  const hits = createInbox<Hit>('feed server');

  const server = createServer((request, response) => {
    const { url: path = '/', method = 'GET', headers } = request;
    response.on('finish', () => {
      const status = response.statusCode;
      for (const key of [path, `${status} ${path}`]) counts.set(key, (counts.get(key) ?? 0) + 1);
      hits.push({ path, method, headers, status });
    });
    const handler = handlers.get(path);
    if (handler) handler(request, response);
    else response.writeHead(404, { 'content-type': 'text/plain' }).end('Nothing here.\n');
  }).listen(port, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const bound = typeof address === 'object' && address ? address.port : port;
  const url = (path: string) => `http://127.0.0.1:${bound}${path}`;

  const handle: FeedServer['handle'] = (path, handler) => {
    handlers.set(path, handler);
    return url(path);
  };

  const raw: FeedServer['raw'] = (path, answer) => {
    const { status = 200, headers = {}, type = 'text/plain; charset=utf-8', body = '' } = answer;
    const resource: Resource = { type, headers, body: Buffer.from(body), modified: Date.now() };
    return handle(path, (request, response) => {
      if (status === 200) answerWith(request, response, resource);
      else response.writeHead(status, { 'content-type': type, ...headers }).end(body);
    });
  };

  return {
    port: bound,
    hits,
    url,
    count: (path, status) => counts.get(status === undefined ? path : `${status} ${path}`) ?? 0,
    handle,
    raw,
    page(path, feeds) {
      const links = feeds.map(({ type, url }) => `<link rel="alternate" type="${type}" href="${escape(url)}">`);
      const body = `<!doctype html><title>A page</title>${links.join('')}<p>This page has a feed.`;
      return raw(path, { type: 'text/html; charset=utf-8', body });
    },
    feed(path, { format, title, keep = 20 }) {
      const [type, render] =
        format === 'atom' ? (['application/atom+xml', atom] as const) : (['application/rss+xml', rss] as const);
      let entries: readonly Published[] = [];
      let modified = 0;
      let moment = 0;
      // Two changes in one millisecond must not look simultaneous: readers order by date.
      const now = () => new Date((moment = Math.max(moment + 1, Date.now()))).toISOString();
      let resource: Resource;
      const change = (next: readonly Published[]) => {
        entries = next.slice(0, keep);
        // Whole seconds, and never the same twice: If-Modified-Since alone must tell two versions apart.
        modified = Math.max(modified + 1000, Math.floor(Date.now() / 1000) * 1000);
        const body = Buffer.from(render(title, url(path), entries));
        resource = { type: `${type}; charset=utf-8`, headers: {}, body, modified };
      };
      change([]);
      let count = 0;
      const show = () => void handle(path, (request, response) => answerWith(request, response, resource));
      show();
      return {
        url: url(path),
        type,
        get entries() {
          return entries;
        },
        publish(draft = {}) {
          const published = now();
          count += 1;
          // Unlike a mere number, the time keeps ids unique when a feed is served again by a later process.
          const id = draft.id ?? `tag:localhost,2026:${path}#${published}`;
          const link = draft.link ?? `${url(path)}#${moment}`;
          const entry = { title: `Entry ${count}`, summary: `Written at ${published}.`, ...draft, id, link };
          const complete = { ...entry, published, updated: published };
          change([complete, ...entries]);
          return complete;
        },
        edit(id, changes) {
          const before = entries.find((entry) => entry.id === id);
          if (!before) throw new Error(`${path} has no entry ${id}`);
          const after = { ...before, ...changes, id, updated: now() };
          change(entries.map((entry) => (entry === before ? after : entry)));
          return after;
        },
        drop(id) {
          change(entries.filter((entry) => entry.id !== id));
        },
        hide: (answer) => void raw(path, answer),
        show,
      };
    },
    async stop() {
      hits.close('stopped');
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Tells the intake at `intake` (such as http://127.0.0.1:8080) that `url` has changed; gives the HTTP status. */
export async function ping(intake: string, url: string): Promise<number> {
  const response = await fetch(new URL('/ping', intake), { method: 'POST', body: new URLSearchParams({ url }) });
  await response.arrayBuffer();
  return response.status;
}

interface Resource {
  readonly type: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly modified: number;
}

/** RFC 9110 13.2.2: If-None-Match decides; If-Modified-Since counts only without it. */
function answerWith(request: IncomingMessage, response: ServerResponse, resource: Resource): void {
  const { body, type, headers } = resource;
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  const validators = { etag, 'last-modified': new Date(resource.modified).toUTCString() };
  const { 'if-none-match': tags, 'if-modified-since': since } = request.headers;
  const unchanged =
    tags === undefined
      ? since !== undefined && Math.floor(resource.modified / 1000) * 1000 <= Date.parse(since)
      : tags.split(',').some((tag) => tag.trim() === '*' || tag.trim().replace(/^W\//, '') === etag);
  if (unchanged) {
    response.writeHead(304, { ...validators, ...headers }).end();
    return;
  }
  response.writeHead(200, { 'content-type': type, 'content-length': body.length, ...validators, ...headers });
  response.end(request.method === 'HEAD' ? undefined : body);
}

function escape(text: string): string {
  return text.replace(/[<>&"]/g, (char) => `&#${char.charCodeAt(0)};`);
}

function atom(title: string, url: string, entries: readonly Published[]): string {
  const entry = (e: Published) => `
  <entry>
    <id>${escape(e.id)}</id>
    <title>${escape(e.title)}</title>
    <link rel="alternate" href="${escape(e.link)}"/>
    <published>${e.published}</published>
    <updated>${e.updated}</updated>
    <summary>${escape(e.summary)}</summary>
  </entry>`;
  return `<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom">
  <id>${escape(url)}</id>
  <title>${escape(title)}</title>
  <link rel="self" href="${escape(url)}"/>
  <updated>${entries[0]?.updated ?? '2026-01-01T00:00:00Z'}</updated>
  <author><name>Hydrant's feed server</name></author>${entries.map(entry).join('')}
</feed>
`;
}

function rss(title: string, url: string, entries: readonly Published[]): string {
  const item = (e: Published) => `
    <item>
      <guid isPermaLink="false">${escape(e.id)}</guid>
      <title>${escape(e.title)}</title>
      <link>${escape(e.link)}</link>
      <pubDate>${new Date(e.published).toUTCString()}</pubDate>
      <description>${escape(e.summary)}</description>
    </item>`;
  return `<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0">
  <channel>
    <title>${escape(title)}</title>
    <link>${escape(url)}</link>
    <description>${escape(title)}, served by Hydrant's feed server</description>${entries.map(item).join('')}
  </channel>
</rss>
`;
}
