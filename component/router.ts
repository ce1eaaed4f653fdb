import xml, { type Element } from '@xmpp/xml';
import type { Emit } from '../lib/events.js';
import { Fault } from '../lib/faults.js';
import { StreamDown } from './connection.js';
import { errorElement, ourMistake, unknownRequest } from './errors.js';
import { NS, optional } from './stanza.js';

/** One protocol extension: what it advertises and what it answers. */
export interface Xep {
  readonly features: readonly string[];
  readonly routes: readonly Route[];
  /** Hears every presence. */
  readonly presence?: Listen;
  /** Hears every message that is no error. */
  readonly message?: Listen;
}

type Listen = (stanza: Element) => Promise<void> | void;

export interface Route {
  readonly type: 'get' | 'set';
  readonly ns: string;
  readonly name: string;
  readonly answer: Answer;
}

/** Returns the payload of the result, or nothing for an empty one. Throws a Fault to refuse. */
export type Answer = (request: Request) => Promise<Element | Reply | void> | Element | Reply | void;

export interface Request {
  /** The full JID that asks, as the server stamped it. */
  readonly from: string;
  /** The element that says what is wanted: <ping/>, <query/>, the verb inside <pubsub/>. */
  readonly action: Element;
  readonly payload: Element;
}

/** An answer that is more than its payload. */
export interface Reply {
  readonly payload?: Element;
  /** Stanzas that go before the answer. */
  readonly first?: readonly Element[];
  /** Makes the answer an error that carries the payload too. */
  readonly refusal?: Fault;
  /** What follows the answer on the stream. */
  readonly afterwards?: () => Promise<void>;
}

export const get = (ns: string, name: string, answer: Answer): Route => ({ type: 'get', ns, name, answer });
export const set = (ns: string, name: string, answer: Answer): Route => ({ type: 'set', ns, name, answer });

export interface RouterDeps {
  readonly domain: string;
  readonly send: (stanza: Element) => Promise<void>;
  readonly emit: Emit;
  /** Tells the store being away from a mistake of ours. */
  readonly away: (error: unknown) => Fault | undefined;
}

/**
 * Answers each IQ get or set exactly once (RFC 6120 8.2.3) and nothing else ever.
 * @throws Error when two routes answer the same request: such a table must not start
 */
export function createRouter(xeps: readonly Xep[], { domain, send, emit, away }: RouterDeps) {
  const routes = new Map<string, Route>();
  for (const route of xeps.flatMap((xep) => xep.routes)) {
    const id = key(route.type, route.ns, route.name);
    if (routes.has(id)) throw new Error(`Two answers for ${id}`);
    routes.set(id, route);
  }
  const listeners = (what: 'presence' | 'message') =>
    xeps.map((xep) => xep[what]).filter((listen) => listen !== undefined);
  const namespaces = new Set([...routes.values()].map(({ ns }) => ns));
  const inHand = new Set<Promise<void>>();
  let closing = false;

  function routeFor(type: string, payload: Element): { route: Route; action: Element } | undefined {
    // <pubsub/> is an envelope: the verb is whichever child we know; <configure/> and <options/> ride along.
    for (const action of payload.is('pubsub') ? payload.getChildElements() : [payload]) {
      const route = routes.get(key(type, action.getNS(), action.getName()));
      if (route) return { route, action };
    }
    return undefined;
  }

  async function outcomeOf(iq: Element): Promise<Reply> {
    const type = optional(iq, 'type') ?? '';
    const children = iq.getChildElements();
    const [payload] = children;
    if (!optional(iq, 'id') || !payload || children.length !== 1 || (type !== 'get' && type !== 'set')) {
      return { refusal: new Fault('bad-request', 'An IQ has an id, a type and exactly one child') };
    }
    if (iq.attrs['to'] !== domain) return { payload: unknownRequest() };
    const found = routeFor(type, payload);
    if (!found) {
      return namespaces.has(payload.getNS() ?? '')
        ? { refusal: new Fault('unsupported') }
        : { payload: unknownRequest() };
    }
    if (closing) return { refusal: new Fault('unavailable', 'The service is restarting; try again') };
    try {
      const given = await found.route.answer({ from: String(iq.attrs['from']), action: found.action, payload });
      return given instanceof xml.Element ? { payload: given } : (given ?? {});
    } catch (error) {
      const refusal = error instanceof Fault ? error : away(error);
      if (refusal) return { refusal };
      emit('bug', { where: `answer to ${payload.getName()}`, error });
      return { payload: ourMistake() };
    }
  }

  async function answer(iq: Element): Promise<void> {
    const started = performance.now();
    const { payload, refusal, first = [], afterwards } = await outcomeOf(iq);
    const children = [payload, refusal && errorElement(refusal)].filter((child) => child !== undefined);
    const error = children.find((child) => child.is('error'));
    const { from, to, id } = iq.attrs as Record<string, string | undefined>;
    for (const stanza of first) await send(stanza);
    await send(xml('iq', { from: to, to: from, id, type: error ? 'error' : 'result' }, ...children));
    emit('answered', {
      type: String(iq.attrs['type']),
      name: nameOf(iq),
      outcome: error ? (error.getChildElements()[0]?.getName() ?? 'error') : 'result',
      seconds: (performance.now() - started) / 1_000,
    });
    await afterwards?.();
  }

  /** Counts as in hand until it is done; what goes wrong is reported. */
  function take(work: Promise<void>): void {
    const watched = work
      .catch((error: unknown) => {
        if (error instanceof StreamDown || away(error)) {
          // The stream went away under the answer: the server has told the asker already.
          emit('warning', { text: `an answer was not sent: ${String(error)}` });
        } else {
          emit('bug', { where: 'router', error });
        }
      })
      .finally(() => inHand.delete(watched));
    inHand.add(watched);
  }

  return {
    /** Takes any inbound stanza. Never throws. */
    receive(stanza: Element): void {
      const type = optional(stanza, 'type');
      if (stanza.is('presence')) {
        listeners('presence').forEach((listen) => take(hear(listen, stanza)));
      } else if (stanza.is('message')) {
        if (type === 'error') emit('bounced', { condition: conditionOf(stanza) });
        else listeners('message').forEach((listen) => take(hear(listen, stanza)));
      } else if (stanza.is('iq') && type !== 'result' && type !== 'error') {
        take(answer(stanza));
      }
    },
    /** Refuses what comes from now on and waits for what is in hand. */
    async close(): Promise<void> {
      closing = true;
      await Promise.all(inHand);
    },
  };
}

/** Whatever a listener does, it does it later: the next stanza is not kept waiting. */
const hear = async (listen: Listen, stanza: Element): Promise<void> => listen(stanza);

const key = (type: string, ns: string | undefined, name: string) => `${type} {${ns ?? ''}}${name}`;

/** RFC 6120 8.3.3: all conditions there are; strangers must not invent labels for our metrics. */
const CONDITIONS =
  /^(bad-request|conflict|feature-not-implemented|forbidden|gone|internal-server-error|item-not-found|jid-malformed|not-acceptable|not-allowed|not-authorized|policy-violation|recipient-unavailable|redirect|registration-required|remote-server-not-found|remote-server-timeout|resource-constraint|service-unavailable|subscription-required|undefined-condition|unexpected-request)$/;

function conditionOf(bounce: Element): string {
  const conditions = bounce.getChild('error')?.getChildElements() ?? [];
  return conditions.find(({ name }) => CONDITIONS.test(name))?.name ?? 'undefined-condition';
}

// Only names from a fixed set become metric labels: what strangers send could be any number of names.
function nameOf(iq: Element): string {
  const [payload] = iq.getChildElements();
  if (payload?.is('pubsub', NS.pubsub)) {
    const verb = payload.getChildElements()[0]?.getName() ?? '';
    return ['subscribe', 'unsubscribe', 'subscriptions', 'items'].includes(verb) ? verb : 'pubsub';
  }
  return payload?.is('query', NS.discoInfo) || payload?.is('query', NS.discoItems) ? 'disco' : 'other';
}
