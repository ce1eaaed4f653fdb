import xml, { type Element } from '@xmpp/xml';
import { FIREHOSE, type FeedId, type Firehose, type Subscription } from '../lib/domain.js';
import type { PublishedItem } from '../lib/pubsub.js';
import { payload } from './payload.js';
import { escapeAttribute, NS } from './stanza.js';

// What a stanza is around its payload: addresses, node name, ids.
const ENVELOPE_BYTES = 4_096;

/**
 * Items as they go out, in results and in notifications; one rendering for all subscribers of a node.
 * @param domain our own address, which all events come from (XEP-0060 7.1.2)
 * @param maxBytes of a whole stanza, in UTF-8
 */
export function createEvents(domain: string, maxBytes: number) {
  const proven = (published: PublishedItem, node: FeedId | Firehose) =>
    payload(published, node === FIREHOSE, maxBytes - ENVELOPE_BYTES);

  return {
    /** <item/> with its Atom entry; on the firehose the entry names its feed in atom:source. @throws Unprovable */
    item: (published: PublishedItem, node: FeedId | Firehose): Element =>
      xml('item', { id: published.id }, proven(published, node).element),
    /** The same as text. @throws Unprovable */
    render: (published: PublishedItem, node: FeedId | Firehose): string =>
      `<item id='${escapeAttribute(published.id)}'>${proven(published, node).text}</item>`,
    /** The notification for one subscriber around a rendered item: one item per message, the node as they named it. */
    address({ jid, node }: Pick<Subscription, 'jid' | 'node'>, stanzaId: string, rendered: string): string {
      const [from, to, name] = [domain, jid, node].map(escapeAttribute);
      return (
        `<message from='${from ?? ''}' to='${to ?? ''}' type='headline' id='${stanzaId}'>` +
        `<event xmlns='${NS.pubsubEvent}'><items node='${name ?? ''}'>${rendered}</items></event></message>`
      );
    },
  };
}
