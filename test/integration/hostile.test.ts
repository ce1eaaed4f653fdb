import { afterAll, beforeAll, expect, it } from '@jest/globals';
import xml from '@xmpp/xml';
import { startRig, type Rig } from '../support/rig.js';

const SECONDS = 20;

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
}, 60_000);
afterAll(() => rig.stop());

const atom = (...entries: string[]) =>
  `<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><id>x</id><title>Trouble \u000b</title>${entries.join('')}</feed>`;
const entry = (id: string, inside: string) =>
  `<entry><id>${id}</id><title>${id}</title><updated>2026-01-01T00:00:00Z</updated>${inside}</entry>`;

const TROUBLE = {
  'control-character': entry('control-character', '<summary>a\u000bb &#11; c</summary>'),
  'undeclared-prefix': entry(
    'undeclared-prefix',
    '<foo:bar baz:qux="1">x</foo:bar><summary type="xhtml"><div><foo:b>x</foo:b></div></summary>',
  ),
  'two-megabytes': entry(
    'two-megabytes',
    `<content type="html">${'&lt;p&gt;All work and no play&lt;/p&gt;'.repeat(60_000)}</content>`,
  ),
  'lone-surrogate': entry('lone-surrogate', '<summary>&#xD800; and \ud800</summary>'),
  'html-entities': entry('html-entities', '<summary>&nbsp;&eacute;</summary>'),
  'doctype-in-content': entry(
    'doctype-in-content',
    '<content type="html">&lt;!DOCTYPE x []&gt;&lt;?php ?&gt;&lt;!-- x --&gt;</content>',
  ),
};

it('feeds that no XML stream could carry come through, and the healthy one beside them never stops', async () => {
  const healthy = rig.feeds.feed('/healthy.xml', { format: 'atom', title: 'Healthy' });
  const romeo = rig.tester.as('romeo');
  await romeo.subscribe(healthy.url);
  const paths = Object.keys(TROUBLE).map((name) => `/${name}.xml`);
  for (const path of paths) await romeo.subscribe(rig.feeds.raw(path, { type: 'application/atom+xml', body: atom() }));

  for (const [name, trouble] of Object.entries(TROUBLE)) {
    rig.feeds.raw(`/${name}.xml`, { type: 'application/atom+xml', body: Buffer.from(atom(trouble), 'utf8') });
    const { title } = healthy.publish({ title: `Beside ${name}` });
    await romeo.arrivals.take((item) => item.title === title, SECONDS);
    const item = await romeo.arrivals.take((one) => one.title === name, SECONDS);
    expect(Buffer.byteLength(item.stanza.toString())).toBeLessThan(65_536);
  }
  const cut = (await romeo.items(rig.feeds.url('/two-megabytes.xml')))[0]!.item.getChild('entry')!;
  expect(cut.getChild('truncated', 'urn:hydrant:entry:0')).toBeDefined();
  expect(cut.getChildText('content')).toMatch(/^<p>All work and no play<\/p>/);
  expect(rig.component.log.pending.filter((line) => line.includes('streamDown') || line.includes('"bug"'))).toEqual([]);
});

it.each([
  ['a page without a feed', { type: 'text/html', body: '<!doctype html><p>Hello' }, 'modify', 'not-acceptable'],
  ['a picture', { type: 'image/png', body: '\u0089PNG' }, 'modify', 'not-acceptable'],
  ['what is not there', { status: 404, body: 'no' }, 'cancel', 'item-not-found'],
  ['a server that is ill', { status: 500, body: 'no' }, 'cancel', 'item-not-found'],
])('subscribing to %s is refused, with a text that says why', async (name, answer, type, condition) => {
  const url = rig.feeds.raw(`/${encodeURIComponent(name)}`, answer);
  const refusal = await rig.tester
    .as('romeo')
    .subscribe(url)
    .then(
      () => undefined,
      (error: unknown) => error as { type: string; condition: string; text: string },
    );
  expect(refusal).toMatchObject({ type, condition });
  expect(refusal?.text.length).toBeGreaterThan(10);
});

it.each([
  ['a private address', 'http://10.0.0.1/feed'],
  ['a name without a dot', 'ftp://127.0.0.1/feed'],
  ['credentials', 'http://me:secret@127.0.0.1/feed'],
  ['a line break', 'http://127.0.0.1/fe\ned'],
  ['200 KB', `http://127.0.0.1/${'x'.repeat(200_000)}`],
])('%s is never followed', async (_, url) => {
  await expect(rig.tester.as('romeo').subscribe(url)).rejects.toMatchObject({ name: 'StanzaError' });
});

it('a feed that is too slow to be looked at is subscribed to at once, and the rest follows', async () => {
  let release: (() => void) | undefined;
  const slow = new Promise<void>((resolve) => (release = resolve));
  const url = rig.feeds.handle('/slow.xml', (_request, response) => {
    void slow.then(() =>
      response.writeHead(200, { 'content-type': 'application/atom+xml' }).end(atom(entry('At last', ''))),
    );
  });
  const romeo = rig.tester.as('romeo');
  expect((await romeo.subscribe(url)).attrs['subscription']).toBe('subscribed');
  release?.();
  expect((await romeo.arrivals.take(({ node }) => node === url, SECONDS)).title).toBe('At last');
});

it('a page that is too slow to be looked at leads to its feed afterwards', async () => {
  const feed = rig.feeds.feed('/behind.xml', { format: 'rss', title: 'Behind' });
  let release: (() => void) | undefined;
  const slow = new Promise<void>((resolve) => (release = resolve));
  const page = rig.feeds.handle('/slow-page', (_request, response) => {
    const link = `<link rel="alternate" type="application/rss+xml" href="/behind.xml">`;
    void slow.then(() => response.writeHead(200, { 'content-type': 'text/html' }).end(`<!doctype html>${link}`));
  });
  const romeo = rig.tester.as('romeo');
  await romeo.subscribe(page);
  release?.();
  await rig.scheduler.log.see((line) => line.includes(page) && line.includes('"polled"'), SECONDS);
  feed.publish({ title: 'Found' });
  expect((await romeo.arrivals.take(({ node }) => node === page, SECONDS)).title).toBe('Found');
});

it('whatever is asked, there is one answer', async () => {
  const romeo = rig.tester.as('romeo');
  const pubsub = (...children: ReturnType<typeof xml>[]) =>
    xml('pubsub', 'http://jabber.org/protocol/pubsub', ...children);
  const refusals: (readonly ['get' | 'set', ReturnType<typeof xml>, string, string?])[] = [
    ['set', pubsub(xml('subscribe', { jid: romeo.jid })), 'bad-request', 'nodeid-required'],
    ['set', pubsub(xml('subscribe', { node: 'http://127.0.0.1/x' })), 'bad-request', 'jid-required'],
    [
      'set',
      pubsub(xml('subscribe', { node: 'firehose', jid: 'juliet@tester.localhost' })),
      'bad-request',
      'invalid-jid',
    ],
    ['set', pubsub(xml('subscribe', { node: 'nowhere', jid: romeo.jid })), 'item-not-found'],
    ['set', pubsub(xml('unsubscribe', { node: 'firehose', jid: romeo.jid })), 'unexpected-request', 'not-subscribed'],
    ['set', pubsub(xml('unsubscribe', { node: 'firehose', jid: 'juliet@tester.localhost' })), 'forbidden'],
    ['set', pubsub(xml('unsubscribe', { node: 'nowhere', jid: romeo.jid })), 'item-not-found'],
    ['get', pubsub(xml('items', {})), 'bad-request', 'nodeid-required'],
    ['get', pubsub(xml('items', { node: 'nowhere' })), 'item-not-found'],
    ['get', pubsub(xml('items', { node: 'firehose', max_items: 'many' })), 'bad-request'],
    ['get', pubsub(xml('items', { node: 'firehose', max_items: '0' })), 'bad-request'],
    ['set', pubsub(xml('publish', { node: 'firehose' })), 'feature-not-implemented', 'unsupported'],
    ['set', pubsub(xml('dance', {})), 'feature-not-implemented'],
    ['get', xml('query', { xmlns: 'http://jabber.org/protocol/disco#info', node: 'nowhere' }), 'item-not-found'],
    ['get', xml('query', 'jabber:iq:last'), 'service-unavailable'],
  ];
  for (const [type, child, condition, detail] of refusals) {
    const error = await romeo.request(type, child).then(
      (answer) => answer,
      (refusal: unknown) => refusal as { condition: string; element: ReturnType<typeof xml> },
    );
    expect({ asked: child.toString(), error }).toMatchObject({ asked: child.toString(), error: { condition } });
    if (detail && 'element' in error) {
      expect(error.element.getChild(detail, 'http://jabber.org/protocol/pubsub#errors')).toBeDefined();
    }
  }
});
