/** `npm start`: both processes, for operators with a Prosody and a Redis of their own. They live and die together. */
import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { NODE_FLAGS } from './servers.js';

const children = ['scheduler', 'component'].map((name) => {
  const main = resolve('dist', name, 'main.js');
  // A group of its own: Ctrl-C reaches the child once, through us, and not twice.
  return spawn(process.execPath, [...NODE_FLAGS, main], { stdio: 'inherit', detached: true });
});
let asked = false;
let stopping = false;

function stop(): void {
  // The first SIGTERM lets a process finish its work, a second one would cut it off.
  if (stopping) return;
  stopping = true;
  for (const child of children) child.kill('SIGTERM');
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    asked = true;
    stop();
  });
}
for (const child of children) {
  child.once('error', (error) => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
    stop();
  });
  child.once('exit', (code, signal) => {
    // One that leaves without being asked has failed, whatever it says; asked before it could listen, it dies of it.
    const fine = asked && (code === 0 || signal === 'SIGTERM');
    if (!fine) process.exitCode ??= code || 1;
    stop();
  });
}
