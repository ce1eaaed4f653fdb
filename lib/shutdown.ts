/** Something that was started and must be stopped. */
export type Stop = () => Promise<void> | void;

/**
 * Stops what was started, in reverse order, once, whoever asks first; each step has its share of the deadline, so that
 * one that hangs does not keep the others from stopping.
 */
export function createShutdown(deadlineMs: number, onTrouble: (name: string, error: unknown) => void) {
  const steps: { readonly name: string; readonly stop: Stop }[] = [];
  let stopping: Promise<void> | undefined;

  async function run(): Promise<void> {
    const end = Date.now() + deadlineMs;
    for (const { name, stop } of steps.reverse()) {
      try {
        await within(Math.max(250, end - Date.now()), stop);
      } catch (error) {
        onTrouble(name, error);
      }
    }
  }

  return {
    /** Registers a step; the last one registered is the first one run. */
    later(name: string, stop: Stop): void {
      steps.push({ name, stop });
    },
    stop: (): Promise<void> => (stopping ??= run()),
  };
}

async function within(ms: number, stop: Stop): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`did not stop within ${ms} ms`));
    }, ms);
  });
  try {
    await Promise.race([stop(), late]);
  } finally {
    clearTimeout(timer);
  }
}
