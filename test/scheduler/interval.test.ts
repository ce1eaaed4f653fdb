import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Failure, Rhythm } from '../../lib/domain.js';
import { nextLook, type Outlook } from '../../scheduler/interval.js';

const BOUNDS = { minSeconds: 60, maxSeconds: 900 };
/** A Wednesday, ten in the morning. */
const NOW = Date.UTC(2026, 0, 7, 10);
const LIVE = { kind: 'unchanged' } as const;
const ANY_HOUR = '0'.repeat(24);
const failure = (more: Partial<Failure> = {}): Failure => ({ reason: 'http-status', text: 'no', ...more });
const failed = (retryAfter?: number, more: Partial<Failure> = {}) =>
  ({ kind: 'failed', ...failure(more), ...(retryAfter !== undefined && { retryAfter }) }) as const;
const every = (gap: number, more: Partial<Rhythm> = {}): Rhythm => ({
  ...{ gap, latest: NOW, hits: 0.2, hours: ANY_HOUR },
  ...more,
});

function seconds(outlook: Partial<Outlook>, random = 0, bounds = BOUNDS): number {
  const usual = {
    feed: { failures: 0 },
    reading: LIVE,
    subscribers: 1,
    isPushed: false,
    isUnfinished: false,
    now: NOW,
  };
  return nextLook({ ...usual, ...outlook }, bounds, random) / 1_000;
}

describe('a live feed', () => {
  it('is looked at within the bounds, whatever chance and its past say', () => {
    const rhythm = fc.record({
      gap: fc.integer({ min: 1, max: 1e9 }),
      latest: fc.integer({ min: 0, max: 2 * NOW }),
      hits: fc.double({ min: 0, max: 1, noNaN: true }),
      hours: fc.array(fc.nat({ max: 35 }), { minLength: 24, maxLength: 24 }),
    });
    const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    const freshFor = fc.nat({ max: 1e9 });
    fc.assert(
      fc.property(fc.option(rhythm), chance, fc.nat(), freshFor, (past, random, subscribers, fresh) => {
        const known = past
          ? { rhythm: { ...past, hours: past.hours.map((weight) => weight.toString(36)).join('') } }
          : {};
        const next = seconds({ ...known, subscribers, reading: { ...LIVE, freshFor: fresh } }, random);
        expect(next).toBeGreaterThanOrEqual(60);
        expect(next).toBeLessThanOrEqual(900);
      }),
    );
  });

  it('of which nothing is known is looked at as seldom as is promised, spread over the last tenth of that time', () => {
    expect([0, 0.5, 0.999].map((random) => Math.round(seconds({}, random)))).toEqual([900, 855, 810]);
  });

  it('is looked at about twice as often as it publishes', () => {
    expect([10, 600, 1_200, 86_400].map((gap) => seconds({ rhythm: every(gap) }))).toEqual([60, 300, 600, 900]);
  });

  it('is looked at less often after a long silence', () => {
    expect(seconds({ rhythm: every(600, { latest: NOW - 3_000_000 }) })).toBe(750);
  });

  it('is looked at more often in the hours in which it publishes', () => {
    const mornings = `${'0'.repeat(9)}zzz${'0'.repeat(12)}`;
    const [then, later] = [NOW, NOW + 6 * 3_600_000].map((now) =>
      seconds({ now, rhythm: every(1_200, { hours: mornings, latest: now }) }),
    );
    expect(then).toBeLessThan(120);
    expect(later).toBe(900);
  });

  it('is looked at more often where looks find something, and less often where they do not', () => {
    const [often, usual, rarely] = [0.9, 0.2, 0].map((hits) => seconds({ rhythm: every(1_000, { hits }) }));
    expect([often, usual, rarely]).toEqual([350, 500, 750]);
  });

  it('is looked at more often for many subscribers', () => {
    expect([1, 10, 100, 1_000].map((subscribers) => seconds({ rhythm: every(1_200), subscribers }))).toEqual([
      600, 300, 200, 150,
    ]);
  });

  it('is not looked at while its server calls the last answer fresh', () => {
    expect(seconds({ rhythm: every(120), reading: { kind: 'unchanged', freshFor: 500 } })).toBe(500);
    expect(seconds({ rhythm: every(120), reading: { kind: 'unchanged', freshFor: 86_400 } })).toBe(900);
  });

  it('is not looked at more often than its publisher wants, as far as the promise allows', () => {
    expect(seconds({ rhythm: every(120), pace: { seconds: 500 } })).toBe(500);
    expect(seconds({ rhythm: every(120), pace: { seconds: 86_400 } })).toBe(900);
  });

  it('is looked at as seldom as possible in the hours and on the days that its publisher skips', () => {
    const pace = [{ hours: [9, 10] }, { hours: [11], days: [3] }, { hours: [11], days: [4] }];
    expect(pace.map((one) => seconds({ rhythm: every(120), pace: one }))).toEqual([900, 900, 60]);
  });

  it('is looked at as soon as possible when the last look has left something', () => {
    expect(seconds({ rhythm: every(86_400), isUnfinished: true })).toBe(60);
  });

  it('that pushes reliably is looked at every six hours', () => {
    expect(seconds({ rhythm: every(120), isPushed: true })).toBe(6 * 3_600);
    expect(seconds({ reading: failed(), isPushed: true })).toBe(900);
  });

  it('is not looked at more often than the minimum allows', () => {
    expect(seconds({ rhythm: every(1) }, 0.99, { minSeconds: 60, maxSeconds: 60 })).toBe(60);
  });
});

describe('a failing feed', () => {
  const before = (failures: number, more?: Failure) => ({ failures, ...(more && { failure: more }) });

  it('is looked at less and less often, but at least once a day', () => {
    const waits = [0, 1, 2, 3].map((failures) => seconds({ reading: failed(), feed: before(failures) }));
    expect(waits).toEqual([900, 1_800, 3_600, 7_200]);
    expect(seconds({ reading: failed(), feed: before(1_000) })).toBe(86_400);
  });

  it('that is gone is looked at once a day, so that it can come back by itself', () => {
    const gone = { status: 410 };
    const after = (failure_: Failure, now: Partial<Failure>) =>
      seconds({ reading: failed(undefined, now), feed: before(1, failure_) });
    expect(after(failure(gone), gone)).toBe(86_400);
    expect(seconds({ reading: failed(undefined, gone) })).toBe(900);
    expect(after(failure(), gone)).toBe(1_800);
    expect(after(failure(gone), { status: 404 })).toBe(1_800);
    expect(seconds({ feed: before(9, failure(gone)) })).toBe(900);
  });

  it('is left alone for as long as Retry-After says, up to a day', () => {
    expect([5_000, 10, 10_000_000].map((wait) => seconds({ reading: failed(wait) }))).toEqual([5_000, 900, 86_400]);
  });
});
