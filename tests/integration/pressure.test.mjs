// A hub at the end of its memory: it gives up load by class before the kernel ends it, says so, and comes back.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import packets from 'mqtt-packet';
import { MemoryGroup, whyNoGroup } from './support/cgroup.mjs';
import { connect, credentials } from './support/device.mjs';
import { freePort, Hub, sleep, until } from './support/hub.mjs';
import { enterPlain } from './support/raw.mjs';

const mebi = 1024 * 1024;
const limit = 256 * mebi;
const server_busy = 0x89;
const quota_exceeded = 0x97;
const sessions = 64; // each may hold 8 MiB: twice the limit
const payload_bytes = 64 * 1024;
const skip = whyNoGroup();
/** @type {Hub} */ let hub;
/** @type {MemoryGroup} */ let group;
let open = 0; // the port without logins

before(async () => {
  if (skip) return;
  open = await freePort();
  group = new MemoryGroup('hub', limit);
  hub = await Hub.prepare(`[[listener]]\nprotocol = "mqtt"\naddress = "127.0.0.1:${open}"\nauth = "unsafe-anonymous"\n`);
  hub.group = group.join;
  await hub.run();
  await hub.setUp();
});
after(async () => {
  await Promise.resolve(hub?.dispose()).finally(() => group?.remove());
});

const kept = (/** @type {number} */ i) => ({ clientId: `away${i}`, protocolVersion: /** @type {5} */ (5), clean: false, properties: { sessionExpiryInterval: 3_600 } });

/** Publishes to all sessions in turn until `enough`; returns what was acknowledged, by session, and how many were refused. @param {() => Promise<boolean>} enough */
async function fill(enough) {
  const taken = Array.from({ length: sessions }, () => /** @type {number[]} */ ([]));
  const writer = await connect(open, { clientId: 'writer', protocolVersion: 5 });
  let next = 0;
  let refused = 0;
  let done = false;
  const worker = async () => {
    while (!done) {
      const number = ++next;
      const payload = Buffer.alloc(payload_bytes, 'x');
      payload.writeUInt32BE(number);
      await writer.client.publishAsync(`load/${number % sessions}`, payload, { qos: 1 }).then(
        () => taken[number % sessions]?.push(number),
        (error) => {
          assert.equal(error.code, quota_exceeded);
          ++refused;
          return sleep(5);
        },
      );
    }
  };
  const workers = Promise.all(Array.from({ length: 16 }, worker));
  try {
    await until(enough, 'there is no more room', 60_000);
  } finally {
    done = true;
  }
  await workers;
  return { taken, refused, writer };
}

test('[F-88] [B-86] a hub in 256 MiB sheds load by class, is not killed, loses nothing acknowledged, and recovers', { skip }, async () => {
  assert.equal(await hub.metric('brim_memory_limit_bytes'), limit, 'the group, not the machine');
  const product = await hub.product('a1pressure');
  const device = await connect(hub.mqttPort, credentials(await hub.device(product, 'here')));
  const post = async () => assert.equal((await device.ask(`/sys/${product}/here/thing/event/property/post`, { id: '1', params: { count: 1 } })).json.code, 200);
  await post();
  for (let i = 0; i < sessions; ++i) {
    const link = await connect(open, kept(i));
    await link.client.subscribeAsync(`load/${i}`, { qos: 1 });
    await link.leave();
  }
  const watcher = await connect(open, { clientId: 'watcher', protocolVersion: 5 });
  await watcher.client.publishAsync('sign/a', 'retained', { qos: 1, retain: true });
  const stalled = await enterPlain(open, { clientId: 'stalled' });
  stalled.socket.write(packets.generate({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'flood', qos: 0 }] }, { protocolVersion: 5 }));
  await until(() => stalled.packets.some((each) => each.cmd === 'suback'), 'it subscribes');
  stalled.socket.pause();
  const idle = await Promise.all(Array.from({ length: 500 }, (_, i) => enterPlain(open, { clientId: `idle${i}` })));
  assert.ok(idle.every((each) => each.code === 0));

  const full = await fill(async () => (await hub.metric('brim_mqtt_shed_total{what="publish"}') ?? 0) > 50);
  assert.ok(full.refused > 50, `${full.refused} refused`);
  assert.ok(Number(await hub.metric('brim_memory_pressure')) >= 1, 'the alarm is on');
  assert.match(hub.output, /memory is short, load is shed/);
  assert.match(hub.output, /limit="?256 MiB/);

  assert.equal((await enterPlain(open, { clientId: 'stranger' })).code, server_busy);
  for (let i = 0; i < 1_000; ++i) await full.writer.client.publishAsync('flood', Buffer.alloc(10_000, 'x'), { qos: 0 });
  await until(async () => Number(await hub.metric('brim_mqtt_shed_total{what="qos0"}')) > 0, 'QoS 0 to who does not read is shed');
  assert.ok(Number(await hub.metric('brim_mqtt_shed_total{what="connect"}')) >= 1);
  await watcher.client.subscribeAsync('sign/#', { qos: 1 });
  await post();
  assert.equal(watcher.on('sign/a').length, 0, 'retained messages wait');
  stalled.socket.destroy();

  for (let i = 0; i < sessions; ++i) {
    const link = await connect(open, kept(i));
    const expected = full.taken[i] ?? [];
    await until(() => link.received.length >= expected.length, `all of session ${i}`, 30_000);
    assert.deepEqual(link.received.map((each) => each.packet.payload.readUInt32BE()), expected);
    await link.leave();
  }
  await until(async () => (await hub.metric('brim_memory_pressure')) === 0, 'the pressure is over', 30_000);
  assert.match(hub.output, /memory pressure is over/);
  await watcher.next('sign/a');
  assert.equal((await enterPlain(open, { clientId: 'stranger' })).code, 0);
  await post();
  assert.equal(group.kills, 0, 'the kernel killed nobody');
  for (const each of idle) each.socket.destroy();
  await Promise.all([device, watcher, full.writer].map((link) => link.leave()));
});
