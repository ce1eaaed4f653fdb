import xml, { type Element } from '@xmpp/xml';
import type { FeedUrl } from '../lib/domain.js';
import type { FeedStatus } from '../lib/status.js';

/** The namespace of Superfeedr's notices, which bots know; `state`, `since` and `to` are ours. */
const STATUS = 'http://superfeedr.com/xmpp-pubsub-ext';

/** The state of a feed, to stand in a message beside <event/>. */
export function statusElement(url: FeedUrl, status: FeedStatus): Element {
  const since = 'since' in status ? new Date(status.since).toISOString() : undefined;
  return xml(
    'status',
    {
      xmlns: STATUS,
      feed: url,
      state: status.state,
      ...(since && { since }),
      ...(status.state === 'moved' && { to: status.to }),
    },
    ...('failure' in status ? [xml('http', { code: String(status.failure.status ?? 0) }, status.failure.text)] : []),
  );
}

/** The same for people. */
export function statusBody(title: string, status: FeedStatus): string {
  switch (status.state) {
    case 'failing':
      return `${title} cannot be read since ${new Date(status.since).toISOString()}: ${status.failure.text}`;
    case 'gone':
      return `${title} is gone: ${status.failure.text}`;
    case 'moved':
      return `${title} has moved to ${status.to}; you go on following it there.`;
    case 'well':
      return `${title} can be read again.`;
  }
}
