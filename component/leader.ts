import type { Emit } from '../lib/events.js';
import type { LeaseStore } from '../lib/store/lease.js';

export interface LeaderDeps {
  readonly leases: LeaseStore;
  readonly domain: string;
  /** Names this process. */
  readonly holder: string;
  /** The address is ours; called again with a higher token when it was lost and won back without anybody between. */
  readonly onLead: (token: number) => void;
  /** The address is somebody else's: stop using it. Awaited before it is tried for again. */
  readonly onLost: () => Promise<void>;
  readonly emit: Emit;
}

// Takeover after a death: the lease's time, plus one look, plus connecting; under ten seconds in all.
const LEASE_MS = 6_000;
const RENEW_MS = 1_500;
const LOOK_MS = 1_000;
// After the server gave the address to somebody else, the lease decides who that should be; never in a loop.
const TRUCE_MS = 10_000;

/** Sees to it that one process holds the address: a lease in Redis with a fencing token. */
export function createLeader({ leases, domain, holder, onLead, onLost, emit }: LeaderDeps) {
  let leading = false;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let turn: Promise<void> = Promise.resolve();

  function next(ms: number): void {
    clearTimeout(timer);
    if (!stopped)
      timer = setTimeout(() => {
        turn = turn.then(look);
      }, ms);
  }

  async function look(): Promise<void> {
    if (stopped) return;
    try {
      if (leading && (await leases.renew(domain, holder, LEASE_MS))) return next(RENEW_MS);
      const token = await leases.acquire(domain, holder, LEASE_MS);
      if (token !== undefined) {
        leading = true;
        emit('leading', { token });
        onLead(token);
      } else if (leading) {
        await stepDown('another process holds the address');
      }
    } catch {
      // Redis is away: nobody else can have won the lease through it, so whoever leads goes on and answers "wait".
    }
    next(leading ? RENEW_MS : LOOK_MS);
  }

  async function stepDown(reason: string): Promise<void> {
    leading = false;
    emit('standingBy', { reason });
    await onLost();
  }

  return {
    start(): void {
      next(0);
    },
    /** The server or a fence says that somebody else has the address, whatever the lease says. */
    yield(reason: string): void {
      turn = turn.then(async () => {
        if (!leading || stopped) return;
        await stepDown(reason);
        await leases.release(domain, holder).catch(() => undefined);
        next(TRUCE_MS);
      });
    },
    /** Gives the address up, so that another process need not wait for the lease to end. */
    async stop(): Promise<void> {
      stopped = true;
      clearTimeout(timer);
      await turn;
      if (leading) await leases.release(domain, holder).catch(() => undefined);
      leading = false;
    },
  };
}
