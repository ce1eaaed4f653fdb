import { createHash } from 'node:crypto';
import type { Element } from '@xmpp/xml';

/** The verification string (XEP-0115 5.1) of an answer to disco#info with plain words. */
export function hashOf(query: Element): string {
  const words = (parent: Element, name: string, word: (child: Element) => string) =>
    parent.getChildren(name).map(word).sort();
  const of = (element: Element, name: string) => String(element.attrs[name] ?? '');
  const valuesOf = (field: Element) => words(field, 'value', (value) => value.getText());
  const isType = (field: Element) => of(field, 'var') === 'FORM_TYPE';
  const formText = (form: Element) => {
    const fields = form.getChildren('field');
    const others = fields.filter((field) => !isType(field)).map((field) => [of(field, 'var'), ...valuesOf(field)]);
    return [fields.filter(isType).flatMap(valuesOf), ...others.sort()].flat().join('<');
  };
  const parts = [
    ...words(query, 'identity', (one) =>
      ['category', 'type', 'xml:lang', 'name'].map((name) => of(one, name)).join('/'),
    ),
    ...words(query, 'feature', (feature) => of(feature, 'var')),
    ...words(query, 'x', formText),
  ];
  return createHash('sha1')
    .update(parts.map((part) => `${part}<`).join(''))
    .digest('base64');
}
