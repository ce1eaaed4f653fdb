import { describe, expect, it } from '@jest/globals';
import xml, { type Element } from '@xmpp/xml';
import { StreamDown } from '../../component/connection.js';
import { createPresences } from '../../component/presence.js';
import { createRouter } from '../../component/router.js';
import { presence, type PresenceDeps } from '../../component/xeps/presence.js';
import type { Events } from '../../lib/events.js';
import { Fault } from '../../lib/faults.js';

const DOMAIN = 'feeds.example';
const ROMEO = 'romeo@example.net';
const ORCHARD = `${ROMEO}/orchard`;
const BALCONY = `${ROMEO}/balcony`;
const MOST = { people: 10, resources: 5 };

const from = (jid: string, type?: string, show?: string): Element =>
  xml(
    'presence',
    { from: jid, to: DOMAIN, id: 'theirs', ...(type !== undefined && { type }) },
    ...(show === undefined ? [] : [xml('show', {}, show)]),
  );

describe('who is there', () => {
  function hearing(most = MOST) {
    const presences = createPresences({ most });
    const told: string[] = [];
    presences.onAvailable((jid) => void told.push(`+${jid}`));
    presences.onUnavailable((jid) => void told.push(`-${jid}`));
    return { ...presences, told, hear: (...stanza: Parameters<typeof from>) => presences.receive(from(...stanza)) };
  }

  it.each([
    [undefined, 'online'],
    ['away', 'away'],
    ['chat', 'chat'],
    ['dnd', 'dnd'],
    ['xa', 'xa'],
    ['lost in thought', 'online'],
    ['constructor', 'online'],
    ['', 'online'],
  ])('a resource that shows %j is %s', (show, expected) => {
    const { hear, shows } = hearing();
    hear(ORCHARD, undefined, show);
    expect(shows(ORCHARD)).toEqual([expected]);
  });

  it('a bare JID is there with all its resources, a full JID with its own, and nobody else is there', () => {
    const { hear, shows } = hearing();
    hear(ORCHARD, undefined, 'away');
    hear(BALCONY);
    expect(shows(ROMEO)).toEqual(['away', 'online']);
    expect(shows(BALCONY)).toEqual(['online']);
    for (const jid of [`${ROMEO}/tomb`, 'juliet@example.net', 'example.net', '', '/', '@@@']) {
      expect(shows(jid)).toEqual([]);
    }
  });

  it('a service without resources is there under its bare JID', () => {
    const { hear, shows } = hearing();
    hear('bot.example.net');
    expect(shows('bot.example.net')).toEqual(['online']);
  });

  it('a JID is the same however it is written', () => {
    const { hear, shows } = hearing();
    hear('Romeo@Example.NET/Orchard');
    expect([shows(ROMEO), shows(`${ROMEO}/Orchard`), shows(ORCHARD)]).toEqual([['online'], ['online'], []]);
    hear('romeo@EXAMPLE.net/Orchard', 'unavailable');
    expect(shows(ROMEO)).toEqual([]);
  });

  it('a resource comes once, however often it changes what it shows', () => {
    const { hear, shows, told } = hearing();
    expect([hear(ORCHARD), hear(ORCHARD, undefined, 'dnd'), hear(ORCHARD)]).toEqual([true, false, false]);
    hear(ORCHARD, undefined, 'dnd');
    expect(told).toEqual([`+${ORCHARD}`]);
    expect(shows(ROMEO)).toEqual(['dnd']);
    hear(ORCHARD, 'unavailable');
    expect(hear(ORCHARD)).toBe(true);
    expect(told).toEqual([`+${ORCHARD}`, `-${ORCHARD}`, `+${ORCHARD}`]);
  });

  it.each(['unavailable', 'error'])('with a presence of type %s a resource goes, or all of a bare JID', (type) => {
    const { hear, shows, told } = hearing();
    hear(ORCHARD);
    hear(BALCONY);
    hear('juliet@example.net/nook');
    expect(hear(ORCHARD, type)).toBe(false);
    expect(shows(ROMEO)).toEqual(['online']);
    hear(ORCHARD);
    expect(told).toContain(`-${ORCHARD}`);
    told.length = 0;
    hear(ROMEO, type);
    expect(shows(ROMEO)).toEqual([]);
    expect(told.slice(0, 2)).toEqual([`-${BALCONY}`, `-${ORCHARD}`]);
    expect(shows('juliet@example.net')).toEqual(['online']);
  });

  it('who shows us nothing more is gone with all resources', () => {
    const { hear, shows, told } = hearing();
    hear(ORCHARD);
    hear(BALCONY);
    told.length = 0;
    hear(ORCHARD, 'unsubscribed');
    expect(shows(ROMEO)).toEqual([]);
    expect(told).toEqual([`-${ORCHARD}`, `-${BALCONY}`]);
  });

  it('who says that they go is told of even if nobody knew that they had come', () => {
    const { hear, told } = hearing();
    hear(ORCHARD, 'unavailable');
    hear('juliet@example.net', 'unavailable');
    expect(told).toEqual([`-${ORCHARD}`, '-juliet@example.net']);
  });

  it.each(['error', 'unsubscribed'])('a presence of type %s says of nobody else that they go', (type) => {
    const { hear, told } = hearing();
    hear(BALCONY);
    hear(ORCHARD, 'error');
    hear('juliet@example.net', type);
    hear('juliet@example.net/nook', type);
    expect(told).toEqual([`+${BALCONY}`]);
  });

  it('nonsense changes nothing', () => {
    const { hear, receive, shows, told } = hearing();
    hear(ORCHARD);
    for (const jid of ['', '@', 'a b@example.net', 'x@y@z', `${'a'.repeat(2_000)}@example.net`, 'a@b/\u0000', '/x']) {
      expect(hear(jid)).toBe(false);
      hear(jid, 'unavailable');
    }
    for (const type of ['', 'probe', 'subscribe', 'subscribed', 'unsubscribe', 'invisible', 'toString']) {
      expect(hear(BALCONY, type)).toBe(false);
    }
    expect(receive(xml('presence'))).toBe(false);
    expect(told).toEqual([`+${ORCHARD}`]);
    expect(shows(ROMEO)).toEqual(['online']);
  });

  it('of too many people, who was not heard of for the longest time is forgotten, silently', () => {
    const { hear, shows, told } = hearing({ people: 3, resources: 2 });
    const person = (n: number) => `p${n}@example.net`;
    for (const n of [0, 1, 2]) hear(`${person(n)}/x`);
    hear(`${person(0)}/x`, undefined, 'away');
    // Asking is not hearing.
    shows(person(1));
    shows(`${person(1)}/x`);
    hear(`${person(3)}/x`);
    expect([0, 1, 2, 3].map((n) => shows(person(n)))).toEqual([['away'], [], ['online'], ['online']]);
    expect(told.filter((what) => what.startsWith('-'))).toEqual([]);
  });

  it('of too many resources of one person too', () => {
    const { hear, shows, told } = hearing({ people: 3, resources: 2 });
    hear(`${ROMEO}/a`, undefined, 'away');
    hear(`${ROMEO}/b`, undefined, 'dnd');
    hear(`${ROMEO}/a`, undefined, 'away');
    hear(`${ROMEO}/c`, undefined, 'xa');
    expect(shows(ROMEO)).toEqual(['away', 'xa']);
    expect(told.filter((what) => what.startsWith('-'))).toEqual([]);
    for (let n = 0; n < 1_000; n += 1) hear(`${ROMEO}/${n}`);
    expect(shows(ROMEO)).toHaveLength(2);
  });
});

/** A contact list that forgets with the test; calls wait for `slow` first, and fail while `away`. */
function memoryContacts() {
  const known = new Set<string>();
  const state = { slow: Promise.resolve(), away: false, more: 0, pageSize: 7, calls: 0 };
  const when = async <T>(work: () => T): Promise<T> => {
    state.calls += 1;
    await state.slow;
    if (state.away) throw new Error('ECONNREFUSED');
    return work();
  };
  const contacts: PresenceDeps['contacts'] = {
    add: (jid) => when(() => !known.has(jid) && Boolean(known.add(jid))),
    remove: (jid) => when(() => known.delete(jid)),
    has: (jid) => when(() => known.has(jid)),
    count: () => when(() => known.size + state.more),
    async *all() {
      const everybody = await when(() => [...known]);
      while (everybody.length > 0) yield everybody.splice(0, state.pageSize);
    },
  };
  return { contacts, known, state };
}

function bench({ domain = DOMAIN, ...overrides }: Partial<PresenceDeps> = {}) {
  const { contacts, known, state } = memoryContacts();
  const presences = createPresences({ most: MOST });
  const sent: Element[] = [];
  const events: string[] = [];
  const xep = presence({
    presences,
    contacts,
    domain,
    send: async (stanza) => void sent.push(stanza),
    drain: async () => void events.push(`drained after ${sent.length}`),
    caps: () => xml('c', { xmlns: 'http://jabber.org/protocol/caps', ver: 'ours' }),
    ...overrides,
  });
  const router = createRouter([xep], {
    domain,
    send: async (stanza) => void sent.push(stanza),
    emit: (event, facts) => {
      if (event === 'bug') throw (facts as Events['bug']).error as Error;
      events.push(event);
    },
    away: (error) => (String(error).includes('ECONN') ? new Fault('unavailable') : undefined),
  });
  /** All that has been sent since it was last asked for, in order: "type addressee". */
  const said = () =>
    sent.splice(0).map(({ attrs }) => `${String(attrs['type'] ?? 'available')} ${String(attrs['to'])}`);
  return {
    xep,
    router,
    presences,
    known,
    state,
    sent,
    said,
    events,
    /** Everything that was said to this. */
    async hear(...stanzas: Element[]): Promise<string[]> {
      for (const stanza of stanzas) router.receive(stanza);
      await router.close();
      return said();
    },
  };
}

describe('somebody who subscribes to our presence', () => {
  it('is accepted, shown that we are there, and asked for theirs', async () => {
    const { hear, known } = bench();
    expect(await hear(from(ORCHARD, 'subscribe'))).toEqual([
      `subscribed ${ROMEO}`,
      `available ${ROMEO}`,
      `subscribe ${ROMEO}`,
    ]);
    expect([...known]).toEqual([ROMEO]);
  });

  it('is asked for theirs once', async () => {
    const { hear } = bench();
    await hear(from(ROMEO, 'subscribe'));
    expect(await hear(from(ROMEO, 'subscribe'))).toEqual([`subscribed ${ROMEO}`, `available ${ROMEO}`]);
    await hear(from(ROMEO, 'unsubscribe'));
    expect(await hear(from(ROMEO, 'subscribe'))).toContain(`subscribe ${ROMEO}`);
  });

  it('gets answers that come from us, carry ids of their own, and our capabilities where we are available', async () => {
    const { router, sent } = bench();
    router.receive(from(ROMEO, 'subscribe'));
    await router.close();
    const ids = sent.map(({ attrs }) => String(attrs['id']));
    expect(new Set(ids).size).toBe(3);
    expect(ids).not.toContain('theirs');
    expect(sent.map(({ attrs }) => String(attrs['from']))).toEqual([DOMAIN, DOMAIN, DOMAIN]);
    expect(sent.map((stanza) => stanza.getChildElements().map(({ attrs }) => String(attrs['ver'])))).toEqual([
      [],
      ['ours'],
      [],
    ]);
  });

  it('is not accepted when there are too many already', async () => {
    const { hear, known, state } = bench();
    await hear(from(ROMEO, 'subscribe'));
    state.more = 1_000_000;
    expect(await hear(from('juliet@example.net', 'subscribe'))).toEqual(['unsubscribed juliet@example.net']);
    expect([...known]).toEqual([ROMEO]);
    expect(await hear(from(ROMEO, 'subscribe'))).toEqual([`subscribed ${ROMEO}`, `available ${ROMEO}`]);
  });

  it('gets no answer while the store is away, and an answer when they ask again', async () => {
    const { hear, known, state, events } = bench();
    state.away = true;
    for (const type of ['subscribe', 'unsubscribe', 'probe']) expect(await hear(from(ROMEO, type))).toEqual([]);
    expect(events).toEqual(['warning', 'warning', 'warning']);
    state.away = false;
    expect(await hear(from(ROMEO, 'subscribe'))).toHaveLength(3);
    expect([...known]).toEqual([ROMEO]);
  });

  it('has not gone when their server acknowledges our request, but when it says so again', async () => {
    const { hear, presences } = bench();
    await hear(from(ORCHARD));
    await hear(from(ROMEO, 'subscribe'));
    await hear(from(ROMEO, 'unavailable'));
    expect(presences.shows(ROMEO)).toEqual(['online']);
    await hear(from(ROMEO, 'unavailable'));
    expect(presences.shows(ROMEO)).toEqual([]);
  });

  it.each([
    ['has shown up since', from('bot.example.net')],
    ['has accepted our request', from('bot.example.net', 'subscribed')],
  ])('has gone when they say so, and %s', async (_, stanza) => {
    const { hear, presences } = bench();
    await hear(from('bot.example.net'));
    await hear(from('bot.example.net', 'subscribe'));
    await hear(stanza);
    await hear(from('bot.example.net', 'unavailable'));
    expect(presences.shows('bot.example.net')).toEqual([]);
  });

  it('is there when the first thing that comes back says so, with or without a resource', async () => {
    const { hear, presences } = bench();
    for (const jid of ['bot.example.net', ORCHARD]) {
      await hear(from(jid, 'subscribe'));
      expect(await hear(from(jid))).toEqual([`available ${jid}`]);
      expect(presences.shows(jid)).toEqual(['online']);
    }
  });

  it('has gone when one of their resources says so, whatever was asked', async () => {
    const { hear, presences } = bench();
    await hear(from(ORCHARD));
    await hear(from(ROMEO, 'subscribe'));
    await hear(from(ORCHARD, 'unavailable'));
    expect(presences.shows(ROMEO)).toEqual([]);
  });

  it('is stored before they are answered', async () => {
    const bystander = memoryContacts();
    const { hear } = bench({
      contacts: bystander.contacts,
      send: async () => expect([...bystander.known]).toEqual([ROMEO]),
    });
    await hear(from(ROMEO, 'subscribe'));
    expect.assertions(3);
  });
});

describe('somebody who is done with us', () => {
  it('is forgotten, and told that we are gone', async () => {
    const { hear, known } = bench();
    await hear(from(ROMEO, 'subscribe'));
    expect(await hear(from(ORCHARD, 'unsubscribe'))).toEqual([`unavailable ${ROMEO}`, `unsubscribed ${ROMEO}`]);
    expect([...known]).toEqual([]);
  });

  it('is told the same when we knew nothing of them', async () => {
    expect(await bench().hear(from(ROMEO, 'unsubscribe'))).toHaveLength(2);
  });

  it('and shows us nothing more is not there any more; nothing is said to that', async () => {
    const { hear, presences } = bench();
    await hear(from(ORCHARD));
    expect(await hear(from(ROMEO, 'subscribed'))).toEqual([]);
    expect(presences.shows(ROMEO)).toEqual(['online']);
    expect(await hear(from(ROMEO, 'unsubscribed'))).toEqual([]);
    expect(presences.shows(ROMEO)).toEqual([]);
  });
});

describe('somebody whose server asks how we are', () => {
  it('is told at the JID that asked, when they are a contact', async () => {
    const { hear } = bench();
    await hear(from(ROMEO, 'subscribe'));
    expect(await hear(from(ORCHARD, 'probe'))).toEqual([`available ${ORCHARD}`]);
    expect(await hear(from(ROMEO, 'probe'))).toEqual([`available ${ROMEO}`]);
  });

  it('is told that there is no subscription, when they are none', async () => {
    expect(await bench().hear(from(ORCHARD, 'probe'))).toEqual([`unsubscribed ${ROMEO}`]);
  });
});

describe('somebody who shows up', () => {
  it('sees us, once for each resource', async () => {
    const { hear, presences } = bench();
    expect(await hear(from(ORCHARD))).toEqual([`available ${ORCHARD}`]);
    expect(await hear(from(ORCHARD), from(ORCHARD, undefined, 'away'))).toEqual([]);
    expect(await hear(from(BALCONY))).toEqual([`available ${BALCONY}`]);
    expect(presences.shows(ROMEO)).toEqual(['away', 'online']);
    expect(await hear(from(ORCHARD, 'unavailable'), from(BALCONY, 'error'))).toEqual([]);
    expect(presences.shows(ROMEO)).toEqual([]);
    expect(await hear(from(ORCHARD))).toEqual([`available ${ORCHARD}`]);
  });

  it('sees us though the store is away', async () => {
    const { hear, state } = bench();
    state.away = true;
    expect(await hear(from(ORCHARD))).toEqual([`available ${ORCHARD}`]);
  });
});

it('what is not for our address, comes from it, or makes no sense is ignored', async () => {
  const { hear, known, presences } = bench();
  const types = [undefined, 'subscribe', 'unsubscribe', 'probe'];
  for (const to of [`blog@${DOMAIN}`, `${DOMAIN}/x`, 'other.example', undefined]) {
    const stanzas = types.map((type) => xml('presence', { from: ORCHARD, ...(to && { to }), ...(type && { type }) }));
    expect(await hear(...stanzas)).toEqual([]);
  }
  for (const jid of [DOMAIN, `blog@${DOMAIN}`, `${DOMAIN}/x`, '@', '']) {
    expect(await hear(...types.map((type) => from(jid, type)))).toEqual([]);
  }
  expect(await hear(from(ORCHARD, 'invisible'), from(ORCHARD, ''))).toEqual([]);
  expect(await hear(xml('presence', { to: DOMAIN }), xml('presence'))).toEqual([]);
  expect([...known]).toEqual([]);
  expect(presences.shows(ROMEO)).toEqual([]);
});

it('two services like this one come to an end with each other', async () => {
  const mail: Element[] = [];
  const send = async (stanza: Element) => void mail.push(stanza);
  const sides = new Map(['a.example', 'b.example'].map((domain) => [domain, bench({ domain, send })]));
  mail.push(
    xml('presence', { from: 'a.example', to: 'b.example', type: 'subscribe' }),
    xml('presence', { from: 'a.example', to: 'b.example' }),
    xml('presence', { from: 'a.example', to: 'b.example', type: 'probe' }),
  );
  let heard = 0;
  for (let stanza = mail.shift(); stanza && heard < 1_000; stanza = mail.shift(), heard += 1) {
    await sides.get(String(stanza.attrs['to']))!.hear(stanza);
  }
  expect(heard).toBeLessThan(20);
  expect([...sides.values()].map(({ known }) => [...known])).toEqual([['b.example'], ['a.example']]);
  expect(sides.get('a.example')!.presences.shows('b.example')).toEqual(['online']);
  expect(sides.get('b.example')!.presences.shows('a.example')).toEqual(['online']);
});

describe('one person', () => {
  it('who changes their mind has what they asked for last', async () => {
    const { hear, known, state } = bench();
    let go = (): void => undefined;
    state.slow = new Promise((resolve) => (go = resolve));
    const said = hear(from(ROMEO, 'subscribe'), from(ROMEO, 'unsubscribe'), from(ROMEO, 'probe'));
    go();
    expect(await said).toEqual([
      `subscribed ${ROMEO}`,
      `available ${ROMEO}`,
      `subscribe ${ROMEO}`,
      `unavailable ${ROMEO}`,
      `unsubscribed ${ROMEO}`,
      `unsubscribed ${ROMEO}`,
    ]);
    expect([...known]).toEqual([]);
  });

  it('who asks without waiting is not heard in full, and keeps nobody else waiting', async () => {
    const { hear, state, said, router } = bench();
    let go = (): void => undefined;
    state.slow = new Promise((resolve) => (go = resolve));
    for (let n = 0; n < 1_000; n += 1) router.receive(from(ROMEO, 'probe'));
    router.receive(from('juliet@example.net', 'probe'));
    await new Promise(setImmediate);
    expect(state.calls).toBe(2);
    go();
    await router.close();
    const answers = said();
    expect(answers[1]).toBe('unsubscribed juliet@example.net');
    expect(answers.length).toBeLessThan(20);
    expect(await hear(from(ROMEO, 'probe'))).toHaveLength(1);
  });

  it('whose wish failed can have the next one', async () => {
    const { contacts } = memoryContacts();
    let failures = 1;
    const has = async (jid: string) => {
      if (failures-- > 0) throw new Error('ECONNREFUSED');
      return contacts.has(jid);
    };
    const { hear, events } = bench({ contacts: { ...contacts, has } });
    expect(await hear(from(ROMEO, 'subscribe'), from(ROMEO, 'probe'))).toEqual([`unsubscribed ${ROMEO}`]);
    expect(events).toEqual(['warning']);
  });
});

describe('when a stream comes up', () => {
  const people = (count: number) => Array.from({ length: count }, (_, n) => `p${n}@example.net`);

  it('every contact sees us and is asked how they are, and the server is waited for in between', async () => {
    const { xep, known, said, events, sent } = bench();
    for (const person of people(120)) known.add(person);
    await xep.announce();
    expect(sent.every((stanza) => Boolean(stanza.getChild('c')) === (stanza.attrs['type'] === undefined))).toBe(true);
    expect(said()).toEqual(people(120).flatMap((person) => [`available ${person}`, `probe ${person}`]));
    expect(events).toEqual([50, 100, 150, 200, 240].map((count) => `drained after ${count}`));
  });

  it('nothing is said when there are no contacts', async () => {
    const { xep, said, events } = bench();
    await xep.announce();
    expect([said(), events]).toEqual([[], []]);
  });

  it('a stream that goes down in the middle ends it, and the next one begins anew', async () => {
    let failing = true;
    const { xep, known, said, events } = bench({
      drain: () => (failing ? Promise.reject(new StreamDown(undefined)) : Promise.resolve()),
    });
    for (const person of people(40)) known.add(person);
    await expect(xep.announce()).rejects.toBeInstanceOf(StreamDown);
    expect(said()).toHaveLength(50);
    failing = false;
    await xep.announce();
    expect(said()).toHaveLength(80);
    expect(events).toEqual([]);
  });

  it('an earlier round that is still under way gives way', async () => {
    const drains: (() => void)[] = [];
    const { xep, known, said } = bench({ drain: () => new Promise((resolve) => drains.push(resolve)) });
    for (const person of people(30)) known.add(person);
    const first = xep.announce();
    while (drains.length < 1) await new Promise(setImmediate);
    expect(said()).toHaveLength(50);
    const second = xep.leave();
    drains.shift()!();
    await first;
    while (drains.length < 1) await new Promise(setImmediate);
    drains.shift()!();
    await second;
    expect(said()).toEqual(people(30).map((person) => `unavailable ${person}`));
  });

  it('a store that is away is told to the caller', async () => {
    const { xep, state } = bench();
    state.away = true;
    await expect(xep.announce()).rejects.toThrow('ECONNREFUSED');
  });
});

it('before we go, every contact is told, and it is known to have been routed', async () => {
  const { xep, known, said, events } = bench();
  for (const person of [ROMEO, 'juliet@example.net']) known.add(person);
  await xep.leave();
  expect(said()).toEqual([`unavailable ${ROMEO}`, 'unavailable juliet@example.net']);
  expect(events).toEqual(['drained after 2']);
});
