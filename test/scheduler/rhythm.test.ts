import { describe, expect, it } from '@jest/globals';
import type { Entry, Rhythm } from '../../lib/domain.js';
import { expectedSeconds, firstRhythm, rhythmAfter } from '../../scheduler/rhythm.js';
import { entryOf } from '../support/stores.js';

const HOUR_MS = 3_600_000;
const NOW = Date.UTC(2026, 0, 7, 10);
const at = (ms: number): Entry => ({ ...entryOf(`${ms}`), published: new Date(ms).toISOString() });
const ago = (...hours: number[]) => hours.map((n) => at(NOW - n * HOUR_MS));
const weightAt = ({ hours }: Rhythm, hour: number) => Number.parseInt(hours.charAt(hour), 36);

describe('the first reading', () => {
  it('tells the rhythm by the dates of its entries, whatever their order', () => {
    const rhythm = firstRhythm(ago(1, 7, 3, 5), NOW);
    expect(rhythm).toMatchObject({ gap: 7_200, latest: NOW - HOUR_MS, hits: 0 });
    expect([9, 7, 5, 3, 10].map((hour) => weightAt(rhythm, hour))).toEqual([6, 6, 6, 6, 0]);
  });

  it('without dates says nothing: a day is assumed', () => {
    expect(firstRhythm([entryOf('a'), entryOf('b')], NOW)).toEqual({
      ...{ gap: 86_400, latest: NOW, hits: 0 },
      hours: '0'.repeat(24),
    });
  });

  it('does not believe in the future', () => {
    expect(firstRhythm([...ago(-5, 2, 4)], NOW)).toMatchObject({ gap: 7_200, latest: NOW - 2 * HOUR_MS });
  });
});

describe('a later look', () => {
  const before = firstRhythm(ago(2, 4, 6), NOW);

  it('that finds nothing only says that looks find less', () => {
    const half = { ...before, hits: 0.5 };
    const after = rhythmAfter(half, [], NOW);
    expect(after).toEqual({ ...half, hits: expect.any(Number) });
    expect(after.hits).toBeLessThan(0.5);
  });

  it('leaves a feed that never has any news exactly as it was', () => {
    expect(rhythmAfter(before, [], NOW)).toEqual(before);
  });

  it('that finds something moves the rhythm towards it', () => {
    const after = rhythmAfter(before, ago(0), NOW);
    expect(after).toMatchObject({ gap: 7_200, latest: NOW, hits: 0.063 });
    expect(weightAt(after, 10)).toBe(6);
    const faster = rhythmAfter(before, ago(1, 0.5, 0), NOW);
    expect(faster.gap).toBeLessThan(7_200);
    const slower = rhythmAfter(before, [at(NOW + 20 * HOUR_MS)], NOW + 21 * HOUR_MS);
    expect(slower.gap).toBeGreaterThan(7_200);
  });

  it('takes what has no date, or an old one, for news of now', () => {
    for (const news of [[entryOf('x')], ago(50)]) expect(rhythmAfter(before, news, NOW).latest).toBe(NOW);
  });

  it('keeps every weight a digit, however often an hour comes', () => {
    let rhythm = before;
    for (let day = 1; day <= 50; day++)
      rhythm = rhythmAfter(rhythm, [at(NOW + 24 * day * HOUR_MS)], NOW + 24 * day * HOUR_MS);
    expect(rhythm.hours).toMatch(/^[0-9a-z]{24}$/);
    expect(weightAt(rhythm, 10)).toBeGreaterThan(10);
    expect(weightAt(rhythm, 8)).toBe(0);
  });
});

it('an entry is expected sooner in the hours in which they come, and later after a silence', () => {
  const daily = firstRhythm(ago(0, 24, 48), NOW);
  const inTheMorning = expectedSeconds(daily, NOW);
  expect(expectedSeconds({ ...daily, latest: NOW + 9 * HOUR_MS }, NOW + 9 * HOUR_MS)).toBeGreaterThan(inTheMorning);
  expect(expectedSeconds(daily, NOW + 30 * 24 * HOUR_MS)).toBeGreaterThan(inTheMorning);
});
