import type { Known, Seen } from '../changes.js';
import type { ItemId } from '../domain.js';

/*
 * What is remembered of a feed's entries is most of what an idle feed costs, so it is written short: the ItemID as 22
 * characters instead of 32, and the day, the digests of link and words and the hashes in one text.
 */

const HASH_CHARS = 8;

/** An ItemID as the field of a hash. */
export const fieldOf = (item: ItemId): string => Buffer.from(item, 'hex').toString('base64url');

/** Days since 1970 as three characters, until 2097. */
export const dayText = (ms: number): string => Math.floor(ms / 86_400_000).toString(36);

/** What is remembered of one entry, without the day on which it was last shown, which stands in front of it. */
export const seenText = ({ link, words, hashes }: Seen): string => `${link} ${words} ${hashes.join('')}`;

/** All that is remembered of a feed. */
export function knownFrom(fields: Readonly<Record<string, string>>): Known {
  const known = new Map<ItemId, Seen>();
  for (const [field, text] of Object.entries(fields)) {
    const [, link = '', words = '', joined = ''] = text.split(' ');
    const hashes: string[] = [];
    for (let at = 0; at < joined.length; at += HASH_CHARS) hashes.push(joined.slice(at, at + HASH_CHARS));
    known.set(Buffer.from(field, 'base64url').toString('hex') as ItemId, { link, words, hashes });
  }
  return known;
}
