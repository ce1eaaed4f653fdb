/*
 * Markup that no parser takes, as markup that feedsmith takes. What a publisher meant is told by the few names that
 * feeds are made of: an entry never holds another one, a title never holds a guid, and so on.
 */

/** The outermost element: its name as it is written, and where its start tag begins. */
export interface Root {
  readonly tag: string;
  readonly at: number;
}

/** How often an entry begins. Where entries are talked about in CDATA, too many are counted. */
export const entriesIn = (text: string): number => (text.match(ENTRY_START) ?? []).length;

/** Whether one of the attributes that matter stands without quotes, which feedsmith takes for none at all. */
export const hasBareAttributes = (text: string): boolean => BARE_ATTRIBUTE.test(text);

/**
 * Whether a document has its end. A CDATA section that is open there, with more behind, was about feeds: then the end
 * is one of a text, not of the document.
 */
export function isWhole(text: string, { tag, at }: Root): boolean {
  const end = [...text.slice(at).matchAll(new RegExp(`</${tag.replaceAll('.', '\\.')}\\s*(?:>|$)`, 'gi'))].at(-1);
  if (!end) return SELF_CLOSED.test(text.slice(at, at + 4_096)) || (localName(tag) === 'rss' && CHANNEL_END.test(text));
  const place = at + end.index;
  const isText = text.lastIndexOf('<![CDATA[', place) > text.lastIndexOf(']]>', place) && !text.includes(']]>', place);
  return !isText || text.slice(place + end[0].length).trim() === '';
}

/**
 * The beginning of a document that has been cut off, closed after its last whole entry; nothing where no entry is
 * whole. An entry of which something is missing would look like an edit of it.
 */
export function wholeEntries(text: string, root: Root): string | undefined {
  const isEntry = entryTest(root);
  let [isInside, isChannel, end] = [false, false, 0];
  for (const { kind, name, at, end: after } of pieces(text, root.at, 'cut')) {
    if (kind === 'text') continue;
    if (name === 'channel') isChannel = kind === 'start';
    if (!isEntry(name)) continue;
    if (isInside) end = kind === 'start' ? at : after;
    isInside = kind === 'start';
  }
  if (end === 0) return undefined;
  return `${text.slice(0, end)}${isChannel ? '</channel>' : ''}</${root.tag}>`;
}

/**
 * A document from its root on, so that feedsmith can read it: what is open is closed where the next field or entry
 * begins, stray end tags are gone, attributes are quoted, names are in lower case, and no name means anything to
 * JavaScript. Comments, processing instructions and the DOCTYPE with its entities are left out. What is inside of
 * titles and texts stays as it is. Takes linear time.
 */
export function repair(text: string, root: Root): string {
  const rootName = root.tag.toLowerCase();
  const kind = localName(rootName);
  const isEntry = entryTest(root);
  const written: string[] = [];
  const open: string[] = [];
  /** How many elements are open around every entry. */
  const home = kind === 'rss' ? 2 : 1;
  /** Elements of the name of the field around them, and inside of it. */
  let nested = 0;

  const closeTo = (depth: number) => {
    // feedsmith looks for as many ends of a text as there are beginnings.
    if (open.length > depth) written.push(`</${open.at(-1) ?? ''}>`.repeat(nested));
    while (open.length > depth) written.push(`</${safeName(open.pop() ?? '')}>`);
    nested = 0;
  };
  const start = (name: string, source: string) => {
    const isEmpty = source.endsWith('/>');
    if (open.length >= MAX_DEPTH) return;
    written.push(`<${safeName(name)}${attributesIn(source)}${isEmpty ? '/' : ''}>`);
    if (!isEmpty) open.push(name);
  };
  /** How many elements are open around a field: an entry, the channel or the feed is the last of them. */
  const owner = () => home + (OWNERS.has(localName(open[home] ?? '')) ? 1 : 0);
  const field = () => localName(open[owner()] ?? '');

  const onStart = (name: string, source: string): void => {
    const local = localName(name);
    if (name === rootName) {
      if (open.length > 0) return;
      start(name, source.replace(/\/>$/, '>'));
      // Where the channel is missing, or ends too early, or there are two: all that follows belongs to it.
      if (kind === 'rss') start('channel', '<channel>');
      return;
    }
    if (kind === 'rss' && name === 'channel') return;
    if (isEntry(name)) closeTo(home);
    else if (endsField(field(), local)) closeTo(owner());
    else if (RICH.has(field())) {
      if (name === open[owner()] && !source.endsWith('/>')) nested++;
      written.push(source);
      return;
    }
    start(name, source);
  };

  /** Says whether the document is over. */
  const onEnd = (name: string, source: string): boolean => {
    if (name === rootName) return true;
    if (kind === 'rss' && name === 'channel') closeTo(home);
    else if (isEntry(name)) closeTo(home);
    else if (RICH.has(field()) && (name !== open[owner()] || nested > 0)) {
      if (name === open[owner()]) nested--;
      written.push(source);
    } else if (open.lastIndexOf(name) >= home) closeTo(open.lastIndexOf(name));
    return false;
  };

  for (const piece of pieces(text, root.at, 'whole')) {
    if (piece.kind === 'text') written.push(piece.source);
    else if (piece.kind === 'start') onStart(piece.name, piece.source);
    else if (onEnd(piece.name, piece.source)) break;
  }
  closeTo(0);
  return written.join('');
}

/** Deeper than any feed. Recursive readers overflow where nobody has set a limit. */
const MAX_DEPTH = 100;

/** Tells the names of entries from those of other vocabularies' items. In RDF, the prefixes of the two differ. */
function entryTest({ tag }: Root): (name: string) => boolean {
  const kind = localName(tag);
  if (kind === 'rdf') return (name) => localName(name) === 'item';
  const entry = tag.toLowerCase().slice(0, -kind.length) + (kind === 'feed' ? 'entry' : 'item');
  return (name) => name === entry;
}

const OWNERS: ReadonlySet<string> = new Set(['item', 'entry', 'channel']);
/** What feedsmith takes as it is written. */
const RICH: ReadonlySet<string> = new Set(['title', 'description', 'encoded', 'content', 'summary', 'subtitle']);
/** Fields that hold no elements; or, as to titles, none of those that begin a field. */
const PLAIN: ReadonlySet<string> = new Set(
  'title link guid pubdate category comments enclosure id updated published creator subject date'.split(' '),
);
const FIELDS: ReadonlySet<string> = new Set([
  ...PLAIN,
  'description',
  'author',
  'source',
  'content',
  'summary',
  'encoded',
  'contributor',
  'language',
]);
/** Fields in which fields of the same names may stand. */
const CONTAINERS: ReadonlySet<string> = new Set(
  'author contributor source image textinput group item entry'.split(' '),
);
/** What no text holds, because HTML does not know it. */
const BREAKS: ReadonlySet<string> = new Set(['guid', 'pubdate', 'enclosure', 'published', 'updated']);

/** Whether an element that begins shows that the field before it was never closed. */
const endsField = (field: string, next: string): boolean =>
  field !== '' && !CONTAINERS.has(field) && ((PLAIN.has(field) && FIELDS.has(next)) || BREAKS.has(next));

const localName = (name: string): string => name.slice(name.indexOf(':') + 1).toLowerCase();

/** feedsmith refuses these, or would make objects of them that are not what they seem. */
const safeName = (name: string): string => (/^(?:__\w*|constructor|prototype)$/.test(name) ? 'x' : name);

const ENTRY_START = /<(?:[\w.-]{1,40}:)?(?:item|entry)(?=[\s/>])/gi;
const SELF_CLOSED = /^<[^<>]*\/>/;
const CHANNEL_END = /<\/channel\s*>\s*$/i;
const BARE_ATTRIBUTE =
  /<(?:[\w.-]{1,40}:)?(?:guid|link|enclosure|category|content|summary|title|thumbnail|source)(?:\s+[\w:.-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*\s+[\w:.-]+\s*=\s*[^\s"'<>=]/i;
const ATTRIBUTE = /([^\s"'<>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?/g;
const NAME = /^[a-z_][\w.-]*(?::[a-z_][\w.-]*)?$/i;

/** The attributes of a start tag, each once and in quotes. */
function attributesIn(tag: string): string {
  const inside = tag.slice(tag.search(/\s|\/?>$/)).replace(/\/?>$/, '');
  const found = new Map<string, string>();
  for (const [, name = '', double, single, bare] of inside.matchAll(ATTRIBUTE)) {
    const value = double ?? single ?? bare?.replace(/\/$/, '') ?? '';
    if (!NAME.test(name) || safeName(name) !== name || found.has(name) || found.size === MAX_DEPTH) continue;
    // Where a quote is missing, the value goes on until the next attribute has one.
    found.set(name, value.replace(/\s+[\w:.-]+=$/, ''));
  }
  return [...found].map(([name, value]) => ` ${name}="${value.replace(/["<]/g, (c) => ESCAPES[c] ?? '')}"`).join('');
}

const ESCAPES: Readonly<Record<string, string>> = { '"': '&quot;', '<': '&lt;' };

interface Piece {
  readonly kind: 'text' | 'start' | 'end';
  /** Of an element, in lower case; of a text, nothing. */
  readonly name: string;
  readonly source: string;
  readonly at: number;
  readonly end: number;
}

/**
 * Takes markup apart, leaving out comments, processing instructions and the DOCTYPE. A "<" that begins nothing comes as
 * a reference. A section that does not end is taken to end with the field around it, where the document is whole.
 */
function* pieces(text: string, from: number, extent: 'whole' | 'cut'): Generator<Piece> {
  const cdataStart = finder(text, /<!\[CDATA\[/gi);
  const cdataEnd = finder(text, /\]\]>/g);
  const fieldEnd = finder(text, FIELD_END);
  const commentEnd = finder(text, /-->/g);
  const instructionEnd = finder(text, /\?>/g);
  let at = from;

  /** Where a CDATA section ends, its own end included. */
  const endOfSection = (inside: number): { readonly end: number; readonly isClosed: boolean } => {
    const end = cdataEnd(inside);
    const field = fieldEnd(inside);
    const isOpen = extent === 'whole' ? field < end && (end === Infinity || cdataStart(inside) < end) : false;
    if (isOpen && field < cdataStart(inside)) return { end: field, isClosed: false };
    return end === Infinity ? { end: text.length, isClosed: false } : { end: end + 3, isClosed: true };
  };

  while (at < text.length) {
    const tag = text.indexOf('<', at);
    const end = tag < 0 ? text.length : tag;
    if (end > at) yield { kind: 'text', name: '', source: text.slice(at, end), at, end };
    if (tag < 0) return;
    at = tag;
    if (text.startsWith('<!--', at)) {
      const close = commentEnd(at + 4);
      if (close === Infinity && extent === 'cut') return;
      at = close === Infinity ? at + 4 : close + 3;
    } else if (/^<!\[CDATA\[/i.test(text.slice(at, at + 9))) {
      const section = endOfSection(at + 9);
      const source = text.slice(at, section.end) + (section.isClosed ? '' : ']]>');
      yield { kind: 'text', name: '', source, at, end: section.end };
      at = section.end;
    } else if (text.startsWith('<?', at)) {
      const close = instructionEnd(at);
      at = close === Infinity ? at + 2 : close + 2;
    } else if (/^<!DOCTYPE/i.test(text.slice(at, at + 9))) {
      at = endOfDoctype(text, at);
    } else {
      const piece = tagAt(text, at);
      yield piece;
      at = piece.end;
    }
  }
}

const FIELD_END = /<\/(?:[\w.-]{1,40}:)?(?:description|encoded|title|content|summary|subtitle|link|guid|creator)\s*>/gi;

/** Looks for a pattern from a place on. Places must not go back, which is why all of it is linear. */
function finder(text: string, pattern: RegExp): (from: number) => number {
  let found = -1;
  return (from) => {
    if (found < from) {
      pattern.lastIndex = from;
      found = pattern.exec(text)?.index ?? Infinity;
    }
    return found;
  };
}

/** After the DOCTYPE; only after its beginning where it does not end. */
function endOfDoctype(text: string, at: number): number {
  const first = text.indexOf('>', at);
  if (first < 0) return text.length;
  if (!text.slice(at, first).includes('[')) return first + 1;
  const close = /\]\s*>/g;
  close.lastIndex = at;
  return close.exec(text) ? close.lastIndex : first + 1;
}

function tagAt(text: string, at: number): Piece {
  TAG_START.lastIndex = at;
  const [start, slash, name = ''] = TAG_START.exec(text) ?? [];
  const close = start === undefined ? -1 : endOfTag(text, at + start.length);
  if (start !== undefined && close >= 0) {
    const end = close + 1;
    return { kind: slash ? 'end' : 'start', name: name.toLowerCase(), source: text.slice(at, end), at, end };
  }
  // "</title" with another tag right behind is meant as one.
  if (start !== undefined && slash && /\s*</y.test(text.slice(at + start.length, at + start.length + 100))) {
    return { kind: 'end', name: name.toLowerCase(), source: `${start}>`, at, end: at + start.length };
  }
  return { kind: 'text', name: '', source: '&lt;', at, end: at + 1 };
}

const TAG_START = /<(\/?)([a-z_][\w.-]{0,100}(?::[a-z_][\w.-]{0,100})?)(?=[\s/><])/iy;

/** Where the ">" of a tag is; -1 where another tag begins before it. */
function endOfTag(text: string, from: number): number {
  const mark = /["'<>]/g;
  mark.lastIndex = from;
  for (let quote: RegExpExecArray | undefined; ;) {
    const found = mark.exec(text);
    if (!found || found[0] === '<') {
      // A quote that is open here was never closed.
      const close = quote ? text.slice(quote.index, found?.index).indexOf('>') : -1;
      return quote && close >= 0 ? quote.index + close : -1;
    }
    if (quote) quote = found[0] === quote[0] ? undefined : quote;
    else if (found[0] === '>') return found.index;
    else quote = found;
  }
}
