import { pino } from 'pino';
import type { Events, On } from './events.js';

type Level = 'debug' | 'info' | 'warn' | 'error';
type LevelOf<E extends keyof Events> = Level | ((facts: Events[E]) => Level);

/** error: a human must act. warn: the world misbehaves. info: one line per thing that happened. debug: the rest. */
const LEVELS: { readonly [E in keyof Events]: LevelOf<E> } = {
  // Most looks find nothing, a thousand times a second on a large service.
  polled: ({ outcome, announced }) => (announced > 0 || outcome === 'failed' || outcome === 'page' ? 'info' : 'debug'),
  ticked: 'debug',
  pinged: 'debug',
  stalled: 'warn',
  jobFailed: 'error',
  streamUp: 'info',
  streamDown: 'warn',
  attemptFailed: 'warn',
  leading: 'info',
  standingBy: 'info',
  answered: 'debug',
  bounced: 'debug',
  sent: 'debug',
  delivered: 'debug',
  digest: 'debug',
  quarantined: 'error',
  redisTrouble: 'warn',
  bug: 'error',
  notice: 'info',
  warning: 'warn',
};

/** Writes every event as one JSON line on standard output: `event` names it, its facts are fields beside it. */
export function logEvents(on: On, process: string, level: string): void {
  const logger = pino({ level, base: { process }, timestamp: pino.stdTimeFunctions.isoTime, errorKey: 'error' });
  for (const event of Object.keys(LEVELS) as (keyof Events)[]) {
    on(event, (facts) => {
      logger[levelOf(event, facts)]({ event, ...facts });
    });
  }
}

function levelOf<E extends keyof Events>(event: E, facts: Events[E]): Level {
  const level: LevelOf<E> = LEVELS[event];
  return typeof level === 'function' ? level(facts) : level;
}
