import { LRUCache } from 'lru-cache';
import robotsParser from 'robots-parser';
import { parseFeedUrl, type FeedUrl } from '../lib/domain.js';
import type { Fetch, FetchOptions } from './fetch.js';

/** What a fetch of robots.txt differs in from one of feeds. RFC 9309 2.5 wants 500 KiB to be read, and lets us stop there. */
export const ROBOTS = {
  accept: 'text/plain, */*;q=0.1',
  maxBytes: 524_288,
} as const satisfies Partial<FetchOptions>;

export interface RobotsDeps {
  /** Made with ROBOTS. */
  readonly fetch: Fetch;
  /** In milliseconds that never go back. */
  readonly now?: () => number;
}

/** Whether we may look at a URL that nobody gave us: one that a page names, or where a feed may have gone. */
export type MayLookAt = (url: FeedUrl) => Promise<boolean>;

const NAME = 'hydrant';
const DAY_MS = 86_400_000;
/** A robots.txt that could not be read says nothing, and is asked for again soon. */
const UNREAD_MS = 600_000;
const MAX_ORIGINS = 10_000;

interface Rules {
  /** Undefined for a URL of another origin. */
  isAllowed(url: string, name: string): boolean | undefined;
}

/** COMPAT(robots-parser 3): its types are those of an ES module, and it is none. */
const parseRules = robotsParser as unknown as (address: string, text: string) => Rules;

/**
 * The robots.txt of an origin (RFC 9309), kept for a day. Only a group that names Hydrant counts: what is said to all is
 * meant for crawlers, and whoever links a feed wants it to be read. Without a robots.txt, everything may be looked at.
 */
export function createRobots({ fetch, now = () => performance.now() }: RobotsDeps): MayLookAt {
  const cache = new LRUCache<string, { readonly rules: Rules | undefined }>({
    max: MAX_ORIGINS,
    ttl: DAY_MS,
    perf: { now },
    ttlResolution: 0,
    fetchMethod: async (address, _, { options }) => {
      const fetched = await fetch({ url: parseFeedUrl(address), awaited: true });
      if (fetched.kind === 'fetched') return { rules: rulesIn(new TextDecoder().decode(fetched.bytes), address) };
      const isAnswer = fetched.kind === 'failed' && fetched.status !== undefined && fetched.status < 500;
      if (!isAnswer) options.ttl = UNREAD_MS;
      return { rules: undefined };
    },
  });

  return async (url) => {
    const found = await cache.fetch(new URL('/robots.txt', url).href);
    return found?.rules?.isAllowed(url, NAME) ?? true;
  };
}

const FIELD = /^[ \t]*(user-agent|allow|disallow)[ \t]*:([^#]*)/i;
const OUR_NAME = /^hydrant(?![\w-])/i;

/** Matching a rule with wildcards can take as many steps as its length times that of the URL's path. */
const MAX_WILD_CHARS = 4_096;

/**
 * What the groups that name us say (RFC 9309 2.2.1), or nothing where none does. The library reads only that: what it
 * does with other groups takes memory by the product of their names and rules.
 */
function rulesIn(text: string, address: string): Rules | undefined {
  const rules: string[] = [];
  let wildChars = MAX_WILD_CHARS;
  let isOurs = false;
  let isHead = false;
  for (const line of text.split(/\r\n|\r|\n/)) {
    const [, field = '', value = ''] = FIELD.exec(line) ?? [];
    if (!field) continue;
    const isName = field.toLowerCase() === 'user-agent';
    if (isName) isOurs = (isHead && isOurs) || OUR_NAME.test(value.trim());
    else if (isOurs && (!value.includes('*') || (wildChars -= value.length) >= 0)) rules.push(`${field}:${value}`);
    isHead = isName;
  }
  return rules.length > 0 ? parseRules(address, [`User-agent: ${NAME}`, ...rules].join('\n')) : undefined;
}
