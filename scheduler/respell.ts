import { urlIn } from '../lib/domain.js';

/*
 * What feedsmith loses or takes for something else, written the way it understands. From text to text, before it reads;
 * a document that has none of this comes back as it is.
 */

/** The places and durations of RSS, RDF and Atom. */
export function respell(text: string): string {
  const placed = /geo:|gml:|georss:/i.test(text) ? withPlainPoints(text) : text;
  return /itunes:duration/i.test(placed) ? withPlainDurations(placed) : placed;
}

/** Besides, what Atom 0.3 said otherwise, and some liberties that people take. */
export function respellAtom(text: string): string {
  const old = ATOM_03.test(text.slice(0, 65_536)) ? inWordsOfAtom10(text) : withDivisions(text);
  const named = old.replace(PLAIN_PERSON, '<$1><name>$2</name></$1>');
  return respell(named.includes('xml:base') ? withResolvedLinks(named) : named);
}

const ATOM_03 = /purl\.org\/atom\/ns#/i;
const PLAIN_PERSON = /<(author|contributor)>([^<]{1,512})<\/\1>/g;

/** OGC 17-002r1 has points in GML too, and the W3C's vocabulary has two numbers. */
const withPlainPoints = (text: string): string =>
  text
    .replace(/<\/?(?:georss:where|gml:point|geo:point)\b[^<>]*>/gi, '')
    .replace(/<(\/?)gml:pos\b[^<>]*>/gi, '<$1georss:point>')
    .replace(/(<georss:point\b[^<>]*>)\s*(-?[\d.]+)[\s,]+(-?[\d.]+)\s*</gi, '$1$2 $3<')
    .replace(
      /<geo:lat>\s*(-?[\d.]+)\s*<\/geo:lat>\s*<geo:long>\s*(-?[\d.]+)\s*<\/geo:long>/gi,
      '<georss:point>$1 $2</georss:point>',
    );

const withPlainDurations = (text: string): string =>
  text.replace(
    /(<itunes:duration\b[^<>]*>)(\s{0,99}<!\[CDATA\[)?([^<]{0,99})</gi,
    (_, start: string, _cdata: string | undefined, words: string) =>
      `${start}${secondsOf(words.replace(']]>', '').trim()) ?? ''}<`,
  );

/** 1:02:03, 62:03, 3723, 3723.4, 1h 2m 3s, PT1H2M3S (ISO 8601). */
function secondsOf(words: string): number | undefined {
  if (/^\d{1,9}(?::\d{1,9}){0,2}(?:[.,]\d{1,9})?$/.test(words)) {
    return words
      .replace(',', '.')
      .split(':')
      .reduce((seconds, part) => seconds * 60 + Number(part), 0);
  }
  const units = /^(?:pt)?(?:(\d{1,9}) ?h[a-z]{0,6} ?)?(?:(\d{1,9}) ?m[a-z]{0,6} ?)?(?:(\d{1,9}) ?s[a-z]{0,6})?$/i.exec(
    words,
  );
  if (!units || words === '') return undefined;
  const [, hours = 0, minutes = 0, seconds = 0] = units;
  return Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds);
}

/**
 * Atom 0.3 says with `mode` how a text is written and with a media type what it is; Atom 1.0 says both with `type`. Many
 * say nothing of the mode and escape nevertheless.
 */
const inWordsOfAtom10 = (text: string): string =>
  eachText(text, (name, attributes, inside) => {
    const type = valueOf(attributes, 'type')?.toLowerCase() ?? 'text/plain';
    const mode = valueOf(attributes, 'mode')?.toLowerCase() ?? 'xml';
    const kept = attributes.replace(/\s(?:type|mode)\s{0,9}=\s{0,9}(?:"[^"]*"|'[^']*')/gi, '');
    const newName = name.replace(/copyright$/i, 'rights');
    const plainType = /html/.test(type) ? 'html' : 'text';
    if (mode === 'base64') {
      if (plainType === 'text' && !type.startsWith('text/')) return undefined;
      return element(newName, `${kept} type="${plainType}"`, inCdata(Buffer.from(inside, 'base64').toString('utf8')));
    }
    if (mode === 'escaped' || !isMarkup(inside)) return element(newName, `${kept} type="${plainType}"`, inside);
    return element(newName, `${kept} type="xhtml"`, inDivision(inside));
  });

/** RFC 4287 3.1.1.3 demands a <div> around XHTML; without one feedsmith unescapes what is to stay escaped. */
const withDivisions = (text: string): string =>
  /type\s{0,9}=\s{0,9}["'](?:xhtml|application\/xhtml\+xml)/i.test(text)
    ? eachText(text, (name, attributes, inside) =>
        /xhtml/i.test(valueOf(attributes, 'type') ?? '') && isMarkup(inside)
          ? element(name, attributes, inDivision(inside))
          : undefined,
      )
    : text;

/** Rather than text, escaped or in CDATA, about markup. */
const isMarkup = (inside: string): boolean => /<[a-z]/i.test(inside) && !/^\s*<!\[CDATA\[/.test(inside);

const TEXT_START =
  /<((?:[\w.-]{1,64}:)?(?:title|tagline|subtitle|info|summary|content|copyright|rights))(\s[^<>]*)?>/gi;

/** Every text construct, each looked at once; `rewrite` gives the element that takes its place, if any. */
function eachText(
  text: string,
  rewrite: (name: string, attributes: string, inside: string) => string | undefined,
): string {
  const parts: string[] = [];
  let end = 0;
  for (const { 0: start, 1: name = '', 2: attributes = '', index } of text.matchAll(TEXT_START)) {
    if (index < end || attributes.endsWith('/')) continue;
    const from = index + start.length;
    const close = text.indexOf(`</${name}>`, from);
    if (close < 0) break;
    const replaced = rewrite(name, attributes, text.slice(from, close));
    const after = close + name.length + 3;
    parts.push(text.slice(end, index), replaced ?? text.slice(index, after));
    end = after;
  }
  return parts.join('') + text.slice(end);
}

const element = (name: string, attributes: string, inside: string): string =>
  `<${name}${attributes}>${inside}</${name}>`;

const inDivision = (markup: string): string =>
  /^\s*<(?:[\w.-]{1,64}:)?div[\s/>]/i.test(markup)
    ? markup
    : `<div xmlns="http://www.w3.org/1999/xhtml">${markup}</div>`;

const inCdata = (text: string): string => `<![CDATA[${text.replaceAll(']]>', ']]]]><![CDATA[>')}]]>`;

/** Feedsmith has no room for the xml:base of a link. One that is relative itself is left alone. */
const withResolvedLinks = (text: string): string =>
  text.replace(/<(?:[\w.-]{1,64}:)?link\s[^<>]*>/gi, (link) => {
    const base = valueOf(link, 'xml:base');
    const href = valueOf(link, 'href');
    const url = base && href ? urlIn(unescaped(href), unescaped(base)) : undefined;
    return url && href ? link.replace(href, () => url.href.replaceAll('&', '&amp;')) : link;
  });

const unescaped = (attribute: string): string => attribute.replaceAll('&amp;', '&');

function valueOf(attributes: string, name: string): string | undefined {
  const [, double, single] =
    new RegExp(String.raw`\s${name}\s{0,9}=\s{0,9}(?:"([^"]*)"|'([^']*)')`, 'i').exec(attributes) ?? [];
  return double ?? single;
}
