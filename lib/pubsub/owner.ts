import {
  FIREHOSE,
  feedIdIn,
  feedIdOf,
  parseFeedUrl,
  parseJid,
  type Affiliation,
  type Page,
  type PageAsk,
  type Subscription,
  urlIn,
} from '../domain.js';
import { credentialsAfter, shownCredentials, withoutUserinfo, type ShownCredentials } from '../credentials.js';
import { Fault } from '../faults.js';
import type { Submitted } from '../fields.js';
import { overridesOf, readConfig, type ConfigOverrides, type NodeConfig } from '../node-config.js';
import type { ItemStore } from '../store/items.js';
import type { NodeStore } from '../store/nodes.js';
import { subscriptionCursor, type SubscriptionStore } from '../store/subscriptions.js';
import type { Vault } from '../vault.js';
import { isPrivate, isUrl, type Node, type Nodes, type Policy, type Standing } from './nodes.js';
import { pageIn } from './reader.js';
import type { Held, Notice } from './subscriber.js';

export interface OwnerDeps {
  readonly nodes: Pick<NodeStore, 'create' | 'configure' | 'delete' | 'affiliate' | 'affiliations'>;
  readonly items: Pick<ItemStore, 'purge'>;
  readonly subscriptions: Pick<
    SubscriptionStore,
    'put' | 'remove' | 'ofJid' | 'ofFeed' | 'page' | 'pendingNodes' | 'ofPerson'
  >;
  readonly vault: Vault;
  readonly heldOn: (node: Node, subscription: Subscription) => Held;
  readonly welcome: (held: Held) => Promise<readonly Notice[]>;
  readonly now: () => number;
  readonly newId: () => string;
  readonly policy: Policy;
}

/** A node as an owner configures it; what of its credentials is set, where it is an admin who asks, of a feed. */
export type Configurable = Node & { readonly credentials?: ShownCredentials };

/** One line of a request that changes several (XEP-0060 8.8.2.4, 8.9.2.4). */
export interface SubscriptionChange {
  readonly jid: string;
  readonly subid?: string;
  readonly state: string;
}
export interface AffiliationChange {
  readonly jid: string;
  readonly affiliation: string;
}

/** What came of a request that changes several: those that could not be, as they still are; all others are changed. */
export interface Changed<T> {
  readonly failed: readonly T[];
  readonly notices: readonly Notice[];
}

// `[a-z0-9._-]` is what every client can show; the rest is what clients give nodes of their own.
const NODE_NAME = /^[A-Za-z0-9_/][A-Za-z0-9._~+=:@/-]{0,199}$/;
const AFFILIATIONS: readonly string[] = ['owner', 'publisher', 'publish-only', 'member', 'outcast', 'none'];

/** What an owner does (XEP-0060 8). */
export function createOwner(known: Nodes, deps: OwnerDeps) {
  const { nodes, items, subscriptions, vault, heldOn, welcome, now, newId, policy } = deps;

  async function create(name: string, requester: string, config: ConfigOverrides): Promise<Node> {
    if (!NODE_NAME.test(name)) {
      throw new Fault('not-acceptable', 'A NodeID has up to 200 letters, digits and . _ - ~ + = : @ /');
    }
    if (name === FIREHOSE || (feedIdIn(name) && (await known.find(name)))) throw new Fault('conflict');
    const { bare } = parseJid(requester);
    const fresh = known.fresh(name, config);
    const taken = !(await nodes.create(name, bare, overridesOf(fresh.config, fresh.defaults)));
    if (taken) throw new Fault('conflict');
    await nodes.affiliate(fresh.id, bare, 'owner');
    return known.existing(name);
  }

  /** Makes the node of a feed that nobody follows yet; one with credentials is not looked at first, and private. */
  async function createFeed(name: string, requester: string, submitted: Submitted = new Map()): Promise<Node> {
    const { url: text, headers: inUrl } = withoutUserinfo(name);
    const url = parseFeedUrl(text);
    const headers = { ...inUrl, ...credentialsAfter(inUrl, submitted) };
    const given = readConfig('feed', submitted);
    const hasCredentials = Object.keys(headers).length > 0;
    if (!hasCredentials && (await known.find(url))) throw new Fault('conflict', 'There is a node for that URL');
    const node = hasCredentials
      ? await known.registered(url, vault.seal(feedIdOf(url), headers))
      : await known.discovered(url, requester);
    const config: NodeConfig = { ...node.config, ...given, ...(hasCredentials && { accessModel: 'whitelist' }) };
    await nodes.configure(node.id, overridesOf(config, node.defaults), false);
    return node;
  }

  /** What the vault keeps for a feed after an admin has submitted its form; '' for nothing, undefined where it stays. */
  function resealed({ record }: Node, requester: string, submitted: Submitted): string | undefined {
    if (record.kind !== 'feed' || !known.isAdmin(requester)) return undefined;
    const headers = credentialsAfter(vault.open(record.feed), submitted);
    if (!headers) return undefined;
    return Object.keys(headers).length > 0 ? vault.seal(record.id, headers) : '';
  }

  async function end(subscription: Subscription): Promise<Notice> {
    await subscriptions.remove(subscription);
    return { kind: 'subscription', to: subscription.jid, subscription, state: 'none' };
  }

  /** Does the same with all subscriptions of a node for which `isMeant` holds. */
  async function forAll(
    node: Node,
    isMeant: (subscription: Subscription) => boolean,
    change: (subscription: Subscription) => Promise<Notice | readonly Notice[]>,
  ): Promise<Notice[]> {
    const notices: Notice[] = [];
    for await (const page of subscriptions.ofFeed(node.id)) {
      for (const one of page.filter(isMeant)) notices.push(...[await change(one)].flat());
    }
    return notices;
  }

  async function approved(node: Node, pending: Subscription): Promise<Notice[]> {
    const subscription = { ...pending, state: 'subscribed' } as const;
    await subscriptions.put(subscription);
    const told = { kind: 'subscription', to: subscription.jid, subscription, state: 'subscribed' } as const;
    return [told, ...(await welcome(heldOn(node, subscription)))];
  }

  async function changeSubscription(node: Node, { jid, subid, state }: SubscriptionChange): Promise<Notice[]> {
    const { full } = parseJid(jid);
    const held = (await subscriptions.ofJid(node.id, full)).filter((one) => subid === undefined || one.subid === subid);
    const [first] = held;
    if (state === 'none') {
      if (!first) throw new Fault('not-subscribed');
      return Promise.all(held.map((one) => end(one)));
    }
    if (state === 'pending' && first?.state === 'pending') return [];
    if (state !== 'subscribed') throw new Fault('not-acceptable');
    if (first) return (await Promise.all(held.filter(isPending).map((one) => approved(node, one)))).flat();
    if (subid !== undefined) throw new Fault('invalid-subid');
    const since = now();
    return approved(node, {
      ...{ feed: node.id, jid: full, subid: newId(), node: node.name, since, state: 'pending', options: {} },
    });
  }

  async function changeAffiliation(node: Node, jid: string, wanted: Standing): Promise<Notice[]> {
    await nodes.affiliate(node.id, jid, wanted === 'none' ? undefined : wanted);
    const told: Notice = { kind: 'affiliation', to: jid, node: node.name, affiliation: wanted };
    const held = (await subscriptions.ofPerson(jid)).filter(({ feed }) => feed === node.id);
    const isOut = wanted === 'outcast' || wanted === 'publish-only';
    if (isOut || (wanted === 'none' && node.config.accessModel === 'whitelist')) {
      return [told, ...(await Promise.all(held.map((one) => end(one))))];
    }
    if (wanted === 'none') return [told];
    // XEP-0060 8.7.4: whoever has a place here need not wait any longer.
    return [told, ...(await Promise.all(held.filter(isPending).map((one) => approved(node, one)))).flat()];
  }

  return {
    create,

    /**
     * Makes a node that people publish to; without a name, one with a name of its own; or the node of the feed at a URL.
     * With credentials, in its form or its URL, a feed is for its members and is not looked at first.
     * @returns the NodeID
     * @throws Fault `forbidden`, `conflict`, `not-acceptable`, `unsupported-access-model`; those of a URL that is no
     *   feed; `not-allowed` where there is no vault
     */
    async createNode(ask: { requester: string; node?: string; config?: Submitted }): Promise<string> {
      const { requester, node: name, config } = ask;
      if (!known.isAdmin(requester)) throw new Fault('forbidden');
      if (name !== undefined && isUrl(name)) return (await createFeed(name, requester, config)).name;
      return (await create(name ?? `node-${newId()}`, requester, config ? readConfig('own', config) : {})).name;
    },

    /** A node whose configuration an owner wants to see (XEP-0060 8.2.1). @throws Fault `forbidden`, `node-not-found` */
    async configuration(name: string, requester: string): Promise<Configurable> {
      const node = await known.owned(name, requester);
      if (node.record.kind !== 'feed' || !known.isAdmin(requester)) return node;
      return { ...node, credentials: shownCredentials(vault.open(node.record.feed)) };
    },

    /** How a node without a feed is configured when nobody says anything (XEP-0060 8.3). */
    defaultNode: (): Node => known.fresh('default', {}),

    /**
     * Changes what was submitted (XEP-0060 8.2.4); a feed that gets credentials is for its members at once.
     * @throws Fault `forbidden`, `not-acceptable`, `unsupported-access-model`; `not-allowed` where there is no vault
     */
    async configure(ask: { requester: string; node: string; config: Submitted }): Promise<readonly Notice[]> {
      const node = await known.owned(ask.node, ask.requester);
      const sealed = resealed(node, ask.requester, ask.config);
      const config = configAfter(node, readConfig(node.kind, ask.config), sealed);
      const announce = config.notifyConfig && node.kind !== 'firehose';
      await nodes.configure(node.id, overridesOf(config, node.defaults), announce, sealed);
      if (node.id !== FIREHOSE && node.config.persistItems && !config.persistItems) {
        await items.purge(node.id, config.notifyRetract);
      }
      if (config.accessModel === node.config.accessModel) return [];
      const changed = { ...node, config };
      if (config.accessModel === 'open') return forAll(changed, isPending, (one) => approved(changed, one));
      if (config.accessModel === 'authorize') return [];
      // XEP-0060 17.4.4: whoever is not on the list is not let in any more.
      const members = await nodes.affiliations(node.id);
      const isOutside = ({ jid }: Subscription) => {
        const { bare } = parseJid(jid);
        return !policy.admins.includes(bare) && !['owner', 'publisher', 'member'].includes(members.get(bare) ?? 'none');
      };
      return forAll(changed, isOutside, end);
    },

    /** Takes a node away; `uri` is where it is to be found now (XEP-0060 8.4). @throws Fault `forbidden`, `not-allowed` */
    async deleteNode(ask: { requester: string; node: string; uri?: string }): Promise<void> {
      const { id, config } = await known.owned(ask.node, ask.requester);
      if (id === FIREHOSE) throw new Fault('not-allowed', 'The firehose cannot be deleted');
      const { uri } = ask;
      if (uri !== undefined && !isPublicUri(uri)) {
        throw new Fault('bad-request', 'The redirect needs a URI, without credentials');
      }
      await nodes.delete(id, { announce: config.notifyDelete, ...(uri !== undefined && { successor: { uri } }) });
    },

    /** Takes all items away (XEP-0060 8.5). @throws Fault `forbidden`, `not-allowed`, `unsupported` */
    async purge(name: string, requester: string): Promise<void> {
      const { id, config } = await known.owned(name, requester);
      if (id === FIREHOSE) throw new Fault('not-allowed', 'The firehose cannot be purged');
      if (!config.persistItems) {
        throw new Fault('unsupported', 'This node keeps no items', { feature: 'persistent-items' });
      }
      await items.purge(id, config.notifyRetract);
    },

    /**
     * Everybody who is subscribed (XEP-0060 8.8.1), ordered by JID, without those who wait for approval.
     * @throws Fault `forbidden`, `item-not-found`
     */
    async subscribers(name: string, requester: string, page: PageAsk): Promise<Page<Subscription>> {
      const node = await known.owned(name, requester);
      if ((await subscriptions.pendingNodes()).includes(node.id)) {
        const all: Subscription[] = [];
        for await (const some of subscriptions.ofFeed(node.id)) all.push(...some.filter((one) => !isPending(one)));
        return pageIn(all, page, subscriptionCursor);
      }
      const found = await subscriptions.page(node.id, page);
      if (!found) throw new Fault('item-not-found', 'There is no such page');
      return found;
    },

    /** Changes subscriptions of others (XEP-0060 8.8.2). @throws Fault `forbidden` */
    async changeSubscriptions(
      name: string,
      requester: string,
      changes: readonly SubscriptionChange[],
    ): Promise<Changed<{ readonly jid: string; readonly state: string; readonly subid?: string }>> {
      const node = await known.owned(name, requester);
      return each(
        changes,
        (change) => changeSubscription(node, change),
        async ({ jid, subid }) => {
          const [held] = isJid(jid) ? await subscriptions.ofJid(node.id, parseJid(jid).full) : [];
          return { jid, state: held?.state ?? 'none', ...(subid !== undefined && { subid }) };
        },
      );
    },

    /** Everybody who has an affiliation (XEP-0060 8.9.1), ordered by JID. @throws Fault `forbidden`, `item-not-found` */
    async affiliated(
      name: string,
      requester: string,
      page?: PageAsk,
    ): Promise<Page<{ readonly jid: string; readonly affiliation: Affiliation }>> {
      const node = await known.owned(name, requester);
      const all = [...(await nodes.affiliations(node.id))].map(([jid, affiliation]) => ({ jid, affiliation }));
      return page ? pageIn(all, page, ({ jid }) => jid) : { entries: all, index: 0, count: all.length };
    },

    /** Changes affiliations (XEP-0060 8.9.2); an own node keeps an owner, others belong to the service. @throws Fault `forbidden` */
    async changeAffiliations(
      name: string,
      requester: string,
      changes: readonly AffiliationChange[],
    ): Promise<Changed<{ readonly jid: string; readonly affiliation: Standing }>> {
      const node = await known.owned(name, requester);
      const before = await nodes.affiliations(node.id);
      // What counts is how it would be when all is done: owners may swap places.
      const after = new Map<string, string>(before);
      for (const { jid, affiliation } of changes) if (isJid(jid)) after.set(parseJid(jid).bare, affiliation);
      const wasOwned = node.kind === 'own' && [...before.values()].includes('owner');
      const isOwned = [...after.values()].includes('owner');
      return each(
        changes,
        (change) => {
          const { bare } = parseJid(change.jid);
          const leaves = wasOwned && !isOwned && before.get(bare) === 'owner';
          if (!AFFILIATIONS.includes(change.affiliation) || leaves) throw new Fault('not-acceptable');
          return changeAffiliation(node, bare, change.affiliation as Standing);
        },
        ({ jid }) => ({ jid, affiliation: isJid(jid) ? (before.get(parseJid(jid).bare) ?? 'none') : 'none' }),
      );
    },

    /** An owner's answer to a request for approval (XEP-0060 8.6). @throws Fault `forbidden`, `not-subscribed` */
    async decide(ask: {
      requester: string;
      node: string;
      jid: string;
      subid?: string;
      allow: boolean;
    }): Promise<readonly Notice[]> {
      const node = await known.owned(ask.node, ask.requester);
      const held = (await subscriptions.ofJid(node.id, parseJid(ask.jid).full)).filter(
        (one) => isPending(one) && (ask.subid === undefined || one.subid === ask.subid),
      );
      if (held.length === 0) throw new Fault('not-subscribed', 'Nobody of that address is waiting');
      if (!ask.allow) return Promise.all(held.map((one) => end(one)));
      return (await Promise.all(held.map((one) => approved(node, one)))).flat();
    },

    /** The nodes of this owner on which somebody waits to be approved, with who it is (XEP-0060 8.7). */
    async pending(
      requester: string,
    ): Promise<readonly { readonly node: Node; readonly waiting: readonly Subscription[] }[]> {
      const found = [];
      for (const id of await subscriptions.pendingNodes()) {
        const node = await known.byId(id);
        if (!node || (await known.standing(node, requester)) !== 'owner') continue;
        const waiting: Subscription[] = [];
        for await (const page of subscriptions.ofFeed(id)) waiting.push(...page.filter(isPending));
        if (waiting.length > 0) found.push({ node, waiting });
      }
      return found;
    },
  };
}

/**
 * How a node is configured after `given`: once a feed has credentials, everybody but its members is out for good. A form
 * that brings the first ones says "open" only because that is how it came.
 * @param sealed as `resealed` has it
 * @throws Fault `not-acceptable`
 */
function configAfter({ record, config }: Node, given: ConfigOverrides, sealed: string | undefined): NodeConfig {
  const stays = sealed === undefined ? isPrivate(record) : sealed !== '';
  if (!stays) return { ...config, ...given };
  if (isPrivate(record) && (given.accessModel ?? 'whitelist') !== 'whitelist') {
    throw new Fault('not-acceptable', 'pubsub#access_model must be whitelist: this feed has credentials');
  }
  return { ...config, ...given, accessModel: 'whitelist' };
}

const isPending = ({ state }: Subscription): boolean => state === 'pending';

/** Whether this may be told to everybody. */
function isPublicUri(text: string): boolean {
  const url = text.length > 2_048 || /[\s\p{Cc}\p{Cf}]/u.test(text) ? undefined : urlIn(text);
  return url !== undefined && !url.username && !url.password;
}

function isJid(text: string): boolean {
  try {
    return Boolean(parseJid(text));
  } catch {
    return false;
  }
}

/** Makes the changes one by one; what is refused is told as it still is and stops nothing else. */
async function each<C, T>(
  changes: readonly C[],
  change: (one: C) => Promise<Notice[]>,
  unchanged: (one: C) => Promise<T> | T,
): Promise<Changed<T>> {
  const failed: T[] = [];
  const notices: Notice[] = [];
  for (const one of changes) {
    try {
      notices.push(...(await change(one)));
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      failed.push(await unchanged(one));
    }
  }
  return { failed, notices };
}
