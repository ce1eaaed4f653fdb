import { itemIdOf, type Entry, type Source } from '../lib/domain.js';
import type { Jobs, PushResult } from '../lib/queues.js';
import type { FeedStore } from '../lib/store/feeds.js';
import type { ItemStore } from '../lib/store/items.js';
import { ATTEMPTS, changesOf } from './learn.js';
import type { Parse } from './parse.js';

export interface PushDeps {
  readonly feeds: Pick<FeedStore, 'get' | 'known' | 'commit'>;
  readonly items: Pick<ItemStore, 'byId'>;
  readonly parse: Parse;
}

const ATOM = 'http://www.w3.org/2005/Atom';
const NO_SOURCE: Source = { links: [], authors: [], categories: [] };

/**
 * Takes entries as if the feed had shown them: what is not known yet is stored and announced. They are read as those of
 * a feed are; one of them that cannot be read refuses all.
 */
export async function push(deps: PushDeps, { feed: id, entries }: Jobs['push']['payload']): Promise<PushResult> {
  const { feeds, parse } = deps;
  if (!entries.every(isAtomEntry)) return refused('Each payload must be an Atom entry (RFC 4287)');
  const { url } = (await feeds.get(id)) ?? {};
  if (url === undefined) return GONE;
  const document = new TextEncoder().encode(`<feed xmlns="${ATOM}">${entries.join('')}</feed>`);
  const parsed = await parse(document, 'application/atom+xml; charset=utf-8', url);
  if (parsed.kind === 'failed') return refused(parsed.text);
  if (parsed.kind === 'page' || parsed.entries.length !== entries.length || parsed.entries.some(isEmpty)) {
    return refused('Each payload must be one Atom entry (RFC 4287), with something in it and an id of its own');
  }
  const items = new Map(parsed.entries.map((entry) => [entry, itemIdOf(id, entry.id)]));
  for (let attempt = 0; attempt < ATTEMPTS;) {
    const feed = await feeds.get(id);
    if (!feed) return GONE;
    // Who publishes an edit wants it to be told, however small it is.
    const changes = await changesOf(deps, { ...feed, editThreshold: 0 }, parsed.entries, false);
    const outcome = { kind: 'pushed', source: feed.source ?? NO_SOURCE, changes } as const;
    const result = await feeds.commit({ feed, outcome });
    if (result === 'gone') return GONE;
    if (result === 'conflict') {
      attempt++;
      continue;
    }
    for (const { entry, item } of changes.changes) items.set(entry, item);
    if (changes.left === 0) return { kind: 'committed', items: [...items.values()] };
  }
  throw new Error(`${id} changed under ${ATTEMPTS} attempts to push to it`);
}

const refused = (text: string): PushResult => ({ kind: 'refused', text });
const GONE = refused('The feed is not followed any more');

const isEmpty = ({ title, summary, content, links }: Entry): boolean =>
  !title && !summary && !content && links.length === 0;

const START = /^\s*<(?:([\w.-]+):)?entry((?:\s+[\w:.-]+\s*=\s*(?:"[^"]*"|'[^']*'))*)\s*\/?>/;
const END = /<\/(?:[\w.-]+:)?entry\s*>\s*$|^[^>]*\/>\s*$/;
const MAX_END_CHARS = 200;
const ATTRIBUTE = /([\w:.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g;

/** The parser of feeds is content with entries of any namespace, and without an end; whoever pushes can do better. */
function isAtomEntry(text: string): boolean {
  const [start, prefix, attributes = ''] = START.exec(text) ?? [];
  if (start === undefined || !END.test(text.slice(-MAX_END_CHARS))) return false;
  const declaration = prefix === undefined ? 'xmlns' : `xmlns:${prefix}`;
  return [...attributes.matchAll(ATTRIBUTE)].some(
    ([, name, quoted, otherwise]) => name === declaration && (quoted ?? otherwise) === ATOM,
  );
}
