import xml, { type Element } from '@xmpp/xml';
import { Fault } from '../../lib/faults.js';
import type { PubSub } from '../../lib/pubsub.js';
import { serialise } from '../connection.js';
import { readForm } from '../forms.js';
import { problemIn } from '../payload.js';
import { set, type Xep } from '../router.js';
import { attr, flagOf, NS, optional } from '../stanza.js';

const OPTIONS_FORM = `${NS.pubsub}#publish-options`;

/** XEP-0060 7: what publishers do. */
export const pubsubPublish = (service: Pick<PubSub, 'publish' | 'retract'>): Xep => ({
  features: [
    ...['publish', 'publish-options', 'auto-create', 'retract-items', 'delete-items'],
    ...['publisher-affiliation', 'publish-only-affiliation'],
  ].map((name) => `${NS.pubsub}#${name}`),
  routes: [
    set(NS.pubsub, 'publish', async ({ from, action, payload }) => {
      const node = attr(action, 'node', 'node-required');
      const items = action.getChildren('item').map((item) => {
        const id = optional(item, 'id');
        return { payloads: item.getChildElements().map(payloadText), ...(id !== undefined && { id }) };
      });
      const preconditions = payload.getChild('publish-options');
      const options = preconditions && readForm(preconditions, OPTIONS_FORM, 'bad-request', true);
      if (options === 'cancel') throw new Fault('bad-request', 'Preconditions cannot be cancelled');
      const ids = await service.publish({ requester: from, node, items, ...(options && { options }) });
      return xml('pubsub', { xmlns: NS.pubsub }, xml('publish', { node }, ...ids.map((id) => xml('item', { id }))));
    }),
    set(NS.pubsub, 'retract', async ({ from, action }) => {
      const node = attr(action, 'node', 'node-required');
      const items = action.getChildren('item');
      if (items.length === 0) throw new Fault('item-required');
      if (items.some((item) => item.getChildElements().length > 0))
        throw new Fault('bad-request', 'An ItemID is enough');
      const ids = items.map((item) => attr(item, 'id', 'item-required'));
      await service.retract({ requester: from, node, ids, notify: flagOf(action, 'notify') });
    }),
  ],
});

/**
 * A payload as text that means the same wherever it stands: the namespaces that it has from around it are said on it,
 * and it parses on its own.
 * @throws Fault `invalid-payload`
 */
function payloadText(payload: Element): string {
  for (let { parent } = payload; parent; { parent } = parent) {
    for (const [name, value] of Object.entries(parent.attrs)) {
      const isNeeded = name === 'xmlns' || (name.startsWith('xmlns:') && usesPrefix(payload, name.slice(6)));
      if (isNeeded) payload.attrs[name] ??= value;
    }
  }
  const text = serialise(payload);
  const problem = problemIn(text);
  if (problem) throw new Fault('invalid-payload', `The payload is no XML: ${problem}`);
  return text;
}

const usesPrefix = (element: Element, prefix: string): boolean =>
  element.name.startsWith(`${prefix}:`) ||
  Object.keys(element.attrs).some((name) => name.startsWith(`${prefix}:`)) ||
  element.getChildElements().some((child) => usesPrefix(child, prefix));
