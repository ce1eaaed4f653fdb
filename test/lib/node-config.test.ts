import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Fault } from '../../lib/faults.js';
import type { Values } from '../../lib/fields.js';
import {
  configFields,
  defaultConfig,
  overridesOf,
  readConfig,
  unknownFields,
  type NodeConfigFields,
  type NodeKind,
} from '../../lib/node-config.js';
import { givenBack, legalText, submissionsTo, valuesOf } from '../support/forms.js';

const KINDS: readonly NodeKind[] = ['feed', 'own', 'firehose'];

const read = (kind: NodeKind, name: string, ...values: string[]) => readConfig(kind, new Map([[name, values]]));
const backOf = (kind: NodeKind, config: Values<NodeConfigFields>) => givenBack(configFields(kind), config);

describe.each(KINDS)('the configuration of a node (%s)', (kind) => {
  it('comes back as it was given', () => {
    fc.assert(
      fc.property(valuesOf(configFields(kind)), (config) => {
        expect(readConfig(kind, backOf(kind, config))).toEqual(config);
      }),
    );
  });

  it('is values that can be given back, or refused with its codes, whatever is submitted', () => {
    const names = Object.values(configFields('own')).map(({ name }) => name);
    fc.assert(
      fc.property(submissionsTo([...names, 'pubsub#node_type', 'pubsub#purge_offline', 'FORM_TYPE']), (submitted) => {
        try {
          const overrides = readConfig(kind, submitted);
          expect(readConfig(kind, backOf(kind, { ...defaultConfig(), ...overrides }))).toMatchObject(overrides);
        } catch (error) {
          if (!(error instanceof Fault)) throw error;
          expect(['not-acceptable', 'unsupported-access-model', 'unsupported']).toContain(error.code);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('is not changed by a form that comes back as it was given, whatever the feed says of itself', () => {
    const own = fc.record({
      title: fc.oneof(
        legalText,
        legalText.map((text) => text.repeat(100)),
      ),
      description: fc.oneof(
        legalText,
        legalText.map((text) => `${text}\n`.repeat(200)),
      ),
      maxItems: fc.integer({ min: 1, max: 1_000_000 }),
    });
    fc.assert(
      fc.property(own, (said) => {
        const defaults = defaultConfig(said);
        const config = { ...defaults, ...readConfig(kind, backOf(kind, defaults)) };
        expect(overridesOf(config, defaults)).toEqual({});
      }),
    );
  });
});

describe('the kinds of nodes', () => {
  it('have the fields that take effect, of those that XEP-0060 17.4.4 names', () => {
    const own = Object.keys(configFields('own'));
    const without = (...names: string[]) => own.filter((name) => !names.includes(name));
    expect(own).toHaveLength(22);
    expect(Object.keys(configFields('feed')).filter((name) => name !== 'editThreshold')).toEqual(
      without('publishModel', 'persistItems', 'maxPayloadSize'),
    );
    expect(Object.keys(configFields('firehose'))).toEqual(
      without(
        ...['publishModel', 'persistItems', 'maxPayloadSize', 'maxItems', 'itemExpire'],
        ...['notifyConfig', 'notifyDelete', 'notifyRetract'],
      ),
    );
  });

  it('differ in that only feeds have a threshold for edits: a whole number of per cent, 10 by itself', () => {
    expect(configFields('feed').editThreshold?.initial).toBe(10);
    for (const per of [0, 7, 100])
      expect(read('feed', 'hydrant#edit_threshold', `${per}`)).toEqual({ editThreshold: per });
    for (const wrong of ['-1', '101', '5.5', '10%', '']) {
      expect(() => read('feed', 'hydrant#edit_threshold', wrong)).toThrow(
        'hydrant#edit_threshold must be a whole number from 0 to 100',
      );
    }
    for (const kind of ['own', 'firehose'] as const) {
      expect(configFields(kind)).not.toHaveProperty('editThreshold');
      expect(read(kind, 'hydrant#edit_threshold', '5')).toEqual({});
    }
  });

  it('ignore the fields that only others have', () => {
    expect(read('own', 'pubsub#publish_model', 'open')).toEqual({ publishModel: 'open' });
    expect(read('feed', 'pubsub#publish_model', 'open')).toEqual({});
    expect(read('firehose', 'pubsub#max_items', 'no number')).toEqual({});
  });
});

describe('the configuration of a node', () => {
  it('is stored as what its owners have changed', () => {
    const defaults = defaultConfig({ title: 'The Blog' });
    expect(overridesOf(defaults, defaults)).toEqual({});
    expect(overridesOf({ ...defaults, title: 'My Blog', contact: ['a@x.example'] }, defaults)).toEqual({
      title: 'My Blog',
      contact: ['a@x.example'],
    });
  });

  it('takes "max" where XEP-0060 does', () => {
    expect(read('own', 'pubsub#max_items', 'max')).toEqual({ maxItems: 1_000 });
    expect(read('own', 'pubsub#item_expire', 'max')).toEqual({ itemExpire: 315_360_000 });
    expect(() => read('own', 'pubsub#max_payload_size', 'max')).toThrow('must be a whole number from 1 to 49152');
  });

  it.each(['presence', 'roster', 'authorise', ''])('refuses the access model "%s" as XEP-0060 8.1.2 says', (model) => {
    expect(() => read('own', 'pubsub#access_model', model)).toThrow(
      expect.objectContaining({
        code: 'unsupported-access-model',
        message: 'The access model must be open, authorize, whitelist',
      }),
    );
  });

  it('refuses what would not be done', () => {
    const submitted = new Map([
      ['pubsub#purge_offline', ['1']],
      ['pubsub#tempsub', ['true']],
      ['pubsub#publish_node_full', ['reject']],
      ['pubsub#title', ['News']],
    ]);
    expect(() => readConfig('own', submitted)).toThrow(
      expect.objectContaining({
        code: 'not-acceptable',
        message: 'pubsub#purge_offline, pubsub#tempsub, pubsub#publish_node_full: not possible here',
      }),
    );
    expect(() => read('own', 'pubsub#node_type', 'twig')).toThrow(
      expect.objectContaining({ code: 'not-acceptable', message: 'pubsub#node_type must be leaf' }),
    );
  });

  it.each([
    ['pubsub#node_type', 'collection'],
    ['pubsub#collection', 'news'],
  ])('says that there are no collections to who asks for %s', (name, value) => {
    for (const kind of KINDS) {
      expect(() => read(kind, name, value)).toThrow(
        expect.objectContaining({ code: 'unsupported', feature: 'collections' }),
      );
    }
  });

  it('has a language, of those that it shows or any other', () => {
    for (const tag of ['en', 'pt-BR', 'gsw-CH', 'i-klingon', 'zh-Hant-TW', '']) {
      expect(read('feed', 'pubsub#language', tag)).toEqual({ language: tag });
    }
    for (const tag of ['english!', 'en_GB', 'en-', '12', 'abcdefghi', `en${'-abcdefgh'.repeat(4)}`]) {
      expect(() => read('feed', 'pubsub#language', tag)).toThrow('pubsub#language must ');
    }
    expect(configFields('own').language?.choices).toContainEqual({ value: 'fr', label: 'French' });
  });

  it('sends its messages as XEP-0060 17.4.4 knows them', () => {
    expect(configFields('own').notificationType?.choices?.map(({ value }) => value)).toEqual(['headline', 'normal']);
    expect(() => read('own', 'pubsub#notification_type', 'chat')).toThrow('must be headline, normal');
  });

  it('takes it when that is what is done anyway', () => {
    const submitted = new Map([
      ['pubsub#purge_offline', ['0']],
      ['pubsub#tempsub', ['false']],
      ['pubsub#node_type', ['leaf']],
      ['pubsub#collection', ['']],
      ['pubsub#publish_node_full', ['retract-oldest']],
      ['pubsub#title', ['News']],
    ]);
    expect(readConfig('own', submitted)).toEqual({ title: 'News', nodeType: 'leaf' });
    expect(overridesOf({ ...defaultConfig(), ...readConfig('own', submitted) }, defaultConfig())).toEqual({
      title: 'News',
    });
  });

  it('names every field that is wrong', () => {
    const submitted = new Map([
      ['pubsub#subscribe', ['']],
      ['pubsub#notify_sub', ['2']],
    ]);
    expect(() => readConfig('feed', submitted)).toThrow(
      expect.objectContaining({
        code: 'not-acceptable',
        message: 'pubsub#subscribe must be true or false; pubsub#notify_sub must be true or false',
      }),
    );
  });

  it('knows what is no configuration at all', () => {
    const known = ['FORM_TYPE', 'pubsub#access_model', 'pubsub#publish_model', 'pubsub#tempsub', 'pubsub#collection'];
    const submitted = new Map([...known, 'pubsub#itemreply', 'x-mine'].map((name) => [name, ['1']]));
    expect(unknownFields(submitted)).toEqual(['pubsub#itemreply', 'x-mine']);
  });
});

describe('what a feed says of itself', () => {
  it('is the configuration where its owners have said nothing', () => {
    expect(defaultConfig({ title: 'The Blog', maxItems: 50 })).toMatchObject({
      ...{ title: 'The Blog', maxItems: 50, accessModel: 'open', description: '' },
    });
  });

  it('becomes one line that is not too long', () => {
    const { title, description } = defaultConfig({ title: ' The\n  Blog ', description: 'word '.repeat(1_000) });
    expect(title).toBe('The Blog');
    expect(description).toMatch(/^(word )+word…$/);
    expect(description.length).toBeLessThanOrEqual(2_048);
  });

  it('keeps no more items than can be asked for', () => {
    expect(defaultConfig({ maxItems: 5_000 }).maxItems).toBe(1_000);
  });
});
