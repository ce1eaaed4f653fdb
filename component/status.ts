import xml, { type Element } from '@xmpp/xml';
import type { FeedUrl } from '../lib/domain.js';
import type { FeedStatus } from '../lib/status.js';

/** The namespace of Superfeedr's notices, which bots know; `state`, `since`, `next` and `to` are ours. */
const STATUS = 'http://superfeedr.com/xmpp-pubsub-ext';

/** The state of a feed, to stand in a message beside <event/>. */
export function statusElement(url: FeedUrl, status: FeedStatus): Element {
  const time = (name: 'since' | 'next', ms: number | undefined) => ms !== undefined && { [name]: dateOf(ms) };
  return xml(
    'status',
    {
      xmlns: STATUS,
      feed: url,
      state: status.state,
      ...('since' in status && time('since', status.since)),
      ...('next' in status && time('next', status.next)),
      ...(status.state === 'moved' && { to: status.to }),
    },
    ...('failure' in status ? [xml('http', { code: String(status.failure.status ?? 0) }, status.failure.text)] : []),
  );
}

/** The same for people. */
export function statusBody(title: string, status: FeedStatus): string {
  switch (status.state) {
    case 'failing': {
      const { since, failure, next } = status;
      const again = next === undefined ? '' : `; next try at ${dateOf(next)}`;
      return `${title} cannot be read since ${dateOf(since)}: ${failure.text}${again}`;
    }
    case 'gone':
      return `${title} is gone: ${status.failure.text}`;
    case 'moved':
      return `${title} has moved to ${status.to}; you go on following it there.`;
    case 'well':
      return `${title} can be read again.`;
  }
}

/** XEP-0082. */
const dateOf = (ms: number): string => new Date(ms).toISOString();
