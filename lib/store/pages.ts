import type { PageAsk } from '../domain.js';

/** The entry that a page lies after or before; none at the beginning and at the end. */
export const cursorOf = ({ after, before }: PageAsk): string | undefined => after ?? (before || undefined);

/**
 * Which ranks of an ordered list a page has: from `start` up to, not including, `stop`.
 * @param place the rank of the cursor, where there is one
 */
export function span(count: number, place: number | undefined, { limit, before }: PageAsk) {
  if (before !== undefined) {
    const stop = place ?? count;
    return { start: Math.max(0, stop - limit), stop };
  }
  const start = place === undefined ? 0 : place + 1;
  return { start, stop: Math.min(count, start + limit) };
}
