/** A JSON Feed that JSON.parse takes, and whether it has been cut off. */
export interface RepairedJson {
  readonly text: string;
  readonly cut: boolean;
}

/**
 * JSON as JSON.parse takes it: line breaks and other control characters in texts are escaped, commas before a bracket
 * are gone, and so are keys that mean something to JavaScript. What has been cut off is closed after the last whole one
 * of its items; nothing where there is none, or where it is broken in another way. Takes linear time.
 */
export function repairJson(text: string): RepairedJson | undefined {
  const written: string[] = [];
  const open: string[] = [];
  /** How much was written when the last item ended, and what closes the rest. */
  let [whole, closing] = [0, ''];
  for (const [token] of text.matchAll(TOKEN)) {
    const last = token.charAt(0);
    if (last === '{' || last === '[') open.push(last === '{' ? '}' : ']');
    if (last === '}' || last === ']') {
      open.pop();
      if (written.at(-1) === ',') written.pop();
    }
    if (/\s/.test(last)) continue;
    written.push(last === '"' ? token.replace(CONTROL, escaped) : token);
    if (open.length === 0) break;
    if (last === '}' && open.length === 2) [whole, closing] = [written.length, open.toReversed().join('')];
  }
  const cut = open.length > 0;
  if (cut && whole === 0) return undefined;
  try {
    return { text: withoutOddKeys((cut ? written.slice(0, whole) : written).join('') + (cut ? closing : '')), cut };
  } catch {
    return undefined;
  }
}

/** A text, or what is left of it at the end; a bracket or comma; white space; everything else. */
const TOKEN = /"(?:[^"\\]|\\[^])*"?|[{}[\],:]|\s+|[^"{}[\],:\s]+/g;
const CONTROL = /[\u0000-\u001f]/g;
const escaped = (character: string): string => JSON.stringify(character).slice(1, -1);

/** JSON.parse makes ordinary properties of them; feedsmith takes an object that has them for none. */
const withoutOddKeys = (text: string): string =>
  JSON.stringify(JSON.parse(text, (key, value: unknown) => (ODD_KEY.test(key) ? undefined : value)));

const ODD_KEY = /^(?:__\w*|constructor|prototype)$/;
