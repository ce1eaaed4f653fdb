import { EventEmitter, once } from 'node:events';
import xml, { type Element } from '@xmpp/xml';
import type { Subscription } from '../lib/domain.js';
import { Fault } from '../lib/faults.js';
import type { Options } from '../lib/options.js';
import type { ContactStore } from '../lib/store/contacts.js';
import type { SubscriptionStore } from '../lib/store/subscriptions.js';
import type { Connection } from './connection.js';
import { speakerOf } from './event.js';
import { senderOf, type Address } from './presence.js';
import { NS, optional } from './stanza.js';

const MUC = 'http://jabber.org/protocol/muc';
const NICK = 'Hydrant';
const NICKS = 3;
const ANSWER_MS = 5_000;
// Kicked, banned, no longer a member (XEP-0045 15.6.2): who wants us back says so.
const PUT_OUT = ['301', '307', '321', '322'];

export interface RoomsDeps {
  readonly domain: string;
  readonly connection: Pick<Connection, 'request' | 'send'>;
  /** Bare JIDs of the rooms to be in; one that nothing is to be told to is no harm. */
  readonly store: Pick<ContactStore, 'add' | 'all' | 'remove'>;
  readonly subscriptions: Pick<SubscriptionStore, 'ofPerson'>;
}

/** How a subscriber is told: rooms always get a text, and nothing but that. */
export const mannerOf = ({ room }: Pick<Subscription, 'room'>, { messageType, includeBody }: Options) =>
  room ? ({ type: 'groupchat', hasBody: true } as const) : ({ type: messageType, hasBody: includeBody } as const);

/** The chat rooms (XEP-0045) that follow nodes: only who is in a room can speak there. */
export function createRooms({ domain, connection, store, subscriptions }: RoomsDeps) {
  const speaker = speakerOf(domain);
  /** Where we are on this stream, or are about to be. */
  const places = new Map<string, { nick: string; state: 'asked' | 'in' | 'put out' }>();
  /** By the room: how it answered, nothing or a condition. */
  const answers = new EventEmitter();

  async function knock(room: string, nick = NICK): Promise<void> {
    places.set(room, { nick, state: 'asked' });
    const inside = xml('x', { xmlns: MUC }, xml('history', { maxstanzas: '0' }));
    await connection.send(xml('presence', { from: speaker, to: `${room}/${nick}` }, inside));
  }

  async function depart(room: string): Promise<void> {
    const place = places.get(room);
    places.delete(room);
    const farewell = xml('presence', { from: speaker, to: `${room}/${place?.nick ?? NICK}`, type: 'unavailable' });
    // Without a stream we are not there.
    if (place) await connection.send(farewell).catch(() => undefined);
  }

  const isIdle = async (room: string) => (await subscriptions.ofPerson(room)).length === 0;

  /** A presence from a room that we are in, or want to be in. */
  async function hear({ bare: room, full }: Address, presence: Element): Promise<void> {
    const place = places.get(room);
    const type = optional(presence, 'type');
    const codes =
      presence
        .getChild('x', `${MUC}#user`)
        ?.getChildren('status')
        .map(({ attrs }) => String(attrs['code'])) ?? [];
    if (!place) return;
    if (type === 'error') {
      const condition = presence.getChild('error')?.getChildElements()[0]?.name ?? 'undefined-condition';
      if (condition === 'conflict' && place.nick.length < NICK.length + NICKS) return knock(room, `${place.nick}_`);
      places.delete(room);
      answers.emit(`from ${room}`, condition);
    } else if (full === `${room}/${place.nick}` || codes.includes('110')) {
      if (type === 'unavailable') {
        if (codes.some((code) => PUT_OUT.includes(code))) place.state = 'put out';
        else places.delete(room);
      } else if (codes.includes('201')) {
        // It is only there because we came, and locked until somebody has set it up.
        await depart(room);
        answers.emit(`from ${room}`, 'item-not-found');
      } else {
        places.set(room, { nick: full.slice(room.length + 1), state: 'in' });
        answers.emit(`from ${room}`);
      }
    }
  }

  return {
    /** Whether somebody at this address says that it is a chat room (XEP-0045 6.4). */
    async isRoom(jid: string): Promise<boolean> {
      const question = xml('iq', { type: 'get', to: jid }, xml('query', { xmlns: NS.discoInfo }));
      const answer = await connection.request(question, ANSWER_MS).catch(() => undefined);
      const identities = answer?.getChild('query', NS.discoInfo)?.getChildren('identity') ?? [];
      return answer?.attrs['type'] === 'result' && identities.some(({ attrs }) => attrs['category'] === 'conference');
    },

    /** Goes into a room, now and whenever a stream comes up. @throws Fault `not-allowed` when it does not let us in */
    async enter(room: string): Promise<void> {
      if (places.get(room)?.state !== 'in') {
        const answer = once(answers, `from ${room}`, { signal: AbortSignal.timeout(ANSWER_MS) }).catch(() => [
          'timeout',
        ]);
        await knock(room);
        const [problem] = await answer;
        if (problem) throw new Fault('not-allowed', `The room does not let us in: ${String(problem)}`);
      }
      await store.add(room);
    },

    /** Sees to it that what is sent next finds us in the room, if we can go there. */
    async ready(room: string): Promise<void> {
      if (!places.has(room)) await knock(room);
    },

    /** Goes into all rooms; to be called when a stream is up. */
    async enterAll(): Promise<void> {
      places.clear();
      for await (const page of store.all()) {
        for (const room of page) {
          if (await isIdle(room)) await store.remove(room);
          else if (!places.has(room)) await knock(room);
        }
      }
    },

    /** Leaves the rooms in which nothing is to be told any more: this one, or any. */
    async tidy(room?: string): Promise<void> {
      for (const one of room === undefined ? [...places.keys()] : [room]) {
        if (!places.has(one) || !(await isIdle(one))) continue;
        await depart(one);
        await store.remove(one);
      }
    },

    /** Leaves all rooms, till the next stream. */
    async leaveAll(): Promise<void> {
      await Promise.all([...places.keys()].map(depart));
    },

    /** Takes what comes to us as somebody in a room; false for everything else. */
    receive(stanza: Element): boolean {
      const from = senderOf(stanza);
      if (stanza.attrs['to'] !== speaker || stanza.is('iq') || !from) return false;
      const isBounce = stanza.is('message') && optional(stanza, 'type') === 'error';
      // A room that was started anew does not tell us that we are no longer there.
      if (isBounce && places.get(from.bare)?.state === 'in') places.delete(from.bare);
      if (stanza.is('presence')) void hear(from, stanza).catch(() => undefined);
      return !isBounce;
    },
  };
}
