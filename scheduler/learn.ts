import { compare } from '../lib/changes.js';
import { feedIdOf, itemIdOf, type Feed, type FeedUrl, type Reading, type Source, urlIn } from '../lib/domain.js';
import type { Emit } from '../lib/events.js';
import type { ProbeResult } from '../lib/queues.js';
import { statusAfter } from '../lib/status.js';
import type { AliasStore } from '../lib/store/aliases.js';
import type { Commit, FeedStore } from '../lib/store/feeds.js';
import type { SubscriptionStore } from '../lib/store/subscriptions.js';
import { nextLook, type Bounds } from './interval.js';
import type { Read } from './read.js';

export interface LearnDeps {
  readonly feeds: Pick<FeedStore, 'get' | 'register' | 'known' | 'commit'>;
  readonly aliases: Pick<AliasStore, 'add'>;
  readonly subscriptions: Pick<SubscriptionStore, 'move'>;
  readonly read: Read;
  readonly bounds: Bounds;
  readonly random: () => number;
  readonly now: () => number;
  readonly emit: Emit;
}

// Two looks at one feed at once are rare (a ping in the middle of a poll); the second one sees what the first wrote.
export const ATTEMPTS = 3;

/**
 * Writes what a look has found, all of it in one commit.
 * @param feed as it was before the look
 */
export async function learn(
  deps: LearnDeps,
  feed: Feed,
  reading: Reading,
): Promise<'conflict' | { readonly announced: number }> {
  // The lease brings it back.
  if (reading.kind === 'postponed') return { announced: 0 };
  const found = reading.kind === 'page' ? await follow(deps, feed, reading.feeds) : reading;
  const { status, told } = statusAfter(feed, found, deps.now());
  const moving = movingAfter(feed, reading);
  const commit = (outcome: Commit['outcome']) =>
    deps.feeds.commit({
      feed,
      nextMs: nextLook(reading, feed, deps.bounds, deps.random()),
      ...(told !== undefined && { told }),
      ...(moving !== undefined && { moving }),
      outcome: { ...outcome, ...(status && { status }) },
    });

  switch (found.kind) {
    case 'unchanged': {
      const { kind, validators } = found;
      return settled(await commit({ kind, ...(validators && { validators }) }), 0);
    }
    case 'failed': {
      const { kind, ...failure } = found;
      return settled(await commit({ kind, failure }), 0);
    }
    case 'fresh': {
      const { kind, source, validators, body, entries, url } = found;
      const ids = entries.map(({ id }) => itemIdOf(feed.id, id));
      const changes = compare(feed.id, await deps.feeds.known(feed.id, ids), entries, feed.read === undefined);
      const result = await commit({ kind, source, validators, body, changes });
      if (feed.read === undefined) {
        for (const address of addressesOf([feed.url, url], source)) await deps.aliases.add(address, feed.id);
      }
      return settled(result, changes.changes.filter(({ kind }) => kind === 'new' || kind === 'edited').length);
    }
  }
}

/** Makes a feed known with what it holds now, unless that was learned before. */
export async function adopt(deps: LearnDeps, url: FeedUrl, reading: Reading): Promise<ProbeResult> {
  if (reading.kind === 'page') return { kind: 'refused', code: 'not-a-feed', text: 'That is a page, not a feed' };
  if (reading.kind === 'postponed') {
    return { kind: 'refused', code: 'feed-unreachable', text: 'The server is busy; try again in a minute' };
  }
  if (reading.kind === 'failed') {
    const isSomethingElse = reading.reason === 'not-a-feed' || reading.reason === 'parse';
    return { kind: 'refused', code: isSomethingElse ? 'not-a-feed' : 'feed-unreachable', text: reading.text };
  }
  await deps.feeds.register(url);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const feed = await deps.feeds.get(feedIdOf(url));
    // Somebody else's look may have been first; then there is nothing left to learn.
    if (!feed || feed.read !== undefined) break;
    if ((await learn(deps, feed, reading)) !== 'conflict') break;
  }
  deps.emit('polled', { feed: url, outcome: reading.kind, trigger: 'probe', seconds: 0, announced: 0 });
  return { kind: 'feed', feed: feedIdOf(url) };
}

/** Pings name a feed by any of its addresses. */
export function addressesOf(urls: readonly FeedUrl[], source: Source | undefined): ReadonlySet<string> {
  const links = source?.links.filter(({ rel }) => rel === 'self' || rel === 'alternate') ?? [];
  return new Set([...urls, ...links.map(({ href }) => href)].filter((href) => urlIn(href)));
}

/**
 * A feed that turns out to be a page. When it was never read (somebody subscribed to the page while it was too slow to
 * be looked at), its subscribers go to the feed that it names. For the feed itself it is a failure like any other.
 */
async function follow(
  deps: LearnDeps,
  feed: Feed,
  candidates: readonly FeedUrl[],
): Promise<Extract<Reading, { kind: 'failed' }>> {
  if (feed.read === undefined) {
    for (const candidate of candidates) {
      const result = await adopt(deps, candidate, await deps.read({ url: candidate }));
      if (result.kind !== 'feed') continue;
      await deps.aliases.add(feed.url, result.feed);
      await deps.subscriptions.move(feed.id, result.feed);
      break;
    }
  }
  return { kind: 'failed', reason: 'not-a-feed', text: 'There is a page where the feed was' };
}

/** How often in a row looks have been sent to the same new place; null when that row has ended. */
function movingAfter({ moving }: Feed, reading: Reading): Commit['moving'] {
  const to = 'moved' in reading ? reading.moved : undefined;
  if (to === undefined) return moving && null;
  return { to, times: moving?.to === to ? moving.times + 1 : 1 };
}

const settled = (result: 'committed' | 'conflict' | 'gone', announced: number) =>
  result === 'conflict' ? result : { announced: result === 'committed' ? announced : 0 };
