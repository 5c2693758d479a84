// More clients than a hub may have descriptors: it refuses those beyond, serves the others, and keeps enough for its files.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import packets from 'mqtt-packet';
import { connect, connackCode, credentials } from './support/device.mjs';
import { freePort, Hub, until } from './support/hub.mjs';
import { enterPlain } from './support/raw.mjs';

/** @typedef {import('./support/raw.mjs').Raw} Raw */
const limit = 1_024;
const kept = 64; // what connections leave to files
/** @type {Hub} */ let hub;
/** @type {import('./support/device.mjs').Credentials} */ let device;
let open = 0; // the port without logins

before(async () => {
  open = await freePort();
  hub = await Hub.prepare(`[[listener]]\nprotocol = "mqtt"\naddress = "127.0.0.1:${open}"\nauth = "unsafe-anonymous"\n`);
  hub.descriptors = limit;
  await hub.run();
  await hub.setUp();
  await hub.product('a1files');
  device = await hub.device('a1files', 'here');
});
after(() => hub?.dispose());

const descriptors = () => readdirSync(`/proc/${hub.child?.pid}/fd`).length;

/** 2,000 at a time would fill the listener's backlog, not its patience. @param {number} count @param {string} name @returns {Promise<Raw[]>} */
async function crowd(count, name) {
  const all = [];
  for (let done = 0; done < count; done += 100) {
    all.push(...await Promise.all(Array.from({ length: Math.min(100, count - done) }, (_, i) => enterPlain(open, { clientId: `${name}${done + i}` }))));
  }
  return all;
}

/** A QoS 1 message is acknowledged. @param {Raw} raw @param {number} messageId */
async function publishes(raw, messageId) {
  raw.socket.write(packets.generate({ cmd: 'publish', topic: 't', payload: 'x', qos: 1, messageId, dup: false, retain: false }, { protocolVersion: 5 }));
  await until(() => raw.packets.some((each) => each.cmd === 'puback' && each.messageId === messageId), 'its message is acknowledged');
}

test('[F-89] [B-15] with 1,024 descriptors and 2,000 clients those beyond are refused, the others served, the policy kept', async () => {
  const link = await connect(hub.mqttPort, credentials(device));
  const post = async () => assert.equal((await link.ask('/sys/a1files/here/thing/event/property/post', { id: '1', params: { count: 1 } })).json.code, 200);
  const clients = await crowd(2_000, 'c');
  const inside = clients.filter((each) => each.code === 0);
  const outside = clients.filter((each) => each.code === -1);
  assert.equal(inside.length + outside.length, 2_000, 'each is taken or closed, none is left waiting');
  assert.ok(inside.length > limit - kept - 100 && inside.length <= limit - kept, `${inside.length} are in`);
  assert.ok(descriptors() <= limit - kept + 8, `${descriptors()} descriptors: the rest is for files`);
  assert.ok(inside.every((each) => !each.socket.destroyed), 'nobody was thrown out for another');
  assert.match(hub.output, /connections refused: too many are open/);
  const lines = hub.output.match(/connections refused: too many are open/g)?.length ?? 0;
  assert.ok(lines < 20, `${lines} lines for ${outside.length} refusals`);

  await post(); // stored and synced all the same
  await publishes(/** @type {Raw} */ (inside[0]), 1);
  await publishes(/** @type {Raw} */ (inside.at(-1)), 1);

  const from = hub.output.length;
  hub.child?.kill('SIGHUP');
  await until(() => /configuration read again/.test(hub.output.slice(from)), 'there were descriptors to read it with');
  for (const each of await crowd(40, 'more')) if (each.code === 0) inside.push(each); // an idle HTTP connection may have ended
  assert.equal((await enterPlain(hub.mqttPort, { clientId: 'anyone' })).code, -1, 'full for everybody');
  await post();

  for (const each of inside.splice(0, 100)) each.socket.destroy();
  await until(() => descriptors() < limit - kept - 90, 'there is room again');
  assert.ok(await connackCode(hub.mqttPort, { clientId: 'anyone' }) > 0, 'nobody comes in without a login');
  const again = await connect(hub.mqttPort, credentials(device)); // takes over from the first
  await again.leave();
  const late = await crowd(80, 'late');
  assert.ok(late.every((each) => each.code === 0), 'freed places are used again');
  await publishes(/** @type {Raw} */ (late[0]), 1);
  await publishes(/** @type {Raw} */ (inside[0]), 2);
  assert.ok(Number(await hub.metric('brim_accept_failed_total{reason="descriptors"}')) >= outside.length);
  for (const each of [...inside, ...late]) each.socket.destroy();
  await link.leave();
});
