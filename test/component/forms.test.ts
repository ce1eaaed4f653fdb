import { describe, expect, it } from '@jest/globals';
import xml, { type Element } from '@xmpp/xml';
import fc from 'fast-check';
import { formElement, readForm, resultForm } from '../../component/forms.js';
import { Fault } from '../../lib/faults.js';
import {
  choice,
  flag,
  jids,
  readFields,
  several,
  text,
  whole,
  type Fields,
  type Submitted,
  type Values,
} from '../../lib/fields.js';
import { configFields, defaultConfig, readConfig } from '../../lib/node-config.js';
import { defaultOptions, OPTION_FIELDS, readOptions } from '../../lib/options.js';
import { valuesOf } from '../support/forms.js';

const TYPE = 'http://example.org/form';
const DATA = 'jabber:x:data';

const COLOURS = [
  { value: 'red', label: 'Red & warm' },
  { value: 'blue', label: 'Blue' },
] as const;

const FORM = {
  loud: flag('loud', 'Loud', true),
  name: text('name', 'Name', '', 20),
  size: whole('size', 'Size', 5, { min: 1, max: 10 }),
  most: whole('most', 'Most', 0, { min: 0, max: 10 }, 'max'),
  colour: choice('colour', 'Colour', COLOURS, 'red'),
  colours: several('colours', 'Colours', COLOURS),
  people: jids('people', 'People', 3),
};

/** The one child of a stream, read as it is in the connection. */
function parse(markup: string): Element {
  const parser = new xml.Parser();
  let read: Element | undefined;
  parser.on('element', (element: Element) => (read = element));
  parser.on('error', (error: Error) => {
    throw error;
  });
  parser.write(`<stream xmlns='jabber:component:accept'>${markup}</stream>`);
  return read!;
}

const line = (...parts: readonly string[]): string => parts.join('');

describe('a form to fill in', () => {
  it('asks for everything, with the values that there are', () => {
    const values = { loud: false, name: 'Romeo', most: 3, colours: ['blue', 'red'], people: ['a@x', 'b@x'] } as const;
    const texts = { title: 'A form', instructions: 'Fill it in' };
    const range = (datatype: string, least: number) =>
      `<validate xmlns="http://jabber.org/protocol/xdata-validate" datatype="${datatype}"><range min="${least}" max="10"/></validate>`;
    const options =
      '<option label="Red &amp; warm"><value>red</value></option><option label="Blue"><value>blue</value></option>';
    expect(formElement('form', TYPE, FORM, values, texts).toString()).toBe(
      line(
        `<x xmlns="${DATA}" type="form"><title>A form</title><instructions>Fill it in</instructions>`,
        `<field var="FORM_TYPE" type="hidden"><value>${TYPE}</value></field>`,
        '<field var="loud" type="boolean" label="Loud"><value>0</value></field>',
        '<field var="name" type="text-single" label="Name"><value>Romeo</value></field>',
        `<field var="size" type="text-single" label="Size">${range('xs:integer', 1)}<value>5</value></field>`,
        `<field var="most" type="text-single" label="Most">${range('pubsub:integer-or-max', 0)}<value>3</value></field>`,
        `<field var="colour" type="list-single" label="Colour"><value>red</value>${options}</field>`,
        `<field var="colours" type="list-multi" label="Colours"><value>blue</value><value>red</value>${options}</field>`,
        '<field var="people" type="jid-multi" label="People"><value>a@x</value><value>b@x</value></field></x>',
      ),
    );
  });

  it('has the values of fields about which nobody has said anything', () => {
    const form = formElement('form', TYPE, FORM, {});
    const values = form.getChildren('field').map((field) => field.getChildren('value').map((value) => value.getText()));
    expect(values).toEqual([[TYPE], ['1'], [], ['5'], ['0'], ['red'], [], []]);
    expect(form.getChild('title')).toBeUndefined();
    expect(form.getChild('instructions')).toBeUndefined();
  });

  it('says what kind of value it takes where it has no range', () => {
    const when = { ...text('when', 'When', '', 30), datatype: 'xs:dateTime' };
    expect(formElement('form', TYPE, { when }, {}).toString()).toContain(
      '<validate xmlns="http://jabber.org/protocol/xdata-validate" datatype="xs:dateTime"><basic/></validate>',
    );
  });

  it('shows a value that is not among the choices as one more', () => {
    const { language } = configFields('own');
    const options = (value: string) => {
      const [, field] = formElement('form', TYPE, { language: language! }, { language: value }).getChildren('field');
      return field!.getChildren('option').map((option) => option.getChildText('value'));
    };
    expect(options('gsw-CH')).toEqual([...options('en'), 'gsw-CH']);
    expect(options('')).toEqual(options('en'));
  });

  it('gives no range for plain text, as XEP-0122 4.7 forbids', () => {
    const plain = { ...text('plain', 'Plain', '', 30), range: { min: 1, max: 2 } };
    expect(formElement('form', TYPE, { plain }, {}).toString()).not.toContain('validate');
  });
});

describe('a form that tells what is so', () => {
  it('has nothing but values, and only those that are given', () => {
    const values = { loud: true, name: '', size: 3, colours: ['red'] } as const;
    expect(formElement('result', TYPE, FORM, values).toString()).toBe(
      line(
        `<x xmlns="${DATA}" type="result"><field var="FORM_TYPE" type="hidden"><value>${TYPE}</value></field>`,
        '<field var="loud"><value>1</value></field><field var="name"/><field var="size"><value>3</value></field>',
        '<field var="colours"><value>red</value></field></x>',
      ),
    );
  });

  it('is taken for the options and for the configuration of every kind of node', () => {
    const config = defaultConfig({ title: 'The Blog' });
    const titled = formElement('result', TYPE, configFields('feed'), config);
    expect(titled.toString()).toContain('<field var="pubsub#title"><value>The Blog</value></field>');
    expect(titled.toString()).not.toContain('pubsub#publish_model');
    const options = formElement('result', TYPE, OPTION_FIELDS, defaultOptions(config));
    expect(options.getChildren('field')).toHaveLength(Object.keys(OPTION_FIELDS).length + 1);
    // @ts-expect-error: a flag is not a number
    formElement('result', TYPE, OPTION_FIELDS, { deliver: 3 });
    // @ts-expect-error: a flag is not a number
    formElement('result', TYPE, configFields('own'), { subscribe: 3 });
  });

  it('has in disco the types and labels that are given, and no others', () => {
    const fields = [
      { name: 'pubsub#title', values: ['The "Blog"'], type: 'text-single', label: 'Name' },
      { name: 'pubsub#owner', values: ['a@x', 'b@x'], type: 'jid-multi' },
      { name: 'pubsub#contact', values: [] },
    ];
    expect(resultForm(TYPE, fields).toString()).toBe(
      line(
        `<x xmlns="${DATA}" type="result"><field var="FORM_TYPE" type="hidden"><value>${TYPE}</value></field>`,
        '<field var="pubsub#title" type="text-single" label="Name"><value>The "Blog"</value></field>',
        '<field var="pubsub#owner" type="jid-multi"><value>a@x</value><value>b@x</value></field>',
        '<field var="pubsub#contact"/></x>',
      ),
    );
  });
});

describe('a submitted form', () => {
  const CODES = ['invalid-options', 'not-acceptable', 'bad-request'] as const;
  const read = (form: string, accepted: string | readonly string[] = TYPE): Submitted | 'cancel' =>
    readForm(parse(`<options>${form}</options>`), accepted, 'invalid-options');
  const submit = (fields: string): string => `<x xmlns='${DATA}' type='submit'>${fields}</x>`;
  const formType = (type: string) => `<field var='FORM_TYPE' type='hidden'><value>${type}</value></field>`;
  const numbered = (count: number, one: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => one(i)).join('');

  it('is the values of each field, in their order and as they came', () => {
    const fields = line(
      formType(TYPE),
      `<field var='b'><value> two </value><value/><value>o&lt;ne</value></field><field var='a'/>`,
      `<field var='__proto__' type='boolean'><required/><value>1</value></field>`,
    );
    expect([...(read(submit(fields)) as Submitted)]).toEqual([
      ['b', [' two ', '', 'o<ne']],
      ['a', []],
      ['__proto__', ['1']],
    ]);
  });

  it('may have no fields', () => expect(read(submit(formType(TYPE)))).toEqual(new Map()));

  it('may leave out its FORM_TYPE, as real clients do', () => {
    const a = new Map([['a', ['1']]]);
    expect(read(submit(`<field var='a'><value>1</value></field>`))).toEqual(a);
    expect(read(submit(`<field var='FORM_TYPE'/><field var='a'><value>1</value></field>`))).toEqual(a);
    expect(read(submit(`${formType('')}<field var='a'><value>1</value></field>`))).toEqual(a);
  });

  it('may have any FORM_TYPE that is accepted', () => {
    for (const type of ['old', 'new']) expect(read(submit(formType(type)), ['new', 'old'])).toEqual(new Map());
    expect(() => read(submit(formType('older')), ['new', 'old'])).toThrow('The FORM_TYPE must be new or old');
  });

  it('may repeat what was only there to be read', () => {
    const fixed = `<field type='fixed'><value>Read this</value></field>`;
    expect(read(submit(`${fixed}<field var='a'/>${fixed}`))).toEqual(new Map([['a', []]]));
    expect(read(submit(`<field var='' type='fixed'/>`))).toEqual(new Map());
  });

  it('says what it says whatever type its fields claim to have, as real clients do', () => {
    const wrong = ['fixed', 'boolean', 'nonsense'].map(
      (type) => `<field var='${type}' type='${type}'><value>x</value></field>`,
    );
    expect(read(submit(wrong.join('')))).toEqual(
      new Map(['fixed', 'boolean', 'nonsense'].map((type) => [type, ['x']])),
    );
  });

  it('may have no type only where that is allowed', () => {
    const untyped = parse(`<options><x xmlns='${DATA}'><field var='a'><value>1</value></field></x></options>`);
    expect(readForm(untyped, TYPE, 'bad-request', true)).toEqual(new Map([['a', ['1']]]));
    expect(() => readForm(untyped, TYPE, 'bad-request')).toThrow('The type of the form must be');
    const asking = parse(`<options><x xmlns='${DATA}' type='form'/></options>`);
    expect(() => readForm(asking, TYPE, 'bad-request', true)).toThrow('The type of the form must be');
  });

  it('may be cancelled, whatever else it has', () => {
    expect(read(`<x xmlns='${DATA}' type='cancel'/>`)).toBe('cancel');
    expect(read(`<x xmlns='${DATA}' type='cancel'>${formType('another')}<field/></x>`)).toBe('cancel');
  });

  it('may be as large as is allowed', () => {
    const large = line(
      `<field var='${'n'.repeat(256)}'>${numbered(200, () => '<value>x</value>')}</field>`,
      `<field var='long'><value>${'é'.repeat(8_192)}</value></field>`,
      numbered(98, (i) => `<field var='f${i}'/>`),
    );
    expect((read(submit(large)) as Submitted).size).toBe(100);
  });

  it.each([
    ['that is not there', '<y/>', 'A form (jabber:x:data) is missing'],
    ['of another namespace', `<x xmlns='jabber:x:oob' type='submit'/>`, 'A form (jabber:x:data) is missing'],
    ['without a type', `<x xmlns='${DATA}'/>`, 'The type of the form must be "submit" or "cancel"'],
    ['that asks', `<x xmlns='${DATA}' type='form'/>`, 'The type of the form must be "submit" or "cancel"'],
    ['that tells', `<x xmlns='${DATA}' type='result'/>`, 'The type of the form must be "submit" or "cancel"'],
    ['of another FORM_TYPE', submit(formType('another')), `The FORM_TYPE must be ${TYPE}`],
    [
      'of two FORM_TYPEs',
      submit(`<field var='FORM_TYPE'><value>${TYPE}</value><value>another</value></field>`),
      `The FORM_TYPE must be ${TYPE}`,
    ],
    ['with a nameless field', submit('<field><value>1</value></field>'), 'A field has no "var", or too long a one'],
    ['with an empty name', submit(`<field var=''/>`), 'A field has no "var", or too long a one'],
    [
      'with a name that is too long to be said again',
      submit(`<field var='${'n'.repeat(257)}'/>`),
      'A field has no "var", or too long a one',
    ],
    ['with a field twice', submit(`<field var='a'/><field var='b'/><field var='a'/>`), 'a is there twice'],
    ['with two FORM_TYPE fields', submit(formType(TYPE) + formType(TYPE)), 'FORM_TYPE is there twice'],
    ['with too many fields', submit(numbered(101, (i) => `<field var='f${i}'/>`)), 'The form has more than 100 fields'],
    [
      'with too many values',
      submit(`<field var='a'>${numbered(201, () => '<value/>')}</field>`),
      'a must not have more than 200 values of 16384 bytes',
    ],
    [
      'with too long a value',
      submit(`<field var='a'><value>x</value><value>x${'é'.repeat(8_192)}</value></field>`),
      'a must not have more than 200 values of 16384 bytes',
    ],
  ])('is refused with the code of its place: one %s', (_, form, message) => {
    for (const code of CODES) {
      expect(() => readForm(parse(`<options>${form}</options>`), TYPE, code)).toThrow(
        expect.objectContaining({ name: 'Fault', code, message }),
      );
    }
  });

  it('is fields with values, or refused with one code, whatever is in it', () => {
    const { tree } = fc.letrec<{ tree: Element }>((tie) => ({
      tree: fc
        .tuple(
          fc.constantFrom('x', 'field', 'value', 'options'),
          fc.record(
            {
              xmlns: fc.constantFrom(DATA, 'other'),
              type: fc.constantFrom('submit', 'cancel', 'form', 'fixed', ''),
              var: fc.constantFrom('FORM_TYPE', 'a', '', 'b'),
            },
            { requiredKeys: [] },
          ),
          fc.array(fc.oneof({ depthSize: 'small' }, fc.constantFrom(TYPE, '', 'x'), tie('tree')), { maxLength: 5 }),
        )
        .map(([name, attributes, children]) => xml(name, attributes, ...children)),
    }));
    fc.assert(
      fc.property(fc.array(tree, { maxLength: 5 }), (fields) => {
        try {
          const form = xml('options', {}, xml('x', { xmlns: DATA, type: 'submit' }, ...fields));
          const submitted = readForm(form, TYPE, 'not-acceptable') as Submitted;
          expect(submitted.has('FORM_TYPE')).toBe(false);
          expect([...submitted.values()].flat().every((value) => typeof value === 'string')).toBe(true);
        } catch (error) {
          if (!(error instanceof Fault)) throw error;
          expect(error.code).toBe('not-acceptable');
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('a form that goes out and comes back', () => {
  /** What a client does that changes nothing. */
  const sentBack = <F extends Fields>(type: 'form' | 'result', fields: F, values: Values<F>): Submitted => {
    const sent = parse(
      `<configure>${formElement(type, TYPE, fields, values, { title: 'A form' }).toString()}</configure>`,
    );
    sent.getChild('x')!.attrs['type'] = 'submit';
    return readForm(sent, TYPE, 'not-acceptable') as Submitted;
  };

  it.each(['form', 'result'] as const)('says the same: subscription options (%s)', (type) => {
    fc.assert(
      fc.property(valuesOf(OPTION_FIELDS), (options) => {
        expect(readOptions(sentBack(type, OPTION_FIELDS, options), -1)).toEqual(options);
      }),
    );
  });

  it.each(['feed', 'own', 'firehose'] as const)('says the same: the configuration of a node (%s)', (kind) => {
    const fields = configFields(kind);
    fc.assert(
      fc.property(valuesOf(fields), fc.constantFrom('form', 'result'), (config, type) => {
        expect(readConfig(kind, sentBack(type, fields, config))).toEqual(config);
      }),
    );
  });

  it('says the same: any form', () => {
    const fields = { ...FORM, name: text('name', 'Name', '', 30), people: jids('people', 'People', 20) };
    fc.assert(
      fc.property(valuesOf(fields), (values) => {
        expect(readFields(fields, sentBack('form', fields, values), 'invalid-options')).toEqual(values);
      }),
    );
  });
});
