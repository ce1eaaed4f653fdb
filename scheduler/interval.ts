import type { Feed, Pace, Reading, Rhythm } from '../lib/domain.js';
import { isGone } from '../lib/status.js';
import { expectedSeconds } from './rhythm.js';

export interface Bounds {
  /** Between two looks at one feed, in seconds. */
  readonly minSeconds: number;
  readonly maxSeconds: number;
}

/** What is known after a look, for the choice of the next one. */
export interface Outlook {
  /** The feed as it was before the look. */
  readonly feed: Pick<Feed, 'failures' | 'failure'>;
  readonly reading: Exclude<Reading, { kind: 'page' | 'postponed' }>;
  readonly rhythm?: Rhythm | undefined;
  readonly pace?: Pace | undefined;
  readonly subscribers: number;
  /** Whether a push that is proven healthy stands in for looks. */
  readonly isPushed: boolean;
  /** Whether the look has left something for the next one. */
  readonly isUnfinished: boolean;
  /** In ms since 1970. */
  readonly now: number;
}

const DAY_SECONDS = 86_400;
/** The safety net under a push: so often a feed is looked at all the same. */
const PUSHED_SECONDS = 6 * 3_600;

/**
 * When to look again, in milliseconds from now, spread over the last tenth of the time, so that feeds that were added
 * together do not stay together.
 *
 * A live feed: about twice as often as it publishes at this time of the day, more often the more looks have found
 * something and the more subscribers there are; not before what its server and its publisher ask for, and always within
 * the bounds. A failing one: doubling up to a day; one that is gone: once a day. What a server asks for by Retry-After
 * is respected, up to a day.
 * @param random evenly spread over [0, 1)
 */
export function nextLook(outlook: Outlook, bounds: Bounds, random: number): number {
  const { minSeconds, maxSeconds } = bounds;
  const jitter = 1 - random / 10;
  const { feed, reading } = outlook;
  if (reading.kind === 'failed') {
    const longest = Math.max(DAY_SECONDS, maxSeconds);
    const doubled = Math.min(maxSeconds * 2 ** Math.min(feed.failures, 16), longest);
    const backOff = (isGone(feed, reading) ? longest : doubled) * jitter;
    return Math.max(minSeconds, backOff, Math.min(reading.retryAfter ?? 0, DAY_SECONDS)) * 1_000;
  }
  if (outlook.isUnfinished) return minSeconds * 1_000;
  if (outlook.isPushed) return Math.max(maxSeconds, PUSHED_SECONDS) * jitter * 1_000;
  return Math.max(minSeconds, Math.min(maxSeconds, wanted(outlook, maxSeconds)) * jitter) * 1_000;
}

/** Seconds, before the bounds. */
function wanted({ reading, rhythm, pace, subscribers, now }: Outlook, maxSeconds: number): number {
  const at = new Date(now);
  const isQuiet = [pace?.hours?.includes(at.getUTCHours()), pace?.days?.includes(at.getUTCDay())].includes(true);
  if (!rhythm || isQuiet) return maxSeconds;
  const often = rhythm.hits > 0.5 ? 0.7 : rhythm.hits < 0.05 ? 1.5 : 1;
  const audience = 1 + Math.log10(Math.max(1, subscribers));
  const freshFor = reading.kind === 'failed' ? 0 : (reading.freshFor ?? 0);
  return Math.max((expectedSeconds(rhythm, now) / 2) * (often / audience), freshFor, pace?.seconds ?? 0);
}
