import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';

/** A key with its certificate, both PEM, as tls.createServer takes them. */
export interface Identity {
  readonly key: string;
  readonly cert: string;
}

export interface Wanted {
  /** The name in the certificate: that of the authority, or the host's. */
  readonly name: string;
  /** When it begins and ends to be valid; by default that is now. */
  readonly from?: Date;
  readonly until?: Date;
}

const YEAR_MS = 31_557_600_000;

/** An authority of our own, and what it vouches for; without one, certificates are signed by themselves. */
export function createAuthority(name: string) {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const issuer = { name, key: keys.privateKey };
  return {
    /** What those have to believe who shall believe it. */
    ca: pem('CERTIFICATE', certificate({ name }, keys.publicKey, issuer, true)),
    issue: (wanted: Wanted): Identity => identity(wanted, issuer),
  };
}

export const selfSigned = (wanted: Wanted): Identity => identity(wanted);

interface Issuer {
  readonly name: string;
  readonly key: KeyObject;
}

function identity(wanted: Wanted, issuer?: Issuer): Identity {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const by = issuer ?? { name: wanted.name, key: privateKey };
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: pem('CERTIFICATE', certificate(wanted, publicKey, by, false)),
  };
}

let serial = 0;

/** RFC 5280 4.1, in DER. */
function certificate(wanted: Wanted, publicKey: KeyObject, issuer: Issuer, isAuthority: boolean): Buffer {
  const { name, from = new Date(Date.now() - YEAR_MS), until = new Date(Date.now() + YEAR_MS) } = wanted;
  const extensions = [
    extension(BASIC_CONSTRAINTS, sequence(...(isAuthority ? [der(0x01, Buffer.from([0xff]))] : []))),
    ...(isAuthority ? [] : [extension(SUBJECT_ALT_NAME, sequence(der(0x82, Buffer.from(name))))]),
  ];
  const content = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.from([1, ++serial])),
    ECDSA_WITH_SHA256,
    named(issuer.name),
    sequence(time(from), time(until)),
    named(name),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions)),
  );
  const signature = sign('sha256', content, issuer.key);
  return sequence(content, ECDSA_WITH_SHA256, der(0x03, Buffer.from([0]), signature));
}

const der = (tag: number, ...content: readonly Buffer[]): Buffer => {
  const body = Buffer.concat(content);
  return Buffer.concat([Buffer.from([tag, ...lengthOf(body.length)]), body]);
};
/** In as few bytes as possible, as DER demands. */
function lengthOf(bytes: number): number[] {
  if (bytes < 128) return [bytes];
  return bytes < 256 ? [0x81, bytes] : [0x82, bytes >> 8, bytes & 0xff];
}
const sequence = (...content: readonly Buffer[]) => der(0x30, ...content);
const oid = (...bytes: readonly number[]) => der(0x06, Buffer.from(bytes));

const ECDSA_WITH_SHA256 = sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02));
const COMMON_NAME = oid(0x55, 0x04, 0x03);
const BASIC_CONSTRAINTS = oid(0x55, 0x1d, 0x13);
const SUBJECT_ALT_NAME = oid(0x55, 0x1d, 0x11);

const named = (name: string) => sequence(der(0x31, sequence(COMMON_NAME, der(0x0c, Buffer.from(name)))));
const extension = (id: Buffer, value: Buffer) => sequence(id, der(0x04, value));
/** GeneralizedTime. */
const time = (date: Date) => der(0x18, Buffer.from(`${date.toISOString().slice(0, 19).replace(/\D/g, '')}Z`));

const pem = (label: string, bytes: Buffer) =>
  // An empty line before the end, where the last one is full, would not be PEM (RFC 7468 3).
  `-----BEGIN ${label}-----\n${bytes.toString('base64').replace(/.{1,64}/g, '$&\n')}-----END ${label}-----\n`;
