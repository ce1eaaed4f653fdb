import Fastify, { type FastifyInstance } from 'fastify';
import { feedIdOf, parseFeedUrl, type FeedId } from '../lib/domain.js';
import type { Emit } from '../lib/events.js';
import { Fault } from '../lib/faults.js';
import type { Enqueue } from '../lib/queues.js';
import type { AliasStore } from '../lib/store/aliases.js';
import type { FeedStore } from '../lib/store/feeds.js';
import { PINGS } from './pings/index.js';

/** What /health says of each part; `ok` of the whole is true when every part is. */
export interface Health {
  readonly component: 'up' | 'down';
  readonly redis: 'up' | 'down';
  readonly queues: Readonly<Record<string, number>> | 'down';
  /** Entries that wait for delivery; counting stops at a thousand per partition. */
  readonly backlog: number;
}

export interface IntakeDeps {
  readonly feeds: Pick<FeedStore, 'get' | 'ping'>;
  readonly aliases: Pick<AliasStore, 'feedsOf'>;
  readonly enqueue: Enqueue<'ping'>;
  readonly pingMinMs: number;
  readonly health: () => Promise<Health>;
  /** Prometheus' text format, of both processes. */
  readonly metrics: () => Promise<string>;
  readonly emit: Emit;
}

// A ping is a few URLs; whatever is larger is none. Each is a look-up, so there are not many of them.
const PING_MAX_BYTES = 8_192;
const URLS_PER_PING = 10;

/**
 * The HTTP side: pings, /health, /metrics. Answers before anything is fetched; slow senders are cut off.
 * Nothing listens until listen() is called on the result.
 */
export function createIntake(deps: IntakeDeps): FastifyInstance {
  const server = Fastify({
    bodyLimit: PING_MAX_BYTES,
    connectionTimeout: 20_000,
    requestTimeout: 20_000,
    http: { headersTimeout: 10_000, connectionsCheckingInterval: 1_000 },
    forceCloseConnections: 'idle',
  });
  server.server.maxConnections = 2_000;
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
    done(null, body);
  });

  for (const protocol of PINGS) {
    server.route({
      method: protocol.method,
      url: protocol.path,
      async handler(request, reply) {
        const body = typeof request.body === 'string' ? request.body : '';
        const query = new URL(request.url, 'http://intake').searchParams;
        const refusal = await taken(() => protocol.read(body, query));
        const answer = protocol.reply(refusal);
        return reply.code(answer.status).type(answer.type).send(answer.body);
      },
    });
  }

  /** Takes a ping; what comes back is the reason to refuse it, if any. */
  async function taken(read: () => readonly string[]): Promise<string | undefined> {
    try {
      for (const url of read().slice(0, URLS_PER_PING)) await ping(url);
      return undefined;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      deps.emit('pinged', { outcome: 'refused' });
      return error.message;
    }
  }

  /** Queues a look at each feed that the URL stands for. A URL that we do not know is never fetched. */
  async function ping(text: string): Promise<void> {
    const url = parseFeedUrl(text);
    const named = feedIdOf(url);
    const feeds = new Set<FeedId>(await deps.aliases.feedsOf(url));
    if (await deps.feeds.get(named)) feeds.add(named);
    for (const feed of feeds) {
      const { delayMs, slot } = await deps.feeds.ping(feed, deps.pingMinMs);
      await deps.enqueue({ feed, slot }, delayMs);
    }
    deps.emit('pinged', { outcome: feeds.size > 0 ? 'queued' : 'unknown' });
  }

  server.get('/health', async (_request, reply) => {
    const health = await deps.health();
    const ok = health.component === 'up' && health.redis === 'up' && health.queues !== 'down';
    return reply.code(ok ? 200 : 503).send({ ok, ...health });
  });

  server.get('/metrics', async (_request, reply) =>
    reply.type('text/plain; version=0.0.4; charset=utf-8').send(await deps.metrics()),
  );

  server.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
    const status = error.statusCode ?? 503;
    if (status >= 500) deps.emit('warning', { text: `HTTP request failed: ${error.message}` });
    return reply
      .code(status)
      .type('text/plain; charset=utf-8')
      .send(status < 500 ? `${error.message}\n` : 'Try again later\n');
  });

  return server;
}
