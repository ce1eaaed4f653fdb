import type { Feed, FeedId, FeedUrl, Target } from '../lib/domain.js';
import type { Events } from '../lib/events.js';
import type { ProbeResult } from '../lib/queues.js';
import { adopt, ATTEMPTS, learn } from './learn.js';
import { merge, moveOf, type MoveDeps } from './move.js';

export type PollDeps = MoveDeps;

type Trigger = Events['polled']['trigger'];

/** One look at one feed. Safe to repeat from the top, wherever it was cut off. */
export async function poll(deps: PollDeps, feed: FeedId, trigger: Trigger): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const known = await deps.feeds.get(feed);
    if (!known) return; // forgotten while the job waited
    const started = performance.now();
    const move = await moveOf(deps, known);
    // Of a feed that is about to move, everything is needed, not only what has changed.
    const reading = await deps.read(move ? { url: known.url } : targetOf(known));
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
    const isStill = move !== undefined && reading.kind === 'fresh' && reading.moved === move.to;
    if (isStill && committed.announced === 0) await merge(deps, known, move, reading);
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

const targetOf = ({ url, validators, body }: Feed): Target => ({ url, validators, ...(body && { body }) });
