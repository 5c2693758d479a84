// Sockets on further threads (hub.transport_loops, edge.transport_loops): everything is as with one loop.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { BrokerHub, connectTo } from './support/broker.mjs';
import { Edge, hostModel, stored } from './support/edge.mjs';
import { Hub, until } from './support/hub.mjs';

const sets = ['hub.transport_loops=2'];

/** @param {number | undefined} pid */
const threads = (pid) => readdirSync(`/proc/${pid}/task`).map((task) => readFileSync(`/proc/${pid}/task/${task}/comm`, 'utf8').trim());

/** @type {BrokerHub} */ let broker;
before(async () => {
  broker = await BrokerHub.start({ sets, listeners: [{}, { protocol: 'mqtts' }, { protocol: 'ws' }] });
});
after(() => broker.dispose());

test('messages of 30 clients over TCP, TLS and WebSocket arrive once and in order, large ones among them', async () => {
  const [tcp, tls, ws] = /** @type {[number, number, number]} */ (broker.ports);
  const urls = [`mqtt://127.0.0.1:${tcp}`, `mqtts://127.0.0.1:${tls}`, `ws://127.0.0.1:${ws}/mqtt`];
  const login = { username: 'ann', password: 'ann-secret', rejectUnauthorized: false };
  const readers = await Promise.all(urls.map((url, i) => connectTo(url, { ...login, clientId: `reader-${i}` })));
  await Promise.all(readers.map((reader) => reader.subscribeAsync('from/#', { qos: 1 })));
  const writers = await Promise.all(Array.from({ length: 30 }, (_, i) => connectTo(/** @type {string} */ (urls[i % 3]), { ...login, clientId: `writer-${i}` })));
  const count = 30;
  await Promise.all(
    writers.map(async (writer, i) => {
      const sent = [];
      for (let n = 0; n < count; ++n) sent.push(writer.publishAsync(`from/${i}`, String(n).padEnd(n === 20 ? 20_000 : 10, '.'), { qos: 1 }));
      await Promise.all(sent);
    }),
  );
  await until(() => readers.every((reader) => reader.got.length === writers.length * count), 'all have all');
  for (const reader of readers) {
    /** @type {Map<string, number>} */ const next = new Map();
    for (const { topic, payload } of reader.got) {
      assert.equal(parseInt(payload, 10), next.get(topic) ?? 0, topic);
      assert.equal(payload.length, payload.startsWith('20.') ? 20_000 : 10);
      next.set(topic, (next.get(topic) ?? 0) + 1);
    }
  }
  assert.deepEqual(threads(broker.hub.child?.pid).filter((name) => name.startsWith('transport')).sort(), ['transport1', 'transport2']);
  await Promise.all([...readers, ...writers].map((client) => client.endAsync(true)));
});

test('a client is told when the hub stops: what is written last still leaves', async () => {
  const hub = await BrokerHub.start({ sets });
  const client = await hub.client('ann');
  /** @type {number | undefined} */ let reason;
  client.on('disconnect', (packet) => (reason = packet.reasonCode));
  await hub.dispose();
  await until(() => reason !== undefined, 'DISCONNECT has arrived');
  assert.equal(reason, 0x8b);
  client.end(true);
});

test('reports of a driver go through edge and hub into the history, none missing', async () => {
  const hub = await Hub.start('', sets);
  await hub.product('a1lpgw', { properties: [], events: [], services: [] }, 'gateway');
  await hub.product('a1lphost', hostModel);
  const identity = await hub.device('a1lpgw', 'edge-1');
  const machine = await hub.device('a1lphost', 'machine-1');
  await hub.ok('POST', '/api/v1/gateways/a1lpgw/edge-1/devices', { productKey: machine.productKey, deviceName: machine.deviceName });
  const edge = new Edge(identity, `mqtt://127.0.0.1:${hub.mqttPort}`).addHostDriver(machine);
  edge.transportLoops = 1;
  try {
    await edge.run();
    await edge.up();
    await until(() => edge.reported().length > 100, 'the driver has reported');
    const reported = edge.reported();
    const known = new Map(reported.map((each) => [`${each.property} ${each.time}`, each.value]));
    await until(async () => {
      const history = await stored(hub, 'a1lphost/machine-1', new Set(reported.map((each) => each.property)));
      return [...known].every(([key, value]) => history.get(key) === value);
    }, 'all of it is in the history');
    assert.ok(threads(edge.child?.pid).includes('transport1'));
  } finally {
    await edge.dispose().finally(() => hub.dispose());
  }
});
