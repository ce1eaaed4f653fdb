import { createHash } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import { readDocument } from './document.js';
import type { Begun, Parsed, ParseTask } from './parse.js';

/** The inside of a worker thread of parse.ts. */
export default function parseTask({ number, bytes, contentType, url }: ParseTask): Promise<Parsed> {
  const begun: Begun = { number, hash: createHash('sha256').update(bytes).digest('base64url') };
  parentPort?.postMessage(begun);
  return readDocument(bytes, contentType, url, Date.now());
}
