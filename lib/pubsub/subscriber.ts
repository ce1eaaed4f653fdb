import { parseFeedUrl, parseJid, type Affiliation, type PageAsk, type Page, type Subscription } from '../domain.js';
import { Fault } from '../faults.js';
import { differing, type Submitted } from '../fields.js';
import { indexEntry, indexPayload, matches, parseFilter } from '../filter.js';
import { defaultOptions, readOptions, type Options } from '../options.js';
import type { NodeStore } from '../store/nodes.js';
import type { SubscriptionStore } from '../store/subscriptions.js';
import { isUrl, type Node, type Nodes, type Policy } from './nodes.js';
import { pageIn, type PublishedItem } from './reader.js';

export interface Ask {
  readonly requester: string;
  /** The node as they name it. */
  readonly node: string;
  readonly jid: string;
  readonly subid?: string;
}

export interface SubscribeAsk extends Ask {
  readonly options?: Submitted;
}

/** A subscription and how it is served. */
export interface Held {
  readonly subscription: Subscription;
  readonly node: Node;
  readonly options: Options;
}

/** What somebody has to be told because somebody else did something; `to` is who it is for. */
export type Notice =
  /** XEP-0060 8.8.4, 13.14: a subscription is now in this state. */
  | {
      readonly kind: 'subscription';
      readonly to: string;
      readonly subscription: Pick<Subscription, 'node' | 'jid' | 'subid' | 'room'>;
      readonly state: 'subscribed' | 'pending' | 'none';
    }
  /** XEP-0060 8.9.4. */
  | {
      readonly kind: 'affiliation';
      readonly to: string;
      readonly node: string;
      readonly affiliation: Affiliation | 'none';
    }
  /** XEP-0060 8.6: an owner is asked to approve. */
  | { readonly kind: 'approval'; readonly to: string; readonly node: string; readonly subscription: Subscription }
  /** The latest item, for who has just been let in. */
  | { readonly kind: 'latest'; readonly held: Held; readonly item: PublishedItem };

export interface SubscriberDeps {
  readonly nodes: Pick<NodeStore, 'affiliations' | 'affiliationsOf'>;
  readonly subscriptions: Pick<SubscriptionStore, 'put' | 'remove' | 'ofJid' | 'ofPerson' | 'countOfPerson'>;
  readonly latest: (node: Node) => Promise<readonly PublishedItem[]>;
  /** Whether there is a chat room at this address (XEP-0045). */
  readonly isRoom: (jid: string) => Promise<boolean>;
  /** Goes into a chat room, for good. @throws Fault `not-allowed` when it does not let us in */
  readonly enterRoom: (jid: string) => Promise<void>;
  readonly now: () => number;
  /** A text that nobody has had before and nobody can guess, of letters and digits. */
  readonly newId: () => string;
  readonly policy: Policy;
}

/** What a subscriber does (XEP-0060 5.6, 5.7, 6.1 to 6.4). */
export function createSubscriber(known: Nodes, deps: SubscriberDeps) {
  const { subscriptions, now, newId, policy } = deps;
  const turns = new Map<string, Promise<unknown>>();

  const heldOn = (node: Node, subscription: Subscription): Held => ({
    subscription,
    node,
    options: { ...defaultOptions(node.config), ...subscription.options },
  });

  const isOver = ({ options: { expire } }: Subscription) => typeof expire === 'number' && expire <= now();

  /** Lets what one person changes go one after another: requests come faster than the store answers. */
  function inTurn<T>(jid: string, work: () => Promise<T>): Promise<T> {
    const { bare } = parseJid(jid);
    const turn = (turns.get(bare) ?? Promise.resolve()).then(work, work);
    turns.set(bare, turn);
    const done = () => {
      if (turns.get(bare) === turn) turns.delete(bare);
    };
    turn.then(done, done);
    return turn;
  }

  /** Sees to it that nobody subscribes others; rooms cannot subscribe themselves, so admins do that. */
  async function checkSubscriber(requester: string, jid: string): Promise<Pick<Subscription, 'jid' | 'room'>> {
    const subscriber = parseJid(jid);
    if (subscriber.bare === parseJid(requester).bare) return { jid: subscriber.full };
    if (known.isAdmin(requester) && subscriber.full === subscriber.bare && (await deps.isRoom(subscriber.bare))) {
      return { jid: subscriber.bare, room: true };
    }
    throw new Fault('invalid-jid', 'You may only subscribe yourself');
  }

  /** The owners, who are told and asked: those of the node, and the admins. */
  async function ownersOf(node: Node): Promise<readonly string[]> {
    const affiliations = [...(await deps.nodes.affiliations(node.id))];
    return [...new Set([...policy.admins, ...affiliations.filter(([, one]) => one === 'owner').map(([jid]) => jid)])];
  }

  /** What owners are told of a subscription that begins or ends (`pubsub#notify_sub`). */
  async function toOwners(node: Node, subscription: Subscription, state: 'subscribed' | 'none'): Promise<Notice[]> {
    if (!node.config.notifySub) return [];
    const owners = await ownersOf(node);
    return owners.map((to) => ({
      kind: 'subscription',
      to,
      subscription: { ...subscription, node: node.name },
      state,
    }));
  }

  /** The latest item, where the node sends it to whoever subscribes, and it is one that they want. */
  async function welcome(held: Held): Promise<Notice[]> {
    const { deliver, filter } = held.options;
    if (held.node.config.sendLastPublishedItem === 'never' || !deliver) return [];
    const latest = await deps.latest(held.node);
    const query = filter ? parseFilter(filter) : undefined;
    const index = (item: PublishedItem) => ('entry' in item ? indexEntry(item) : indexPayload(item.payload));
    const wanted = query ? latest.filter((item) => matches(query, index(item))) : latest;
    return wanted.map((item) => ({ kind: 'latest', held, item }));
  }

  /**
   * The one subscription that a request is about.
   * @throws Fault `not-subscribed`, `subid-required`, `invalid-subid` (XEP-0060 6.2.3, 6.3.4)
   */
  async function theOne(node: Node, jid: string, subid: string | undefined): Promise<Subscription> {
    const held = (await subscriptions.ofJid(node.id, jid)).filter((one) => !isOver(one));
    const [first] = held;
    if (!first) throw new Fault('not-subscribed');
    if (subid === undefined) {
      if (held.length > 1) throw new Fault('subid-required', 'There are several subscriptions; say which one');
      return first;
    }
    const named = held.find((one) => one.subid === subid);
    if (!named) throw new Fault('invalid-subid');
    return named;
  }

  /** The subscription of somebody who may speak for its JID. @throws Fault `forbidden` */
  async function own({ requester, node: name, jid, subid }: Ask): Promise<Held> {
    const subscriber = parseJid(jid);
    if (subscriber.bare !== parseJid(requester).bare && !known.isAdmin(requester)) {
      throw new Fault('forbidden', 'That is the subscription of somebody else');
    }
    const found = await known.find(name);
    const here = found ? await subscriptions.ofJid(found.id, subscriber.full) : [];
    // By the name it was made with first: a page's URL may stand for another feed by now.
    const elsewhere = here.some((one) => one.node === name)
      ? undefined
      : (await subscriptions.ofPerson(jid)).find((one) => one.jid === subscriber.full && one.node === name)?.feed;
    const node = (elsewhere && (await known.byId(elsewhere))) ?? found ?? (await known.existing(name));
    return heldOn(node, await theOne(node, subscriber.full, subid));
  }

  return {
    heldOn,
    welcome,
    ownersOf,

    /**
     * Subscribes; a URL that nobody follows yet is looked at first. Whoever asks without options, or with those of a
     * subscription that they hold, gets that subscription; with others, one more. `notices` finds out whom to tell, once
     * that is answered.
     * @throws Fault as XEP-0060 6.1.3 has them, `invalid-options`, and those of a URL that is no feed
     */
    async subscribe(ask: SubscribeAsk): Promise<Held & { readonly notices: () => Promise<readonly Notice[]> }> {
      const { requester, node: name } = ask;
      const who = await checkSubscriber(requester, ask.jid);
      const { jid } = who;
      const found = await known.find(name);
      if (!found && !isUrl(name)) await known.existing(name);
      if (!found) await known.refuseIfMoved(name);

      const isFull = (count: number) => count >= policy.maxSubscriptions;
      const full = () =>
        new Fault('too-many-subscriptions', `At most ${policy.maxSubscriptions} subscriptions per person`);
      if (!found && isFull(await subscriptions.countOfPerson(jid))) throw full();
      const node = found ?? (await known.discovered(parseFeedUrl(name), requester));

      return inTurn(jid, async () => {
        const [admitted, all, count] = await Promise.all([
          known.admit(node, requester),
          subscriptions.ofJid(node.id, jid),
          subscriptions.countOfPerson(jid),
        ]);
        if (!node.config.subscribe) {
          throw new Fault('unsupported', 'This node takes no subscriptions', { feature: 'subscribe' });
        }
        const defaults = defaultOptions(node.config);
        const given = ask.options && readOptions(ask.options, now());
        const options = given && differing({ ...defaults, ...given }, defaults);
        const held = all.filter((one) => !isOver(one));
        const before = options ? held.find((one) => isSame(one.options, options)) : held[0];
        // Whoever has been let in once need not be asked about a second subscription.
        const isIn = admitted === 'in' || held.some(({ state }) => state === 'subscribed');
        if (!isIn && held.length > 0) throw new Fault('pending-subscription', 'An owner has yet to approve it');
        if (!before && isFull(count)) throw full();
        if (who.room) await deps.enterRoom(jid);

        const subscription: Subscription = {
          ...(before ?? { feed: node.id, subid: newId(), since: now(), options: options ?? {} }),
          ...who,
          node: name,
          state: isIn ? 'subscribed' : 'pending',
        };
        await subscriptions.put(subscription);
        const result = heldOn(node, subscription);
        const notices = async (): Promise<Notice[]> => {
          if (subscription.state === 'pending') {
            const owners = await ownersOf(node);
            return owners.map((to) => ({ kind: 'approval', to, node: node.name, subscription }));
          }
          const told = before?.state === 'subscribed' ? [] : await toOwners(node, subscription, 'subscribed');
          return [...(await welcome(result)), ...told];
        };
        return { ...result, notices };
      });
    },

    /** Ends a subscription. @throws Fault as XEP-0060 6.2.3 has them */
    async unsubscribe(ask: Ask): Promise<{ readonly ended: Subscription; readonly notices: readonly Notice[] }> {
      return inTurn(ask.jid, async () => {
        const { subscription, node } = await own(ask);
        await subscriptions.remove(subscription);
        const told = await toOwners(node, subscription, 'none');
        const isOther = parseJid(ask.requester).bare !== parseJid(subscription.jid).bare;
        const other: Notice = { kind: 'subscription', to: subscription.jid, subscription, state: 'none' };
        return { ended: { ...subscription, node: ask.node }, notices: isOther ? [other, ...told] : told };
      });
    },

    /** The options of a subscription (XEP-0060 6.3.2). @throws Fault as XEP-0060 6.3.4 has them */
    options: own,

    /** Changes the options that were submitted (XEP-0060 6.3.5). @throws Fault as `options`, `invalid-options` */
    async configureSubscription(ask: Ask & { readonly options: Submitted }): Promise<void> {
      await inTurn(ask.jid, async () => {
        const { subscription, node, options } = await own(ask);
        const wanted = { ...options, ...readOptions(ask.options, now()) };
        await subscriptions.put({ ...subscription, options: differing(wanted, defaultOptions(node.config)) });
      });
    },

    /** The options of a subscription for which none were given (XEP-0060 6.4), of the node or of any feed. */
    async defaultOptions(name: string | undefined): Promise<Options> {
      const node = name === undefined ? known.fresh('default', {}) : await known.existing(name);
      return defaultOptions(node.config);
    },

    /** What the requester's bare JID holds, on one node or on all; the cursor is a SubID. */
    async subscriptions(requester: string, name?: string, page?: PageAsk): Promise<Page<Subscription>> {
      const node = name === undefined ? undefined : await known.existing(name);
      const all = (await subscriptions.ofPerson(requester)).filter(
        (one) => !isOver(one) && (node === undefined || one.feed === node.id),
      );
      return page ? pageIn(all, page, ({ subid }) => subid) : { entries: all, index: 0, count: all.length };
    },

    /** How the requester stands to one node, or to all that they have anything to do with; the cursor is a NodeID. */
    async affiliations(
      requester: string,
      name?: string,
      page?: PageAsk,
    ): Promise<Page<{ readonly node: string; readonly affiliation: Affiliation }>> {
      const { bare } = parseJid(requester);
      if (name !== undefined) {
        const node = await known.existing(name);
        const standing = await known.standing(node, bare);
        const entries = standing === 'none' ? [] : [{ node: name, affiliation: standing }];
        return { entries, index: 0, count: entries.length };
      }
      const all = await Promise.all(
        (await deps.nodes.affiliationsOf(bare)).map(async ({ id, affiliation }) => {
          const node = await known.byId(id);
          return node && { node: node.name, affiliation };
        }),
      );
      const there = all.filter((one) => one !== undefined);
      return page ? pageIn(there, page, ({ node }) => node) : { entries: there, index: 0, count: there.length };
    },

    /**
     * What somebody is sent who has come online: the latest items of nodes that do so.
     * @param shows what the resource says of itself (RFC 6121 4.7.2.1)
     */
    async arrived(jid: string, shows: readonly string[]): Promise<readonly Notice[]> {
      const { full, bare } = parseJid(jid);
      const held = await subscriptions.ofPerson(jid);
      const mine = held.filter((one) => one.state === 'subscribed' && !isOver(one) && [full, bare].includes(one.jid));
      const notices = mine.map(async (subscription): Promise<Notice[]> => {
        const node = await known.byId(subscription.feed);
        if (node?.config.sendLastPublishedItem !== 'on_sub_and_presence') return [];
        // XEP-0060 6.1.7: to the resource that has come, not to those that have it already.
        const arrival = heldOn(node, { ...subscription, jid: full });
        const { showValues } = arrival.options;
        const isWanted = showValues.length === 0 || showValues.some((show) => shows.includes(show));
        return isWanted ? welcome(arrival) : [];
      });
      return (await Promise.all(notices)).flat();
    },

    /** Ends what was to last as long as somebody is online (XEP-0060 13.5); `isThere` tells whether a JID still is. */
    async left(jid: string, isThere: (jid: string) => boolean): Promise<void> {
      const { full, bare } = parseJid(jid);
      for (const one of await subscriptions.ofPerson(jid)) {
        // Of a bare JID it is said when none of its resources is there.
        const isMeant = full === bare || [full, bare].includes(one.jid);
        if (one.options.expire === 'presence' && isMeant && !isThere(one.jid)) {
          await subscriptions.remove(one);
        }
      }
    },
  };
}

const isSame = (one: object, other: object) =>
  JSON.stringify(Object.entries(one).sort()) === JSON.stringify(Object.entries(other).sort());
