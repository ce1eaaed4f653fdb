import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';

/**
 * SCRAM-SHA-1 (RFC 5802), shaped as @xmpp/sasl asks: `response` is called before and after the challenge.
 * COMPAT(sasl-scram-sha-1 1.4, which @xmpp/client 0.13 brings): that one answers with a promise where a string is
 * expected, and so can never log in.
 */
export class ScramSha1 {
  readonly name = 'SCRAM-SHA-1';
  readonly clientFirst = true;
  readonly #nonce = randomBytes(18).toString('base64url');
  #challenge: string | undefined;

  challenge(text: string): void {
    this.#challenge = text;
  }

  response({ username, password }: { readonly username: string; readonly password: string }): string {
    const first = `n=${username.replace(/=/g, '=3D').replace(/,/g, '=2C')},r=${this.#nonce}`;
    if (this.#challenge === undefined) return `n,,${first}`;

    const fields = new Map(this.#challenge.split(',').map((field) => [field.slice(0, 1), field.slice(2)]));
    const [nonce = '', salt = '', iterations = ''] = ['r', 's', 'i'].map((name) => fields.get(name));
    if (!nonce.startsWith(this.#nonce)) throw new Error('the server answered somebody else');
    const final = `c=biws,r=${nonce}`;
    const salted = pbkdf2Sync(password, Buffer.from(salt, 'base64'), Number(iterations), 20, 'sha1');
    const clientKey = hmac(salted, 'Client Key');
    const storedKey = createHash('sha1').update(clientKey).digest();
    const signature = hmac(storedKey, `${first},${this.#challenge},${final}`);
    const proof = clientKey.map((byte, index) => byte ^ (signature[index] ?? 0));
    return `${final},p=${Buffer.from(proof).toString('base64')}`;
  }
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha1', key).update(text).digest();
}
