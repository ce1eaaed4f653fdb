import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Failure, Reading } from '../../lib/domain.js';
import { nextLook } from '../../scheduler/interval.js';

const BOUNDS = { minSeconds: 60, maxSeconds: 900 };
const LIVE: Reading = { kind: 'unchanged' };
const failure = (more: Partial<Failure> = {}): Failure => ({ reason: 'http-status', text: 'no', ...more });
const failed = (retryAfter?: number, more: Partial<Failure> = {}): Reading => ({
  kind: 'failed',
  ...failure(more),
  ...(retryAfter !== undefined && { retryAfter }),
});
const seconds = (reading: Reading, failures = 0, random = 0) => nextLook(reading, { failures }, BOUNDS, random) / 1_000;

it('a live feed is looked at again within the maximum, whatever chance says', () => {
  const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  fc.assert(
    fc.property(chance, (random) => {
      expect(seconds(LIVE, 0, random)).toBeLessThanOrEqual(900);
      expect(seconds(LIVE, 0, random)).toBeGreaterThanOrEqual(810);
    }),
  );
});

it('a failing feed is looked at less and less often, but at least once a day', () => {
  expect([0, 1, 2, 3].map((failures) => seconds(failed(), failures))).toEqual([900, 1_800, 3_600, 7_200]);
  expect(seconds(failed(), 1_000)).toBe(86_400);
});

it('a feed that is gone is looked at once a day, so that it can come back by itself', () => {
  const gone = { status: 410 };
  const after = (before: Failure, now: Partial<Failure>) =>
    nextLook(failed(undefined, now), { failures: 1, failure: before }, BOUNDS, 0) / 1_000;
  expect(after(failure(gone), gone)).toBe(86_400);
  expect(seconds(failed(undefined, gone))).toBe(900);
  expect(after(failure(), gone)).toBe(1_800);
  expect(after(failure(gone), { status: 404 })).toBe(1_800);
  expect(nextLook(LIVE, { failures: 9, failure: failure(gone) }, BOUNDS, 0)).toBe(900_000);
});

it('Retry-After is respected, up to a day', () => {
  expect(seconds(failed(5_000))).toBe(5_000);
  expect(seconds(failed(10))).toBe(900);
  expect(seconds(failed(10_000_000))).toBe(86_400);
});

it('no feed is looked at more often than the minimum allows', () => {
  expect(nextLook(LIVE, { failures: 0 }, { minSeconds: 60, maxSeconds: 60 }, 0.99)).toBe(60_000);
});
