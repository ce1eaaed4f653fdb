import type { PublishedItem } from '../lib/pubsub/reader.js';
import { cutText, plainText } from '../lib/text.js';

const TITLE_MOST = 200;
const SUMMARY_MOST = 300;

/**
 * An item as a text that chat clients can show: title, the beginning of what it says, link (XEP-0060 13.8). Undefined for a
 * payload that we do not understand.
 */
export function bodyOf(item: PublishedItem): string | undefined {
  if (!('entry' in item)) return undefined;
  const { title, summary, content, links } = item.entry;
  const words = (text: typeof title, most: number) =>
    text && cutText((text.type === 'text' ? text.value : plainText(text.value)).replace(/\s+/g, ' ').trim(), most);
  const head = words(title, TITLE_MOST);
  const rest = words(summary ?? (content && content.type !== 'src' ? content : undefined), SUMMARY_MOST);
  const link = links.find(({ rel }) => rel === 'alternate')?.href;
  return [head, rest === head ? undefined : rest, link].filter(Boolean).join('\n') || undefined;
}
