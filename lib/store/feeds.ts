import type { Change, Changes, Known } from '../changes.js';
import {
  feedIdOf,
  nodeIdOf,
  type Failure,
  type Feed,
  type FeedId,
  type FeedUrl,
  type ItemId,
  type Rhythm,
  type Source,
  type Validators,
} from '../domain.js';
import type { ConfigOverrides } from '../node-config.js';
import type { RedisClient } from '../redis.js';
import type { FeedStatus } from '../status.js';
import { grouped } from './grouped.js';
import { itemsPreamble } from './items.js';
import { COMMITTED, type Keys } from './keys.js';
import { fieldsFrom, NOW, script } from './script.js';
import { DAY_CHARS, dayText, fieldOf, knownFrom, seenText } from './seen.js';

/** What we know of every feed, and when each is due. */
export interface FeedStore {
  /**
   * Makes the feed known and due at once; with what the vault keeps for it, it is in no directory. False when it was known
   * already.
   */
  register(url: FeedUrl, sealed?: string): Promise<boolean>;
  get(feed: FeedId): Promise<Feed | undefined>;
  /**
   * Takes feeds to look at them, so that nobody else does at the same time: each until its commit, or for `ms` at most.
   * Whoever took one may take it again: a worker that was lost is run again under its name.
   */
  take(feeds: readonly FeedId[], holder: string, ms: number): Promise<ReadonlyMap<FeedId, Taken>>;
  /** What is remembered of all entries that the feed has shown. */
  known(feed: FeedId): Promise<Known>;
  /**
   * Takes up to `limit` feeds that are due, in random order: half of them those that have waited longest, half any. Who is
   * taken comes due again by itself after `leaseMs`, unless a commit says otherwise before.
   */
  lease(limit: number, leaseMs: number): Promise<FeedId[]>;
  /**
   * Writes what one look has learned, or what was pushed: all of it or nothing. `conflict`: somebody else committed
   * since `version` was read, so it must be repeated from the top. `gone`: the feed is no longer known. A feed that
   * nobody follows is paused by it.
   */
  commit(commit: Commit): Promise<'committed' | 'conflict' | 'gone'>;
  /** Gives back a feed that was taken and not looked at; it comes due in so many ms. */
  postpone(feed: FeedId, ms: number): Promise<void>;
  /** Lets a push that has proven to be healthy stand in for looks until then (ms since 1970). */
  trustPush(feed: FeedId, until: number): Promise<void>;
  /** Whether this ping is acted on now (0), or in so many ms as one look for all that came meanwhile; `slot` names the look. */
  ping(feed: FeedId, minMs: number): Promise<{ readonly delayMs: number; readonly slot: string }>;
  /** When the feed is looked at next (ms since 1970); undefined when it is not in the schedule. */
  dueAt(feed: FeedId): Promise<number | undefined>;
  /** How many feeds there are, and how many are due but not taken. */
  count(): Promise<{ readonly feeds: number; readonly due: number }>;
}

/**
 * What came of taking a feed. `busy`: somebody looks at it; who wanted to do so because of a ping is not forgotten, the
 * feed comes due when they are done. `paused`: nobody follows it. `forgettable`: for so long that it may be forgotten.
 */
export type Taken =
  | { readonly kind: 'taken'; readonly feed: Feed; readonly subscribers: number }
  | { readonly kind: 'unknown' | 'busy' | 'paused' | 'forgettable' };

/** What a commit may change of a feed beside its entries; null is that there is none any more. */
export type Facts = { readonly [K in (typeof FACTS)[number]]?: Exclude<Feed[K], undefined> | null };

export interface Commit {
  readonly feed: Feed;
  /** From now until the next look; without it, the schedule stays as it is. */
  readonly nextMs?: number;
  readonly facts?: Facts;
  readonly outcome: {
    /** What subscribers may be told of the feed itself: a record of its own, ahead of the entries. */
    readonly status?: FeedStatus;
  } & (
    | {
        readonly kind: 'fresh';
        readonly source: Source;
        readonly validators: Validators;
        /** Absent when the document was not read to its end: then it must be read again, even if it stays the same. */
        readonly body?: string;
        readonly changes: Changes;
      }
    | { readonly kind: 'unchanged'; readonly validators?: Validators }
    | { readonly kind: 'failed'; readonly failure: Failure }
    /** Entries that came without a look, which says nothing of the feed itself. `source` is what they come with. */
    | { readonly kind: 'pushed'; readonly source: Source; readonly changes: Changes }
  );
}

/** Fields of a feed's hash that are JSON. */
const FACTS = ['told', 'moving', 'at', 'pace', 'rhythm', 'full', 'lying', 'untrusted', 'partial', 'pushed'] as const;

// Seen entries that the feed has not shown for this long are forgotten, once there are more than FEW of them.
const FORGET_AFTER_DAYS = 60;
const FEW_SEEN = 500;

/** So long a feed that nobody follows is kept. */
export const FORGET_FEED_MS = 30 * 86_400_000;

// Lua: whether somebody wants this feed to be looked at: subscribers, or whoever has given it an owner or a
// configuration, so that it is on the firehose.
const FOLLOWED = `
  local function followed(feed, subscribers, affiliations)
    return redis.call('EXISTS', subscribers) == 1 or redis.call('EXISTS', affiliations) == 1
      or (redis.call('HGET', feed, 'config') or '{}') ~= '{}'
  end
`;

/** Lua: `wake` makes a feed that is paused due at once, because somebody follows it from now on. */
export const wakePreamble = `
  local function wake(feed, due, id)
    local paused = redis.call('HGET', feed, 'paused')
    if not paused then return end
    redis.call('HDEL', feed, 'paused')
    redis.call('HSET', feed, 'woken', paused)
    ${NOW}
    redis.call('ZADD', due, 'XX', now, id)
  end
`;

const REGISTER = script(`
  if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
  ${NOW}
  redis.call('HSET', KEYS[1], 'url', ARGV[2], 'version', 0, 'added', now)
  redis.call('ZADD', KEYS[2], now, ARGV[1])
  if ARGV[3] then redis.call('HSET', KEYS[1], 'sealed', ARGV[3]) end
  redis.call('ZADD', ARGV[3] and KEYS[5] or KEYS[3], 0, ARGV[1])
  redis.call('HDEL', KEYS[4], ARGV[1])
  return 1
`);

const TAKE = script(`
  ${FOLLOWED}
  ${NOW}
  local due, holder, ms = KEYS[1], ARGV[1], tonumber(ARGV[2])
  local function take(id, feed, subscribers, affiliations)
    local stored, busy, paused = unpack(redis.call('HMGET', feed, 'url', 'busy', 'paused'))
    if not stored then return {'unknown'} end
    if busy then
      local till, by = string.match(busy, '^(%d+) (.*)$')
      if tonumber(till) > now and by ~= holder then
        if holder == 'ping' then redis.call('HSET', feed, 'again', 1)
        else redis.call('ZADD', due, 'XX', till, id) end
        return {'busy'}
      end
    end
    if paused and not followed(feed, subscribers, affiliations) then
      local last = tonumber(paused) + ${FORGET_FEED_MS}
      if now >= last then return {'forgettable'} end
      redis.call('ZADD', due, 'XX', last, id)
      return {'paused'}
    end
    redis.call('HSET', feed, 'busy', string.format('%.0f %s', now + ms, holder))
    return {'taken', redis.call('ZCARD', subscribers), redis.call('HGETALL', feed)}
  end
  local taken = {}
  for i = 3, #ARGV do taken[#taken + 1] = take(ARGV[i], unpack(KEYS, 3 * i - 7, 3 * i - 5)) end
  return taken
`);

// A ping that came while the feed was busy has the last word.
const POSTPONE = script(`
  ${NOW}
  redis.call('HDEL', KEYS[1], 'busy')
  local wait = redis.call('HDEL', KEYS[1], 'again') == 1 and 0 or tonumber(ARGV[2])
  return redis.call('ZADD', KEYS[2], 'XX', now + wait, ARGV[1])
`);

const SET_FACT = script(`
  if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  return 1
`);

// Due feeds hold the ranks 0 to n-1, so a window at a random rank is a random choice at the price of a range. Half of
// them are those that have waited longest: the window seldom has the first ranks, and they must not starve.
const LEASE = script(`
  ${NOW}
  local due = redis.call('ZCOUNT', KEYS[1], '-inf', now)
  if due == 0 then return {} end
  local limit = math.min(tonumber(ARGV[1]), due)
  local longest = math.floor(limit / 2)
  local start = longest + math.floor(tonumber(ARGV[3]) * (due - limit + 1))
  local feeds = redis.call('ZRANGE', KEYS[1], start, start + limit - longest - 1)
  for _, feed in ipairs(longest > 0 and redis.call('ZRANGE', KEYS[1], 0, longest - 1) or {}) do
    feeds[#feeds + 1] = feed
  end
  for _, feed in ipairs(feeds) do redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), feed) end
  return feeds
`);

/**
 * The commit. All of the feed's keys and its log carry one hash tag; the arguments are read in the order in which
 * commitArguments() writes them. The time is Redis's own, so that no process's clock matters.
 */
const COMMIT = script(`
  ${itemsPreamble}
  ${FOLLOWED}
  local feed, seen, items, order, born, due, log, subscribers, affiliations = unpack(KEYS)
  local next_argument = 0
  local function take() next_argument = next_argument + 1; return ARGV[next_argument] end
  local function count() return tonumber(take()) end
  local function dayOf(remembered) return string.sub(remembered, 1, ${DAY_CHARS}) end
  local id, version, next_ms, keep, today, outcome = take(), take(), count(), count(), take(), take()

  local stored, url = unpack(redis.call('HMGET', feed, 'version', 'url'))
  if not stored then return 'gone' end
  if stored ~= version then return 'conflict' end

  ${NOW}
  local set = {'version', version + 1}
  for _ = 1, count() do
    set[#set + 1] = take()
    set[#set + 1] = take()
  end
  if outcome ~= 'pushed' then
    set[#set + 1] = outcome == 'failed' and 'polled' or 'read'
    set[#set + 1] = now
  end
  redis.call('HSET', feed, unpack(set))
  if outcome == 'failed' then redis.call('HSETNX', feed, 'failing', now) end
  for _ = 1, count() do redis.call('HDEL', feed, take()) end
  if next_ms then
    local again = redis.call('HDEL', feed, 'again') == 1
    redis.call('HDEL', feed, 'busy')
    if followed(feed, subscribers, affiliations) then
      redis.call('HDEL', feed, 'paused', 'woken')
      redis.call('ZADD', due, now + (again and 0 or next_ms), id)
    else
      redis.call('HDEL', feed, 'woken')
      redis.call('HSETNX', feed, 'paused', now)
      redis.call('ZADD', due, redis.call('HGET', feed, 'paused') + ${FORGET_FEED_MS}, id)
    end
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
    if known and dayOf(known) ~= today then
      redis.call('HSET', seen, item, today .. string.sub(known, ${DAY_CHARS + 1}))
    end
    shown = shown + 1
  end

  local source = take()
  for _ = 1, count() do
    local item, field, memory, kind, entry = take(), take(), take(), take(), take()
    redis.call('HSET', seen, field, today .. memory)
    local before = kind == 'stored' and entry ~= '' and redis.call('HGET', items, item)
    if before then
      -- A change too small to be announced leaves the item where it is.
      redis.call('HSET', items, item, string.match(before, '^{"at":%d+') .. ',"entry":' .. entry .. '}')
    elseif entry ~= '' then
      hold(feed, items, order, born, item, '{"at":' .. string.format('%.0f', now) .. ',"entry":' .. entry .. '}')
    end
    if kind == 'new' or kind == 'edited' or (kind == 'first' and redis.call('EXISTS', subscribers) == 1) then
      redis.call('XADD', log, '*', 'feed', id, 'url', url, 'item', item, 'kind', kind, 'entry', entry, 'source', source)
      announced = announced + 1
    end
    shown = shown + 1
  end

  if outcome == 'fresh' or outcome == 'pushed' then
    trim(items, order, born, tonumber(redis.call('HGET', feed, 'keep') or keep))
    if redis.call('HLEN', seen) > ${FEW_SEEN} + 2 * shown then
      local all = redis.call('HGETALL', seen)
      for i = 1, #all, 2 do
        local day = tonumber(dayOf(all[i + 1]), 36)
        if day < tonumber(today, 36) - ${FORGET_AFTER_DAYS} then redis.call('HDEL', seen, all[i]) end
      end
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

export interface FeedStoreOptions {
  readonly itemsPerNode: number;
  readonly now: () => number;
  readonly random: () => number;
}

export function redisFeeds(redis: RedisClient, keys: Keys, options: FeedStoreOptions): FeedStore {
  const everyPartition = <T>(ask: (partition: number) => Promise<T>) =>
    Promise.all(Array.from({ length: keys.partitions }, (_, partition) => ask(partition)));
  const dueOf = (feed: FeedId) => keys.due(keys.partitionOf(feed));

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

    async register(url, sealed) {
      const feed = feedIdOf(url);
      const partition = keys.partitionOf(feed);
      const listed = [keys.directory(partition), keys.moved(partition), keys.unlisted(partition)];
      const touched = [keys.feed(feed), keys.due(partition), ...listed];
      return (await REGISTER(redis, touched, [feed, url, ...(sealed ? [sealed] : [])])) === 1;
    },

    async take(ids, holder, ms) {
      const taken = new Map<FeedId, Taken>();
      const partitions = grouped(ids, keys.partitionOf);
      await Promise.all(
        [...partitions].map(async ([partition, here]) => {
          const ofFeeds = here.flatMap((id) => [keys.feed(id), keys.subscribers(id), keys.affiliations(id)]);
          const replies = await TAKE(redis, [keys.due(partition), ...ofFeeds], [holder, ms, ...here]);
          for (const [i, reply] of (replies as TakeReply[]).entries()) {
            const id = here[i];
            if (id) taken.set(id, takenFrom(id, reply));
          }
        }),
      );
      return taken;
    },

    known: async (feed) => knownFrom(await redis.hgetall(keys.seen(feed))),

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
      const ofFeed = [keys.feed(id), keys.seen(id), keys.items(id), keys.order(id), keys.born(id)];
      const around = [dueOf(id), keys.log(keys.partitionOf(id)), keys.subscribers(id), keys.affiliations(id)];
      const args = commitArguments(commit, await keepFor(commit), dayText(options.now()));
      return (await COMMIT(redis, [...ofFeed, ...around], args)) as 'committed' | 'conflict' | 'gone';
    },

    async postpone(id, ms) {
      await POSTPONE(redis, [keys.feed(id), dueOf(id)], [id, Math.round(ms)]);
    },

    async trustPush(id, until) {
      await SET_FACT(redis, [keys.feed(id)], ['pushed', until]);
    },

    async ping(feed, minMs) {
      const [delayMs, slot] = (await PING(redis, [keys.pinged(feed)], [minMs])) as [number, string];
      return { delayMs: Math.max(0, delayMs), slot };
    },

    async dueAt(feed) {
      const score = await redis.zscore(dueOf(feed), feed);
      return score === null ? undefined : Number(score);
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

type TakeReply = readonly ['taken', number, readonly string[]] | readonly [Exclude<Taken['kind'], 'taken'>];

function takenFrom(id: FeedId, reply: TakeReply): Taken {
  if (reply[0] !== 'taken') return { kind: reply[0] };
  const [kind, subscribers, flat] = reply;
  const feed = feedFrom(id, fieldsFrom(flat));
  return feed ? { kind, feed, subscribers } : { kind: 'unknown' };
}

function commitArguments(
  { feed, nextMs, facts = {}, outcome }: Commit,
  keep: number,
  today: string,
): (string | number)[] {
  const set: string[] = [];
  const clear: string[] = [];
  const field = (name: string, value: string | undefined) =>
    value === undefined ? clear.push(name) : set.push(name, value);

  let touched: readonly ItemId[] = [];
  let changes: readonly Change[] = [];
  let source = '{}';
  for (const [name, value] of Object.entries(facts)) {
    field(name, value === null ? undefined : factText(name, value));
  }
  if (outcome.kind === 'failed') {
    field('failures', String(feed.failures + 1));
    field('failure', JSON.stringify(outcome.failure));
    // What a server says about one address is no answer to another.
    if (facts.at === null) clear.push('etag', 'modified', 'body');
  } else if (outcome.kind !== 'pushed') {
    if (feed.failures > 0) {
      clear.push('failures', 'failure', 'failing', 'polled');
    }
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
    ...[touched.length, ...touched.map(fieldOf)],
    source,
    changes.length,
    ...changes.flatMap(({ item, seen, kind, entry }, i) => {
      // Of a long past, only what the node will hold is worth sending.
      const isPast = kind === 'noted' || (kind === 'stored' && feed.read === undefined && i < changes.length - keep);
      return [item, fieldOf(item), seenText(seen), kind, isPast ? '' : JSON.stringify(entry)];
    }),
  ];
}

/** Every feed has a rhythm: without the names of its parts it takes a third less. */
const factText = (name: string, value: unknown): string =>
  JSON.stringify(name === 'rhythm' ? partsOf(value as Rhythm) : value);

const partsOf = ({ gap, latest, hits, hours }: Rhythm) => [gap, latest, hits, hours];

function factFrom(name: string, json: string): unknown {
  const value = JSON.parse(json) as unknown;
  if (name !== 'rhythm') return value;
  const [gap, latest, hits, hours] = value as [number, number, number, string];
  return { gap, latest, hits, hours } satisfies Rhythm;
}

/** A feed from the fields of its hash; undefined when they are not those of a feed. */
export function feedFrom(id: FeedId, fields: Readonly<Record<string, string>>): Feed | undefined {
  const { url, version, added, polled, read, failures, failure, failing, paused, woken, source, etag, modified, body } =
    fields;
  if (!url) return undefined;
  const facts = FACTS.flatMap((name) => {
    const json = fields[name];
    return json === undefined ? [] : [[name, factFrom(name, json)] as const];
  });
  const { editThreshold } = JSON.parse(fields['config'] ?? '{}') as ConfigOverrides;
  return {
    id,
    url: url as FeedUrl,
    node: nodeIdOf(url as FeedUrl),
    version: Number(version),
    added: Number(added),
    failures: Number(failures ?? 0),
    validators: { ...(etag && { etag }), ...(modified && { lastModified: modified }) },
    ...(body && { body }),
    ...(fields['sealed'] && { sealed: fields['sealed'] }),
    // While all is well, it is looked at when it is read.
    ...((polled ?? read) && { polled: Number(polled ?? read) }),
    ...(read && { read: Number(read) }),
    ...(source && { source: JSON.parse(source) as Source }),
    ...(failure && { failure: JSON.parse(failure) as Failure }),
    ...(failing && { failing: Number(failing) }),
    ...(paused && { paused: Number(paused) }),
    ...(woken && { woken: Number(woken) }),
    ...(editThreshold !== undefined && { editThreshold }),
    ...(Object.fromEntries(facts) as Partial<Feed>),
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
