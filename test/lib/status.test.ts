import { describe, expect, it } from '@jest/globals';
import { feedIdOf, nodeIdOf, type Failure, type Feed, type Reading } from '../../lib/domain.js';
import { isGone, stateOf, statusAfter } from '../../lib/status.js';
import { BLOG, NO_SOURCE } from '../support/stores.js';

const HOUR_MS = 3_600_000;
const NOW = 1_000 * HOUR_MS;
const NEXT_MS = 900_000.4;
const DOWN: Failure = { reason: 'dns', text: 'The server could not be reached' };
const GONE: Failure = { reason: 'http-status', text: 'The server answered with status 410', status: 410 };
const UNCHANGED = { kind: 'unchanged' } as const;
const FRESH = { kind: 'fresh', entries: [], source: NO_SOURCE, validators: {}, body: 'x', url: BLOG } as const;

const UNREAD: Feed = {
  ...{ id: feedIdOf(BLOG), url: BLOG, node: nodeIdOf(BLOG) },
  ...{ version: 1, validators: {}, added: 0, polled: 1, failures: 0 },
};
const WELL: Feed = { ...UNREAD, read: 1 };

/** Everything that is told of a feed whose looks have these outcomes, so many hours after the first one. */
function tellings(looks: readonly (readonly [hours: number, found: Failure | typeof UNCHANGED | typeof FRESH])[]) {
  let feed = WELL;
  return looks.flatMap(([hours, found]) => {
    const now = NOW + hours * HOUR_MS;
    const reading: Exclude<Reading, { kind: 'page' }> = 'kind' in found ? found : { kind: 'failed', ...found };
    const { status, told = feed.told } = statusAfter(feed, reading, now, NEXT_MS);
    const failing = { failures: feed.failures + 1, failing: feed.failing ?? now };
    feed = { ...WELL, ...(!('kind' in found) && { ...failing, failure: found }), ...(told && { told }) };
    if (!status) return [];
    const lasting = 'lasting' in status && status.lasting ? ['lasting'] : [];
    return [[hours, status.state, ...lasting].join(' ')];
  });
}

describe('subscribers are told', () => {
  it('nothing of a feed that is well', () => {
    expect(
      tellings([
        [0, FRESH],
        [1, UNCHANGED],
      ]),
    ).toEqual([]);
  });

  it.each([FRESH, UNCHANGED])('that a feed fails and that it is back ($kind), once each', (back) => {
    expect(
      tellings([
        [0, DOWN],
        [1, DOWN],
        [2, back],
        [3, back],
        [4, DOWN],
      ]),
    ).toEqual(['0 failing', '2 well', '4 failing']);
  });

  it('that it has failed for a day, once, and then that it is back', () => {
    expect(
      tellings([
        [0, DOWN],
        [23.9, DOWN],
        [24, GONE],
        [25, DOWN],
        [90, DOWN],
        [91, UNCHANGED],
        [92, UNCHANGED],
        [93, DOWN],
        [94, FRESH],
      ]),
    ).toEqual(['0 failing', '24 failing lasting', '91 well lasting', '93 failing', '94 well']);
  });

  it('that it is gone, once, when a second look in a row says so, whatever else it answers later', () => {
    expect(
      tellings([
        [0, GONE],
        [1, DOWN],
        [2, GONE],
        [3, GONE],
        [4, GONE],
        [30, DOWN],
        [60, GONE],
        [61, GONE],
        [62, FRESH],
      ]),
    ).toEqual(['0 failing', '3 gone', '62 well lasting']);
  });

  it('that it is gone also after a day of other failures', () => {
    expect(
      tellings([
        [0, DOWN],
        [24, DOWN],
        [25, GONE],
        [26, GONE],
        [27, UNCHANGED],
      ]),
    ).toEqual(['0 failing', '24 failing lasting', '26 gone', '27 well lasting']);
  });

  it.each([{ kind: 'failed', ...DOWN } as const, { kind: 'failed', ...GONE } as const, FRESH])(
    'nothing of a feed that was never read ($kind)',
    (reading) => {
      const failing = { ...UNREAD, failures: 9, failure: GONE, failing: NOW - 99 * HOUR_MS };
      expect(statusAfter(UNREAD, reading, NOW, NEXT_MS)).toEqual({});
      expect(statusAfter(failing, reading, NOW, NEXT_MS)).toEqual({});
    },
  );
});

describe('what they are told', () => {
  const failing: Feed = { ...WELL, failures: 3, failure: GONE, failing: NOW - 24 * HOUR_MS };

  it('says since when a feed has failed, why, and when it is looked at again', () => {
    const reading = { kind: 'failed', ...DOWN } as const;
    expect(statusAfter(WELL, reading, NOW, NEXT_MS)).toEqual({
      status: { state: 'failing', since: NOW, failure: DOWN, lasting: false, next: NOW + 900_000 },
    });
    expect(statusAfter(failing, reading, NOW, NEXT_MS)).toEqual({
      status: { state: 'failing', since: NOW - 24 * HOUR_MS, failure: DOWN, lasting: true, next: NOW + 900_000 },
      told: 'failing',
    });
  });

  it('says why a feed is gone', () => {
    expect(statusAfter(failing, { kind: 'failed', ...GONE }, NOW, NEXT_MS)).toEqual({
      status: { state: 'gone', failure: GONE },
      told: 'gone',
    });
  });

  it('says since when it is well, and that what they know is over', () => {
    expect(statusAfter(failing, UNCHANGED, NOW, NEXT_MS)).toEqual({
      status: { state: 'well', since: NOW, lasting: false },
    });
    for (const told of ['failing', 'gone'] as const) {
      expect(statusAfter({ ...failing, told }, UNCHANGED, NOW, NEXT_MS)).toEqual({
        status: { state: 'well', since: NOW, lasting: true },
        told: null,
      });
    }
  });
});

describe('whoever asks for the state of a feed hears', () => {
  const DUE = NOW + HOUR_MS;
  const down: Feed = { ...WELL, failures: 3, failure: DOWN, failing: NOW };

  it.each<[string, Feed, ReturnType<typeof stateOf>]>([
    ['that it was not read yet', UNREAD, { state: 'new', next: DUE }],
    ['that it is well', WELL, { state: 'well', next: DUE }],
    ['that it fails, why and since when', down, { state: 'failing', reason: DOWN.text, since: NOW, next: DUE }],
    [
      'that it fails, though it was never read',
      { ...UNREAD, failures: 1, failure: GONE, failing: NOW },
      { state: 'failing', reason: GONE.text, since: NOW, next: DUE },
    ],
    [
      'that it fails, when only one look has found that it is gone',
      { ...down, failure: GONE },
      { state: 'failing', reason: GONE.text, since: NOW, next: DUE },
    ],
    [
      'that it is gone, whatever it answers later',
      { ...down, told: 'gone' },
      { state: 'gone', reason: DOWN.text, since: NOW, next: DUE },
    ],
    ['that it fails, also after its subscribers were told', { ...down, told: 'failing' }, stateOf(down, DUE)],
  ])('%s', (_, feed, state) => {
    expect(stateOf(feed, DUE)).toEqual(state);
  });

  it('that it is not looked at, with the last that is known', () => {
    expect(stateOf({ ...WELL, paused: NOW }, DUE)).toEqual({ state: 'paused' });
    expect(stateOf({ ...down, paused: NOW }, DUE)).toEqual({ state: 'paused', reason: DOWN.text, since: NOW });
  });
});

it('one 410 is not the end', () => {
  const again = { kind: 'failed', ...GONE } as const;
  expect(isGone({}, again)).toBe(false);
  expect(isGone({ failure: DOWN }, again)).toBe(false);
  expect(isGone({ failure: GONE }, { kind: 'failed', ...DOWN })).toBe(false);
  expect(isGone({ failure: GONE }, UNCHANGED)).toBe(false);
  expect(isGone({ failure: GONE }, again)).toBe(true);
});
