import xml, { type Element } from '@xmpp/xml';
import type { Emit } from '../lib/events.js';
import { Fault } from '../lib/faults.js';
import { errorElement, ourMistake, unknownRequest } from './errors.js';
import { NS, optional } from './stanza.js';

/** One protocol extension: what it advertises and what it answers. */
export interface Xep {
  readonly features: readonly string[];
  readonly routes: readonly Route[];
}

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

/** A result and what follows it on the stream. */
export interface Reply {
  readonly payload: Element;
  readonly afterwards: () => Promise<void>;
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

  async function outcomeOf(iq: Element): Promise<Element | Reply | void> {
    const type = optional(iq, 'type') ?? '';
    const children = iq.getChildElements();
    const [payload] = children;
    if (!optional(iq, 'id') || !payload || children.length !== 1 || (type !== 'get' && type !== 'set')) {
      return errorElement(new Fault('bad-request', 'An IQ has an id, a type and exactly one child'));
    }
    if (iq.attrs['to'] !== domain) return unknownRequest();
    const found = routeFor(type, payload);
    if (!found) {
      return namespaces.has(payload.getNS() ?? '') ? errorElement(new Fault('unsupported')) : unknownRequest();
    }
    if (closing) return errorElement(new Fault('unavailable', 'The service is restarting; try again'));
    try {
      return await found.route.answer({ from: String(iq.attrs['from']), action: found.action, payload });
    } catch (error) {
      const fault = error instanceof Fault ? error : away(error);
      if (fault) return errorElement(fault);
      emit('bug', { where: `answer to ${payload.getName()}`, error });
      return ourMistake();
    }
  }

  async function answer(iq: Element): Promise<void> {
    const started = performance.now();
    const outcome = await outcomeOf(iq);
    const reply = outcome && 'afterwards' in outcome ? outcome : undefined;
    const child = reply ? reply.payload : (outcome as Element | void);
    const isError = child?.is('error') ?? false;
    const { from, to, id } = iq.attrs as Record<string, string | undefined>;
    await send(xml('iq', { from: to, to: from, id, type: isError ? 'error' : 'result' }, ...(child ? [child] : [])));
    emit('answered', {
      type: String(iq.attrs['type']),
      name: nameOf(iq),
      outcome: isError ? (child?.getChildElements()[0]?.getName() ?? 'error') : 'result',
      seconds: (performance.now() - started) / 1_000,
    });
    await reply?.afterwards();
  }

  return {
    /** Takes any inbound stanza. Never throws. */
    receive(stanza: Element): void {
      if (stanza.is('message') && stanza.attrs['type'] === 'error') {
        emit('bounced', { condition: conditionOf(stanza) });
        return;
      }
      if (!stanza.is('iq') || ['result', 'error'].includes(String(stanza.attrs['type']))) return;
      const work = answer(stanza)
        // The stream went away under the answer: the server has told the asker already.
        .catch((error: unknown) => emit('warning', { text: `an answer was not sent: ${String(error)}` }))
        .finally(() => inHand.delete(work));
      inHand.add(work);
    },
    /** Refuses what comes from now on and waits for what is in hand. */
    async close(): Promise<void> {
      closing = true;
      await Promise.all(inHand);
    },
  };
}

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
