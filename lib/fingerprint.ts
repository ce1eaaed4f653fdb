import { digest, type Entry, type Text } from './domain.js';
import { samePage } from './same-page.js';
import type { EntryRecord } from './store/log.js';
import { plainText } from './text.js';

/**
 * What tells that an entry is one that another feed has shown: the same place and the same title, for an edit also the
 * same words. The first one is that of the record itself; what follows is what the record makes known as well: whoever
 * carries an edit carries the entry. None when nothing names the entry beyond its feed.
 *
 * The place is the entry's own page, or else an id that is unique in the world. A page that is not the entry's alone
 * (the home page, what the feed itself links to) says little, so there the words must be the same too.
 */
export function fingerprintsOf({
  kind,
  entry,
  source,
}: Pick<EntryRecord, 'kind' | 'entry' | 'source'>): readonly string[] {
  const page = placeOf(entry.links.find(({ rel }) => rel === 'alternate')?.href ?? '');
  const links = [...source.links, ...(entry.source?.links ?? [])];
  const shared = new Set(links.map(({ href }) => placeOf(href)));
  const isOwn = (place: string | undefined) => place !== undefined && /[/?#]/.test(place) && !shared.has(place);
  const own = isOwn(page) ? page : idIn(entry, isOwn);
  const title = folded(entry.title);
  const isEdit = kind === 'edited';
  const words = isEdit || own === undefined ? folded(saidBy(entry)) : '';
  if (own === undefined && (page === undefined || title + words === '')) return [];
  const first = own === undefined ? ['page', page, title, words] : ['own', own, title];
  const name = (parts: readonly unknown[]) => digest(JSON.stringify(parts));
  return isEdit ? [name([...first, 'edit', words]), name(first)] : [name(first)];
}

/** Only these kinds of ids are made to be unique in the world (RFC 4151, RFC 8141, RFC 4287 4.2.6). */
function idIn({ id }: Entry, isOwn: (place: string | undefined) => boolean): string | undefined {
  if (/^(?:tag|urn):/i.test(id)) return id;
  const place = placeOf(id);
  return isOwn(place) ? place : undefined;
}

/** A page, with the part of it that is meant: a comment, a version in a list of changes; not what counts readers. */
function placeOf(address: string): string | undefined {
  const page = samePage(address);
  const hash = address.indexOf('#');
  const fragment = hash < 0 ? '' : address.slice(hash + 1);
  return page === undefined || fragment === '' || fragment.includes('=') ? page : `${page}#${fragment}`;
}

function saidBy({ content, summary }: Entry): Text | undefined {
  if (content?.type === 'src') return { type: 'text', value: content.src };
  return content ?? summary;
}

/** The words without regard to markup, white space, case and the ways in which Unicode writes one character. */
function folded(text: Text | undefined): string {
  if (!text) return '';
  const words = text.type === 'text' ? text.value : plainText(text.value);
  return words.normalize('NFKC').toLowerCase().replace(/\s+/g, ' ').trim();
}
