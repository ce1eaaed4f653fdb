import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { Feed, FeedId } from './domain.js';
import { Fault } from './faults.js';

/** HTTP headers by their names in lower case: what a private feed's server is told so that it answers. */
export type Headers = Readonly<Record<string, string>>;

/** Keeps the credentials of private feeds, so that whoever reads the store does not read them. */
export interface Vault {
  /**
   * @returns text that only the same key opens, and only as this feed's
   * @throws Fault `not-allowed` when there is no key
   */
  seal(feed: FeedId, headers: Headers): string;
  /** The headers of a feed, none where nothing is sealed; `unreadable` with another key, or none, or when it was changed. */
  open(feed: Pick<Feed, 'id' | 'sealed'>): Headers | 'unreadable';
}

// AES-256-GCM (NIST SP 800-38D): version, nonce, tag, then what is encrypted. Nonces are random: 2^32 seals are safe.
const CIPHER = 'aes-256-gcm';
const VERSION = Buffer.from([1]);
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEAD_BYTES = VERSION.length + NONCE_BYTES + TAG_BYTES;

/** @param key CREDENTIALS_KEY, 32 bytes */
export function createVault(key: Uint8Array | undefined): Vault {
  // A sealed text that is copied to another feed must not open there.
  const bound = (feed: FeedId) => Buffer.concat([VERSION, Buffer.from(feed)]);

  return {
    seal(feed, headers) {
      if (!key) throw new Fault('not-allowed', 'Credentials need the setting CREDENTIALS_KEY, which is missing');
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv(CIPHER, key, nonce).setAAD(bound(feed));
      const encrypted = Buffer.concat([cipher.update(JSON.stringify(headers), 'utf8'), cipher.final()]);
      return Buffer.concat([VERSION, nonce, cipher.getAuthTag(), encrypted]).toString('base64url');
    },

    open({ id, sealed }) {
      if (sealed === undefined) return {};
      const bytes = Buffer.from(sealed, 'base64url');
      if (!key || bytes.length < HEAD_BYTES || bytes[0] !== VERSION[0]) return 'unreadable';
      const nonce = bytes.subarray(VERSION.length, VERSION.length + NONCE_BYTES);
      const tag = bytes.subarray(VERSION.length + NONCE_BYTES, HEAD_BYTES);
      const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
        .setAAD(bound(id))
        .setAuthTag(tag);
      const decrypted = decipher.update(bytes.subarray(HEAD_BYTES));
      try {
        return JSON.parse(Buffer.concat([decrypted, decipher.final()]).toString('utf8')) as Headers;
      } catch {
        return 'unreadable';
      }
    },
  };
}
