import { compare, type Changes } from '../lib/changes.js';
import {
  feedIdOf,
  urlIn,
  type Entry,
  type Feed,
  type FeedUrl,
  type ItemId,
  type Reading,
  type Source,
} from '../lib/domain.js';
import type { Emit } from '../lib/events.js';
import { defaultConfig } from '../lib/node-config.js';
import type { ProbeResult } from '../lib/queues.js';
import { statusAfter } from '../lib/status.js';
import type { AliasStore } from '../lib/store/aliases.js';
import type { Commit, Facts, FeedStore } from '../lib/store/feeds.js';
import type { ItemStore } from '../lib/store/items.js';
import type { SubscriptionStore } from '../lib/store/subscriptions.js';
import { nextLook, type Bounds } from './interval.js';
import type { Read } from './read.js';
import { firstRhythm, rhythmAfter } from './rhythm.js';

export interface LearnDeps {
  readonly feeds: FeedStore;
  readonly items: Pick<ItemStore, 'byId'>;
  readonly aliases: AliasStore;
  readonly subscriptions: Pick<SubscriptionStore, 'move'>;
  readonly read: Read;
  /** What a site asks of us by its robots.txt (RFC 9309), where nobody has told us to look. */
  readonly mayLookAt: (url: FeedUrl) => Promise<boolean>;
  readonly bounds: Bounds;
  readonly random: () => number;
  readonly now: () => number;
  readonly emit: Emit;
}

/** What a look came to: the readings that say something of the feed. */
type Fresh = Extract<Reading, { kind: 'fresh' }>;
type Settled = Exclude<Reading, { kind: 'page' | 'postponed' }>;

/** What is known of a look beside what it has found. */
export interface Circumstances {
  readonly subscribers: number;
  /** Where the feed was found, when it was not where it was looked for; null when it is not there any more either. */
  readonly at?: FeedUrl | null;
  /** Whether it was the schedule's look: what that finds, a push has missed. */
  readonly isScheduled: boolean;
}

// Others may write while a feed is looked at (a push); what they wrote is seen at the next attempt.
export const ATTEMPTS = 3;
const DAY_MS = 86_400_000;
const WEEK_MS = 7 * DAY_MS;
const EDIT_THRESHOLD = defaultConfig().editThreshold;

/**
 * Writes what a look has found, all of it in one commit.
 * @param feed as it was before the look
 */
export async function learn(
  deps: LearnDeps,
  feed: Feed,
  reading: Exclude<Reading, { kind: 'postponed' }>,
  circumstances: Circumstances,
): Promise<'conflict' | { readonly announced: number }> {
  const found: Settled = reading.kind === 'page' ? await follow(deps, feed, reading.feeds) : reading;
  const now = deps.now();
  const changes =
    found.kind === 'fresh' ? await changesOf(deps, feed, found.entries, isPast(feed, found, now)) : undefined;
  const facts = factsAfter(deps, feed, found, changes, circumstances);
  const nextMs = nextLook(
    {
      feed,
      reading: found,
      rhythm: facts.rhythm ?? feed.rhythm,
      pace: facts.pace === undefined ? feed.pace : (facts.pace ?? undefined),
      subscribers: circumstances.subscribers,
      isPushed: facts.pushed !== null && (feed.pushed ?? 0) > now,
      isUnfinished: (changes?.left ?? 0) > 0,
      now,
    },
    deps.bounds,
    deps.random(),
  );
  const { status, told } = statusAfter(feed, found, now, nextMs);
  const result = await deps.feeds.commit({
    feed,
    nextMs,
    facts: { ...facts, ...(told !== undefined && { told }) },
    outcome: { ...outcomeOf(found, changes), ...(status && { status }) },
  });
  if (result === 'conflict') return result;
  if (found.kind === 'fresh' && feed.read === undefined) {
    for (const address of addressesOf([feed.url, found.url], found.source)) await deps.aliases.add(address, feed.id);
  }
  if (changes?.untrusted && !feed.untrusted) {
    deps.emit('warning', {
      text: `${feed.url} changes the ids of its entries; their links tell them apart from now on`,
    });
  }
  return { announced: result === 'committed' ? announcedIn(changes).length : 0 };
}

const announcedIn = (changes: Changes | undefined) =>
  changes?.changes.filter(({ kind }) => kind === 'new' || kind === 'edited') ?? [];

/** What a feed shows for the first time, or after nobody has followed it for a day, is its past. */
const isFirst = ({ read, woken }: Feed, now: number): boolean =>
  read === undefined || (woken !== undefined && now - woken >= DAY_MS);

/** And so is what was beyond the cut when it is read to its end for the first time. */
const isPast = (feed: Feed, { cut }: Pick<Fresh, 'cut'>, now: number): boolean =>
  isFirst(feed, now) || (feed.partial === true && !cut);

function outcomeOf(found: Settled, changes: Changes | undefined): Commit['outcome'] {
  switch (found.kind) {
    case 'unchanged': {
      const { kind, validators } = found;
      return { kind, ...(validators && { validators }) };
    }
    case 'failed': {
      const { kind, ...failure } = found;
      return { kind, failure };
    }
    case 'fresh': {
      const { kind, source, validators, body } = found;
      const shown = changes ?? { changes: [], touched: [], left: 0 };
      // What was not read to its end must be read again, even if it stays the same.
      if (shown.left > 0 || found.cut) return { kind, source, validators: {}, changes: shown };
      return { kind, source, validators, body, changes: shown };
    }
  }
}

/** What else a look says of the feed, as far as it is something new. */
function factsAfter(
  { now: clock, emit }: LearnDeps,
  feed: Feed,
  found: Settled,
  changes: Changes | undefined,
  { at, isScheduled }: Circumstances,
): Facts {
  const now = clock();
  const news = changes?.changes.filter(({ kind }) => kind === 'new').map(({ entry }) => entry) ?? [];
  const facts: { -readonly [K in keyof Facts]: Facts[K] } = {};
  const moving = movingAfter(feed, found, now);
  if (moving !== undefined) facts.moving = moving;
  if (at !== undefined) facts.at = at;
  if (found.kind === 'failed') return facts;

  const rhythm =
    found.kind === 'fresh' && (!feed.rhythm || isFirst(feed, now))
      ? firstRhythm(found.entries, now)
      : feed.rhythm && rhythmAfter(feed.rhythm, news, now);
  if (rhythm && JSON.stringify(rhythm) !== JSON.stringify(feed.rhythm)) facts.rhythm = rhythm;
  if (found.kind === 'fresh' || found.hasBody) facts.full = now;
  if (found.kind === 'fresh') {
    if (found.cut && isFirst(feed, now)) facts.partial = true;
    if (feed.partial && !found.cut) facts.partial = null;
    if (JSON.stringify(found.pace) !== JSON.stringify(feed.pace)) facts.pace = found.pace ?? null;
    // It was asked without validators because it had claimed for a week that nothing has changed.
    if (isLongUnseen(feed, now) && news.length > 0) facts.lying = true;
  }
  if (changes?.untrusted) facts.untrusted = true;
  if (isScheduled && news.length > 0 && (feed.pushed ?? 0) > now) {
    facts.pushed = null;
    emit('notice', { text: `${feed.url} had news that no push has told of; it is looked at as others are` });
  }
  return facts;
}

/** Whether its server has not sent a body for so long that its word is to be checked. */
export const isLongUnseen = ({ full, read }: Feed, now: number): boolean =>
  read !== undefined && full !== undefined && now - full >= WEEK_MS;

/** The difference between what a feed shows and what is known of it. */
export async function changesOf(
  { feeds, items }: Pick<LearnDeps, 'items'> & { readonly feeds: Pick<FeedStore, 'known'> },
  feed: Feed,
  entries: readonly Entry[],
  first: boolean,
): Promise<Changes> {
  const held = async (ids: readonly ItemId[]): Promise<ReadonlyMap<ItemId, Entry>> =>
    new Map((await items.byId(feed.id, ids)).flatMap((item) => ('entry' in item ? [[item.id, item.entry]] : [])));
  const threshold = feed.editThreshold ?? EDIT_THRESHOLD;
  return compare({ feed, known: await feeds.known(feed.id), entries, first, threshold, held });
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
    if ((await learn(deps, feed, reading, { subscribers: 0, isScheduled: false })) !== 'conflict') break;
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
      if (!(await deps.mayLookAt(candidate))) continue;
      const result = await adopt(deps, candidate, await deps.read({ url: candidate }));
      if (result.kind !== 'feed') continue;
      await deps.aliases.add(feed.url, result.feed);
      await deps.subscriptions.move(feed.id, result.feed);
      break;
    }
  }
  return { kind: 'failed', reason: 'not-a-feed', text: 'There is a page where the feed was' };
}

/**
 * How often in a row, within a day, looks have been sent to the same new place; null when that row has ended, nothing
 * when there was none.
 */
function movingAfter({ moving }: Feed, found: Settled, now: number): Facts['moving'] {
  const to = 'moved' in found ? found.moved : undefined;
  if (to === undefined) return moving && null;
  const isSameRow = moving?.to === to && now - moving.since < DAY_MS;
  return isSameRow ? { ...moving, times: moving.times + 1 } : { to, times: 1, since: now };
}
