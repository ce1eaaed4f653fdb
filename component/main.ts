import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { snapshot } from '../lib/metrics.js';
import { runProcess } from '../lib/process.js';
import { createPubSub, type PubSub } from '../lib/pubsub.js';
import type { Notice } from '../lib/pubsub/subscriber.js';
import { openQuestions } from '../lib/queues.js';
import { redisAway } from '../lib/redis.js';
import { redisAliases } from '../lib/store/aliases.js';
import { redisContacts, redisRooms } from '../lib/store/contacts.js';
import { redisDigests } from '../lib/store/digests.js';
import { redisFeeds } from '../lib/store/feeds.js';
import { redisFirehose } from '../lib/store/firehose.js';
import { redisItems } from '../lib/store/items.js';
import { redisLeases } from '../lib/store/lease.js';
import { redisLimits } from '../lib/store/limits.js';
import { redisLog } from '../lib/store/log.js';
import { redisNodes } from '../lib/store/nodes.js';
import { redisPictures } from '../lib/store/pictures.js';
import { redisSnapshots } from '../lib/store/snapshots.js';
import { redisSubscriptions } from '../lib/store/subscriptions.js';
import { createVault } from '../lib/vault.js';
import { createAudiences } from './audience.js';
import { createConnection } from './connection.js';
import { createDelivery } from './deliver.js';
import { createEvents } from './event.js';
import { createHousekeeping } from './housekeeping.js';
import { createLeader } from './leader.js';
import { cacheNodes } from './node-cache.js';
import { noticeStanza } from './notices.js';
import { Unprovable } from './payload.js';
import { createPictures } from './picture.js';
import { createPresences } from './presence.js';
import { createRooms } from './rooms.js';
import { createRouter } from './router.js';
import { xeps } from './xeps/index.js';
import { configElement } from './xeps/pubsub-owner.js';

// How long somebody who subscribes to a new feed waits for the first look at it.
const PROBE_MS = 10_000;
// Whose presence is known at once.
const MOST_PEOPLE = 100_000;
const SNAPSHOT_MS = 2_000;
const HOUR_MS = 3_600_000;

const newId = (): string => randomBytes(16).toString('hex');

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
  const stored = redisSubscriptions(redis, keys);
  const subscriptions: typeof stored = {
    ...stored,
    async remove(key) {
      const was = await stored.remove(key);
      await rooms.tidy(key.jid);
      return was;
    },
  };
  const items = redisItems(redis, keys);
  const digests = redisDigests(redis, keys);
  const nodes = cacheNodes(redisNodes(redis, keys), (id) => service.node(id));
  // Each listens on a connection of its own, which a BullMQ listener blocks.
  const [probe, push, picture] = [
    openQuestions('probe', redis, connect('patient')),
    openQuestions('push', redis, connect('patient')),
    openQuestions('picture', redis, connect('patient')),
  ];
  for (const questions of [probe, push, picture]) later('questions', () => questions.close());

  const service: PubSub = createPubSub({
    nodes: nodes.store,
    feeds: redisFeeds(redis, keys, { itemsPerNode: config.ITEMS_PER_NODE, now, random: Math.random }),
    items,
    aliases: redisAliases(redis, keys, now),
    log,
    firehose,
    subscriptions,
    vault: createVault(config.CREDENTIALS_KEY),
    probe: (url) => probe.ask({ url }, PROBE_MS),
    push: (feed, entries) => push.ask({ feed, entries, id: newId() }, PROBE_MS),
    isRoom: (jid) => rooms.isRoom(jid),
    enterRoom: (jid) => rooms.enter(jid),
    now,
    newId,
    policy: {
      domain,
      admins: config.XMPP_ADMINS,
      whoMayAdd: config.WHO_MAY_ADD,
      maxSubscriptions: config.MAX_SUBSCRIPTIONS,
      itemsPerNode: config.ITEMS_PER_NODE,
      nodeType: config.NODE_TYPE,
    },
  });

  const connection = createConnection({
    service: config.XMPP_SERVICE,
    domain,
    secret: config.XMPP_SECRET,
    onStanza(stanza) {
      if (!rooms.receive(stanza)) router.receive(stanza);
    },
    onError: (error) => {
      emit('bug', { where: 'connection', error });
    },
    onAttemptFailed: (why) => {
      emit('attemptFailed', why);
    },
  });
  const rooms = createRooms({ domain, connection, store: redisRooms(redis, keys), subscriptions: stored });
  const events = createEvents(domain, config.STANZA_MAX_BYTES);
  const presences = createPresences({ most: { people: MOST_PEOPLE, resources: 20 } });
  const tell = async (notices: readonly Notice[]) => {
    for (const notice of notices) {
      try {
        await connection.write(noticeStanza(events, domain, notice));
      } catch (error) {
        // Delivery reports and quarantines an item that cannot be shown; here it must not cost anybody else a notice.
        if (!(error instanceof Unprovable)) throw error;
      }
    }
  };
  const table = xeps({
    service,
    domain,
    admins: config.XMPP_ADMINS,
    version,
    events,
    tell,
    pictures: createPictures({ store: redisPictures(redis, keys), ask: picture.ask }),
    presences,
    contacts: redisContacts(redis, keys),
    send: (stanza) => connection.send(stanza),
    drain: () => connection.confirm(),
  });
  const router = createRouter(table.all, {
    domain,
    send: (stanza) => connection.send(stanza),
    emit,
    away: redisAway,
  });
  const onPresence = (work: () => Promise<unknown>) => {
    work().catch((error: unknown) => {
      emit('warning', { text: `presence: ${String(error)}` });
    });
  };
  presences.onAvailable((jid) => {
    onPresence(async () => tell(await service.arrived(jid, presences.shows(jid))));
  });
  presences.onUnavailable((jid) => {
    onPresence(() => service.left(jid, (one) => presences.shows(one).length > 0));
  });
  const delivery = createDelivery({
    log,
    firehose,
    subscriptions: {
      async forget(record) {
        // The scheduler may have deleted it: a feed that has moved.
        nodes.forget(record.feed);
        await subscriptions.forget(record);
        await rooms.tidy();
      },
    },
    connection,
    audience: createAudiences({
      subscriptions,
      node: nodes.node,
      digests,
      limits: redisLimits(redis, keys),
      presences,
      rooms,
      events,
      configuration: (node) => configElement('result', node).toString(),
      now,
    }),
    emit,
    away: redisAway,
    keep,
    now,
    onFenced: () => {
      leader.yield('a later holder has written');
    },
  });
  const housekeeping = createHousekeeping({
    digests,
    subscriptions,
    items,
    nodes: nodes.store,
    log,
    node: nodes.node,
    numbered: (ids) => service.numbered(ids),
    connection,
    rooms,
    events,
    emit,
    now,
    maxBytes: config.STANZA_MAX_BYTES,
  });
  const leader = createLeader({
    leases: redisLeases(redis, keys),
    domain,
    holder: randomUUID(),
    onLead(token) {
      nodes.clear();
      connection.start();
      delivery.start(token);
      housekeeping.start();
    },
    async onLost() {
      await connection.stop();
      await Promise.all([delivery.stop(), housekeeping.stop()]);
    },
    emit,
  });

  connection.onUp(() => {
    emit('streamUp', { domain });
    onPresence(table.announce);
    onPresence(rooms.enterAll);
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
  later('rooms', () => rooms.leaveAll());
  later('presence', () => table.leave().catch(() => undefined));
  later('housekeeping', () => housekeeping.stop());
  later('delivery', () => delivery.stop());
  later('requests', () => router.close());
  leader.start();
});
