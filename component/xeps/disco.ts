import xml, { type Element } from '@xmpp/xml';
import { FIREHOSE, feedIdIn, type Feed } from '../../lib/domain.js';
import { Fault } from '../../lib/faults.js';
import type { NodeDescription, PubSub } from '../../lib/pubsub.js';
import { get, type Xep } from '../router.js';
import { pageElement, readPage } from '../rsm.js';
import { NS, optional } from '../stanza.js';

const PAGE = 100;

/** XEP-0030. The features come from the very table that routes, so they cannot drift apart. */
export const disco = (
  service: Pick<PubSub, 'describe' | 'directory' | 'items'>,
  domain: string,
  others: readonly Xep[],
): Xep => {
  const features = [NS.discoInfo, NS.discoItems, NS.rsm, ...others.flatMap((xep) => xep.features)];

  async function directory(query: Element): Promise<Element> {
    const { limit, after, before } = readPage(query, PAGE) ?? { limit: PAGE };
    // XEP-0059 2.3: whoever cannot page backwards says so.
    if (before !== undefined) throw new Fault('unsupported', 'The directory is paged forwards');
    const cursor = after === undefined || after === FIREHOSE ? undefined : feedIdIn(after);
    if (after !== undefined && after !== FIREHOSE && !cursor)
      throw new Fault('node-not-found', 'There is no such page');
    const feeds = await service.directory(cursor, after === undefined ? limit - 1 : limit);
    const nodes = [
      // The firehose stands before all feeds.
      ...(after === undefined ? [{ node: FIREHOSE, name: 'Firehose: every entry of every feed' }] : []),
      ...feeds.map((feed) => ({ node: feed.node, name: feed.source?.title?.value ?? feed.url })),
    ];
    const items = nodes.map(({ node, name }) => xml('item', { jid: domain, node, name }));
    if (nodes.length > 0) items.push(pageElement(nodes.map(({ node }) => node)));
    return xml('query', { xmlns: NS.discoItems }, ...items);
  }

  return {
    features,
    routes: [
      get(NS.discoInfo, 'query', async ({ action }) => {
        const node = optional(action, 'node');
        if (node) return nodeInfo(node, await service.describe(node));
        return xml(
          'query',
          { xmlns: NS.discoInfo },
          xml('identity', { category: 'pubsub', type: 'service', name: 'Hydrant' }),
          ...features.map((name) => xml('feature', { var: name })),
        );
      }),
      get(NS.discoItems, 'query', async ({ action }) => {
        const node = optional(action, 'node');
        if (!node) return directory(action);
        const { items } = await service.items({ node });
        return xml(
          'query',
          { xmlns: NS.discoItems, node },
          // XEP-0060 5.5: the name of an item is its ItemID.
          ...items.map(({ id }) => xml('item', { jid: domain, name: id })),
        );
      }),
    ],
  };
};

function nodeInfo(node: string, description: NodeDescription): Element {
  const feed = description.kind === 'feed' ? description.feed : undefined;
  const title = feed ? (feed.source?.title?.value ?? feed.url) : 'Firehose: every entry of every feed';
  return xml(
    'query',
    { xmlns: NS.discoInfo, node },
    xml('identity', { category: 'pubsub', type: 'leaf', name: title }),
    xml('feature', { var: NS.pubsub }),
    xml(
      'x',
      { xmlns: NS.data, type: 'result' },
      field('FORM_TYPE', `${NS.pubsub}#meta-data`, 'hidden'),
      field('pubsub#title', title),
      field('pubsub#type', 'http://www.w3.org/2005/Atom'),
      field('pubsub#num_subscribers', String(description.subscribers)),
      field('pubsub#access_model', 'open'),
      field('pubsub#publish_model', 'publishers'),
      ...(feed ? ofFeed(feed) : []),
    ),
  );
}

function ofFeed({ url, added, source, failure }: Feed): Element[] {
  const { subtitle, lang } = source ?? {};
  return [
    field('pubsub#creation_date', new Date(added).toISOString()),
    ...(subtitle ? [field('pubsub#description', subtitle.value)] : []),
    ...(lang ? [field('pubsub#language', lang)] : []),
    field('hydrant#feed', url),
    field('hydrant#state', failure ? failure.text : 'ok'),
  ];
}

const field = (name: string, value: string, type = 'text-single'): Element =>
  xml('field', { var: name, type }, xml('value', {}, value));
