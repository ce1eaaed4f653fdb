import type { Change, Changes, Known } from '../changes.js';
import {
  feedIdOf,
  nodeIdOf,
  type Failure,
  type Feed,
  type FeedId,
  type FeedUrl,
  type ItemId,
  type Source,
  type Validators,
} from '../domain.js';
import type { RedisClient } from '../redis.js';
import type { FeedStatus } from '../status.js';
import { itemsPreamble } from './items.js';
import { COMMITTED, type Keys } from './keys.js';
import { script } from './script.js';

/** What we know of every feed, and when each is due. */
export interface FeedStore {
  /** Makes the feed known and due at once. False when it was known already. */
  register(url: FeedUrl): Promise<boolean>;
  get(feed: FeedId): Promise<Feed | undefined>;
  /** What of these entries is known, to compare a reading with. */
  known(feed: FeedId, items: readonly ItemId[]): Promise<Known>;
  /**
   * Takes up to `limit` feeds that are due, in random order. Who is taken comes due again by itself after `leaseMs`,
   * unless a commit says otherwise before.
   */
  lease(limit: number, leaseMs: number): Promise<FeedId[]>;
  /**
   * Writes what one look has learned, or what was pushed: all of it or nothing. `conflict`: somebody else committed
   * since `version` was read, so it must be repeated from the top. `gone`: the feed is no longer known.
   */
  commit(commit: Commit): Promise<'committed' | 'conflict' | 'gone'>;
  /** Whether this ping is acted on now (0), or in so many ms as one look for all that came meanwhile; `slot` names the look. */
  ping(feed: FeedId, minMs: number): Promise<{ readonly delayMs: number; readonly slot: string }>;
  /** How many feeds there are, and how many are due but not taken. */
  count(): Promise<{ readonly feeds: number; readonly due: number }>;
}

export interface Commit {
  readonly feed: Feed;
  /** From now until the next look; without it, the schedule stays as it is. */
  readonly nextMs?: number;
  /** The lasting state that subscribers are told of with this commit; null when one that they were told of is over. */
  readonly told?: 'failing' | 'gone' | null;
  /** Where looks are led to for good, and how many in a row; null when that row has ended. */
  readonly moving?: Feed['moving'] | null;
  readonly outcome: {
    /** What subscribers may be told of the feed itself: a record of its own, ahead of the entries. */
    readonly status?: FeedStatus;
  } & (
    | {
        readonly kind: 'fresh';
        readonly source: Source;
        readonly validators: Validators;
        readonly body: string;
        readonly changes: Changes;
      }
    | { readonly kind: 'unchanged'; readonly validators?: Validators }
    | { readonly kind: 'failed'; readonly failure: Failure }
    /** Entries that came without a look, which says nothing of the feed itself. `source` is what they come with. */
    | { readonly kind: 'pushed'; readonly source: Source; readonly changes: Changes }
  );
}

// Seen entries that the feed has not shown for this long are forgotten, once there are more than FEW of them.
const FORGET_AFTER_DAYS = 60;
const FEW_SEEN = 2_000;

const REGISTER = script(`
  if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
  local now = redis.call('TIME')
  local ms = now[1] * 1000 + math.floor(now[2] / 1000)
  redis.call('HSET', KEYS[1], 'url', ARGV[2], 'version', 0, 'added', ms, 'failures', 0)
  redis.call('ZADD', KEYS[2], ms, ARGV[1])
  redis.call('ZADD', KEYS[3], 0, ARGV[1])
  redis.call('HDEL', KEYS[4], ARGV[1])
  return 1
`);

// Due feeds hold the ranks 0 to n-1, so a window at a random rank is a random choice at the price of a range.
const LEASE = script(`
  local now = redis.call('TIME')
  local ms = now[1] * 1000 + math.floor(now[2] / 1000)
  local due = redis.call('ZCOUNT', KEYS[1], '-inf', ms)
  if due == 0 then return {} end
  local limit = math.min(tonumber(ARGV[1]), due)
  local start = math.floor(tonumber(ARGV[3]) * (due - limit + 1))
  local feeds = redis.call('ZRANGE', KEYS[1], start, start + limit - 1)
  for _, feed in ipairs(feeds) do redis.call('ZADD', KEYS[1], ms + tonumber(ARGV[2]), feed) end
  return feeds
`);

/**
 * The commit. All of the feed's keys and its log carry one hash tag; the arguments are read in the order in which
 * commitArguments() writes them. The time is Redis's own, so that no process's clock matters.
 */
const COMMIT = script(`
  ${itemsPreamble}
  local feed, seen, items, order, born, due, log, subscribers = unpack(KEYS)
  local next_argument = 0
  local function take() next_argument = next_argument + 1; return ARGV[next_argument] end
  local function count() return tonumber(take()) end
  local id, version, next_ms, keep, today, outcome = take(), take(), count(), count(), count(), take()

  local stored = redis.call('HGET', feed, 'version')
  if not stored then return 'gone' end
  if stored ~= version then return 'conflict' end

  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local url = redis.call('HGET', feed, 'url')
  redis.call('HSET', feed, 'version', version + 1)
  for _ = 1, count() do redis.call('HSET', feed, take(), take()) end
  for _ = 1, count() do redis.call('HDEL', feed, take()) end
  if next_ms then redis.call('ZADD', due, now + next_ms, id) end
  if outcome ~= 'pushed' then redis.call('HSET', feed, 'polled', now) end
  if outcome == 'failed' then
    redis.call('HSETNX', feed, 'failing', now)
  elseif outcome ~= 'pushed' then
    redis.call('HSET', feed, 'read', now)
    redis.call('HDEL', feed, 'failing')
  end

  local announced = 0
  local status = take()
  if status ~= '' then
    redis.call('XADD', log, '*', 'feed', id, 'url', url, 'kind', 'status', 'status', status)
    announced = announced + 1
  end

  local shown = 0
  for _ = 1, count() do
    local item = take()
    local known = redis.call('HGET', seen, item)
    if known then redis.call('HSET', seen, item, string.match(known, '^%S+') .. ' ' .. today) end
    shown = shown + 1
  end

  local source = take()
  for _ = 1, count() do
    local item, hash, kind, entry = take(), take(), take(), take()
    redis.call('HSET', seen, item, hash .. ' ' .. today)
    if entry ~= '' then
      hold(feed, items, order, born, item, '{"at":' .. string.format('%.0f', now) .. ',"entry":' .. entry .. '}')
    end
    if kind == 'first' and redis.call('ZCARD', subscribers) == 0 then kind = 'stored' end
    if kind ~= 'stored' then
      redis.call('XADD', log, '*', 'feed', id, 'url', url, 'item', item, 'kind', kind, 'entry', entry, 'source', source)
      announced = announced + 1
    end
    shown = shown + 1
  end

  trim(items, order, born, tonumber(redis.call('HGET', feed, 'keep') or keep))
  if redis.call('HLEN', seen) > ${FEW_SEEN} + 2 * shown then
    local all = redis.call('HGETALL', seen)
    for i = 1, #all, 2 do
      local day = tonumber(string.match(all[i + 1], ' (%d+)$'))
      if day < today - ${FORGET_AFTER_DAYS} then redis.call('HDEL', seen, all[i]) end
    end
  end
  if announced > 0 then redis.call('PUBLISH', '${COMMITTED}', string.match(log, '{(%d+)}')) end
  return 'committed'
`);

const PING = script(`
  local started = redis.call('GET', KEYS[1])
  if started then return {redis.call('PTTL', KEYS[1]), started .. '-after'} end
  local now = redis.call('TIME')
  local slot = now[1] .. '-' .. now[2]
  redis.call('SET', KEYS[1], slot, 'PX', ARGV[1])
  return {0, slot}
`);

const DAY_MS = 86_400_000;

export interface FeedStoreOptions {
  readonly itemsPerNode: number;
  readonly now: () => number;
  readonly random: () => number;
}

export function redisFeeds(redis: RedisClient, keys: Keys, options: FeedStoreOptions): FeedStore {
  const today = () => Math.floor(options.now() / DAY_MS);
  const everyPartition = <T>(ask: (partition: number) => Promise<T>) =>
    Promise.all(Array.from({ length: keys.partitions }, (_, partition) => ask(partition)));

  async function get(feed: FeedId): Promise<Feed | undefined> {
    return feedFrom(feed, await redis.hgetall(keys.feed(feed)));
  }

  /** How many items the node is to hold after this commit; of more than usual, the node itself is asked. */
  async function keepFor({ feed, outcome }: Commit): Promise<number> {
    const isMany = outcome.kind === 'fresh' && outcome.changes.changes.length > options.itemsPerNode;
    return Number((isMany && (await redis.hget(keys.feed(feed.id), 'keep'))) || options.itemsPerNode);
  }

  return {
    get,

    async register(url) {
      const feed = feedIdOf(url);
      const partition = keys.partitionOf(feed);
      const added = await REGISTER(
        redis,
        [keys.feed(feed), keys.due(partition), keys.directory(partition), keys.moved(partition)],
        [feed, url],
      );
      return added === 1;
    },

    async known(feed, items) {
      if (items.length === 0) return new Map();
      const hashes = await redis.hmget(keys.seen(feed), ...items);
      return new Map(items.flatMap((item, i) => (hashes[i] ? [[item, hashes[i].split(' ')[0] ?? '']] : [])));
    },

    async lease(limit, leaseMs) {
      const taken: FeedId[] = [];
      // Starting anywhere keeps the first partitions from eating the limit at every tick.
      const start = Math.floor(options.random() * keys.partitions);
      for (let i = 0; i < keys.partitions && taken.length < limit; i++) {
        const due = keys.due((start + i) % keys.partitions);
        taken.push(...((await LEASE(redis, [due], [limit - taken.length, leaseMs, options.random()])) as FeedId[]));
      }
      return shuffled(taken, options.random);
    },

    async commit(commit) {
      const { id } = commit.feed;
      const partition = keys.partitionOf(id);
      const ofFeed = [keys.feed(id), keys.seen(id), keys.items(id), keys.order(id), keys.born(id)];
      const touched = [...ofFeed, keys.due(partition), keys.log(partition), keys.subscribers(id)];
      const result = await COMMIT(redis, touched, commitArguments(commit, await keepFor(commit), today()));
      return result as 'committed' | 'conflict' | 'gone';
    },

    async ping(feed, minMs) {
      const [delayMs, slot] = (await PING(redis, [keys.pinged(feed)], [minMs])) as [number, string];
      return { delayMs: Math.max(0, delayMs), slot };
    },

    async count() {
      const now = options.now();
      const [feeds, due] = await Promise.all([
        // Every feed is in the schedule, and nothing else is; a directory has nodes without feeds too.
        everyPartition((partition) => redis.zcard(keys.due(partition))),
        everyPartition((partition) => redis.zcount(keys.due(partition), '-inf', now)),
      ]);
      return { feeds: sum(feeds), due: sum(due) };
    },
  };
}

function commitArguments(
  { feed, nextMs, told, moving, outcome }: Commit,
  keep: number,
  today: number,
): (string | number)[] {
  const set: string[] = [];
  const clear: string[] = [];
  const field = (name: string, value: string | undefined) =>
    value === undefined ? clear.push(name) : set.push(name, value);

  let touched: readonly ItemId[] = [];
  let changes: readonly Change[] = [];
  let source = '{}';
  if (told !== undefined) field('told', told ?? undefined);
  if (moving !== undefined) field('moving', moving ? JSON.stringify(moving) : undefined);
  if (outcome.kind === 'failed') {
    field('failures', String(feed.failures + 1));
    field('failure', JSON.stringify(outcome.failure));
  } else if (outcome.kind !== 'pushed') {
    field('failures', '0');
    field('failure', undefined);
    if (outcome.validators) {
      field('etag', outcome.validators.etag);
      field('modified', outcome.validators.lastModified);
    }
  }
  if ('changes' in outcome) {
    ({ touched, changes } = outcome.changes);
    source = JSON.stringify(outcome.source);
  }
  if (outcome.kind === 'fresh') {
    field('source', source);
    field('body', outcome.body);
  }
  return [
    ...[feed.id, feed.version, nextMs === undefined ? '' : Math.round(nextMs), keep, today, outcome.kind],
    ...[set.length / 2, ...set, clear.length, ...clear],
    outcome.status ? JSON.stringify(outcome.status) : '',
    ...[touched.length, ...touched],
    source,
    changes.length,
    ...changes.flatMap(({ item, hash, kind, entry }, i) => {
      // Of a long past, only what the node will hold is worth sending.
      const isPast = kind === 'stored' && i < changes.length - keep;
      return [item, hash, kind, isPast ? '' : JSON.stringify(entry)];
    }),
  ];
}

/** A feed from the fields of its hash; undefined when they are not those of a feed. */
export function feedFrom(id: FeedId, fields: Readonly<Record<string, string>>): Feed | undefined {
  const { url, version, added, polled, read, failures, failure, failing, told, moving, source, etag, modified, body } =
    fields;
  if (!url) return undefined;
  return {
    id,
    url: url as FeedUrl,
    node: nodeIdOf(url as FeedUrl),
    version: Number(version),
    added: Number(added),
    failures: Number(failures),
    validators: { ...(etag && { etag }), ...(modified && { lastModified: modified }) },
    ...(body && { body }),
    ...(polled && { polled: Number(polled) }),
    ...(read && { read: Number(read) }),
    ...(source && { source: JSON.parse(source) as Source }),
    ...(failure && { failure: JSON.parse(failure) as Failure }),
    ...(failing && { failing: Number(failing) }),
    ...((told === 'failing' || told === 'gone') && { told }),
    ...(moving && { moving: JSON.parse(moving) as NonNullable<Feed['moving']> }),
  };
}

function shuffled<T>(list: T[], random: () => number): T[] {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [list[i], list[j]] = [list[j] as T, list[i] as T];
  }
  return list;
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, n) => total + n, 0);
