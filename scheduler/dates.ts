/**
 * A date of a feed as ISO 8601 in UTC, or nothing where it is none. Reads RFC 3339 and the rest of ISO 8601 (dates
 * without a time are midnight), RFC 822 and its relatives with four-digit years, C's asctime, and the month names of
 * some languages whose feeds do not know better. Unknown zones are UTC, as RFC 5322 4.3 wants it.
 *
 * Date.parse is no help: it takes "Chapter 5" for a date, and refuses CEST.
 */
export function isoDate(text: string): string | undefined {
  const parts = (ISO.exec(text) ?? RFC_822.exec(text) ?? ASCTIME.exec(text))?.groups;
  if (!parts) return undefined;
  const {
    year = '',
    month = '1',
    day = '1',
    hour = '0',
    minute = '0',
    second = '0',
    fraction = '0',
    zone = '',
  } = parts;
  const monthNumber = /^\d+$/.test(month) ? Number(month) : (MONTHS.get(month.slice(0, 3).toLowerCase()) ?? 0);
  const fields = [
    fullYear(year),
    monthNumber - 1,
    Number(day),
    Number(hour),
    Number(minute),
    Math.min(59, Number(second)),
  ] as const;
  const local = Date.UTC(...fields, Math.trunc(Number(`0.${fraction}`) * 1_000));
  // A 31st of February, an hour 25, a month that is none and the year 1 come out as other dates than went in.
  const seen = new Date(local);
  const kept = [seen.getUTCFullYear(), seen.getUTCMonth(), seen.getUTCDate(), seen.getUTCHours()];
  if (kept.some((field, index) => field !== fields[index])) return undefined;
  const date = new Date(local - offset(zone) * 60_000);
  return date.getUTCFullYear() <= 9_999 ? date.toISOString() : undefined;
}

const TIME = String.raw`(?<hour>\d{1,2}):(?<minute>\d{2})(?::(?<second>\d{2})(?:[.,](?<fraction>\d{1,9}))?)?`;
const ZONE = String.raw`(?<zone>(?:GMT|UTC)?\s*[+-]\d{1,2}:?(?:\d{2})?|[a-z]{1,5}(?![a-z]))?`;
const MONTH = String.raw`(?<month>[\p{L}]{3,12})\.?`;

const ISO = new RegExp(
  String.raw`^\s*(?<year>\d{4})(?:-?(?<month>\d{2})(?:-?(?<day>\d{2})(?:[T\s]\s*${TIME}\s*${ZONE})?)?)?\s*$`,
  'iu',
);
const RFC_822 = new RegExp(
  String.raw`^\s*(?:\p{L}{1,12}\.?,?\s+)?(?<day>\d{1,2})[\s-]+${MONTH}[\s-]+(?<year>\d{4}|\d{2})(?:[\s,]+${TIME}\s*${ZONE})?`,
  'iu',
);
const ASCTIME = new RegExp(
  String.raw`^\s*\p{L}{3,9},?\s+${MONTH}\s+(?<day>\d{1,2})\s+${TIME}\s+(?<year>\d{4})\s*$`,
  'iu',
);

/** RFC 2822 4.3: two-digit years end in 2049. */
const fullYear = (digits: string): number =>
  Number(digits) + (digits.length > 2 ? 0 : Number(digits) < 50 ? 2_000 : 1_900);

/** Minutes east of Greenwich. */
function offset(zone: string): number {
  const [, sign, hours = '0', minutes = '0'] = /([+-])(\d{1,2}):?(\d{2})?$/.exec(zone) ?? [];
  if (sign) return (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes));
  return (ZONES.get(zone.toUpperCase()) ?? 0) * 60;
}

const ZONES: ReadonlyMap<string, number> = new Map([
  ...Object.entries({
    EST: -5,
    EDT: -4,
    CST: -6,
    CDT: -5,
    MST: -7,
    MDT: -6,
    PST: -8,
    PDT: -7,
    AKST: -9,
    AKDT: -8,
    HST: -10,
  }),
  ...Object.entries({
    WEST: 1,
    BST: 1,
    CET: 1,
    MEZ: 1,
    CEST: 2,
    MESZ: 2,
    EET: 2,
    EEST: 3,
    MSK: 3,
    JST: 9,
    KST: 9,
    AEST: 10,
    AEDT: 11,
  }),
]);

const MONTHS: ReadonlyMap<string, number> = new Map(
  [
    ['jan', 'ene', 'gen'],
    ['feb', 'fév', 'fev'],
    ['mar', 'mär', 'mrz', 'maa'],
    ['apr', 'avr', 'abr'],
    ['may', 'mai', 'mag', 'mei', 'maj'],
    ['jun', 'giu'],
    ['jul', 'lug'],
    ['aug', 'aoû', 'ago'],
    ['sep', 'set'],
    ['oct', 'okt', 'ott', 'out'],
    ['nov'],
    ['dec', 'dez', 'déc', 'dic'],
  ].flatMap((names, index) => names.map((name) => [name, index + 1] as const)),
);
