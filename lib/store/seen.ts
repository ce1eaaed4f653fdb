import type { Known, Seen } from '../changes.js';
import type { ItemId } from '../domain.js';

/*
 * What is remembered of a feed's entries is much of what an idle feed costs, so it is written short: the ItemID as 22
 * characters instead of 32, and the day, the digests of link and words and the hashes in one text, side by side.
 */

/** The day stands in front. */
export const DAY_CHARS = 3;
const DIGEST_CHARS = 6;
const HASH_CHARS = 8;
const NO_LINK = '.'.repeat(DIGEST_CHARS);

/** An ItemID as the field of a hash. */
export const fieldOf = (item: ItemId): string => Buffer.from(item, 'hex').toString('base64url');

/** Days since 1970, until 2097. */
export const dayText = (ms: number): string => Math.floor(ms / 86_400_000).toString(36);

/** What is remembered of one entry, without the day on which it was last shown. */
export const seenText = ({ link, words, hashes }: Seen): string => `${link || NO_LINK}${words}${hashes.join('')}`;

/** All that is remembered of a feed. */
export function knownFrom(fields: Readonly<Record<string, string>>): Known {
  const known = new Map<ItemId, Seen>();
  for (const [field, text] of Object.entries(fields)) {
    const [link, words, hashes] = [DAY_CHARS, DAY_CHARS + DIGEST_CHARS, DAY_CHARS + 2 * DIGEST_CHARS];
    known.set(Buffer.from(field, 'base64url').toString('hex') as ItemId, {
      link: text.slice(link, words).replace(NO_LINK, ''),
      words: text.slice(words, hashes),
      hashes: text.slice(hashes).match(HASHES) ?? [],
    });
  }
  return known;
}

const HASHES = new RegExp(`.{${HASH_CHARS}}`, 'g');
