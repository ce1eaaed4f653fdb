import xml, { type Element } from '@xmpp/xml';
import { problemIn } from '../../component/payload.js';

/**
 * Stanzas as the server reads them.
 * @throws Error where one of them would cost us the stream
 */
export function stanzasIn(text: string): Element[] {
  const stream = `<stream xmlns='jabber:component:accept'>${text}</stream>`;
  const problem = problemIn(stream);
  if (problem) throw new Error(`${problem}: ${text}`);
  const parser = new xml.Parser();
  const read: Element[] = [];
  parser.on('element', (element: Element) => void read.push(element));
  parser.on('error', (error: Error) => {
    throw error;
  });
  parser.write(stream);
  return read;
}

/** The only one. */
export function stanzaIn(text: string): Element {
  const [stanza, ...more] = stanzasIn(text);
  if (!stanza || more.length > 0) throw new Error(`not one stanza: ${text}`);
  return stanza;
}

/** What an element says of itself. */
export const attributesOf = ({ attrs }: Element): Readonly<Record<string, string>> => attrs;
