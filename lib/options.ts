import {
  choice,
  flag,
  initialValues,
  one,
  Problem,
  readFields,
  several,
  text,
  whole,
  type Field,
  type Submitted,
  type Values,
} from './fields.js';
import { Fault } from './faults.js';
import { parseFilter } from './filter.js';
import type { NodeConfig } from './node-config.js';

// The last moment that XEP-0082 can write.
const LATEST = Date.parse('9999-12-31T23:59:59.999Z');

/** What a subscriber may say about one subscription (XEP-0060 6.3, 17.4.2; `hydrant#` are ours). */
export const OPTION_FIELDS = {
  deliver: flag('pubsub#deliver', 'Send notifications', true),
  digest: flag('pubsub#digest', 'Collect notifications and send them together', false),
  digestFrequency: whole('pubsub#digest_frequency', 'Milliseconds from one digest to the next', 86_400_000, {
    min: 1_000,
    max: 86_400_000,
  }),
  expire: expiry('pubsub#expire', 'When the subscription ends: a date and time, or "presence" for when you go offline'),
  includeBody: flag('pubsub#include_body', 'Add a text that chat clients can show', false),
  showValues: several('pubsub#show-values', 'Notify only while you are (none: whether you are online or not)', [
    { value: 'away', label: 'Away' },
    { value: 'chat', label: 'Want to chat' },
    { value: 'dnd', label: 'Do not disturb' },
    { value: 'online', label: 'Available' },
    { value: 'xa', label: 'Extended away' },
  ]),
  messageType: choice(
    'hydrant#message_type',
    'Type of the messages',
    [
      { value: 'headline', label: 'Headline: only while you are online' },
      { value: 'normal', label: 'Normal: kept by your server while you are offline' },
      { value: 'chat', label: 'Chat: shown as a conversation' },
    ],
    'headline',
  ),
  payload: flag('hydrant#payload', 'Send the whole entry, not only its ItemID', true),
  status: choice(
    'hydrant#status',
    'Tell about the state of the feed',
    [
      { value: 'none', label: 'Never' },
      { value: 'errors', label: 'When it has failed for a day, moved, gone or come back' },
      { value: 'all', label: 'Whenever it begins to fail or comes back' },
    ],
    'errors',
  ),
  dailyLimit: whole('hydrant#daily_limit', 'Most notifications a day (0: no limit)', 0, { min: 0, max: 1_000_000 }),
  filter: filter('hydrant#filter', 'Only entries that match this query'),
};

export type Options = Values<typeof OPTION_FIELDS>;

/** How a subscription is when its subscriber has said nothing: as the node is configured. */
export const defaultOptions = ({ notificationType, deliverPayloads }: NodeConfig): Options => ({
  ...initialValues(OPTION_FIELDS),
  messageType: notificationType,
  payload: deliverPayloads,
});

/** XEP-0248 options of collections, which leaf nodes do not have: refused rather than ignored. */
const OF_COLLECTIONS = ['pubsub#subscription_type', 'pubsub#subscription_depth'];

/**
 * What was submitted as options.
 * @param now in ms since 1970: a subscription cannot end in the past
 * @throws Fault `invalid-options`, naming every field that cannot be taken
 */
export function readOptions(submitted: Submitted, now: number): Partial<Options> {
  const refused = OF_COLLECTIONS.filter((name) => submitted.has(name));
  if (refused.length > 0) throw new Fault('invalid-options', `${refused.join(', ')}: there are no collections here`);
  const options = readFields(OPTION_FIELDS, submitted, 'invalid-options');
  if (typeof options.expire === 'number' && options.expire <= now) {
    throw new Fault('invalid-options', `${OPTION_FIELDS.expire.name} must be in the future`);
  }
  return options;
}

/** XEP-0060 13.19 and 13.5: a time in ms since 1970, or 'presence'; '' for never. */
function expiry(name: string, label: string): Field<number | 'presence' | ''> {
  return {
    name,
    label,
    type: 'text-single',
    initial: '',
    parse(values) {
      const value = one(values);
      if (value === '' || value === 'presence') return value;
      // XEP-0082: a date and time with its zone.
      const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(value) ? Date.parse(value) : NaN;
      if (Number.isNaN(time)) throw new Problem('must be a date and time such as 2027-01-31T12:00:00Z, or "presence"');
      // XEP-0060 13.19: what is later than is possible becomes the latest possible.
      return Math.min(time, LATEST);
    },
    format: (value) => (typeof value === 'number' ? [new Date(value).toISOString()] : value ? [value] : []),
  };
}

function filter(name: string, label: string): Field<string> {
  const field = text(name, label, '', 1_024);
  return {
    ...field,
    parse(values) {
      const query = field.parse(values);
      try {
        if (query) parseFilter(query);
      } catch (error) {
        throw error instanceof Fault ? new Problem(`must be a query. ${error.message}`) : error;
      }
      return query;
    },
  };
}
