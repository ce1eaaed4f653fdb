import xml, { type Element } from '@xmpp/xml';
import { CREDENTIAL_FIELDS } from '../../lib/credentials.js';
import { Fault } from '../../lib/faults.js';
import type { Fields } from '../../lib/fields.js';
import { configFields } from '../../lib/node-config.js';
import type { PubSub } from '../../lib/pubsub.js';
import type { Configurable } from '../../lib/pubsub/owner.js';
import type { Notice } from '../../lib/pubsub/subscriber.js';
import { formElement, readForm } from '../forms.js';
import { get, set, type Reply, type Request, type Xep } from '../router.js';
import { readPage } from '../rsm.js';
import { attr, NS, optional } from '../stanza.js';
import { setOf, subscriptionElement } from '../lists.js';
import { subscriptionCursor } from '../../lib/store/subscriptions.js';

export interface PubSubOwnerDeps {
  readonly service: Pick<
    PubSub,
    | 'createNode'
    | 'configuration'
    | 'defaultNode'
    | 'configure'
    | 'deleteNode'
    | 'purge'
    | 'subscribers'
    | 'changeSubscriptions'
    | 'affiliated'
    | 'changeAffiliations'
  >;
  readonly tell: (notices: readonly Notice[]) => Promise<void>;
}

export const CONFIG_FORM = `${NS.pubsub}#node_config`;
const LIST_PAGE = 500;

/** XEP-0060 8: what owners do. */
export const pubsubOwner = ({ service, tell }: PubSubOwnerDeps): Xep => ({
  features: [
    ...['create-nodes', 'create-and-configure', 'instant-nodes', 'config-node', 'config-node-max', 'retrieve-default'],
    ...['delete-nodes', 'purge-nodes', 'manage-subscriptions', 'modify-affiliations'],
    ...['member-affiliation', 'outcast-affiliation'],
  ].map((name) => `${NS.pubsub}#${name}`),
  routes: [
    set(NS.pubsub, 'create', async ({ from, action, payload }) => {
      const node = optional(action, 'node');
      onlyLeaf(action);
      const configure = configureWith(payload, action);
      // XEP-0060 8.1.3: one that is empty asks for nothing.
      const config = configure?.getChild('x', NS.data) && readForm(configure, CONFIG_FORM, 'bad-request');
      const name = await service.createNode({
        requester: from,
        ...(node && { node }),
        ...(config && config !== 'cancel' && { config }),
      });
      return xml('pubsub', { xmlns: NS.pubsub }, xml('create', { node: name }));
    }),
    get(NS.pubsubOwner, 'default', ({ action }) => {
      onlyLeaf(action);
      return wrap(xml('default', {}, configElement('form', service.defaultNode())));
    }),
    get(NS.pubsubOwner, 'configure', async (request) => {
      const node = nodeOf(request);
      const found = await service.configuration(node, request.from);
      return wrap(xml('configure', { node }, configElement('form', found)));
    }),
    set(NS.pubsubOwner, 'configure', async (request): Promise<Reply> => {
      const node = nodeOf(request);
      await service.configuration(node, request.from);
      const config = readForm(request.action, CONFIG_FORM, 'bad-request');
      if (config === 'cancel') return {};
      const notices = await service.configure({ requester: request.from, node, config });
      return { afterwards: () => tell(notices) };
    }),
    set(NS.pubsubOwner, 'delete', async (request) => {
      const redirect = request.action.getChild('redirect');
      const uri = redirect && attr(redirect, 'uri', 'bad-request');
      await service.deleteNode({ requester: request.from, node: nodeOf(request), ...(uri !== undefined && { uri }) });
    }),
    set(NS.pubsubOwner, 'purge', (request) => service.purge(nodeOf(request), request.from)),
    get(NS.pubsubOwner, 'subscriptions', async (request) => {
      const node = nodeOf(request);
      const asked = readPage(request.payload, LIST_PAGE);
      const page = await service.subscribers(node, request.from, asked ?? { limit: LIST_PAGE });
      const list = page.entries.map((one) => {
        const element = subscriptionElement(one);
        delete element.attrs['node'];
        return element;
      });
      return wrap(xml('subscriptions', { node }, ...list), ...setOf(page, asked, subscriptionCursor));
    }),
    set(NS.pubsubOwner, 'subscriptions', async (request): Promise<Reply> => {
      const node = nodeOf(request);
      const changes = changed(request, 'subscription').map((element) => {
        const subid = optional(element, 'subid');
        return {
          jid: attr(element, 'jid', 'jid-required'),
          state: attr(element, 'subscription', 'bad-request'),
          ...(subid !== undefined && { subid }),
        };
      });
      const { failed, notices } = await service.changeSubscriptions(node, request.from, changes);
      const left = failed.map(({ jid, state, subid }) => xml('subscription', { jid, subscription: state, subid }));
      return outcome(xml('subscriptions', { node }, ...left), failed.length, () => tell(notices));
    }),
    get(NS.pubsubOwner, 'affiliations', async (request) => {
      const node = nodeOf(request);
      const asked = readPage(request.payload, LIST_PAGE);
      const page = await service.affiliated(node, request.from, asked);
      const list = page.entries.map((one) => xml('affiliation', { ...one }));
      return wrap(xml('affiliations', { node }, ...list), ...setOf(page, asked, ({ jid }) => jid));
    }),
    set(NS.pubsubOwner, 'affiliations', async (request): Promise<Reply> => {
      const node = nodeOf(request);
      const changes = changed(request, 'affiliation').map((element) => ({
        jid: attr(element, 'jid', 'jid-required'),
        affiliation: attr(element, 'affiliation', 'bad-request'),
      }));
      const { failed, notices } = await service.changeAffiliations(node, request.from, changes);
      const left = failed.map((one) => xml('affiliation', { ...one }));
      return outcome(xml('affiliations', { node }, ...left), failed.length, () => tell(notices));
    }),
  ],
});

const nodeOf = ({ action }: Request): string => attr(action, 'node', 'node-required');

/** The type of node that is asked for in passing (XEP-0248). @throws Fault `unsupported` */
function onlyLeaf(action: Element): void {
  if ((optional(action, 'type') ?? 'leaf') !== 'leaf') {
    throw new Fault('unsupported', 'There are only leaf nodes here', { feature: 'collections' });
  }
}

/** The configuration that comes with a new node. @throws Fault `bad-request` where it may not be so (XEP-0060 8.1.3) */
function configureWith(payload: Element, create: Element): Element | undefined {
  const configure = payload.getChild('configure', NS.pubsub);
  if (!configure) return undefined;
  const children = payload.getChildElements();
  if (children.indexOf(configure) < children.indexOf(create) || optional(configure, 'node') !== undefined) {
    throw new Fault('bad-request', '<configure/> comes after <create/>, which says the node');
  }
  return configure;
}

const wrap = (...children: readonly Element[]): Element => xml('pubsub', { xmlns: NS.pubsubOwner }, ...children);

/** The configuration of a node as a form; credentials are in it for whoever may set them. */
export const configElement = (type: 'form' | 'result', { kind, config, credentials }: Configurable): Element => {
  const fields = { ...configFields(kind), ...(credentials && CREDENTIAL_FIELDS) } as Fields;
  return formElement(type, CONFIG_FORM, fields, { ...config, ...credentials });
};

/** The entries of a request that changes several; none of them without a change (XEP-0060 8.8.2.1). */
const changed = ({ action }: Request, name: 'subscription' | 'affiliation'): Element[] =>
  action.getChildren(name).filter((element) => optional(element, name) !== undefined || !optional(element, 'jid'));

/** XEP-0060 8.8.2.4, 8.9.2.4: what could not be changed comes back with the error. */
const outcome = (left: Element, failures: number, afterwards: () => Promise<void>): Reply =>
  failures === 0
    ? { afterwards }
    : { payload: wrap(left), refusal: new Fault('not-acceptable', 'These could not be changed'), afterwards };
