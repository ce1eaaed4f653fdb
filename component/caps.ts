import { createHash } from 'node:crypto';
import xml, { type Element } from '@xmpp/xml';

/** The namespace of <c/>, and the feature that says so in disco#info (XEP-0115 6). */
export const NS_CAPS = 'http://jabber.org/protocol/caps';

// What software this is (XEP-0115 4), whatever its address or version.
const NODE = 'urn:hydrant:component';

/** An <identity/> of disco#info (XEP-0030 3.1). */
export interface Identity {
  readonly category: string;
  readonly type: string;
  readonly lang?: string;
  readonly name?: string;
}

/** A form of disco#info (XEP-0128). */
export interface InfoForm {
  /** The value of its FORM_TYPE. */
  readonly type: string;
  /** All other fields. */
  readonly fields: readonly { readonly name: string; readonly values: readonly string[] }[];
}

/** All that an answer to disco#info says of us. */
export interface Info {
  readonly identities: readonly Identity[];
  readonly features: readonly string[];
  readonly forms: readonly InfoForm[];
}

/** Our entity capabilities (XEP-0115). */
export interface Caps {
  /** The verification string of XEP-0115 5.1. */
  readonly ver: string;
  /** The <c/> for a presence, a new one each time. */
  element(): Element;
  /** Whether this disco#info node is `node#ver` of ours: it is answered like no node at all, under its own name. */
  isOurs(node: string): boolean;
}

/** The capabilities of whoever answers disco#info with exactly `info`. */
export function capsOf({ identities, features, forms }: Info): Caps {
  const parts = [
    ...inOrder(identities.map(({ category, type, lang = '', name = '' }) => `${category}/${type}/${lang}/${name}`)),
    ...inOrder(features),
    ...[...forms].sort((a, b) => octets(a.type, b.type)).flatMap(partsOf),
  ];
  const text = parts.map((part) => `${part}<`).join('');
  const ver = createHash('sha1').update(text).digest('base64');
  return {
    ver,
    element: () => xml('c', { xmlns: NS_CAPS, hash: 'sha-1', node: NODE, ver }),
    isOurs: (node) => node === `${NODE}#${ver}`,
  };
}

const partsOf = ({ type, fields }: InfoForm): string[] => [
  type,
  ...[...fields].sort((a, b) => octets(a.name, b.name)).flatMap(({ name, values }) => [name, ...inOrder(values)]),
];

const inOrder = (texts: readonly string[]): string[] => [...texts].sort(octets);

/** The collation "i;octet" of RFC 4790 9.3; that of JavaScript differs beyond U+FFFF. */
const octets = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
