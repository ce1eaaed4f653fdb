import fc from 'fast-check';

/** An element before it is text, so that it can be spoilt. */
export interface Tree {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly (Tree | string)[];
}

export const tree = (
  name: string,
  attributes: Readonly<Record<string, string | undefined>> = {},
  ...children: readonly (Tree | string | undefined)[]
): Tree => ({
  name,
  attributes: Object.fromEntries(
    Object.entries(attributes).filter(([, value]) => value !== undefined),
  ) as Tree['attributes'],
  children: children.filter((child) => child !== undefined),
});

// What may stand in XML at all.
const legal = (text: string) => text.replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '');

// References for what a parser would otherwise turn into spaces.
const escape = (text: string) => text.replace(/[&<>'"\t\n\r]/g, (character) => `&#${character.charCodeAt(0)};`);

/** As XML. */
export function written({ name, attributes, children }: Tree): string {
  const said = Object.entries(attributes).map(([key, value]) => ` ${key}='${escape(value)}'`);
  const inside = children.map((child) => (typeof child === 'string' ? escape(child) : written(child)));
  return `<${name}${said.join('')}>${inside.join('')}</${name}>`;
}

const PUBSUB = 'http://jabber.org/protocol/pubsub';
const OWNER = `${PUBSUB}#owner`;
const DATA = 'jabber:x:data';
const RSM = 'http://jabber.org/protocol/rsm';
const MAM = 'urn:xmpp:mam:2';
const COMMANDS = 'http://jabber.org/protocol/commands';
const DISCO = 'http://jabber.org/protocol/disco';
const NAMESPACES = [
  ...[
    PUBSUB,
    OWNER,
    `${PUBSUB}#event`,
    `${PUBSUB}#errors`,
    DATA,
    RSM,
    MAM,
    COMMANDS,
    `${DISCO}#info`,
    `${DISCO}#items`,
  ],
  ...['urn:xmpp:ping', 'jabber:iq:version', 'urn:xmpp:order-by:1', 'jabber:client', 'urn:nobody:knows', ''],
];
const NAMES = [
  ...['pubsub', 'subscribe', 'unsubscribe', 'options', 'items', 'item', 'publish', 'retract', 'create', 'configure'],
  ...['delete', 'purge', 'default', 'subscriptions', 'subscription', 'affiliations', 'affiliation', 'redirect'],
  ...['publish-options', 'query', 'x', 'field', 'value', 'set', 'max', 'before', 'after', 'error', 'command', 'ping'],
];
const ATTRIBUTES = [
  ...['node', 'jid', 'subid', 'id', 'type', 'uri', 'var', 'max_items', 'subscription', 'affiliation', 'notify'],
  ...['action', 'sessionid', 'queryid', 'by', 'desc', 'xml:lang', 'xml:base', '__proto__', 'constructor'],
];
const FIELDS = [
  ...['access_model', 'publish_model', 'max_items', 'item_expire', 'title', 'description', 'deliver', 'digest'],
  ...['digest_frequency', 'expire', 'include_body', 'show-values', 'subscription_depth', 'node_type', 'collection'],
  ...['persist_items', 'deliver_payloads', 'send_last_published_item', 'notify_config', 'language', 'contact', 'type'],
].map((name) => `pubsub#${name}`);
const OURS = ['message_type', 'payload', 'status', 'daily_limit', 'filter'].map((name) => `hydrant#${name}`);
const VALUES = [
  ...[
    '0',
    '1',
    'true',
    'max',
    'open',
    'authorize',
    'whitelist',
    'roster',
    'leaf',
    'collection',
    'presence',
    'chat',
    'en',
  ],
  ...['never', 'on_sub', 'on_sub_and_presence', '2099-01-01T00:00:00Z', '1000', 'normal', 'headline', 'all'],
];

/** What nobody should have to expect. */
const HOSTILE = [
  ...[
    '',
    ' ',
    '\t',
    'a\tb',
    'line\nbreak',
    'line\r\nFLUSHALL\r\n',
    'right\u202eto left',
    'zero\u200bwidth',
    '\ufeffbom',
  ],
  ...[
    '\u0085',
    '\u009f',
    '\u2028',
    '\u{10ffff}',
    '\ue000',
    'Z\u0351\u036b\u0343\u036a\u0302A',
    '😀',
    'ß',
    'İ',
    '丈'.repeat(500),
  ],
  ...['__proto__', 'constructor', 'hasOwnProperty', 'toString', 'null', 'undefined', 'NaN', '[object Object]', '{"a":'],
  ...['-1', '0', '1e9', '00', '4294967296', '99999999999999999999', '0x10', '1.5', '+1', '٣', 'true', 'maybe'],
  ...[
    "' or 1=1 --",
    '"><x/>',
    ']]>',
    '<!--',
    '&amp;',
    '&#0;',
    '%00',
    '%s%n',
    '../../etc/passwd',
    '${7*7}',
    '{0}',
    '*',
    '?',
  ],
  ...[
    'hydrant:{0}:log',
    'redis.call("FLUSHALL")',
    'return 1',
    'a\\0b',
    '\\u0000',
    '0-0',
    '1800000000000-0',
    '000000000001',
  ],
  ...['@', '/', '@/', 'a@b@c', 'a@b/c/d', '@b', 'a@', 'x@y/\u202e', 'feeds.localhost', 'news@feeds.localhost/hydrant'],
  ...['((((((((', '"unclosed', '-', 'site:', '2026-13-45T99:99:99Z', '0000-00-00T00:00:00Z', '275760-09-13T00:00:00Z'],
  ...[
    'javascript:alert(1)',
    'ftp://127.0.0.1/',
    'http:',
    'http://',
    'http:///',
    'HTTP://127.0.0.1:1/',
    'http://10.0.0.1/',
  ],
  ...[
    'http://[::1]/',
    'http://0x7f000001:1/',
    'http://127.0.0.1:1/\u202e',
    'http://127.0.0.1:1/#x',
    'http://127.0.0.1:99999/',
  ],
  ...[
    'firehose',
    'FIREHOSE',
    'firehose ',
    'node-1',
    'a-aaaaaaaaaa',
    '-aaaaaaaaaa',
    '.',
    '..',
    'x'.repeat(201),
    'x'.repeat(3_000),
  ],
];
// They are as large as stanzas can be; a few of them go a long way.
const HUGE = [
  'x'.repeat(200_000),
  `http://127.0.0.1:1/${'y'.repeat(200_000)}`,
  '\u202e'.repeat(60_000),
  '&'.repeat(40_000),
];

/** What people who ask have to say. */
export interface Words {
  readonly nodes: readonly string[];
  readonly jids: readonly string[];
  readonly subids: readonly string[];
  readonly items: readonly string[];
}

interface Chosen {
  readonly node: string;
  readonly jid: string;
  readonly subid: string | undefined;
  readonly item: string;
  readonly text: string;
  readonly form: readonly (readonly [string, readonly string[]])[];
  readonly page: { readonly max: string; readonly after?: string | undefined; readonly before?: string | undefined };
}

const formOf = (type: string, formType: string, fields: Chosen['form']): Tree =>
  tree(
    'x',
    { xmlns: DATA, type },
    tree('field', { var: 'FORM_TYPE', type: 'hidden' }, tree('value', {}, formType)),
    ...fields.map(([name, values]) => tree('field', { var: name }, ...values.map((value) => tree('value', {}, value)))),
  );
const setOf = ({ max, after, before }: Chosen['page']): Tree =>
  tree(
    'set',
    { xmlns: RSM },
    tree('max', {}, max),
    after === undefined ? undefined : tree('after', {}, after),
    before === undefined ? undefined : tree('before', {}, before),
  );
const pubsub = (...children: readonly (Tree | undefined)[]) => tree('pubsub', { xmlns: PUBSUB }, ...children);
const owner = (...children: readonly Tree[]) => tree('pubsub', { xmlns: OWNER }, ...children);

/** Every request that there is, as it should be: the type of the IQ, and its payload. */
const REQUESTS: readonly (readonly ['get' | 'set', (chosen: Chosen) => Tree])[] = [
  ['set', ({ node, jid }) => pubsub(tree('subscribe', { node, jid }))],
  [
    'set',
    ({ node, jid, form }) =>
      pubsub(
        tree('subscribe', { node, jid }),
        tree('options', {}, formOf('submit', `${PUBSUB}#subscribe_options`, form)),
      ),
  ],
  ['set', ({ node, jid, subid }) => pubsub(tree('unsubscribe', { node, jid, subid }))],
  ['get', ({ node, jid, subid }) => pubsub(tree('options', { node, jid, subid }))],
  [
    'set',
    ({ node, jid, subid, form }) =>
      pubsub(tree('options', { node, jid, subid }, formOf('submit', `${PUBSUB}#subscribe_options`, form))),
  ],
  ['get', ({ node }) => pubsub(tree('default', { node }))],
  ['get', ({ page }) => pubsub(tree('subscriptions'), setOf(page))],
  ['get', ({ node }) => pubsub(tree('subscriptions', { node }))],
  ['get', ({ page }) => pubsub(tree('affiliations'), setOf(page))],
  ['get', ({ node }) => pubsub(tree('affiliations', { node }))],
  ['get', ({ node, subid }) => pubsub(tree('items', { node, subid }))],
  ['get', ({ node, page }) => pubsub(tree('items', { node }), setOf(page))],
  ['get', ({ node, page }) => pubsub(tree('items', { node, max_items: page.max }))],
  ['get', ({ node, item }) => pubsub(tree('items', { node }, tree('item', { id: item })))],
  [
    'get',
    ({ node, page }) =>
      pubsub(
        tree('items', { node }),
        setOf(page),
        tree('order', { xmlns: 'urn:xmpp:order-by:1', by: 'creation', desc: 'true' }),
      ),
  ],
  [
    'set',
    ({ node, item, text }) =>
      pubsub(tree('publish', { node }, tree('item', { id: item }, tree('a', { xmlns: 'urn:a', b: text }, text)))),
  ],
  [
    'set',
    ({ node, item, form }) =>
      pubsub(
        tree('publish', { node }, tree('item', { id: item }, tree('a'))),
        tree('publish-options', {}, formOf('submit', `${PUBSUB}#publish-options`, form)),
      ),
  ],
  ['set', ({ node, item }) => pubsub(tree('retract', { node, notify: '1' }, tree('item', { id: item })))],
  ['set', ({ node }) => pubsub(tree('create', { node }))],
  [
    'set',
    ({ node, form }) =>
      pubsub(tree('create', { node }), tree('configure', {}, formOf('submit', `${PUBSUB}#node_config`, form))),
  ],
  ['get', () => owner(tree('default'))],
  ['get', ({ node }) => owner(tree('configure', { node }))],
  ['set', ({ node, form }) => owner(tree('configure', { node }, formOf('submit', `${PUBSUB}#node_config`, form)))],
  ['set', ({ node, text }) => owner(tree('delete', { node }, tree('redirect', { uri: `xmpp:${text}` })))],
  ['set', ({ node }) => owner(tree('purge', { node }))],
  ['get', ({ node }) => owner(tree('subscriptions', { node }))],
  [
    'set',
    ({ node, jid, subid }) =>
      owner(tree('subscriptions', { node }, tree('subscription', { jid, subid, subscription: 'subscribed' }))),
  ],
  ['get', ({ node }) => owner(tree('affiliations', { node }))],
  [
    'set',
    ({ node, jid }) => owner(tree('affiliations', { node }, tree('affiliation', { jid, affiliation: 'publisher' }))),
  ],
  ['get', ({ node }) => tree('query', { xmlns: `${DISCO}#info`, node })],
  ['get', ({ node }) => tree('query', { xmlns: `${DISCO}#items`, node })],
  ['get', ({ page }) => tree('query', { xmlns: `${DISCO}#items` }, setOf(page))],
  ['get', () => tree('ping', { xmlns: 'urn:xmpp:ping' })],
  ['get', () => tree('query', { xmlns: 'jabber:iq:version' })],
  ['get', () => tree('query', { xmlns: MAM })],
  ['get', ({ node }) => tree('metadata', { xmlns: MAM, node })],
  ['set', ({ node, page, text }) => tree('query', { xmlns: MAM, node, queryid: text }, setOf(page))],
  [
    'set',
    ({ node, item, page }) =>
      tree(
        'query',
        { xmlns: MAM, node },
        formOf('submit', MAM, [
          ['after-id', [item]],
          ['start', ['2020-01-01T00:00:00Z']],
        ]),
        setOf(page),
      ),
  ],
  ['set', () => tree('command', { xmlns: COMMANDS, node: `${PUBSUB}#get-pending`, action: 'execute' })],
  [
    'set',
    ({ node, text }) =>
      tree(
        'command',
        { xmlns: COMMANDS, node: `${PUBSUB}#get-pending`, sessionid: text },
        formOf('submit', `${PUBSUB}#subscribe_authorization`, [['pubsub#node', [node]]]),
      ),
  ],
];

const authorization = ({ node, jid, subid }: Chosen): Tree =>
  formOf('submit', `${PUBSUB}#subscribe_authorization`, [
    ['pubsub#node', [node]],
    ['pubsub#subscriber_jid', [jid]],
    ['pubsub#subid', [subid ?? '']],
    ['pubsub#allow', ['1']],
  ]);

/** One way to spoil an element somewhere in a tree. */
type Edit = (victim: Tree) => Tree;

function editOf(place: number, how: number, name: string, attribute: string, namespace: string, value: string): Edit {
  const change =
    (attributes: Tree['attributes']): Edit =>
    (victim) => ({
      ...victim,
      attributes: { ...victim.attributes, ...attributes },
    });
  const nth = ({ attributes }: Tree) => Object.keys(attributes)[place % Math.max(1, Object.keys(attributes).length)];
  const EDITS: readonly Edit[] = [
    (victim) => change({ [nth(victim) ?? attribute]: value })(victim),
    change({ [attribute]: value }),
    change({ xmlns: namespace }),
    (victim) => {
      const left = Object.entries(victim.attributes).filter(([key]) => key !== nth(victim));
      return { ...victim, attributes: Object.fromEntries(left) };
    },
    (victim) => {
      const [one, other] = Object.values(victim.attributes);
      const keys = Object.keys(victim.attributes);
      return change({ [keys[0] ?? attribute]: other ?? value, [keys[1] ?? attribute]: one ?? value })(victim);
    },
    (victim) => ({ ...victim, children: [] }),
    (victim) => ({ ...victim, children: [value] }),
    (victim) => ({ ...victim, children: [...victim.children, ...victim.children] }),
    (victim) => ({ ...victim, children: [...victim.children].reverse() }),
    (victim) => ({ ...victim, children: [...victim.children, victim] }),
    (victim) => ({ ...victim, children: victim.children.slice(1) }),
    (victim) => ({ ...victim, name }),
    (victim) => tree(name, { xmlns: namespace }, victim),
    (victim) => Array.from({ length: 150 }).reduce<Tree>((inner) => tree(name, {}, inner), victim),
    (victim) =>
      lengthOf(victim) > 1_000
        ? victim
        : {
            ...victim,
            children: Array.from({ length: 300 }, () => victim.children)
              .flat()
              .slice(0, 300),
          },
  ];
  return EDITS[how % EDITS.length] ?? ((victim) => victim);
}

// What is larger is not made larger still.
const LARGE = 50_000;
// Servers take no more than half a megabyte at once.
const MOST = 450_000;

const lengthOf = ({ attributes, children }: Tree): number =>
  Object.values(attributes).join('').length +
  children.reduce((sum, child) => sum + (typeof child === 'string' ? child.length : lengthOf(child)), 0);

const sizeOf = ({ children }: Tree): number =>
  children.reduce((sum, child) => sum + (typeof child === 'string' ? 0 : sizeOf(child)), 1);

/** Changes the element that is at this place, counted from the outermost one. */
function changed(whole: Tree, place: number, edit: Edit): Tree {
  if (place === 0) return edit(whole);
  let before = 1;
  const children = whole.children.map((child) => {
    if (typeof child === 'string') return child;
    const from = before;
    before += sizeOf(child);
    return place >= from && place < before ? changed(child, place - from, edit) : child;
  });
  return { ...whole, children };
}

const someEdits: fc.Arbitrary<readonly ((whole: Tree) => Tree)[]> = fc.array(
  fc
    .record({
      place: fc.nat(1_000),
      how: fc.nat(1_000),
      name: fc.constantFrom(...NAMES),
      attribute: fc.constantFrom(...ATTRIBUTES),
      namespace: fc.constantFrom(...NAMESPACES),
      value: fc.oneof(
        { weight: 200, arbitrary: fc.constantFrom(...HOSTILE) },
        { weight: 40, arbitrary: fc.string({ unit: 'binary', maxLength: 20 }).map(legal) },
        { weight: 1, arbitrary: fc.constantFrom(...HUGE) },
      ),
    })
    .map(({ place, how, name, attribute, namespace, value }) => (whole: Tree) => {
      if (sizeOf(whole) > 400 || lengthOf(whole) > LARGE) return whole;
      return changed(whole, place % sizeOf(whole), editOf(place, how, name, attribute, namespace, value));
    }),
  { minLength: 1, maxLength: 4 },
);
const edits = fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, { weight: 3, arbitrary: someEdits });

function chosen(words: Words): fc.Arbitrary<Chosen> {
  const rarely = <T>(usual: readonly T[], others: fc.Arbitrary<T>): fc.Arbitrary<T> =>
    fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...usual) }, { weight: 1, arbitrary: others });
  const hostile = fc.constantFrom(...HOSTILE);
  const text = fc.oneof(hostile, fc.string({ unit: 'binary', maxLength: 30 }).map(legal));
  const item = rarely(words.items, hostile);
  const cursor = fc.option(fc.oneof(item, hostile), { nil: undefined });
  return fc.record({
    node: rarely(
      words.nodes,
      fc.oneof({ weight: 30, arbitrary: hostile }, { weight: 1, arbitrary: fc.constantFrom(...HUGE) }),
    ),
    jid: rarely(words.jids, hostile),
    subid: fc.option(rarely(words.subids, hostile), { nil: undefined, freq: 2 }),
    item,
    text,
    form: fc.array(
      fc.tuple(rarely([...FIELDS, ...OURS], hostile), fc.array(rarely(VALUES, hostile), { maxLength: 3 })),
      { maxLength: 5 },
    ),
    page: fc.record({ max: rarely(['0', '1', '5', '1000'], hostile), after: cursor, before: cursor }),
  });
}

/** A stanza but for who sends it. */
export interface Shot {
  readonly kind: 'iq' | 'message' | 'presence';
  readonly type: string | undefined;
  readonly id: string | undefined;
  readonly to: string;
  readonly children: readonly Tree[];
}

/** Stanzas of all kinds to `service`, most of them nearly right, most of the rest dead wrong. */
export function shots(service: string, words: Words): fc.Arbitrary<Shot> {
  const id = fc.oneof(
    { weight: 8, arbitrary: fc.constant('ask') },
    { weight: 1, arbitrary: fc.constantFrom(undefined, ...HOSTILE) },
  );
  const to = fc.oneof(
    { weight: 15, arbitrary: fc.constant(service) },
    { weight: 1, arbitrary: fc.constantFrom(`${service}/resource`, `node@${service}`, service.toUpperCase()) },
  );
  const spoilt = (usual: string | undefined, others: readonly (string | undefined)[]) =>
    fc.oneof({ weight: 12, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...others) });

  const iq = fc.tuple(fc.constantFrom(...REQUESTS), chosen(words), edits).chain(([[usual, request], what, changes]) => {
    const payload = changes.reduce((whole, change) => change(whole), request(what));
    return fc.record({
      kind: fc.constant('iq' as const),
      type: spoilt(usual, ['get', 'set', 'result', 'error', 'GET', '', undefined]),
      id,
      to,
      children: fc.oneof(
        { weight: 20, arbitrary: fc.constant([payload]) },
        // None at all never gets here: the server trips over it.
        { weight: 1, arbitrary: fc.constantFrom([payload, payload], [payload, tree('x'), payload]) },
      ),
    });
  });
  const message = fc.tuple(chosen(words), edits).chain(([what, changes]) =>
    fc.record({
      kind: fc.constant('message' as const),
      type: spoilt(undefined, ['chat', 'headline', 'groupchat', 'error', 'normal', 'nonsense', '']),
      id,
      to,
      children: fc.constantFrom(
        [changes.reduce((whole, change) => change(whole), authorization(what))],
        [tree('body', {}, what.text), authorization(what)],
        [
          tree(
            'event',
            { xmlns: `${PUBSUB}#event` },
            tree('items', { node: what.node }, tree('item', { id: what.item })),
          ),
        ],
        [],
      ),
    }),
  );
  const presence = fc.tuple(chosen(words), edits).chain(([{ text }, changes]) =>
    fc.record({
      kind: fc.constant('presence' as const),
      type: fc.constantFrom(
        ...[
          undefined,
          'unavailable',
          'subscribe',
          'subscribed',
          'unsubscribe',
          'unsubscribed',
          'probe',
          'error',
          'nonsense',
          '',
        ],
      ),
      id,
      to,
      children: fc.constant([changes.reduce((whole, change) => change(whole), tree('show', {}, text))]),
    }),
  );
  return fc
    .oneof({ weight: 12, arbitrary: iq }, { weight: 1, arbitrary: message }, { weight: 1, arbitrary: presence })
    .filter(({ children }) => children.map(written).join('').length < MOST);
}
