import { randomUUID } from 'node:crypto';
import xml, { type Element } from '@xmpp/xml';
import type { Subscription } from '../lib/domain.js';
import type { Held, Notice } from '../lib/pubsub/subscriber.js';
import { attributes, type Events } from './event.js';
import { bodyOf } from './body.js';
import { serialise } from './connection.js';
import { resultForm } from './forms.js';
import type { PublishedItem } from '../lib/pubsub/reader.js';
import { publishedLongBefore } from './old-find.js';
import { mannerOf } from './rooms.js';
import { NS } from './stanza.js';

/** FORM_TYPE of the requests that owners decide (XEP-0060 17.4.1). */
export const AUTHORIZATION = `${NS.pubsub}#subscribe_authorization`;

/** A subscription has changed without its subscriber (XEP-0060 8.8.4, 13.14); '' for a room, which is told nothing. */
export function subscriptionNotice(
  events: Events,
  notice: {
    readonly to: string;
    readonly subscription: Pick<Subscription, 'node' | 'jid' | 'subid' | 'room'>;
    readonly state: string;
  },
): string {
  const { to, subscription, state } = notice;
  const { node, jid, subid, room } = subscription;
  const type = room && to === jid ? 'groupchat' : 'headline';
  const event = `<subscription${attributes({ node, jid, subid, subscription: state })}/>`;
  return events.message({ to, type, id: randomUUID(), event });
}

/** The newest item for who has just come; it says how old it is (XEP-0060 6.1.7). */
function latestNotice(events: Events, { subscription, node, options }: Held, item: PublishedItem): string {
  const inner = options.payload ? events.item(item, node.id) : events.name(item);
  const { type, hasBody } = mannerOf(subscription, options);
  return events.message({
    to: subscription.jid,
    type,
    id: `last-${item.id}-${item.at}`,
    event: events.items(subscription.node, inner),
    body: hasBody ? bodyOf(item) : undefined,
    delay: ('entry' in item ? publishedLongBefore(item.entry, item.at, false) : undefined) ?? item.at,
  });
}

/** XEP-0060 8.6: an owner is asked whether somebody may subscribe. */
export function approvalRequest(domain: string, to: string, node: string, { jid, subid }: Subscription): Element {
  const form = resultForm(AUTHORIZATION, [
    { name: 'pubsub#subid', type: 'hidden', values: [subid] },
    { name: 'pubsub#node', type: 'text-single', label: 'Node', values: [node] },
    { name: 'pubsub#subscriber_jid', type: 'jid-single', label: 'Who wants to subscribe', values: [jid] },
    { name: 'pubsub#allow', type: 'boolean', label: 'Allow it?', values: ['0'] },
  ]);
  form.attrs['type'] = 'form';
  form.children.splice(0, 0, xml('title', {}, 'Somebody wants to subscribe'));
  return xml('message', { from: domain, to, id: randomUUID() }, form);
}

/** What somebody is told because somebody else did something, as a stanza. @throws Unprovable */
export function noticeStanza(events: Events, domain: string, notice: Notice): string {
  switch (notice.kind) {
    case 'subscription':
      return subscriptionNotice(events, notice);
    case 'affiliation': {
      const { to, node, affiliation } = notice;
      const list = xml('affiliations', { node }, xml('affiliation', { jid: to, affiliation }));
      const message = { from: domain, to, type: 'headline', id: randomUUID() };
      return serialise(xml('message', message, xml('pubsub', { xmlns: NS.pubsub }, list)));
    }
    case 'approval':
      return serialise(approvalRequest(domain, notice.to, notice.node, notice.subscription));
    case 'latest':
      return latestNotice(events, notice.held, notice.item);
  }
}
