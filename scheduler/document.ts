import type { FeedUrl } from '../lib/domain.js';
import { decode } from './decode.js';
import { discover } from './discover.js';
import { settle, type FeedDraft } from './drafts.js';
import { FORMATS, type Format } from './formats/index.js';
import type { Parsed } from './parse.js';
import { readAgain } from './second-reader.js';

/**
 * Decodes, detects and reads a document of whatever kind. Takes as long as the document wants: parse.ts limits it.
 */
export async function readDocument(bytes: Uint8Array, contentType: string, url: FeedUrl): Promise<Parsed> {
  const text = decode(bytes, contentType);
  const root = rootOf(text);
  const format = FORMATS.find(({ detects }) => detects(root.name, text));
  if (!format) return { kind: 'page', feeds: discover(text, url) };
  const draft = root.closed ? await readFeed(format, text) : undefined;
  if (!draft) return { kind: 'failed', reason: 'parse', text: 'The document is cut off or malformed' };
  return { kind: 'feed', ...settle(draft, url) };
}

/** An empty feed counts as read only where neither reader finds an entry in it. */
async function readFeed({ read }: Format, text: string): Promise<FeedDraft | undefined> {
  let first: FeedDraft | undefined;
  try {
    first = read(text);
  } catch {
    first = undefined;
  }
  if (first && first.entries.length > 0) return first;
  const second = await readAgain(text).catch(() => undefined);
  return second && second.entries.length > 0 ? second : (first ?? second);
}

/**
 * The outermost element, as far as it is one that we know: PHP's warnings in front of a feed are none. feedsmith takes
 * documents that end anywhere between two elements, and would hand over half of the last entry.
 */
function rootOf(text: string): { readonly name: string; readonly closed: boolean } {
  if (/^\s*\{/.test(text)) return { name: '', closed: true };
  for (let at = text.indexOf('<'); at >= 0; at = text.indexOf('<', at + 1)) {
    if (text.startsWith('<!--', at)) {
      at = text.indexOf('-->', at);
      if (at < 0) break;
      continue;
    }
    ROOT.lastIndex = at + 1;
    const [start, name = ''] = ROOT.exec(text) ?? [];
    if (start === undefined) continue;
    return {
      name: name.toLowerCase(),
      closed: start.endsWith('/>') || text.includes(`</${start.split(/[\s/>]/)[0] ?? ''}`, at),
    };
  }
  return { name: '', closed: true };
}

const ROOT = /(?:[\w.-]+:)?(rss|feed|rdf|html|head|body)(?:[\s/][^>]*)?>/iy;
