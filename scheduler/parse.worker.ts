import { parentPort } from 'node:worker_threads';
import { readDocument } from './document.js';
import type { Parsed, ParseTask } from './parse.js';

/** The inside of a worker thread of parse.ts. */
export default function parseTask({ number, bytes, contentType, url }: ParseTask): Promise<Parsed> {
  parentPort?.postMessage(number);
  return readDocument(bytes, contentType, url);
}
