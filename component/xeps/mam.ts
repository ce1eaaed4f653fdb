import xml, { type Element } from '@xmpp/xml';
import { Fault } from '../../lib/faults.js';
import type { Submitted } from '../../lib/fields.js';
import type { PubSub } from '../../lib/pubsub.js';
import type { ArchiveAsk, PublishedItem } from '../../lib/pubsub/reader.js';
import type { Events } from '../event.js';
import { readForm } from '../forms.js';
import { Unprovable } from '../payload.js';
import { get, set, type Reply, type Xep } from '../router.js';
import { pageElement, readPage } from '../rsm.js';
import { attr, NS, optional, ready } from '../stanza.js';

export interface MamDeps {
  readonly service: Pick<PubSub, 'archive' | 'archiveEnds'>;
  readonly events: Pick<Events, 'item'>;
  readonly domain: string;
}

const PAGE = 50;
const QUERYID_MOST = 1_024;
const VALIDATE = 'http://jabber.org/protocol/xdata-validate';
/** The fields of a query (XEP-0313 4.1): all that there are, by their `var`. */
const FIELDS = {
  start: 'text-single',
  end: 'text-single',
  with: 'jid-single',
  'before-id': 'text-single',
  'after-id': 'text-single',
  ids: 'list-multi',
} as const;

/** XEP-0442: the past of a node as an archive (XEP-0313), one item per message. */
export const mam = ({ service, events, domain }: MamDeps): Xep => ({
  features: [NS.mam, NS.mamExtended],
  routes: [
    get(NS.mam, 'query', () =>
      xml(
        'query',
        { xmlns: NS.mam },
        xml(
          'x',
          { xmlns: NS.data, type: 'form' },
          xml('field', { var: 'FORM_TYPE', type: 'hidden' }, xml('value', {}, NS.mam)),
          ...Object.entries(FIELDS)
            .filter(([name]) => name !== 'with')
            .map(([name, type]) => xml('field', { var: name, type }, ...(name === 'ids' ? [anyText()] : []))),
        ),
      ),
    ),
    get(NS.mam, 'metadata', async ({ from, action }) => {
      const [start, end] = await service.archiveEnds(attr(action, 'node', 'node-required'), from);
      const stamped = (name: string, item: PublishedItem | undefined) =>
        item ? [xml(name, { id: item.id, timestamp: new Date(item.at).toISOString() })] : [];
      return xml('metadata', { xmlns: NS.mam }, ...stamped('start', start), ...stamped('end', end));
    }),
    set(NS.mam, 'query', async ({ from, action }): Promise<Reply> => {
      const name = attr(action, 'node', 'node-required');
      const form = action.getChild('x', NS.data)
        ? readForm(action, NS.mam, 'bad-request')
        : new Map<string, string[]>();
      if (form === 'cancel') throw new Fault('bad-request', 'A query cannot be cancelled');
      const page = readPage(action, PAGE) ?? { limit: PAGE };
      const { node, entries, index, count } = await service.archive({
        requester: from,
        node: name,
        page,
        ...wanted(form),
      });
      const queryid = optional(action, 'queryid');
      // It comes back with every item.
      if (queryid && queryid.length > QUERYID_MOST) throw new Fault('bad-request', 'The queryid is too long');
      const shown = action.getChild('flip-page') ? [...entries].reverse() : entries;
      const first = shown.flatMap((item) => {
        const inner = rendered(() => events.item(item, node.id));
        const { notificationType: type } = node.config;
        return inner === undefined ? [] : [result({ to: from, domain, type, node: name, item, inner, queryid })];
      });
      const isComplete = page.before === undefined ? index + entries.length >= count : index === 0;
      return {
        first,
        payload: xml(
          'fin',
          { xmlns: NS.mam, ...(isComplete && { complete: 'true' }) },
          pageElement(
            entries.map(({ id }) => id),
            { index, count },
          ),
        ),
      };
    }),
  ],
});

/** XEP-0313 4.1.5: any id may be asked for, though none is offered. */
const anyText = (): Element => xml('validate', { xmlns: VALIDATE, datatype: 'xs:string' }, xml('open'));

/** What a query asks for. @throws Fault `bad-request`, `unsupported` */
function wanted(form: Submitted): Omit<ArchiveAsk, 'requester' | 'node' | 'page'> {
  const unknown = [...form.keys()].filter((name) => !(name in FIELDS));
  // XEP-0313 4.1.5: a field that is not understood must not be passed over.
  if (unknown.length > 0) throw new Fault('unsupported', `${unknown.join(', ')}: there is no such field`);
  if (form.has('with')) throw new Fault('unsupported', 'A node has no "with"');
  const one = (name: keyof typeof FIELDS) => form.get(name)?.[0];
  const [start, end, afterId, beforeId, ids] = [
    time('start', one('start')),
    time('end', one('end')),
    one('after-id'),
    one('before-id'),
    form.get('ids'),
  ];
  return {
    ...(start !== undefined && { start }),
    ...(end !== undefined && { end }),
    ...(afterId !== undefined && { afterId }),
    ...(beforeId !== undefined && { beforeId }),
    ...(ids && { ids }),
  };
}

/** XEP-0082. */
function time(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : NaN;
  if (Number.isNaN(ms)) throw new Fault('bad-request', `${name} must be a date and time such as 2026-01-31T12:00:00Z`);
  return ms;
}

function rendered(render: () => string): string | undefined {
  try {
    return render();
  } catch (error) {
    // Delivery reports and quarantines it; here it must not cost the other items.
    if (!(error instanceof Unprovable)) throw error;
    return undefined;
  }
}

/** XEP-0442 2, 3: the notification as it was, in a message of its own. */
function result(one: {
  to: string;
  domain: string;
  type: string;
  node: string;
  item: PublishedItem;
  inner: string;
  queryid: string | undefined;
}): Element {
  const { to, domain, type, node, item, inner, queryid } = one;
  return xml(
    'message',
    { from: domain, to },
    xml(
      'result',
      { xmlns: NS.mam, id: item.id, ...(queryid && { queryid }) },
      xml(
        'forwarded',
        { xmlns: NS.forward },
        xml('delay', { xmlns: NS.delay, stamp: new Date(item.at).toISOString() }),
        xml(
          'message',
          { xmlns: 'jabber:client', from: domain, type },
          xml('event', { xmlns: NS.pubsubEvent }, xml('items', { node }, ready(inner))),
        ),
      ),
    ),
  );
}
