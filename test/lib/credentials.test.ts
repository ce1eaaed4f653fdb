import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CREDENTIAL_FIELDS, credentialsAfter, shownCredentials, withoutUserinfo } from '../../lib/credentials.js';
import { Fault } from '../../lib/faults.js';
import type { Submitted } from '../../lib/fields.js';
import type { Headers } from '../../lib/vault.js';
import { givenBack } from '../support/forms.js';

const basic = (text: string): Headers => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` });
const HELD: Headers = { ...basic('juliet:canary'), 'x-key': 'canary' };

const form = (fields: { readonly authorization?: string; readonly headers?: readonly string[] | string }): Submitted =>
  new Map(Object.entries(fields).map(([name, values]) => [`hydrant#${name}`, [values].flat()]));
const given = (fields: Parameters<typeof form>[0], held: Headers | 'unreadable' = {}) =>
  credentialsAfter(held, form(fields));

/** Why that is refused. */
function problem(fields: Parameters<typeof form>[0], held: Headers | 'unreadable' = {}): string {
  try {
    return `not refused: ${JSON.stringify(given(fields, held))}`;
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    expect(error.code).toBe('not-acceptable');
    return error.message;
  }
}

describe('credentials that are submitted', () => {
  it('are a user and a password, as RFC 7617 writes them', () => {
    // The examples of RFC 7617 2 and 2.1.
    expect(given({ authorization: 'Aladdin:open sesame' })).toEqual({
      authorization: 'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==',
    });
    expect(given({ authorization: 'test:123\u00a3' })).toEqual({ authorization: 'Basic dGVzdDoxMjPCow==' });
    expect(given({ authorization: ':pass:with:colons ' })).toEqual(basic(':pass:with:colons '));
  });

  it('are headers, by their names in lower case', () => {
    expect(given({ headers: ['X-Key:canary', 'Cookie:  a=b; c=d \t', 'authorization: Bearer x.y'] })).toEqual({
      ...{ 'x-key': 'canary', cookie: 'a=b; c=d', authorization: 'Bearer x.y' },
    });
  });

  it('are the same headers from clients that send all lines as one value', () => {
    expect(given({ headers: 'X-Key: 1\r\nX-Other: 2\n' })).toEqual({ 'x-key': '1', 'x-other': '2' });
  });

  it('change what they say, and leave the rest', () => {
    expect(given({ authorization: 'romeo:x' }, HELD)).toEqual({ ...basic('romeo:x'), 'x-key': 'canary' });
    expect(given({ headers: ['X-Other: y'] }, HELD)).toEqual({ ...basic('juliet:canary'), 'x-other': 'y' });
    expect(given({ authorization: '', headers: '********' }, HELD)).toEqual({ 'x-key': 'canary' });
    expect(given({ authorization: '********', headers: '' }, HELD)).toEqual(basic('juliet:canary'));
    expect(given({ authorization: '', headers: [] }, HELD)).toEqual({});
  });

  it('may replace a user and a password by an Authorization of another kind', () => {
    const bearer = { authorization: 'Bearer x' };
    expect(given({ authorization: '', headers: ['Authorization: Bearer x'] }, HELD)).toEqual(bearer);
    expect(shownCredentials(bearer)).toEqual({ authorization: 'none', headers: 'set' });
    const both = 'hydrant#headers must not have an Authorization beside hydrant#authorization';
    expect(problem({ headers: ['Authorization: Bearer x'] }, HELD)).toBe(both);
    expect(problem({ authorization: 'a:b' }, bearer)).toBe(both);
  });

  it.each<[string, Parameters<typeof form>[0], string]>([
    ['no password', { authorization: 'canary' }, 'must be user:password'],
    ['control characters', { authorization: 'a:canary\u0007' }, 'must be user:password'],
    ['too much', { authorization: `a:canary${'x'.repeat(512)}` }, 'must not be longer than 512 characters'],
    ['no name', { headers: [': canary'] }, 'must be lines such as X-Key: value, of ASCII characters'],
    ['no value', { headers: ['Canary:  '] }, 'must be lines such as X-Key: value, of ASCII characters'],
    ['no colon', { headers: ['canary'] }, 'must be lines such as X-Key: value, of ASCII characters'],
    ['a space in a name', { headers: ['X Key: canary'] }, 'must be lines such as X-Key: value, of ASCII characters'],
    [
      'a line that goes on',
      { headers: ['X: canary\n more'] },
      'must be lines such as X-Key: value, of ASCII characters',
    ],
    ['a NUL', { headers: ['X: canary\u0000'] }, 'must be lines such as X-Key: value, of ASCII characters'],
    ['a lone CR', { headers: ['X: canary\rY: z'] }, 'must be lines such as X-Key: value, of ASCII characters'],
    ['letters of others', { headers: ['X: cänary'] }, 'must be lines such as X-Key: value, of ASCII characters'],
    [
      'too long a line',
      { headers: [`X: canary${'x'.repeat(1_024)}`] },
      'must not have lines of more than 1024 characters',
    ],
    [
      'too many lines',
      { headers: Array.from({ length: 11 }, (_, i) => `X-${i}: canary`) },
      'must not have more than 10 lines',
    ],
    ['a header twice', { headers: ['X-Key: canary', 'x-key: canary'] }, 'must not have the same header twice'],
    ['what the fetch says', { headers: ['Host: canary', 'TE: x', 'Range: y'] }, 'must not have host, te, range'],
  ])('are refused with %s, and not repeated', (_, fields, text) => {
    expect(problem(fields)).toBe(`hydrant#${Object.keys(fields)[0]} ${text}`);
  });

  it.each(['Host', 'content-length', 'CONNECTION', 'Transfer-Encoding', 'Accept-Encoding', 'If-None-Match'])(
    'cannot be %s',
    (name) => {
      expect(problem({ headers: [`${name}: x`] })).toBe(`hydrant#headers must not have ${name.toLowerCase()}`);
    },
  );

  it('are headers that can be sent, or refused, whatever is submitted', () => {
    const part = fc.oneof(
      fc.constantFrom(':', ' ', '\t', '\r\n', 'X-Key', 'a', '\u0000', 'é'),
      fc.string({ maxLength: 5 }),
    );
    const text = fc.array(part, { maxLength: 8 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(text, fc.array(text, { maxLength: 3 }), (authorization, headers) => {
        try {
          for (const [name, value] of Object.entries(given({ authorization, headers }) ?? {})) {
            expect(name).toMatch(/^[!#$%&'*+.^_`|~0-9a-z-]+$/);
            expect(value).toMatch(/^[\t\x20-\x7e]+$/);
          }
        } catch (error) {
          if (!(error instanceof Fault)) throw error;
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('what a form shows of credentials', () => {
  it.each<[string, Headers | 'unreadable']>([
    ['that are there', HELD],
    ['of which some are there', basic('a:b')],
    ['that are not there', {}],
    ['that cannot be read', 'unreadable'],
  ])('%s changes nothing when it comes back, and is none of them', (_, held) => {
    const back = givenBack(CREDENTIAL_FIELDS, shownCredentials(held));
    expect(credentialsAfter(held, back)).toBeUndefined();
    expect([...back.values()].flat().filter((value) => value !== '********')).toEqual([]);
  });

  it('is which of them there are', () => {
    expect(shownCredentials({})).toEqual({ authorization: 'none', headers: 'none' });
    expect(shownCredentials(basic('a:b'))).toEqual({ authorization: 'set', headers: 'none' });
    expect(shownCredentials(HELD)).toEqual({ authorization: 'set', headers: 'set' });
  });
});

describe('credentials that cannot be read', () => {
  it('can be replaced or removed only as a whole', () => {
    const whole = /fill in or empty both hydrant#authorization and hydrant#headers$/;
    expect(problem({ authorization: 'a:b' }, 'unreadable')).toMatch(whole);
    expect(problem({ authorization: '********', headers: '' }, 'unreadable')).toMatch(whole);
    expect(given({ authorization: 'a:b', headers: '' }, 'unreadable')).toEqual(basic('a:b'));
    expect(given({ authorization: '', headers: '' }, 'unreadable')).toEqual({});
  });
});

describe('a URL with credentials', () => {
  it('is taken apart', () => {
    expect(withoutUserinfo('https://juliet:can%3Aar%C3%BD@private.example/feed?a=b')).toEqual({
      ...{ url: 'https://private.example/feed?a=b', headers: basic('juliet:can:arý') },
    });
    expect(withoutUserinfo('https://token@private.example/')).toMatchObject({ headers: basic('token:') });
  });

  it('is left as it is when it has none, or is none', () => {
    for (const url of ['https://private.example/a b', 'https://private.example/@x:y', 'https://']) {
      expect(withoutUserinfo(url)).toEqual({ url, headers: {} });
    }
  });

  it('is refused when they cannot be read, and not repeated', () => {
    expect(() => withoutUserinfo('https://juliet:canary%ff@private.example/')).toThrow(
      expect.objectContaining({ code: 'not-a-feed', message: 'The credentials in that URL are not percent-encoded' }),
    );
  });
});
