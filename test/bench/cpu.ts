import { readFileSync } from 'node:fs';

/** Seconds of CPU that a process has used, by part. */
export interface Cpu {
  readonly main: number;
  /** Those of all other threads, ended ones too. */
  readonly others: number;
}

// USER_HZ is 100 on every Linux.
const TICKS_PER_SECOND = 100;

/** What a process has used so far, from /proc (Linux alone has it). */
export function cpuOf(pid: number): Cpu {
  const all = secondsIn(`/proc/${pid}/stat`);
  const main = secondsIn(`/proc/${pid}/task/${pid}/stat`);
  return { main, others: all - main };
}

/** proc(5): utime and stime are fields 14 and 15; the name before them may hold anything but ends with the last bracket. */
function secondsIn(file: string): number {
  const text = readFileSync(file, 'latin1');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
