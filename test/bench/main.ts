import { parseArgs } from 'node:util';
import { delivery } from './delivery.js';
import { poll } from './poll.js';
import { pubsub } from './pubsub.js';

/** One measurement: ours and what it is measured against, as rates, pair by pair from the same run. */
export interface Row {
  readonly name: string;
  readonly ours: readonly number[];
  readonly beside: string;
  readonly theirs: readonly number[];
  /** The ratio to reach. */
  readonly goal: number;
}

/** Many measurements of one run: medians of the rounds, and what has a goal. */
export interface Table {
  readonly name: string;
  readonly columns: readonly { readonly name: string; readonly digits: number }[];
  /** A cell for each column: the values of the rounds, or none where nothing is measured. */
  readonly lines: readonly { readonly name: string; readonly cells: readonly (readonly number[])[] }[];
  readonly goals: readonly Goal[];
}

export interface Goal {
  readonly name: string;
  readonly ratios: readonly number[];
  /** What is to be reached, or, as a limit, not to be exceeded. */
  readonly goal: number;
  readonly isLimit?: boolean;
}

export type Report = Row | Table;

/** What the command line says beside the names of benches. */
export interface Options {
  /** Schedulers, for the bench that can have several. */
  readonly workers: number;
}

type Bench = (options: Options) => AsyncIterable<Report>;

/** A bench that has one thing to report. */
const single = (run: () => Promise<Report>): Bench =>
  async function* () {
    yield await run();
  };

/** A new measurement is one file and one line here. */
const BENCHES: Readonly<Record<string, Bench>> = {
  delivery: single(delivery),
  poll,
  pubsub: single(pubsub),
};

const { values, positionals: wanted } = parseArgs({
  options: { workers: { type: 'string', default: '1' } },
  allowPositionals: true,
});
const unknown = wanted.filter((name) => !(name in BENCHES));
if (unknown.length > 0) {
  console.error(`There is no bench ${unknown.join(', ')}; there are: ${Object.keys(BENCHES).join(', ')}`);
  process.exit(2);
}
const workers = Number(values.workers);
if (!Number.isSafeInteger(workers) || workers < 1) {
  console.error('--workers must be a whole number from 1');
  process.exit(2);
}
for (const [name, bench] of Object.entries(BENCHES)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  for await (const report of bench({ workers })) {
    console.log(`${name}: ${report.name}`);
    if ('columns' in report) showTable(report);
    else showRow(report);
  }
}

function showRow({ ours, beside, theirs, goal }: Row): void {
  const ratios = ours.map((rate, i) => rate / (theirs[i] ?? NaN));
  console.log(`  Hydrant   ${spread(ours, 0)}`);
  console.log(`  ${beside}   ${spread(theirs, 0)}`);
  console.log(`  ratio     ${against({ ratios, goal })}`);
}

function showTable({ columns, lines, goals }: Table): void {
  const shown = [
    ['', ...columns.map(({ name }) => name)],
    ...lines.map(({ name, cells }) => [
      name,
      ...cells.map((values, i) => (values.length > 0 ? median(values).toFixed(columns[i]?.digits) : '')),
    ]),
  ];
  const widthOf = (column: number) => Math.max(...shown.map((cells) => cells[column]?.length ?? 0));
  for (const [name = '', ...cells] of shown) {
    const padded = cells.map((cell, i) => cell.padStart(widthOf(i + 1)));
    console.log(`  ${[name.padEnd(widthOf(0)), ...padded].join('   ').trimEnd()}`);
  }
  for (const { name, ...goal } of goals) console.log(`  ${name}: ${against(goal)}`);
}

function against({ ratios, goal, isLimit = false }: Omit<Goal, 'name'>): string {
  const isReached = isLimit ? median(ratios) <= goal : median(ratios) >= goal;
  return `${spread(ratios, 2)}   goal ${isLimit ? 'at most ' : ''}${goal}: ${isReached ? 'reached' : 'missed'}`;
}

/** Median, and the least and the most of the rounds. */
function spread(values: readonly number[], digits: number): string {
  const shown = [median(values), Math.min(...values), Math.max(...values)].map((value) => value.toFixed(digits));
  return `${shown[0] ?? ''} (${shown[1] ?? ''} to ${shown[2] ?? ''}, ${values.length} rounds)`;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}
