import { describe, expect, it } from '@jest/globals';
import xml, { type Element } from '@xmpp/xml';
import { StreamDown } from '../../component/connection.js';
import { createRooms } from '../../component/rooms.js';
import { feedIdOf } from '../../lib/domain.js';
import { memoryStores } from '../support/memory.js';
import { BLOG, subscriptionOf } from '../support/stores.js';

const FEED = feedIdOf(BLOG);
const DOMAIN = 'feeds.example';
const US = `news@${DOMAIN}/hydrant`;
const ROOM = 'verona@rooms.example';
const OTHER = 'padua@rooms.example';
const MUC_USER = 'http://jabber.org/protocol/muc#user';

function bench() {
  const { rooms: store, subscriptions } = memoryStores();
  const sent: string[] = [];
  const state = { isUp: true };
  const connection = {
    async send({ name, attrs }: Element): Promise<void> {
      if (!state.isUp) throw new StreamDown(undefined);
      expect([name, attrs['from']]).toEqual(['presence', US]);
      sent.push([attrs['type'], attrs['to']].filter(Boolean).join(' '));
    },
    request: async () => xml('iq', { type: 'error' }),
  };
  const rooms = createRooms({ domain: DOMAIN, connection, store, subscriptions });
  const from = (nick: string, attributes: object, ...children: Element[]) =>
    rooms.receive(xml('presence', { from: `${ROOM}/${nick}`, to: US, ...attributes }, ...children));
  const codes = (all: readonly number[]) =>
    xml('x', { xmlns: MUC_USER }, ...all.map((code) => xml('status', { code: String(code) })));
  return {
    ...rooms,
    store,
    state,
    follow: (room = ROOM) => subscriptions.put(subscriptionOf(FEED, room, { room: true })),
    unfollow: () => subscriptions.remove(subscriptionOf(FEED, ROOM)),
    /** What was sent since this was last asked. */
    sent: () => sent.splice(0),
    /** The room shows somebody; with a code of 110, us. */
    shows: (nick: string, ...all: number[]) => from(nick, {}, codes(all)),
    removes: (nick: string, ...all: number[]) => from(nick, { type: 'unavailable' }, codes(all)),
    refuses: (nick: string, condition: string) =>
      from(nick, { type: 'error' }, xml('error', { type: 'cancel' }, xml(condition))),
    bounces: () => rooms.receive(xml('message', { from: ROOM, to: US, type: 'error' })),
    /** Lets what was begun come to an end. */
    settled: () => new Promise((resolve) => setImmediate(resolve)),
  };
}

const code = (asked: Promise<unknown>) =>
  asked.then(
    () => 'no refusal',
    (error: unknown) => `${(error as { code: string }).code}: ${String(error)}`,
  );

describe('a room', () => {
  it('is entered when it shows us in it, whatever name it gives us', async () => {
    const { enter, shows, ready, leaveAll, sent, store } = bench();
    const entered = enter(ROOM);
    expect(sent()).toEqual([`${ROOM}/Hydrant`]);
    shows('Romeo');
    shows('Bot', 110, 210);
    await entered;
    expect(await store.has(ROOM)).toBe(true);
    await enter(ROOM);
    await ready(ROOM);
    expect(sent()).toEqual([]);
    await leaveAll();
    expect(sent()).toEqual([`unavailable ${ROOM}/Bot`]);
  });

  it('in which somebody has our name is tried under a few others', async () => {
    const { enter, refuses, sent, settled, store } = bench();
    const entered = code(enter(ROOM));
    for (const nick of ['Hydrant', 'Hydrant_', 'Hydrant__', 'Hydrant___']) {
      await settled();
      expect(sent()).toEqual([`${ROOM}/${nick}`]);
      refuses(nick, 'conflict');
    }
    expect(await entered).toMatch(/^not-allowed: .*conflict/);
    expect(await store.has(ROOM)).toBe(false);
  });

  it('that does not let us in is not kept', async () => {
    const { enter, refuses, ready, sent, store } = bench();
    const entered = code(enter(ROOM));
    refuses('Hydrant', 'registration-required');
    expect(await entered).toMatch(/^not-allowed: .*registration-required/);
    expect(await store.has(ROOM)).toBe(false);
    sent();
    await ready(ROOM);
    expect(sent()).toEqual([`${ROOM}/Hydrant`]);
  });

  it('that is there only because we came is left at once', async () => {
    const { enter, shows, sent, store } = bench();
    const entered = code(enter(ROOM));
    shows('Hydrant', 110, 201);
    expect(await entered).toMatch(/^not-allowed: .*item-not-found/);
    expect(sent()).toEqual([`${ROOM}/Hydrant`, `unavailable ${ROOM}/Hydrant`]);
    expect(await store.has(ROOM)).toBe(false);
  });

  it.each([
    ['was shut down', 'entered', [110, 332]],
    ['is gone', 'entered', []],
    ['has kicked us', 'left alone', [110, 307]],
    ['has banned us', 'left alone', [301]],
  ])('that %s is %s when there is something to say, and entered on the next stream', async (_, what, codes) => {
    const { enter, shows, removes, ready, follow, enterAll, sent } = bench();
    const entered = enter(ROOM);
    shows('Hydrant', 110);
    await entered;
    await follow();
    sent();
    removes('Romeo', 307);
    await ready(ROOM);
    expect(sent()).toEqual([]);
    removes('Hydrant', ...codes);
    for (let n = 0; n < 2; n++) await ready(ROOM);
    expect(sent()).toEqual(what === 'entered' ? [`${ROOM}/Hydrant`] : []);
    await enterAll();
    expect(sent()).toEqual([`${ROOM}/Hydrant`]);
  });

  it('that does not know us any more is entered again', async () => {
    const { enter, shows, bounces, ready, sent } = bench();
    const entered = enter(ROOM);
    shows('Hydrant', 110);
    await entered;
    sent();
    // It is for others too to know of a bounce.
    expect(bounces()).toBe(false);
    await ready(ROOM);
    expect(sent()).toEqual([`${ROOM}/Hydrant`]);
  });

  it('is left for good when nothing is told to it any more', async () => {
    const { enter, shows, follow, unfollow, tidy, sent, store } = bench();
    const entered = enter(ROOM);
    shows('Hydrant', 110);
    await entered;
    await follow();
    sent();
    for (const room of [ROOM, undefined]) await tidy(room);
    expect(sent()).toEqual([]);
    await unfollow();
    await tidy('juliet@example.net');
    expect(sent()).toEqual([]);
    await tidy(ROOM);
    expect(sent()).toEqual([`unavailable ${ROOM}/Hydrant`]);
    expect(await store.has(ROOM)).toBe(false);
  });
});

describe('on a new stream', () => {
  it('all rooms are entered that something is told to, and no others', async () => {
    const { store, follow, enterAll, ready, sent } = bench();
    for (const room of [ROOM, OTHER]) await store.add(room);
    await follow(OTHER);
    await enterAll();
    expect(sent()).toEqual([`${OTHER}/Hydrant`]);
    expect(await store.has(ROOM)).toBe(false);
    await ready(OTHER);
    expect(sent()).toEqual([]);
    await enterAll();
    expect(sent()).toEqual([`${OTHER}/Hydrant`]);
  });

  it('what could not be sent on the last one is no obstacle', async () => {
    const { store, follow, ready, enterAll, leaveAll, tidy, state, sent } = bench();
    await store.add(ROOM);
    await follow();
    state.isUp = false;
    await expect(ready(ROOM)).rejects.toThrow(StreamDown);
    await leaveAll();
    await tidy();
    state.isUp = true;
    await enterAll();
    expect(sent()).toEqual([`${ROOM}/Hydrant`]);
  });
});

it('what comes to anybody else, and what is asked, is not for rooms', () => {
  const { receive } = bench();
  const stanza = (name: string, to: string, from?: string) => receive(xml(name, { to, ...(from && { from }) }));
  expect(stanza('presence', DOMAIN, `${ROOM}/Romeo`)).toBe(false);
  expect(stanza('message', `news@${DOMAIN}`, 'romeo@example.net')).toBe(false);
  expect(stanza('iq', US, ROOM)).toBe(false);
  expect(stanza('message', US)).toBe(false);
  expect(stanza('message', US, `${ROOM}/Romeo`)).toBe(true);
  expect(stanza('presence', US, 'romeo@example.net/orchard')).toBe(true);
});
