import { once, setMaxListeners } from 'node:events';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate, inflateRaw } from 'node:zlib';
import got, { type StreamOptions } from 'got';
import { parseFeedUrl, type Failure, type FeedUrl, type Target, type Validators } from '../lib/domain.js';
import { createGuardedAgents, type Resolve } from './guard.js';

export interface FetchOptions {
  /** FETCH_CONCURRENCY: requests at once. */
  readonly concurrency: number;
  /** FETCH_PER_HOST: requests at once to one host and port. */
  readonly perHost: number;
  /** FETCH_TIMEOUT_SECONDS: from the first lookup to the last byte, redirects included, waiting for a turn not. */
  readonly timeoutMs: number;
  /** FETCH_MAX_BYTES: of a body, after decompression. */
  readonly maxBytes: number;
  /** FETCH_ALLOW. */
  readonly allow: readonly string[];
  /** `Hydrant/<version> (+<contact>)`: a publisher may want to know who is asking. */
  readonly userAgent: string;
  /** What is asked for (RFC 9110 12.5.1), where it is not a feed. */
  readonly accept?: string;
  /** Replaces DNS. */
  readonly resolve?: Resolve;
}

type Failed = { readonly kind: 'failed' } & Failure;

/** What a conditional GET came to. The world's faults are values. */
export type Fetched =
  | {
      readonly kind: 'fetched';
      readonly bytes: Uint8Array<ArrayBuffer>;
      /** The Content-Type, or an empty text. */
      readonly contentType: string;
      /** The Link headers (RFC 8288), joined by commas; an empty text where there is none. */
      readonly link: string;
      readonly validators: Validators;
      /** Where the redirects ended. */
      readonly url: FeedUrl;
      /** The same, when there were some and each was permanent (301, 308). */
      readonly moved?: FeedUrl;
    }
  /** With validators where the 304 brought newer ones. */
  | { readonly kind: 'not-modified'; readonly validators?: Validators; readonly moved?: FeedUrl }
  | Failed;

/**
 * A conditional GET (RFC 9110 13.1): the validators of last time go back exactly as they came. Follows up to five
 * redirects. There is no other way out to the web, and none past the guard.
 * @throws the signal's reason once the signal is aborted; nothing else.
 */
export type Fetch = (target: Pick<Target, 'url' | 'validators' | 'headers'>, signal?: AbortSignal) => Promise<Fetched>;

export function createFetch(options: FetchOptions): Fetch {
  const client = got.extend({
    agent: createGuardedAgents(options),
    headers: {
      'user-agent': options.userAgent,
      accept: options.accept ?? ACCEPT,
      'accept-encoding': 'gzip, deflate, br',
    },
    // A body is decompressed below, where what it grows to can be limited.
    decompress: false,
    followRedirect: false,
    throwHttpErrors: false,
    // When to try again is the schedule's business.
    retry: { limit: 0 },
  });
  const inTurn = createTurns(options.concurrency, options.perHost);

  /** One request. `use` reads the answer; what it leaves unread is never received. */
  async function request<T>(
    url: FeedUrl,
    details: StreamOptions,
    { budget, signal }: Patience,
    use: (answer: Answer) => Promise<T>,
  ): Promise<T | Failed> {
    signal?.throwIfAborted();
    const started = performance.now();
    const ending = new AbortController();
    const end = () => ending.abort();
    const deadline = setTimeout(end, budget.milliseconds);
    signal?.addEventListener('abort', end);
    const stream = client.stream(url, { ...details, signal: ending.signal });
    // An error that comes between two awaits is not lost: the next one rejects with it.
    stream.on('error', () => undefined);
    try {
      const [{ statusCode, headers }] = (await once(stream, 'response')) as [IncomingMessage];
      return await use({ status: statusCode ?? 0, headers, stream });
    } catch (error) {
      signal?.throwIfAborted();
      return { kind: 'failed', ...(ending.signal.aborted ? unreachable('timeout') : failureOf(error)) };
    } finally {
      clearTimeout(deadline);
      signal?.removeEventListener('abort', end);
      stream.destroy();
      budget.milliseconds -= performance.now() - started;
    }
  }

  const patience = (signal: AbortSignal | undefined): Patience => {
    // All requests share the signal that ends the process, which is no leak.
    if (signal) setMaxListeners(0, signal);
    return { budget: { milliseconds: options.timeoutMs }, signal };
  };

  return async ({ url, validators = {}, headers: credentials }, signal) => {
    const patient = patience(signal);
    const conditions = { 'if-none-match': validators.etag, 'if-modified-since': validators.lastModified };
    let at = url;
    let isPermanent = true;
    for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
      const here = at;
      const isOwn = new URL(here).origin === new URL(url).origin;
      const headers = { ...(isOwn && credentials), ...conditions };
      const read = (answer: Answer) => readAnswer(answer, here, options.maxBytes);
      const seen = await inTurn(here, signal, () => request(here, { headers }, patient, read));
      if (seen.kind === 'failed') return seen;
      if (seen.kind !== 'redirect') return { ...seen, ...(isPermanent && at !== url && { moved: at }) };
      at = seen.to;
      isPermanent &&= seen.isPermanent;
    }
    return { kind: 'failed', reason: 'redirects', text: 'The URL redirects too often' };
  };
}

const ACCEPT = [
  'application/atom+xml, application/rss+xml, application/rdf+xml, application/feed+json',
  'application/xml;q=0.9, text/xml;q=0.9, application/json;q=0.8, text/html;q=0.5, */*;q=0.1',
].join(', ');

const MAX_REDIRECTS = 5;

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly stream: Readable;
}

interface Patience {
  /** Shared by the requests of one fetch. */
  readonly budget: { milliseconds: number };
  readonly signal: AbortSignal | undefined;
}

interface Redirect {
  readonly kind: 'redirect';
  readonly to: FeedUrl;
  readonly isPermanent: boolean;
}

/** A failure on its way up to where it becomes a value. */
class FetchFailure extends Error {
  constructor(readonly failure: Failure) {
    super(failure.text);
  }
}

async function readAnswer(answer: Answer, url: FeedUrl, maxBytes: number): Promise<Fetched | Redirect> {
  const { status, headers } = answer;
  const validators = validatorsIn(headers);
  if (status === 304) {
    return { kind: 'not-modified', ...(Object.keys(validators).length > 0 && { validators }) };
  }
  if (REDIRECTS.has(status) && headers.location) {
    return { kind: 'redirect', to: redirectTarget(headers.location, url), isPermanent: PERMANENT.has(status) };
  }
  if (status < 200 || status > 299) {
    const wait = retryAfter(headers);
    const text = `The server answered with status ${status}`;
    return { kind: 'failed', reason: 'http-status', status, text, ...(wait !== undefined && { retryAfter: wait }) };
  }
  return {
    kind: 'fetched',
    bytes: await readBody(answer, maxBytes),
    contentType: headers['content-type'] ?? '',
    link: [headers['link'] ?? []].flat().join(', '),
    validators,
    url,
  };
}

/** The statuses of RFC 9110 15.4 that name one other place. */
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const PERMANENT: ReadonlySet<number> = new Set([301, 308]);

/** Held to what a feed's own URL is held to; so nothing with credentials, on which https could be lost, is followed. */
function redirectTarget(location: string, from: FeedUrl): FeedUrl {
  try {
    // Node reads headers as Latin-1; those who do not escape their URLs write UTF-8.
    return parseFeedUrl(new URL(Buffer.from(location, 'latin1').toString(), from).href);
  } catch {
    throw new FetchFailure({ reason: 'redirects', text: 'The URL redirects to something that cannot be followed' });
  }
}

const MAX_VALIDATOR_CHARS = 1_024;

/** Validators are stored for every feed: absurdly long ones are as good as none. */
function validatorsIn({ etag, 'last-modified': lastModified }: IncomingHttpHeaders): Validators {
  return {
    ...(etag && etag.length <= MAX_VALIDATOR_CHARS && { etag }),
    ...(lastModified && lastModified.length <= MAX_VALIDATOR_CHARS && { lastModified }),
  };
}

/** Seconds (RFC 9110 10.2.3). A date is measured by the server's own clock, which may be wrong by years. */
function retryAfter({ 'retry-after': value, date }: IncomingHttpHeaders): number | undefined {
  if (!value) return undefined;
  if (/^\s*\d{1,9}\s*$/.test(value)) return Number(value);
  const seconds = Math.ceil((Date.parse(value) - (date ? Date.parse(date) : Date.now())) / 1_000);
  return Number.isFinite(seconds) ? Math.max(0, seconds) : undefined;
}

const DECODERS = new Map<string, (bytes: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>>([
  ['gzip', promisify(gunzip)],
  ['x-gzip', promisify(gunzip)],
  ['br', promisify(brotliDecompress)],
  // Half of the servers that say deflate leave the zlib header out.
  ['deflate', (bytes, options) => promisify(((bytes[0] ?? 0) & 0x0f) === 8 ? inflate : inflateRaw)(bytes, options)],
]);

/** Feeds of any size may grow so much; what grows more, and by more than 200 times, is a bomb. */
const HARMLESS_BYTES = 5_242_880;
const HARMLESS_RATIO = 200;

async function readBody({ headers, stream }: Answer, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) throw new FetchFailure(TOO_LARGE);
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks, length);
  const [encoding, ...more] = (headers['content-encoding'] ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name && name !== 'identity');
  if (more.length > 0) throw new FetchFailure(UNDECODABLE);
  const decode = encoding && length > 0 ? DECODERS.get(encoding) : undefined;
  if (!decode) return new Uint8Array(body);
  try {
    const maxOutputLength = Math.min(maxBytes, Math.max(HARMLESS_BYTES, HARMLESS_RATIO * length));
    return new Uint8Array(await decode(body, { maxOutputLength }));
  } catch (error) {
    throw new FetchFailure(codeOf(error) === 'ERR_BUFFER_TOO_LARGE' ? TOO_LARGE : UNDECODABLE);
  }
}

const TOO_LARGE: Failure = { reason: 'too-large', text: 'The answer is too large' };
const UNDECODABLE: Failure = { reason: 'parse', text: 'The answer is encoded in a way that cannot be read' };

/** In one wording for all of them: a stranger who can name URLs must not learn which of our neighbours' ports are open. */
const unreachable = (reason: Failure['reason']): Failure => ({ reason, text: 'The server could not be reached' });

function failureOf(error: unknown): Failure {
  if (error instanceof FetchFailure) return error.failure;
  const code = codeOf(error);
  if (code === 'EBLOCKED') return unreachable('blocked-address');
  if (code === 'ENOTFOUND') return unreachable('dns');
  return unreachable(TLS_ERROR.test(code) ? 'tls' : 'connect');
}

const TLS_ERROR =
  /^(?:ERR_TLS|ERR_SSL|EPROTO|CERT_|CRL_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO_|INVALID_(?:CA|PURPOSE)|HOSTNAME_)/;

const codeOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string' ? error.code : '';

/** Does work when its turn comes: at most `total` at once, `perHost` of them for one host and port. */
function createTurns(total: number, perHost: number) {
  const all = createGate(total);
  const hosts = new Map<string, Gate>();

  return async function inTurn<T>(url: FeedUrl, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const { host } = new URL(url);
    const gate = hosts.get(host) ?? createGate(perHost);
    hosts.set(host, gate);
    // The host first: who waits for a slow host must not keep a place from the others.
    await gate.enter(signal);
    try {
      await all.enter(signal);
      try {
        return await work();
      } finally {
        all.leave();
      }
    } finally {
      if (gate.leave() === perHost) hosts.delete(host);
    }
  };
}

type Gate = ReturnType<typeof createGate>;

/** Lets `size` in at once, the others in the order in which they came. */
function createGate(size: number) {
  let free = size;
  const waiting = new Set<() => void>();
  return {
    enter(signal: AbortSignal | undefined): Promise<void> {
      return new Promise((resolve, reject) => {
        signal?.throwIfAborted();
        if (free > 0) {
          free--;
          return resolve();
        }
        const giveUp = () => {
          waiting.delete(admit);
          reject(signal?.reason as Error);
        };
        const admit = () => {
          signal?.removeEventListener('abort', giveUp);
          resolve();
        };
        waiting.add(admit);
        signal?.addEventListener('abort', giveUp, { once: true });
      });
    },
    /** How many places are free now. */
    leave(): number {
      const [next] = waiting;
      if (!next) return ++free;
      waiting.delete(next);
      next();
      return free;
    },
  };
}
