import xml, { type Element } from '@xmpp/xml';
import type { TypeFilter } from '../../lib/store/nodes.js';
import { configFields } from '../../lib/node-config.js';
import type { Feed } from '../../lib/domain.js';
import { Fault } from '../../lib/faults.js';
import type { Fields } from '../../lib/fields.js';
import type { PubSub } from '../../lib/pubsub.js';
import type { NodeDescription } from '../../lib/pubsub/reader.js';
import type { FeedState } from '../../lib/status.js';
import { capsOf, type Caps } from '../caps.js';
import { readForm, resultForm } from '../forms.js';
import { get, type Xep } from '../router.js';
import { setOf } from '../lists.js';
import { readPage } from '../rsm.js';
import { NS, optional } from '../stanza.js';

export interface DiscoDeps {
  readonly service: Pick<PubSub, 'describe' | 'directory' | 'contents'>;
  /** Our own address. */
  readonly domain: string;
  /** Bare JIDs of who runs this (XEP-0157). */
  readonly admins: readonly string[];
}

const PAGE = 100;
const SERVER_INFO = 'http://jabber.org/network/serverinfo';
const META_DATA = `${NS.pubsub}#meta-data`;
const FILTER = 'urn:xmpp:pubsub-filter:0';
const IDENTITY = { category: 'pubsub', type: 'service', name: 'Hydrant' } as const;

type Field = Parameters<typeof resultForm>[1][number];

/** XEP-0030, with XEP-0115, 0128, 0157 and 0462. The features come from the very table that routes. */
export function disco({ service, domain, admins }: DiscoDeps, others: readonly Xep[]): Xep & { readonly caps: Caps } {
  const own = [NS.discoInfo, NS.discoItems, NS.rsm, NS.caps, FILTER];
  const features = [...new Set([...own, ...others.flatMap((xep) => xep.features)])];
  const addresses: readonly Field[] = ['admin-addresses', 'support-addresses', 'abuse-addresses'].map((name) => ({
    name,
    type: 'list-multi',
    values: admins.map((jid) => `xmpp:${jid}`),
  }));
  const contact = admins.length > 0 ? [{ type: SERVER_INFO, fields: addresses }] : [];
  const caps = capsOf({ identities: [IDENTITY], features, forms: contact });

  async function directory(query: Element): Promise<Element> {
    const asked = readPage(query, PAGE);
    const types = readFilter(query);
    const page = await service.directory({ page: asked ?? { limit: PAGE }, ...(types && { types }) });
    const items = page.entries.map(({ name, config }) =>
      xml('item', { jid: domain, node: name, name: config.title || name }),
    );
    return xml('query', { xmlns: NS.discoItems }, ...items, ...setOf(page, asked, ({ name }) => name));
  }

  return {
    caps,
    features: own,
    routes: [
      get(NS.discoInfo, 'query', async ({ from, action }) => {
        const node = optional(action, 'node');
        if (node && !caps.isOurs(node)) return nodeInfo(node, await service.describe(node, from), domain);
        return xml(
          'query',
          { xmlns: NS.discoInfo, ...(node && { node }) },
          xml('identity', { ...IDENTITY }),
          ...features.map((name) => xml('feature', { var: name })),
          ...contact.map(({ type, fields }) => resultForm(type, fields)),
        );
      }),
      get(NS.discoItems, 'query', async ({ from, action }) => {
        const node = optional(action, 'node');
        if (!node) return directory(action);
        const asked = readPage(action, PAGE);
        const page = await service.contents(node, from, asked);
        return xml(
          'query',
          { xmlns: NS.discoItems, node },
          // XEP-0060 5.5: the name of an item is its ItemID.
          ...page.entries.map(({ id }) => xml('item', { jid: domain, name: id })),
          ...setOf(page, asked, ({ id }) => id),
        );
      }),
    ],
  };
}

/** XEP-0462. @throws Fault `bad-request` */
function readFilter(query: Element): Omit<TypeFilter, 'usual'> | undefined {
  const filter = query.getChild('filter', FILTER);
  if (!filter) return undefined;
  const form = readForm(filter, FILTER, 'bad-request');
  if (form === 'cancel') return undefined;
  const [included, excluded] = ['included-types', 'excluded-types'].map((name) => form.get(name));
  if (included && excluded) throw new Fault('bad-request', 'Either included-types or excluded-types');
  const types = (included ?? excluded ?? []).slice(0, 100);
  return included || excluded ? { types, isExcluding: excluded !== undefined } : undefined;
}

function nodeInfo(asked: string, described: NodeDescription, domain: string): Element {
  const { node, isOpen } = described;
  const title = isOpen ? node.config.title : '';
  return xml(
    'query',
    { xmlns: NS.discoInfo, node: asked },
    xml('identity', { category: 'pubsub', type: 'leaf', ...(title && { name: title }) }),
    ...[NS.pubsub, NS.mam, NS.mamExtended].map((name) => xml('feature', { var: name })),
    resultForm(
      META_DATA,
      isOpen ? metaData(described, domain) : [{ name: 'pubsub#access_model', values: ['whitelist'] }],
    ),
  );
}

/** XEP-0060 5.4, with the registered fields (17.4.3) first, then what is said of the feed. */
function metaData(described: NodeDescription, domain: string): Field[] {
  const { node, subscribers, owners, publishers } = described;
  const { config, record, kind } = node;
  const created = record.kind === 'own' ? record.created : record.kind === 'feed' ? record.feed.added : undefined;
  const values: Record<string, readonly string[]> = {};
  for (const [key, field] of Object.entries(configFields(kind) as Fields)) {
    values[field.name] = field.format(config[key as keyof typeof config]);
  }
  const all: Record<string, readonly string[]> = {
    ...values,
    'pubsub#type': [config.type].filter(Boolean),
    'pubsub#node_type': ['leaf'],
    'pubsub#publish_model': [config.publishModel],
    'pubsub#creation_date': created === undefined ? [] : [new Date(created).toISOString()],
    'pubsub#creator': record.kind === 'own' ? [record.creator] : [],
    'pubsub#num_subscribers': [String(subscribers)],
    // What nobody owns belongs to the service.
    'pubsub#owner': owners.length > 0 ? owners : [domain],
    'pubsub#publisher': publishers,
    ...(record.kind === 'feed' && feedData(record.feed, described.state)),
  };
  return Object.entries(all).flatMap(([name, list]) =>
    list.length > 0 ? [{ name, values: list, type: typeOf(name) }] : [],
  );
}

function feedData({ url, polled, read }: Feed, { state, reason, since, next }: Partial<FeedState> = {}) {
  const time = (ms: number | undefined) => (ms === undefined ? [] : [new Date(ms).toISOString()]);
  return {
    'hydrant#feed': [url],
    'hydrant#state': state ? [state] : [],
    'hydrant#reason': reason ? [reason] : [],
    'hydrant#since': time(since),
    'hydrant#next': time(next),
    'hydrant#last_poll': time(polled),
    'hydrant#last_read': time(read),
  };
}

const typeOf = (name: string): string =>
  ['pubsub#owner', 'pubsub#publisher', 'pubsub#contact'].includes(name)
    ? 'jid-multi'
    : name === 'pubsub#creator'
      ? 'jid-single'
      : 'text-single';
