import sanitizeHtml from 'sanitize-html';
import { urlIn } from '../lib/domain.js';
import { rewriteMarkup, type Tag } from '../lib/text.js';

/** Where a text stands: what its relative URLs are relative to, and the page that shows it, for its #fragments. */
export interface Surroundings {
  readonly base: string;
  readonly page?: string;
}

/**
 * HTML or XHTML markup as it may be shown to anybody anywhere: only elements that a text is made of, without scripts,
 * styles, forms, frames, drawings and names; only absolute URLs, without those that run; no images that are not there
 * to be seen. What was embedded is a link, an image without an address its alternative text. The result is well-formed,
 * and the same when it is sanitised again; HTML without any tag comes back as it is. Takes linear time. What is
 * absurdly long is cut as rewriteMarkup() does it.
 *
 * The library has the last word on what may be in a text, but takes longer for it than the reading of a whole feed; a
 * text in which there is nothing but the plainest of tags is not shown to it.
 */
export function sanitise(markup: string, type: 'html' | 'xhtml', around: Surroundings): string {
  if (type === 'html' && !markup.includes('<')) return markup;
  const readable = rewriteMarkup(markup, MOST_CHARS, type, (tag, parent) => shown(tag, parent, around));
  return UNPROVEN.test(readable) ? sanitizeHtml(readable, ALLOWED) : readable;
}

/** More than anybody keeps of a text, and little enough for the memory of a worker. */
const MOST_CHARS = 1_048_576;
const MAX_URL_CHARS = 4_096;
const MAX_SRCSET_CHARS = 8_192;

/** What a text is made of: each element with the attributes of its own. */
const KEPT: ReadonlyMap<string, readonly string[]> = new Map<string, readonly string[]>([
  ['a', ['href', 'hreflang', 'type']],
  ['audio', ['src', 'controls']],
  ['blockquote', ['cite']],
  ['col', ['span']],
  ['colgroup', ['span']],
  ['data', ['value']],
  ['del', ['cite', 'datetime']],
  ['details', ['open']],
  ['img', ['src', 'srcset', 'sizes', 'alt', 'width', 'height']],
  ['ins', ['cite', 'datetime']],
  ['li', ['value']],
  ['ol', ['start', 'reversed', 'type']],
  ['q', ['cite']],
  ['source', ['src', 'srcset', 'sizes', 'media', 'type']],
  ['td', ['colspan', 'rowspan']],
  ['th', ['colspan', 'rowspan', 'scope', 'abbr']],
  ['time', ['datetime']],
  ['track', ['src', 'kind', 'srclang', 'label']],
  ['video', ['src', 'poster', 'width', 'height', 'controls']],
  ...(
    'abbr address article aside b bdi bdo br caption cite code dd dfn div dl dt em figcaption figure footer h1 h2 h3 h4 ' +
    'h5 h6 header hr i kbd main mark nav p picture pre rb rp rt rtc ruby s samp section small span strong sub summary ' +
    'sup table tbody tfoot thead tr u ul var wbr'
  )
    .split(' ')
    .map((name) => [name, []] as const),
]);
const KEPT_EVERYWHERE = ['dir', 'lang', 'title', 'xml:lang'];
const MAY_BE_EMPTY: ReadonlySet<string> = new Set(['alt', 'controls', 'open', 'reversed']);

/** Nothing in these is text. */
const LEFT_OUT: ReadonlySet<string> = new Set(
  (
    'applet area base basefont bgsound button command datalist embed frame input keygen link map meta noembed noframes ' +
    'noscript optgroup option param portal script select style svg template textarea title'
  ).split(' '),
);

/** Elements that stand for another one. Any other that we do not know is a <span>, so that the nesting stays the same. */
const RENAMED: ReadonlyMap<string, string> = new Map([
  ['acronym', 'abbr'],
  ['strike', 's'],
  ['tt', 'code'],
  ...'body center dialog fieldset form hgroup html legend listing search'
    .split(' ')
    .map((name) => [name, 'div'] as const),
]);

const LEADS_TO: ReadonlySet<string> = new Set(
  'http https ftp mailto tel sms xmpp geo magnet irc ircs gemini'.split(' '),
);
const SHOWN_FROM: ReadonlySet<string> = new Set(['http', 'https']);

/** Where publishers' scripts keep the address of an image until it is scrolled to. */
const LAZY = ['data-src', 'data-lazy-src', 'data-original', 'data-lazy'];
const LAZY_SET = ['data-srcset', 'data-lazy-srcset'];
/** What stands in an image's place until then. */
const STAND_IN =
  /^$|^(?:data|about|javascript):|[/_.-](?:blank|spacer|placeholder|transparent|pixel|loading|loader|1x1)\b/i;

const UNSEEN =
  /(?:display\s*:\s*none|visibility\s*:\s*hidden|(?:^|[;\s])(?:width|height)\s*:\s*[01](?:px)?\s*(?:;|$))/i;
const DOT = /^\s*[01](?:\.0*)?(?:px)?\s*$/;
/** These serve nothing but measurement, often as images whose size is not told. */
const BEACON =
  /^https?:\/\/(?:[^/]*\.)?(?:doubleclick\.net|google-analytics\.com|googletagmanager\.com|scorecardresearch\.com|quantserve\.com|feedsportal\.com|pixel\.wp\.com|stats\.wordpress\.com|facebook\.com\/tr)(?:[/?]|$)/;

/** It reads XML, because that is what it is given: what HTML means by it has been decided by then. */
const ALLOWED = {
  allowedTags: [...KEPT.keys()],
  allowedAttributes: { '*': [...new Set([...KEPT_EVERYWHERE, ...[...KEPT.values()].flat()])] },
  allowedEmptyAttributes: [...MAY_BE_EMPTY],
  nonBooleanAttributes: ['*'],
  selfClosing: 'br col hr img source track wbr'.split(' '),
  allowedSchemes: [...LEADS_TO],
  allowedSchemesByTag: Object.fromEntries(
    ['audio', 'img', 'source', 'track', 'video'].map((name) => [name, [...SHOWN_FROM]]),
  ),
  allowProtocolRelative: false,
  nonTextTags: [...LEFT_OUT],
  parseStyleAttributes: false,
  parser: { xmlMode: true },
};

/** A tag other than the plainest, as rewriteMarkup() would write it. */
const UNPROVEN = unproven();

function unproven(): RegExp {
  const names =
    'a b blockquote br code dd div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 hr i img li ol p pre s small span strong sub ' +
    'sup table tbody td th thead tr u ul';
  const url = 'https?://[^"<>\\s]+';
  const attributes = [
    `(?:href|src)="${url}"`,
    `srcset="${url}(?: \\d+[wx])?(?:, ${url}(?: \\d+[wx])?)*"`,
    '(?:alt|height|lang|sizes|title|width)="[^"<>]*"',
  ];
  return new RegExp(`<(?!/?(?:${names.replaceAll(' ', '|')})(?: (?:${attributes.join('|')}))*(?: /)?>)`);
}

function shown({ name, attributes }: Tag, parent: string, around: Surroundings): Tag | undefined {
  if (LEFT_OUT.has(name)) return undefined;
  switch (name) {
    case 'img':
      return image(attributes, around);
    case 'iframe':
      return embedded(attributes, parent, around);
    case 'source':
    case 'track': {
      const tag = kept(name, attributes, around);
      return (tag.attributes['src'] ?? tag.attributes['srcset']) ? tag : undefined;
    }
    case 'audio':
    case 'video':
      // Without scripts nothing else would start it.
      return kept(name, { ...attributes, controls: '' }, around);
    default:
      return kept(nameOf(name, parent), attributes, around);
  }
}

/** What a <p> does not hold would end it when the text is read the next time. */
function nameOf(name: string, parent: string): string {
  if (KEPT.has(name)) return name;
  const other = RENAMED.get(name) ?? 'span';
  return other === 'div' && parent === 'p' ? 'span' : other;
}

function image(attributes: Tag['attributes'], around: Surroundings): Tag | undefined {
  if (isUnseen(attributes)) return undefined;
  const tag = kept('img', attributes, around);
  const { src, srcset, alt } = tag.attributes;
  if (src !== undefined) return BEACON.test(src) ? undefined : tag;
  if (srcset !== undefined) return tag;
  return alt ? { name: 'span', attributes: {}, text: alt } : undefined;
}

/** A film in a frame is what many entries consist of. Links do not hold links. */
function embedded(attributes: Tag['attributes'], parent: string, around: Surroundings): Tag | undefined {
  const href = source(attributes, around);
  if (href === undefined || isUnseen(attributes) || BEACON.test(href)) return undefined;
  const text = attributes['title']?.trim() || href;
  return parent === 'a' ? { name: 'span', attributes: {}, text } : { name: 'a', attributes: { href }, text };
}

const isUnseen = ({ width = '', height = '', style = '', hidden }: Tag['attributes']): boolean =>
  DOT.test(width) || DOT.test(height) || hidden !== undefined || UNSEEN.test(style);

function kept(name: string, attributes: Tag['attributes'], around: Surroundings): Tag {
  const own = KEPT.get(name);
  const clean: Record<string, string> = {};
  for (const attribute of own ? [...own, ...KEPT_EVERYWHERE] : KEPT_EVERYWHERE) {
    const value = valueOf(attribute, attributes, around);
    if (value || (value === '' && MAY_BE_EMPTY.has(attribute))) clean[attribute] = value;
  }
  return { name, attributes: clean };
}

function valueOf(attribute: string, attributes: Tag['attributes'], around: Surroundings): string | undefined {
  const value = attributes[attribute];
  switch (attribute) {
    case 'href':
      return target(value, around);
    case 'cite':
      return absolute(value, around.base, LEADS_TO);
    case 'src':
      return source(attributes, around);
    case 'poster':
      return absolute(value, around.base, SHOWN_FROM);
    case 'srcset':
      return sourceSet(first(attributes, LAZY_SET) ?? value, around);
    default:
      return value;
  }
}

/** A #fragment leads to its place on the entry's page, since the names that it may mean here are gone. */
function target(reference: string | undefined, { base, page }: Surroundings): string | undefined {
  if (!reference?.trim().startsWith('#')) return absolute(reference, base, LEADS_TO);
  return page === undefined ? undefined : absolute(reference, page, LEADS_TO);
}

function source(attributes: Tag['attributes'], { base }: Surroundings): string | undefined {
  const src = attributes['src'] ?? '';
  const lazy = STAND_IN.test(src.trim()) ? first(attributes, LAZY) : undefined;
  return absolute(lazy ?? src, base, SHOWN_FROM);
}

function sourceSet(set: string | undefined, { base }: Surroundings): string | undefined {
  if (set === undefined || set.length > MAX_SRCSET_CHARS || set.includes(',,')) return undefined;
  const candidates = [...set.replace(/\s+/g, ' ').trim().matchAll(CANDIDATE)].flatMap(([, url, size, unit = '']) => {
    const href = absolute(url, base, SHOWN_FROM);
    return href === undefined ? [] : [Number(size) > 0 ? `${href} ${Number(size)}${unit}` : href];
  });
  return candidates.length > 0 ? candidates.join(', ') : undefined;
}

/** https://html.spec.whatwg.org/multipage/images.html#srcset-attributes; URLs may hold commas, but do not end with one. */
const CANDIDATE = /[ ,]*(\S+?)(?:,(?= |$)| (\d{1,6}(?=w)|\d{1,3}(?:\.\d{1,3})?(?=x))([wx]) ?(?:,|$)| ,|$)/gy;

const first = (attributes: Tag['attributes'], names: readonly string[]): string | undefined =>
  names.map((name) => attributes[name]).find(Boolean);

function absolute(reference: string | undefined, base: string, schemes: ReadonlySet<string>): string | undefined {
  const text = reference?.trim();
  const url = text ? urlIn(text, base) : undefined;
  return url && url.href.length <= MAX_URL_CHARS && schemes.has(url.protocol.slice(0, -1)) ? url.href : undefined;
}
