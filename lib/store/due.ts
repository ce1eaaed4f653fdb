import type { NodeKey, SubscriptionKey } from '../domain.js';
import type { RedisClient } from '../redis.js';
import { NOW, script } from './script.js';

/** One subscription as a member of a set. Only the JID, which comes last, may have spaces. */
export const memberOf = ({ feed, subid, jid }: SubscriptionKey): string => `${feed} ${subid} ${jid}`;

export function keyFrom(member: string): SubscriptionKey {
  const [feed = '', subid = ''] = member.split(' ', 2);
  return { feed: feed as NodeKey, subid, jid: member.slice(feed.length + subid.length + 2) };
}

const DUE = script(`
  ${NOW}
  return redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])
`);

/**
 * Subscriptions whose time has come, by Redis's clock: at most `limit`.
 * @param sets sorted sets of members by time in ms since 1970
 */
export async function dueIn(redis: RedisClient, sets: readonly string[], limit: number): Promise<SubscriptionKey[]> {
  const members = await Promise.all(sets.map((set) => DUE(redis, [set], [limit]) as Promise<string[]>));
  return members.flat().slice(0, limit).map(keyFrom);
}
