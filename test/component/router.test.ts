import { describe, expect, it } from '@jest/globals';
import type { Element } from '@xmpp/xml';
import xml from '@xmpp/xml';
import { createRouter, get, set, type Xep } from '../../component/router.js';
import type { Events } from '../../lib/events.js';
import { Fault } from '../../lib/faults.js';

const DOMAIN = 'feeds.example';
const ROMEO = 'romeo@example.net/orchard';
const NS = 'urn:example:test';
const PUBSUB = 'http://jabber.org/protocol/pubsub';

const XEP: Xep = {
  features: [NS],
  routes: [
    get(NS, 'empty', () => undefined),
    get(NS, 'full', ({ from }) => xml('full', { xmlns: NS, from })),
    get(NS, 'refused', () => {
      throw new Fault('not-subscribed');
    }),
    get(NS, 'broken', () => {
      throw new TypeError('a bug');
    }),
    get(NS, 'away', () => {
      throw new Error('ECONNREFUSED');
    }),
    set(NS, 'both', () => ({
      payload: xml('both', NS),
      afterwards: () => Promise.reject(new Error('the stream is down')),
    })),
    get(NS, 'page', () => ({
      first: [xml('message', { id: 'm1' }), xml('message', { id: 'm2' })],
      payload: xml('page', NS),
    })),
    set(NS, 'partly', () => ({ payload: xml('left', NS), refusal: new Fault('not-acceptable') })),
  ],
};

function bench(xeps: readonly Xep[] = [XEP]) {
  const bounces: string[] = [];
  const warnings: string[] = [];
  const answered: string[] = [];
  const sent: Element[] = [];
  const bugs: Events['bug'][] = [];
  const router = createRouter(xeps, {
    domain: DOMAIN,
    send: async (stanza) => void sent.push(stanza),
    emit: (event, facts) => {
      if (event === 'bug') bugs.push(facts as Events['bug']);
      if (event === 'bounced') bounces.push((facts as Events['bounced']).condition);
      if (event === 'warning') warnings.push((facts as Events['warning']).text);
      if (event === 'answered') {
        const { type, name, outcome } = facts as Events['answered'];
        answered.push(`${type} ${name}: ${outcome}`);
      }
    },
    away: (error) => (String(error).includes('ECONN') ? new Fault('unavailable') : undefined),
  });
  return {
    router,
    sent,
    bugs,
    bounces,
    warnings,
    answered,
    /** Everything that was sent for this stanza. */
    async hear(stanza: Element): Promise<Element[]> {
      sent.length = 0;
      router.receive(stanza);
      await router.close();
      return [...sent];
    },
  };
}

const iq = (type: string, child: Element | undefined, attrs: Record<string, string | undefined> = {}) =>
  xml('iq', { type, from: ROMEO, to: DOMAIN, id: 'q1', ...attrs }, ...(child ? [child] : []));

const errorOf = ([reply]: Element[]) => {
  const error = reply?.getChild('error');
  return { type: error?.attrs['type'] as string, conditions: error?.getChildElements().map(({ name }) => name) };
};

it('answers with the payload, back to where the request came from', async () => {
  const [reply, ...others] = await bench().hear(iq('get', xml('full', NS)));
  expect(others).toEqual([]);
  expect(reply?.attrs).toMatchObject({ from: DOMAIN, to: ROMEO, id: 'q1', type: 'result' });
  expect(reply?.getChild('full', NS)?.attrs['from']).toBe(ROMEO);
});

it('answers with nothing where there is nothing to say', async () => {
  const [reply] = await bench().hear(iq('get', xml('empty', NS)));
  expect(reply?.attrs['type']).toBe('result');
  expect(reply?.getChildElements()).toEqual([]);
});

it('sends what goes first before the answer', async () => {
  const stanzas = await bench().hear(iq('get', xml('page', NS)));
  expect(stanzas.map(({ name, attrs }) => `${name} ${String(attrs['id'])}`)).toEqual([
    'message m1',
    'message m2',
    'iq q1',
  ]);
  expect(stanzas[2]?.getChild('page', NS)).toBeDefined();
});

it('refuses with a payload where there is one, which stands before the error', async () => {
  const answers = await bench().hear(iq('set', xml('partly', NS)));
  expect(answers.map(({ attrs }) => attrs['type'] as string)).toEqual(['error']);
  expect(answers[0]?.getChildElements().map(({ name }) => name)).toEqual(['left', 'error']);
  expect(errorOf(answers)).toEqual({ type: 'modify', conditions: ['not-acceptable'] });
});

it('does what comes afterwards when the answer is on the stream', async () => {
  const order: string[] = [];
  const xep: Xep = {
    features: [],
    routes: [set(NS, 'later', () => ({ afterwards: async () => void order.push(`${sent.length} sent`) }))],
  };
  const { sent, hear } = bench([xep]);
  await hear(iq('set', xml('later', NS)));
  expect(order).toEqual(['1 sent']);
});

describe('refuses', () => {
  it.each([
    ['what nobody here knows', iq('get', xml('x', 'urn:nobody')), 'cancel', 'service-unavailable'],
    ['an unknown verb in a known namespace', iq('get', xml('x', NS)), 'cancel', 'feature-not-implemented'],
    ['a get where only set is known', iq('get', xml('both', NS)), 'cancel', 'feature-not-implemented'],
    [
      'two children',
      xml('iq', { type: 'get', from: ROMEO, to: DOMAIN, id: '1' }, xml('a', NS), xml('b', NS)),
      'modify',
      'bad-request',
    ],
    ['no child', iq('get', undefined), 'modify', 'bad-request'],
    ['a type that there is not', iq('got', xml('empty', NS)), 'modify', 'bad-request'],
    ['another address of ours', iq('get', xml('empty', NS), { to: `x@${DOMAIN}` }), 'cancel', 'service-unavailable'],
    ['what a rule refuses', iq('get', xml('refused', NS)), 'cancel', 'unexpected-request'],
    ['when the store is away', iq('get', xml('away', NS)), 'wait', 'internal-server-error'],
    ['when it is our own mistake', iq('get', xml('broken', NS)), 'cancel', 'internal-server-error'],
  ])('%s', async (_, stanza, type, condition) => {
    const answers = await bench().hear(stanza);
    expect(answers).toHaveLength(1);
    expect(errorOf(answers).type).toBe(type);
    expect(errorOf(answers).conditions?.[0]).toBe(condition);
  });
});

it('reports its own mistakes, and only those', async () => {
  const { hear, bugs } = bench();
  await hear(iq('get', xml('broken', NS)));
  expect(bugs.map(({ error }) => String(error))).toEqual(['TypeError: a bug']);
  const other = bench();
  await other.hear(iq('get', xml('refused', NS)));
  expect(other.bugs).toEqual([]);
});

it.each(['result', 'error'])('never answers an IQ of type %s, nor anything that is not an IQ', async (type) => {
  expect(await bench().hear(iq(type, xml('empty', NS)))).toEqual([]);
  expect(await bench().hear(xml('message', { from: ROMEO, to: DOMAIN, type }))).toEqual([]);
  expect(await bench().hear(xml('presence', { from: ROMEO, to: DOMAIN }))).toEqual([]);
});

describe('presences and messages', () => {
  const presence = (type?: string) => xml('presence', { from: ROMEO, to: DOMAIN, ...(type && { type }) });
  const message = (type?: string) => xml('message', { from: ROMEO, to: DOMAIN, ...(type && { type }) });
  const hears = (heard: string[], who: string): Xep => ({
    features: [],
    routes: [],
    presence: (stanza) => void heard.push(`${who} ${stanza.name} ${String(stanza.attrs['type'])}`),
    message: async (stanza) => void heard.push(`${who} ${stanza.name} ${String(stanza.attrs['type'])}`),
  });

  it('are heard by everybody who listens, errors of presences too, but no message that has come back', async () => {
    const heard: string[] = [];
    const { hear } = bench([hears(heard, 'a'), XEP, hears(heard, 'b')]);
    for (const type of [undefined, 'unavailable', 'error', 'subscribe']) {
      expect(await hear(presence(type))).toEqual([]);
      expect(heard.splice(0)).toEqual([`a presence ${type}`, `b presence ${type}`]);
    }
    for (const type of [undefined, 'chat', 'headline']) {
      expect(await hear(message(type))).toEqual([]);
      expect(heard.splice(0)).toEqual([`a message ${type}`, `b message ${type}`]);
    }
    expect(await hear(message('error'))).toEqual([]);
    expect(await hear(iq('get', xml('empty', NS)))).toHaveLength(1);
    expect(heard).toEqual([]);
  });

  it('whose listener fails are not answered: it is reported, and all others hear them', async () => {
    const heard: string[] = [];
    const broken = (error: Error): Xep => ({
      features: [],
      routes: [],
      presence: () => Promise.reject(error),
      message: () => {
        throw error;
      },
    });
    const { hear, bugs, warnings } = bench([
      broken(new TypeError('a bug')),
      broken(new Error('ECONNREFUSED')),
      hears(heard, 'a'),
    ]);
    for (const stanza of [presence(), message()]) {
      expect(await hear(stanza)).toEqual([]);
      expect(bugs.splice(0).map(({ error }) => String(error))).toEqual(['TypeError: a bug']);
      expect(warnings.splice(0)).toEqual([expect.stringContaining('ECONNREFUSED')]);
    }
    expect(heard).toEqual(['a presence undefined', 'a message undefined']);
  });

  it('are waited for when the router closes', async () => {
    let finish = () => {};
    const slow: Xep = {
      features: [],
      routes: [],
      presence: () => new Promise<void>((resolve) => (finish = resolve)),
    };
    const { router } = bench([slow]);
    router.receive(presence());
    let isClosed = false;
    const closed = router.close().then(() => (isClosed = true));
    await new Promise(setImmediate);
    expect(isClosed).toBe(false);
    finish();
    await closed;
  });
});

it('tells what was asked by few names, however strangers call it', async () => {
  const verb: Xep = { features: [], routes: [set(PUBSUB, 'subscribe', () => undefined)] };
  const told = async (type: string, child: Element) => {
    const { hear, answered } = bench([XEP, verb]);
    await hear(iq(type, child));
    return answered;
  };
  expect(await told('set', xml('pubsub', PUBSUB, xml('subscribe')))).toEqual(['set subscribe: result']);
  expect(await told('set', xml('pubsub', PUBSUB, xml('invented-by-a-stranger')))).toEqual([
    'set pubsub: feature-not-implemented',
  ]);
  expect(await told('get', xml('query', 'http://jabber.org/protocol/disco#info'))).toEqual([
    'get disco: service-unavailable',
  ]);
  expect(await told('get', xml('refused', NS))).toEqual(['get other: unexpected-request']);
});

it('counts what comes back, under the conditions that there are', async () => {
  const { hear, bounces } = bench();
  const stanzas = 'urn:ietf:params:xml:ns:xmpp-stanzas';
  for (const condition of ['service-unavailable', 'invented-by-a-stranger']) {
    const error = xml('error', { type: 'cancel' }, xml(condition, stanzas));
    await hear(xml('message', { from: ROMEO, to: DOMAIN, type: 'error' }, error));
  }
  expect(bounces).toEqual(['service-unavailable', 'undefined-condition']);
});

it('finds the verb behind what rides along in <pubsub/>', async () => {
  const verb: Xep = { features: [], routes: [set(PUBSUB, 'subscribe', () => undefined)] };
  const envelope = xml('pubsub', PUBSUB, xml('options', {}), xml('subscribe', {}));
  const [reply] = await bench([verb]).hear(iq('set', envelope));
  expect(reply?.attrs['type']).toBe('result');
});

it('answers once even when what follows the answer fails', async () => {
  const answers = await bench().hear(iq('set', xml('both', NS)));
  expect(answers.map(({ attrs }) => attrs['type'] as string)).toEqual(['result']);
});

it('asks to wait once it is closing', async () => {
  const { router, hear } = bench();
  await router.close();
  expect(errorOf(await hear(iq('get', xml('empty', NS))))).toEqual({
    type: 'wait',
    conditions: ['internal-server-error', 'text'],
  });
});

it('does not start with two answers for one request', () => {
  expect(() => bench([XEP, XEP])).toThrow(`Two answers for get {${NS}}empty`);
});
