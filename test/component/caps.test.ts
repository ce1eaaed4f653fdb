import { expect, it } from '@jest/globals';
import { capsOf, NS_CAPS, type Info } from '../../component/caps.js';

const FEATURES = [
  'http://jabber.org/protocol/muc',
  'http://jabber.org/protocol/disco#items',
  'http://jabber.org/protocol/caps',
  'http://jabber.org/protocol/disco#info',
];
const SIMPLE: Info = {
  identities: [{ category: 'client', type: 'pc', name: 'Exodus 0.9.1' }],
  features: FEATURES,
  forms: [],
};

it('the simple example of XEP-0115 5.2 has the hash that stands there', () => {
  expect(capsOf(SIMPLE).ver).toBe('QgayPKawpkPSDYmwT/WM94uAlu0=');
});

it('the complex example of XEP-0115 5.3 has the hash that stands there, whatever the order', () => {
  const psi: Info = {
    identities: [
      { category: 'client', type: 'pc', lang: 'en', name: 'Psi 0.11' },
      { category: 'client', type: 'pc', lang: 'el', name: 'Ψ 0.11' },
    ],
    features: FEATURES,
    forms: [
      {
        type: 'urn:xmpp:dataforms:softwareinfo',
        fields: [
          { name: 'software_version', values: ['0.11'] },
          { name: 'os_version', values: ['10.5.1'] },
          { name: 'software', values: ['Psi'] },
          { name: 'os', values: ['Mac'] },
          { name: 'ip_version', values: ['ipv6', 'ipv4'] },
        ],
      },
    ],
  };
  expect(capsOf(psi).ver).toBe('q07IKJEyjvHSyhy//CH0CxmKi8w=');
});

it('several forms stand in the order of their FORM_TYPE', () => {
  const forms = ['urn:example:b', 'urn:example:a'].map((type) => ({ type, fields: [{ name: 'x', values: ['1'] }] }));
  expect(capsOf({ ...SIMPLE, forms }).ver).toBe(capsOf({ ...SIMPLE, forms: [...forms].reverse() }).ver);
  expect(capsOf({ ...SIMPLE, forms }).ver).not.toBe(capsOf(SIMPLE).ver);
});

it('the order is that of the octets', () => {
  // "client/pc//Hydrant<" "urn:\uffe6<" "urn:\u{1f6b0}<", hashed elsewhere: in UTF-16 the last two would change places.
  const features = ['urn:\u{1f6b0}', 'urn:\uffe6'];
  const identities = [{ category: 'client', type: 'pc', name: 'Hydrant' }];
  expect(capsOf({ identities, features, forms: [] }).ver).toBe('JL2+sJfBUr50agfSRD23Tctf9/k=');
});

it('a presence names the software, the hash and the function, and the node of disco#info that belongs to them', () => {
  const { ver, element, isOurs } = capsOf(SIMPLE);
  expect(element().attrs).toEqual({ xmlns: NS_CAPS, hash: 'sha-1', node: 'urn:hydrant:component', ver });
  expect(element()).not.toBe(element());
  expect(isOurs(`urn:hydrant:component#${ver}`)).toBe(true);
  for (const node of ['', ver, 'urn:hydrant:component', `urn:hydrant:component#${ver}x`, `urn:example:other#${ver}`]) {
    expect(isOurs(node)).toBe(false);
  }
});
