import {
  AggregatorRegistry,
  Counter,
  Histogram,
  Registry,
  type MetricObjectWithValues,
  type MetricValue,
} from 'prom-client';
import type { Events, On } from './events.js';

type Metric = (on: On, registry: Registry) => void;
type Field<E extends keyof Events> = keyof Events[E] & string;

/** A new metric is one line here, and one in Events if nobody says it yet. Names and units as Prometheus asks for them. */
const METRICS: readonly Metric[] = [
  count('polled', 'hydrant_polls_total', 'Looks at feeds', ['outcome', 'trigger']),
  observe('polled', 'hydrant_poll_seconds', 'Time of one look', 'seconds'),
  add('polled', 'hydrant_entries_total', 'Entries announced', 'announced'),
  count('pinged', 'hydrant_pings_total', 'Pings received', ['outcome']),
  count('stalled', 'hydrant_jobs_stalled_total', 'Jobs that were run again because their worker was lost', ['queue']),
  count('jobFailed', 'hydrant_jobs_failed_total', 'Jobs that ended with an error of ours', ['queue']),
  count('answered', 'hydrant_iqs_total', 'IQ requests answered', ['name', 'outcome']),
  observe('answered', 'hydrant_iq_seconds', 'Time to answer an IQ', 'seconds'),
  add('delivered', 'hydrant_delivered_records_total', 'Log records delivered and confirmed', 'records'),
  add('delivered', 'hydrant_delivered_stanzas_total', 'Stanzas sent for them', 'stanzas'),
  observe('delivered', 'hydrant_delivery_lag_seconds', 'From commit to confirmation', 'lag'),
  count('bounced', 'hydrant_bounces_total', 'Notifications that came back', ['condition']),
  count('quarantined', 'hydrant_quarantined_total', 'Entries taken out because the stream died of them', []),
  count('streamDown', 'hydrant_stream_down_total', 'Losses of the component stream', ['kind']),
  count('bug', 'hydrant_bugs_total', 'Errors that are ours', ['where']),
];

/** Counts what the events tell. */
export function watchEvents(on: On): Registry {
  const registry = new Registry();
  for (const metric of METRICS) metric(on, registry);
  return registry;
}

/** One process's samples, as text that another process can merge. */
export const snapshot = async (registry: Registry): Promise<string> =>
  JSON.stringify(await registry.getMetricsAsJSON());

/** The samples of several processes in Prometheus' text format. */
export function merged(snapshots: readonly string[]): Promise<string> {
  const parsed = snapshots.map((text) => JSON.parse(text) as MetricObjectWithValues<MetricValue<string>>[]);
  return AggregatorRegistry.aggregate(parsed).metrics();
}

function count<E extends keyof Events>(event: E, name: string, help: string, labels: readonly Field<E>[]): Metric {
  return (on, registry) => {
    const counter = new Counter({ name, help, labelNames: [...labels], registers: [registry] });
    on(event, (facts) => counter.inc(Object.fromEntries(labels.map((label) => [label, String(facts[label])]))));
  };
}

function add<E extends keyof Events>(event: E, name: string, help: string, field: Field<E>): Metric {
  return (on, registry) => {
    const counter = new Counter({ name, help, registers: [registry] });
    on(event, (facts) => counter.inc(Number(facts[field])));
  };
}

function observe<E extends keyof Events>(event: E, name: string, help: string, field: Field<E>): Metric {
  return (on, registry) => {
    const histogram = new Histogram({ name, help, registers: [registry] });
    on(event, (facts) => histogram.observe(Number(facts[field])));
  };
}
