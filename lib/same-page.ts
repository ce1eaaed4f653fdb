import { urlIn } from './domain.js';

/**
 * One text for all spellings of one page's address: scheme, `www.`, the usual ports, slashes at the end, the fragment,
 * how a character is escaped (RFC 3986 6.2.2) and what was added to count readers make no difference. It is to be
 * compared, not asked for.
 * @returns undefined for what is no http(s) URL
 */
export function samePage(address: string): string | undefined {
  const url = urlIn(address);
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') return undefined;
  const host = url.hostname.replace(/^www\./, '').replace(/\.$/, '');
  const port = USUAL_PORTS.has(url.port) ? '' : `:${url.port}`;
  return `${host}${port}${unescaped(withoutSlashes(url.pathname))}${unescaped(withoutTracking(url.search))}`;
}

// Of either scheme, because the scheme does not count.
const USUAL_PORTS = new Set(['', '80', '443']);

// What statistics, mailings and advertisements append, by the whole name or by its beginning.
const TRACKING =
  /^(?:(?:utm|mtm|pk|piwik|matomo|at|hsa)_.+|ns_(?:campaign|fee|linkname|mchannel|source)|xtor|mc_[ce]id|mkt_tok|_hsenc|_hsmi|(?:fb|g|dc|tt|tw|y)clid|msclkid|[gw]braid|gclsrc|igsh|igshid)$/;

function withoutTracking(search: string): string {
  const kept = search
    .slice(1)
    .split('&')
    .filter((part) => part !== '' && !TRACKING.test(part.split('=', 1)[0]?.toLowerCase() ?? ''));
  return kept.length > 0 ? `?${kept.join('&')}` : '';
}

function withoutSlashes(path: string): string {
  let end = path.length;
  while (path.charAt(end - 1) === '/') end--;
  return path.slice(0, end);
}

/** Escapes of unreserved characters are the characters; all others are written in one way. */
const unescaped = (text: string): string =>
  text.replace(/%[0-9a-f]{2}/gi, (escape) => {
    const character = String.fromCharCode(parseInt(escape.slice(1), 16));
    return /[\w.~-]/.test(character) ? character : escape.toUpperCase();
  });
