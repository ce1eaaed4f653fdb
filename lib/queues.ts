import { Queue, QueueEvents, Worker, type ConnectionOptions, type Job, type JobsOptions } from 'bullmq';
import { digest, type FeedId, type FeedUrl, type ItemId } from './domain.js';
import type { RedisClient } from './redis.js';

/** What came of looking at a URL that nobody has followed yet. */
export type ProbeResult =
  | { readonly kind: 'feed'; readonly feed: FeedId }
  | { readonly kind: 'refused'; readonly code: 'not-a-feed' | 'feed-unreachable'; readonly text: string };

/** What came of entries that somebody has handed over: their ItemIDs, in the same order. */
export type PushResult =
  | { readonly kind: 'committed'; readonly items: readonly ItemId[] }
  | { readonly kind: 'refused'; readonly text: string };

/** Everything the two processes ask of each other, and what comes back: queue → payload, result. */
export interface Jobs {
  /** Hands out what is due. */
  tick: { payload: Record<string, never>; result: void };
  /** Looks at feeds that are due, at most POLLS_PER_JOB. */
  poll: { payload: { readonly feeds: readonly FeedId[] }; result: void };
  /** A poll that a publisher asked for; `slot` names the look, so that pings of one slot are one look. */
  ping: { payload: { readonly feed: FeedId; readonly slot: string }; result: void };
  /** A look at a URL that somebody wants to follow: is it a feed, or a page that names one? */
  probe: { payload: { readonly url: FeedUrl }; result: ProbeResult };
  /** Atom entries, as XML text, that are to be taken as if the feed had shown them; `id` is of this request alone. */
  push: {
    payload: { readonly feed: FeedId; readonly entries: readonly string[]; readonly id: string };
    result: PushResult;
  };
  /** A look for a feed's picture, which is then in its store. */
  picture: { payload: { readonly feed: FeedId }; result: { readonly found: boolean } };
}

export type QueueName = keyof Jobs;
type Payload<N extends QueueName> = Jobs[N]['payload'];
type Result<N extends QueueName> = Jobs[N]['result'];
export type Enqueue<N extends QueueName> = (payload: Payload<N>, delayMs?: number) => Promise<void>;

interface Policy<N extends QueueName> {
  /** An id is taken for as long as its job exists; adding it again does nothing. No colon, not all digits. */
  readonly id: (payload: Payload<N>) => string;
  readonly options: JobsOptions;
}

// Truth lives in our own keys: a queue may be flushed and nothing is forgotten. So nothing is kept, nothing is retried
// by the queue; what failed comes due again.
const transient: JobsOptions = { attempts: 1, removeOnComplete: true, removeOnFail: true };

// One look for all who ask within the same ten seconds. The id names them, because BullMQ forgets an old answer only
// when it keeps a newer one of any job.
const question: JobsOptions = { attempts: 1, removeOnComplete: { age: 10 }, removeOnFail: { age: 10 } };
const tenSeconds = () => Math.floor(Date.now() / 10_000);

/** A new queue is one line in Jobs and one here. */
const POLICIES: { readonly [N in QueueName]: Policy<N> } = {
  tick: { id: () => 'tick', options: transient },
  poll: { id: ({ feeds }) => `poll-${digest(feeds.join(' '))}`, options: transient },
  ping: { id: ({ feed, slot }) => `ping-${feed}-${slot}`, options: transient },
  probe: { id: ({ url }) => `probe-${digest(url)}-${tenSeconds()}`, options: question },
  push: { id: ({ feed, id }) => `push-${feed}-${id}`, options: question },
  picture: { id: ({ feed }) => `picture-${feed}-${tenSeconds()}`, options: question },
};

/** A job costs Redis as much as ten looks at feeds that have not changed; so one job is many of them. */
export const POLLS_PER_JOB = 20;

// On a Redis Cluster all keys of all queues must live in one slot.
const PREFIX = '{hydrant-queues}';

// A worker that dies is noticed within two of these; stalls do not count as attempts, so we count them ourselves.
const LOCK_MS = 5_000;
const STALLED_MS = 2_500;

const LISTEN_MS = 1_000;

// One major version of ioredis, but BullMQ is built against types of its own.
const connection = (redis: RedisClient) => redis as unknown as ConnectionOptions;

/** @param redis a `prompt` connection: whoever adds a job is told at once when Redis is away */
export function openQueue<N extends QueueName>(name: N, redis: RedisClient) {
  const { id, options } = POLICIES[name];
  const queue = new Queue(name, { connection: connection(redis), prefix: PREFIX, skipVersionCheck: true });
  queue.on('error', () => undefined); // reported by the connection itself
  const add = (payload: Payload<N>, delayMs = 0): Promise<Job> =>
    queue.add(name, payload, { ...options, jobId: id(payload), delay: delayMs });

  return {
    enqueue: (async (payload, delayMs) => {
      await add(payload, delayMs);
    }) as Enqueue<N>,
    add,
    /** Jobs that nobody has begun with. */
    waiting: () => queue.getWaitingCount(),
    /** Jobs that are waiting or running. */
    async pending(): Promise<number> {
      const counts = await queue.getJobCounts('waiting', 'active', 'prioritized', 'delayed');
      return Object.values(counts).reduce((total, n) => total + n, 0);
    },
    /** Makes the queue give itself a job every so often, whichever and however many processes ask for it. */
    async every(ms: number, payload: Payload<N>): Promise<void> {
      await queue.upsertJobScheduler(name, { every: ms }, { name, data: payload, opts: transient });
    },
    close: () => queue.close(),
  };
}

/**
 * A queue whose jobs are questions.
 * @param listener a `patient` connection of its own, on which results are heard
 */
export function openQuestions<N extends QueueName>(name: N, redis: RedisClient, listener: RedisClient) {
  const queue = openQueue(name, redis);
  const results = new QueueEvents(name, { connection: connection(listener), prefix: PREFIX, skipVersionCheck: true });
  results.on('error', () => undefined);
  return {
    /** The answer, or undefined when it is not there in time (the question stays asked). @throws what the worker threw */
    async ask(payload: Payload<N>, timeoutMs: number): Promise<Result<N> | undefined> {
      const job = await queue.add(payload);
      // In slices, because an answer that comes between BullMQ's look for it and its listening goes unheard; each slice
      // begins with a look.
      for (const deadline = performance.now() + timeoutMs; ;) {
        const left = deadline - performance.now();
        if (left <= 0) return undefined;
        try {
          return (await job.waitUntilFinished(results, Math.min(left, LISTEN_MS))) as Result<N>;
        } catch (error) {
          if (!(error instanceof Error) || !error.message.includes('timed out before finishing')) throw error;
        }
      }
    },
    async close(): Promise<void> {
      await results.close();
      await queue.close();
    },
  };
}

export interface WorkerEvents {
  readonly onStalled: (queue: QueueName, job: string) => void;
  readonly onFailed: (queue: QueueName, job: string, error: Error) => void;
}

/**
 * Starts taking jobs.
 * @param redis a `patient` connection: a worker waits for Redis to come back
 */
export function openWorker<N extends QueueName>(
  name: N,
  process: (payload: Payload<N>) => Promise<Result<N>>,
  {
    redis,
    concurrency,
    events,
  }: { readonly redis: RedisClient; readonly concurrency: number; readonly events: WorkerEvents },
) {
  const worker = new Worker<Payload<N>, Result<N>>(name, (job) => process(job.data), {
    connection: connection(redis),
    prefix: PREFIX,
    concurrency,
    lockDuration: LOCK_MS,
    stalledInterval: STALLED_MS,
    // A job is only a trigger and safe to repeat; what must not be repeated for ever is quarantined by our own count.
    maxStalledCount: 3,
    skipVersionCheck: true,
  });
  worker.on('error', () => undefined);
  worker.on('stalled', (job) => {
    events.onStalled(name, job);
  });
  worker.on('failed', (job, error) => {
    events.onFailed(name, job?.id ?? '?', error);
  });
  return {
    /** Takes no more jobs and waits for those in hand. */
    close: () => worker.close(),
  };
}
