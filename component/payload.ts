import xml, { type Element } from '@xmpp/xml';
import { SaxesParser } from 'saxes';
import type { Category, Entry, Link, Media, OutOfLine, Person, Source, Text } from '../lib/domain.js';
import type { EntryItem } from '../lib/pubsub/reader.js';
import { cutMarkup, cutText, plainText } from '../lib/text.js';
import { serialise } from './connection.js';

const ATOM = 'http://www.w3.org/2005/Atom';
const XHTML = 'http://www.w3.org/1999/xhtml';
const MEDIA = 'http://search.yahoo.com/mrss/';
/** Ours: <truncated/> in an entry says that the whole of it is behind its link. */
export const ENTRY = 'urn:hydrant:entry:0';

/** Thrown for a payload that does not re-parse on its own. */
export class Unprovable extends Error {
  override readonly name = 'Unprovable';
}

/**
 * An item's payload: an Atom entry (RFC 4287), built as elements, at most `maxBytes` long in UTF-8, and proven to parse
 * on its own. What is too long is cut to a well-formed beginning and marked; what cannot be proven goes out without its
 * content.
 * @param withSource adds atom:source with the feed it comes from, for nodes that carry many feeds
 * @returns the entry, and the very text that was proven
 * @throws Unprovable when even the bare entry is not well-formed, which would be a mistake of ours
 */
export function payload(
  item: EntryItem,
  withSource: boolean,
  maxBytes: number,
): { readonly element: Element; readonly text: string } {
  let problem = 'too long';
  // What is left out first is what a reader misses least; the last one is only what RFC 4287 demands.
  for (const entry of shorter(item.entry, maxBytes)) {
    const element = entryElement({ ...item, entry }, withSource);
    const text = serialise(element);
    if (Buffer.byteLength(text) > maxBytes) continue;
    const found = problemIn(text);
    if (!found) return { element, text };
    problem = found;
  }
  throw new Unprovable(problem);
}

/** Why this text is not one well-formed XML 1.0 element with namespaces, or undefined when it is. */
export function problemIn(text: string): string | undefined {
  const parser = new SaxesParser({ xmlns: true });
  let problem: string | undefined;
  parser.on('error', (error) => (problem ??= error.message));
  parser.on('doctype', () => (problem ??= 'a DOCTYPE'));
  parser.on('comment', () => (problem ??= 'a comment'));
  parser.on('processinginstruction', () => (problem ??= 'a processing instruction'));
  parser.write(text).close();
  return problem;
}

/** The entry, and ever shorter versions of it. */
function* shorter(entry: Entry, maxBytes: number): Generator<Entry> {
  yield entry;
  const { content } = entry;
  for (let room = Math.floor(maxBytes / 2); room >= 512; room = Math.floor(room / 2)) {
    yield {
      ...entry,
      ...(entry.summary && { summary: cut(entry.summary, Math.min(room, 2_048)) }),
      ...(content && content.type !== 'src' && { content: cut(content, room) }),
      ...(entry.title && { title: cut(entry.title, 512) }),
      truncated: true,
    };
  }
  yield {
    id: entry.id.slice(0, 2_048),
    title: { type: 'text', value: titleOf(entry) },
    links: entry.links.filter(({ rel, href }) => rel === 'alternate' && href.length <= 2_048).slice(0, 1),
    authors: [],
    contributors: [],
    categories: [],
    media: [],
    ...(entry.published && { published: entry.published }),
    ...(entry.updated && { updated: entry.updated }),
    truncated: true,
  };
}

const cut = (text: Text, room: number): Text => ({
  ...text,
  value: text.type === 'text' ? cutText(text.value, room) : cutMarkup(text.value, room, text.type),
});

function entryElement({ entry, source, url, at }: EntryItem, withSource: boolean): Element {
  const updated = entry.updated ?? entry.published ?? new Date(at).toISOString();
  const alternate = entry.links.find(({ rel }) => rel === 'alternate');
  const authors =
    entry.authors.length > 0 ? entry.authors : source.authors.length > 0 ? source.authors : [publisher(source, url)];
  return xml(
    'entry',
    { xmlns: ATOM, ...language(entry.lang ?? source.lang) },
    xml('id', {}, entry.id),
    entry.title ? text('title', entry.title) : xml('title', {}, titleOf(entry)),
    xml('updated', {}, updated),
    ...(entry.published ? [xml('published', {}, entry.published)] : []),
    ...authors.map((one) => person('author', one)),
    ...entry.contributors.map((one) => person('contributor', one)),
    // RFC 4287 4.1.2: without content an entry has an alternate link; the feed's own address is better than none.
    ...(alternate || entry.content ? [] : [xml('link', { rel: 'alternate', href: url })]),
    ...entry.links.map(link),
    ...entry.categories.map(category),
    ...(entry.summary ? [text('summary', entry.summary)] : []),
    ...(entry.content ? [content(entry.content)] : []),
    ...(entry.rights ? [text('rights', entry.rights)] : []),
    ...entry.media.map(media),
    ...(entry.truncated ? [xml('truncated', { xmlns: ENTRY })] : []),
    ...(entry.source ? [sourceElement(entry.source)] : withSource ? [sourceElement(source, url)] : []),
  );
}

/** RFC 4287 4.2.11; `url` is the feed that we read it from, and its id where it has none of its own. */
function sourceElement(source: Source, url?: string): Element {
  const self = source.links.some(({ rel }) => rel === 'self');
  const id = source.id ?? url;
  return xml(
    'source',
    {},
    ...(id ? [xml('id', {}, id)] : []),
    ...(source.title ? [text('title', cut(source.title, 512))] : []),
    ...(source.subtitle ? [text('subtitle', cut(source.subtitle, 512))] : []),
    ...(source.updated ? [xml('updated', {}, source.updated)] : []),
    ...source.authors.slice(0, 10).map((one) => person('author', one)),
    ...(url && !self ? [xml('link', { rel: 'self', href: url })] : []),
    ...source.links.slice(0, 10).map(link),
    ...(source.icon ? [xml('icon', {}, source.icon)] : []),
    ...(source.logo ? [xml('logo', {}, source.logo)] : []),
  );
}

/** RFC 4287 4.2.1: somebody must have written it; where nobody is named, the feed itself. */
const publisher = (source: Source, url: string): Person => ({ name: source.title?.value ?? new URL(url).hostname });

function titleOf({ title, summary, content: body, links }: Entry): string {
  const named = title ?? summary ?? (body?.type === 'src' ? undefined : body);
  const words = named && (named.type === 'text' ? named.value : plainText(named.value));
  return cutText(words?.trim() ?? links[0]?.href ?? 'Untitled', 120);
}

function text(name: string, { type, value, lang, base }: Text): Element {
  const attributes = { ...(type !== 'text' && { type }), ...language(lang), ...(base && { 'xml:base': base }) };
  if (type !== 'xhtml') return xml(name, attributes, value);
  const div = elementFrom(`<div xmlns="${XHTML}">${value}</div>`);
  // What says it is XHTML and is not even XML is served as the HTML that it may be.
  return div ? xml(name, attributes, div) : xml(name, { ...attributes, type: 'html' }, value);
}

function content(body: Text | OutOfLine): Element {
  if (body.type !== 'src') return text('content', body);
  return xml('content', { src: body.src, ...(body.mediaType && { type: body.mediaType }) });
}

const person = (name: string, { name: who, email, uri }: Person): Element =>
  xml(
    name,
    {},
    xml('name', {}, who ?? email ?? uri ?? ''),
    ...(email ? [xml('email', {}, email)] : []),
    ...(uri ? [xml('uri', {}, uri)] : []),
  );

const link = ({ href, rel, type, hreflang, title, length }: Link): Element =>
  xml('link', {
    rel,
    href,
    ...(type && { type }),
    ...(hreflang && { hreflang }),
    ...(title && { title }),
    ...(length !== undefined && { length: String(length) }),
  });

const category = ({ term, scheme, label }: Category): Element =>
  xml('category', { term, ...(scheme && { scheme }), ...(label && { label }) });

const media = ({ url, medium, type, width, height, title }: Media): Element => {
  const size = { ...(width && { width: String(width) }), ...(height && { height: String(height) }) };
  if (medium === 'thumbnail') return xml('thumbnail', { xmlns: MEDIA, url, ...size });
  return xml(
    'content',
    { xmlns: MEDIA, url, ...(medium && { medium }), ...(type && { type }), ...size },
    ...(title ? [xml('title', {}, title)] : []),
  );
};

const language = (lang: string | undefined) => (lang ? { 'xml:lang': lang } : {});

/** Well-formed XML text as elements with resolved namespaces, or undefined when it is not well-formed. */
function elementFrom(markup: string): Element | undefined {
  const parser = new SaxesParser({ xmlns: true });
  const open: Element[] = [];
  const result: { root?: Element; broken?: true } = {};
  parser.on('error', () => (result.broken = true));
  parser.on('opentag', ({ local, uri, attributes }) => {
    const parent = open.at(-1);
    const plain = Object.values(attributes).filter(({ prefix }) => prefix === '' || prefix === 'xml');
    const own = Object.fromEntries(plain.map(({ name, value }) => [name, value]));
    const element = xml(local, { ...own, xmlns: uri });
    if (parent) parent.append(element);
    else result.root = element;
    open.push(element);
  });
  parser.on('closetag', () => open.pop());
  parser.on('text', (words) => open.at(-1)?.append(words));
  parser.on('cdata', (words) => open.at(-1)?.append(words));
  parser.write(markup).close();
  return result.broken ? undefined : result.root;
}
