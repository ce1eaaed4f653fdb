import { parseJid } from './domain.js';
import { Fault } from './faults.js';

/** The kinds of XEP-0004 3.3 that we use. */
export type FieldType =
  'boolean' | 'jid-multi' | 'list-multi' | 'list-single' | 'text-multi' | 'text-private' | 'text-single';

export interface Choice {
  readonly value: string;
  readonly label: string;
}

/** One field of a form (XEP-0004 3.2), without XML: what it is called, what a person reads, what it takes. */
export interface Field<T> {
  /** The `var` of the field. */
  readonly name: string;
  readonly label: string;
  readonly type: FieldType;
  /** The value when nobody has said anything. */
  readonly initial: T;
  readonly choices?: readonly Choice[];
  /** XEP-0122: the datatype, where it is not a plain string, and the range. */
  readonly datatype?: string;
  readonly range?: { readonly min: number; readonly max: number };
  /** @throws Problem saying what the value must be */
  parse(values: readonly string[]): T;
  format(value: T): readonly string[];
}

/** A form: a name of ours for each field. */
export type Fields = Readonly<Record<string, Field<unknown>>>;

export type Values<F extends Fields> = {
  readonly [K in keyof F]: NonNullable<F[K]> extends Field<infer T> ? T : never;
};

/** What was submitted: the values of each field by its `var`. */
export type Submitted = ReadonlyMap<string, readonly string[]>;

/** Why one value cannot be taken, in words that go on after the name of the field. */
export class Problem extends Error {
  override readonly name = 'Problem';
}

/**
 * The fields of a form that were submitted; what the form does not have is ignored (XEP-0004 3.2), what was not
 * submitted is not in the result.
 * @throws Fault `code`, naming every field that cannot be taken
 */
export function readFields<F extends Fields>(
  fields: F,
  submitted: Submitted,
  code: 'invalid-options' | 'not-acceptable',
): Partial<Values<F>> {
  const problems: string[] = [];
  const read = Object.entries(fields).flatMap(([key, field]) => {
    const values = submitted.get(field.name);
    if (!values) return [];
    try {
      return [[key, field.parse(values)]];
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      problems.push(`${field.name} ${error.message}`);
      return [];
    }
  });
  if (problems.length > 0) throw new Fault(code, problems.join('; '));
  return Object.fromEntries(read) as Partial<Values<F>>;
}

/** The values that a form has when nobody has said anything. */
export const initialValues = <F extends Fields>(fields: F): Values<F> =>
  Object.fromEntries(Object.entries(fields).map(([key, { initial }]) => [key, initial])) as Values<F>;

/** Those of `values` that differ from `others`: what has to be stored. */
export function differing<V extends object>(values: V, others: V): Partial<V> {
  const same = (key: keyof V) => JSON.stringify(values[key]) === JSON.stringify(others[key]);
  return Object.fromEntries(Object.entries(values).filter(([key]) => !same(key as keyof V))) as Partial<V>;
}

/** XML Schema's boolean (XEP-0004 3.3): 0, 1, false, true. */
export const flag = (name: string, label: string, initial: boolean): Field<boolean> => ({
  name,
  label,
  type: 'boolean',
  initial,
  parse(values) {
    const text = one(values);
    if (!['0', '1', 'false', 'true'].includes(text)) throw new Problem('must be true or false');
    return text === '1' || text === 'true';
  },
  format: (value) => [value ? '1' : '0'],
});

export const text = (name: string, label: string, initial: string, most: number): Field<string> => ({
  name,
  label,
  type: 'text-single',
  initial,
  parse(values) {
    const value = one(values).trim();
    if (value.length > most) throw new Problem(`must not be longer than ${most} characters`);
    return value;
  },
  format: (value) => (value ? [value] : []),
});

/** A whole number; `word` stands for the largest one that is allowed ("max" in XEP-0060). */
export const whole = (
  name: string,
  label: string,
  initial: number,
  range: { readonly min: number; readonly max: number },
  word?: string,
): Field<number> => ({
  name,
  label,
  type: 'text-single',
  initial,
  range,
  // XEP-0060 17.7; the prefix is the one that Prosody and its clients know.
  datatype: word === undefined ? 'xs:integer' : 'pubsub:integer-or-max',
  parse(values) {
    const value = one(values);
    if (word !== undefined && value === word) return range.max;
    const number = /^\d{1,15}$/.test(value) ? Number(value) : NaN;
    if (!(number >= range.min && number <= range.max)) {
      throw new Problem(`must be a whole number from ${range.min} to ${range.max}${word ? `, or "${word}"` : ''}`);
    }
    return number;
  },
  format: (value) => [word !== undefined && value === range.max ? word : String(value)],
});

/** One of a few values. */
export const choice = <const T extends string>(
  name: string,
  label: string,
  choices: readonly { readonly value: T; readonly label: string }[],
  initial: NoInfer<T>,
): Field<T> => ({
  name,
  label,
  type: 'list-single',
  initial,
  choices,
  parse: (values) => known(one(values), choices),
  format: (value) => [value],
});

/** Any of a few values; whether none is no value or an empty one is not agreed (XEP-0004 3.6). */
export const several = <const T extends string>(
  name: string,
  label: string,
  choices: readonly { readonly value: T; readonly label: string }[],
): Field<readonly T[]> => ({
  name,
  label,
  type: 'list-multi',
  initial: [],
  choices,
  parse: (values) => [...new Set(values.filter(Boolean).map((value) => known(value, choices)))].sort(),
  format: (value) => value,
});

/** JIDs, normalised; one that is there twice counts once (XEP-0004 3.3). */
export const jids = (name: string, label: string, most: number): Field<readonly string[]> => ({
  name,
  label,
  type: 'jid-multi',
  initial: [],
  parse(values) {
    const given = values.filter(Boolean);
    if (given.length > most) throw new Problem(`must not be more than ${most}`);
    const parsed = given.map((value) => {
      try {
        return parseJid(value).full;
      } catch {
        throw new Problem('must be JIDs');
      }
    });
    return [...new Set(parsed)];
  },
  format: (value) => value,
});

/** What a form shows of a secret: nothing but whether there is one; what it is given in its place. */
export type Secret<T> = 'none' | 'set' | { readonly given: T };

const ASTERISKS = '********';

/**
 * Something that is written and never read: a form shows asterisks, which change nothing when they come back. Left
 * empty, there is none any more.
 * @param type how it is typed in: hidden, or in lines
 * @param read what was given. @throws Problem, which must not repeat it
 */
export const secret = <T>(
  name: string,
  label: string,
  type: 'text-private' | 'text-multi',
  read: (values: readonly string[]) => T,
): Field<Secret<T>> => ({
  name,
  label,
  type,
  initial: 'none',
  parse(values) {
    const given = values.filter((value) => value !== '');
    if (given.length === 0) return 'none';
    return given.length === 1 && given[0] === ASTERISKS ? 'set' : { given: read(given) };
  },
  format: (value) => (value === 'none' ? [] : [ASTERISKS]),
});

/** The only value of a field that takes one. A field that was left empty has no value, or an empty one. */
export function one(values: readonly string[]): string {
  if (values.length > 1) throw new Problem('takes one value');
  return values[0] ?? '';
}

function known<T extends string>(value: string, choices: readonly { readonly value: T }[]): T {
  const found = choices.find((each) => each.value === value);
  if (!found) throw new Problem(`must be ${choices.map((each) => each.value).join(', ')}`);
  return found.value;
}
