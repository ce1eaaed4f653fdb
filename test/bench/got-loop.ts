import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import got from 'got';
import { createGuardedAgents } from '../../scheduler/guard.js';
import { urlOf, VALIDATORS, type Kind } from './web-feeds.js';

/**
 * What fetching costs by itself: got with the options that scheduler/fetch.ts gives it, and nothing around it. A process
 * of its own that program.ts starts.
 */

export interface GotOrder {
  readonly kind: Kind;
  readonly port: number;
  /** The feeds are those from `first` on, each once. */
  readonly first: number;
  readonly atOnce: number;
  readonly seconds: number;
}

export interface GotAnswer {
  readonly fetches: number;
  readonly seconds: number;
}

const { fresh: _, ...agent } = createGuardedAgents({ allow: ['127.0.0.0/8'] });
const client = got.extend({
  agent,
  headers: {
    'user-agent': 'Hydrant/0.1.0',
    accept: 'application/atom+xml, application/rss+xml, application/xml;q=0.9, text/html;q=0.5, */*;q=0.1',
    'accept-encoding': 'gzip, deflate, br',
  },
  decompress: false,
  followRedirect: false,
  throwHttpErrors: false,
  retry: { limit: 0 },
});
const conditional = { 'if-none-match': VALIDATORS.etag, 'if-modified-since': VALIDATORS.lastModified };

/** @throws Error when the answer is none that this kind of feed gives */
async function fetchOne(kind: Kind, number: number, port: number): Promise<void> {
  const stream = client.stream(urlOf(kind, number, port), kind === 'quiet' ? { headers: conditional } : {});
  stream.on('error', () => undefined);
  try {
    const [{ statusCode }] = (await once(stream, 'response')) as [IncomingMessage];
    if (statusCode !== (kind === 'quiet' ? 304 : 200)) throw new Error(`${kind} is answered with ${statusCode ?? '?'}`);
    if (kind !== 'quiet') await once(stream.resume(), 'end');
  } finally {
    if (!stream.readableEnded) stream.destroy();
  }
}

async function loop({ kind, port, first, atOnce, seconds }: GotOrder): Promise<GotAnswer> {
  const started = performance.now();
  const elapsed = () => (performance.now() - started) / 1_000;
  let fetches = 0;
  const lane = async () => {
    while (elapsed() < seconds) await fetchOne(kind, first + fetches++, port);
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return { fetches, seconds: elapsed() };
}

process.on('message', (order: GotOrder) => void loop(order).then((answer) => process.send?.(answer)));
process.once('disconnect', () => process.exit());
process.send?.('ready');
