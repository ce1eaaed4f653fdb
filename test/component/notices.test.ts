import { describe, expect, it } from '@jest/globals';
import type { Element } from '@xmpp/xml';
import fc from 'fast-check';
import { createEvents } from '../../component/event.js';
import { readForm } from '../../component/forms.js';
import { AUTHORIZATION, noticeStanza, subscriptionNotice } from '../../component/notices.js';
import type { Subscription } from '../../lib/domain.js';
import { defaultOptions, type Options } from '../../lib/options.js';
import type { Notice } from '../../lib/pubsub/subscriber.js';
import { FIREHOSE } from '../../lib/domain.js';
import { BARE, ID, itemId, JULIET, NODE, NOW, ROMEO, withBlog, withFirehose } from '../support/service.js';
import { BLOG, entryOf, look, subscriptionOf } from '../support/stores.js';
import { attributesOf, stanzaIn } from '../support/xml.js';

const DOMAIN = 'feeds.example.net';
const events = createEvents(DOMAIN, 61_440);
const stanza = (notice: Notice): Element => stanzaIn(noticeStanza(events, DOMAIN, notice));

describe('that a subscription has changed', () => {
  const subscription = subscriptionOf(ID, ROMEO, { node: BLOG, subid: 'x' });

  it.each(['subscribed', 'pending', 'none'] as const)('is told to its subscriber: %s', (state) => {
    const told = stanza({ kind: 'subscription', to: ROMEO, subscription, state });
    expect(told.attrs).toMatchObject({ from: DOMAIN, to: ROMEO, type: 'headline' });
    expect(told.getChildElements().map(({ name }) => name)).toEqual(['event']);
    expect(attributesOf(told.getChild('event')!.getChild('subscription')!)).toEqual({
      ...{ node: BLOG, jid: ROMEO, subid: 'x', subscription: state },
    });
  });

  it('is told to owners as that of somebody else', () => {
    const told = stanza({ kind: 'subscription', to: JULIET, subscription, state: 'subscribed' });
    expect(told.attrs['to']).toBe(JULIET);
    expect(told.getChild('event')!.getChild('subscription')!.attrs['jid']).toBe(ROMEO);
  });

  it('has an id of its own each time', () => {
    const id = () =>
      attributesOf(stanzaIn(subscriptionNotice(events, { to: ROMEO, subscription, state: 'none' })))['id'];
    expect(id()).not.toBe(id());
  });

  it('is not said in rooms, but to owners', () => {
    const inRoom = { ...subscription, room: true } as const;
    const notice = { kind: 'subscription', subscription: inRoom, state: 'none' } as const;
    expect(noticeStanza(events, DOMAIN, { ...notice, to: ROMEO })).toBe('');
    expect(stanza({ ...notice, to: JULIET }).attrs['type']).toBe('headline');
  });
});

it('that an affiliation has changed is told outside of events', () => {
  const told = stanza({ kind: 'affiliation', to: JULIET, node: NODE, affiliation: 'member' });
  expect(told.attrs).toMatchObject({ from: DOMAIN, to: JULIET, type: 'headline' });
  const list = told.getChild('pubsub', 'http://jabber.org/protocol/pubsub')!.getChild('affiliations')!;
  expect(list.attrs).toEqual({ node: NODE });
  expect(list.getChildElements().map(attributesOf)).toEqual([{ jid: JULIET, affiliation: 'member' }]);
});

describe('a request for approval', () => {
  const subscription = subscriptionOf(ID, ROMEO, { node: BLOG, subid: 'x', state: 'pending' });
  const told = stanza({ kind: 'approval', to: JULIET, node: NODE, subscription });

  it('is a form, and nothing else', () => {
    expect(told.attrs).toMatchObject({ from: DOMAIN, to: JULIET });
    expect(told.getChildElements().map(({ name, attrs }) => `${name} ${String(attrs['type'])}`)).toEqual(['x form']);
    const fields = told.getChild('x')!.getChildren('field');
    expect(fields.map((field) => [attributesOf(field)['var'], field.getChildText('value')])).toEqual([
      ['FORM_TYPE', AUTHORIZATION],
      ['pubsub#subid', 'x'],
      ['pubsub#node', NODE],
      ['pubsub#subscriber_jid', ROMEO],
      ['pubsub#allow', '0'],
    ]);
  });

  it('can be sent back as it is', () => {
    const back = stanzaIn(told.toString());
    back.getChild('x')!.attrs['type'] = 'submit';
    const submitted = readForm(back, AUTHORIZATION, 'bad-request');
    expect(submitted).toEqual(
      new Map([
        ['pubsub#subid', ['x']],
        ['pubsub#node', [NODE]],
        ['pubsub#subscriber_jid', [ROMEO]],
        ['pubsub#allow', ['0']],
      ]),
    );
  });
});

describe('the latest item', () => {
  const latest = async (options: Partial<Options> = {}, more: Partial<Subscription> = {}, published?: string) => {
    const { service, stores, later } = await withBlog();
    if (published !== undefined) {
      later(1);
      await look(stores, BLOG, [{ ...entryOf('c'), published }, entryOf('b'), entryOf('a')]);
    }
    const node = await service.readable(NODE, BARE);
    const [item] = await service.latest(node);
    const subscription = subscriptionOf(ID, ROMEO, { node: BLOG, ...more });
    const held = { subscription, node, options: { ...defaultOptions(node.config), ...options } };
    return stanza({ kind: 'latest', held, item: item! });
  };

  it('says when it was published, under the name that its subscriber uses', async () => {
    const told = await latest();
    expect(told.attrs).toMatchObject({ from: DOMAIN, to: ROMEO, type: 'headline' });
    expect(told.getChildElements().map(({ name }) => name)).toEqual(['event', 'delay']);
    expect(told.getChild('delay')!.attrs['stamp']).toBe(new Date(NOW).toISOString());
    const items = told.getChild('event')!.getChild('items')!;
    expect(items.attrs['node']).toBe(BLOG);
    const item = items.getChild('item')!;
    expect(item.attrs['id']).toBe(itemId('b'));
    expect(item.getChild('entry')!.getChildText('title')).toBe('b');
  });

  it('says when it came out, where that was long before we saw it', async () => {
    const day = new Date(NOW - 86_400_000).toISOString();
    const stamp = async (published: string) =>
      attributesOf((await latest({}, {}, published)).getChild('delay')!)['stamp'];
    expect(await stamp(day)).toBe(day);
    expect(await stamp(new Date(NOW - 1_000).toISOString())).toBe(new Date(NOW + 1).toISOString());
  });

  it('comes as its subscriber wants it', async () => {
    const told = await latest({ payload: false, includeBody: true, messageType: 'chat' });
    expect(told.attrs).toMatchObject({ from: `news@${DOMAIN}`, type: 'chat' });
    expect(told.getChildText('body')).toBe('b');
    expect(told.getChild('event')!.getChild('items')!.getChild('item')!.children).toEqual([]);
  });

  it('is a text in rooms', async () => {
    const told = await latest({}, { room: true });
    expect(told.attrs['type']).toBe('groupchat');
    expect(told.getChildElements().map(({ name }) => name)).toEqual(['body']);
  });

  it('of the firehose has its number, and the feed it comes from', async () => {
    const { service } = await withFirehose(3);
    const node = await service.readable(FIREHOSE, BARE);
    const [item] = await service.latest(node);
    const held = { subscription: subscriptionOf(FIREHOSE, ROMEO), node, options: defaultOptions(node.config) };
    const told = stanza({ kind: 'latest', held, item: item! }).getChild('event')!.getChild('items')!.getChild('item')!;
    expect(told.attrs['id']).toBe('000000000003');
    expect(told.getChild('entry')!.getChild('source')!.getChildText('id')).toBe(BLOG);
  });
});

it('whatever is in it, a notice is one well-formed stanza', () => {
  const legal = (text: string) => text.replace(/[^\t\n\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '');
  const hostile = fc
    .array(
      fc.oneof(
        fc.string({ unit: 'binary', maxLength: 10 }),
        fc.constantFrom('<', '&', "'", '"', ']]>', '\u202e', '\t'),
      ),
    )
    .map((parts) => legal(parts.join('')) || 'x');
  fc.assert(
    fc.property(hostile, hostile, hostile, (node, resource, subid) => {
      const jid = `romeo@example.net/${resource}`;
      const subscription = subscriptionOf(ID, jid, { node, subid });
      const seen = (text: string) => text.replace(/[\t\n]/g, ' ');
      const notices: readonly Notice[] = [
        { kind: 'subscription', to: jid, subscription, state: 'none' },
        { kind: 'affiliation', to: jid, node, affiliation: 'outcast' },
        { kind: 'approval', to: jid, node, subscription },
      ];
      for (const notice of notices) expect(seen(String(stanza(notice).attrs['to']))).toBe(seen(jid));
      const form = stanza(notices[2]!).getChild('x')!;
      expect(form.getChildren('field').map((field) => field.getChildText('value'))).toContain(node);
    }),
  );
});
