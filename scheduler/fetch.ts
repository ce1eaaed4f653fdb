import { setMaxListeners } from 'node:events';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import {
  brotliDecompress,
  constants,
  gunzip,
  inflate,
  inflateRaw,
  type BrotliOptions,
  type ZlibOptions,
} from 'node:zlib';
import got, { type Request as Exchange, type StreamOptions } from 'got';
import { parseFeedUrl, type Failure, type FeedUrl, type Target, type Validators } from '../lib/domain.js';
import { createGuardedAgents, type GuardOptions } from './guard.js';
import { createHosts, type Hosts, type HostsOptions, type Postponed } from './hosts.js';

export interface FetchOptions extends HostsOptions, Pick<GuardOptions, 'resolve' | 'ca'> {
  /** FETCH_TIMEOUT_SECONDS: from the first lookup to the last byte, redirects included, waiting for a turn not. */
  readonly timeoutMs: number;
  /** FETCH_MAX_BYTES: of a body, after decompression. */
  readonly maxBytes: number;
  /** FETCH_ALLOW. */
  readonly allow: readonly string[];
  /** `Hydrant/<version>`; a comment with the contact and the number of subscribers follows it. */
  readonly userAgent: string;
  /** PUBLIC_URL: a publisher may want to know who is asking. */
  readonly contact?: string | undefined;
  /** What is asked for (RFC 9110 12.5.1), where it is not a feed. */
  readonly accept?: string;
  /** Where several fetches share their turns; then the options for turns above are theirs. */
  readonly hosts?: Hosts;
}

type Failed = { readonly kind: 'failed' } & Failure;

/** What a conditional GET came to. The world's faults are values. */
export type Fetched =
  | {
      readonly kind: 'fetched';
      readonly bytes: Uint8Array<ArrayBuffer>;
      /** The server broke off: this is the beginning of a body. It comes without validators, which are for all of it. */
      readonly isCut?: true;
      /** The Content-Type, or an empty text. */
      readonly contentType: string;
      /** The Link headers (RFC 8288), joined by commas; an empty text where there is none. */
      readonly link: string;
      readonly validators: Validators;
      /** Seconds for which the server calls its answer fresh (RFC 9111 4.2); absent where it does not, or absurdly long. */
      readonly freshFor?: number;
      /** Where the redirects ended. */
      readonly url: FeedUrl;
      /** The same, when there were some and each was permanent (301, 308). */
      readonly moved?: FeedUrl;
    }
  /** With validators where the 304 brought newer ones. */
  | {
      readonly kind: 'not-modified';
      readonly validators?: Validators;
      readonly freshFor?: number;
      readonly moved?: FeedUrl;
    }
  /** Not asked, or not to the end of the redirects: see hosts.ts. */
  | Postponed
  | Failed;

/**
 * A conditional GET (RFC 9110 13.1): the validators of last time go back exactly as they came. Follows up to five
 * redirects. There is no other way out to the web, and none past the guard.
 * @throws the signal's reason once the signal is aborted; nothing else.
 */
export type Fetch = (target: Omit<Target, 'body'>, signal?: AbortSignal) => Promise<Fetched>;

export function createFetch(options: FetchOptions): Fetch {
  const { fresh, ...agents } = createGuardedAgents(options);
  const client = got.extend({
    agent: agents,
    headers: {
      'user-agent': userAgentOf(options, undefined),
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
  const hosts = options.hosts ?? createHosts(options);

  /** One request; 'closed' when it was made on a connection that the server had closed. */
  async function attempt(
    url: FeedUrl,
    details: StreamOptions,
    patience: Patience,
    read: Read,
  ): Promise<Seen | 'closed'> {
    const { budget, signal } = patience;
    signal?.throwIfAborted();
    const started = performance.now();
    const exchange = client.stream(url, details);
    const end = () => void exchange.destroy(new FetchFailure(unreachable('timeout')));
    const deadline = setTimeout(end, budget.milliseconds);
    signal?.addEventListener('abort', end);
    let isAnswered = false;
    try {
      const { statusCode = 0, headers } = await answerTo(exchange);
      isAnswered = true;
      return await read({ status: statusCode, headers, exchange });
    } catch (error) {
      signal?.throwIfAborted();
      if (!isAnswered && exchange.reusedSocket && CLOSED.has(codeOf(error))) return 'closed';
      return { kind: 'failed', ...failureOf(error) };
    } finally {
      clearTimeout(deadline);
      signal?.removeEventListener('abort', end);
      // What is left unread is never received; a connection without a rest goes on to the next request.
      if (!exchange.readableEnded) exchange.destroy();
      budget.milliseconds -= performance.now() - started;
    }
  }

  async function request(url: FeedUrl, details: StreamOptions, patience: Patience, read: Read): Promise<Seen> {
    const seen = await attempt(url, details, patience, read);
    if (seen !== 'closed') return seen;
    const again = await attempt(url, { ...details, agent: fresh }, patience, read);
    return again === 'closed' ? { kind: 'failed', ...unreachable('connect') } : again;
  }

  return async ({ url, validators = {}, subscribers, awaited, headers }, signal) => {
    // All requests share the signal that ends the process, which is no leak.
    if (signal) setMaxListeners(0, signal);
    const patience = { budget: { milliseconds: options.timeoutMs }, signal };
    const open = {
      ...(validators.etag && { 'if-none-match': validators.etag }),
      ...(validators.lastModified && { 'if-modified-since': validators.lastModified }),
      ...(subscribers && { 'user-agent': userAgentOf(options, subscribers) }),
    };
    let secret = headers;
    let at = url;
    let isPermanent = true;
    for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
      const here = at;
      const host = hostOf(here);
      const details = { headers: { ...open, ...secret } };
      const read: Read = (answer) => {
        hosts.hear(host, here, { status: answer.status, retryAfter: retryAfter(answer.headers) });
        return readAnswer(answer, here, options.maxBytes);
      };
      const seen = await hosts.inTurn(host, { awaited, signal }, () => request(here, details, patience, read));
      if (seen.kind === 'failed' || seen.kind === 'postponed') return seen;
      if (seen.kind !== 'redirect') return { ...seen, ...(isPermanent && at !== url && { moved: at }) };
      if (secret && here.startsWith('https:') && seen.to.startsWith('http:')) return { kind: 'failed', ...UNSAFE };
      if (new URL(seen.to).origin !== new URL(here).origin) secret = undefined;
      at = seen.to;
      isPermanent &&= seen.isPermanent;
    }
    return { kind: 'failed', reason: 'redirects', text: 'The URL redirects too often' };
  };
}

/** Name and port: what stands between the scheme and the path, which a FeedUrl always has. Faster than parsing it. */
const hostOf = (url: FeedUrl): string => {
  const start = url.indexOf('//') + 2;
  return url.slice(start, url.indexOf('/', start));
};

/** `Hydrant/1.2.3 (+https://hydrant.example/; 5 subscribers)`: how publishers count who reads them. */
function userAgentOf({ userAgent, contact }: FetchOptions, subscribers: number | undefined): string {
  const comment = [
    ...(contact ? [`+${contact}`] : []),
    ...(subscribers ? [`${subscribers} ${subscribers === 1 ? 'subscriber' : 'subscribers'}`] : []),
  ];
  return comment.length > 0 ? `${userAgent} (${comment.join('; ')})` : userAgent;
}

const ACCEPT = [
  'application/atom+xml, application/rss+xml, application/rdf+xml, application/feed+json',
  'application/xml;q=0.9, text/xml;q=0.9, application/json;q=0.8, text/html;q=0.5, */*;q=0.1',
].join(', ');

const MAX_REDIRECTS = 5;

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly exchange: Exchange;
}

type Read = (answer: Answer) => Promise<Seen>;
type Seen = Fetched | Redirect;

interface Patience {
  /** Shared by the requests of one fetch. */
  readonly budget: { milliseconds: number };
  readonly signal: AbortSignal | undefined;
}

/** What becomes of a request when the server closes the connection. */
const CLOSED: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE']);

const answerTo = (exchange: Exchange): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    exchange.on('response', resolve).on('error', reject);
  });

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
  const seconds = freshFor(headers);
  const fresh = seconds !== undefined && { freshFor: seconds };
  if (status === 304) {
    await skip(answer.exchange);
    return { kind: 'not-modified', ...((validators.etag ?? validators.lastModified) && { validators }), ...fresh };
  }
  if (REDIRECTS.has(status) && headers.location) {
    return { kind: 'redirect', to: redirectTarget(headers.location, url), isPermanent: PERMANENT.has(status) };
  }
  if (status < 200 || status > 299) {
    const wait = retryAfter(headers);
    const text = `The server answered with status ${status}`;
    return { kind: 'failed', reason: 'http-status', status, text, ...(wait !== undefined && { retryAfter: wait }) };
  }
  const { bytes, isCut } = await readBody(answer, maxBytes);
  return {
    kind: 'fetched',
    bytes,
    ...(isCut && { isCut }),
    contentType: headers['content-type'] ?? '',
    link: [headers['link'] ?? []].flat().join(', '),
    validators: isCut ? {} : validators,
    ...fresh,
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

/** Seconds (RFC 9110 10.2.3). */
function retryAfter({ 'retry-after': value, date }: IncomingHttpHeaders): number | undefined {
  if (!value) return undefined;
  if (/^\s*\d{1,9}\s*$/.test(value)) return Number(value);
  const seconds = secondsUntil(value, date);
  return Number.isFinite(seconds) ? Math.max(0, seconds) : undefined;
}

const MAX_FRESH_SECONDS = 2_592_000;

/** Seconds (RFC 9111 4.2.1). Not s-maxage, which is for caches that many share. */
function freshFor({ 'cache-control': control = '', expires, date, age }: IncomingHttpHeaders): number | undefined {
  if (!control && !expires) return undefined;
  if (/(?:^|[\s,])no-(?:cache|store)\b/i.test(control)) return undefined;
  const maxAge = /(?:^|[\s,])max-age="?(\d{1,9})\b/i.exec(control)?.[1];
  const lifetime = maxAge === undefined ? secondsUntil(expires ?? '', date) : Number(maxAge);
  const seconds = lifetime - (/^\d{1,9}$/.test(age ?? '') ? Number(age) : 0);
  return seconds > 0 && seconds <= MAX_FRESH_SECONDS ? seconds : undefined;
}

/** By the server's own clock, which may be wrong by years; NaN where the time is none. */
const secondsUntil = (time: string, date: string | undefined): number =>
  Math.ceil((Date.parse(time) - (date ? Date.parse(date) : Date.now())) / 1_000);

interface Body {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The server broke off. */
  readonly isCut: boolean;
}

interface DecodeOptions {
  readonly maxOutputLength: number;
  /** Whether what can be decoded of a body that was cut is enough. */
  readonly isCut: boolean;
}

type Decode = (bytes: Buffer, options: DecodeOptions) => Promise<Buffer>;

const zlibDecode =
  (decode: (bytes: Buffer, options: ZlibOptions) => Promise<Buffer>): Decode =>
  (bytes, { maxOutputLength, isCut }) =>
    decode(bytes, { maxOutputLength, finishFlush: isCut ? constants.Z_SYNC_FLUSH : constants.Z_FINISH });

const brotliDecode: Decode = (bytes, { maxOutputLength, isCut }) => {
  const finishFlush = isCut ? constants.BROTLI_OPERATION_FLUSH : constants.BROTLI_OPERATION_FINISH;
  return promisify<Buffer, BrotliOptions, Buffer>(brotliDecompress)(bytes, { maxOutputLength, finishFlush });
};

const gzipDecode = zlibDecode(promisify(gunzip));
const zlibStream = zlibDecode(promisify(inflate));
const rawStream = zlibDecode(promisify(inflateRaw));

const DECODERS = new Map<string, Decode>([
  ['gzip', gzipDecode],
  ['x-gzip', gzipDecode],
  ['br', brotliDecode],
  // Half of the servers that say deflate leave the zlib header out.
  ['deflate', (bytes, options) => (((bytes[0] ?? 0) & 0x0f) === 8 ? zlibStream : rawStream)(bytes, options)],
]);

/** Feeds of any size may grow so much; what grows more, and by more than 200 times, is a bomb. */
const HARMLESS_BYTES = 5_242_880;
const HARMLESS_RATIO = 200;

async function readBody({ headers, exchange }: Answer, maxBytes: number): Promise<Body> {
  const { body, isCut } = await receive(exchange, maxBytes);
  const [encoding, ...more] = (headers['content-encoding'] ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name && name !== 'identity');
  if (more.length > 0) throw new FetchFailure(UNDECODABLE);
  const decode = encoding && body.length > 0 ? DECODERS.get(encoding) : undefined;
  if (!decode) return { bytes: new Uint8Array(body), isCut };
  const maxOutputLength = Math.min(maxBytes, Math.max(HARMLESS_BYTES, HARMLESS_RATIO * body.length));
  try {
    // What can be decoded to its end is whole, whatever length the server had announced.
    return { bytes: new Uint8Array(await decode(body, { maxOutputLength, isCut: false })), isCut: false };
  } catch (error) {
    if (codeOf(error) !== 'Z_BUF_ERROR') throw undecodable(error);
  }
  const bytes = await decode(body, { maxOutputLength, isCut: true }).catch((error: unknown) => {
    throw undecodable(error);
  });
  if (bytes.length === 0) throw new FetchFailure(UNDECODABLE);
  return { bytes: new Uint8Array(bytes), isCut: true };
}

/** All that comes, up to the end or to where the server breaks off. Rejects where that is before the first byte. */
function receive(exchange: Exchange, maxBytes: number): Promise<{ readonly body: Buffer; readonly isCut: boolean }> {
  const chunks: Buffer[] = [];
  let length = 0;
  return new Promise((resolve, reject) => {
    exchange.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length > maxBytes) reject(new FetchFailure(TOO_LARGE));
      else chunks.push(chunk);
    });
    exchange.once('end', () => resolve({ body: Buffer.concat(chunks, length), isCut: false }));
    exchange.once('error', (error) => {
      if (length > 0 && CLOSED.has(codeOf(error))) resolve({ body: Buffer.concat(chunks, length), isCut: true });
      else reject(error);
    });
  });
}

/** To the end of an answer without a body. */
const skip = (exchange: Exchange): Promise<void> =>
  new Promise((resolve, reject) => {
    exchange.on('end', resolve).on('error', reject).resume();
  });

const TOO_LARGE: Failure = { reason: 'too-large', text: 'The answer is too large' };
const UNDECODABLE: Failure = { reason: 'parse', text: 'The answer is encoded in a way that cannot be read' };
const UNSAFE: Failure = { reason: 'redirects', text: 'The URL redirects from https to http, which is not safe' };

const undecodable = (error: unknown): FetchFailure =>
  new FetchFailure(codeOf(error) === 'ERR_BUFFER_TOO_LARGE' ? TOO_LARGE : UNDECODABLE);

/** In one wording for all of them: a stranger who can name URLs must not learn which of our neighbours' ports are open. */
const unreachable = (reason: Failure['reason']): Failure => ({ reason, text: 'The server could not be reached' });

function failureOf(error: unknown): Failure {
  // The library wraps what its streams are destroyed with.
  for (const one of [error, error instanceof Error && error.cause]) if (one instanceof FetchFailure) return one.failure;
  const code = codeOf(error);
  if (code === 'EBLOCKED') return unreachable('blocked-address');
  if (code === 'ENOTFOUND') return { reason: 'dns', text: 'There is no server of that name' };
  if (code === 'EAI_AGAIN') return { reason: 'dns', text: 'The name of the server cannot be looked up at the moment' };
  if (!TLS_ERROR.test(code)) return unreachable('connect');
  return { reason: 'tls', text: CERTIFICATES.get(code) ?? 'No secure connection to the server can be agreed on' };
}

const FOREIGN_ISSUER = 'The certificate of the server comes from an issuer that is not known';
const SELF_SIGNED = 'The certificate of the server is signed by itself';

/** What is wrong with a certificate: its owner can do something about it, so it is said plainly. */
const CERTIFICATES: ReadonlyMap<string, string> = new Map([
  ['CERT_HAS_EXPIRED', 'The certificate of the server has expired'],
  ['CERT_NOT_YET_VALID', 'The certificate of the server is not valid yet'],
  ['CERT_REVOKED', 'The certificate of the server was revoked'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'The certificate of the server is for another host'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', SELF_SIGNED],
  ['SELF_SIGNED_CERT_IN_CHAIN', FOREIGN_ISSUER],
  ['UNABLE_TO_GET_ISSUER_CERT', FOREIGN_ISSUER],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', FOREIGN_ISSUER],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', FOREIGN_ISSUER],
]);

const TLS_ERROR =
  /^(?:ERR_TLS|ERR_SSL|EPROTO|CERT_|CRL_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO_|INVALID_(?:CA|PURPOSE)|HOSTNAME_)/;

const codeOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string' ? error.code : '';
