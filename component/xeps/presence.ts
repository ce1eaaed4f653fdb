import { randomUUID } from 'node:crypto';
import xml, { type Element } from '@xmpp/xml';
import { LRUCache } from 'lru-cache';
import type { ContactStore } from '../../lib/store/contacts.js';
import { senderOf, type PresenceBook } from '../presence.js';
import type { Xep } from '../router.js';
import { optional } from '../stanza.js';

export interface PresenceDeps {
  readonly presences: PresenceBook;
  readonly contacts: Pick<ContactStore, 'add' | 'all' | 'count' | 'has' | 'remove'>;
  /** Our own address. */
  readonly domain: string;
  readonly send: (stanza: Element) => Promise<void>;
  /** Resolves when everything sent so far has been routed. */
  readonly drain: () => Promise<void>;
  /** A new <c/> (XEP-0115) of ours. */
  readonly caps: () => Element;
}

export interface PresenceXep extends Xep {
  /**
   * Shows us to every contact and asks how they are (RFC 6121 4.3); the answers come like any presence. To be called
   * when a stream is up; a later call, or leave(), ends an earlier one. Rejects when the stream or the store goes away.
   */
  announce(): Promise<void>;
  /** Tells every contact that we go, and resolves when that is routed. Rejects like announce(). */
  leave(): Promise<void>;
}

// So many stanzas are on their way to the server before it has to say that it keeps up.
const BURST = 50;
// A server can invent people as it likes. Each costs two stanzas whenever a stream comes up.
const MOST_CONTACTS = 100_000;
// What one person may have in hand at once; somebody whose server speaks for them needs two.
const MOST_WAITING = 10;
// How many may have been asked for their presence without anything having come back.
const MOST_ASKED = 1_000;

/**
 * The presence of our own address (RFC 6121 3 and 4): anybody may subscribe to it, and is asked for theirs once.
 * The store is written before anything is answered; when it is away there is no answer, and servers ask again.
 */
export function presence({ presences, contacts, domain, send, drain, caps }: PresenceDeps): PresenceXep {
  const inHand = new Map<string, { count: number; last: Promise<void> }>();
  const asked = new LRUCache<string, true>({ max: MOST_ASKED });
  let round = 0;

  // RFC 6121 3.1.4: the id of an approval is not that of the request.
  const stanza = (to: string, type?: string): Element =>
    xml('presence', { from: domain, to, id: randomUUID(), ...(type && { type }) }, ...(type ? [] : [caps()]));

  /** One after the other for each person: what was asked last is what holds. */
  async function inTurn(person: string, work: () => Promise<void>): Promise<void> {
    const turns = inHand.get(person) ?? { count: 0, last: Promise.resolve() };
    if (turns.count === MOST_WAITING) return;
    turns.count += 1;
    inHand.set(person, turns);
    const done = turns.last.then(work).finally(() => {
      turns.count -= 1;
      if (turns.count === 0) inHand.delete(person);
    });
    turns.last = done.catch(() => undefined);
    await done;
  }

  async function subscribe(person: string): Promise<void> {
    if (!(await contacts.has(person)) && (await contacts.count()) >= MOST_CONTACTS) {
      await send(stanza(person, 'unsubscribed'));
      return;
    }
    const isNew = await contacts.add(person);
    await send(stanza(person, 'subscribed'));
    await send(stanza(person));
    // Only once: whoever does the same as we do would be asked for ever.
    if (!isNew) return;
    asked.set(person, true);
    await send(stanza(person, 'subscribe'));
  }

  async function unsubscribe(person: string): Promise<void> {
    await contacts.remove(person);
    // RFC 6121 3.2.2: in this order, for with the second the subscription ends.
    await send(stanza(person, 'unavailable'));
    await send(stanza(person, 'unsubscribed'));
  }

  /** RFC 6121 4.3.2: a stranger's server is told that there is no subscription. */
  async function show(person: string, asker: string): Promise<void> {
    await send((await contacts.has(person)) ? stanza(asker) : stanza(person, 'unsubscribed'));
  }

  async function tellAll(...types: readonly (string | undefined)[]): Promise<void> {
    const mine = ++round;
    let sent = 0;
    for await (const page of contacts.all()) {
      for (const person of page) {
        for (const type of types) {
          if (mine !== round) return;
          await send(stanza(person, type));
          if (++sent % BURST === 0) await drain();
        }
      }
    }
    if (sent % BURST > 0) await drain();
  }

  return {
    features: [],
    routes: [],
    async presence(heard) {
      const from = senderOf(heard);
      // What we say to ourselves comes back.
      if (!from || from.domain === domain || heard.attrs['to'] !== domain) return;
      const { bare, full } = from;
      const type = optional(heard, 'type');
      switch (type) {
        case 'subscribe':
          return inTurn(bare, () => subscribe(bare));
        case 'unsubscribe':
          return inTurn(bare, () => unsubscribe(bare));
        case 'probe':
          return inTurn(bare, () => show(bare, full));
        default:
          // With this a server may acknowledge `subscribe`, whoever is there: nobody has gone then.
          if (asked.delete(bare) && type === 'unavailable' && full === bare) return;
          // Only the first of a resource is answered: the other side may be one that answers too.
          if (presences.receive(heard)) await send(stanza(full));
      }
    },
    announce: () => tellAll(undefined, 'probe'),
    leave: () => tellAll('unavailable'),
  };
}
