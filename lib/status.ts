import type { Failure, Feed, FeedUrl, Reading } from './domain.js';

/** What subscribers may be told of the state of a feed; times are ms since 1970. */
export type FeedStatus =
  | {
      readonly state: 'failing';
      readonly since: number;
      readonly failure: Failure;
      readonly lasting: boolean;
      /** When it is looked at again; absent in what earlier versions have written. */
      readonly next?: number;
    }
  | { readonly state: 'gone'; readonly failure: Failure }
  | { readonly state: 'moved'; readonly to: FeedUrl }
  | { readonly state: 'well'; readonly since: number; readonly lasting: boolean };

/** What is said of a feed to whoever asks; times are ms since 1970. */
export interface FeedState {
  /** `new` until it was read for the first time; `paused` while it is not looked at. */
  readonly state: 'new' | 'well' | 'failing' | 'gone' | 'paused';
  /** Why the last look gave nothing, and since when that is so. */
  readonly reason?: string;
  readonly since?: number;
  /** When it is looked at next. */
  readonly next?: number;
}

/** What subscribers are told because of one look, and the lasting state that they know of from then on. */
export interface Telling {
  readonly status?: FeedStatus;
  /** Null when what they were told of is over. */
  readonly told?: 'failing' | 'gone' | null;
}

const DAY_MS = 86_400_000;

/**
 * What a look says of the state of a feed: that it begins to fail, that it has failed for a day, that it is gone, that
 * it can be read again; each once. Of a feed that was never read, nothing is told.
 * @param feed as it was before the look
 * @param now ms since 1970
 * @param nextMs from now until the next look
 */
export function statusAfter(
  feed: Feed,
  reading: Exclude<Reading, { kind: 'page' | 'postponed' }>,
  now: number,
  nextMs: number,
): Telling {
  if (feed.read === undefined) return {};
  const { told } = feed;
  if (reading.kind !== 'failed') {
    if (feed.failures === 0) return {};
    return { status: { state: 'well', since: now, lasting: told !== undefined }, ...(told && { told: null }) };
  }
  const { reason, text, status: http } = reading;
  const failure = { reason, text, ...(http !== undefined && { status: http }) };
  if (isGone(feed, reading)) return told === 'gone' ? {} : { status: { state: 'gone', failure }, told: 'gone' };
  const since = feed.failing ?? now;
  const next = Math.round(now + nextMs);
  if (feed.failures === 0) return { status: { state: 'failing', since, failure, lasting: false, next } };
  if (told || now - since < DAY_MS) return {};
  return { status: { state: 'failing', since, failure, lasting: true, next }, told: 'failing' };
}

/**
 * The state of a feed as it is now. It is gone for whoever asks when it is for those who are told; paused while nobody
 * follows it.
 * @param due when it is looked at next
 */
export function stateOf({ read, failures, failure, failing, told, paused }: Feed, due: number | undefined): FeedState {
  const active = told === 'gone' ? 'gone' : failures > 0 ? 'failing' : read === undefined ? 'new' : 'well';
  return {
    state: paused === undefined ? active : 'paused',
    ...(failure && { reason: failure.text }),
    ...(failing !== undefined && { since: failing }),
    ...(due !== undefined && paused === undefined && { next: due }),
  };
}

/** 410 (RFC 9110 15.5.11), twice in a row: one may be a mistake. */
export const isGone = ({ failure }: Pick<Feed, 'failure'>, reading: Reading): boolean =>
  reading.kind === 'failed' && reading.status === 410 && failure?.status === 410;
