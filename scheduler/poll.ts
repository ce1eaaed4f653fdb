import { compare } from '../lib/changes.js';
import { feedIdOf, itemIdOf, type Feed, type FeedId, type FeedUrl, type Reading, type Target } from '../lib/domain.js';
import type { Emit, Events } from '../lib/events.js';
import type { ProbeResult } from '../lib/queues.js';
import type { AliasStore } from '../lib/store/aliases.js';
import type { FeedStore } from '../lib/store/feeds.js';
import type { SubscriptionStore } from '../lib/store/subscriptions.js';
import { nextLook, type Bounds } from './interval.js';
import type { Read } from './read.js';

export interface PollDeps {
  readonly feeds: Pick<FeedStore, 'get' | 'register' | 'known' | 'commit'>;
  readonly aliases: Pick<AliasStore, 'add'>;
  readonly subscriptions: Pick<SubscriptionStore, 'move'>;
  readonly read: Read;
  readonly bounds: Bounds;
  readonly random: () => number;
  readonly emit: Emit;
}

type Trigger = Events['polled']['trigger'];

// Two looks at one feed at once are rare (a ping in the middle of a poll); the second one sees what the first wrote.
const ATTEMPTS = 3;

/** One look at one feed. Safe to repeat from the top: nothing is written but by the commit. */
export async function poll(deps: PollDeps, feed: FeedId, trigger: Trigger): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const known = await deps.feeds.get(feed);
    if (!known) return; // forgotten while the job waited
    const started = performance.now();
    const reading = await deps.read(targetOf(known));
    const committed = await learn(deps, known, reading);
    if (committed === 'conflict') continue;
    const seconds = (performance.now() - started) / 1_000;
    deps.emit('polled', {
      feed: known.url,
      outcome: reading.kind,
      trigger,
      seconds,
      announced: committed.announced,
      ...(reading.kind === 'failed' && { reason: reading.text }),
    });
    return;
  }
  throw new Error(`${feed} changed under ${ATTEMPTS} looks at it`);
}

/**
 * A look at a URL that somebody wants to follow: a feed becomes known with what it holds now; a page is followed to the
 * feed that it names.
 */
export async function probe(deps: PollDeps, url: FeedUrl): Promise<ProbeResult> {
  const reading = await deps.read({ url });
  if (reading.kind !== 'page') return adopt(deps, url, reading);
  for (const candidate of reading.feeds) {
    const result = await adopt(deps, candidate, await deps.read({ url: candidate }));
    if (result.kind !== 'feed') continue;
    await deps.aliases.add(url, result.feed);
    return result;
  }
  return { kind: 'refused', code: 'not-a-feed', text: 'That page names feeds, but none of them can be read' };
}

async function adopt(deps: PollDeps, url: FeedUrl, reading: Reading): Promise<ProbeResult> {
  if (reading.kind === 'page') return { kind: 'refused', code: 'not-a-feed', text: 'That is a page, not a feed' };
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

/** Writes what a look has found, all of it in one commit. */
async function learn(
  deps: PollDeps,
  feed: Feed,
  reading: Reading,
): Promise<'conflict' | { readonly announced: number }> {
  const nextMs = nextLook(reading, feed.failures, deps.bounds, deps.random());
  switch (reading.kind) {
    case 'unchanged': {
      const { validators } = reading;
      return settled(
        await deps.feeds.commit({ feed, nextMs, outcome: { kind: 'unchanged', ...(validators && { validators }) } }),
        0,
      );
    }
    case 'failed': {
      const { kind, ...failure } = reading;
      return settled(await deps.feeds.commit({ feed, nextMs, outcome: { kind, failure } }), 0);
    }
    case 'page':
      return follow(deps, feed, reading.feeds, nextMs);
    case 'fresh': {
      const { source, validators, body, entries, url } = reading;
      const known = await deps.feeds.known(
        feed.id,
        entries.map(({ id }) => itemIdOf(feed.id, id)),
      );
      const changes = compare(feed.id, known, entries, feed.read === undefined);
      const result = await deps.feeds.commit({
        feed,
        nextMs,
        outcome: { kind: 'fresh', source, validators, body, changes },
      });
      // Pings name the feed by any of its addresses.
      const addresses = [
        feed.url,
        url,
        ...source.links.filter(({ rel }) => rel === 'self' || rel === 'alternate').map(({ href }) => href),
      ];
      if (feed.read === undefined) {
        for (const address of new Set(addresses.filter((href) => URL.canParse(href))))
          await deps.aliases.add(address, feed.id);
      }
      return settled(result, changes.changes.filter(({ kind }) => kind === 'new' || kind === 'edited').length);
    }
  }
}

/**
 * A feed that turns out to be a page. When it was never read (somebody subscribed to the page while it was too slow to
 * be looked at), its subscribers go to the feed that it names; else it is a failure like any other.
 */
async function follow(deps: PollDeps, feed: Feed, candidates: readonly FeedUrl[], nextMs: number) {
  const failure = { reason: 'not-a-feed', text: 'There is a page where the feed was' } as const;
  if (feed.read === undefined) {
    for (const candidate of candidates) {
      const result = await adopt(deps, candidate, await deps.read({ url: candidate }));
      if (result.kind !== 'feed') continue;
      await deps.aliases.add(feed.url, result.feed);
      await deps.subscriptions.move(feed.id, result.feed);
      break;
    }
  }
  return settled(await deps.feeds.commit({ feed, nextMs, outcome: { kind: 'failed', failure } }), 0);
}

const settled = (result: 'committed' | 'conflict' | 'gone', announced: number) =>
  result === 'conflict' ? result : { announced: result === 'committed' ? announced : 0 };

const targetOf = ({ url, validators, body }: Feed): Target => ({ url, validators, ...(body && { body }) });
