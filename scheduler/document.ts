import type { FeedUrl } from '../lib/domain.js';
import { decode } from './decode.js';
import { discover } from './discover.js';
import { settle, type FeedDraft } from './drafts.js';
import { FORMATS, type Format } from './formats/index.js';
import type { Parsed } from './parse.js';
import { entriesIn, hasBareAttributes, isWhole, repair, wholeEntries, type Root } from './repair.js';
import { repairJson } from './repair-json.js';
import { readAgain } from './second-reader.js';

/**
 * Decodes, detects and reads a document of whatever kind. Takes as long as the document wants: parse.ts limits it.
 * @param now ms since 1970: later dates are not believed
 */
export async function readDocument(
  bytes: Uint8Array,
  contentType: string,
  url: FeedUrl,
  now = Date.now(),
): Promise<Parsed> {
  const text = decode(bytes, contentType);
  const root = rootOf(text);
  const format = FORMATS.find(({ detects }) => detects(root ? kindOf(root) : '', text));
  if (!format || format.isPage) return readPage(format, text, url, now);
  const read: Read = (one) => attempt(format, one, url);
  const found = root ? await readMarkup(read, text, root) : readJson(read, text);
  if (!found) return { kind: 'failed', reason: 'parse', text: 'The document is cut off or malformed' };
  return { kind: 'feed', ...settle(found.draft, url, now), ...(found.cut && { cut: true }) };
}

/**
 * A page is a feed where it names none and has entries in it. Links that only look like feeds come after that: they may
 * be somebody else's, or lead nowhere, while who marks up entries says that there is a feed.
 */
function readPage(format: Format | undefined, text: string, url: FeedUrl, now: number): Parsed {
  const { named, guessed } = discover(text, url);
  const own = format && named.length === 0 ? attempt(format, text, url) : undefined;
  return own ? { kind: 'feed', ...settle(own, url, now) } : { kind: 'page', feeds: named.length > 0 ? named : guessed };
}

/** Nothing where the format refuses the text. */
type Read = (text: string) => FeedDraft | undefined;

interface Found {
  readonly draft: FeedDraft;
  readonly cut: boolean;
}

/** Reads XML as it is, where that finds every entry; else what can be made of it. */
async function readMarkup(read: Read, text: string, root: Root): Promise<Found | undefined> {
  const cut = !isWhole(text, root);
  const whole = cut ? wholeEntries(text, root) : text;
  if (whole === undefined) return undefined;
  const first = hasBareAttributes(whole) ? undefined : read(whole);
  if (first && first.entries.length >= entriesIn(whole)) return { draft: first, cut };
  const repaired = repair(whole, root);
  const drafts = [first, read(repaired)];
  // An empty feed counts as read only where no reader finds an entry in it.
  for (const one of [whole, repaired]) {
    if (drafts.some((draft) => draft && draft.entries.length > 0)) break;
    drafts.push(await readAgain(one).catch(() => undefined));
  }
  const draft = drafts.reduce((best, next) =>
    (next?.entries.length ?? -1) > (best?.entries.length ?? -1) ? next : best,
  );
  return draft && { draft, cut };
}

function readJson(read: Read, text: string): Found | undefined {
  const first = read(text);
  if (first) return { draft: first, cut: false };
  const repaired = repairJson(text);
  const draft = repaired && read(repaired.text);
  return draft && { draft, cut: repaired.cut };
}

function attempt({ read }: Format, text: string, url: FeedUrl): FeedDraft | undefined {
  try {
    return read(text, url);
  } catch {
    return undefined;
  }
}

/** The outermost element, as far as it is one that we know: PHP's warnings in front of a feed are none. */
function rootOf(text: string): Root | undefined {
  if (/^\s*\{/.test(text)) return undefined;
  for (let at = text.indexOf('<'); at >= 0; at = text.indexOf('<', at + 1)) {
    if (text.startsWith('<!--', at)) {
      at = text.indexOf('-->', at);
      if (at < 0) break;
      continue;
    }
    ROOT.lastIndex = at + 1;
    const [tag] = ROOT.exec(text) ?? [];
    if (tag !== undefined) return { tag, at };
  }
  return undefined;
}

const ROOT = /(?:[\w.-]+:)?(?:rss|feed|rdf|html|head|body)(?=(?:[\s/][^>]*)?>)/iy;

const kindOf = ({ tag }: Root): string => tag.slice(tag.indexOf(':') + 1).toLowerCase();
