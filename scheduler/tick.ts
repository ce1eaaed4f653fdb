import type { FeedId } from '../lib/domain.js';
import type { Emit } from '../lib/events.js';
import { POLLS_PER_JOB, type Enqueue } from '../lib/queues.js';
import type { FeedStore } from '../lib/store/feeds.js';

export interface TickDeps {
  readonly feeds: Pick<FeedStore, 'lease'>;
  readonly enqueue: Enqueue<'poll'>;
  /** Poll jobs that nobody has begun with. */
  readonly waiting: () => Promise<number>;
  /** So many feeds at most are in the hands of this process's workers: what they do in a few seconds. */
  readonly capacity: number;
  readonly emit: Emit;
}

/** A leased feed comes due again by itself after this long, should its job get lost. */
export const LEASE_MS = 120_000;

/** More is handed out early only when it fills several jobs. */
const REFILL_SHARE = 0.75;

/**
 * Hands out what is due, several feeds to a job, never more than the workers can take; the rest stays due, so the queue
 * stays short. Where more was due than could be handed out, it goes on as soon as there is room, without waiting for
 * the next tick.
 */
export function createTick({ feeds, enqueue, waiting, capacity, emit }: TickDeps) {
  let inHand = 0;
  let isMoreDue = false;
  let running: Promise<void> | undefined;

  async function handOut(): Promise<void> {
    const queued = (await waiting()) * POLLS_PER_JOB;
    const room = capacity - inHand - queued;
    if (room <= 0) return;
    const leased = await feeds.lease(room, LEASE_MS);
    isMoreDue = leased.length >= room;
    await Promise.all(jobsOf(leased).map((job) => enqueue({ feeds: job })));
    if (leased.length > 0) emit('ticked', { leased: leased.length, waiting: queued });
  }

  function tick(): Promise<void> {
    running ??= handOut().finally(() => (running = undefined));
    return running;
  }

  /** Counts a feed as in hand while it is looked at. */
  async function counted<T>(look: () => Promise<T>): Promise<T> {
    inHand++;
    try {
      return await look();
    } finally {
      inHand--;
      // Should Redis be away, the next tick is not far.
      if (isMoreDue && inHand <= REFILL_SHARE * capacity) tick().catch(() => undefined);
    }
  }

  return { tick, counted };
}

const jobsOf = (feeds: readonly FeedId[]): readonly (readonly FeedId[])[] =>
  Array.from({ length: Math.ceil(feeds.length / POLLS_PER_JOB) }, (_, n) =>
    feeds.slice(n * POLLS_PER_JOB, (n + 1) * POLLS_PER_JOB),
  );
