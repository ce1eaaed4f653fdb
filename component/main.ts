import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { snapshot } from '../lib/metrics.js';
import { runProcess } from '../lib/process.js';
import { createPubSub } from '../lib/pubsub.js';
import { openQuestions } from '../lib/queues.js';
import { redisAway } from '../lib/redis.js';
import { redisAliases } from '../lib/store/aliases.js';
import { redisFeeds } from '../lib/store/feeds.js';
import { redisFirehose } from '../lib/store/firehose.js';
import { redisItems } from '../lib/store/items.js';
import { redisLeases } from '../lib/store/lease.js';
import { redisLog } from '../lib/store/log.js';
import { redisSnapshots } from '../lib/store/snapshots.js';
import { redisSubscriptions } from '../lib/store/subscriptions.js';
import { createConnection } from './connection.js';
import { createDelivery } from './deliver.js';
import { createEvents } from './event.js';
import { createLeader } from './leader.js';
import { createRouter } from './router.js';
import { xeps } from './xeps/index.js';

// How long somebody who subscribes to a new feed waits for the first look at it.
const PROBE_MS = 10_000;
const SNAPSHOT_MS = 2_000;
const HOUR_MS = 3_600_000;

if (existsSync('.env')) process.loadEnvFile();

await runProcess('component', process.env, ({ config, version, emit, metrics, keys, redis, connect, later }) => {
  const now = Date.now;
  const keep = {
    ms: config.LOG_KEEP_HOURS * HOUR_MS,
    records: Math.ceil(config.LOG_KEEP_ENTRIES / keys.partitions),
  };
  const domain = config.XMPP_DOMAIN;

  const log = redisLog(redis, connect('patient'), keys);
  const firehose = redisFirehose(redis, keys, now);
  const subscriptions = redisSubscriptions(redis, keys);
  const probe = openQuestions('probe', redis, connect('patient'));
  later('questions', () => probe.close());

  const service = createPubSub({
    feeds: redisFeeds(redis, keys, { itemsPerNode: config.ITEMS_PER_NODE, now, random: Math.random }),
    items: redisItems(redis, keys),
    aliases: redisAliases(redis, keys, now),
    log,
    firehose,
    subscriptions,
    probe: (url) => probe.ask({ url }, PROBE_MS),
    now,
    policy: {
      domain,
      admins: config.XMPP_ADMINS,
      whoMayAdd: config.WHO_MAY_ADD,
      maxSubscriptions: config.MAX_SUBSCRIPTIONS,
    },
  });

  const connection = createConnection({
    service: config.XMPP_SERVICE,
    domain,
    secret: config.XMPP_SECRET,
    onStanza: (stanza) => router.receive(stanza),
    onError: (error) => {
      emit('bug', { where: 'connection', error });
    },
    onAttemptFailed: (why) => {
      emit('attemptFailed', why);
    },
  });
  const events = createEvents(domain, config.STANZA_MAX_BYTES);
  const router = createRouter(
    xeps({
      service,
      domain,
      version,
      item: events.item,
      notify: (subscription, item) =>
        connection.write(
          events.address(subscription, `last-${item.id}-${item.at}`, events.render(item, subscription.feed)),
        ),
    }),
    { domain, send: (stanza) => connection.send(stanza), emit, away: redisAway },
  );
  const delivery = createDelivery({
    log,
    firehose,
    subscriptions,
    connection,
    render: events.render,
    address: events.address,
    emit,
    away: redisAway,
    now,
    keep,
    onFenced: () => {
      leader.yield('a later holder has written');
    },
  });
  const leader = createLeader({
    leases: redisLeases(redis, keys),
    domain,
    holder: randomUUID(),
    onLead(token) {
      connection.start();
      delivery.start(token);
    },
    async onLost() {
      await connection.stop();
      await delivery.stop();
    },
    emit,
  });

  connection.onUp(() => {
    emit('streamUp', { domain });
  });
  connection.onDown((why) => {
    emit('streamDown', why);
    if (why.condition === 'conflict') leader.yield('another process took the address');
  });

  const snapshots = redisSnapshots(redis, keys);
  const publish = async () => {
    const state = JSON.stringify({ up: connection.up, backlog: await log.backlog() });
    await snapshots.put('component', state, 3 * SNAPSHOT_MS);
    await snapshots.put('component-metrics', await snapshot(metrics), 3 * SNAPSHOT_MS);
  };
  const publishing = setInterval(() => void publish().catch(() => undefined), SNAPSHOT_MS);
  connection.onUp(() => void publish().catch(() => undefined));

  later('snapshots', () => {
    clearInterval(publishing);
  });
  later('lease', () => leader.stop());
  later('stream', () => connection.stop());
  later('delivery', () => delivery.stop());
  later('requests', () => router.close());
  leader.start();
});
