import { createHash } from 'node:crypto';
import { urlIn, type Link, type Reading, type Source, type Target } from '../lib/domain.js';
import { discoverInHeader, parseLinkHeader } from './discover.js';
import type { Fetch } from './fetch.js';
import type { Parse } from './parse.js';

export interface ReaderDeps {
  readonly fetch: Fetch;
  readonly parse: Parse;
}

/**
 * One look at a URL. The world's faults are readings.
 * @throws the signal's reason once the signal is aborted, and what is a fault of ours.
 */
export type Read = (target: Target, signal?: AbortSignal) => Promise<Reading>;

export function createReader({ fetch, parse }: ReaderDeps): Read {
  return async function read(target, signal) {
    const fetched = await fetch(target, signal);
    if (fetched.kind === 'failed' || fetched.kind === 'postponed') return fetched;
    if (fetched.kind === 'not-modified') return { ...fetched, kind: 'unchanged' };

    const { bytes, isCut, contentType, link, validators, url } = fetched;
    const also = {
      ...(fetched.moved && { moved: fetched.moved }),
      ...(fetched.freshFor !== undefined && { freshFor: fetched.freshFor }),
    };
    const body = createHash('sha256').update(bytes).digest('base64url').slice(0, BODY_HASH_CHARS);
    // Many servers ignore validators, and parsing is fifty times the work of hashing.
    if (body === target.body) return { kind: 'unchanged', validators, hasBody: true, ...also };

    const parsed = await parse(bytes, contentType, url);
    if (isCut && parsed.kind !== 'feed') return BROKEN_OFF;
    if (parsed.kind === 'failed') return parsed;
    if (parsed.kind === 'feed') {
      const { source, ...found } = parsed;
      return {
        ...found,
        kind: 'fresh',
        source: withHeaderLinks(source, link, url),
        validators,
        body,
        url,
        ...also,
        ...(isCut && { cut: true }),
      };
    }
    const feeds = [...new Set([...parsed.feeds, ...discoverInHeader(link, url)])];
    if (feeds.length > 0) return { kind: 'page', feeds };
    return { kind: 'failed', reason: 'not-a-feed', text: 'There is neither a feed nor a page that names one' };
  };
}

/** Of SHA-256, in base64: it is kept for every feed. */
const BODY_HASH_CHARS = 16;

const BROKEN_OFF: Reading = { kind: 'failed', reason: 'connect', text: 'The server broke off its answer' };

/** WebSub 4: a feed may name its hub and itself in the Link header, which then comes first. */
function withHeaderLinks(source: Source, header: string, url: string): Source {
  const links = parseLinkHeader(header).flatMap(({ href, rel }): Link[] => {
    const target = ['hub', 'self'].includes(rel) ? urlIn(href, url) : undefined;
    return target ? [{ href: target.href, rel }] : [];
  });
  if (links.length === 0) return source;
  const isNew = ({ href, rel }: Link) => !links.some((link) => link.href === href && link.rel === rel);
  return { ...source, links: [...links, ...source.links.filter(isNew)] };
}
