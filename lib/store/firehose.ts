import { FIREHOSE, type FeedId, type Page, type PageAsk } from '../domain.js';
import type { RedisClient } from '../redis.js';
import type { Keys } from './keys.js';
import { committedAt, fenced, fencePreamble } from './log.js';
import { cursorOf } from './pages.js';
import { script } from './script.js';

/** Where a firehose number leads. */
export interface Place {
  readonly number: number;
  readonly partition: number;
  readonly id: string;
}

/** A record that is to be on the firehose. */
export interface News {
  /** Its place in the log of its partition. */
  readonly id: string;
  readonly feed: FeedId;
  /** What it shares with other feeds' records of the same entry; the first one decides whether it is a duplicate. */
  readonly fingerprints: readonly string[];
}

/** The firehose: an index, number → place in the log. The payload is stored once, in the log. */
export interface Firehose {
  /**
   * Gives each record the next number, without gaps; a record that has one keeps it. What the index has of another feed,
   * by its first fingerprint, is a duplicate, gets none, and never will; what one feed shows twice is two things. The
   * fingerprints of a record are known as long as the index has it.
   * @param news of one partition, in the order of its log
   * @returns the number of each; undefined for a duplicate, and for what was passed over or forgotten before
   * @throws Fenced
   */
  number(partition: number, news: readonly News[], token: number): Promise<(number | undefined)[]>;
  /** A part of the index, in the order of numbers; undefined when the number that is the cursor is not in it. */
  page(ask: PageAsk): Promise<Page<Place> | undefined>;
  /**
   * The part of the index that was numbered within [start, end] (ms since 1970 by Redis's clock; either may be missing),
   * as a list of its own: index and count are those of the part, `at` is when the number was given. A cursor that is
   * outside of the part is before its beginning or after its end; undefined when it is not in the index.
   * @param numbers what the numbers of the part are above and below; either may be missing
   */
  between(
    start: number | undefined,
    end: number | undefined,
    ask: PageAsk,
    numbers?: { readonly above?: number | undefined; readonly below?: number | undefined },
  ): Promise<Page<Place & { readonly at: number }> | undefined>;
  byNumber(numbers: readonly number[]): Promise<Place[]>;
  /** Forgets numbers older than `keepMs` whose record `isDelivered`. */
  trim(keepMs: number, isDelivered: (place: Place) => boolean): Promise<void>;
}

/** The firehose ItemID: its number in twelve digits, so that text order is number order. */
export const firehoseItemId = (number: number): string => String(number).padStart(12, '0');
export const firehoseNumberIn = (itemId: string): number | undefined =>
  /^\d{12,15}$/.test(itemId) ? Number(itemId) : undefined;

const NUMBER = script(`
  ${fencePreamble}
  local index, counter, numbered, clock, fingerprints = KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
  local partition = ARGV[2]
  local function parts(id) local ms, seq = string.match(id, '^(%d+)-(%d+)$'); return tonumber(ms), tonumber(seq) end
  local last_ms, last_seq = parts(redis.call('HGET', numbered, partition) or '0-0')
  -- The feed that a fingerprint was first seen of, unless the index has lost that record.
  local function feed_of(fingerprint)
    local number = redis.call('ZSCORE', fingerprints, fingerprint)
    local member = number and redis.call('ZRANGE', index, number, number, 'BYSCORE')[1]
    return member and string.match(member, '%S+$')
  end
  local total = tonumber(redis.call('GET', counter) or '0')
  local numbers, first, last, next_argument = {}, nil, nil, 3
  while next_argument <= #ARGV do
    local id, feed, count = ARGV[next_argument], ARGV[next_argument + 1], tonumber(ARGV[next_argument + 2])
    local own = {unpack(ARGV, next_argument + 3, next_argument + 2 + count)}
    next_argument = next_argument + 3 + count
    local member = partition .. ' ' .. id .. ' ' .. feed
    local ms, seq = parts(id)
    local number = false
    if ms > last_ms or (ms == last_ms and seq > last_seq) then
      -- Duplicates count as numbered, or they would be news once the index has lost what they are duplicates of.
      last, last_ms, last_seq = id, ms, seq
      local holder = own[1] and feed_of(own[1])
      if (holder or feed) == feed then
        total = total + 1
        number = total
        redis.call('ZADD', index, number, member)
        for i, fingerprint in ipairs(own) do
          local is_held = i == 1 and holder or i > 1 and feed_of(fingerprint)
          if not is_held then redis.call('ZADD', fingerprints, number, fingerprint) end
        end
        first = first or number
      end
    else
      number = tonumber(redis.call('ZSCORE', index, member) or '') or false
    end
    numbers[#numbers + 1] = number
  end
  if last then redis.call('HSET', numbered, partition, last) end
  if first then
    redis.call('SET', counter, total)
    -- Never back: what was numbered later must not seem to be earlier.
    local time = redis.call('TIME')
    local latest = tonumber(redis.call('ZRANGE', clock, -1, -1)[1] or 0)
    local now = math.max(time[1] * 1000 + math.floor(time[2] / 1000), latest)
    redis.call('ZADD', clock, 'NX', first, string.format('%.0f', now))
  end
  return numbers
`);

/** No number is as high as this. */
const NEVER = Number.MAX_SAFE_INTEGER;

// The first number that was given at a time or later. Times and numbers grow together, so halving finds it.
const FIRST_SINCE = script(`
  local clock, since = KEYS[1], tonumber(ARGV[1])
  local low, high = 0, redis.call('ZCARD', clock)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if tonumber(redis.call('ZRANGE', clock, middle, middle)[1]) < since then low = middle + 1 else high = middle end
  end
  return tonumber(redis.call('ZRANGE', clock, low, low, 'WITHSCORES')[2] or ${NEVER})
`);

// The last time at or before the lowest number is that number's, and stays.
const TRIM = script(`
  local index, clock, fingerprints = KEYS[1], KEYS[2], KEYS[3]
  local lowest = redis.call('ZRANGE', index, 0, 0, 'WITHSCORES')[2] or '+inf'
  local times = redis.call('ZCOUNT', clock, '-inf', lowest)
  if times > 1 then redis.call('ZREMRANGEBYRANK', clock, 0, times - 2) end
  redis.call('ZREMRANGEBYSCORE', fingerprints, '-inf', '(' .. lowest)
  return 1
`);

export function redisFirehose(redis: RedisClient, keys: Keys, now: () => number): Firehose {
  const firstSince = async (ms: number) => (await FIRST_SINCE(redis, [keys.firehoseClock], [ms])) as number;

  /** The index from one number up to, not including, another, as a list of its own. */
  async function part(from: number, beyond: number, ask: PageAsk): Promise<Page<Place> | undefined> {
    const { limit, before } = ask;
    const cursor = cursorOf(ask);
    const number = cursor === undefined ? undefined : firehoseNumberIn(cursor);
    if (cursor !== undefined && number === undefined) return undefined;
    const isForwards = before === undefined;
    const edge = Math.max(from, Math.min(beyond, isForwards ? (number ?? 0) + 1 : (number ?? beyond)));
    const [held, count, earlier, pairs] = await Promise.all([
      number === undefined ? 1 : redis.zcount(keys.firehose, number, number),
      redis.zcount(keys.firehose, from, `(${beyond}`),
      redis.zcount(keys.firehose, from, `(${edge}`),
      isForwards
        ? redis.zrange(keys.firehose, edge, `(${beyond}`, 'BYSCORE', 'LIMIT', 0, limit, 'WITHSCORES')
        : redis.zrange(keys.firehose, `(${edge}`, from, 'BYSCORE', 'REV', 'LIMIT', 0, limit, 'WITHSCORES'),
    ]);
    if (held === 0) return undefined;
    const entries = placesFrom(pairs);
    return isForwards
      ? { entries, index: earlier, count }
      : { entries: entries.reverse(), index: earlier - entries.length, count };
  }

  /** When each of these consecutive numbers was given. */
  async function timed(places: readonly Place[]) {
    const [first, last] = [places[0], places.at(-1)];
    if (!first || !last) return [];
    const [own, later] = await Promise.all([
      redis.zrange(keys.firehoseClock, first.number, 1, 'BYSCORE', 'REV', 'LIMIT', 0, 1, 'WITHSCORES'),
      redis.zrange(keys.firehoseClock, `(${first.number}`, last.number, 'BYSCORE', 'WITHSCORES'),
    ]);
    const clock = pairsFrom([...own, ...later]);
    return places.map((place) => {
      const time = clock.findLast(([, number]) => Number(number) <= place.number)?.[0];
      return { ...place, at: time === undefined ? committedAt(place.id) : Number(time) };
    });
  }

  return {
    async number(partition, news, token) {
      if (news.length === 0) return [];
      const touched = [
        keys.fence(FIREHOSE),
        keys.firehose,
        keys.firehoseNumber,
        keys.firehoseNumbered,
        keys.firehoseClock,
        keys.firehoseFingerprints,
      ];
      const told = news.flatMap(({ id, feed, fingerprints }) => [id, feed, fingerprints.length, ...fingerprints]);
      const numbers = (await fenced(NUMBER(redis, touched, [token, partition, ...told]))) as (number | null)[];
      return numbers.map((number) => number ?? undefined);
    },

    page: (ask) => part(1, NEVER, ask),

    async between(start, end, ask, { above = 0, below = NEVER } = {}) {
      const [from, beyond] = await Promise.all([
        start === undefined ? 1 : firstSince(start),
        end === undefined ? NEVER : firstSince(end + 1),
      ]);
      const found = await part(Math.max(from, above + 1), Math.min(beyond, below), ask);
      return found && { ...found, entries: await timed(found.entries) };
    },

    async byNumber(numbers) {
      const found = await Promise.all(numbers.map((n) => redis.zrangebyscore(keys.firehose, n, n, 'WITHSCORES')));
      return found.flatMap(placesFrom);
    },

    async trim(keepMs, isDelivered) {
      const oldest = pairsFrom(await redis.zrange(keys.firehose, 0, 999, 'WITHSCORES'));
      const past = oldest.filter((pair) => {
        const place = placeFrom(pair);
        return committedAt(place.id) < now() - keepMs && isDelivered(place);
      });
      if (past.length === 0) return;
      await redis.zrem(keys.firehose, ...past.map(([member]) => member));
      await TRIM(redis, [keys.firehose, keys.firehoseClock, keys.firehoseFingerprints], []);
    },
  };
}

const placesFrom = (flat: readonly string[]): Place[] => pairsFrom(flat).map(placeFrom);

function placeFrom([member, number]: readonly [string, string]): Place {
  const [partition = '', id = ''] = member.split(' ');
  return { partition: Number(partition), id, number: Number(number) };
}

/** Members and their scores, as Redis gives them one after the other. */
function pairsFrom(flat: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let i = 0; i + 1 < flat.length; i += 2) pairs.push([flat[i] ?? '', flat[i + 1] ?? '']);
  return pairs;
}
