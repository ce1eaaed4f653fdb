import { Parser } from 'htmlparser2';

/**
 * The text without what XML 1.0 forbids (section 2.2, Char), so that it can never break a stanza: forbidden characters
 * are dropped, lone surrogates become U+FFFD.
 */
export const xmlText = (text: string): string =>
  SUSPICIOUS.test(text)
    ? text.replace(FORBIDDEN, (character) => (/[\ud800-\udfff]/.test(character) ? '\ufffd' : ''))
    : text;

// Looking at single units is several times faster than at characters, and most texts have none of these.
const SUSPICIOUS = /[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]/;

const FORBIDDEN = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu;

/** The text, or a beginning of it that ends with an ellipsis and is at most `maxChars` UTF-16 units long. */
export function cutText(text: string, maxChars: number): string {
  if (text.length <= maxChars) return text;
  return maxChars < 1 ? '' : beginning(text, maxChars - ELLIPSIS.length) + ELLIPSIS;
}

/** An element: as it is read, or as it is to be written. What has a `text` is written with that inside, and nothing else. */
export interface Tag {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly text?: string;
}

/** What to write for an element that stands in `parent` ('' for none); for undefined it goes with all that is in it. */
export type Rewrite = (tag: Tag, parent: string) => Tag | undefined;

/**
 * HTML or XHTML markup (the inside of a <body> or <div>), or a beginning of it that is at most `maxChars` UTF-16 units
 * long: never cut inside a tag or an entity, what is open is closed, and an ellipsis stands where text is missing.
 * Takes linear time. HTML that is short enough comes back as it is; anything else as rewriteMarkup() writes it.
 */
export function cutMarkup(markup: string, maxChars: number, type: 'html' | 'xhtml'): string {
  return type === 'html' && markup.length <= maxChars ? markup : rewriteMarkup(markup, maxChars, type, (tag) => tag);
}

/**
 * The same, with every element rewritten. The result is well-formed XML whatever came in: HTML's entities are
 * characters, prefixes, namespaces and comments are gone, nesting ends at 100 levels (and the text at 1,000). Scripts,
 * styles and templates are left out.
 */
export function rewriteMarkup(markup: string, maxChars: number, type: 'html' | 'xhtml', rewrite: Rewrite): string {
  const xhtml = type === 'xhtml';
  const written: string[] = [];
  /** An entry per open element: its name as it was written, and its end tag, '' where its tags are left out. */
  const open: { readonly name: string; readonly end: string; readonly unread: boolean }[] = [];
  const state = { room: maxChars - ELLIPSIS.length, unread: 0, full: false };

  const stop = () => {
    state.full = true;
    parser.pause();
  };

  const parser = new Parser(
    {
      onopentag(qualifiedName, attributes) {
        if (open.length >= ABSURD_DEPTH) return stop();
        const parent = open.at(-1)?.name ?? '';
        if (state.full || state.unread > 0) return void open.push({ name: parent, end: '', unread: false });
        const name = xhtml ? localName(qualifiedName) : qualifiedName;
        const tag = UNREADABLE.has(name) ? undefined : rewrite({ name, attributes }, parent);
        const unread = !tag || tag.text !== undefined;
        if (unread) state.unread++;
        if (!tag || open.length >= MAX_DEPTH || !NAME.test(tag.name)) {
          return void open.push({ name: parent, end: '', unread });
        }
        const empty = VOID.has(tag.name);
        const start = `<${tag.name}${attributesText(tag.attributes)}${empty ? ' /' : ''}>${escapeXml(tag.text ?? '')}`;
        const end = empty ? '' : `</${tag.name}>`;
        if (start.length + end.length > state.room) return stop();
        state.room -= start.length + end.length;
        written.push(start);
        open.push({ name: tag.name, end, unread });
      },
      ontext(text) {
        if (state.full || state.unread > 0) return;
        const escaped = escapeXml(text);
        if (escaped.length <= state.room) {
          state.room -= escaped.length;
          written.push(escaped);
          return;
        }
        written.push(escapeXml(beginning(text, unitsThatFit(text, state.room))));
        stop();
      },
      onclosetag() {
        if (state.full) return;
        const element = open.pop();
        if (element?.unread) state.unread--;
        written.push(element?.end ?? '');
      },
    },
    { xmlMode: xhtml },
  );
  parser.write(xhtml ? markup.replace(HTML_ENTITY, decodedEntity) : markup);
  if (!state.full) parser.end();
  if (state.full && maxChars > 0) written.push(ELLIPSIS);
  // A reference to a character that XML forbids was none before.
  return (
    xmlText(written.join('')) +
    open
      .reverse()
      .map(({ end }) => end)
      .join('')
  );
}

/**
 * What a person would read of HTML or XHTML markup: entities are characters, blocks stand on lines of their own, images
 * are their alternative text, white space is collapsed.
 */
export function plainText(markup: string): string {
  const read: string[] = [];
  let unread = 0;
  let depth = 0;
  const parser = new Parser({
    onopentag(name, { alt }) {
      if (++depth > ABSURD_DEPTH) parser.pause();
      if (UNREADABLE.has(name)) unread++;
      if (unread === 0) read.push(name === 'img' && alt ? ` ${alt} ` : (BEFORE.get(name) ?? ''));
    },
    ontext(text) {
      if (unread === 0) read.push(text.replace(/\s/g, ' '));
    },
    onclosetag(name) {
      depth--;
      if (UNREADABLE.has(name)) unread--;
      if (unread === 0) read.push(AFTER.get(name) ?? '');
    },
  });
  parser.end(markup);
  const lines = xmlText(read.join('')).split('\n');
  return lines
    .map((line) => line.replace(/ {2,}/g, ' ').trim())
    .join('\n')
    .replace(/\n{3,}/g, '\n\n')
    .trim();
}

const ELLIPSIS = '…';

/** Deep nesting makes recursive parsers and serialisers overflow: ours, the server's, the clients'. */
const MAX_DEPTH = 100;
/** The tokenizer's time is quadratic in the depth, so that reading ends where no honest document goes. */
const ABSURD_DEPTH = 1_000;

/** Where no space is found within so many units, a word is cut. */
const LONGEST_WORD = 40;

const NAME = /^[a-z_][\w.-]*$/i;
const HTML_ENTITY = /&(?!(?:amp|lt|gt|quot|apos);)[a-z][a-z0-9]{1,31};/gi;
const UNREADABLE = new Set(['script', 'style', 'template']);
const VOID = new Set('area base br col embed hr img input link meta param source track wbr'.split(' '));

const lines = 'address article dd div dt figcaption footer header section tr'.split(' ');
const paragraphs = 'blockquote dl figure h1 h2 h3 h4 h5 h6 hr ol p pre table ul'.split(' ');
const AFTER: ReadonlyMap<string, string> = new Map([
  ...lines.map((name) => [name, '\n'] as const),
  ...paragraphs.map((name) => [name, '\n\n'] as const),
]);
const BEFORE: ReadonlyMap<string, string> = new Map([...AFTER, ['br', '\n'], ['li', '\n• '], ['td', ' '], ['th', ' ']]);

/** At most `length` units from the front, ending between words where there is a space near the end. */
function beginning(text: string, length: number): string {
  let end = Math.max(0, Math.min(length, text.length));
  if (end < text.length) {
    const start = Math.max(0, end - LONGEST_WORD);
    const space = text.slice(start, end + 1).search(/\s\S*$/);
    if (space >= 0 && start + space > 0) end = start + space;
    else if (/[\ud800-\udbff]/.test(text.charAt(end - 1))) end--;
  }
  return text.slice(0, end).trimEnd();
}

/** How much of the text is at most `room` units long once it is escaped. */
function unitsThatFit(text: string, room: number): number {
  let units = 0;
  for (let used = 0; units < text.length; units++) {
    used += ESCAPES[text.charAt(units)]?.length ?? 1;
    if (used > room) break;
  }
  return units;
}

function attributesText(attributes: Readonly<Record<string, string>>): string {
  let text = '';
  for (const [name, value] of Object.entries(attributes)) {
    if ((NAME.test(name) && name !== 'xmlns') || name === 'xml:lang') text += ` ${name}="${escapeXml(value)}"`;
  }
  return text;
}

/** An entity that XML does not know, as the character it stands for; as text where HTML does not know it either. */
function decodedEntity(entity: string): string {
  const read: string[] = [];
  new Parser({ ontext: (text) => read.push(text) }).end(entity);
  return escapeXml(read.join(''));
}

const localName = (name: string): string => name.slice(name.lastIndexOf(':') + 1);

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escapeXml = (text: string): string => text.replace(/[&<>"]/g, (character) => ESCAPES[character] ?? character);
