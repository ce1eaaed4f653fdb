import { describe, expect, it } from '@jest/globals';
import type { Element } from '@xmpp/xml';
import xml from '@xmpp/xml';
import { createRouter, get, set, type Xep } from '../../component/router.js';
import type { Events } from '../../lib/events.js';
import { Fault } from '../../lib/faults.js';

const DOMAIN = 'feeds.example';
const ROMEO = 'romeo@example.net/orchard';
const NS = 'urn:example:test';

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
  ],
};

function bench(xeps: readonly Xep[] = [XEP]) {
  const bounces: string[] = [];
  const sent: Element[] = [];
  const bugs: Events['bug'][] = [];
  const router = createRouter(xeps, {
    domain: DOMAIN,
    send: async (stanza) => void sent.push(stanza),
    emit: (event, facts) => {
      if (event === 'bug') bugs.push(facts as Events['bug']);
      if (event === 'bounced') bounces.push((facts as Events['bounced']).condition);
    },
    away: (error) => (String(error).includes('ECONN') ? new Fault('unavailable') : undefined),
  });
  return {
    router,
    bugs,
    bounces,
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
  const verb: Xep = { features: [], routes: [set('http://jabber.org/protocol/pubsub', 'subscribe', () => undefined)] };
  const envelope = xml('pubsub', 'http://jabber.org/protocol/pubsub', xml('options', {}), xml('subscribe', {}));
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
