import type { Emit } from '../lib/events.js';
import type { Enqueue } from '../lib/queues.js';
import type { FeedStore } from '../lib/store/feeds.js';

export interface TickDeps {
  readonly feeds: Pick<FeedStore, 'lease'>;
  readonly enqueue: Enqueue<'poll'>;
  /** Poll jobs that wait or run. */
  readonly pending: () => Promise<number>;
  /** So many jobs at most may wait or run: what the workers do in a few seconds. */
  readonly capacity: number;
  readonly emit: Emit;
}

/** A leased feed comes due again by itself after this long, should its job get lost. */
export const LEASE_MS = 120_000;

/** Hands out what is due, never more than the workers can take; the rest stays due, so the queue stays short. */
export async function tick({ feeds, enqueue, pending, capacity, emit }: TickDeps): Promise<void> {
  const waiting = await pending();
  const room = capacity - waiting;
  if (room <= 0) return;
  const leased = await feeds.lease(room, LEASE_MS);
  await Promise.all(leased.map((feed) => enqueue({ feed })));
  if (leased.length > 0) emit('ticked', { leased: leased.length, waiting });
}
