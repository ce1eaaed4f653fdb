/** Thrown when what was waited for did not come in time, or can no longer come. */
export class NothingCame extends Error {
  override readonly name = 'NothingCame';
}

/** What arrives by itself (log lines, stanzas, requests), for those who want to await it. */
export interface Inbox<T> extends AsyncIterable<T> {
  /** What has come and was not taken, oldest first. */
  readonly pending: readonly T[];
  push(value: T): void;
  /** Resolves with the first value, here or to come, that matches; it stays in the box. */
  see(match: (value: T) => boolean, seconds?: number): Promise<T>;
  /** The same, but takes the value out: what was taken once is never given again. */
  take(match?: (value: T) => boolean, seconds?: number): Promise<T>;
  /** Nothing more will come: everyone who waits is told so. */
  close(why: string): void;
}

interface Waiter<T> {
  readonly match: (value: T) => boolean;
  readonly keep: boolean;
  readonly found: (value: T) => void;
  readonly failed: (error: Error) => void;
}

/** A box that forgets the oldest values when nobody takes them. */
export function createInbox<T>(name: string, capacity = 10_000): Inbox<T> {
  const pending: T[] = [];
  const waiters = new Set<Waiter<T>>();
  let closed: string | undefined;

  function wait(match: (value: T) => boolean, keep: boolean, seconds?: number): Promise<T> {
    const index = pending.findIndex(match);
    if (index >= 0) {
      const value = pending[index] as T;
      if (!keep) pending.splice(index, 1);
      return Promise.resolve(value);
    }
    if (closed !== undefined) return Promise.reject(new NothingCame(`${name}: ${closed}`));
    return new Promise((resolve, reject) => {
      const timer =
        seconds === undefined
          ? undefined
          : setTimeout(() => {
              waiter.failed(new NothingCame(`${name}: not within ${seconds} s`));
            }, seconds * 1000);
      const settle = () => {
        clearTimeout(timer);
        waiters.delete(waiter);
      };
      const waiter: Waiter<T> = {
        match,
        keep,
        found: (value) => {
          settle();
          resolve(value);
        },
        failed: (error) => {
          settle();
          reject(error);
        },
      };
      waiters.add(waiter);
    });
  }

  return {
    pending,
    push(value) {
      let taken = false;
      for (const waiter of [...waiters]) {
        if ((taken && !waiter.keep) || !waiter.match(value)) continue;
        taken ||= !waiter.keep;
        waiter.found(value);
      }
      if (taken) return;
      pending.push(value);
      if (pending.length > capacity) pending.shift();
    },
    see: (match, seconds) => wait(match, true, seconds),
    take: (match = () => true, seconds) => wait(match, false, seconds),
    close(why) {
      closed = why;
      for (const waiter of [...waiters]) waiter.failed(new NothingCame(`${name}: ${why}`));
    },
    async *[Symbol.asyncIterator]() {
      while (closed === undefined || pending.length > 0) {
        const next = await wait(() => true, false).catch((error: unknown) => {
          if (error instanceof NothingCame) return undefined;
          throw error;
        });
        if (next === undefined) return;
        yield next;
      }
    },
  };
}
