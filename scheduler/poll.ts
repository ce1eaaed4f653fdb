import type { Feed, FeedId, FeedUrl, Reading, Target } from '../lib/domain.js';
import type { Events } from '../lib/events.js';
import type { ProbeResult } from '../lib/queues.js';
import type { Taken } from '../lib/store/feeds.js';
import type { Vault } from '../lib/vault.js';
import { adopt, addressesOf, ATTEMPTS, isLongUnseen, learn } from './learn.js';
import { merge, moveOf, type MoveDeps } from './move.js';
import { isLost, rediscover } from './rediscover.js';

export interface PollDeps extends MoveDeps {
  /** For how long a feed is taken by who looks at it, in ms: longer than a look takes. */
  readonly takeMs: number;
  /** Runs a look, and counts the feed as in hand meanwhile. */
  readonly counted: <T>(look: () => Promise<T>) => Promise<T>;
  readonly vault: Pick<Vault, 'open'>;
}

/** A look that cannot be made: without its credentials a private feed would be another one, or none. */
const SEALED: Reading = {
  kind: 'failed',
  reason: 'credentials',
  text: 'The credentials cannot be read with this CREDENTIALS_KEY',
};

type Trigger = Events['polled']['trigger'];

/**
 * One look at each of these feeds, side by side, each by one at a time. Safe to repeat from the top, wherever it was cut
 * off. A feed that nobody follows is left alone, and forgotten when that has been so for long.
 */
export async function poll(deps: PollDeps, ids: readonly FeedId[], trigger: Trigger): Promise<void> {
  const taken = await deps.feeds.take(ids, trigger, deps.takeMs);
  const looks = [...taken].map(async ([id, one]) => {
    if (one.kind === 'forgettable') await forget(deps, id);
    if (one.kind === 'taken') await deps.counted(() => pollOne(deps, one, trigger));
  });
  // One that fails must not keep the others from being looked at.
  const failed = (await Promise.allSettled(looks)).find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') throw failed.reason;
}

async function pollOne(
  deps: PollDeps,
  { feed, subscribers }: Extract<Taken, { kind: 'taken' }>,
  trigger: Trigger,
): Promise<void> {
  const { feeds, now, emit } = deps;
  const { id } = feed;
  const started = performance.now();
  const move = await moveOf(deps, feed);
  const headers = deps.vault.open(feed);
  const { reading, at } =
    headers === 'unreadable'
      ? { reading: SEALED }
      : await look(deps, feed, {
          url: feed.at ?? feed.url,
          subscribers,
          // Of a feed that is about to move, everything is needed, not only what has changed.
          ...(!move && feed.body && { body: feed.body }),
          ...(!move && !feed.lying && !isLongUnseen(feed, now()) && { validators: feed.validators }),
          ...(feed.sealed && { headers }),
        });
  const report = (announced: number) => {
    emit('polled', {
      feed: feed.url,
      outcome: reading.kind,
      trigger,
      seconds: (performance.now() - started) / 1_000,
      announced,
      ...(reading.kind === 'failed' && { reason: reading.text }),
    });
  };
  if (reading.kind === 'postponed') {
    await feeds.postpone(id, reading.seconds * 1_000);
    report(0);
    return;
  }
  const circumstances = { subscribers, isScheduled: trigger === 'schedule', ...(at !== undefined && { at }) };
  let before: Feed | undefined = feed;
  for (let attempt = 0; attempt < ATTEMPTS && before; attempt++) {
    // What was found with former credentials says nothing about the feed that it is with the new ones.
    if (before.sealed !== feed.sealed) return feeds.postpone(id, 0);
    const committed = await learn(deps, before, reading, circumstances);
    if (committed !== 'conflict') {
      report(committed.announced);
      const isStill = move !== undefined && reading.kind === 'fresh' && reading.moved === move.to;
      if (isStill && committed.announced === 0) await merge(deps, before, move, reading);
      return;
    }
    before = await feeds.get(id);
  }
  if (before) throw new Error(`${id} changed under ${ATTEMPTS} attempts to commit`);
}

/**
 * What there is at a feed's address; of a feed that is lost there, what is at the one at which it is found again, as if
 * the first had redirected to it for good.
 */
async function look(
  deps: PollDeps,
  feed: Feed,
  target: Target,
): Promise<{ readonly reading: Reading; readonly at?: FeedUrl | null }> {
  const reading = await deps.read(target);
  if (feed.at !== undefined) {
    if (reading.kind === 'failed' || reading.kind === 'page') return { reading, at: null };
    return { reading: reading.kind === 'postponed' ? reading : { moved: feed.at, ...reading } };
  }
  // Its credentials are for the place that they were given for.
  const found = isLost(feed, reading) && !feed.sealed ? await rediscover(deps, feed) : undefined;
  if (!found) return { reading };
  deps.emit('notice', { text: `${feed.url} is gone, and was found at ${found.to}` });
  return { reading: { moved: found.to, ...found.reading }, at: found.to };
}

async function forget({ feeds, nodes, aliases, emit }: PollDeps, id: FeedId): Promise<void> {
  const feed = await feeds.get(id);
  if (!feed || !(await nodes.delete(id, { announce: false, unfollowed: true }))) return;
  for (const address of addressesOf([feed.url], feed.source)) await aliases.remove(address, id);
  emit('notice', { text: `${feed.url} is forgotten: nobody has followed it for a month` });
}

/**
 * A look at a URL that somebody wants to follow: a feed becomes known with what it holds now; a page is followed to the
 * feed that it names.
 */
export async function probe(deps: PollDeps, url: FeedUrl): Promise<ProbeResult> {
  const reading = await deps.read({ url, awaited: true });
  if (reading.kind !== 'page') return adopt(deps, url, reading);
  for (const candidate of reading.feeds) {
    if (!(await deps.mayLookAt(candidate))) continue;
    const result = await adopt(deps, candidate, await deps.read({ url: candidate, awaited: true }));
    if (result.kind !== 'feed') continue;
    await deps.aliases.add(url, result.feed);
    return result;
  }
  return { kind: 'refused', code: 'not-a-feed', text: 'That page names feeds, but none of them can be read' };
}
