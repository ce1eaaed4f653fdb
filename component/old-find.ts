import type { Entry } from '../lib/domain.js';

// An entry that says so is no news, however new it is to us.
const OLD_MS = 3_600_000;

/**
 * When an entry was published, where that was long before it was committed; what is told of it then says so (XEP-0203).
 * Of an edit only its own date counts: the entry itself is always old by then.
 * @param committed ms since 1970
 * @returns ms since 1970; undefined for what was committed as it came out, or does not say when that was
 */
export function publishedLongBefore(
  { published, updated }: Pick<Entry, 'published' | 'updated'>,
  committed: number,
  isEdit: boolean,
): number | undefined {
  const date = !isEdit ? (published ?? updated) : updated === published ? undefined : updated;
  const at = date === undefined ? NaN : Date.parse(date);
  return committed - at > OLD_MS ? at : undefined;
}
