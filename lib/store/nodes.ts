import { randomUUID } from 'node:crypto';
import {
  FIREHOSE,
  ownNodeIdOf,
  type Affiliation,
  type Feed,
  type FeedId,
  type Firehose,
  type NodeKey,
  type Page,
  type PageAsk,
} from '../domain.js';
import type { ConfigOverrides } from '../node-config.js';
import type { RedisClient } from '../redis.js';
import { feedFrom, wakePreamble } from './feeds.js';
import { itemsPreamble } from './items.js';
import type { Keys } from './keys.js';
import { recordPreamble } from './log.js';
import { cursorOf, span } from './pages.js';
import { NOW, script } from './script.js';

/** A node as it is stored. */
export type NodeRecord =
  | { readonly kind: 'feed'; readonly id: FeedId; readonly feed: Feed; readonly config: ConfigOverrides }
  | {
      readonly kind: 'own';
      readonly id: FeedId;
      readonly name: string;
      /** In ms since 1970. */
      readonly created: number;
      /** Bare JID. */
      readonly creator: string;
      readonly config: ConfigOverrides;
    }
  | { readonly kind: 'firehose'; readonly id: Firehose; readonly config: ConfigOverrides };

/** Where a node that is no longer there has gone: to another node of ours, or to any address (RFC 5122). */
export type Successor = { readonly node: FeedId } | { readonly uri: string };

/** Feeds' nodes without a type of their own have the one that `usual` tells; other nodes without one have ''. */
export interface TypeFilter {
  readonly types: readonly string[];
  /** Whether these types are left out, instead of all others. */
  readonly isExcluding: boolean;
  readonly usual: string;
}

/** Whether a node of this type is let through. */
export const hasType = ({ types, isExcluding }: TypeFilter, type: string): boolean =>
  types.includes(type) !== isExcluding;

/** The nodes: what there is, how each is configured, and who stands how to it. */
export interface NodeStore {
  /** The firehose is always there. */
  get(id: NodeKey): Promise<NodeRecord | undefined>;
  /** Makes a node without a feed. False when the name is taken. */
  create(name: string, creator: string, config: ConfigOverrides): Promise<boolean>;
  /**
   * Replaces what was configured; what is more than `maxItems` goes. With `announce`, the log gets a `configured`
   * record; the firehose, which has no log, announces nothing. With `sealed`, what the vault keeps for a feed is this
   * from now on, nothing where it is '', and the feed is due at once. False when there is no such node.
   */
  configure(id: NodeKey, config: ConfigOverrides, announce: boolean, sealed?: string): Promise<boolean>;
  /**
   * Takes the node away in one step, with its items, schedule, affiliations and subscriptions; the log gets a `deleted`
   * record, with whose audience the subscriptions are put aside until it is delivered. False when there is no such node,
   * and with `unfollowed` when somebody is subscribed to it.
   */
  delete(
    id: FeedId,
    how: { readonly announce: boolean; readonly successor?: Successor; readonly unfollowed?: true },
  ): Promise<boolean>;
  /** Where a node has gone, until one with its id is there again. */
  successor(id: FeedId): Promise<Successor | undefined>;
  /**
   * The directory, in an order that stays, without the firehose and without nodes that only members may see
   * (`accessModel` whitelist, and feeds with something `sealed`). The cursor is a FeedId; undefined when it has not the shape of one.
   */
  page(ask: PageAsk, filter?: TypeFilter): Promise<Page<NodeRecord> | undefined>;
  /** Sets an affiliation, or with undefined ends it. `jid` is bare. Of a node that is not there, there is none. */
  affiliate(id: NodeKey, jid: string, affiliation: Affiliation | undefined): Promise<void>;
  affiliation(id: NodeKey, jid: string): Promise<Affiliation | undefined>;
  /** Everybody who has one: bare JID → affiliation, ordered by JID. */
  affiliations(id: NodeKey): Promise<ReadonlyMap<string, Affiliation>>;
  affiliationsOf(jid: string): Promise<readonly { readonly id: NodeKey; readonly affiliation: Affiliation }[]>;
  /** Nodes with `itemExpire` whose items are to be looked through now; each comes again in a minute, or sooner. */
  expiring(limit: number): Promise<readonly { readonly id: FeedId; readonly seconds: number }[]>;
}

// Lua: writes what is configured, and what else has to be known without reading it. The arguments that `settle` takes
// are those of settings().
const SETTLE = `
  local feed, directory, unlisted, types, expiring, lifetimes = unpack(KEYS)
  local id, config, access, keep, seconds, typed, kind = unpack(ARGV)
  ${NOW}
  local function settle()
    redis.call('HSET', feed, 'config', config)
    if keep == '' then redis.call('HDEL', feed, 'keep') else redis.call('HSET', feed, 'keep', keep) end
    local is_listed = access ~= 'whitelist' and redis.call('HEXISTS', feed, 'sealed') == 0
    redis.call('ZREM', is_listed and unlisted or directory, id)
    redis.call('ZADD', is_listed and directory or unlisted, 0, id)
    local is_typed = typed == '1' or redis.call('HEXISTS', feed, 'name') == 1
    if is_listed and is_typed then redis.call('HSET', types, id, kind) else redis.call('HDEL', types, id) end
    if seconds == '' then
      redis.call('ZREM', expiring, id)
      redis.call('HDEL', lifetimes, id)
    else
      redis.call('ZADD', expiring, now, id)
      redis.call('HSET', lifetimes, id, seconds)
    end
  end
`;

const CREATE = script(`
  ${SETTLE}
  if redis.call('EXISTS', feed) == 1 then return 0 end
  redis.call('HSET', feed, 'name', ARGV[8], 'added', now, 'creator', ARGV[9])
  redis.call('HDEL', KEYS[7], id)
  settle()
  return 1
`);

const CONFIGURE = script(`
  ${SETTLE}
  ${itemsPreamble}
  ${recordPreamble}
  ${wakePreamble}
  local log, items, order, born, due = unpack(KEYS, 7)
  if redis.call('EXISTS', feed) == 0 then return 0 end
  local sealed = ARGV[9]
  if sealed then
    if sealed == '' then redis.call('HDEL', feed, 'sealed') else redis.call('HSET', feed, 'sealed', sealed) end
    -- A look that is under way knows only the former credentials: what it finds is refused,
    -- and what a server says about them is no answer to the new ones.
    redis.call('HINCRBY', feed, 'version', 1)
    redis.call('HDEL', feed, 'etag', 'modified', 'body')
    redis.call('ZADD', due, 'XX', now, id)
  end
  settle()
  wake(feed, due, id)
  if keep ~= '' then trim(items, order, born, tonumber(keep)) end
  if ARGV[8] == '1' then record(log, 'feed', id, 'kind', 'configured') end
  return 1
`);

// Answers with everybody who was affiliated, so that their side can be cleaned.
const DELETE = script(`
  ${recordPreamble}
  local feed, seen, items, order, born, pinged, picture, affiliations, subscribers, departed = unpack(KEYS)
  local directory, unlisted, types, expiring, lifetimes, due, moved, log = unpack(KEYS, 11)
  local id, audience, announce, unfollowed, successor = unpack(ARGV)
  if redis.call('EXISTS', feed) == 0 then return false end
  if unfollowed == '1' and redis.call('EXISTS', subscribers) == 1 then return false end
  local people = redis.call('HKEYS', affiliations)
  redis.call('DEL', feed, seen, items, order, born, pinged, picture, affiliations)
  for _, set in ipairs({directory, unlisted, expiring, due}) do redis.call('ZREM', set, id) end
  for _, hash in ipairs({types, lifetimes}) do redis.call('HDEL', hash, id) end
  if redis.call('EXISTS', subscribers) == 1 then redis.call('RENAME', subscribers, departed) end
  local fields = {'feed', id, 'kind', 'deleted', 'audience', audience, 'announce', announce}
  if successor then
    redis.call('HSET', moved, id, successor)
    fields[#fields + 1] = 'successor'
    fields[#fields + 1] = successor
  end
  record(log, unpack(fields))
  return people
`);

const AFFILIATE = script(`
  ${wakePreamble}
  local affiliations, feed, due = unpack(KEYS)
  if feed and redis.call('EXISTS', feed) == 0 then return 0 end
  redis.call('HSET', affiliations, ARGV[1], ARGV[2])
  if feed then wake(feed, due, ARGV[3]) end
  return 1
`);

// Each comes again before what it holds can be late by much: after half of its items' time, from a second to a minute.
const EXPIRING = script(`
  local expiring, lifetimes = unpack(KEYS)
  ${NOW}
  local taken = {}
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', expiring, '-inf', now, 'LIMIT', 0, ARGV[1])) do
    local seconds = redis.call('HGET', lifetimes, id)
    redis.call('ZADD', expiring, now + math.max(1000, math.min(60000, seconds * 500)), id)
    taken[#taken + 1] = id
    taken[#taken + 1] = seconds
  end
  return taken
`);

/** What one partition contributes to a directory, in order. */
interface Shelf {
  readonly count: number;
  /** How many of it come before this id; with `andIt`, the id itself counts. */
  before(id: string, andIt: boolean): Promise<number>;
  slice(start: number, stop: number): Promise<FeedId[]>;
}

const FEED_ID = /^[a-z2-7]{10}$/;

export function redisNodes(redis: RedisClient, keys: Keys): NodeStore {
  const partitions = Array.from({ length: keys.partitions }, (_, partition) => partition);
  let turn = 0;

  /** Where a partition keeps what is configured of its nodes, beside the nodes themselves; SETTLE's keys but the first. */
  const ledgers = (partition: number): string[] => [
    ...[keys.directory(partition), keys.unlisted(partition), keys.types(partition)],
    ...[keys.expiring(partition), keys.lifetimes(partition)],
  ];

  async function get(id: NodeKey): Promise<NodeRecord | undefined> {
    if (id === FIREHOSE)
      return { kind: 'firehose', id: FIREHOSE, config: configFrom(await redis.get(keys.firehoseConfig)) };
    const fields = await redis.hgetall(keys.feed(id));
    const config = configFrom(fields['config']);
    const feed = feedFrom(id, fields);
    if (feed) return { kind: 'feed', id, feed, config };
    const { name, added, creator } = fields;
    if (name === undefined || creator === undefined) return undefined;
    return { kind: 'own', id, name, created: Number(added), creator, config };
  }

  /** A partition's directory, without some of its nodes, which must be few. */
  async function shelfWithout(partition: number, left: readonly string[]): Promise<Shelf> {
    const directory = keys.directory(partition);
    const leftOut = new Set(left);
    const [count, ranks] = await Promise.all([
      redis.zcard(directory),
      Promise.all(left.map((id) => redis.zrank(directory, id))),
    ]);
    const gaps = ranks.filter((rank) => rank !== null).sort((a, b) => a - b);
    const rankOf = (place: number) => gaps.reduce((rank, gap) => (gap <= rank ? rank + 1 : rank), place);
    return {
      count: count - gaps.length,
      async before(id, andIt) {
        const rank = await redis.zlexcount(directory, '-', `${andIt ? '[' : '('}${id}`);
        return rank - gaps.filter((gap) => gap < rank).length;
      },
      async slice(start, stop) {
        const ids = await redis.zrange(directory, rankOf(start), rankOf(stop - 1));
        return ids.filter((id) => !leftOut.has(id)) as FeedId[];
      },
    };
  }

  async function shelf(partition: number, filter: TypeFilter | undefined): Promise<Shelf> {
    if (!filter) return shelfWithout(partition, []);
    const typed = Object.entries(await redis.hgetall(keys.types(partition)));
    const ofType = (isWanted: boolean) =>
      typed.filter(([, type]) => hasType(filter, type) === isWanted).map(([id]) => id);
    return hasType(filter, filter.usual) ? shelfWithout(partition, ofType(false)) : shelfOf(ofType(true));
  }

  return {
    get,

    async create(name, creator, config) {
      const id = ownNodeIdOf(name);
      const partition = keys.partitionOf(id);
      const touched = [keys.feed(id), ...ledgers(partition), keys.moved(partition)];
      return (await CREATE(redis, touched, [...settings(id, config), name, creator])) === 1;
    },

    async configure(id, config, announce, sealed) {
      if (id === FIREHOSE) {
        await redis.set(keys.firehoseConfig, JSON.stringify(config));
        return true;
      }
      const partition = keys.partitionOf(id);
      const ofNode = [keys.items(id), keys.order(id), keys.born(id)];
      const touched = [keys.feed(id), ...ledgers(partition), keys.log(partition), ...ofNode, keys.due(partition)];
      const args = [...settings(id, config), announce ? 1 : 0, ...(sealed === undefined ? [] : [sealed])];
      return (await CONFIGURE(redis, touched, args)) === 1;
    },

    async delete(id, { announce, successor, unfollowed }) {
      const audience = randomUUID();
      const partition = keys.partitionOf(id);
      const touched = [
        ...[keys.feed(id), keys.seen(id), keys.items(id), keys.order(id), keys.born(id)],
        ...[keys.pinged(id), keys.picture(id), keys.affiliations(id)],
        ...[keys.subscribers(id), keys.departed(id, audience)],
        ...[...ledgers(partition), keys.due(partition), keys.moved(partition), keys.log(partition)],
      ];
      const gone = successor ? [JSON.stringify(successor)] : [];
      const args = [id, audience, announce ? 1 : 0, unfollowed ? 1 : 0, ...gone];
      const people = (await DELETE(redis, touched, args)) as string[] | null;
      await Promise.all((people ?? []).map((jid) => redis.srem(keys.affiliated(jid), id)));
      return people !== null;
    },

    async successor(id) {
      const found = await redis.hget(keys.moved(keys.partitionOf(id)), id);
      return found === null ? undefined : (JSON.parse(found) as Successor);
    },

    async page(ask, filter) {
      const cursor = cursorOf(ask);
      if (cursor !== undefined && !FEED_ID.test(cursor)) return undefined;
      const shelves = await Promise.all(partitions.map((partition) => shelf(partition, filter)));
      const starts: number[] = [];
      let count = 0;
      for (const one of shelves) {
        starts.push(count);
        count += one.count;
      }

      // Where the cursor is, or would be: it may have gone since the page that it is from.
      async function placeOf(id: string): Promise<number> {
        const partition = keys.partitionOf(id as FeedId);
        const isAfter = ask.before === undefined;
        const earlier = await shelves[partition]?.before(id, isAfter);
        return (starts[partition] ?? 0) + (earlier ?? 0) - (isAfter ? 1 : 0);
      }

      const { start, stop } = span(count, cursor === undefined ? undefined : await placeOf(cursor), ask);
      const parts = shelves.map(async (one, i) => {
        const offset = starts[i] ?? 0;
        const [from, to] = [Math.max(0, start - offset), Math.min(one.count, stop - offset)];
        return to > from ? one.slice(from, to) : [];
      });
      const records = await Promise.all((await Promise.all(parts)).flat().map(get));
      return { entries: records.filter((record) => record !== undefined), index: start, count };
    },

    // The node's side decides; the person's side is an index to it, written first and removed last.
    async affiliate(id, jid, affiliation) {
      const index = keys.affiliated(jid);
      if (affiliation) {
        await redis.sadd(index, id);
        const ofNode = id === FIREHOSE ? [] : [keys.feed(id), keys.due(keys.partitionOf(id))];
        const touched = [keys.affiliations(id), ...ofNode];
        if ((await AFFILIATE(redis, touched, [jid, affiliation, id])) === 1) return;
      } else {
        await redis.hdel(keys.affiliations(id), jid);
      }
      await redis.srem(index, id);
    },

    affiliation: async (id, jid) =>
      ((await redis.hget(keys.affiliations(id), jid)) ?? undefined) as Affiliation | undefined,

    async affiliations(id) {
      const all = Object.entries(await redis.hgetall(keys.affiliations(id))) as [string, Affiliation][];
      return new Map(all.sort(([a], [b]) => (a < b ? -1 : 1)));
    },

    async affiliationsOf(jid) {
      const ids = (await redis.smembers(keys.affiliated(jid))).sort() as NodeKey[];
      const found = await Promise.all(ids.map((id) => redis.hget(keys.affiliations(id), jid)));
      return ids.flatMap((id, i) => (found[i] ? [{ id, affiliation: found[i] as Affiliation }] : []));
    },

    async expiring(limit) {
      const taken: { id: FeedId; seconds: number }[] = [];
      // Each time another partition is first, so that none eats the limit always.
      turn += 1;
      for (let i = 0; i < keys.partitions && taken.length < limit; i++) {
        const partition = (turn + i) % keys.partitions;
        const touched = [keys.expiring(partition), keys.lifetimes(partition)];
        const flat = (await EXPIRING(redis, touched, [limit - taken.length])) as string[];
        for (let j = 0; j + 1 < flat.length; j += 2)
          taken.push({ id: flat[j] as FeedId, seconds: Number(flat[j + 1]) });
      }
      return taken;
    },
  };
}

/** The arguments of SETTLE: the configuration, and what of it other scripts need; '' for what it does not say. */
function settings(id: FeedId, config: ConfigOverrides): (string | number)[] {
  const { accessModel = '', maxItems = '', itemExpire = '', type } = config;
  return [id, JSON.stringify(config), accessModel, maxItems, itemExpire, type === undefined ? 0 : 1, type ?? ''];
}

const configFrom = (json: string | null | undefined): ConfigOverrides =>
  json ? (JSON.parse(json) as ConfigOverrides) : {};

/** A list that is at hand. */
function shelfOf(all: readonly string[]): Shelf {
  const ids = [...all].sort();
  return {
    count: ids.length,
    before: (id, andIt) => Promise.resolve(ids.filter((one) => one < id || (andIt && one === id)).length),
    slice: (start, stop) => Promise.resolve(ids.slice(start, stop) as FeedId[]),
  };
}
