import { domainToASCII } from 'node:url';
import { urlIn, type Entry, type OutOfLine, type Source, type Text } from './domain.js';
import { Fault } from './faults.js';
import { plainText } from './text.js';

/** A parsed query; opaque to callers. */
export type Filter =
  | { readonly kind: 'all' | 'any'; readonly parts: readonly Filter[] }
  | { readonly kind: 'not'; readonly part: Filter }
  /** Folded words, one or more, that stand next to each other. */
  | { readonly kind: 'words'; readonly scope: Scope; readonly words: readonly string[] }
  /** A host in ASCII; a part of a URL, or a language range (RFC 4647 2.1), in lower case; a folded category. */
  | { readonly kind: 'site' | 'link' | 'language' | 'category'; readonly value: string };

/** What a filter looks at: `source` and `url` are those of the feed. */
export interface Filtered {
  readonly entry: Entry;
  readonly source: Source;
  readonly url: string;
}

/** An entry as filters see it; opaque to callers. */
export interface IndexedEntry {
  readonly scopes: Readonly<Record<Scope, Words>>;
  readonly hosts: readonly string[];
  readonly hrefs: readonly string[];
  readonly language: string;
  readonly categories: ReadonlySet<string>;
}

/** Where words are looked for; `text` is title, summary, content and categories. */
type Scope = 'text' | 'title' | 'author';

/** The words of some texts: each by itself, and in their order as ` one two \n three `, a line per text. */
interface Words {
  readonly each: ReadonlySet<string>;
  readonly lines: string;
}

/**
 * Reads a query in the language of Superfeedr's trackers. Case and accents do not count.
 *
 *     hydrant            a whole word in the title, the summary, the content or a category
 *     "fire hydrant"     words that stand next to each other; so do the parts of e-mail or example.org
 *     red hydrant        both (a `+` between them changes nothing); binds tighter than |
 *     red | blue         one of them
 *     -red               not; before a word, a phrase, a field or a parenthesis
 *     red (hose | pump)  parentheses, at most 32 levels deep
 *     site:example.org   the host, or a parent of the host, of the feed or of a page (rel=alternate) of the entry
 *     link:/2026/        a part of the URL of any link, but for case; https://example.org/ alone means the same
 *     language:en        en, en-GB (RFC 4647 3.3.1): xml:lang of the entry, else of the feed
 *     author:jane        words in the name or email of an author: the entry's, else the feed's (RFC 4287 4.2.1)
 *     category:news      a whole term or label
 *     title:hydrant      words in the title
 *
 * What follows a field may be a "phrase". A query of nothing but negations is allowed.
 * @throws Fault `invalid-options` that says what was expected, and where: `at position N` counts UTF-16 units from 0.
 *   Reasons are a text that is empty or longer than 1,024 units, a quote or parenthesis without its other half, nothing
 *   after | or -, an unknown field, a value that its field cannot have, a word without a letter or digit.
 */
export function parseFilter(text: string): Filter {
  if (text.length > MAX_CHARS) throw expected(`at most ${MAX_CHARS} characters, not another one`, MAX_CHARS);
  let at = 0;
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    at += found?.length ?? 0;
    return found;
  };

  const any = (depth: number): Filter => {
    const parts = [all(depth)];
    while (take(OR)) parts.push(all(depth));
    return joined('any', parts);
  };

  const all = (depth: number): Filter => {
    const parts: Filter[] = [];
    do {
      take(SPACE);
      parts.push(take(NOT) ? { kind: 'not', part: one(depth) } : one(depth));
      take(SPACE);
    } while (take(END) === undefined);
    return joined('all', parts);
  };

  const one = (depth: number): Filter => {
    const start = at;
    if (!take(OPEN)) return term();
    if (depth === MAX_DEPTH) throw expected(`at most ${MAX_DEPTH} levels of parentheses`, start);
    const inside = any(depth + 1);
    if (!take(CLOSE)) throw expected('a closing parenthesis for the one', start);
    return inside;
  };

  const term = (): Filter => {
    const start = at;
    const name = take(NAME)?.slice(0, -1).toLowerCase() ?? (take(URL_AHEAD) === undefined ? '' : 'link');
    const field = FIELDS.get(name);
    if (!field) throw expected(`${NAMES}, or quotes around all that has a colon,`, start);
    const valueStart = at;
    const value = take(PHRASE)?.slice(1, -1) ?? take(WORD);
    if (value === undefined && take(QUOTE)) throw expected('a closing quote for the one', valueStart);
    const [wanted, read] = field;
    const filter = value === undefined ? undefined : read(value);
    if (!filter) throw expected(wanted, valueStart);
    return filter;
  };

  const whole = any(0);
  if (at < text.length) throw expected('an opening parenthesis before the closing one', at);
  return whole;
}

/** Tokenises an entry once, to be matched against many filters. Takes time linear in its size, and never throws. */
export function indexEntry({ entry, source, url }: Filtered): IndexedEntry {
  const { links, categories } = entry;
  const title = wordsIn(legible(entry.title));
  const names = categories.flatMap(({ term, label }) => (label === undefined ? [term] : [term, label]));
  const authors = [entry.authors, entry.source?.authors, source.authors].find((some) => some?.length) ?? [];
  const pages = links.filter(({ rel }) => rel === 'alternate').map(({ href }) => href);
  return {
    scopes: {
      title: together([title]),
      text: together([title, ...[legible(entry.summary), legible(entry.content), ...names].map(wordsIn)]),
      author: together(authors.flatMap(({ name = '', email = '' }) => [wordsIn(name), wordsIn(email)])),
    },
    hosts: [url, ...pages].map(hostOf),
    hrefs: links.map(({ href }) => href.toLowerCase()),
    language: (entry.lang ?? source.lang ?? '').toLowerCase(),
    categories: new Set(names.map(folded)),
  };
}

/** The same for something of which nothing is known but its words: XML text. */
export function indexPayload(payload: string): IndexedEntry {
  const nothing = { links: [], authors: [], contributors: [], categories: [], media: [] };
  const title = { type: 'text', value: plainText(payload) } as const;
  return indexEntry({ entry: { ...nothing, id: '', title }, source: nothing, url: '' });
}

/** Whether the entry is one that the query asks for. Never throws. */
export function matches(filter: Filter, entry: IndexedEntry): boolean {
  switch (filter.kind) {
    case 'all':
      return filter.parts.every((part) => matches(part, entry));
    case 'any':
      return filter.parts.some((part) => matches(part, entry));
    case 'not':
      return !matches(filter.part, entry);
    case 'words':
      return stand(filter.words, entry.scopes[filter.scope]);
    case 'site':
      return entry.hosts.some((host) => `.${host}`.endsWith(`.${filter.value}`));
    case 'link':
      return entry.hrefs.some((href) => href.includes(filter.value));
    case 'language':
      return `${entry.language}-`.startsWith(`${filter.value}-`);
    case 'category':
      return entry.categories.has(filter.value);
  }
}

const MAX_CHARS = 1_024;
/** Parsing and matching are recursive. */
const MAX_DEPTH = 32;

// Phones turn quotes and dashes into typographic ones.
const SPACE = /[\s+]*/y;
const OR = /\|/y;
const NOT = /[-−–]/y;
const OPEN = /\(/y;
const CLOSE = /\)/y;
const END = /$|(?=[|)])/y;
const NAME = /\p{L}[\p{L}\p{M}\p{N}_-]*:(?!\/\/)/uy;
const URL_AHEAD = /(?=[a-z][a-z0-9+.-]*:\/\/)/iy;
const QUOTE = /["“”„]/y;
const PHRASE = /["“”„][^"“”„]*["“”„]/y;
const WORD = /(?![-−–])[^\s()|"“”„]+/y;

/** What a refusal says was expected, and what the value says; nothing when the field cannot have that value. */
type Field = readonly [wanted: string, read: (value: string) => Filter | undefined];

/** By name; what has no name is a word or a phrase. */
const FIELDS: ReadonlyMap<string, Field> = new Map<string, Field>([
  ['', ['a word, a phrase or a parenthesis', (value) => wordsTerm('text', value)]],
  ['title', ['a word or a phrase', (value) => wordsTerm('title', value)]],
  ['author', ['a name or an email address', (value) => wordsTerm('author', value)]],
  ['site', ['a host such as example.org', (value) => valueTerm('site', asciiHost(value))]],
  ['link', ['a part of a URL', (value) => valueTerm('link', value.trim().toLowerCase())]],
  ['language', ['a language tag such as en or pt-BR', (value) => valueTerm('language', languageRange(value))]],
  ['category', ['a category', (value) => valueTerm('category', folded(value))]],
]);
const NAMES = [...FIELDS.keys()].flatMap((name) => (name ? [`${name}:`] : [])).join(', ');

const expected = (what: string, position: number): Fault =>
  new Fault('invalid-options', `That filter cannot be read: expected ${what} at position ${position}`);

function wordsTerm(scope: Scope, value: string): Filter | undefined {
  const words = wordsIn(value);
  return words.length > 0 ? { kind: 'words', scope, words } : undefined;
}

const valueTerm = (kind: 'site' | 'link' | 'language' | 'category', value: string): Filter | undefined =>
  value ? { kind, value } : undefined;

/** Nothing for what is more than a host: without its path, a URL would match more than was asked for. */
const asciiHost = (text: string): string =>
  /[/\\?#]/.test(text) ? '' : domainToASCII(text).replace(/^[*.]+|\.+$/g, '');

function languageRange(text: string): string {
  const range = text.toLowerCase().replaceAll('_', '-');
  return /^[a-z]{1,8}(?:-[a-z0-9]{1,8})*$/.test(range) ? range : '';
}

function joined(kind: 'all' | 'any', parts: readonly Filter[]): Filter {
  const [first, ...others] = parts;
  return first && others.length === 0 ? first : { kind, parts };
}

/** Whether the words stand there, one after the other. */
const stand = (wanted: readonly string[], { each, lines }: Words): boolean =>
  wanted.every((word) => each.has(word)) && (wanted.length === 1 || lines.includes(` ${wanted.join(' ')} `));

const together = (texts: readonly (readonly string[])[]): Words => ({
  each: new Set(texts.flat()),
  lines: texts.map((text) => ` ${text.join(' ')} `).join('\n'),
});

function legible(text: Text | OutOfLine | undefined): string {
  if (!text || text.type === 'src') return '';
  return text.type === 'text' ? text.value : plainText(text.value);
}

const hostOf = (url: string): string => urlIn(url)?.hostname.replace(/\.$/, '') ?? '';

/** The words of a text, folded, in their order. */
function wordsIn(text: string): readonly string[] {
  const runs = text.normalize().match(RUN) ?? [];
  const found = runs.flatMap((run) =>
    UNSPACED.test(run) ? Array.from(SEGMENTER.segment(run), ({ segment }) => segment) : [run],
  );
  return folded(found.join(' ')).match(/\S+/g) ?? [];
}

// Letters and digits, with the marks and invisible characters that words are written with. Of bounded length because
// the segmenter of V8 takes quadratic time.
const RUN = /[\p{L}\p{N}][\p{L}\p{N}\p{M}\u00ad\u200c\u200d]{0,499}/gu;
/** Scripts that write words without anything in between. */
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;
const SEGMENTER = new Intl.Segmenter('en', { granularity: 'word' });

/**
 * The same text for all spellings that do not differ but in case, accents, width or white space. Upper case comes last:
 * it alone makes one of ß, ẞ and ss, and of σ and ς.
 */
const folded = (text: string): string =>
  text.normalize('NFKD').replace(ORNAMENT, '').toLowerCase().toUpperCase().replace(/\s+/g, ' ').trim();

// Marks that ornament letters of any script, the points of Hebrew, and what is invisible inside a word. Other marks
// are vowels (Devanagari, Thai), and without the two of Japanese a letter is another letter.
const ORNAMENT = /(?![\u3099\u309a])[\p{Script=Inherited}\u00ad\u0591-\u05bd\u05bf\u05c1\u05c2\u05c7]/gu;
