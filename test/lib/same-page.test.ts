import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { samePage } from '../../lib/same-page.js';

describe('one page is one text', () => {
  const PAGE = samePage('https://site.example/2026/rain?p=7');

  it.each([
    ['the scheme', 'http://site.example/2026/rain?p=7'],
    ['www.', 'https://www.site.example/2026/rain?p=7'],
    ['the case of the host', 'https://SITE.Example/2026/rain?p=7'],
    ['the dot that ends a host', 'https://site.example./2026/rain?p=7'],
    ['the port that is usual', 'https://site.example:443/2026/rain?p=7'],
    ['the port that is usual elsewhere', 'http://site.example:443/2026/rain?p=7'],
    ['slashes at the end', 'https://site.example/2026/rain//?p=7'],
    ['the fragment', 'https://site.example/2026/rain?p=7#comments'],
    ['escapes that nobody needs', 'https://site.example/2026/%72ai%6e?p=7'],
    ['an empty parameter', 'https://site.example/2026/rain?&p=7&'],
    ...[
      ...['utm_source=rss', 'UTM_Medium=feed', 'fbclid=IwAR1', 'gclid=1', 'at_medium=RSS', 'at_campaign=KARANGA'],
      ...['mc_cid=1', 'mc_eid=2', 'msclkid=3', 'yclid=4', 'mtm_campaign=5', 'pk_kwd=6', '_hsenc=7', 'igshid=8'],
      ...['ns_mchannel=rss', 'xtor=RSS-1', 'gbraid=9', 'utm_id'],
    ].flatMap((tracking) => [
      [`${tracking} at the end`, `https://site.example/2026/rain?p=7&${tracking}`],
      [`${tracking} in front`, `https://site.example/2026/rain?${tracking}&p=7`],
    ]),
  ])('without regard to %s', (_, address) => {
    expect(samePage(address)).toBe(PAGE);
  });

  it.each([
    'https://site.example/2026/rain?p=8',
    'https://site.example/2026/rain',
    'https://site.example/2026/Rain?p=7',
    'https://site.example:8443/2026/rain?p=7',
    'https://blog.site.example/2026/rain?p=7',
    'https://site.example/2026/rain?p=7&attribute=1',
    'https://site.example/2026/rain?p=7&utm=1',
    'https://site.example/2026/rain?p=7&at=1',
    'https://site.example/2026/rain?p=7&id=gclid',
    'https://site.example/2026%2Frain?p=7',
    'https://site.example/2026/rain?p=7%26q',
  ])('and %s is another', (address) => {
    expect(samePage(address)).not.toBe(PAGE);
  });

  it('whatever is appended, and is itself once more', () => {
    const pages = fc.webUrl({ withQueryParameters: true });
    fc.assert(
      fc.property(pages, fc.constantFrom('utm_source=x', 'fbclid=y', 'at_z=1'), (address, tracking) => {
        const page = samePage(address);
        expect(samePage(`${address}${address.includes('?') ? '&' : '?'}${tracking}#top`)).toBe(page);
        expect(samePage(`https://${page ?? ''}`)).toBe(page);
      }),
    );
  });

  it('also when only parameters are left out', () => {
    expect(samePage('https://site.example/?utm_source=rss')).toBe('site.example');
  });
});

it.each(['', 'urn:uuid:1', 'mailto:romeo@site.example', 'ftp://site.example/', '/2026', 'tag:site.example,2026:1'])(
  '%j is no page',
  (address) => {
    expect(samePage(address)).toBeUndefined();
  },
);
