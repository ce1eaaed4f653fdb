import type { Element } from '@xmpp/xml';
import { LRUCache } from 'lru-cache';
import { parseJid } from '../lib/domain.js';
import { optional } from './stanza.js';

/** What a resource says of itself (RFC 6121 4.7.2.1); `online` for one that says nothing. */
export type Show = 'away' | 'chat' | 'dnd' | 'online' | 'xa';

/** Who is there for us. Not stored: who counts on it asks for it again after a restart. */
export interface Presences {
  /**
   * The shows of the resources that are there for us, as far as we know: all of a bare JID's, or that of a full JID; []
   * when none is. The JID is a normalised one.
   */
  shows(jid: string): readonly Show[];
  /** A resource has become available that was not. */
  onAvailable(listener: (fullJid: string) => void): void;
  /**
   * A resource has gone. Whoever says so of a resource that we did not know is told of too, under the full JID or the
   * bare one, because a restart forgets who was there, but not what should end when they go.
   */
  onUnavailable(listener: (jid: string) => void): void;
}

/** The same for whoever hears the stanzas. */
export interface PresenceBook extends Presences {
  /**
   * Takes any inbound presence; what makes no sense is ignored. True when a resource has become available that was not.
   */
  receive(stanza: Element): boolean;
}

/** A JID, taken apart. */
export type Address = ReturnType<typeof parseJid>;

/** Whose stanza this is, or undefined where that makes no sense. */
export function senderOf(stanza: Element): Address | undefined {
  try {
    return parseJid(optional(stanza, 'from') ?? '');
  } catch {
    return undefined;
  }
}

/**
 * Nobody is there in the beginning. Of more than `most.people` bare JIDs, or `most.resources` of one, the least recently
 * heard of are forgotten; nobody is told that they have gone, because they have not.
 */
export function createPresences({
  most,
}: {
  readonly most: { readonly people: number; readonly resources: number };
}): PresenceBook {
  // By the bare JID; then by the full JID, the least recently heard of first.
  const people = new LRUCache<string, Map<string, Show>>({ max: most.people });
  const arrivals: ((jid: string) => void)[] = [];
  const departures: ((jid: string) => void)[] = [];

  function come({ full, bare }: Address, show: Show): boolean {
    const resources = people.get(bare) ?? new Map<string, Show>();
    const isNew = !resources.delete(full);
    resources.set(full, show);
    const [oldest] = resources.keys();
    if (oldest !== undefined && resources.size > most.resources) resources.delete(oldest);
    people.set(bare, resources);
    if (isNew) for (const listener of arrivals) listener(full);
    return isNew;
  }

  /** The resource, or all resources of the bare JID, as far as we know them. */
  const known = ({ full, bare }: Address): string[] =>
    [...(people.peek(bare)?.keys() ?? [])].filter((resource) => full === bare || full === resource);

  function go({ bare }: Address, gone: Iterable<string>): void {
    const resources = people.peek(bare);
    for (const jid of gone) resources?.delete(jid);
    if (resources?.size === 0) people.delete(bare);
    for (const jid of gone) for (const listener of departures) listener(jid);
  }

  return {
    shows(jid) {
      const slash = jid.indexOf('/');
      // Asking is not hearing: it must not keep anybody from being forgotten.
      const resources = people.peek(slash < 0 ? jid : jid.slice(0, slash));
      if (slash < 0) return [...(resources?.values() ?? [])];
      const show = resources?.get(jid);
      return show ? [show] : [];
    },
    onAvailable: (listener) => void arrivals.push(listener),
    onUnavailable: (listener) => void departures.push(listener),
    receive(stanza) {
      const from = senderOf(stanza);
      if (!from) return false;
      const type = optional(stanza, 'type');
      if (type === undefined) return come(from, showOf(stanza));
      // RFC 6121 4.3.2: a bare JID that is unavailable has no resource left.
      if (type === 'unavailable') go(from, new Set([...known(from), from.full]));
      if (type === 'error') go(from, known(from));
      // A server says this for a bare JID, and also to a presence probe that it will not answer.
      if (type === 'unsubscribed') go(from, known({ ...from, full: from.bare }));
      return false;
    },
  };
}

function showOf(stanza: Element): Show {
  const show = stanza.getChildText('show')?.trim();
  return show === 'away' || show === 'chat' || show === 'dnd' || show === 'xa' ? show : 'online';
}
