/**
 * A date of a feed as ISO 8601 in UTC, or nothing where it is none. Reads RFC 3339 and the rest of ISO 8601 (dates
 * without a time are midnight), seconds and milliseconds since 1970, and whatever names a day, a month and a year in one
 * of the languages below, in any order, with a time and a zone or without: RFC 822 and its relatives, C's asctime,
 * "2 de enero de 2026". Of dates in digits only those that can be read in one way: 13/2/2026, 2.1.2026, 2026年1月2日.
 * Unknown zones and the letters of the military are UTC, as RFC 5322 4.3 wants it. Words that follow are no harm.
 *
 * Date.parse is no help: it takes "Chapter 5" for a date, and refuses CEST.
 */
export function isoDate(text: string): string | undefined {
  const plain = inPlainWords(text);
  const since1970 = SINCE_1970.exec(plain);
  if (since1970) return iso(Number(since1970[1] ?? Number(since1970[2]) / 1_000) * 1_000);
  const day = dayOfRfc822(plain) ?? dayInDigits(plain) ?? dayInWords(plain);
  const time = day && timeIn(day.rest);
  if (!day || !time) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(day.year, day.month - 1, day.day);
  // A 31st of February and a month that is none come out as other dates than went in.
  if (date.getUTCMonth() !== day.month - 1 || date.getUTCDate() !== day.day) return undefined;
  return iso(date.getTime() + time.milliseconds);
}

/**
 * The future, and what was before the web, is a mistake or a trick to stay on top. Such a date is brought to the nearest
 * one that can be true, so that the entry stays at its end of the order.
 * @param date ISO 8601 in UTC
 * @param now ms since 1970; zones that were got wrong make up to a day
 */
export function believable(date: string, now: number): string {
  const latest = new Date(now + 86_400_000).toISOString();
  return date < EARLIEST ? EARLIEST : date > latest ? latest : date;
}

const EARLIEST = '1990-01-01T00:00:00.000Z';

/** ISO 8601 has four digits for a year. */
function iso(milliseconds: number): string | undefined {
  const date = new Date(milliseconds);
  const year = date.getUTCFullYear();
  return year >= 0 && year <= 9_999 ? date.toISOString() : undefined;
}

const SINCE_1970 = /^(?:(\d{9,10}(?:\.\d{1,9})?)|(\d{12,13}))$/;

/** In small letters without accents and entities; the units of East Asia become the signs that stand for them. */
function inPlainWords(text: string): string {
  const spaced = text.replace(/\s+/g, ' ').trim();
  if (/^[ !"#$%'-~]*$/.test(spaced)) return spaced.toLowerCase();
  return spaced
    .replace(/&(?:#(\d{1,4})|nbsp);?/gi, (_, code?: string) => (code ? String.fromCharCode(Number(code)) : ' '))
    .normalize('NFKD')
    .replace(/[\p{M}\p{Cf}]/gu, '')
    .normalize('NFC')
    .toLowerCase()
    .replace(/[‐-―−]/g, '-')
    .replace(/上午|午前|오전/g, ' am ')
    .replace(/下午|午後|오후/g, ' pm ')
    .replace(/[年月년월] ?/g, '-')
    .replace(/[時时點点시] ?/g, ':')
    .replace(/[分분] ?(?=\d)/g, ':')
    .replace(/[日일分분秒초]/g, ' ')
    .trim();
}

/** A day, and the text in which a time may follow. */
interface Day {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly rest: string;
}

const RFC_822 = /^(?:[a-z]{3}, )?(?<day>\d{1,2}) (?<month>[a-z]{3}) (?<year>\d{4}) /;

/** What nearly all RSS has, found without looking at every word. */
function dayOfRfc822(text: string): Day | undefined {
  const found = RFC_822.exec(text);
  const month = found && monthNamed(found.groups?.['month'] ?? '');
  if (!found || !month) return undefined;
  const { day, year } = found.groups ?? {};
  return { year: Number(year), month, day: Number(day), rest: text.slice(found[0].length) };
}

const YEAR_FIRST =
  /^(?<year>\d{4})(?:(?<mark>[-/.]) ?(?<month>\d{1,2})\k<mark> ?(?<day>\d{1,2})(?!\d)|(?<month2>\d\d)(?<day2>\d\d)(?=$|[t ]|\d{6}$)|(?:-(?<month3>\d\d))?$)/;
const DAY_OF_YEAR = /^(?<year>\d{4})-(?!000)(?<day>[0-2]\d\d|3[0-5]\d|36[0-6])(?!\d)/;
const DAY_OF_WEEK = /^(?<year>\d{4})-?w(?!00)(?<week>[0-4]\d|5[0-3])(?:-?(?<day>[1-7]))?(?!\d)/;
const YEAR_LAST =
  /^(?:\p{L}{1,12}[.,]* ){0,3}(?<first>\d{1,2})(?<mark>[-/.]) ?(?<second>\d{1,2})\k<mark> ?(?<year>\d{4})(?!\d)/u;

function dayInDigits(text: string): Day | undefined {
  const yearFirst = YEAR_FIRST.exec(text);
  if (yearFirst) {
    const { year, month, month2, month3, day, day2 } = yearFirst.groups ?? {};
    return {
      year: Number(year),
      month: Number(month ?? month2 ?? month3 ?? 1),
      day: Number(day ?? day2 ?? 1),
      rest: text.slice(yearFirst[0].length),
    };
  }
  return dayOfYear(text) ?? dayOfWeek(text) ?? dayBeforeYear(text);
}

function dayOfYear(text: string): Day | undefined {
  const found = DAY_OF_YEAR.exec(text);
  const { year, day } = found?.groups ?? {};
  return found ? dayAfter(Date.UTC(Number(year), 0, 0), Number(day), text.slice(found[0].length)) : undefined;
}

/** ISO 8601: the first week of a year is the one with the fourth of January, and begins on Monday. */
function dayOfWeek(text: string): Day | undefined {
  const found = DAY_OF_WEEK.exec(text);
  if (!found) return undefined;
  const { year, week, day = 1 } = found.groups ?? {};
  const fourth = new Date(Date.UTC(Number(year), 0, 4));
  const days = 7 * (Number(week) - 1) + Number(day) - (fourth.getUTCDay() || 7);
  return dayAfter(fourth.getTime(), days, text.slice(found[0].length));
}

function dayAfter(start: number, days: number, rest: string): Day {
  const date = new Date(start + days * 86_400_000);
  return { year: date.getUTCFullYear(), month: date.getUTCMonth() + 1, day: date.getUTCDate(), rest };
}

/** With dots the day always comes first; elsewhere it is the one that cannot be a month. */
function dayBeforeYear(text: string): Day | undefined {
  const found = YEAR_LAST.exec(text);
  if (!found) return undefined;
  const { first, second, mark, year } = found.groups ?? {};
  const [one, other, rest] = [Number(first), Number(second), text.slice(found[0].length)];
  if (mark === '.' || one > 12 || one === other) return { year: Number(year), month: other, day: one, rest };
  return other > 12 ? { year: Number(year), month: one, day: other, rest } : undefined;
}

/** The month is a word; of the numbers beside the time, the day is the first one unless it can only be a year. */
function dayInWords(text: string): Day | undefined {
  const { start, end } = timeIn(text) ?? { start: 0, end: 0 };
  const words = `${text.slice(0, start)} ${text.slice(end)}`.match(/\p{L}+|\d+/gu) ?? [];
  const month = monthIn(words);
  const [first = '', second] = words.filter(isNumber);
  if (!month || !first) return undefined;
  if (second === undefined) return first.length === 4 ? { year: Number(first), month, day: 1, rest: text } : undefined;
  const [day, year] = first.length > 2 ? [second, first] : [first, second];
  return { year: fullYear(year), month, day: Number(day), rest: text };
}

/** Tuesday is "mar" in some languages: the month is what stands between numbers, or before one. */
function monthIn(words: readonly string[]): number | undefined {
  const named = words.flatMap((word, at) => {
    const month = monthNamed(word);
    const isBefore = isNumber(words[at + 1]);
    return month ? [{ month, rank: isBefore ? (isNumber(words[at - 1]) ? 2 : 1) : 0 }] : [];
  });
  return named.toSorted((a, b) => a.rank - b.rank).at(-1)?.month;
}

const isNumber = (word: string | undefined): boolean => word !== undefined && /^\d/.test(word);

/** RFC 5322 4.3: two digits end in 2049, three are years since 1900; those that begin with 0 are two with padding. */
function fullYear(digits: string): number {
  const year = Number(digits);
  if (digits.length > 3) return year;
  if (year < 100) return year + (year < 50 ? 2_000 : 1_900);
  return year + 1_900;
}

const TIME =
  /(?<![\d.:])(?<hour>\d{1,2})(?:(?: ?[:h] ?|\.)(?<minute>\d{1,2})(?!\d)(?:(?: ?[:m] ?|\.)(?<second>\d{1,2})(?!\d)(?:[.,](?<fraction>\d{1,9}))?)?|(?= ?[ap]\.? ?m\b))/;
const TIME_WITHOUT_MARKS =
  /^(?:t|(?=\d{6}$))(?<hour>\d\d)(?<minute>\d\d)(?<second>\d\d)?(?:[.,](?<fraction>\d{1,9}))?(?=[-+z ]|$)/;
const HALF = /^ ?([ap])\.? ?m\b\.?/;
const ZONE =
  /^ ?\(?(?:(?:gmt|utc?|z) ?)?(?<sign>[-+])(?<hours>\d{1,2}):?(?<minutes>\d\d)?(?!\d)|^ ?\(?(?<name>[a-z]{1,5})(?![a-z])/;

/**
 * The time of a text with its zone, in ms since midnight UTC, and where it stands; midnight, at the end, where there is
 * none. Undefined for what is no time of any day.
 */
function timeIn(text: string): { milliseconds: number; start: number; end: number } | undefined {
  const found = TIME_WITHOUT_MARKS.exec(text) ?? TIME.exec(text);
  if (!found) return { milliseconds: 0, start: text.length, end: text.length };
  const { hour, minute = '0', second = '0', fraction = '0' } = found.groups ?? {};
  const after = text.slice(found.index + found[0].length);
  const half = HALF.exec(after) ?? / ([ap])m +$/.exec(text.slice(0, found.index));
  const afterHalf = after.replace(HALF, '');
  const zone = ZONE.exec(afterHalf);
  const hours = (Number(hour) === 12 && half ? 0 : Number(hour)) + (half?.[1] === 'p' && Number(hour) < 13 ? 12 : 0);
  const minutes = hours * 60 + Number(minute);
  // Midnight may be the end of a day (ISO 8601 4.2.3), and a minute may have a leap second, which has no place here.
  if (minutes > 24 * 60 || Number(minute) > 59 || Number(second) > 60) return undefined;
  const seconds = (minutes - offset(zone?.groups)) * 60 + Math.min(59, Number(second));
  return {
    milliseconds: seconds * 1_000 + Math.trunc(Number(`0.${fraction}`) * 1_000),
    start: found.index,
    end: text.length - afterHalf.length + (zone?.[0].length ?? 0),
  };
}

/** Minutes east of Greenwich. */
function offset({ sign, hours, minutes = '0', name = '' }: Record<string, string | undefined> = {}): number {
  if (!sign) return (ZONES.get(name) ?? 0) * 60;
  const total = Number(hours) * 60 + Number(minutes);
  // Nowhere is further than this from Greenwich.
  return total > 15 * 60 ? 0 : sign === '-' ? -total : total;
}

/** Hours east of Greenwich. Where several places use the same letters, the one with the most people. */
const ZONES: ReadonlyMap<string, number> = new Map(
  Object.entries({
    ...{ nst: -3.5, ndt: -2.5, ast: -4, adt: -3, est: -5, edt: -4, et: -5, cst: -6, cdt: -5, ct: -6, mst: -7, mdt: -6 },
    ...{ mt: -7, pst: -8, pdt: -7, pt: -8, akst: -9, akdt: -8, hst: -10, brt: -3, art: -3, clt: -4, cot: -5, pet: -5 },
    ...{ west: 1, bst: 1, cet: 1, mez: 1, cest: 2, mesz: 2, cedt: 2, eet: 2, eest: 3, msk: 3, msd: 4, trt: 3 },
    ...{ wat: 1, cat: 2, sast: 2, eat: 3, gst: 4, pkt: 5, ist: 5.5, npt: 5.75, yekt: 5, omst: 6, krat: 7, irkt: 8 },
    ...{ yakt: 9, vlat: 10, ict: 7, wib: 7, wita: 8, wit: 9, hkt: 8, sgt: 8, pht: 8, jst: 9, kst: 9 },
    ...{ awst: 8, acst: 9.5, acdt: 10.5, aest: 10, aedt: 11, nzst: 12, nzdt: 13 },
  }),
);

function monthNamed(word: string): number | undefined {
  if (word.length < 3 || word.length > 12) return undefined;
  return LONGER_MONTHS.find(([beginning]) => word.startsWith(beginning))?.[1] ?? MONTHS.get(word.slice(0, 3));
}

/** Beginnings of months that three letters do not tell apart: fr, fi, cs, hu, el. */
const LONGER_MONTHS: readonly (readonly [string, number])[] = [
  ['juin', 6],
  ['juil', 7],
  ['marras', 11],
  ['cervenec', 7],
  ['cervence', 7],
  ['szep', 9],
  ['ιουν', 6],
  ['ιουλ', 7],
];

/** English, German, French, Spanish, Italian, Portuguese, Dutch, Scandinavian and Indonesian share many; then the others. */
const MONTHS: ReadonlyMap<string, number> = new Map(
  [
    'jan ene gen tam sty led oca ian янв січ ιαν',
    'feb fev hel lut uno sub фев лют φεβ',
    'mar mrz maa bre мар бер μαρ',
    'apr avr abr huh kwi dub nis апр кві απρ',
    'may mai mag mei maj tou kve маи мая тра μαι',
    'jun giu kes cze cer cvn haz iun июн чер',
    'jul lug hei lip cvc tem iul июл лип',
    'aug aou ago agu elo sie srp авг сер αυγ',
    'sep set syy wrz zar eyl сен вер σεπ',
    'oct okt ott out lok paz rij eki окт жов οκτ',
    'nov lis kas noi ноя лис νοε',
    'dec dez dic des jou gru pro ara дек гру δεκ',
  ].flatMap((names, index) => names.split(' ').map((name) => [name, index + 1] as const)),
);
