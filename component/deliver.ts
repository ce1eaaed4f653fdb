import { setTimeout as sleep } from 'node:timers/promises';
import type { Emit } from '../lib/events.js';
import { fingerprintsOf } from '../lib/fingerprint.js';
import type { Firehose, News } from '../lib/store/firehose.js';
import { committedAt, compareLogIds, Fenced, type Keep, type Log, type LogRecord } from '../lib/store/log.js';
import type { SubscriptionStore } from '../lib/store/subscriptions.js';
import type { Audience } from './audience.js';
import { StreamDown, type Connection, type Down } from './connection.js';
import { Unprovable } from './payload.js';

export interface DeliveryDeps {
  readonly log: Log;
  readonly firehose: Pick<Firehose, 'number' | 'trim'>;
  /** Puts the subscribers of a node that was deleted out of mind. */
  readonly subscriptions: Pick<SubscriptionStore, 'forget'>;
  readonly connection: Pick<Connection, 'up' | 'write' | 'confirm' | 'onUp' | 'onDown'>;
  /** Makes stanzas of records; one for each run of records. @throws Unprovable */
  readonly audience: () => Audience;
  readonly emit: Emit;
  /** Tells the store being away from a mistake of ours. */
  readonly away: (error: unknown) => unknown;
  readonly now: () => number;
  /** What is kept of the log after delivery. */
  readonly keep: Keep;
  /** Somebody else holds the address by now. */
  readonly onFenced: () => void;
}

export interface Delivery {
  /** Works off the log while the stream is up, as the holder of this fencing token; a later call brings a new token. */
  start(token: number): void;
  /** Takes up nothing new and waits until what was sent is confirmed, or the stream is down. */
  stop(): Promise<void>;
}

// What may be unconfirmed at once, per partition: so much is repeated at most when the stream breaks.
const WINDOW_STANZAS = 50;
const WINDOW_BYTES = 524_288;
const WINDOWS_AHEAD = 2;
const READ_RECORDS = 100;
// Commits are told; this is for those that were not heard.
const SWEEP_MS = 2_000;
const RETRY_MS = 500;
const TRIM_MS = 60_000;

/** Two deaths for which the server blames a stanza, or five without a word. */
const CONVICTED = 5;

/** Stream errors that a stanza of ours can have caused (RFC 6120 4.9.3): if it is sent again, it happens again. */
const POISON = new Set([
  'bad-format',
  'bad-namespace-prefix',
  'improper-addressing',
  'invalid-from',
  'invalid-namespace',
  'invalid-xml',
  'not-well-formed',
  'policy-violation',
  'restricted-xml',
  'unsupported-encoding',
  'unsupported-stanza-type',
]);

/** Stanzas that were put on the stream together. */
interface Window {
  readonly records: readonly LogRecord[];
  readonly stanzas: number;
  /** Set once the server has routed it all. */
  routed: boolean;
  /** Resolves when all before it and itself are routed, and acknowledged. */
  settled: Promise<void>;
}

/**
 * Works off the log: who subscribed, render once, send, confirm, acknowledge. Each partition is a lane of its own, so
 * that the order of every node is kept while the lanes go side by side.
 *
 * When the stream ends, the lanes that had something on the way become suspects. Suspects go one after
 * another, alone on the stream, each with half of what is left of its suspicion, until the one record that kills the
 * stream is found; it goes to quarantine and everything else goes on.
 */
export function createDelivery(deps: DeliveryDeps): Delivery {
  const { log, firehose, connection, emit, keep } = deps;
  /** Partition → how many records at the head of its lane may hold the poison, and how much speaks against the first. */
  const suspects = new Map<number, { readonly left: number; readonly strikes: number }>();
  const lanes = Array.from({ length: log.partitions }, (_, partition) => createLane(partition));
  const timers: NodeJS.Timeout[] = [];
  let token = 0;
  /** Counts the streams that have ended. */
  let streams = 0;
  let running: Promise<void> | undefined;
  let stopping = false;
  let watching = false;

  const wakeAll = () => {
    for (const lane of lanes) lane.wake();
  };
  connection.onUp(wakeAll);
  connection.onDown(suspect);

  /**
   * Runs when the stream went down, before it is up again. Any end makes suspects: a server that refuses a stanza often
   * hangs up before we can read why, and to be suspected costs an innocent no more than a slow minute.
   */
  function suspect(why: Down): void {
    streams++;
    const lost = new Map(lanes.map((lane) => [lane, lane.takeLost()]));
    const sending = lanes.filter((lane) => lost.get(lane)?.length);
    const [only] = sending.length === 1 ? sending : [];
    const before = only && suspects.get(only.partition);
    if (only) suspects.clear();
    for (const lane of sending) {
      const records = lost.get(lane) ?? [];
      const alone = lane === only && records.length === 1;
      // Something else may have been the cause, so one record alone must end several streams, fewer when the server says
      // that it was for a stanza.
      const strikes = alone ? (before?.left === 1 ? before.strikes : 0) + (POISON.has(why.condition ?? '') ? 3 : 1) : 0;
      if (strikes >= CONVICTED) lane.convict(records, why);
      else suspects.set(lane.partition, { left: records.length, strikes });
    }
  }

  /** Suspects go one at a time, in the order of their partitions; who is not suspected waits. */
  const mayGo = (partition: number): boolean => suspects.size === 0 || Math.min(...suspects.keys()) === partition;

  /** So many records of a lane are still under suspicion; when none is left, it is the others' turn. */
  function suspicion(partition: number, left: number): void {
    if (left > 0) {
      suspects.set(partition, { left, strikes: 0 });
    } else if (suspects.delete(partition)) {
      wakeAll();
    }
  }

  function createLane(partition: number) {
    const inFlight: Window[] = [];
    /** Records that were sent on a stream that has ended, and of which nothing was heard. */
    let lost: readonly LogRecord[] = [];
    let acknowledged = '0';
    let poison: { readonly records: readonly LogRecord[]; readonly why: string } | undefined;
    let awake = true;
    let wakeUp: (() => void) | undefined;
    /** The stream that this lane's windows are on. */
    let stream = 0;

    function unrouted(): LogRecord[] {
      const windows = inFlight.filter(({ stanzas, routed }) => stanzas > 0 && !routed);
      return [...new Set(windows.flatMap(({ records }) => records))];
    }

    const settled = () => Promise.allSettled(inFlight.map((window) => window.settled));

    async function run(): Promise<void> {
      while (!stopping) {
        if (!awake) await new Promise<void>((resolve) => (wakeUp = resolve));
        awake = false;
        try {
          if (connection.up) await workOff();
        } catch (error) {
          // Once the end of the stream is told, what was lost with it is known already.
          lost = stream === streams ? unrouted() : [];
          await settled();
          inFlight.length = 0; // sent again, from the last record that was acknowledged
          awake = true;
          await recover(error);
        }
      }
      await settled();
      inFlight.length = 0;
    }

    async function recover(error: unknown): Promise<void> {
      if (error instanceof StreamDown) return;
      if (error instanceof Fenced) {
        stopping = true;
        deps.onFenced();
        wakeAll();
        return;
      }
      if (!deps.away(error)) emit('bug', { where: `delivery of partition ${partition}`, error });
      await sleep(RETRY_MS);
    }

    /** Everything that is in the log now. */
    async function workOff(): Promise<void> {
      stream = streams;
      if (poison) {
        for (const record of poison.records) await quarantine(record, poison.why);
        poison = undefined;
        wakeAll();
      }
      let position = await log.position(partition);
      const quarantined = await log.quarantined(partition);
      while (!stopping && mayGo(partition)) {
        const suspected = suspects.get(partition)?.left;
        const records = await log.read(partition, position, suspected ? Math.ceil(suspected / 2) : READ_RECORDS);
        expectSameStream();
        const last = records.at(-1);
        if (!last) {
          suspicion(partition, 0);
          break;
        }
        position = last.id;
        const wanted = records.filter(({ id }) => !quarantined.has(id));
        await sendAll(wanted, last);
        if (suspected) {
          await drained();
          suspicion(partition, suspected - records.length);
        }
      }
      await drained();
    }

    /**
     * While the lane was waiting for something else, its stream may have ended and another one begun. What was lost with
     * the old one comes first on the new one.
     */
    function expectSameStream(): void {
      if (stream !== streams) throw new StreamDown(undefined);
    }

    async function quarantine(record: LogRecord, why: string): Promise<void> {
      if (record.kind === 'deleted') await deps.subscriptions.forget(record);
      await log.quarantine(record, why, token);
      emit('quarantined', { feed: record.feed, item: 'item' in record ? record.item : record.kind, why });
    }

    async function drained(): Promise<void> {
      while (inFlight[0]) await inFlight[0].settled;
    }

    /** Sends these records in windows; the last window acknowledges `upTo`. */
    async function sendAll(records: readonly LogRecord[], upTo: LogRecord): Promise<void> {
      const audience = deps.audience();
      const news: News[] = [];
      for (const record of records) {
        if ((record.kind === 'new' || record.kind === 'edited') && (await audience.isPublic(record.feed))) {
          news.push({ id: record.id, feed: record.feed, fingerprints: fingerprintsOf(record) });
        }
      }
      const numbers = await firehose.number(partition, news, token);
      const numberOf = new Map(news.map(({ id }, i) => [id, numbers[i]]));
      let open: LogRecord[] = [];
      let stanzas: string[] = [];
      let bytes = 0;

      const flush = async (acknowledge?: LogRecord) => {
        const window = [stanzas, open] as const;
        [stanzas, bytes, open] = [[], 0, acknowledge ? [] : open];
        await launch(...window, acknowledge);
      };

      for (const record of records) {
        open.push(record);
        try {
          for await (const stanza of audience.stanzasFor(record, numberOf.get(record.id))) {
            // A window may end in the middle of a record; it acknowledges nothing then.
            if (stanzas.length >= WINDOW_STANZAS || bytes >= WINDOW_BYTES) await flush();
            stanzas.push(stanza);
            bytes += stanza.length;
          }
        } catch (error) {
          if (!(error instanceof Unprovable)) throw error;
          await quarantine(record, error.message);
        }
        if (record !== upTo && (stanzas.length >= WINDOW_STANZAS || bytes >= WINDOW_BYTES)) await flush(record);
      }
      await flush(upTo);
    }

    /** Puts a window on the stream and has it acknowledged once it is confirmed. */
    async function launch(stanzas: readonly string[], records: readonly LogRecord[], acknowledge?: LogRecord) {
      while (inFlight.length >= WINDOWS_AHEAD) await inFlight[0]?.settled;
      expectSameStream();
      const before = inFlight.at(-1)?.settled;
      const written = stanzas.length > 0 ? connection.write(stanzas.join('')) : undefined;
      // Asked for right behind the stanzas, so that the echo says exactly this much.
      const routed = written && Promise.all([written, connection.confirm()]);
      const window: Window = { records, stanzas: stanzas.length, routed: false, settled: Promise.resolve() };
      window.settled = settle(window, routed, before, acknowledge);
      window.settled.catch(() => undefined); // heard by whoever waits for the window
      inFlight.push(window);
      await written;
      if (stanzas.length > 0) emit('sent', { partition, records: records.length, stanzas: stanzas.length });
    }

    async function settle(window: Window, routed?: Promise<unknown>, before?: Promise<void>, acknowledge?: LogRecord) {
      await routed;
      window.routed = true;
      await before;
      if (acknowledge) {
        for (const record of window.records) if (record.kind === 'deleted') await deps.subscriptions.forget(record);
        await log.acknowledge(partition, acknowledge.id, token, keep);
        acknowledged = acknowledge.id;
        const lag = Math.max(0, deps.now() - committedAt((window.records[0] ?? acknowledge).id)) / 1_000;
        emit('delivered', { records: window.records.length, stanzas: window.stanzas, lag });
      }
      inFlight.shift();
    }

    return {
      partition,
      run,
      wake(): void {
        awake = true;
        wakeUp?.();
      },
      /** What was on its way when the stream ended, whether or not the lane has noticed yet. */
      takeLost(): readonly LogRecord[] {
        const records = inFlight.length > 0 ? unrouted() : lost;
        lost = [];
        return records;
      },
      convict(records: readonly LogRecord[], { condition, text }: Down): void {
        poison = { records, why: [condition, text].filter(Boolean).join(': ') };
      },
      hasDelivered: (id: string): boolean => compareLogIds(id, acknowledged) <= 0,
    };
  }

  async function runLanes(): Promise<void> {
    await Promise.all(lanes.map((lane) => lane.run()));
    for (const timer of timers.splice(0)) clearInterval(timer);
    running = undefined;
  }

  function trimFirehose(): void {
    firehose
      .trim(keep.ms, ({ partition, id }) => lanes[partition]?.hasDelivered(id) ?? false)
      .catch((error: unknown) => {
        emit('warning', { text: `the firehose was not trimmed: ${String(error)}` });
      });
  }

  return {
    start(newToken) {
      token = newToken;
      if (running) return;
      stopping = false;
      if (!watching) log.watch((partition) => lanes[partition]?.wake());
      watching = true;
      timers.push(setInterval(wakeAll, SWEEP_MS), setInterval(trimFirehose, TRIM_MS));
      wakeAll();
      running = runLanes();
    },
    async stop() {
      stopping = true;
      wakeAll();
      await running;
    },
  };
}
