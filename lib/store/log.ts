import type { Entry, FeedId, FeedUrl, ItemId, Source } from '../domain.js';
import { ready, type RedisClient } from '../redis.js';
import type { FeedStatus } from '../status.js';
import { COMMITTED, type Keys } from './keys.js';
import type { Successor } from './nodes.js';
import { fieldsFrom, script } from './script.js';

interface Recorded {
  readonly partition: number;
  /** The place in the partition's log: milliseconds of the commit, a hyphen, a counter. */
  readonly id: string;
  /** The node that it is about. */
  readonly feed: FeedId;
}

/** One new or changed entry of a feed, complete: nothing else need be read to deliver it. */
export type EntryRecord = Recorded & {
  readonly kind: 'new' | 'edited' | 'first';
  readonly url: FeedUrl;
  readonly item: ItemId;
  readonly entry: Entry;
  readonly source: Source;
};

/** What somebody has published on a node without a feed. */
export type PublishedRecord = Recorded & {
  readonly kind: 'published';
  readonly item: ItemId;
  readonly payload: string;
  readonly publisher: string;
};

/** What else subscribers are told about a node (XEP-0060 7.2.2.1, 8.2.5.3, 8.4.2, 8.5.2), and the state of a feed. */
export type NoticeRecord = Recorded &
  (
    | { readonly kind: 'retracted'; readonly items: readonly ItemId[] }
    | { readonly kind: 'purged' }
    | { readonly kind: 'configured' }
    | {
        readonly kind: 'deleted';
        /** Whether the subscribers are told. */
        readonly announce: boolean;
        /** What the subscribers are put aside under. */
        readonly audience: string;
        readonly successor?: Successor;
      }
    | { readonly kind: 'status'; readonly url: FeedUrl; readonly status: FeedStatus }
  );

/** One thing that happened to a node, in the order in which it happened. */
export type LogRecord = EntryRecord | PublishedRecord | NoticeRecord;

/** How long delivered records stay, and how many of one partition at most. */
export interface Keep {
  readonly ms: number;
  readonly records: number;
}

/**
 * The outbox: everything that subscribers are told about nodes, in order, per partition, until it is delivered and for
 * LOG_KEEP_HOURS after. It has one reader, whoever holds the address; each write of the reader carries the fencing token
 * of that lease.
 */
export interface Log {
  readonly partitions: number;
  /** The partition that a node's records are in. */
  partitionOf(node: FeedId): number;
  /** The last record that was acknowledged; '0' at the very beginning. */
  position(partition: number): Promise<string>;
  /** Up to `count` records after a place. */
  read(partition: number, after: string, count: number): Promise<LogRecord[]>;
  /** The record at a place, unless it was trimmed or quarantined. */
  at(partition: number, id: string): Promise<LogRecord | undefined>;
  /** Delivered up to and including `id`. Trims what need not be kept, never what is not acknowledged. @throws Fenced */
  acknowledge(partition: number, id: string, token: number, keep: Keep): Promise<void>;
  /**
   * Takes a record out for ever: the node does not hold its item (but does hold a later edit of it), `at` does not find
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
  redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
  local item, items, order, born = ARGV[4], KEYS[3], KEYS[4], KEYS[5]
  if not item then return 1 end
  local held = redis.call('HGET', items, item)
  local at = held and tonumber(string.match(held, '^{"at":(%d+)'))
  if at and at <= tonumber(string.match(ARGV[2], '^%d+')) then
    redis.call('HDEL', items, item)
    redis.call('ZREM', order, item)
    redis.call('ZREM', born, item)
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

/** Lua: `record(log, field, value, …)` appends one record and says so to the reader. */
export const recordPreamble = `
  local function record(log, ...)
    redis.call('XADD', log, '*', ...)
    redis.call('PUBLISH', '${COMMITTED}', string.match(log, '{(%d+)}'))
  end
`;

/** @param listener a connection of its own, `patient`, because a subscribed connection can do nothing else */
export function redisLog(redis: RedisClient, listener: RedisClient, keys: Keys): Log {
  return {
    partitions: keys.partitions,
    partitionOf: keys.partitionOf,

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

    async quarantine(record, why, token) {
      const { partition, id, feed } = record;
      const [held, item] =
        'item' in record ? [[keys.items(feed), keys.order(feed), keys.born(feed)], [record.item]] : [[], []];
      const touched = [keys.fence(partition), keys.quarantine(partition), ...held];
      await fenced(QUARANTINE(redis, touched, [token, id, why, ...item]));
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
  const field = fieldsFrom(fields);
  const json = (name: string) => JSON.parse(field[name] ?? 'null') as unknown;
  const recorded: Recorded = { partition, id, feed: field['feed'] as FeedId };
  const url = field['url'] as FeedUrl;
  const item = field['item'] as ItemId;
  const kind = field['kind'] as LogRecord['kind'];
  switch (kind) {
    case 'new':
    case 'edited':
    case 'first':
      return { ...recorded, kind, url, item, entry: json('entry') as Entry, source: json('source') as Source };
    case 'published':
      return { ...recorded, kind, item, ...(json('content') as { payload: string; publisher: string }) };
    case 'retracted':
      return { ...recorded, kind, items: json('items') as ItemId[] };
    case 'purged':
    case 'configured':
      return { ...recorded, kind };
    case 'deleted': {
      const successor = json('successor') as Successor | null;
      const audience = field['audience'] ?? '';
      return { ...recorded, kind, announce: field['announce'] === '1', audience, ...(successor && { successor }) };
    }
    case 'status':
      return { ...recorded, kind, url, status: json('status') as FeedStatus };
  }
}
