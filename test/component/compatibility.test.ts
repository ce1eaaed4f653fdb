import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import xml, { type Element } from '@xmpp/xml';
import { get, set, type Xep } from '../../component/router.js';
import { NS } from '../../component/stanza.js';
import { xeps, type XepDeps } from '../../component/xeps/index.js';
import { CREDENTIAL_FIELDS } from '../../lib/credentials.js';
import type { Fields } from '../../lib/fields.js';
import { configFields, type NodeKind } from '../../lib/node-config.js';
import { OPTION_FIELDS } from '../../lib/options.js';
import { ID, NODE, NOW, ROMEO, withBlog } from '../support/service.js';
import { subscriptionOf } from '../support/stores.js';

const page = readFileSync('component/README.md', 'utf8');
// Nothing is asked, so nothing that would answer is needed.
const DEPS = { domain: 'feeds.example', admins: [], version: '' };
const table: readonly Xep[] = xeps(DEPS as unknown as XepDeps).all;

const FEATURE = `${NS.pubsub}#`;
/** The namespaces of all that the sections are about. */
const NAMESPACES: readonly string[] = [NS.pubsub, NS.pubsubOwner, NS.discoInfo, NS.discoItems, NS.commands];
/** How many sections of the second level a chapter of XEP-0060 has. */
const CHAPTERS = { 4: 6, 5: 7, 6: 5, 7: 2, 8: 9, 13: 23 };

/** The rows of the table under a heading, cell by cell, without those that say what the columns are. */
function rows(text: string, heading: string): string[][] {
  const part = text.split(/^## /m).find((section) => section.startsWith(heading)) ?? '';
  const lines = part.split('\n').filter((line) => line.startsWith('|'));
  return lines.slice(2).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

const quoted = (cell = ''): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, inside]) => inside ?? '');

/** A route as the page calls it. */
function requestOf({ type, ns, name }: Xep['routes'][number]): string {
  if (ns === NS.discoInfo || ns === NS.discoItems) return `${type} ${ns.replace('http://jabber.org/protocol/', '')}`;
  return `${type} ${ns === NS.pubsubOwner ? 'owner ' : ''}${name}`;
}

/** Where the page and the table do not agree, a sentence each. */
function disagreements(text: string, all: readonly Xep[]): string[] {
  const sections = rows(text, 'Sections');
  const named = {
    requests: sections.flatMap((row) => quoted(row[1])),
    features: sections.flatMap((row) => quoted(row[2])),
  };
  const routes = all.flatMap((xep) => xep.routes).filter(({ ns }) => NAMESPACES.includes(ns));
  const answered = routes.map(requestOf);
  const advertised = all
    .flatMap((xep) => xep.features)
    .filter((name) => name.startsWith(FEATURE))
    .map((name) => name.slice(FEATURE.length));
  const missing = (what: readonly string[], from: readonly string[], how: string) =>
    [...new Set(what)].filter((one) => !from.includes(one)).map((one) => `${one} is ${how}`);
  return [
    ...missing(named.requests, answered, 'named, but not answered'),
    ...missing(answered, named.requests, 'answered, but not named'),
    ...missing(named.features, advertised, 'named, but not advertised'),
    ...missing(advertised, named.features, 'advertised, but not named'),
  ];
}

it('the page names what is answered and advertised, and nothing else', () => {
  expect(rows(page, 'Sections').length).toBeGreaterThan(50);
  expect(disagreements(page, table)).toEqual([]);
});

it('the page has a line for each section of the specification, which says what works', () => {
  const sections = rows(page, 'Sections');
  const numbers = sections.map(([name = '']) => name.split(' ')[0]);
  const all = Object.entries(CHAPTERS).flatMap(([chapter, count]) =>
    Array.from({ length: count }, (_, i) => `${chapter}.${i + 1}`),
  );
  expect(numbers).toEqual(expect.arrayContaining([...all, '9', '10']));
  for (const row of sections)
    expect(row).toEqual([expect.stringMatching(/^[\d.]+ ./), row[1], row[2], expect.stringMatching(/./)]);
});

describe('the page is found wrong', () => {
  const xep = (more: Partial<Xep>): Xep => ({ features: [], routes: [], ...more });
  const without = (what: string) =>
    table.map((one) => ({ ...one, features: one.features.filter((name) => name !== what) }));

  it.each([
    [
      'a verb is answered that it does not name',
      xep({ routes: [set(NS.pubsub, 'shout', () => undefined)] }),
      'set shout',
    ],
    ['an owner’s verb is', xep({ routes: [get(NS.pubsubOwner, 'subscribe', () => undefined)] }), 'get owner subscribe'],
    [
      'the other type of a request is',
      xep({ routes: [set(NS.discoInfo, 'query', () => undefined)] }),
      'set disco#info',
    ],
  ])('when %s', (_, more, request) => {
    expect(disagreements(page, [...table, more])).toEqual([`${request} is answered, but not named`]);
  });

  it('when a feature is advertised that it does not name', () => {
    expect(disagreements(page, [...table, xep({ features: [`${FEATURE}collections`] })])).toEqual([
      'collections is advertised, but not named',
    ]);
  });

  it('when it names what is not there any more', () => {
    const silent = table.map((one) => ({ ...one, routes: one.routes.filter(({ name }) => name !== 'retract') }));
    expect(disagreements(page, silent)).toEqual(['set retract is named, but not answered']);
    expect(disagreements(page, without(`${FEATURE}purge-nodes`))).toEqual(['purge-nodes is named, but not advertised']);
  });

  it('when a line of it is changed', () => {
    const line = (cells: string) => page.replace(/^\| 9 IM.*$/m, `| 9 IM ${cells} | yes |`);
    expect(disagreements(line('| `set shout` |'), table)).toEqual(['set shout is named, but not answered']);
    expect(disagreements(line('| | `multi-subscribe`'), table)).toEqual([
      'multi-subscribe is named, but not advertised',
    ]);
    expect(disagreements(page.replace('`set unsubscribe`', ''), table)).toEqual([
      'set unsubscribe is answered, but not named',
    ]);
    expect(disagreements(page.replace('`rsm`', ''), table)).toEqual(['rsm is advertised, but not named']);
  });
});

describe('the page names every field', () => {
  const forms = rows(page, 'Forms');
  const named = (form: string, ...whose: string[]) =>
    forms
      .filter(([name, of = '']) => quoted(name)[0] === form && whose.some((kind) => of.includes(kind)))
      .flatMap((row) => quoted(row[2]))
      .sort();
  const names = (fields: Fields) =>
    Object.values(fields)
      .map(({ name }) => name.replace(/^pubsub#/, ''))
      .sort();

  it('of subscription options', () => {
    expect(named('pubsub#subscribe_options', 'every')).toEqual(names(OPTION_FIELDS));
  });

  it('of what is said of a feed', async () => {
    const { service, stores } = await withBlog();
    // One that is followed and cannot be read has something to say in every field.
    await stores.subscriptions.put(subscriptionOf(ID));
    const failure = { reason: 'dns', text: 'No such host' } as const;
    const feed = (await stores.feeds.get(ID))!;
    await stores.feeds.commit({ feed, nextMs: 60_000, outcome: { kind: 'failed', failure } });
    const { all } = xeps({ ...DEPS, service } as unknown as XepDeps);
    const route = all.flatMap((xep) => xep.routes).find(({ ns }) => ns === NS.discoInfo)!;
    const query = xml('query', { xmlns: NS.discoInfo, node: NODE });
    const answer = (await route.answer({ from: ROMEO, action: query, payload: query })) as Element;
    const fields = answer.getChild('x', NS.data)!.getChildren('field');
    const said = new Map(fields.map((field) => [String(field.attrs['var']), field.getChildText('value')]));
    expect(named('pubsub#meta-data', "feeds' nodes")).toEqual(
      [...said.keys()].filter((name) => name.startsWith('hydrant#')).sort(),
    );
    expect(Object.fromEntries(said)).toMatchObject({
      'hydrant#state': 'failing',
      'hydrant#reason': 'No such host',
      'hydrant#since': new Date(NOW).toISOString(),
      'hydrant#next': new Date(NOW + 60_000).toISOString(),
    });
  });

  it.each<[NodeKind, string]>([
    ['firehose', 'the firehose'],
    ['feed', "feeds' nodes"],
    ['own', 'own nodes'],
  ])('of the configuration of a node: %s', (kind, whose) => {
    expect(named('pubsub#node_config', 'every', whose)).toEqual(names(configFields(kind)));
  });

  it('of the configuration of a node that only admins see', () => {
    expect(named('pubsub#node_config', 'for admins')).toEqual(names(CREDENTIAL_FIELDS));
  });
});
