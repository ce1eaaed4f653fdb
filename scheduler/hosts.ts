export interface HostsOptions {
  /** FETCH_CONCURRENCY: requests at once, in all. */
  readonly concurrency: number;
  /** FETCH_PER_HOST: requests at once to one host and port. */
  readonly perHost: number;
  /** FETCH_GAP_MS: between the starts of two requests to one host, while nobody waits for it; 0 when left out. */
  readonly gapMs?: number;
  /** POLL_MAX_SECONDS: the longest that a host can make us leave it alone; a quarter of an hour when left out. */
  readonly longestRestSeconds?: number;
  /** Evenly spread over [0, 1). */
  readonly random?: () => number;
}

/** Not asked; to be tried in so many seconds. */
export interface Postponed {
  readonly kind: 'postponed';
  readonly seconds: number;
}

export interface Wish {
  /** Somebody waits for it: it stands in line, however long that is. */
  readonly awaited?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The parts of an answer that say how a host is. */
export interface Heard {
  readonly status: number;
  /** Seconds. */
  readonly retryAfter?: number | undefined;
}

/** Whose turn it is with which host; a host is a name and a port, as in `URL.host`. */
export interface Hosts {
  /**
   * Does work when the host's turn comes. Where its line is full, or it wants to be left alone, the work is not done at
   * all: a slow host must not keep those busy who could ask others.
   * @throws the signal's reason when the signal is aborted before the turn comes, and what the work throws
   */
  inTurn<T>(host: string, wish: Wish, work: () => Promise<T>): Promise<T | Postponed>;
  /**
   * Learns from an answer. 429 is about us, not about the URL: the host rests. 503 with Retry-After may be about one of
   * many sites on a shared host: it rests when a second URL says so too. A success makes up for both.
   */
  hear(host: string, url: string, heard: Heard): void;
  /** How many hosts are remembered. */
  readonly size: number;
}

/** How many wait for a host, for each that may be with it at once. */
const LINE_PER_PLACE = 4;
/** When to come again where the line is full: spread, for those who are sent away come in crowds. */
const COME_AGAIN_SECONDS = { least: 10, spread: 20 } as const;
/** The rest of a host that does not say how long, doubled each time it turns out too short. */
const FIRST_REST_SECONDS = 60;
const MAX_REST_SECONDS = 900;
/** How long one URL's 503 is kept in mind. */
const WITNESS_MS = 600_000;
/** Beyond these, even a host that rests is forgotten. */
const MAX_HOSTS = 100_000;

interface Host {
  inside: number;
  /** Those who wait, in the order in which they came. */
  readonly line: Set<() => void>;
  /** When the last one was let in. */
  started: number;
  /** Set while the next one waits for nothing but the gap. */
  gap: NodeJS.Timeout | undefined;
  /** The end of its rest. */
  restsUntil: number;
  restMs: number;
  /** How often it has made us rest since the last success. */
  rests: number;
  /** The first URL that said 503, and when. */
  witness: { readonly url: string; readonly at: number } | undefined;
}

/** Turns with hosts: few at once and a gap between two starts, which shrinks as the line for the host grows. */
export function createHosts({
  concurrency,
  perHost,
  gapMs = 0,
  longestRestSeconds = MAX_REST_SECONDS,
  random = Math.random,
}: HostsOptions): Hosts {
  const hosts = new Map<string, Host>();
  const all = createGate(concurrency);

  function hostOf(name: string): Host {
    const known = hosts.get(name);
    if (known) return known;
    forgetSome();
    const host: Host = {
      ...{ inside: 0, line: new Set<() => void>(), started: -Infinity, gap: undefined },
      ...{ restsUntil: -Infinity, restMs: 0, rests: 0, witness: undefined },
    };
    hosts.set(name, host);
    return host;
  }

  /** Two steps of a walk that never ends: for each host that comes, two of the oldest are looked at again. */
  function forgetSome(): void {
    let looked = 0;
    for (const [name, host] of hosts) {
      if (++looked > 2) return;
      hosts.delete(name);
      if (!isForgettable(host)) hosts.set(name, host);
    }
  }

  function isForgettable({ inside, line, started, restsUntil, rests, witness }: Host): boolean {
    if (inside > 0 || line.size > 0) return false;
    if (hosts.size >= MAX_HOSTS) return true;
    const time = performance.now();
    // What it has said is remembered for one more rest: it may say it again.
    const isDone = rests === 0 || restsUntil + longestRestSeconds * 1_000 <= time;
    return isDone && started + gapMs <= time && (!witness || witness.at + WITNESS_MS <= time);
  }

  /** Lets in who may come in now, and sees to it that the next one comes in when the gap is over. */
  function admit(host: Host): void {
    clearTimeout(host.gap);
    host.gap = undefined;
    for (const next of host.line) {
      if (host.inside >= perHost) return;
      const wait = Math.ceil(host.started + gapMs / host.line.size - performance.now());
      if (wait > 0) {
        host.gap = setTimeout(() => admit(host), wait);
        return;
      }
      host.line.delete(next);
      host.inside++;
      host.started = performance.now();
      next();
    }
  }

  /** At once where nobody waits and the gap is over, which is what most hosts are like. */
  function enter(host: Host, signal: AbortSignal | undefined): Promise<void> | undefined {
    const time = performance.now();
    if (host.line.size > 0 || host.inside >= perHost || host.started + gapMs > time) {
      return waitIn(host.line, signal, () => admit(host));
    }
    host.inside++;
    host.started = time;
    return undefined;
  }

  /** How long to stay away, in seconds; undefined where one may stand in line. */
  function awaySeconds(host: Host, isAwaited: boolean): number | undefined {
    const rest = host.restsUntil - performance.now();
    // Those who come during the rest come back one after the other.
    if (rest > 0) return (rest + random() * Math.max(COME_AGAIN_SECONDS.least * 1_000, host.restMs / 4)) / 1_000;
    if (isAwaited || host.line.size < LINE_PER_PLACE * perHost) return undefined;
    return COME_AGAIN_SECONDS.least + random() * COME_AGAIN_SECONDS.spread;
  }

  function rest(host: Host, asked: number | undefined): void {
    // Answers that were on their way together are one refusal.
    if (host.restsUntil <= performance.now()) host.rests++;
    const seconds = asked || FIRST_REST_SECONDS * 2 ** Math.min(host.rests - 1, 10);
    host.restMs = Math.min(seconds, longestRestSeconds) * 1_000;
    host.restsUntil = Math.max(host.restsUntil, performance.now() + host.restMs);
  }

  return {
    async inTurn(name, { awaited = false, signal }, work) {
      const host = hostOf(name);
      const seconds = awaySeconds(host, awaited);
      if (seconds !== undefined) return { kind: 'postponed', seconds: Math.ceil(seconds) };
      // The host first: who waits for a slow host must not keep a place from the others.
      // Awaiting nothing costs as much as awaiting something, and mostly there is nothing to wait for.
      const turn = enter(host, signal);
      if (turn) await turn;
      try {
        const place = all.enter(signal);
        if (place) await place;
        try {
          return await work();
        } finally {
          all.leave();
        }
      } finally {
        host.inside--;
        if (host.line.size > 0) admit(host);
      }
    },

    hear(name, url, { status, retryAfter }) {
      const isRefusal = status === 429 || (status === 503 && retryAfter !== undefined);
      const known = hosts.get(name);
      if (!isRefusal) {
        if (!known || status >= 400 || known.restsUntil > performance.now()) return;
        known.rests = 0;
        known.witness = undefined;
        return;
      }
      const host = known ?? hostOf(name);
      if (status === 429) return rest(host, retryAfter);
      const { witness } = host;
      const isSecond = witness && witness.url !== url && witness.at + WITNESS_MS > performance.now();
      if (isSecond) rest(host, retryAfter);
      else host.witness = { url, at: performance.now() };
    },

    get size() {
      return hosts.size;
    },
  };
}

/** Lets `size` in at once, the others in the order in which they came. */
function createGate(size: number) {
  let free = size;
  const waiting = new Set<() => void>();
  const admit = () => {
    for (const next of waiting) {
      if (free === 0) return;
      waiting.delete(next);
      free--;
      next();
    }
  };
  return {
    enter(signal: AbortSignal | undefined): Promise<void> | undefined {
      if (free === 0) return waitIn(waiting, signal, admit);
      free--;
      return undefined;
    },
    leave(): void {
      free++;
      if (waiting.size > 0) admit();
    },
  };
}

/** Stands in a line until somebody is called from it, which `joined` may do at once. */
function waitIn(line: Set<() => void>, signal: AbortSignal | undefined, joined: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const giveUp = () => {
      line.delete(called);
      reject(signal?.reason as Error);
    };
    const called = () => {
      signal?.removeEventListener('abort', giveUp);
      resolve();
    };
    line.add(called);
    signal?.addEventListener('abort', giveUp, { once: true });
    joined();
  });
}
