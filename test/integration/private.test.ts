import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import xml from '@xmpp/xml';
import { openRedis, ready, type RedisClient } from '../../lib/redis.js';
import { startFeedServer, type FeedServer, type Hit } from '../../prosody/feed-server.js';
import { form, item, NODE_CONFIG, note, party, refusal, refused, type Party } from '../support/owner.js';
import { startRig, type Rig } from '../support/rig.js';
import { stored } from '../support/stored.js';

const SECONDS = 20;
const CLOSED = 'cancel not-allowed closed-node';
const PASSWORD = 'canary-of-the-password';
const KEY = 'canary-of-the-header';
const TITLE = 'canary of the title';
const BASIC = `Basic ${Buffer.from(`juliet:${PASSWORD}`).toString('base64')}`;
/** In every way in which they are written. */
const SECRETS = [PASSWORD, KEY, BASIC, BASIC.slice('Basic '.length)];
const CREDENTIALS = ['hydrant#authorization', 'hydrant#headers'];

let rig: Rig;
let elsewhere: FeedServer;
let redis: RedisClient;
let admin: Party;
let member: Party;
let stranger: Party;
/** The NodeID of the private feed. */
let node: string;
const heard: string[] = [];

const feed = { titles: ['First'] as readonly string[] };
const path = '/private.xml';
const url = () => rig.feeds.url(path);
const as = (name: string): Party => party(rig.tester.as(name));

/** The feed for whoever says the password and the key; for others, nothing. */
function gated({ headers }: IncomingMessage, response: ServerResponse): void {
  if (headers.authorization !== BASIC || headers['x-key'] !== KEY) {
    response.writeHead(401, { 'www-authenticate': 'Basic realm="Members"' }).end();
    return;
  }
  const entries = feed.titles.map((title) => `<entry><id>urn:x:${title}</id><title>${title}</title></entry>`).join('');
  const head = `<id>${url()}</id><title>${TITLE}</title><link rel="alternate" href="${rig.feeds.url('/page')}"/>`;
  response
    .writeHead(200, { 'content-type': 'application/atom+xml' })
    .end(`<feed xmlns="http://www.w3.org/2005/Atom">${head}${entries}</feed>`);
}

const saysIt = ({ headers }: Hit) => headers.authorization === BASIC && headers['x-key'] === KEY;
const saysNothing = ({ headers }: Hit) => headers.authorization === undefined && headers['x-key'] === undefined;

beforeAll(async () => {
  // One partition: whatever was committed first comes first, whatever node it is of.
  const settings = { PARTITIONS: '1', LOG_LEVEL: 'trace', CREDENTIALS_KEY: Buffer.alloc(32, 'k').toString('base64') };
  [rig, elsewhere] = await Promise.all([startRig(settings), startFeedServer()]);
  redis = openRedis([rig.redis.url], 'prompt', () => undefined);
  await ready(redis);
  rig.tester.watch((stanza) => heard.push(stanza.toString()));
  [admin, member, stranger] = [as('admin'), as('member'), as('stranger')];
  rig.feeds.handle(path, gated);
  rig.feeds.raw('/page', {
    type: 'text/html',
    body: `<link rel="alternate" type="application/atom+xml" href="${path}"><p>Members have a feed.`,
  });
  const withUser = url().replace('http://', `http://juliet:${PASSWORD}@`);
  node = await createWithHeaders(withUser, `X-Key: ${KEY}`);
}, 60_000);
afterAll(async () => {
  redis.disconnect();
  await elsewhere.stop();
  await rig.stop();
});

async function createWithHeaders(name: string, ...lines: string[]): Promise<string> {
  const configure = form('submit', NODE_CONFIG, { access_model: 'open' });
  configure.append(xml('field', { var: 'hydrant#headers' }, ...lines.map((line) => xml('value', {}, line))));
  const answer = await admin.pubsub('set', xml('create', { node: name }), xml('configure', {}, configure));
  return String(answer.getChild('pubsub')!.getChild('create')!.attrs['node']);
}

/** The next so many requests that a server has answered. */
async function requests({ hits }: FeedServer, count: number, match?: (hit: Hit) => boolean): Promise<Hit[]> {
  const taken: Hit[] = [];
  while (taken.length < count) taken.push(await hits.take(match, SECONDS));
  return taken;
}

/** Shows one more entry, and resolves when the member has got it. */
async function publish(title: string): Promise<void> {
  feed.titles = [title, ...feed.titles];
  // After a failure it would take a while until somebody looks.
  await rig.ping(url());
  await member.arrivals.take((one) => one.node === node && one.title === title, SECONDS);
}

describe('a feed that an admin has created with credentials', () => {
  it('is read with them, and its members get what is new', async () => {
    expect(node).toMatch(/^127\.0\.0\.1-[a-z2-7]{10}$/);
    await admin.affiliate(node, { [member.jid]: 'member' });
    await rig.feeds.hits.see((hit) => hit.path === path && hit.status === 200, SECONDS);
    await member.subscribe(node);
    await publish('Second');
    expect(rig.feeds.hits.pending.filter((hit) => hit.path === path).every(saysIt)).toBe(true);
    expect(await member.describe(node)).toMatchObject({
      name: TITLE,
      access_model: 'whitelist',
      'hydrant#feed': url(),
    });
  });

  it('is nothing to anybody else: not by its NodeID, its URL, its page, in the directory or on the firehose', async () => {
    await stranger.subscribe('firehose');
    for (const name of [node, url()]) {
      expect(await refusal(stranger.subscribe(name))).toBe(CLOSED);
      expect(await refusal(stranger.items(name))).toBe(CLOSED);
      expect(await refusal(stranger.contents(name))).toBe(CLOSED);
      const avatar = xml('items', { node: name }, item('urn:xmpp:avatar:metadata'));
      expect(await refusal(stranger.pubsub('get', avatar))).toBe(CLOSED);
      const archive = xml('query', { xmlns: 'urn:xmpp:mam:2', node: name });
      expect(await refusal(stranger.request('set', archive))).toBe(CLOSED);
      expect(await stranger.describe(name)).toEqual({
        name: undefined,
        FORM_TYPE: expect.any(String),
        access_model: 'whitelist',
      });
    }
    // The page names it, but it is looked at as strangers do.
    expect((await refused(stranger.subscribe(rig.feeds.url('/page')))).attrs['type']).toBe('modify');
    expect([...(await stranger.directory()).keys()]).toEqual(['firehose']);

    const open = rig.feeds.feed('/open.xml', { format: 'atom', title: 'Open' });
    open.publish({ title: 'Old' });
    await stranger.subscribe(open.url);
    await publish('For members');
    open.publish({ title: 'For everybody' });
    await stranger.arrivals.take((one) => one.node === 'firehose' && one.title === 'For everybody', SECONDS);
    const theirs = heard.filter((text) => text.includes(` to="${stranger.jid}`));
    expect(theirs.filter((text) => text.includes('For everybody')).length).toBeGreaterThan(0);
    expect(theirs.filter((text) => /canary|For members|Second/.test(text))).toEqual([]);
    expect((await stranger.items('firehose')).map(({ title }) => title)).not.toContain('For members');
  });

  it('cannot be opened, and says why', async () => {
    for (const access_model of ['open', 'authorize']) {
      const error = await refused(admin.configure(node, { access_model }));
      expect(error.getChildText('text')).toBe('pubsub#access_model must be whitelist: this feed has credentials');
    }
    expect((await admin.configuration(node))['access_model']).toBe('whitelist');
  });

  it('shows admins asterisks, which change nothing, and owners not even those', async () => {
    const owner = as('owner');
    await admin.affiliate(node, { [owner.jid]: 'owner' });
    const [shown, theirs] = [await admin.configuration(node), await owner.configuration(node)];
    for (const name of CREDENTIALS) {
      expect(shown[name]).toBe('********');
      expect(theirs).not.toHaveProperty([name]);
    }
    const answer = await admin.owner('get', xml('configure', { node }));
    const fields = answer.getChild('pubsub')!.getChild('configure')!.getChild('x')!.getChildren('field');
    const types = fields
      .filter(({ attrs }) => CREDENTIALS.includes(String(attrs['var'])))
      .map(({ attrs }) => String(attrs['type']));
    expect(types).toEqual(['text-private', 'text-multi']);
    const back = xml('x', { xmlns: 'jabber:x:data', type: 'submit' }, ...fields);
    await admin.owner('set', xml('configure', { node }, back));
    await publish('After the form');
  });

  it('takes its credentials nowhere else, wherever it is redirected', async () => {
    rig.feeds.handle('/new.xml', gated);
    rig.feeds.raw(path, { status: 302, headers: { location: '/new.xml' } });
    await publish('Redirected');
    rig.feeds.raw(path, { status: 302, headers: { location: elsewhere.url('/trap.xml') } });
    elsewhere.raw('/trap.xml', { status: 401 });
    expect((await requests(elsewhere, 2)).every(saysNothing)).toBe(true);
    rig.feeds.handle(path, gated);
    await publish('Back');
  });

  it('fails in words that do not have them', async () => {
    const isRefused = (hit: Hit) => hit.path === path && hit.status === 401;
    await requests(rig.feeds, rig.feeds.hits.pending.filter(isRefused).length, isRefused);
    rig.feeds.raw(path, { status: 401, body: 'Who are you?' });
    // Whoever looks again has written what the first look has found.
    await requests(rig.feeds, 2, isRefused);
    expect(await member.describe(node)).toMatchObject({
      ...{ 'hydrant#state': 'failing', 'hydrant#reason': 'The server answered with status 401' },
    });
    rig.feeds.handle(path, gated);
    await publish('Well again');
  });

  it('refuses others without repeating them', async () => {
    const wrong = await refused(createWithHeaders(rig.feeds.url('/other.xml'), `Host: ${KEY}`));
    expect(wrong.getChildText('text')).toBe('hydrant#headers must not have host');
    expect(await refusal(createWithHeaders(url(), `X-Key: ${KEY}`))).toBe('cancel conflict');
    const stolen = url().replace('http://', `http://juliet:${PASSWORD}@`);
    expect(await refusal(stranger.create(stolen))).toBe('auth forbidden');
    expect(await refusal(stranger.subscribe(stolen))).toBe('modify not-acceptable');
  });
});

describe('a feed that is open', () => {
  it('is closed to all but its members as soon as it gets credentials, and read with them', async () => {
    const open = rig.feeds.feed('/closing.xml', { format: 'atom', title: 'Closing' });
    open.publish({ title: 'Old' });
    await stranger.subscribe(open.url);
    await stranger.next(open.url);
    const configure = form('submit', NODE_CONFIG, { access_model: 'open' });
    configure.append(xml('field', { var: 'hydrant#authorization' }, xml('value', {}, `juliet:${PASSWORD}`)));
    await admin.owner('set', xml('configure', { node: open.url }, configure));
    expect((await stranger.told(open.url)).attrs['subscription']).toBe('none');
    await rig.feeds.hits.take((hit) => hit.path === '/closing.xml' && hit.headers.authorization === BASIC, SECONDS);
    expect(await refusal(stranger.items(open.url))).toBe(CLOSED);
    await admin.subscribe(open.url);
    open.publish({ title: 'New' });
    await admin.arrivals.take(({ title }) => title === 'New', SECONDS);
    await admin.create('marker');
    await stranger.subscribe('marker');
    await admin.publish('marker', item('1', note('Until here')));
    await stranger.next('marker');
    expect(stranger.rest(open.url)).toEqual([]);
    expect(stranger.arrivals.pending.filter(({ title }) => title === 'New')).toEqual([]);
  });
});

it('credentials are told to nobody but the server that they are for', async () => {
  const logs = ['component', 'scheduler', 'redis', 'prosody'].map((name) =>
    readFile(join(rig.dir, 'logs', `${name}.log`), 'utf8'),
  );
  const pages = ['/metrics', '/health'].map(async (page) => (await fetch(rig.intake + page)).text());
  const seen = {
    stanzas: heard,
    logs: await Promise.all(logs),
    pages: await Promise.all(pages),
    redis: await stored(redis),
  };
  // Where all of it would be.
  expect(seen.stanzas.filter((text) => text.includes(TITLE)).length).toBeGreaterThan(0);
  expect(seen.logs.filter((text) => text.includes(url())).length).toBeGreaterThan(0);
  expect(seen.redis.filter((text) => text.includes('"sealed":')).length).toBe(2);
  for (const [place, texts] of Object.entries(seen)) {
    expect([place, texts.filter((text) => SECRETS.some((secret) => text.includes(secret)))]).toEqual([place, []]);
  }
});
