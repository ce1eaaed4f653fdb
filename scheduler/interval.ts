import type { Feed, Reading } from '../lib/domain.js';
import { isGone } from '../lib/status.js';

export interface Bounds {
  /** Between two looks at one feed, in seconds. */
  readonly minSeconds: number;
  readonly maxSeconds: number;
}

const DAY_SECONDS = 86_400;

/**
 * When to look again, in milliseconds from now. A live feed: within the maximum, spread over the last tenth of it, so
 * that feeds that were added together do not stay together. A failing one: doubling up to a day; one that is gone: once
 * a day. What a server asks for by Retry-After is respected, up to a day.
 * @param before the feed as it was before this look
 * @param random evenly spread over [0, 1)
 */
export function nextLook(
  reading: Reading,
  before: Pick<Feed, 'failures' | 'failure'>,
  { minSeconds, maxSeconds }: Bounds,
  random: number,
): number {
  const jitter = 1 - random / 10;
  if (reading.kind !== 'failed') return Math.max(minSeconds, maxSeconds * jitter) * 1_000;
  const longest = Math.max(DAY_SECONDS, maxSeconds);
  const doubled = Math.min(maxSeconds * 2 ** Math.min(before.failures, 16), longest);
  const backOff = (isGone(before, reading) ? longest : doubled) * jitter;
  return Math.max(minSeconds, backOff, Math.min(reading.retryAfter ?? 0, DAY_SECONDS)) * 1_000;
}
