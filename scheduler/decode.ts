/**
 * The text of a document: by its byte order mark, else the first of these that names an encoding in which the bytes make
 * sense: the Content-Type (RFC 7303 3.2), the XML declaration (XML 1.0 appendix F), HTML's <meta>; else UTF-8, and
 * windows-1252, in which everything makes sense. What is called ISO 8859-1 and makes sense as UTF-8 is UTF-8.
 *
 * A character of which only the beginning is there, at the end of a document that was cut off, is left out.
 */
export function decode(bytes: Uint8Array, contentType: string): string {
  const marked = MARKS.find(([mark]) => mark.every((byte, at) => bytes[at] === byte));
  if (marked) return new TextDecoder(marked[1]).decode(bytes);

  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, HEAD_BYTES)).toString('latin1');
  const named = [CHARSET.exec(contentType), XML_ENCODING.exec(head), META_CHARSET.exec(head)].flatMap(
    (match) => match?.[1] ?? [],
  );
  const utf8 = decoded(bytes, 'utf-8');
  for (const label of named) {
    // Those who declare UTF-16 in bytes that can be read as ASCII are wrong.
    if (/^utf-?(?:8|16)/i.test(label)) {
      if (utf8 !== undefined) return utf8;
      continue;
    }
    const text = decoded(bytes, label);
    if (text !== undefined) return (hasOneBytePerCharacter(label) ? utf8 : undefined) ?? text;
  }
  return utf8 ?? mixed(bytes);
}

/** Byte order marks, and what the first "<" looks like in UTF-16 without one. */
const MARKS: readonly (readonly [bytes: readonly number[], encoding: string])[] = [
  [[0xef, 0xbb, 0xbf], 'utf-8'],
  [[0xff, 0xfe], 'utf-16le'],
  [[0xfe, 0xff], 'utf-16be'],
  [[0x3c, 0x00], 'utf-16le'],
  [[0x00, 0x3c], 'utf-16be'],
];

const HEAD_BYTES = 1_024;
const CHARSET = /charset\s*=\s*["']?([^\s;"']+)/i;
const XML_ENCODING = /<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.:-]+)["']/i;
const META_CHARSET = /<meta[^>]{0,200}?charset\s*=\s*["']?([\w.:-]+)/i;

/** Nothing where the encoding is unknown (the WHATWG's list) or the bytes are not in it. */
function decoded(bytes: Uint8Array, label: string): string | undefined {
  try {
    const decoder = new TextDecoder(label, { fatal: true });
    const text = decoder.decode(bytes, { stream: true });
    return decoder.encoding === 'windows-1252' ? withWindowsCharacters(text) : text;
  } catch {
    return undefined;
  }
}

/** Text in such an encoding is hardly ever valid UTF-8 by chance; in the others it is, if it is short. */
const hasOneBytePerCharacter = (label: string): boolean =>
  !/^(?:utf-8|gb|big5|euc|iso-2022|shift_jis)/.test(new TextDecoder(label).encoding);

/**
 * Bytes that are neither UTF-8 nor said to be anything else: windows-1252; but UTF-8 with some of that in it, where
 * characters of UTF-8 are more than bytes that are none. Halves of surrogates come as they are.
 */
function mixed(bytes: Uint8Array): string {
  const latin = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  const beyondAscii = latin.match(UTF_8_OR_BYTE) ?? [];
  const singles = beyondAscii.filter((sequence) => sequence.length === 1).length;
  if (singles >= beyondAscii.length - singles) return withWindowsCharacters(latin);
  return latin.replace(UTF_8_OR_BYTE, (sequence) => {
    if (sequence.length === 1) return withWindowsCharacters(sequence);
    const [first = 0, ...others] = Buffer.from(sequence, 'latin1');
    const head = first & (0x7f >> sequence.length);
    return String.fromCodePoint(others.reduce((point, byte) => (point << 6) | (byte & 0x3f), head));
  });
}

/** With surrogates in three bytes each (CESU-8), which UTF-8 does not allow. */
const UTF_8_OR_BYTE =
  /[\xc2-\xdf][\x80-\xbf]|(?:\xe0[\xa0-\xbf]|[\xe1-\xef][\x80-\xbf])[\x80-\xbf]|(?:\xf0[\x90-\xbf]|[\xf1-\xf3][\x80-\xbf]|\xf4[\x80-\x8f])[\x80-\xbf]{2}|[\x80-\xff]/g;

/** COMPAT(Node since 20.18.3, until nodejs/node#60888 is mended in ours): windows-1252 is decoded as ISO 8859-1. */
const withWindowsCharacters = (text: string): string =>
  text.replace(/[\u0080-\u009f]/g, (control) => WINDOWS_1252.charAt(control.charCodeAt(0) - 0x80));

/** 0x80 to 0x9f. Five are not assigned, and stay what they are. */
const WINDOWS_1252 = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ';
