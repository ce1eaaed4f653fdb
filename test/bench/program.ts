import { fork } from 'node:child_process';
import { once } from 'node:events';

/** A program of the benches that runs as a process of its own, and is gone when this process is. */
export interface Program<Order, Answer> {
  readonly pid: number;
  /** One at a time. */
  ask(order: Order): Promise<Answer>;
  stop(): Promise<void>;
}

/** Starts a file of this folder; resolves with what it says first. */
export async function startProgram<Order extends object, Answer>(
  file: string,
): Promise<{ readonly program: Program<Order, Answer>; readonly first: unknown }> {
  const child = fork(new URL(file, import.meta.url), { serialization: 'advanced' });
  const exited = once(child, 'exit');
  const ended = exited.then(() => {
    throw new Error(`${file} has ended`);
  });
  ended.catch(() => undefined);
  const next = async (): Promise<unknown> => {
    const [message] = (await Promise.race([once(child, 'message'), ended])) as [unknown];
    return message;
  };
  const first = await next();
  return {
    first,
    program: {
      pid: child.pid ?? 0,
      async ask(order) {
        const answer = next();
        child.send(order);
        return (await answer) as Answer;
      },
      async stop() {
        child.kill('SIGKILL');
        await exited;
      },
    },
  };
}
