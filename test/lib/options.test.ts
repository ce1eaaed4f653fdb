import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Fault } from '../../lib/faults.js';
import { defaultConfig } from '../../lib/node-config.js';
import { defaultOptions, OPTION_FIELDS, readOptions } from '../../lib/options.js';
import { givenBack, submissionsTo, valuesOf } from '../support/forms.js';

const NOW = Date.parse('2027-01-01T00:00:00Z');

const read = (name: string, ...values: string[]) => readOptions(new Map([[name, values]]), NOW);
const refusal = (message: string) => expect.objectContaining({ name: 'Fault', code: 'invalid-options', message });

describe('the options of a subscription', () => {
  it('are by themselves as the node is configured', () => {
    expect(defaultOptions(defaultConfig())).toMatchObject({
      ...{ deliver: true, digest: false, digestFrequency: 86_400_000, expire: '', includeBody: false, showValues: [] },
      ...{ messageType: 'headline', payload: true, status: 'errors', dailyLimit: 0, filter: '' },
    });
    const config = defaultConfig({ notificationType: 'normal', deliverPayloads: false });
    expect(defaultOptions(config)).toMatchObject({ messageType: 'normal', payload: false });
  });

  it('come back as they were given', () => {
    fc.assert(
      fc.property(valuesOf(OPTION_FIELDS), (options) => {
        expect(readOptions(givenBack(OPTION_FIELDS, options), -1)).toEqual(options);
      }),
    );
  });

  it('are values that can be given back, or refused with one code, whatever is submitted', () => {
    const names = Object.values(OPTION_FIELDS).map(({ name }) => name);
    fc.assert(
      fc.property(submissionsTo([...names, 'pubsub#subscription_type']), (submitted) => {
        try {
          const options = readOptions(submitted, NOW);
          const complete = { ...defaultOptions(defaultConfig()), ...options };
          expect(readOptions(givenBack(OPTION_FIELDS, complete), NOW)).toEqual(complete);
        } catch (error) {
          if (!(error instanceof Fault)) throw error;
          expect(error.code).toBe('invalid-options');
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('name every field that is wrong', () => {
    const submitted = new Map([
      ['pubsub#deliver', ['perhaps']],
      ['pubsub#digest_frequency', ['999']],
    ]);
    expect(() => readOptions(submitted, NOW)).toThrow(
      refusal(
        'pubsub#deliver must be true or false; pubsub#digest_frequency must be a whole number from 1000 to 86400000',
      ),
    );
  });

  it.each([['pubsub#subscription_type'], ['pubsub#subscription_depth']])('have no %s', (name) => {
    expect(() => read(name, 'all')).toThrow(refusal(`${name}: there are no collections here`));
  });
});

describe('the end of a subscription', () => {
  it.each<[string, string, unknown]>([
    ['is a time', '2027-01-31T12:00:00Z', Date.parse('2027-01-31T12:00:00Z')],
    ['has a zone', '2027-01-31T12:00:00+01:00', Date.parse('2027-01-31T11:00:00Z')],
    ['may be exact', '2027-01-31T12:00:00.125Z', Date.parse('2027-01-31T12:00:00.125Z')],
    ['is when they go offline', 'presence', 'presence'],
    ['is never', '', ''],
    ['is at most the last moment there is', '9999-12-31T23:59:59-14:00', Date.parse('9999-12-31T23:59:59.999Z')],
  ])('%s', (_, value, expire) => expect(read('pubsub#expire', value)).toEqual({ expire }));

  it.each(['tomorrow', '2027-01-31', '2027-01-31T12:00:00', '2027-13-31T12:00:00Z', '1801396800000'])(
    'is not %s',
    (value) => {
      expect(() => read('pubsub#expire', value)).toThrow(
        refusal('pubsub#expire must be a date and time such as 2027-01-31T12:00:00Z, or "presence"'),
      );
    },
  );

  it('is in the future', () => {
    expect(() => read('pubsub#expire', '2027-01-01T00:00:00Z')).toThrow(refusal('pubsub#expire must be in the future'));
    expect(read('pubsub#expire', '2027-01-01T00:00:00.001Z')).toEqual({ expire: NOW + 1 });
  });
});

describe('the filter of a subscription', () => {
  it('is a query, or nothing', () => {
    expect(read('hydrant#filter', ' red | -blue ')).toEqual({ filter: 'red | -blue' });
    expect(read('hydrant#filter', '')).toEqual({ filter: '' });
  });

  it('is refused with what is wrong with it', () => {
    expect(() => read('hydrant#filter', '"fire hydrant')).toThrow(
      /^hydrant#filter must be a query\. .*closing quote.* position 0$/,
    );
    expect(() => read('hydrant#filter', '-')).toThrow(expect.objectContaining({ code: 'invalid-options' }));
  });

  it('is not too long', () => {
    expect(() => read('hydrant#filter', 'x'.repeat(1_025))).toThrow(
      refusal('hydrant#filter must not be longer than 1024 characters'),
    );
  });
});
