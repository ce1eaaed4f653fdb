import { EventEmitter } from 'node:events';

/** What is worth counting or logging: facts, told by whoever knows them. Nothing is driven by them. */
export interface Events {
  /** A look at a feed ended. `trigger`: what caused it. */
  polled: {
    feed: string;
    outcome: string;
    trigger: 'schedule' | 'ping' | 'probe';
    seconds: number;
    announced: number;
    reason?: string;
  };
  /** A tick of the schedule handed out work. */
  ticked: { leased: number; waiting: number };
  pinged: { outcome: 'queued' | 'unknown' | 'refused' };
  /** A worker died in the middle of a job, or seemed to; the job runs again. */
  stalled: { queue: string; job: string };
  jobFailed: { queue: string; job: string; error: Error };

  streamUp: { domain: string };
  streamDown: { kind: string; condition?: string; text?: string };
  attemptFailed: { kind: string; condition?: string; text?: string };
  /** This process became, or ceased to be, the holder of the address. */
  leading: { token: number };
  standingBy: { reason: string };
  answered: { type: string; name: string; outcome: string; seconds: number };
  bounced: { condition: string };
  /** A window was put on the stream; nothing is known of it yet. */
  sent: { partition: number; records: number; stanzas: number };
  /** A window of the log was sent, confirmed and acknowledged. `lag`: seconds from the commit of its oldest record. */
  delivered: { records: number; stanzas: number; lag: number };
  /** A digest was sent and confirmed. */
  digest: { items: number };
  quarantined: { feed: string; item: string; why: string };

  redisTrouble: { error: Error };
  /** Something of ours went wrong; somebody must look. */
  bug: { where: string; error: unknown };
  notice: { text: string };
  warning: { text: string };
}

export type Emit = <E extends keyof Events>(event: E, facts: Events[E]) => void;
export type On = <E extends keyof Events>(event: E, listener: (facts: Events[E]) => void) => void;

export function createEvents(): { readonly emit: Emit; readonly on: On } {
  const emitter = new EventEmitter();
  return {
    emit: (event, facts) => void emitter.emit(event, facts),
    on: (event, listener) => void emitter.on(event, listener),
  };
}
