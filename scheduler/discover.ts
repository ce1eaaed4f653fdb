import { Parser } from 'htmlparser2';
import { parseFeedUrl, type FeedUrl, urlIn } from '../lib/domain.js';

/**
 * The feeds that a web page names, best first and at most twenty: those in <link rel="alternate"> (RSS autodiscovery,
 * HTML 4.6.7.1); and those of which there is only a link whose address looks like a feed's. Relative URLs are resolved
 * against <base> and the page's URL. Text that is no HTML names none.
 */
export function discover(
  html: string,
  page: string,
): { readonly named: readonly FeedUrl[]; readonly guessed: readonly FeedUrl[] } {
  const links: Candidate[] = [];
  const guesses: Candidate[] = [];
  let base: string | undefined;
  const parser = new Parser({
    onopentag(name, { href, rel, type, title }) {
      if (!href) return;
      if (name === 'base') base ??= href;
      if (name === 'link' && isAlternate(rel)) links.push({ href, type, title });
      if (name === 'a' && LOOKS_LIKE_A_FEED.test(href)) guesses.push({ href });
    },
  });
  parser.end(html);
  const origin = (base && urlIn(base, page)?.href) ?? page;
  const typed = guesses.map((guess) => ({ ...guess, type: 'application/rss+xml' }));
  return { named: best(links, origin, page), guessed: best(typed, origin, page) };
}

/** The feeds that a Link header (RFC 8288) names, like those of discover(). */
export function discoverInHeader(header: string, page: string): readonly FeedUrl[] {
  return best(
    parseLinkHeader(header).filter(({ rel }) => isAlternate(rel)),
    page,
    page,
  );
}

export interface HeaderLink {
  /** As it was written: perhaps relative. */
  readonly href: string;
  readonly rel: string;
  readonly type?: string;
  readonly title?: string;
}

/** The links of a Link header; what is malformed is skipped. */
export function parseLinkHeader(header: string): readonly HeaderLink[] {
  return [...header.matchAll(HEADER_LINK)].map(([, href = '', parameters = '']) => {
    const found = new Map(
      [...parameters.matchAll(PARAMETER)].map(([, name = '', quoted, token]) => [
        name.toLowerCase(),
        quoted ?? token ?? '',
      ]),
    );
    const [type, title] = [found.get('type'), found.get('title')];
    return { href, rel: found.get('rel') ?? '', ...(type && { type }), ...(title && { title }) };
  });
}

const HEADER_LINK = /<([^<>]*)>((?:\s*;\s*[\w*-]+\s*(?:=\s*(?:"[^"]*"|[^\s",;]*))?)*)/g;
const PARAMETER = /([\w*-]+)\s*=\s*(?:"([^"]*)"|([^\s",;]*))/g;

interface Candidate {
  readonly href: string;
  readonly type?: string | undefined;
  readonly title?: string | undefined;
}

const isAlternate = (rel = ''): boolean => {
  const tokens = rel.toLowerCase().split(/\s+/);
  return (tokens.includes('alternate') || tokens.includes('feed')) && !tokens.includes('stylesheet');
};

/** Formats in which everything can be said come before the one that is often something else entirely. */
const TYPES: ReadonlyMap<string, number> = new Map([
  ['application/atom+xml', 0],
  ['application/rss+xml', 0],
  ['application/rdf+xml', 0],
  ['application/feed+json', 1],
  ['application/json', 2],
]);
const COMMENTS = /comment|kommentar|commentaire|comentario/i;
const COMMENTS_RANK = 10;
const LOOKS_LIKE_A_FEED =
  /(?:^|[/?.=])(?:feed|rss|atom|index\.xml|feed\.json)(?:\.xml)?\/?(?:$|[?#])|\.(?:rss|atom|rdf)(?:$|[?#])/i;
const MAX_FEEDS = 20;

/** Ranked, absolute, each once; never the page itself. */
function best(candidates: readonly Candidate[], base: string, page: string): readonly FeedUrl[] {
  const ranked = candidates
    .map((candidate) => ({ ...candidate, rank: rank(candidate) }))
    .filter(({ rank }) => rank !== undefined)
    .toSorted((a, b) => (a.rank ?? 0) - (b.rank ?? 0));
  const feeds = new Set(ranked.flatMap(({ href }) => followable(href, base) ?? []));
  feeds.delete(page as FeedUrl);
  return [...feeds].slice(0, MAX_FEEDS);
}

/** The lower the better; nothing for what is no feed. */
function rank({ href, type, title }: Candidate): number | undefined {
  const known = TYPES.get(type?.split(';')[0]?.trim().toLowerCase() ?? '');
  // WordPress offers every page of its API like this.
  if (known === undefined || href.includes('/wp-json/')) return undefined;
  return known + (COMMENTS.test(`${title ?? ''} ${href}`) ? COMMENTS_RANK : 0);
}

function followable(href: string, base: string): FeedUrl | undefined {
  try {
    // feed: is what browsers once handed to feed readers, in front of a URL or in the place of http.
    return parseFeedUrl(
      new URL(
        href
          .trim()
          .replace(/^feed:(?:\/\/)?(?=https?:)/i, '')
          .replace(/^feed:/i, 'http:'),
        base,
      ).href,
    );
  } catch {
    return undefined;
  }
}
