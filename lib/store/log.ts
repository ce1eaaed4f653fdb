import type { Entry, FeedId, FeedUrl, ItemId, Source } from '../domain.js';
import { ready, type RedisClient } from '../redis.js';
import { COMMITTED, type Keys } from './keys.js';
import { script } from './script.js';

/** One new or changed entry, complete: nothing else need be read to deliver it. */
export interface LogRecord {
  readonly partition: number;
  /** The place in the partition's log: milliseconds of the commit, a hyphen, a counter. */
  readonly id: string;
  readonly feed: FeedId;
  readonly url: FeedUrl;
  readonly item: ItemId;
  readonly kind: 'new' | 'edited' | 'first';
  readonly entry: Entry;
  readonly source: Source;
}

/** How long delivered records stay, and how many of one partition at most. */
export interface Keep {
  readonly ms: number;
  readonly records: number;
}

/**
 * The outbox: every new entry in order, per partition, until it is delivered and for LOG_KEEP_HOURS after. It has one
 * reader, whoever holds the address; each write of the reader carries the fencing token of that lease.
 */
export interface Log {
  readonly partitions: number;
  /** The last record that was acknowledged; '0' at the very beginning. */
  position(partition: number): Promise<string>;
  /** Up to `count` records after a place. */
  read(partition: number, after: string, count: number): Promise<LogRecord[]>;
  /** The record at a place, unless it was trimmed or quarantined. */
  at(partition: number, id: string): Promise<LogRecord | undefined>;
  /** Delivered up to and including `id`. Trims what need not be kept, never what is not acknowledged. @throws Fenced */
  acknowledge(partition: number, id: string, token: number, keep: Keep): Promise<void>;
  /**
   * Takes a record out for ever: the node does not hold it (but does hold a later edit of the entry), `at` does not find
   * it, and whoever reads leaves out what is `quarantined`.
   * @throws Fenced
   */
  quarantine(record: LogRecord, why: string, token: number): Promise<void>;
  /** Ids of the records in quarantine. */
  quarantined(partition: number): Promise<ReadonlySet<string>>;
  /** How many records wait for an acknowledgement; of each partition, at most a thousand are counted. */
  backlog(): Promise<number>;
  /** Tells of commits as they happen; a hint that may be lost, so look by yourself from time to time. */
  watch(onCommit: (partition: number) => void): void;
}

/** When a record was committed, in ms since 1970: its id says so. */
export const committedAt = (id: string): number => Number(id.split('-')[0]);

/** Negative when `a` is before `b` in a partition's log, 0 when they are the same place. */
export function compareLogIds(a: string, b: string): number {
  const [aMs = 0, aSequence = 0] = a.split('-').map(Number);
  const [bMs = 0, bSequence = 0] = b.split('-').map(Number);
  return aMs - bMs || aSequence - bSequence;
}

/** Somebody else holds the address by now: whoever gets this must stop at once. */
export class Fenced extends Error {
  override readonly name = 'Fenced';
}

// Every write of the reader: refused when a later holder has written before. Redis 7 takes the first word of an error
// for its code only when a second one follows.
const FENCE = `
  local fence = KEYS[1]
  if tonumber(redis.call('GET', fence) or '0') > tonumber(ARGV[1]) then return redis.error_reply('FENCED later holder') end
  redis.call('SET', fence, ARGV[1])
`;

// Trimming by length reads what it trims; an acknowledgement comes with every few records, so a few at a time will do.
const TRIM_AT_ONCE = 256;

const ACKNOWLEDGE = script(`
  ${FENCE}
  redis.call('SET', KEYS[2], ARGV[2])
  local ms = tonumber(string.match(ARGV[2], '^(%d+)'))
  local now = redis.call('TIME')
  local oldest = now[1] * 1000 - tonumber(ARGV[3])
  local surplus = redis.call('XLEN', KEYS[3]) - tonumber(ARGV[4])
  if surplus > 0 then
    local rows = redis.call('XRANGE', KEYS[3], '-', '+', 'COUNT', math.min(surplus, ${TRIM_AT_ONCE}))
    oldest = math.max(oldest, tonumber(string.match(rows[#rows][1], '^%d+')))
  end
  oldest = math.min(oldest, ms)
  if oldest > 0 then redis.call('XTRIM', KEYS[3], 'MINID', '~', string.format('%.0f', oldest)) end
  return 1
`);

const BACKLOG = script(`
  local position = redis.call('GET', KEYS[1])
  return #redis.call('XRANGE', KEYS[2], position and '(' .. position or '-', '+', 'COUNT', 1000)
`);

const QUARANTINE = script(`
  ${FENCE}
  redis.call('HSET', KEYS[2], ARGV[2], ARGV[4])
  local held = redis.call('HGET', KEYS[3], ARGV[3])
  local at = held and tonumber(string.match(held, '^{"at":(%d+)'))
  if at and at <= tonumber(string.match(ARGV[2], '^%d+')) then
    redis.call('HDEL', KEYS[3], ARGV[3])
    redis.call('ZREM', KEYS[4], ARGV[3])
  end
  return 1
`);

/**
 * Runs a script that begins with FENCE.
 * @throws Fenced when a later holder of the address has been here
 */
export async function fenced(run: Promise<unknown>): Promise<unknown> {
  try {
    return await run;
  } catch (error) {
    if (error instanceof Error && error.message.startsWith('FENCED'))
      throw new Fenced('The address has a later holder');
    throw error;
  }
}

/** The first lines of a fenced script; KEYS[1] is the fence, ARGV[1] the token. */
export const fencePreamble = FENCE;

/** @param listener a connection of its own, `patient`, because a subscribed connection can do nothing else */
export function redisLog(redis: RedisClient, listener: RedisClient, keys: Keys): Log {
  return {
    partitions: keys.partitions,

    async position(partition) {
      return (await redis.get(keys.position(partition))) ?? '0';
    },

    async read(partition, after, count) {
      const rows = await redis.xrange(keys.log(partition), after === '0' ? '-' : `(${after}`, '+', 'COUNT', count);
      return rows.map(([id, fields]) => recordFrom(partition, id, fields));
    },

    async at(partition, id) {
      const [rows, isQuarantined] = await Promise.all([
        redis.xrange(keys.log(partition), id, id),
        redis.hexists(keys.quarantine(partition), id),
      ]);
      const [row] = rows;
      return row && !isQuarantined ? recordFrom(partition, row[0], row[1]) : undefined;
    },

    async acknowledge(partition, id, token, keep) {
      const touched = [keys.fence(partition), keys.position(partition), keys.log(partition)];
      await fenced(ACKNOWLEDGE(redis, touched, [token, id, keep.ms, keep.records]));
    },

    async quarantine({ partition, id, feed, item }, why, token) {
      const touched = [keys.fence(partition), keys.quarantine(partition), keys.items(feed), keys.order(feed)];
      await fenced(QUARANTINE(redis, touched, [token, id, item, why]));
    },

    async quarantined(partition) {
      return new Set(await redis.hkeys(keys.quarantine(partition)));
    },

    async backlog() {
      const waiting = await Promise.all(
        Array.from({ length: keys.partitions }, async (_, partition) =>
          Number(await BACKLOG(redis, [keys.position(partition), keys.log(partition)], [])),
        ),
      );
      return waiting.reduce((total, n) => total + n, 0);
    },

    watch(onCommit) {
      listener.on('message', (channel: string, partition: string) => {
        if (channel === COMMITTED) onCommit(Number(partition));
      });
      // Not before it is ready: a connection that is subscribed refuses the very question that would make it ready, and
      // hears nothing. Once subscribed it subscribes again by itself; and the reader also looks unasked.
      ready(listener)
        .then(() => listener.subscribe(COMMITTED))
        .catch(() => undefined);
    },
  };
}

function recordFrom(partition: number, id: string, fields: readonly string[]): LogRecord {
  const field: Record<string, string> = {};
  for (let i = 0; i + 1 < fields.length; i += 2) field[fields[i] ?? ''] = fields[i + 1] ?? '';
  return {
    partition,
    id,
    feed: field['feed'] as FeedId,
    url: field['url'] as FeedUrl,
    item: field['item'] as ItemId,
    kind: field['kind'] as LogRecord['kind'],
    entry: JSON.parse(field['entry'] ?? '{}') as Entry,
    source: JSON.parse(field['source'] ?? '{}') as Source,
  };
}
