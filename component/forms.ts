import xml, { type Element } from '@xmpp/xml';
import { Fault } from '../lib/faults.js';
import type { Field, Fields, Submitted, Values } from '../lib/fields.js';
import { NS, optional } from './stanza.js';

const VALIDATE = 'http://jabber.org/protocol/xdata-validate';
const FORM_TYPE = 'FORM_TYPE';

/**
 * The fields as an <x/> (XEP-0004).
 * @param type `form` asks: with labels, choices, what is allowed (XEP-0122), and each field's initial value where
 *   `values` has none. `result` tells: nothing but what `values` has.
 * @param formType the FORM_TYPE (XEP-0068)
 * @param values by the same names as the fields
 * @param texts what a person reads above the fields, a line each
 */
export function formElement<F extends Fields>(
  type: 'form' | 'result',
  formType: string,
  fields: F,
  values: Partial<Values<F>>,
  { title, instructions }: { readonly title?: string; readonly instructions?: string } = {},
): Element {
  const given: Readonly<Record<string, unknown>> = values;
  const rendered = Object.entries(fields).flatMap(([key, field]) => {
    const value = given[key];
    if (type === 'form') return [asking(field, value === undefined ? field.initial : value)];
    return value === undefined ? [] : [xml('field', { var: field.name }, ...valuesOf(field.format(value)))];
  });
  return xml(
    'x',
    { xmlns: NS.data, type },
    ...(title ? [xml('title', {}, title)] : []),
    ...(instructions ? [xml('instructions', {}, instructions)] : []),
    ofType(formType),
    ...rendered,
  );
}

/** What a node or the service says of itself in disco (XEP-0128): a form of type `result` without a question behind it. */
export const resultForm = (
  formType: string,
  fields: readonly {
    /** The `var`. */
    readonly name: string;
    readonly values: readonly string[];
    readonly type?: string;
    readonly label?: string;
  }[],
): Element =>
  xml(
    'x',
    { xmlns: NS.data, type: 'result' },
    ofType(formType),
    ...fields.map(({ name, values, type, label }) =>
      xml('field', { var: name, ...(type && { type }), ...(label && { label }) }, ...valuesOf(values)),
    ),
  );

const FIELDS_MAX = 100;
const VALUES_MAX = 200;
const VALUE_MAX_BYTES = 16 * 1_024;
// Refusals name the fields they are about.
const NAME_MAX_CHARS = 256;

/**
 * What was submitted in the first <x/> of `parent` (XEP-0004): the values of each field, as they came and in their
 * order, without the FORM_TYPE. Whoever submits may leave that one out. What only describes (`fixed`, without a `var`) is
 * passed over; the types of all other fields say nothing, because real clients send wrong ones.
 * @param formType the FORM_TYPE, or those that are accepted (XEP-0068)
 * @param isUntyped whether the <x/> may have no type, which counts as `submit`
 * @returns 'cancel' when that is what its type says, whatever else is in it
 * @throws Fault `code` when there is no form, its type or FORM_TYPE is another one, a field has no `var` or the one of
 *   another field, or there is too much of it: 100 fields with names of 256 characters, with 200 values each, of 16 KiB
 */
export function readForm(
  parent: Element,
  formType: string | readonly string[],
  code: 'invalid-options' | 'not-acceptable' | 'bad-request',
  isUntyped = false,
): Submitted | 'cancel' {
  const form = parent.getChild('x', NS.data);
  if (!form) throw new Fault(code, `A form (${NS.data}) is missing`);
  const type = optional(form, 'type') ?? (isUntyped ? 'submit' : undefined);
  if (type === 'cancel') return 'cancel';
  if (type !== 'submit') throw new Fault(code, 'The type of the form must be "submit" or "cancel"');
  const elements = form.getChildren('field', NS.data);
  if (elements.length > FIELDS_MAX) throw new Fault(code, `The form has more than ${FIELDS_MAX} fields`);
  const submitted = new Map<string, readonly string[]>();
  for (const field of elements) {
    const name = optional(field, 'var');
    if (!name && optional(field, 'type') === 'fixed') continue;
    if (!name || name.length > NAME_MAX_CHARS) throw new Fault(code, 'A field has no "var", or too long a one');
    if (submitted.has(name)) throw new Fault(code, `${name} is there twice`);
    const values = field.getChildren('value', NS.data).map((value) => value.getText());
    if (values.length > VALUES_MAX || values.some((value) => Buffer.byteLength(value) > VALUE_MAX_BYTES)) {
      throw new Fault(code, `${name} must not have more than ${VALUES_MAX} values of ${VALUE_MAX_BYTES} bytes`);
    }
    submitted.set(name, values);
  }
  const accepted = [formType].flat();
  if (submitted.get(FORM_TYPE)?.some((said) => said !== '' && !accepted.includes(said))) {
    throw new Fault(code, `The ${FORM_TYPE} must be ${accepted.join(' or ')}`);
  }
  submitted.delete(FORM_TYPE);
  return submitted;
}

const ofType = (formType: string): Element => xml('field', { var: FORM_TYPE, type: 'hidden' }, ...valuesOf([formType]));

const valuesOf = (values: readonly string[]): Element[] => values.map((value) => xml('value', {}, value));

/** A field to fill in. The order of what is inside is that of the schema (XEP-0004 10). */
function asking(field: Field<unknown>, value: unknown): Element {
  const { name, type, label, choices = [] } = field;
  const values = field.format(value);
  // A client that can only send what it shows would change a value that is not among the choices.
  const others = values.filter((one) => choices.length > 0 && !choices.some((choice) => choice.value === one));
  return xml(
    'field',
    { var: name, type, label },
    ...validation(field),
    ...valuesOf(values),
    ...[...choices, ...others.map((one) => ({ value: one, label: one }))].map((choice) =>
      xml('option', { label: choice.label }, ...valuesOf([choice.value])),
    ),
  );
}

function validation({ datatype, range }: Field<unknown>): Element[] {
  if (datatype === undefined) return [];
  const method = range ? xml('range', { min: String(range.min), max: String(range.max) }) : xml('basic');
  return [xml('validate', { xmlns: VALIDATE, datatype }, method)];
}
