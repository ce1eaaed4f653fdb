import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { Element } from '@xmpp/xml';
import fc from 'fast-check';
import { FIREHOSE, nodeIdOf, parseFeedUrl } from '../../lib/domain.js';
import { openRedis, ready, type RedisClient } from '../../lib/redis.js';
import { createInbox } from '../../prosody/inbox.js';
import { startCrowd, type Crowd } from '../support/crowd.js';
import { shots, tree, written, type Shot, type Tree, type Words } from '../support/hostile.js';
import { stored } from '../support/stored.js';
import { startRig, type Rig } from '../support/rig.js';

const STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';
const PUBSUB = 'http://jabber.org/protocol/pubsub';
const DOMAIN = 'tester.localhost';
const SECONDS = 20;

const BATCHES = 120;
const BATCH = 55;

/** Words that nobody but their owner may ever hear. */
const canary = (name: string) => `canary-${name}-${randomBytes(8).toString('hex')}`;
const CANARIES = {
  // What people say of their subscriptions.
  romeo: canary('romeo'),
  juliet: canary('juliet'),
  mallory: canary('mallory'),
  victim: canary('victim'),
  // What only members may see, and what only owners.
  hidden: canary('hidden'),
  members: canary('members'),
  feed: canary('feed'),
  waiting: canary('waiting'),
};
const PASSWORD = canary('pass');
const CREDENTIALS = `http://user:${PASSWORD}@127.0.0.1/feed`;
const ATTACKERS = ['romeo', 'juliet', 'mallory'] as const;

let rig: Rig;
let crowd: Crowd;
let redis: RedisClient;
let pid: number | undefined;
/** Everything that was heard, and what of it answers whom. */
const heard = createInbox<Element>('stanzas', 1_000_000);
const answers = new Map<string, Element[]>();
const waiting = new Map<string, (answer: Element) => void>();
let serial = 0;

const bareOf = (jid: string) => jid.split('/')[0] ?? '';
const jidOf = (name: string) => `${name}@${DOMAIN}`;

function hear(stanza: Element): void {
  heard.push(stanza);
  const { from = '', to = '', type, id } = stanza.attrs as Record<string, string>;
  if (!stanza.is('iq')) return;
  if (type === 'get' || type === 'set') {
    // Nobody here is a chat room, or anything else that can be asked.
    const error = tree('error', { type: 'cancel' }, tree('service-unavailable', { xmlns: STANZAS }));
    return void crowd.write(written(tree('iq', { from: to, to: from, id, type: 'error' }, error)));
  }
  answers.set(to, [...(answers.get(to) ?? []), stanza]);
  waiting.get(to)?.(stanza);
  waiting.delete(to);
}

/** Sends a stanza from an address of its own, by which an answer to it is known; gives that address. */
function textOf(from: string, { kind, type, id, to, children }: Shot): string {
  return written(tree(kind, { from, to, type, id }, ...children));
}

const answerTo = (from: string) =>
  new Promise<Element>((resolve) => {
    waiting.set(from, resolve);
  });

/** An ordinary request. */
async function ask(name: string, type: 'get' | 'set', child: Tree, resource = `ask-${++serial}`): Promise<Element> {
  const from = `${jidOf(name)}/${resource}`;
  const answer = answerTo(from);
  await crowd.write(textOf(from, { kind: 'iq', type, id: 'ask', to: rig.service, children: [child] }));
  return answer;
}

async function granted(...request: Parameters<typeof ask>): Promise<Element> {
  const answer = await ask(...request);
  if (answer.attrs['type'] !== 'result') throw new Error(answer.toString());
  return answer;
}

const pubsub = (...children: readonly Tree[]) => tree('pubsub', { xmlns: PUBSUB }, ...children);
const field = (name: string, value: string) => tree('field', { var: name }, tree('value', {}, value));
const submit = (...fields: readonly Tree[]) => tree('x', { xmlns: 'jabber:x:data', type: 'submit' }, ...fields);

const subscribe = (name: string, node: string, jid = jidOf(name), ...fields: readonly Tree[]) =>
  granted(
    ...([name, 'set', pubsub(tree('subscribe', { node, jid }), tree('options', {}, submit(...fields)))] as const),
  );
const create = (node: string, ...fields: readonly Tree[]) =>
  granted('admin', 'set', pubsub(tree('create', { node }), tree('configure', {}, submit(...fields))));
const publish = (node: string, id: string, payload: string) =>
  granted(
    ...([
      'admin',
      'set',
      pubsub(tree('publish', { node }, tree('item', { id }, tree('secret', {}, payload)))),
    ] as const),
  );

let attackers: Words;
let admins: Words;

beforeAll(async () => {
  rig = await startRig({ LOG_LEVEL: 'debug' });
  pid = rig.component.pid;
  // It has the same address.
  await rig.tester.stop();
  crowd = await startCrowd({
    ...{ port: rig.prosody.componentPort, domain: DOMAIN, secret: rig.prosody.testerSecret!, onStanza: hear },
  });
  redis = openRedis([rig.redis.url], 'prompt', () => undefined);
  await ready(redis);

  const open = rig.feeds.feed('/open.xml', { format: 'atom', title: 'Open' });
  open.publish({ title: 'Open to everybody' });
  const secret = rig.feeds.feed('/private.xml', { format: 'atom', title: CANARIES.feed });
  secret.publish({ title: CANARIES.feed });
  const page = rig.feeds.page(`/${CANARIES.victim}`, [open]);

  const whitelist = field('pubsub#access_model', 'whitelist');
  await create(CANARIES.hidden, whitelist);
  await publish(CANARIES.hidden, '1', CANARIES.hidden);
  await create(
    'members',
    whitelist,
    field('pubsub#title', CANARIES.members),
    field('pubsub#description', CANARIES.members),
  );
  await publish('members', CANARIES.members, CANARIES.members);
  await create(secret.url, whitelist);
  await create('asking', field('pubsub#access_model', 'authorize'));
  await create('anybody', field('pubsub#publish_model', 'open'));

  // A secret name for the node, a secret resource, a secret filter, a secret wish to be let in.
  await subscribe('victim', page);
  await subscribe('victim', open.url, `${jidOf('victim')}/${CANARIES.victim}`);
  await subscribe('victim', 'asking', `${jidOf('victim')}/${CANARIES.waiting}`);
  for (const name of ['victim', ...ATTACKERS] as const) {
    await subscribe(name, open.url, jidOf(name), field('hydrant#filter', `-${CANARIES[name]}`));
    await subscribe(name, FIREHOSE);
  }

  // What is private goes to who is let in, and not to the firehose, where the next one goes.
  await subscribe('admin', secret.url);
  const isTold = (name: string, words: string) => (stanza: Element) =>
    stanza.is('message') && bareOf(String(stanza.attrs['to'])) === jidOf(name) && String(stanza).includes(words);
  secret.publish({ title: `New ${CANARIES.feed}` });
  await heard.see(isTold('admin', `New ${CANARIES.feed}`), SECONDS);
  open.publish({ title: 'New to everybody' });
  for (const name of ATTACKERS) await heard.see(isTold(name, 'Collection'), SECONDS);

  const known = [open.url, nodeIdOf(parseFeedUrl(open.url)), FIREHOSE, 'anybody'];
  const people = [...ATTACKERS, 'victim', 'admin'].flatMap((name) => [jidOf(name), `${jidOf(name)}/home`]);
  const items = ['1', '000000000001', '0'.repeat(32), 'urn:xmpp:avatar:metadata', 'current'];
  const words = { jids: people, subids: ['0', 'f'.repeat(32)], items };
  attackers = {
    ...words,
    nodes: [...known, 'members', 'asking', secret.url, nodeIdOf(parseFeedUrl(secret.url)), CREDENTIALS],
  };
  // Admins may see and change everything, so what is secret must not be theirs to give away.
  const playground = rig.feeds.feed('/playground.xml', { format: 'atom', title: 'Playground' }).url;
  admins = { ...words, nodes: ['playground-1', 'playground-2', playground, FIREHOSE, CREDENTIALS] };
}, 60_000);

afterAll(async () => {
  crowd.stop();
  redis.disconnect();
  await rig.stop();
});

const unanswered = (wanted: readonly (readonly [string, string])[]) => wanted.filter(([from]) => !answers.has(from));

it(`of ${BATCHES * BATCH} hostile stanzas each request is answered, and nothing else is`, async () => {
  const volley = fc.constantFrom(...ATTACKERS, 'admin').chain((name) => {
    const { jids, ...words } = name === 'admin' ? admins : attackers;
    const mine = Array.from({ length: jids.length }, () => jidOf(name));
    return fc.tuple(
      fc.constant(name),
      shots(rig.service, { ...words, jids: [...jids, ...mine, `${jidOf(name)}/home`] }),
    );
  });
  await fc.assert(
    fc.asyncProperty(fc.array(volley, { minLength: BATCH, maxLength: BATCH }), async (batch) => {
      const sent = batch.map(([name, shot]) => {
        const from = `${jidOf(name)}/shot-${++serial}`;
        return { from, shot, text: textOf(from, shot) };
      });
      const requests = sent.filter(({ shot: { kind, type } }) => kind === 'iq' && (type === 'get' || type === 'set'));
      const answered = Promise.all(requests.map(({ from }) => answerTo(from)));
      await crowd.write(sent.map(({ text }) => text).join(''));
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          const silent = unanswered(requests.map(({ from, text }) => [from, text]));
          reject(new Error(`no answer to ${silent.map(([, text]) => text.slice(0, 2_000)).join('\n')}`));
        }, SECONDS * 1_000);
      });
      await Promise.race([answered, late]).finally(() => clearTimeout(timer));

      for (const { from, shot, text } of sent) {
        const [answer, ...more] = answers.get(from) ?? [];
        const context = () => `${text.slice(0, 2_000)}\n${[answer, ...more].map(String).join('\n').slice(0, 2_000)}`;
        if (more.length > 0) throw new Error(`more than one answer to ${context()}`);
        const isRequest = shot.kind === 'iq' && (shot.type === 'get' || shot.type === 'set');
        const isNothing = shot.kind !== 'iq' || shot.type === 'result' || shot.type === 'error';
        // What is no type at all is answered by the server.
        if (isRequest && !answer) throw new Error(`no answer to ${context()}`);
        if (isNothing && answer) throw new Error(`an answer to ${context()}`);
        if (isRequest && answer && !isProper(answer, shot)) throw new Error(`no proper answer to ${context()}`);
      }
    }),
    // To find the one of many that is to blame by trying would take for ever; the message tells it.
    { numRuns: BATCHES, endOnFailure: true },
  );
}, 120_000);

/** RFC 6120 8.1.3, 8.3.1, 8.3.2. */
function isProper(answer: Element, { id, to }: Shot): boolean {
  const attributes = answer.attrs as Record<string, string>;
  // Parsers make spaces of white space in attributes.
  const plain = (text = '') => text.replace(/\s/g, '');
  if (plain(attributes['id']) !== plain(id)) return false;
  if (attributes['from']?.toLowerCase() !== to.toLowerCase()) return false;
  if (attributes['type'] === 'result') return answer.getChildElements().length <= 1;
  const errors = answer.getChildren('error');
  const conditions = errors[0]
    ?.getChildElements()
    .filter((child) => child.getNS() === STANZAS && child.name !== 'text');
  return errors.length === 1 && conditions?.length === 1;
}

it('the stream never went down, and nothing of ours went wrong', async () => {
  await granted('romeo', 'get', tree('ping', { xmlns: 'urn:xmpp:ping' }));
  const lines = [...rig.component.log.pending, ...rig.scheduler.log.pending];
  expect(lines.filter((line) => /"event":"(streamDown|bug|quarantined|jobFailed|stalled)"/.test(line))).toEqual([]);
  expect(lines.filter((line) => !line.startsWith('{'))).toEqual([]);
  expect(rig.component.pid).toBe(pid);
  expect((await fetch(`${rig.intake}/health`)).status).toBe(200);
});

it('nobody was told what is meant for somebody else', async () => {
  // Whatever is still on its way to somebody comes before this.
  await crowd.routed();
  const leaks = heard.pending.flatMap((stanza) => {
    const { to = '' } = stanza.attrs as Record<string, string>;
    const name = bareOf(to).split('@')[0] ?? '';
    if (name === 'admin') return [];
    const text = String(stanza);
    return Object.entries(CANARIES)
      .filter(([owner, word]) => text.includes(word) && owner !== name && !(owner === 'waiting' && name === 'victim'))
      .map(([owner]) => `${to} was told of ${owner}: ${text.slice(0, 1_000)}`);
  });
  expect(leaks).toEqual([]);
  // The canaries do sing where they may.
  const sung = (name: string, word: string) =>
    heard.pending.some((stanza) => bareOf(String(stanza.attrs['to'])) === jidOf(name) && String(stanza).includes(word));
  expect(sung('victim', CANARIES.victim)).toBe(true);
  expect(sung('admin', CANARIES.waiting)).toBe(true);
});

it('the directory has no name that a client could not show', async () => {
  const names: string[] = [];
  for (let after: string | undefined; ; after = names.at(-1)) {
    const set = tree('set', { xmlns: 'http://jabber.org/protocol/rsm' }, after ? tree('after', {}, after) : undefined);
    const answer = await granted(
      'admin',
      'get',
      tree('query', { xmlns: 'http://jabber.org/protocol/disco#items' }, set),
    );
    const items = answer.getChild('query')!.getChildren('item');
    if (items.length === 0) break;
    names.push(...items.map(({ attrs }) => String(attrs['node'])));
  }
  expect(names).toContain(FIREHOSE);
  expect(names.length).toBeGreaterThan(3);
  expect(names.filter((name) => !/^[\w/][\w.~+=:@/-]{0,199}$/.test(name))).toEqual([]);
  expect(new Set(names).size).toBe(names.length);
});

it('nobody can have their own words shouted back many times over', async () => {
  const query = (queryid: string) => tree('query', { xmlns: 'urn:xmpp:mam:2', node: FIREHOSE, queryid });
  await granted('mallory', 'set', query('x'.repeat(1_000)));
  const answer = await ask('mallory', 'set', query('x'.repeat(100_000)));
  expect(answer.getChild('error')?.getChild('bad-request')).toBeDefined();
  expect(String(answer).length).toBeLessThan(1_000);
});

it('the credentials in a URL are refused, and appear nowhere', async () => {
  for (const name of ['mallory', 'admin']) {
    const jid = jidOf(name);
    for (const [type, request] of [
      ['set', pubsub(tree('subscribe', { node: CREDENTIALS, jid }))],
      ['set', pubsub(tree('unsubscribe', { node: CREDENTIALS, jid }))],
      ['get', pubsub(tree('items', { node: CREDENTIALS }))],
      ['set', pubsub(tree('publish', { node: CREDENTIALS }, tree('item', {}, tree('a'))))],
      ['get', tree('query', { xmlns: 'http://jabber.org/protocol/disco#info', node: CREDENTIALS })],
      ['get', tree('query', { xmlns: 'http://jabber.org/protocol/disco#items', node: CREDENTIALS })],
      ['set', tree('query', { xmlns: 'urn:xmpp:mam:2', node: CREDENTIALS })],
    ] as const) {
      expect((await ask(name, type, request)).getChild('error')?.getChild('not-acceptable')).toBeDefined();
    }
  }
  const redirect = tree('delete', { node: 'anybody' }, tree('redirect', { uri: CREDENTIALS }));
  const deleted = await ask('admin', 'set', tree('pubsub', { xmlns: `${PUBSUB}#owner` }, redirect));
  expect(deleted.attrs['type']).toBe('error');
  expect((await ask('admin', 'set', pubsub(tree('create', { node: CREDENTIALS })))).attrs['type']).toBe('error');
  expect(await rig.ping(CREDENTIALS)).toBe(400);
  const moved = rig.feeds.raw('/moved-to-credentials', { status: 301, headers: { location: CREDENTIALS } });
  expect(
    (await ask('mallory', 'set', pubsub(tree('subscribe', { node: moved, jid: jidOf('mallory') })))).attrs['type'],
  ).toBe('error');

  expect(heard.pending.map(String).filter((text) => text.includes(PASSWORD))).toEqual([]);
  for (const name of ['component.log', 'scheduler.log']) {
    const log = await readFile(join(rig.dir, 'logs', name), 'utf8');
    expect(log.split('\n').filter((line) => line.includes(PASSWORD))).toEqual([]);
  }
  expect(await readdir(join(rig.dir, 'logs'))).toEqual(expect.arrayContaining(['component.log', 'scheduler.log']));
  expect(await (await fetch(`${rig.intake}/metrics`)).text()).not.toContain(PASSWORD);
  expect((await stored(redis)).filter((text) => text.includes(PASSWORD))).toEqual([]);
});

it('no request was answered a second time', async () => {
  // It answers what it has in hand before it goes.
  await rig.component.stop();
  await crowd.routed();
  const twice = [...answers].filter(([, all]) => all.length > 1);
  expect(twice.map(([from, all]) => `${from}: ${all.map(String).join(' ').slice(0, 1_000)}`)).toEqual([]);
  expect(answers.size).toBeGreaterThan((BATCHES * BATCH) / 2);
});
