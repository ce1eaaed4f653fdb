import type { Entry, Rhythm } from '../lib/domain.js';

const DAY_SECONDS = 86_400;
const QUIET = '0'.repeat(24);
const HEAVIEST = 35;
const ENTRY_WEIGHT = 6;
/** Over so many looks, or entries, what was before fades. */
const HITS_MEMORY = 16;
const GAPS_MEMORY = 4;

/**
 * What the first reading of a feed says about how it publishes: from the dates of its entries, as far as they have any.
 * @param now in ms since 1970
 */
export function firstRhythm(entries: readonly Entry[], now: number): Rhythm {
  const times = timesOf(entries, now);
  const [oldest = now, latest = now] = [times[0], times.at(-1)];
  const gap = times.length > 1 ? (latest - oldest) / 1_000 / (times.length - 1) : DAY_SECONDS;
  return { gap: Math.round(gap), latest, hits: 0, hours: withHours(QUIET, times) };
}

/**
 * The rhythm after one more look.
 * @param news the entries that were new in it
 * @param now in ms since 1970
 */
export function rhythmAfter(before: Rhythm, news: readonly Entry[], now: number): Rhythm {
  const hits = before.hits + ((news.length > 0 ? 1 : 0) - before.hits) / HITS_MEMORY;
  const rounded = Math.round(hits * 1_000) / 1_000;
  if (news.length === 0) return { ...before, hits: rounded };
  // What is late, or has no date, came when it was found.
  const found = timesOf(news, now).filter((time) => time > before.latest);
  const times = found.length > 0 ? found : [now];
  const latest = times.at(-1) ?? now;
  const gap = (latest - before.latest) / 1_000 / news.length;
  return {
    gap: Math.max(1, Math.round(before.gap + (gap - before.gap) / GAPS_MEMORY)),
    latest,
    hits: rounded,
    hours: withHours(before.hours, times),
  };
}

/**
 * Seconds until the next entry, as far as that can be told: what is usual, more after a long silence, less in the hours
 * in which the feed publishes and more in the others.
 * @param now in ms since 1970
 */
export function expectedSeconds({ gap, latest, hours }: Rhythm, now: number): number {
  const silence = Math.max(0, now - latest) / 1_000;
  const weights = weightsOf(hours);
  const mean = weights.reduce((sum, weight) => sum + weight, 0) / weights.length;
  const here = weights[new Date(now).getUTCHours()] ?? 0;
  return (Math.max(gap, silence / 2) * (mean + 1)) / (here + 1);
}

/** When these entries were published (ms since 1970), the earliest first. */
function timesOf(entries: readonly Entry[], now: number): number[] {
  return entries
    .flatMap(({ published, updated }) => published ?? updated ?? [])
    .map((date) => Date.parse(date))
    .filter((time) => time <= now)
    .sort((a, b) => a - b);
}

function withHours(hours: string, times: readonly number[]): string {
  let weights = weightsOf(hours);
  for (const time of times) {
    const hour = new Date(time).getUTCHours();
    weights = weights.map((weight, i) => (i === hour ? weight + ENTRY_WEIGHT : weight));
    if (weights.some((weight) => weight > HEAVIEST)) weights = weights.map((weight) => Math.floor(weight / 2));
  }
  return weights.map((weight) => weight.toString(36)).join('');
}

const weightsOf = (hours: string): number[] => Array.from(hours, (digit) => Number.parseInt(digit, 36));
