import { delivery } from './delivery.js';

/** One measurement: ours and what it is measured against, as rates, pair by pair from the same run. */
export interface Row {
  readonly name: string;
  readonly ours: readonly number[];
  readonly beside: string;
  readonly theirs: readonly number[];
  /** The ratio to reach. */
  readonly goal: number;
}

/** A new measurement is one file and one line here. */
const BENCHES: Readonly<Record<string, () => Promise<Row>>> = {
  delivery,
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in BENCHES));
if (unknown.length > 0) {
  console.error(`There is no bench ${unknown.join(', ')}; there are: ${Object.keys(BENCHES).join(', ')}`);
  process.exit(2);
}
for (const [name, run] of Object.entries(BENCHES)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const { name: what, ours, beside, theirs, goal } = await run();
  const ratios = ours.map((rate, i) => rate / (theirs[i] ?? NaN));
  console.log(`${name}: ${what}`);
  console.log(`  Hydrant   ${spread(ours, 0)}`);
  console.log(`  ${beside}   ${spread(theirs, 0)}`);
  console.log(`  ratio     ${spread(ratios, 2)}   goal ${goal}: ${median(ratios) >= goal ? 'reached' : 'missed'}`);
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
