import { expect, it } from '@jest/globals';
import { createEvents } from '../../lib/events.js';
import { merged, snapshot, watchEvents } from '../../lib/metrics.js';

function bench() {
  const { emit, on } = createEvents();
  const registry = watchEvents(on);
  return { emit, snapshot: () => snapshot(registry), text: async () => merged([await snapshot(registry)]) };
}

const polled = { feed: 'f', outcome: 'fresh', trigger: 'ping', seconds: 0.2, announced: 3 } as const;

it('counts looks at feeds by outcome and trigger, and what they announced', async () => {
  const { emit, text } = bench();
  emit('polled', polled);
  emit('polled', polled);
  emit('polled', { ...polled, outcome: 'failed', trigger: 'schedule', announced: 0 });
  const lines = (await text()).split('\n');
  expect(lines).toContain('hydrant_polls_total{outcome="fresh",trigger="ping"} 2');
  expect(lines).toContain('hydrant_polls_total{outcome="failed",trigger="schedule"} 1');
  expect(lines).toContain('hydrant_entries_total 6');
  expect(lines).toContain('hydrant_poll_seconds_count 3');
  expect(lines).toContain('hydrant_poll_seconds_bucket{le="0.25"} 3');
});

it('counts deliveries and how late they were', async () => {
  const { emit, text } = bench();
  emit('delivered', { records: 4, stanzas: 9, lag: 0.5 });
  emit('delivered', { records: 1, stanzas: 0, lag: 1.5 });
  const lines = (await text()).split('\n');
  expect(lines).toContain('hydrant_delivered_records_total 5');
  expect(lines).toContain('hydrant_delivered_stanzas_total 9');
  expect(lines).toContain('hydrant_delivery_lag_seconds_sum 2');
});

it('counts what goes wrong', async () => {
  const { emit, text } = bench();
  emit('pinged', { outcome: 'unknown' });
  emit('stalled', { queue: 'poll', job: 'poll-1' });
  emit('jobFailed', { queue: 'poll', job: 'poll-1', error: new Error('lost') });
  emit('answered', { type: 'get', name: 'ping', outcome: 'result', seconds: 0.001 });
  emit('bounced', { condition: 'item-not-found' });
  emit('quarantined', { feed: 'f', item: 'i', why: 'not-well-formed' });
  emit('streamDown', { kind: 'lost' });
  emit('bug', { where: 'router', error: new Error('ours') });
  const lines = (await text()).split('\n');
  for (const line of [
    'hydrant_pings_total{outcome="unknown"} 1',
    'hydrant_jobs_stalled_total{queue="poll"} 1',
    'hydrant_jobs_failed_total{queue="poll"} 1',
    'hydrant_iqs_total{name="ping",outcome="result"} 1',
    'hydrant_iq_seconds_count 1',
    'hydrant_bounces_total{condition="item-not-found"} 1',
    'hydrant_quarantined_total 1',
    'hydrant_stream_down_total{kind="lost"} 1',
    'hydrant_bugs_total{where="router"} 1',
  ]) {
    expect(lines).toContain(line);
  }
});

it('adds up what several processes counted', async () => {
  const [component, scheduler] = [bench(), bench()];
  component.emit('bug', { where: 'router', error: 'x' });
  for (const one of [component, scheduler]) one.emit('polled', polled);
  const lines = (await merged([await component.snapshot(), await scheduler.snapshot()])).split('\n');
  expect(lines).toContain('hydrant_polls_total{outcome="fresh",trigger="ping"} 2');
  expect(lines).toContain('hydrant_poll_seconds_count 2');
  expect(lines).toContain('hydrant_bugs_total{where="router"} 1');
  expect(lines.filter((line) => line.startsWith('# TYPE hydrant_polls_total'))).toEqual([
    '# TYPE hydrant_polls_total counter',
  ]);
});

it('names nothing that grows with feeds or people', async () => {
  const { emit, text } = bench();
  emit('polled', { ...polled, feed: 'https://canary.example/', reason: 'canary' });
  emit('quarantined', { feed: 'canary', item: 'canary', why: 'canary' });
  emit('jobFailed', { queue: 'poll', job: 'canary', error: new Error('canary') });
  expect(await text()).not.toContain('canary');
});
