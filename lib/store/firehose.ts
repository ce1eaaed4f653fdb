import { FIREHOSE, type Page, type PageAsk } from '../domain.js';
import type { RedisClient } from '../redis.js';
import type { Keys } from './keys.js';
import { committedAt, fenced, fencePreamble } from './log.js';
import { cursorOf, span } from './pages.js';
import { script } from './script.js';

/** Where a firehose number leads. */
export interface Place {
  readonly number: number;
  readonly partition: number;
  readonly id: string;
}

/** The firehose: an index, number → place in the log. The payload is stored once, in the log. */
export interface Firehose {
  /**
   * Gives each record the next number, without gaps; a record that has one keeps it.
   * @param ids consecutive places of one partition, in order
   * @throws Fenced
   */
  number(partition: number, ids: readonly string[], token: number): Promise<number[]>;
  /** A part of the index, in the order of numbers; undefined when the number that is the cursor is not in it. */
  page(ask: PageAsk): Promise<Page<Place> | undefined>;
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
  local index, counter, numbered = KEYS[2], KEYS[3], KEYS[4]
  local partition = ARGV[2]
  local function parts(id) local ms, seq = string.match(id, '^(%d+)-(%d+)$'); return tonumber(ms), tonumber(seq) end
  local last_ms, last_seq = parts(redis.call('HGET', numbered, partition) or '0-0')
  local numbers = {}
  for i = 3, #ARGV do
    local member = partition .. ' ' .. ARGV[i]
    local ms, seq = parts(ARGV[i])
    if ms > last_ms or (ms == last_ms and seq > last_seq) then
      local number = redis.call('INCR', counter)
      redis.call('ZADD', index, number, member)
      redis.call('HSET', numbered, partition, ARGV[i])
      last_ms, last_seq = ms, seq
      numbers[#numbers + 1] = number
    else
      numbers[#numbers + 1] = tonumber(redis.call('ZSCORE', index, member) or 0)
    end
  end
  return numbers
`);

export function redisFirehose(redis: RedisClient, keys: Keys, now: () => number): Firehose {
  return {
    async number(partition, ids, token) {
      if (ids.length === 0) return [];
      const touched = [keys.fence(FIREHOSE), keys.firehose, keys.firehoseNumber, keys.firehoseNumbered];
      return (await fenced(NUMBER(redis, touched, [token, partition, ...ids]))) as number[];
    },

    async page(ask) {
      const cursor = cursorOf(ask);
      const number = cursor === undefined ? undefined : firehoseNumberIn(cursor);
      if (cursor !== undefined && number === undefined) return undefined;
      const [count, earlier, held] = await Promise.all([
        redis.zcard(keys.firehose),
        number === undefined ? undefined : redis.zcount(keys.firehose, '-inf', `(${number}`),
        number === undefined ? 1 : redis.zcount(keys.firehose, number, number),
      ]);
      if (held === 0) return undefined;
      const { start, stop } = span(count, earlier, ask);
      const pairs = stop > start ? await redis.zrange(keys.firehose, start, stop - 1, 'WITHSCORES') : [];
      return { entries: placesFrom(pairs), index: start, count };
    },

    async byNumber(numbers) {
      const found = await Promise.all(numbers.map((n) => redis.zrangebyscore(keys.firehose, n, n, 'WITHSCORES')));
      return found.flatMap(placesFrom);
    },

    async trim(keepMs, isDelivered) {
      const oldest = placesFrom(await redis.zrange(keys.firehose, 0, 999, 'WITHSCORES'));
      const past = oldest.filter((place) => committedAt(place.id) < now() - keepMs && isDelivered(place));
      const members = past.map(({ partition, id }) => `${partition} ${id}`);
      if (members.length > 0) await redis.zrem(keys.firehose, ...members);
    },
  };
}

function placesFrom(pairs: readonly string[]): Place[] {
  const places: Place[] = [];
  for (let i = 0; i + 1 < pairs.length; i += 2) {
    const [partition = '', id = ''] = (pairs[i] ?? '').split(' ');
    places.push({ partition: Number(partition), id, number: Number(pairs[i + 1]) });
  }
  return places;
}
