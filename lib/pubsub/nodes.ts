import {
  FIREHOSE,
  feedIdIn,
  feedIdOf,
  ownNodeIdOf,
  parseFeedUrl,
  parseJid,
  type Affiliation,
  type FeedId,
  type FeedUrl,
  type NodeKey,
  type Text,
} from '../domain.js';
import { Fault } from '../faults.js';
import { defaultConfig, type ConfigOverrides, type NodeConfig, type NodeKind } from '../node-config.js';
import type { ProbeResult } from '../queues.js';
import type { AliasStore } from '../store/aliases.js';
import type { FeedStore } from '../store/feeds.js';
import type { NodeRecord, NodeStore } from '../store/nodes.js';
import type { SubscriptionStore } from '../store/subscriptions.js';
import { plainText } from '../text.js';

/** Who may do what on this service. */
export interface Policy {
  /** Our own domain: users of the domain that it is part of are local. */
  readonly domain: string;
  /** Bare JIDs. */
  readonly admins: readonly string[];
  readonly whoMayAdd: 'anyone' | 'local' | 'admins';
  readonly maxSubscriptions: number;
  readonly itemsPerNode: number;
  /** `pubsub#type` of feeds that nobody has given another one. */
  readonly nodeType: string;
}

export interface NodesDeps {
  readonly nodes: Pick<NodeStore, 'get' | 'successor' | 'affiliation'>;
  readonly feeds: Pick<FeedStore, 'register'>;
  readonly aliases: Pick<AliasStore, 'feedsOf'>;
  readonly subscriptions: Pick<SubscriptionStore, 'ofPerson'>;
  /** Looks at a URL; undefined when there was no answer in time. */
  readonly probe: (url: FeedUrl) => Promise<ProbeResult | undefined>;
  readonly policy: Policy;
}

/** A node with everything that its kind, its feed and its owners say about it. */
export interface Node {
  readonly id: NodeKey;
  readonly kind: NodeKind;
  /** The canonical NodeID. */
  readonly name: string;
  readonly record: NodeRecord;
  readonly config: NodeConfig;
  /** What the configuration is where no owner has said anything. */
  readonly defaults: NodeConfig;
}

/** How somebody stands to a node; admins own every node. */
export type Standing = Affiliation | 'none';

export type Nodes = ReturnType<typeof createNodes>;

const ATOM = 'http://www.w3.org/2005/Atom';

/** Finds nodes by every name that they have, and knows who may do what with them. */
export function createNodes({ nodes, feeds, aliases, subscriptions, probe, policy }: NodesDeps) {
  const isAdmin = (jid: string): boolean => policy.admins.includes(parseJid(jid).bare);

  function defaultsOf(record: NodeRecord): NodeConfig {
    const { itemsPerNode: maxItems, nodeType } = policy;
    switch (record.kind) {
      case 'firehose':
        return defaultConfig({ title: 'Firehose: every entry of every feed', type: ATOM });
      case 'own':
        return defaultConfig({ maxItems });
      case 'feed': {
        const { source, url } = record.feed;
        const say = (text: Text | undefined) =>
          text && (text.type === 'text' ? text.value : plainText(text.value)).trim();
        return defaultConfig({
          title: say(source?.title) || url,
          description: say(source?.subtitle) ?? '',
          language: source?.lang ?? '',
          type: nodeType,
          maxItems,
        });
      }
    }
  }

  function viewOf(record: NodeRecord): Node {
    const defaults = defaultsOf(record);
    const name = record.kind === 'feed' ? record.feed.node : record.kind === 'own' ? record.name : FIREHOSE;
    const config: NodeConfig = {
      ...defaults,
      ...record.config,
      // Whatever was written first: nothing that needed credentials is shown without asking who wants to see it.
      ...(isPrivate(record) && { accessModel: 'whitelist' }),
    };
    return { id: record.id, kind: record.kind, name, record, defaults, config };
  }

  async function byId(id: NodeKey): Promise<Node | undefined> {
    const record = await nodes.get(id);
    return record && viewOf(record);
  }

  async function named(name: string): Promise<Node | undefined> {
    const feed = feedIdIn(name);
    const node = (feed && (await byId(feed))) ?? (await byId(ownNodeIdOf(name)));
    return node?.name === name ? node : undefined;
  }

  async function byUrl(url: FeedUrl): Promise<Node | undefined> {
    const feed = await byId(feedIdOf(url));
    if (feed?.record.kind === 'feed' && (feed.record.feed.read !== undefined || isPrivate(feed.record))) return feed;
    // Not a feed, or not one that was ever read: perhaps a page, or the former address, of a feed that is there. To a
    // private feed nothing leads but its own URL.
    for (const id of await aliases.feedsOf(url)) {
      const other = await byId(id);
      if (other && !isPrivate(other.record)) return other;
    }
    return feed;
  }

  /** The node that a name stands for: `firehose`, a NodeID, a feed's URL or a page's. */
  async function find(name: string): Promise<Node | undefined> {
    if (name === FIREHOSE) return byId(FIREHOSE);
    return isUrl(name) ? byUrl(parseFeedUrl(name)) : named(name);
  }

  /** @throws Fault `gone` when the node has a new address */
  async function refuseIfMoved(name: string): Promise<void> {
    const id = isUrl(name) ? feedIdOf(parseFeedUrl(name)) : feedIdIn(name);
    const successor = (id && (await nodes.successor(id))) ?? (await nodes.successor(ownNodeIdOf(name)));
    if (!successor) return;
    const uri = 'uri' in successor ? successor.uri : await addressOf(successor.node);
    if (uri) throw new Fault('gone', 'The node has moved', { uri });
  }

  async function addressOf(id: FeedId): Promise<string | undefined> {
    const node = await byId(id);
    // RFC 5122; the node in a query component, as XEP-0060 13.22 writes it.
    return node && `xmpp:${policy.domain}?;node=${encodeURIComponent(node.name)}`;
  }

  const nodeService = {
    isAdmin,
    find,
    byId,
    view: viewOf,
    refuseIfMoved,

    /** @throws Fault `node-not-found`, `gone` */
    async existing(name: string): Promise<Node> {
      const found = await find(name);
      if (found) return found;
      await refuseIfMoved(name);
      throw new Fault('node-not-found', 'There is no such node; subscribe to the URL of a feed to create one');
    },

    /** @throws Fault `forbidden` for who does not own the node */
    async owned(name: string, requester: string): Promise<Node> {
      const node = await find(name);
      if (!node) throw new Fault('node-not-found');
      if ((await nodeService.standing(node, requester)) !== 'owner') throw new Fault('forbidden');
      return node;
    },

    async standing({ id }: Node, jid: string): Promise<Standing> {
      if (isAdmin(jid)) return 'owner';
      return (await nodes.affiliation(id, parseJid(jid).bare)) ?? 'none';
    },

    /** Whether this person may make a node of a feed that nobody follows yet, and drink the firehose. */
    mayAdd(requester: string): boolean {
      const { bare, domain } = parseJid(requester);
      if (policy.whoMayAdd === 'anyone' || policy.admins.includes(bare)) return true;
      return policy.whoMayAdd === 'local' && domain === policy.domain.split('.').slice(1).join('.');
    },

    /**
     * Whether this person is let in: to read the items, or to subscribe.
     * @returns 'ask' where an owner has to approve it first
     * @throws Fault `forbidden`, `closed-node` (XEP-0060 6.1.3, 6.5.9)
     */
    async admit(node: Node, requester: string): Promise<'in' | 'ask'> {
      const standing = await nodeService.standing(node, requester);
      if (standing === 'outcast' || standing === 'publish-only')
        throw new Fault('forbidden', 'You are not let in here');
      if (standing !== 'none') return 'in';
      if (node.config.accessModel === 'whitelist') throw new Fault('closed-node', 'This node is for its members');
      if (node.kind === 'firehose' && !nodeService.mayAdd(requester)) {
        throw new Fault('forbidden', 'The firehose is not open to you');
      }
      return node.config.accessModel === 'authorize' ? 'ask' : 'in';
    },

    /** @throws Fault `forbidden`, `closed-node`, `not-approved` for who may not read the items (XEP-0060 6.5.1) */
    async admitReader(node: Node, requester: string): Promise<void> {
      if ((await nodeService.admit(node, requester)) === 'in') return;
      const held = await subscriptions.ofPerson(requester);
      if (!held.some(({ feed, state }) => feed === node.id && state === 'subscribed')) {
        throw new Fault('not-approved', 'Only subscribers may read this node');
      }
    },

    /**
     * The feed at a URL that nobody follows yet; made known unread when looking at it takes too long.
     * @throws Fault `forbidden`, `not-a-feed`, `feed-unreachable`
     */
    async discovered(url: FeedUrl, requester: string): Promise<Node> {
      if (!nodeService.mayAdd(requester)) {
        throw new Fault('forbidden', 'You may not add feeds here; only known feeds can be followed');
      }
      const result = await probe(url);
      if (result?.kind === 'refused') throw new Fault(result.code, result.text);
      // The answer may be some seconds old, and the feed have been deleted since.
      const learned = result && (await byId(result.feed));
      if (learned) return learned;
      await feeds.register(url);
      const node = await byId(feedIdOf(url));
      if (!node) throw new Fault('unavailable', 'The feed is not ready yet; try again');
      return node;
    },

    /**
     * The feed at a URL, made known unread, because nobody could look at it without its credentials.
     * @param sealed those, from the vault
     * @throws Fault `conflict` when there is a node of that URL
     */
    async registered(url: FeedUrl, sealed: string): Promise<Node> {
      const isNew = await feeds.register(url, sealed);
      const node = isNew ? await byId(feedIdOf(url)) : undefined;
      if (!node) throw new Fault('conflict', 'There is a node for that URL');
      return node;
    },

    /** How a node that an owner is about to make would be configured. */
    fresh: (name: string, config: ConfigOverrides): Node =>
      viewOf({ kind: 'own', id: ownNodeIdOf(name), name, created: 0, creator: '', config }),
  };
  return nodeService;
}

/** Whether this is a feed that is read with credentials: it is for its members, for as long as it has them. */
export const isPrivate = (record: NodeRecord): boolean => record.kind === 'feed' && record.feed.sealed !== undefined;

export const isUrl = (node: string): boolean => /^https?:/i.test(node);
