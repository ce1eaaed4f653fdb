import xml, { type Element } from '@xmpp/xml';
import { Fault } from '../../lib/faults.js';
import type { PubSub } from '../../lib/pubsub.js';
import type { Notice } from '../../lib/pubsub/subscriber.js';
import { readForm } from '../forms.js';
import { AUTHORIZATION } from '../notices.js';
import { set, type Reply, type Xep } from '../router.js';
import { attr, NS, optional } from '../stanza.js';

export interface PendingDeps {
  readonly service: Pick<PubSub, 'decide' | 'pending' | 'isAdmin' | 'affiliations'>;
  readonly tell: (notices: readonly Notice[]) => Promise<void>;
  readonly domain: string;
}

const GET_PENDING = `${NS.pubsub}#get-pending`;

/** XEP-0060 8.6, 8.7: owners hear who wants to subscribe, and decide; the list is an ad-hoc command (XEP-0050). */
export const pending = ({ service, tell, domain }: PendingDeps): Xep => ({
  features: [GET_PENDING, NS.commands],
  routes: [
    set(NS.commands, 'command', async ({ from, action }): Promise<Reply> => {
      const command = attr(action, 'node', 'bad-request');
      if (command !== GET_PENDING) throw new Fault('node-not-found', 'There is no such command');
      const step = optional(action, 'action') ?? 'execute';
      const session = optional(action, 'sessionid') ?? `pending-${Date.now()}`;
      const answer = (status: string, ...children: readonly Element[]): Element =>
        xml('command', { xmlns: NS.commands, node: GET_PENDING, sessionid: session, status }, ...children);
      if (step === 'cancel') return { payload: answer('canceled') };

      const waiting = await service.pending(from);
      if (waiting.length === 0 && !(await ownsAny(service, from))) throw new Fault('forbidden');
      const form = action.getChild('x', NS.data) && readForm(action, AUTHORIZATION, 'bad-request');
      if (!form || form === 'cancel') return { payload: answer('executing', actions(), nodesForm(waiting)) };
      const [name] = form.get('pubsub#node') ?? [];
      const chosen = waiting.find(({ node }) => node.name === name);
      if (!chosen) throw new Fault('node-not-found', 'Nobody waits on that node');
      const notices = chosen.waiting.map((subscription): Notice => ({
        kind: 'approval',
        to: from,
        node: chosen.node.name,
        subscription,
      }));
      return { payload: answer('completed'), afterwards: () => tell(notices) };
    }),
  ],
  async message(message) {
    const form = message.getChild('x', NS.data);
    if (optional(message, 'to') !== domain || !form || !isAuthorization(form)) return;
    try {
      const submitted = readForm(message, AUTHORIZATION, 'bad-request');
      if (submitted === 'cancel') return;
      const one = (name: string) => submitted.get(`pubsub#${name}`)?.[0];
      const [node, jid, subid, allow] = ['node', 'subscriber_jid', 'subid', 'allow'].map(one);
      if (!node || !jid || allow === undefined || !['0', '1', 'false', 'true'].includes(allow)) return;
      const allowed = allow === '1' || allow === 'true';
      await tell(
        await service.decide({
          ...{ requester: String(message.attrs['from']), node, jid, allow: allowed },
          ...(subid && { subid }),
        }),
      );
    } catch (error) {
      // A message is not answered: who may not decide, or decides what is decided, changes nothing.
      if (!(error instanceof Fault) || error.code === 'unavailable') throw error;
    }
  },
});

const ownsAny = async (service: PendingDeps['service'], jid: string): Promise<boolean> =>
  service.isAdmin(jid) || (await service.affiliations(jid)).entries.some(({ affiliation }) => affiliation === 'owner');

const isAuthorization = (form: Element): boolean =>
  form
    .getChildren('field')
    .some((field) => field.attrs['var'] === 'FORM_TYPE' && field.getChildText('value') === AUTHORIZATION);

const actions = (): Element => xml('actions', { execute: 'complete' }, xml('complete'));

function nodesForm(waiting: Awaited<ReturnType<PubSub['pending']>>): Element {
  return xml(
    'x',
    { xmlns: NS.data, type: 'form' },
    xml('title', {}, 'Who wants to subscribe'),
    xml('field', { var: 'FORM_TYPE', type: 'hidden' }, xml('value', {}, AUTHORIZATION)),
    xml(
      'field',
      { var: 'pubsub#node', type: 'list-single', label: 'Node' },
      ...waiting.map(({ node, waiting: { length } }) =>
        xml('option', { label: `${node.config.title || node.name} (${length})` }, xml('value', {}, node.name)),
      ),
    ),
  );
}
