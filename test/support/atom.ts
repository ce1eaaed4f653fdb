import { readFileSync } from 'node:fs';
import { RelaxNGValidator, XmlDocument, XmlElement, XmlLibError } from 'libxml2-wasm';

const ATOM = { a: 'http://www.w3.org/2005/Atom' };

const schema = RelaxNGValidator.fromDoc(XmlDocument.fromBuffer(readFileSync('test/fixtures/atom-entry.rng')));

/** Why this text is not a valid Atom entry (RFC 4287), as libxml2 sees it; undefined when it is one. */
export function atomProblem(text: string): string | undefined {
  let document: XmlDocument | undefined;
  try {
    document = XmlDocument.fromString(text);
    schema.validate(document);
    return problemOutsideGrammar(document);
  } catch (error) {
    if (error instanceof XmlLibError) return error.message;
    throw error;
  } finally {
    document?.dispose();
  }
}

/** RFC 4287 4.1.1 and 4.1.2 demand some things that no grammar can say. */
function problemOutsideGrammar(document: XmlDocument): string | undefined {
  const has = (path: string) => document.get(path, ATOM) !== null;
  if (!has('/a:entry/a:content') && !has('/a:entry/a:link[@rel="alternate"]')) return 'neither content nor alternate';
  if (has('/a:entry[a:content/@src and not(a:summary)]')) return 'content elsewhere without a summary';
  for (const parent of ['/a:entry', '/a:entry/a:source']) {
    const kinds = document.find(`${parent}/a:link[@rel="alternate" or not(@rel)]`, ATOM).map(kindOf);
    if (new Set(kinds).size < kinds.length) return 'two alternates of one kind';
  }
  return undefined;
}

function kindOf(link: unknown): string {
  if (!(link instanceof XmlElement)) throw new Error('A link is an element');
  return `${link.attr('type')?.value ?? ''} ${link.attr('hreflang')?.value ?? ''}`.toLowerCase();
}
