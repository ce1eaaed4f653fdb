import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  choice,
  differing,
  flag,
  initialValues,
  jids,
  Problem,
  readFields,
  secret,
  several,
  text,
  whole,
  type Field,
  type Values,
} from '../../lib/fields.js';
import { givenBack, valuesOf } from '../support/forms.js';

const COLOURS = [
  { value: 'red', label: 'Red' },
  { value: 'green', label: 'Green' },
  { value: 'blue', label: 'Blue' },
] as const;

const FORM = {
  loud: flag('x#loud', 'Loud', true),
  name: text('x#name', 'Name', 'nobody', 30),
  size: whole('x#size', 'Size', 5, { min: 1, max: 10 }),
  most: whole('x#most', 'Most', 5, { min: 0, max: 10 }, 'max'),
  colour: choice('x#colour', 'Colour', COLOURS, 'red'),
  colours: several('x#colours', 'Colours', COLOURS),
  people: jids('x#people', 'People', 3),
  word: secret('x#word', 'Word', 'text-private', (values) => values.map((value) => value.length)),
};
const { loud, name, size, most, colour, colours, people, word } = FORM;

const problemOf = (field: Field<unknown>, values: readonly string[]): string => {
  try {
    return `no problem with ${JSON.stringify(field.parse(values))}`;
  } catch (error) {
    if (error instanceof Problem) return error.message;
    throw error;
  }
};

describe('a field', () => {
  it.each<[string, Field<unknown>, readonly string[], unknown]>([
    ['a flag is true', loud, ['true'], true],
    ['a flag is 1', loud, ['1'], true],
    ['a flag is false', loud, ['false'], false],
    ['a flag is 0', loud, ['0'], false],
    ['text loses the space around it', name, [' Romeo \n'], 'Romeo'],
    ['text may be as long as is allowed', name, ['x'.repeat(30)], 'x'.repeat(30)],
    ['text that was emptied is empty', name, [''], ''],
    ['text without a value is empty', name, [], ''],
    ['a number may be the least', size, ['1'], 1],
    ['a number may be the largest', size, ['10'], 10],
    ['a number may have zeros before it', size, ['007'], 7],
    ['a word stands for the largest number', most, ['max'], 10],
    ['a number may be 0', most, ['0'], 0],
    ['a secret is what was made of it', word, ['sesame', '', 'open'], { given: [6, 4] }],
    ['a secret may be of asterisks, of more or fewer than a form shows', word, ['*******'], { given: [7] }],
    ['a secret that comes back as it was shown stays', word, ['********'], 'set'],
    ['a secret that was emptied is none any more', word, [''], 'none'],
    ['a secret without a value is none any more', word, [], 'none'],
    ['one of a few is that one', colour, ['green'], 'green'],
    ['several have an order of their own, once each', colours, ['red', 'blue', 'red'], ['blue', 'red']],
    ['none of several is no value', colours, [], []],
    ['none of several is an empty value', colours, [''], []],
    ['JIDs are normalised', people, ['JULIET@Capulet.Example/Balcony'], ['juliet@capulet.example/Balcony']],
    ['a JID counts once', people, ['a@x.example', 'b@x.example', 'A@X.example'], ['a@x.example', 'b@x.example']],
    ['no JID is an empty value', people, [''], []],
    [
      'empty values are no JIDs too many',
      people,
      ['', 'a@x.example', 'b@x.example', 'c@x.example'],
      ['a', 'b', 'c'].map((one) => `${one}@x.example`),
    ],
  ])('%s', (_, field, values, expected) => expect(field.parse(values)).toEqual(expected));

  it.each<[string, Field<unknown>, readonly string[], string]>([
    ['a flag is not yes', loud, ['yes'], 'must be true or false'],
    ['a flag is not nothing', loud, [], 'must be true or false'],
    ['text is not too long', name, ['x'.repeat(31)], 'must not be longer than 30 characters'],
    ['a number is not too small', size, ['0'], 'must be a whole number from 1 to 10'],
    ['a number is not too large', size, ['11'], 'must be a whole number from 1 to 10'],
    ['a number is not negative', most, ['-1'], 'must be a whole number from 0 to 10, or "max"'],
    ['a number has no fraction', size, ['1.5'], 'must be a whole number from 1 to 10'],
    ['a number has no exponent', size, ['1e0'], 'must be a whole number from 1 to 10'],
    ['a number is not nothing', most, [''], 'must be a whole number from 0 to 10, or "max"'],
    ['a word is for where it is offered', size, ['max'], 'must be a whole number from 1 to 10'],
    ['one of a few is not another one', colour, ['pink'], 'must be red, green, blue'],
    ['one of a few is not nothing', colour, [], 'must be red, green, blue'],
    ['several are not others', colours, ['red', 'pink'], 'must be red, green, blue'],
    ['a JID is a JID', people, ['a@x.example', '@'], 'must be JIDs'],
    ['JIDs are not too many', people, ['a', 'b', 'c', 'd'], 'must not be more than 3'],
    ['a flag is one value', loud, ['1', '1'], 'takes one value'],
    ['text is one value', name, ['a', 'b'], 'takes one value'],
    ['a number is one value', size, ['1', '2'], 'takes one value'],
    ['one of a few is one value', colour, ['red', 'green'], 'takes one value'],
  ])('%s', (_, field, values, problem) => expect(problemOf(field, values)).toBe(problem));

  it('says what it takes (XEP-0122; XEP-0060 12.23)', () => {
    expect(size).toMatchObject({ datatype: 'xs:integer', range: { min: 1, max: 10 } });
    expect(most).toMatchObject({ datatype: 'pubsub:integer-or-max', range: { min: 0, max: 10 } });
    expect(name).not.toHaveProperty('datatype');
  });

  it('writes the word where a number is the largest one', () => {
    expect([10, 9].flatMap(most.format)).toEqual(['max', '9']);
    expect(size.format(10)).toEqual(['10']);
  });

  it('writes what it reads', () => {
    const form = { ...FORM, people: jids('x#people', 'People', 20) };
    fc.assert(
      fc.property(valuesOf(form), (values) => {
        expect(readFields(form, givenBack(form, values), 'not-acceptable')).toEqual(values);
      }),
    );
  });
});

describe('a form', () => {
  it('has only what was submitted, and ignores what it does not know', () => {
    const submitted = new Map([
      ['x#size', ['3']],
      ['x#weight', ['heavy']],
      ['__proto__', ['1']],
    ]);
    expect(readFields(FORM, submitted, 'not-acceptable')).toEqual({ size: 3 });
  });

  it('is refused as a whole, with every field that is wrong', () => {
    const submitted = new Map([
      ['x#size', ['tall']],
      ['x#loud', ['1']],
      ['x#colour', ['pink']],
    ]);
    for (const code of ['invalid-options', 'not-acceptable'] as const) {
      expect(() => readFields(FORM, submitted, code)).toThrow(
        expect.objectContaining({
          name: 'Fault',
          code,
          message: 'x#size must be a whole number from 1 to 10; x#colour must be red, green, blue',
        }),
      );
    }
  });

  it('does not call a bug of ours a mistake of theirs', () => {
    const broken = { ...name, parse: () => JSON.parse('{') as string };
    expect(() => readFields({ broken }, new Map([['x#name', ['a']]]), 'not-acceptable')).toThrow(SyntaxError);
  });

  it('has values when nobody has said anything', () => {
    expect(initialValues(FORM)).toEqual({
      ...{ loud: true, name: 'nobody', size: 5, most: 5, colour: 'red', colours: [], people: [], word: 'none' },
    });
  });

  it('is stored as what differs, and that is enough', () => {
    const before = initialValues(FORM);
    expect(differing(before, before)).toEqual({});
    expect(differing({ ...before, loud: false, people: ['a'] }, before)).toEqual({ loud: false, people: ['a'] });
    fc.assert(
      fc.property(valuesOf(FORM), valuesOf(FORM), (values, others) => {
        expect({ ...others, ...differing<Values<typeof FORM>>(values, others) }).toEqual(values);
      }),
    );
  });
});
