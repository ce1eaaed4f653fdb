import { availableParallelism } from 'node:os';
import { Piscina } from 'piscina';
import type { Entry, Failure, FeedUrl, Source } from '../lib/domain.js';

/** What a document turned out to be. */
export type Parsed =
  | { readonly kind: 'feed'; readonly source: Source; readonly entries: readonly Entry[] }
  /** No feed, but perhaps a page that names some; the most likely one first. */
  | { readonly kind: 'page'; readonly feeds: readonly FeedUrl[] }
  | ({ readonly kind: 'failed' } & Failure);

/** What a worker is asked; it reports the number when it begins. */
export interface ParseTask {
  readonly number: number;
  readonly bytes: Uint8Array;
  readonly contentType: string;
  readonly url: FeedUrl;
}

/** Bytes to a feed. Hostile documents are a value; the bytes are gone afterwards, because the worker owns them. */
export type Parse = (bytes: Uint8Array<ArrayBuffer>, contentType: string, url: FeedUrl) => Promise<Parsed>;

export interface ParserOptions {
  /** The compiled parse.worker.ts. */
  readonly worker: URL;
  readonly threads?: number;
  /** For one document, from when a worker begins with it. */
  readonly timeoutMs?: number;
}

/**
 * Parses in threads of their own, because every parser of feeds has documents that it is quadratic in: a worker that
 * takes too long or too much memory is ended and replaced, and only the document that it had is lost.
 */
export function createParser({
  worker,
  threads = Math.min(4, availableParallelism()),
  timeoutMs = 3_000,
}: ParserOptions) {
  const pool = new Piscina({
    filename: worker.href,
    minThreads: threads,
    maxThreads: threads,
    resourceLimits: { maxOldGenerationSizeMb: 256, stackSizeMb: 4 },
  });
  const clocks = new Map<number, () => void>();
  pool.on('message', (number: number) => clocks.get(number)?.());
  let tasks = 0;

  const parse: Parse = async (bytes, contentType, url) => {
    const number = ++tasks;
    const overtime = new AbortController();
    let limit: NodeJS.Timeout | undefined;
    // Neither waiting for a worker nor its start after another one's end counts.
    clocks.set(number, () => (limit = setTimeout(() => overtime.abort(), timeoutMs)));
    try {
      const task: ParseTask = { number, bytes, contentType, url };
      return (await pool.run(task, { signal: overtime.signal, transferList: [bytes.buffer] })) as Parsed;
    } catch (error) {
      if (!overtime.signal.aborted && !isOutOfMemory(error)) throw error;
      return { kind: 'failed', reason: 'parse', text: 'The document takes too much time or memory to read' };
    } finally {
      clearTimeout(limit);
      clocks.delete(number);
    }
  };

  return {
    parse,
    /** Finishes what was begun. */
    close: () => pool.close(),
  };
}

const isOutOfMemory = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && 'code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY';
