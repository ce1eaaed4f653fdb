import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { feedIdOf, parseFeedUrl } from '../../lib/domain.js';
import { createVault, type Headers } from '../../lib/vault.js';

const KEY = randomBytes(32);
const vault = createVault(KEY);
const ID = feedIdOf(parseFeedUrl('https://private.example/feed'));
const OTHER = feedIdOf(parseFeedUrl('https://other.example/feed'));

const someHeaders: fc.Arbitrary<Headers> = fc.dictionary(
  fc.stringMatching(/^[a-z-]{1,20}$/),
  fc.string({ unit: 'binary' }),
);
const flipped = (sealed: string, bit: number) => {
  const bytes = Buffer.from(sealed, 'base64url');
  const at = bit % (bytes.length * 8);
  bytes[at >> 3]! ^= 1 << (at & 7);
  return bytes.toString('base64url');
};

describe('what is put into the vault', () => {
  it('comes out as it was', () => {
    fc.assert(
      fc.property(someHeaders, (headers) => {
        expect(vault.open({ id: ID, sealed: vault.seal(ID, headers) })).toEqual(headers);
      }),
    );
  });

  it('comes out in another process that has the same key', () => {
    const sealed = vault.seal(ID, { 'x-key': 'canary' });
    expect(createVault(new Uint8Array(KEY)).open({ id: ID, sealed })).toEqual({ 'x-key': 'canary' });
  });

  it('cannot be read there, and never looks the same twice', () => {
    const seals = Array.from({ length: 50 }, () => vault.seal(ID, { authorization: 'canary-canary' }));
    expect(new Set(seals).size).toBe(50);
    const bytes = seals.map((sealed) => Buffer.from(sealed, 'base64url').toString('latin1'));
    for (const text of [...seals, ...bytes]) expect(text).not.toMatch(/canary|authorization/);
    // The nonce, which must never come twice under one key.
    expect(new Set(bytes.map((text) => text.slice(1, 13))).size).toBe(50);
  });

  it('is not changed by anybody without that being noticed', () => {
    const sealed = vault.seal(ID, { authorization: 'Basic eDp5' });
    fc.assert(
      fc.property(fc.nat(), (bit) => {
        expect(vault.open({ id: ID, sealed: flipped(sealed, bit) })).toBe('unreadable');
      }),
    );
    fc.assert(
      fc.property(fc.nat({ max: sealed.length - 1 }), (length) => {
        expect(vault.open({ id: ID, sealed: sealed.slice(0, length) })).toBe('unreadable');
      }),
    );
  });

  it('opens as no other feed’s', () => {
    expect(vault.open({ id: OTHER, sealed: vault.seal(ID, { a: 'b' }) })).toBe('unreadable');
  });

  it('is told apart from nothing when the key is another one, or was lost', () => {
    const sealed = vault.seal(ID, { a: 'b' });
    for (const key of [randomBytes(32), undefined]) {
      expect(createVault(key).open({ id: ID, sealed })).toBe('unreadable');
      expect(createVault(key).open({ id: ID })).toEqual({});
    }
  });

  it('is garbage when it is none of ours', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.base64String({ maxLength: 200 })), (sealed) => {
        expect(vault.open({ id: ID, sealed })).toBe('unreadable');
      }),
    );
  });
});

it('a vault without a key takes nothing, and says what is missing', () => {
  expect(() => createVault(undefined).seal(ID, { a: 'b' })).toThrow(
    expect.objectContaining({
      code: 'not-allowed',
      message: 'Credentials need the setting CREDENTIALS_KEY, which is missing',
    }),
  );
});
