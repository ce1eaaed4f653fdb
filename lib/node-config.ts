import { Fault } from './faults.js';
import {
  choice,
  differing,
  flag,
  initialValues,
  jids,
  Problem,
  readFields,
  text,
  whole,
  type Field,
  type Submitted,
  type Values,
} from './fields.js';
import { cutText } from './text.js';

/** What a node is: a feed's, one that people publish to, or the firehose. */
export type NodeKind = 'feed' | 'own' | 'firehose';

export const ACCESS_MODELS = ['open', 'authorize', 'whitelist'] as const;

// Ten years: as long as "max" can mean.
const EXPIRE_MAX_SECONDS = 315_360_000;
export const ITEMS_MAX = 1_000;
const TITLE_MAX = 256;
const DESCRIPTION_MAX = 2_048;

/** How a node may be configured (XEP-0060 8.2, 17.4.4). */
const FIELDS = {
  title: text('pubsub#title', 'Name', '', TITLE_MAX),
  description: text('pubsub#description', 'Description', '', DESCRIPTION_MAX),
  type: text('pubsub#type', 'Namespace or type of the payload', '', 1_024),
  language: language('pubsub#language', 'Language'),
  contact: jids('pubsub#contact', 'Whom to ask', 20),
  accessModel: choice(
    'pubsub#access_model',
    'Who may subscribe and read',
    [
      { value: 'open', label: 'Everybody' },
      { value: 'authorize', label: 'Whom an owner has approved' },
      { value: 'whitelist', label: 'Members' },
    ],
    'open',
  ),
  publishModel: choice(
    'pubsub#publish_model',
    'Who may publish',
    [
      { value: 'publishers', label: 'Owners and publishers' },
      { value: 'subscribers', label: 'Subscribers too' },
      { value: 'open', label: 'Everybody' },
    ],
    'publishers',
  ),
  subscribe: flag('pubsub#subscribe', 'Allow subscriptions', true),
  deliverNotifications: flag('pubsub#deliver_notifications', 'Send notifications', true),
  deliverPayloads: flag('pubsub#deliver_payloads', 'Send payloads with notifications', true),
  notificationType: choice(
    'pubsub#notification_type',
    'Type of the messages',
    [
      { value: 'headline', label: 'Headline: only to who is online' },
      { value: 'normal', label: 'Normal: kept for who is offline' },
    ],
    'headline',
  ),
  sendLastPublishedItem: choice(
    'pubsub#send_last_published_item',
    'When to send the latest item',
    [
      { value: 'never', label: 'Never' },
      { value: 'on_sub', label: 'To new subscribers' },
      { value: 'on_sub_and_presence', label: 'To new subscribers, and to subscribers who come online' },
    ],
    'on_sub',
  ),
  presenceBasedDelivery: flag('pubsub#presence_based_delivery', 'Notify only who is online', false),
  persistItems: flag('pubsub#persist_items', 'Keep items', true),
  maxItems: whole('pubsub#max_items', 'How many items are kept', 20, { min: 1, max: ITEMS_MAX }, 'max'),
  itemExpire: whole(
    'pubsub#item_expire',
    'Seconds for which items are kept',
    EXPIRE_MAX_SECONDS,
    { min: 1, max: EXPIRE_MAX_SECONDS },
    'max',
  ),
  maxPayloadSize: whole('pubsub#max_payload_size', 'Largest payload in bytes', 49_152, { min: 1, max: 49_152 }),
  notifyConfig: flag('pubsub#notify_config', 'Tell subscribers when this configuration changes', false),
  notifyDelete: flag('pubsub#notify_delete', 'Tell subscribers when the node is deleted', true),
  notifyRetract: flag('pubsub#notify_retract', 'Tell subscribers when items are removed', true),
  notifySub: flag('pubsub#notify_sub', 'Tell owners about subscriptions', false),
  editThreshold: whole('hydrant#edit_threshold', 'Per cent of visible change from which an edit is announced', 10, {
    min: 0,
    max: 100,
  }),
  nodeType: choice('pubsub#node_type', 'Kind of node', [{ value: 'leaf', label: 'Leaf: it has items' }], 'leaf'),
};

export type NodeConfig = Values<typeof FIELDS>;
export type NodeConfigFields = { readonly [K in keyof NodeConfig]?: Field<NodeConfig[K]> };

/** What is stored of a configuration: the fields that an owner has set to something else than they are by themselves. */
export type ConfigOverrides = Partial<NodeConfig>;

// A feed keeps what it shows and nobody but the feed decides what is in it; it alone has edits that nobody has asked
// for; the firehose is cut by the log.
const NOT_OFFERED: { readonly [K in NodeKind]: readonly (keyof NodeConfig)[] } = {
  own: ['editThreshold'],
  feed: ['publishModel', 'persistItems', 'maxPayloadSize'],
  firehose: [
    ...(['publishModel', 'persistItems', 'maxPayloadSize', 'maxItems', 'itemExpire'] as const),
    ...(['notifyConfig', 'notifyDelete', 'notifyRetract', 'editThreshold'] as const),
  ],
};

/** The fields that a node of this kind has; all of them take effect. */
export function configFields(kind: NodeKind): NodeConfigFields {
  const offered = Object.entries(FIELDS).filter(([key]) => !NOT_OFFERED[kind].includes(key as keyof NodeConfig));
  return Object.fromEntries(offered);
}

/**
 * The configuration before anybody has set anything; `own` is what the kind and the feed itself say, made to fit: a
 * form that comes back as it was given must be taken, and must change nothing.
 */
export function defaultConfig(own: ConfigOverrides = {}): NodeConfig {
  const config = { ...initialValues(FIELDS), ...own };
  return {
    ...config,
    title: line(config.title, TITLE_MAX),
    description: line(config.description, DESCRIPTION_MAX),
    maxItems: Math.min(config.maxItems, ITEMS_MAX),
  };
}

/** XEP-0004 3.3: text-single is one line, and clients make it one. */
const line = (text: string, most: number): string => cutText(text.replace(/\s+/g, ' ').trim(), most);

/** What has to be stored so that a node with these defaults is configured like this. */
export function overridesOf(config: NodeConfig, defaults: NodeConfig): ConfigOverrides {
  // A text that is left empty is what the feed says again.
  const said = Object.entries(differing(config, defaults)).filter(([, value]) => value !== '');
  return Object.fromEntries(said);
}

// What XEP-0060 names and this service does not have. The value that means "no" is what we do anyway.
const REFUSED: Readonly<Record<string, readonly string[]>> = {
  'pubsub#purge_offline': ['0', 'false'],
  'pubsub#tempsub': ['0', 'false'],
  'pubsub#publish_node_full': ['retract-oldest'],
};

/** XEP-0248: the collection that the node is to be in. */
const COLLECTION = 'pubsub#collection';

/**
 * What was submitted as a node's configuration.
 * @throws Fault `unsupported-access-model`; `unsupported` for collections; `not-acceptable`, naming every field that
 *   cannot be taken
 */
export function readConfig(kind: NodeKind, submitted: Submitted): ConfigOverrides {
  if (submitted.get(FIELDS.nodeType.name)?.includes('collection') || submitted.get(COLLECTION)?.some(Boolean)) {
    throw new Fault('unsupported', 'There are only leaf nodes here', { feature: 'collections' });
  }
  const [access] = submitted.get(FIELDS.accessModel.name) ?? [];
  if (access !== undefined && !(ACCESS_MODELS as readonly string[]).includes(access)) {
    throw new Fault('unsupported-access-model', `The access model must be ${ACCESS_MODELS.join(', ')}`);
  }
  const refused = Object.entries(REFUSED).filter(([name, harmless]) =>
    submitted.get(name)?.some((value) => !harmless.includes(value)),
  );
  if (refused.length > 0) {
    throw new Fault('not-acceptable', `${refused.map(([name]) => name).join(', ')}: not possible here`);
  }
  return readFields(configFields(kind), submitted, 'not-acceptable');
}

/** The submitted fields that are no configuration at all; publish-options must not have any (XEP-0060 7.1.5). */
export const unknownFields = (submitted: Submitted): readonly string[] => {
  const fields = Object.values(FIELDS).map(({ name }) => name);
  const known = new Set([...fields, ...Object.keys(REFUSED), COLLECTION, 'FORM_TYPE']);
  return [...submitted.keys()].filter((name) => !known.has(name));
};

/** A language tag (RFC 5646), or ''; the choices are only those that are likely. */
function language(name: string, label: string): Field<string> {
  const likely = [
    ...['ar', 'bn', 'ca', 'cs', 'da', 'de', 'el', 'en', 'es', 'fa', 'fi', 'fr', 'he', 'hi', 'hu', 'id', 'it', 'ja'],
    ...['ko', 'nl', 'no', 'pl', 'pt', 'ro', 'ru', 'sv', 'th', 'tr', 'uk', 'vi', 'zh'],
  ];
  const names = new Intl.DisplayNames('en', { type: 'language' });
  const { parse, ...field } = text(name, label, '', 35);
  return {
    ...field,
    type: 'list-single',
    choices: likely.map((value) => ({ value, label: names.of(value) ?? value })),
    parse(values) {
      const tag = parse(values);
      // As xs:language has it.
      if (tag !== '' && !/^[a-z]{1,8}(?:-[a-z0-9]{1,8})*$/i.test(tag)) {
        throw new Problem('must be a language tag such as en or pt-BR');
      }
      return tag;
    },
  };
}
