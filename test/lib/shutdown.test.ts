import { expect, it } from '@jest/globals';
import { createShutdown } from '../../lib/shutdown.js';

function bench(deadlineMs = 10_000) {
  const stopped: string[] = [];
  const trouble: string[] = [];
  const { later, stop } = createShutdown(deadlineMs, (name, error) => void trouble.push(`${name}: ${String(error)}`));
  const step = (name: string) => later(name, () => void stopped.push(name));
  return { later, stop, step, stopped, trouble };
}

it('stops what was started in reverse order', async () => {
  const { stop, step, stopped } = bench();
  for (const name of ['redis', 'stream', 'requests']) step(name);
  await stop();
  expect(stopped).toEqual(['requests', 'stream', 'redis']);
});

it('waits for each step before the next', async () => {
  const { stop, later, step, stopped } = bench();
  step('redis');
  later('stream', async () => {
    await new Promise(setImmediate);
    stopped.push('stream');
  });
  await stop();
  expect(stopped).toEqual(['stream', 'redis']);
});

it('stops once, however many ask, and all of them wait for the end', async () => {
  const { stop, later, stopped } = bench();
  let finish = (): void => undefined;
  later('redis', async () => {
    stopped.push('asked to stop');
    await new Promise<void>((resolve) => (finish = resolve));
    stopped.push('stopped');
  });
  const asked = [stop(), stop()];
  expect(stopped).toEqual(['asked to stop']);
  finish();
  await Promise.all([...asked, stop()]);
  expect(stopped).toEqual(['asked to stop', 'stopped']);
});

it('goes on after a step that fails, and says which one it was', async () => {
  const { stop, later, step, stopped, trouble } = bench();
  step('redis');
  later('stream', () => Promise.reject(new Error('already gone')));
  later('requests', () => {
    throw new Error('at once');
  });
  await stop();
  expect(stopped).toEqual(['redis']);
  expect(trouble).toEqual(['requests: Error: at once', 'stream: Error: already gone']);
});

it('goes on after a step that hangs, and says so', async () => {
  const { stop, later, step, stopped, trouble } = bench(1);
  step('redis');
  later('stream', () => new Promise(() => undefined));
  step('requests');
  await stop();
  expect(stopped).toEqual(['requests', 'redis']);
  expect(trouble).toEqual([expect.stringMatching(/^stream: Error: did not stop within \d+ ms$/)]);
});
