import type { Content, FeedId, Item, ItemId, Page, PageAsk } from '../domain.js';
import type { RedisClient } from '../redis.js';
import type { Keys } from './keys.js';
import { recordPreamble } from './log.js';
import { cursorOf, span } from './pages.js';
import { NOW, script } from './script.js';

/** By when an item was first published, or by when it last was (XEP-0413). */
export type ItemOrder = 'creation' | 'modification';

/** What a node holds for retrieval. Of a feed's node, the commit writes it. */
export interface ItemStore {
  /** A part of what the node holds, oldest first; undefined when it does not hold the item that is the cursor. */
  page(node: FeedId, ask: PageAsk, by?: ItemOrder): Promise<Page<Item> | undefined>;
  /** Those of these items that the node holds, in the order asked for. */
  byId(node: FeedId, ids: readonly ItemId[]): Promise<Item[]>;
  /**
   * Publishes on a node that has no feed: the items, where items are kept, and a record for each, in one step; an item
   * with the same id is replaced and becomes the newest; what is more than `keep` goes, the oldest first, and with
   * `announce` the log gets a `retracted` record for it behind the others. False when there is no such node.
   */
  publish(
    node: FeedId,
    items: readonly { readonly id: ItemId; readonly payload: string; readonly publisher: string }[],
    how: { readonly persist: boolean; readonly keep: number; readonly announce: boolean },
  ): Promise<boolean>;
  /** Takes items away: those that were there. With `announce`, the log gets one `retracted` record for them. */
  retract(node: FeedId, ids: readonly ItemId[], announce: boolean): Promise<ItemId[]>;
  /** The same for all items that were committed more than `ms` ago: how many. At most RETRACT_AT_ONCE. */
  retractOlder(node: FeedId, ms: number, announce: boolean): Promise<number>;
  /** Takes all items away; with `announce`, the log gets a `purged` record. */
  purge(node: FeedId, announce: boolean): Promise<void>;
}

// They are told in one stanza, and an ItemID may be long.
export const RETRACT_AT_ONCE = 100;
// Lua hands over only so many arguments.
const TRIM_AT_ONCE = 1_000;

/**
 * Lua: `hold` makes an item the newest of its node, `drop` takes one away, `trim` takes away what is more than `keep`,
 * the oldest first. An item's JSON begins with when it was committed.
 */
export const itemsPreamble = `
  local function hold(feed, items, order, born, item, json)
    local before = redis.call('ZSCORE', order, item)
    if before then redis.call('ZADD', born, 'NX', before, item) end
    redis.call('HSET', items, item, json)
    redis.call('ZADD', order, redis.call('HINCRBY', feed, 'sequence', 1), item)
  end
  local function drop(items, order, born, item)
    redis.call('ZREM', order, item)
    redis.call('ZREM', born, item)
    return redis.call('HDEL', items, item) == 1
  end
  local function trim(items, order, born, keep)
    local surplus = redis.call('ZCARD', order) - keep
    if surplus <= 0 then return {} end
    local oldest = redis.call('ZRANGE', order, 0, surplus - 1)
    for first = 1, surplus, ${TRIM_AT_ONCE} do
      local last = math.min(first + ${TRIM_AT_ONCE - 1}, surplus)
      redis.call('HDEL', items, unpack(oldest, first, last))
      redis.call('ZREM', born, unpack(oldest, first, last))
    end
    redis.call('ZREMRANGEBYRANK', order, 0, surplus - 1)
    return oldest
  end
`;

const PUBLISH = script(`
  ${itemsPreamble}
  ${recordPreamble}
  local feed, items, order, born, log = unpack(KEYS)
  local id, keep, announce = unpack(ARGV)
  if redis.call('HEXISTS', feed, 'name') == 0 then return 0 end
  ${NOW}
  local ms = string.format('%.0f', now)
  for i = 4, #ARGV, 2 do
    local item, content = ARGV[i], ARGV[i + 1]
    if keep ~= '' then hold(feed, items, order, born, item, '{"at":' .. ms .. ',' .. string.sub(content, 2)) end
    record(log, 'feed', id, 'kind', 'published', 'item', item, 'content', content)
  end
  local gone = keep == '' and {} or trim(items, order, born, tonumber(keep))
  if announce == '1' and #gone > 0 then
    record(log, 'feed', id, 'kind', 'retracted', 'items', cjson.encode(gone))
  end
  return 1
`);

const RETRACT = script(`
  ${itemsPreamble}
  ${recordPreamble}
  local items, order, born, log = unpack(KEYS)
  local gone = {}
  for i = 3, #ARGV do
    if drop(items, order, born, ARGV[i]) then gone[#gone + 1] = ARGV[i] end
  end
  if ARGV[2] == '1' and #gone > 0 then
    record(log, 'feed', ARGV[1], 'kind', 'retracted', 'items', cjson.encode(gone))
  end
  return gone
`);

const RETRACT_OLDER = script(`
  ${itemsPreamble}
  ${recordPreamble}
  local items, order, born, log = unpack(KEYS)
  ${NOW}
  local oldest = now - tonumber(ARGV[3])
  local gone = {}
  for _, item in ipairs(redis.call('ZRANGE', order, 0, ${RETRACT_AT_ONCE - 1})) do
    local at = tonumber(string.match(redis.call('HGET', items, item), '^{"at":(%d+)'))
    if at >= oldest then break end
    drop(items, order, born, item)
    gone[#gone + 1] = item
  end
  if ARGV[2] == '1' and #gone > 0 then
    record(log, 'feed', ARGV[1], 'kind', 'retracted', 'items', cjson.encode(gone))
  end
  return #gone
`);

const PURGE = script(`
  ${recordPreamble}
  local feed, items, order, born, log = unpack(KEYS)
  if redis.call('EXISTS', feed) == 0 then return 0 end
  redis.call('DEL', items, order, born)
  if ARGV[2] == '1' then record(log, 'feed', ARGV[1], 'kind', 'purged') end
  return 1
`);

export function redisItems(redis: RedisClient, keys: Keys): ItemStore {
  const touched = (node: FeedId) => [
    ...[keys.items(node), keys.order(node), keys.born(node)],
    keys.log(keys.partitionOf(node)),
  ];

  async function byId(node: FeedId, ids: readonly ItemId[]): Promise<Item[]> {
    if (ids.length === 0) return [];
    const found = await redis.hmget(keys.items(node), ...ids);
    return ids.flatMap((id, i) => {
      const text = found[i];
      return text ? [{ id, ...(JSON.parse(text) as { at: number } & Content) }] : [];
    });
  }

  async function byModification(node: FeedId, ask: PageAsk): Promise<Page<ItemId> | undefined> {
    const order = keys.order(node);
    const cursor = cursorOf(ask);
    const [count, place] = await Promise.all([
      redis.zcard(order),
      cursor === undefined ? undefined : redis.zrank(order, cursor),
    ]);
    if (place === null) return undefined;
    const { start, stop } = span(count, place, ask);
    const ids = stop > start ? await redis.zrange(order, start, stop - 1) : [];
    return { entries: ids as ItemId[], index: start, count };
  }

  // A node holds few enough items that all their ids can be put in order here.
  async function byCreation(node: FeedId, ask: PageAsk): Promise<Page<ItemId> | undefined> {
    const scores = async (key: string) => scoresFrom(await redis.zrange(key, 0, -1, 'WITHSCORES'));
    const [order, born] = await Promise.all([scores(keys.order(node)), scores(keys.born(node))]);
    const first = [...order].map(([id, score]) => [id, born.get(id) ?? score] as const);
    const ids = first.sort(([, a], [, b]) => a - b).map(([id]) => id);
    const cursor = cursorOf(ask);
    const place = cursor === undefined ? undefined : ids.indexOf(cursor as ItemId);
    if (place === -1) return undefined;
    const { start, stop } = span(ids.length, place, ask);
    return { entries: ids.slice(start, Math.max(start, stop)), index: start, count: ids.length };
  }

  return {
    byId,

    async page(node, ask, by = 'modification') {
      const page = await (by === 'creation' ? byCreation : byModification)(node, ask);
      return page && { ...page, entries: await byId(node, page.entries) };
    },

    async publish(node, published, { persist, keep, announce }) {
      const contents = published.flatMap(({ id, payload, publisher }) => [id, JSON.stringify({ payload, publisher })]);
      const args = [node, persist ? keep : '', announce ? 1 : 0, ...contents];
      return (await PUBLISH(redis, [keys.feed(node), ...touched(node)], args)) === 1;
    },

    async retract(node, ids, announce) {
      return (await RETRACT(redis, touched(node), [node, announce ? 1 : 0, ...ids])) as ItemId[];
    },

    retractOlder: async (node, ms, announce) =>
      Number(await RETRACT_OLDER(redis, touched(node), [node, announce ? 1 : 0, ms])),

    async purge(node, announce) {
      await PURGE(redis, [keys.feed(node), ...touched(node)], [node, announce ? 1 : 0]);
    },
  };
}

function scoresFrom(pairs: readonly string[]): Map<ItemId, number> {
  const scores = new Map<ItemId, number>();
  for (let i = 0; i + 1 < pairs.length; i += 2) scores.set(pairs[i] as ItemId, Number(pairs[i + 1]));
  return scores;
}
