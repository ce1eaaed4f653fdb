/**
 * The text of a document: by its byte order mark, else the first of these that names an encoding in which the bytes make
 * sense: the Content-Type (RFC 7303 3.2), the XML declaration (XML 1.0 appendix F), HTML's <meta>; else UTF-8, and
 * windows-1252, in which everything makes sense.
 */
export function decode(bytes: Uint8Array, contentType: string): string {
  const marked = MARKS.find(([mark]) => mark.every((byte, at) => bytes[at] === byte));
  if (marked) return new TextDecoder(marked[1]).decode(bytes);

  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, HEAD_BYTES)).toString('latin1');
  const named = [CHARSET.exec(contentType), XML_ENCODING.exec(head), META_CHARSET.exec(head)].flatMap(
    (match) => match?.[1] ?? [],
  );
  for (const label of [...named, 'utf-8']) {
    // Those who declare UTF-16 in bytes that can be read as ASCII are wrong.
    const text = /^utf-?16/i.test(label) ? undefined : decoded(bytes, label);
    if (text !== undefined) return text;
  }
  return decoded(bytes, 'windows-1252') ?? '';
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
    const text = decoder.decode(bytes);
    return decoder.encoding === 'windows-1252' ? withWindowsCharacters(text) : text;
  } catch {
    return undefined;
  }
}

/** COMPAT(Node since 20.18.3, until nodejs/node#60888 is mended in ours): windows-1252 is decoded as ISO 8859-1. */
const withWindowsCharacters = (text: string): string =>
  text.replace(/[\u0080-\u009f]/g, (control) => WINDOWS_1252.charAt(control.charCodeAt(0) - 0x80));

/** 0x80 to 0x9f. Five are not assigned, and stay what they are. */
const WINDOWS_1252 = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ';
