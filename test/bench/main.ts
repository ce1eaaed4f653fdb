import { delivery } from './delivery.js';
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

/** Many measurements of one run: medians of the rounds, and the ratios that have a goal. */
export interface Table {
  readonly name: string;
  readonly columns: readonly { readonly name: string; readonly digits: number }[];
  /** A cell for each column: the values of the rounds, or none where nothing is measured. */
  readonly lines: readonly { readonly name: string; readonly cells: readonly (readonly number[])[] }[];
  readonly goals: readonly { readonly name: string; readonly ratios: readonly number[]; readonly goal: number }[];
}

/** A new measurement is one file and one line here. */
const BENCHES: Readonly<Record<string, () => Promise<Row | Table>>> = {
  delivery,
  pubsub,
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in BENCHES));
if (unknown.length > 0) {
  console.error(`There is no bench ${unknown.join(', ')}; there are: ${Object.keys(BENCHES).join(', ')}`);
  process.exit(2);
}
for (const [name, run] of Object.entries(BENCHES)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const result = await run();
  console.log(`${name}: ${result.name}`);
  if ('columns' in result) showTable(result);
  else showRow(result);
}

function showRow({ ours, beside, theirs, goal }: Row): void {
  const ratios = ours.map((rate, i) => rate / (theirs[i] ?? NaN));
  console.log(`  Hydrant   ${spread(ours, 0)}`);
  console.log(`  ${beside}   ${spread(theirs, 0)}`);
  console.log(`  ratio     ${against(ratios, goal)}`);
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
  for (const { name, ratios, goal } of goals) console.log(`  ${name}: ${against(ratios, goal)}`);
}

function against(ratios: readonly number[], goal: number): string {
  return `${spread(ratios, 2)}   goal ${goal}: ${median(ratios) >= goal ? 'reached' : 'missed'}`;
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
