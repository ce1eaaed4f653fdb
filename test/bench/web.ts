import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { bodyOf, KINDS, VALIDATORS, type Kind } from './web-feeds.js';

/**
 * A web of feeds, a process of its own that program.ts starts: so plain that it is never what is measured. It tells what
 * it has seen to whoever asks by the channel of its parent.
 */

/** What the parent says. */
export type WebOrder =
  /** Begins to count anew, and answers from now on after so many milliseconds. */
  | { readonly ask: 'restart'; readonly delayMs: number }
  /** What has been seen since then. */
  | { readonly ask: 'tell' };

export interface WebSeen {
  readonly requests: number;
  /** Requests for a feed that another request for the same feed was still waiting at. */
  readonly overlaps: number;
  /** When each feed was asked for first, in ms since 1970, by its number. */
  readonly firsts: readonly (readonly [number, number])[];
}

let delayMs = 0;
let requests = 0;
let overlaps = 0;
let firsts = new Map<number, number>();
const inHand = new Set<string>();
const editions = new Map<number, number>();

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { url = '', headers } = request;
  const [, kind, digits] = url.split('/');
  const number = Number(digits);
  if (!isKind(kind) || !Number.isSafeInteger(number)) return void response.writeHead(404).end();
  requests++;
  if (!firsts.has(number)) firsts.set(number, Date.now());
  if (delayMs > 0) {
    if (inHand.has(url)) overlaps++;
    inHand.add(url);
    await sleep(delayMs);
    inHand.delete(url);
  }
  if (kind === 'quiet' && headers['if-none-match'] === VALIDATORS.etag) {
    return void response.writeHead(304, { etag: VALIDATORS.etag }).end();
  }
  const edition = kind === 'lively' ? (editions.get(number) ?? 0) : 0;
  if (kind === 'lively') editions.set(number, edition + 1);
  const body = bodyOf(number, edition);
  const validators = kind === 'quiet' ? { etag: VALIDATORS.etag, 'last-modified': VALIDATORS.lastModified } : {};
  response.writeHead(200, { 'content-type': 'application/atom+xml', 'content-length': body.length, ...validators });
  response.end(body);
}

const isKind = (text: string | undefined): text is Kind => KINDS.some((kind) => kind === text);

const server = createServer((request, response) => void answer(request, response));
// Every address of 127.0.0.0/8 is ours only when all are; nobody else is let in.
server.on('connection', (socket) => {
  if (!socket.localAddress?.startsWith('127.')) socket.destroy();
});
server.listen({ port: 0, host: '0.0.0.0', backlog: 4_096 });
await once(server, 'listening');
process.on('message', (order: WebOrder) => {
  if (order.ask === 'tell') {
    process.send?.({ requests, overlaps, firsts: [...firsts] } satisfies WebSeen);
    return;
  }
  ({ delayMs } = order);
  requests = overlaps = 0;
  firsts = new Map();
  process.send?.('restarted');
});
process.once('disconnect', () => process.exit());
process.send?.((server.address() as AddressInfo).port);
