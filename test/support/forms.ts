import fc from 'fast-check';
import type { Field, Fields, Values } from '../../lib/fields.js';
import { xmlText } from '../../lib/text.js';

/** Text as it comes out of an XML parser. */
export const legalText = fc.string({ unit: 'binary', maxLength: 30 }).map((text) => xmlText(text).replace(/\r/g, ''));

const jid = fc
  .tuple(fc.constantFrom('juliet@', 'romeo.m@', 'ναυσικά@', ''), fc.stringMatching(/^[a-z]{1,8}\.example$/), legalText)
  .map(([local, domain, resource]) => local + domain + (/^[^\p{Cc}]+$/u.test(resource) ? `/${resource}` : ''));

/** Any value that the field may have. */
function valueOf({ name, type, choices = [], range }: Field<unknown>): fc.Arbitrary<unknown> {
  const chosen = choices.map(({ value }) => value);
  switch (type) {
    case 'boolean':
      return fc.boolean();
    case 'list-single':
      if (name === 'pubsub#language') return fc.constantFrom(...chosen, '', 'gsw-CH', 'x-pirate');
      return fc.constantFrom(...chosen);
    case 'list-multi':
      return fc.subarray(chosen.sort());
    case 'jid-multi':
      return fc.uniqueArray(jid, { maxLength: 20 });
    case 'text-private':
    case 'text-multi':
      return fc.constantFrom('none', 'set');
    case 'text-single':
      if (range) return fc.integer(range);
      if (name === 'pubsub#expire') {
        return fc.oneof(
          fc.constantFrom('', 'presence'),
          fc.integer({ min: 0, max: Date.parse('9999-12-31T23:59:59.999Z') }),
        );
      }
      if (name === 'hydrant#filter') return fc.constantFrom('', 'hydrant', '"fire hydrant" | -site:example.org');
      return legalText.map((text) => text.trim());
  }
}

/** Any values that the fields may have. */
export const valuesOf = <F extends Fields>(fields: F): fc.Arbitrary<Values<F>> =>
  fc.record(
    Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, valueOf(field)])),
  ) as unknown as fc.Arbitrary<Values<F>>;

const RISKY = [
  ...['', '0', '1', 'true', 'false', 'max', '-1', '1e3', '1.5', '99999999999999999999', '000000000000007', 'NaN'],
  ...[
    'presence',
    '2027-01-31T12:00:00Z',
    '9999-12-31T23:59:59-14:00',
    '0000-01-01T00:00:00+14:00',
    '2027-02-30T00:00:00Z',
  ],
  ...[
    'open',
    'roster',
    'leaf',
    'away',
    'xa',
    'headline',
    'a b',
    '"',
    '-',
    '((',
    'site:',
    'juliet@capulet.example/x',
    '@',
    '/',
  ],
  ...['__proto__', 'constructor', ' ', '\n', '\u0000', '\ud800', 'x'.repeat(3_000)],
];

/** Whatever somebody may submit to a form with these fields. */
export const submissionsTo = (names: readonly string[]): fc.Arbitrary<ReadonlyMap<string, readonly string[]>> => {
  const value = fc.oneof(fc.constantFrom(...RISKY), fc.string({ unit: 'binary', maxLength: 20 }));
  const name = fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...names) }, value);
  const values = fc.oneof({ weight: 3, arbitrary: value.map((one) => [one]) }, fc.array(value, { maxLength: 25 }));
  return fc.array(fc.tuple(name, values), { maxLength: 6 }).map((fields) => new Map(fields));
};

/** What a client sends that gives a form back as it got it: the values of each field by its `var`. */
export const givenBack = <F extends Fields>(fields: F, values: Values<F>): Map<string, readonly string[]> =>
  new Map(Object.entries(fields).map(([key, field]) => [field.name, field.format(values[key])]));
