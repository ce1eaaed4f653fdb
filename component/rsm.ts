import xml, { type Element } from '@xmpp/xml';
import type { PageAsk } from '../lib/domain.js';
import { NS, wholeNumber } from './stanza.js';

/**
 * The <set/> of a request (XEP-0059 2.1 to 2.5), or undefined where there is none. `most` is the limit for those who
 * name none.
 * @throws Fault `bad-request`
 */
export function readPage(parent: Element, most: number): PageAsk | undefined {
  const set = parent.getChild('set', NS.rsm);
  if (!set) return undefined;
  const max = set.getChildText('max');
  const after = set.getChildText('after');
  const before = set.getChild('before')?.getText();
  return {
    limit: max ? Math.min(wholeNumber(max, 'max'), most) : most,
    ...(after ? { after } : before !== undefined && { before }),
  };
}

/** The <set/> of an answer (XEP-0059 2.1): where the ids stand in the whole, as far as that is known. */
export function pageElement(
  ids: readonly string[],
  where: { readonly index?: number; readonly count?: number } = {},
): Element {
  const [first, last] = [ids[0], ids.at(-1)];
  const { index, count } = where;
  return xml(
    'set',
    { xmlns: NS.rsm },
    ...(first === undefined ? [] : [xml('first', index === undefined ? {} : { index: String(index) }, first)]),
    ...(last === undefined ? [] : [xml('last', {}, last)]),
    ...(count === undefined ? [] : [xml('count', {}, String(count))]),
  );
}
