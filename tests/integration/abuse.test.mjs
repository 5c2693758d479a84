// A hub under abuse by clients that are not ours: what it holds stays bounded, and a device gets in all the while.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { connect as dial } from 'node:net';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import packets from 'mqtt-packet';
import { MemoryGroup, whyNoGroup } from './support/cgroup.mjs';
import { connect, credentials } from './support/device.mjs';
import { freePort, Hub, sleep, until } from './support/hub.mjs';

/** @typedef {import('mqtt-packet').Packet} Packet */
const mebi = 1024 * 1024;
const flat_bytes = 8 * mebi; // what "flat" means: plus 10 %, or this
/** @type {Hub} */ let hub;
/** @type {import('./support/device.mjs').Credentials} */ let device;
let open = 0; // the port without logins

before(async () => {
  open = await freePort();
  hub = await Hub.start(`[[listener]]\nprotocol = "mqtt"\naddress = "127.0.0.1:${open}"\nauth = "unsafe-anonymous"\n`);
  const key = await hub.product('a1abuse');
  device = await hub.device(key, 'honest');
});
after(() => hub?.dispose());

const resident = () => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${hub.child?.pid}/status`, 'utf8'))?.[1]) * 1024;
const descriptors = () => readdirSync(`/proc/${hub.child?.pid}/fd`).length;
/** @param {number} before */
const flat = (before) => Math.max(before * 1.1, before + flat_bytes);

/** A device logs in, posts and is answered. */
async function honest() {
  const link = await connect(hub.mqttPort, credentials(device));
  const reply = await link.ask(`/sys/${device.productKey}/honest/thing/event/property/post`, { id: '1', params: { count: 1 } });
  assert.equal(reply.json.code, 200);
  await link.leave();
}

/** A socket that has its own life; its errors are its own. @param {number} port @returns {Promise<import('node:net').Socket>} */
const raw = (port) => new Promise((resolve) => {
  const socket = dial(port, '127.0.0.1', () => resolve(socket));
  socket.on('error', () => socket.destroy());
});

/** The same every time. @param {number} seed */
function sequence(seed) {
  let state = seed;
  return (/** @type {number} */ bound) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
}

/** Packets of both versions, as they should be. @returns {Buffer[]} */
function wellFormed() {
  /** @type {Packet[]} */ const all = [
    { cmd: 'publish', topic: 'a/b', payload: 'x'.repeat(100), qos: 1, messageId: 7, dup: false, retain: true },
    { cmd: 'publish', topic: 'a/b', payload: '', qos: 2, messageId: 8, dup: true, retain: false, properties: { topicAlias: 3, userProperties: { a: 'b' } } },
    { cmd: 'subscribe', messageId: 9, subscriptions: [{ topic: 'a/+/#', qos: 2 }, { topic: '$share/g/a', qos: 1 }] },
    { cmd: 'unsubscribe', messageId: 10, unsubscriptions: ['a/+/#'] },
    { cmd: 'pubrel', messageId: 8 }, { cmd: 'puback', messageId: 1 }, { cmd: 'pubrec', messageId: 2 }, { cmd: 'pubcomp', messageId: 3 },
    { cmd: 'pingreq' }, { cmd: 'disconnect', reasonCode: 4 },
  ];
  return [4, 5].flatMap((protocolVersion) => all.map((packet) => packets.generate(packet, { protocolVersion })));
}

/** @param {string} clientId @param {4 | 5} protocolVersion */
const hello = (clientId, protocolVersion) => packets.generate({ cmd: 'connect', clientId, protocolId: 'MQTT', protocolVersion, clean: true, keepalive: 60, will: { topic: 'w', payload: Buffer.from('gone'), qos: 1, retain: false } });

/** @param {Buffer} packet @param {(bound: number) => number} pick */
function damaged(packet, pick) {
  const bytes = Buffer.from(packet);
  for (let times = pick(4); times > 0; --times) bytes[pick(bytes.length)] = pick(256);
  const cut = pick(6) === 0 ? pick(bytes.length) : bytes.length;
  return Buffer.concat([bytes.subarray(0, cut), pick(6) === 0 ? bytes : Buffer.alloc(0)]);
}

describe('in 256 MiB, where control groups can be made', () => {
  /** @type {MemoryGroup | undefined} */ let group;
  /** Starts the hub again, in a group or in none. @param {string} join */
  const again = async (join) => {
    await hub.end();
    hub.group = join;
    await hub.run();
  };
  before(async () => {
    if (whyNoGroup()) return;
    group = new MemoryGroup('abuse', 256 * mebi);
    await again(group.join);
  });
  after(async () => {
    if (!group) return;
    await again('');
    assert.equal(group.kills, 0, 'the kernel had to kill nobody for want of memory');
    await group.remove();
  });

  test('[B-08] 20,000 connections that say damaged things leave nothing behind', async () => {
    const pick = sequence(8);
    const good = wellFormed();
    /** @param {number} count */
    const storm = async (count) => {
      for (let done = 0; done < count; done += 50) {
        await Promise.all(Array.from({ length: 50 }, async (_, place) => {
          const socket = await raw(pick(2) === 0 ? hub.mqttPort : open);
          const version = pick(2) === 0 ? 4 : 5;
          socket.write(pick(3) === 0 ? damaged(hello(`c${place}`, version), pick) : hello(`c${place}`, version));
          for (let packet = pick(6); packet > 0 && socket.writable; --packet) socket.write(damaged(/** @type {Buffer} */ (good[pick(good.length)]), pick));
          socket.resume();
          const gone = new Promise((resolve) => socket.once('close', resolve));
          socket.end();
          await gone;
        }));
      }
    };
    await storm(5_000); // what is kept for later use is there by then
    const [memory, files] = [resident(), descriptors()];
    await storm(15_000);
    await honest();
    await until(() => descriptors() <= files + 8, 'all descriptors are back');
    assert.ok(resident() <= flat(memory), `${memory} bytes before, ${resident()} after`);
  });

  test('[B-08] every seed of the fuzz targets that read from a socket, as it is and behind a CONNECT, leaves the hub standing', async () => {
    const corpus = join(dirname(fileURLToPath(import.meta.url)), '../../fuzz/corpus');
    /** @type {[string, number[]][]} */ const targets = [
      ['fuzz_mqtt_packets', [hub.mqttPort, open]],
      ['fuzz_mqtt_broker', [hub.mqttPort, open]],
      ['fuzz_mqtt_session_log', [open]],
      ['fuzz_http', [hub.httpPort]],
      ['fuzz_websocket', [hub.httpPort]],
      ['fuzz_proxy_header', [open, hub.httpPort]],
      ['fuzz_json', [hub.httpPort]],
    ];
    let sent = 0;
    for (const [target, ports] of targets) {
      for (const file of readdirSync(join(corpus, target))) {
        const bytes = readFileSync(join(corpus, target, file));
        const all = ports.flatMap((port) => [{ port, before: Buffer.alloc(0) }, ...(port === hub.httpPort ? [] : [{ port, before: hello('seed', 5) }])]);
        await Promise.all(all.map(async ({ port, before }) => {
          const socket = await raw(port);
          const gone = new Promise((resolve) => socket.once('close', resolve));
          socket.resume();
          socket.end(Buffer.concat([before, bytes]));
          await gone;
          ++sent;
        }));
      }
    }
    assert.ok(sent > 500, `${sent} were sent`);
    await honest();
    assert.equal(hub.child?.exitCode, null);
  });
});

test('[F-45] connections that never say CONNECT do not keep a device out, and are given up', async () => {
  const files = descriptors();
  const silent = await Promise.all(Array.from({ length: 1_000 }, () => raw(hub.mqttPort)));
  const halves = await Promise.all(Array.from({ length: 500 }, (_, i) => raw(hub.mqttPort).then((socket) => {
    socket.write(hello(`h${i}`, 5).subarray(0, 10));
    return socket;
  })));
  await until(() => descriptors() >= files + 1_400, 'they are all there');
  await honest();
  const all = [...silent, ...halves];
  for (const socket of all) socket.resume();
  await until(() => all.every((socket) => socket.readableEnded || socket.destroyed), 'the hub has closed them all', 30_000);
  await until(() => descriptors() <= files + 8, 'their descriptors are free');
  for (const socket of all) socket.destroy();
});

test('[F-46] a subscriber that does not read is cut short, the others get everything', async () => {
  const stalled = await raw(open);
  stalled.write(hello('stalled', 5));
  stalled.write(packets.generate({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'flood', qos: 1 }] }, { protocolVersion: 5 }));
  await new Promise((resolve) => stalled.once('data', resolve));
  stalled.pause();
  const readers = await Promise.all(Array.from({ length: 3 }, (_, i) => connect(open, { clientId: `reader${i}`, protocolVersion: 5 })));
  for (const reader of readers) await reader.client.subscribeAsync('flood', { qos: 1 });
  const writer = await connect(open, { clientId: 'writer', protocolVersion: 5 });
  const before = resident();
  const payload = Buffer.alloc(10_000, 'x');
  const count = 10_000; // 100 MB, of which the stalled one may hold 8 MiB and what sockets hold
  for (let sent = 0; sent < count; sent += 100) {
    await Promise.all(Array.from({ length: 100 }, () => writer.client.publishAsync('flood', payload, { qos: 1 })));
    // They share a thread with the writer, and what they leave lying beyond 1,000 messages is dropped for them as well.
    await until(() => readers.every((reader) => reader.received.length >= sent - 300), 'the others keep up');
  }
  await until(() => readers.every((reader) => reader.received.length === count), 'the others have all', 30_000);
  assert.ok(resident() <= before + 24 * mebi, `${before} bytes before, ${resident()} with a stalled reader`);
  const dropped = /brim_broker_dropped_total\{reason="queue_full"\} (\d+)/.exec(await (await fetch(`${hub.url}/metrics`, { headers: { Authorization: `Bearer ${hub.token}` } })).text());
  assert.ok(Number(dropped?.[1]) > count / 2, `counted as dropped: ${dropped?.[1]}`);
  await honest();
  stalled.destroy();
  await Promise.all([...readers, writer].map((link) => link.leave()));
  await sleep(100);
});
