import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { LRUCache } from 'lru-cache';
import { Piscina } from 'piscina';
import type { Entry, Failure, FeedUrl, Pace, Source } from '../lib/domain.js';

/** What a document turned out to be. */
export type Parsed =
  | {
      readonly kind: 'feed';
      readonly source: Source;
      readonly entries: readonly Entry[];
      readonly pace?: Pace;
      /** The document ended in the middle; these are the whole entries before that. */
      readonly cut?: true;
    }
  /** No feed, but perhaps a page that names some; the most likely one first. */
  | { readonly kind: 'page'; readonly feeds: readonly FeedUrl[] }
  | ({ readonly kind: 'failed' } & Failure);

/** What a worker is asked. */
export interface ParseTask {
  readonly number: number;
  readonly bytes: Uint8Array;
  readonly contentType: string;
  readonly url: FeedUrl;
}

/** What a worker reports when it begins. */
export interface Begun {
  readonly number: number;
  /** Of the bytes: SHA-256 in base64url. */
  readonly hash: string;
}

/** Bytes to a feed. Hostile documents are a value; the bytes are gone afterwards, because the worker owns them. */
export type Parse = (bytes: Uint8Array<ArrayBuffer>, contentType: string, url: FeedUrl) => Promise<Parsed>;

export interface ParserOptions {
  /** The compiled parse.worker.ts. */
  readonly worker: URL;
  readonly threads?: number;
  /** For one document, from when a worker begins with it. */
  readonly timeoutMs?: number;
  /** Of memory, for one document and what is made of it. */
  readonly megabytes?: number;
  /** Milliseconds from any fixed moment. */
  readonly now?: () => number;
}

/** How often a document may end a worker, which is not always its own fault: a busy machine is slow, too. */
const MAX_DEATHS = 2;
/** For how long a document that did is not read. */
const FATAL_MS = 6 * 3_600_000;

/**
 * Parses in threads of their own, because every parser of feeds has documents that it is quadratic in: a worker that
 * takes too long or too much memory is ended and replaced, and only the document that it had is lost. The same bytes
 * get that chance twice, and are then refused at once for six hours.
 *
 * Small documents go there as well: handing one over takes a tenth of the time that feedsmith needs for the smallest.
 */
export function createParser({
  worker,
  threads = Math.min(4, availableParallelism()),
  timeoutMs = 5_000,
  megabytes = 256,
  now = () => performance.now(),
}: ParserOptions) {
  const pool = new Piscina({
    filename: worker.href,
    minThreads: threads,
    maxThreads: threads,
    resourceLimits: { maxOldGenerationSizeMb: megabytes, stackSizeMb: 4 },
  });
  const begins = new Map<number, (hash: string) => void>();
  pool.on('message', ({ number, hash }: Begun) => begins.get(number)?.(hash));
  /** By length, so that no other document needs to be hashed here. */
  const fatal = new LRUCache<number, { readonly hash: string; readonly deaths: number }>({
    max: 1_000,
    ttl: FATAL_MS,
    ttlResolution: 0,
    perf: { now },
  });
  let tasks = 0;

  const parse: Parse = async (bytes, contentType, url) => {
    const length = bytes.byteLength;
    const known = fatal.get(length);
    if (known && known.deaths >= MAX_DEATHS && known.hash === hashOf(bytes)) return TOO_MUCH;
    const number = ++tasks;
    const overtime = new AbortController();
    let limit: NodeJS.Timeout | undefined;
    let hash = '';
    // Neither waiting for a worker nor its start after another one's end counts.
    begins.set(number, (begun) => {
      hash = begun;
      limit = setTimeout(() => overtime.abort(), timeoutMs);
    });
    try {
      const task: ParseTask = { number, bytes, contentType, url };
      return (await pool.run(task, { signal: overtime.signal, transferList: [bytes.buffer] })) as Parsed;
    } catch (error) {
      if (!overtime.signal.aborted && !isOutOfMemory(error)) throw error;
      const deaths = known?.hash === hash ? known.deaths + 1 : 1;
      fatal.set(length, { hash, deaths });
      return TOO_MUCH;
    } finally {
      clearTimeout(limit);
      begins.delete(number);
    }
  };

  return {
    parse,
    /** Finishes what was begun. */
    close: () => pool.close(),
  };
}

const TOO_MUCH: Parsed = {
  kind: 'failed',
  reason: 'parse',
  text: 'The document takes too much time or memory to read',
};

const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('base64url');

const isOutOfMemory = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && 'code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY';
