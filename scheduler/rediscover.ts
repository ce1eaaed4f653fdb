import { itemIdOf, parseFeedUrl, urlIn, type Feed, type FeedUrl, type Reading } from '../lib/domain.js';
import type { FeedStore } from '../lib/store/feeds.js';
import { isGone } from '../lib/status.js';
import type { Read } from './read.js';

export interface RediscoverDeps {
  readonly feeds: Pick<FeedStore, 'known'>;
  readonly read: Read;
  /** What a site asks of us by its robots.txt (RFC 9309): nobody has told us to look there. */
  readonly mayLookAt: (url: FeedUrl) => Promise<boolean>;
}

type Fresh = Extract<Reading, { kind: 'fresh' }>;

/** A feed that was found at another address than its own. */
export interface Found {
  readonly to: FeedUrl;
  readonly reading: Fresh;
}

// One 404 is often a mistake; the second of these in a row is followed by hours of waiting already.
const NOT_FOUND_TIMES = 3;
const PAGES = 2;
const CANDIDATES = 3;

/** Whether the server says for good that there is nothing at a feed's URL: 410 twice, or 404 three times in a row. */
export const isLost = (feed: Feed, reading: Reading): boolean =>
  isGone(feed, reading) ||
  (reading.kind === 'failed' &&
    reading.status === 404 &&
    feed.failure?.status === 404 &&
    feed.failures >= NOT_FOUND_TIMES - 1);

/**
 * Where a feed may be that is no longer at its URL: among the feeds that its page names, the first one that has an entry
 * of its, or its title.
 */
export async function rediscover(deps: RediscoverDeps, feed: Feed): Promise<Found | undefined> {
  for (const page of pagesOf(feed)) {
    const seen = await lookAt(deps, page);
    if (seen?.kind !== 'page') continue;
    const candidates = seen.feeds.filter((url) => url !== feed.url && url !== feed.at);
    for (const to of candidates.slice(0, CANDIDATES)) {
      const reading = await lookAt(deps, to);
      if (reading?.kind === 'fresh' && (await isSame(deps, feed, reading))) return { to, reading };
    }
  }
  return undefined;
}

const lookAt = async ({ mayLookAt, read }: RediscoverDeps, url: FeedUrl): Promise<Reading | undefined> =>
  (await mayLookAt(url)) ? read({ url }) : undefined;

/** The pages that a feed says it belongs to, then the front page of its site. */
function pagesOf({ url, source }: Feed): FeedUrl[] {
  const named = source?.links.filter(({ rel }) => rel === 'alternate').map(({ href }) => href) ?? [];
  const pages = [...named, urlIn('/', url)?.href ?? ''].flatMap((text): FeedUrl[] => {
    try {
      return [parseFeedUrl(text)];
    } catch {
      return [];
    }
  });
  return [...new Set(pages)].filter((page) => page !== url).slice(0, PAGES);
}

async function isSame({ feeds }: RediscoverDeps, feed: Feed, { source, entries }: Fresh): Promise<boolean> {
  const title = feed.source?.title?.value;
  if (title !== undefined && title === source.title?.value) return true;
  const known = await feeds.known(feed.id);
  return entries.some(({ id }) => known.has(itemIdOf(feed.id, id)));
}
