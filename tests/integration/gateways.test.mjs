// Gateways and their sub-devices (hub-protocol 3.7), with a client that is not ours.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connect, credentials, sign } from './support/device.mjs';
import { demoModel, Hub, until } from './support/hub.mjs';

/** @type {Hub} */ let hub;
let made = 0;
/** @type {import('./support/device.mjs').Device[]} */ const open = [];
/** @typedef {Awaited<ReturnType<typeof fresh>>} Made */

before(async () => {
  hub = await Hub.start();
  await hub.product('a1gateway', { properties: [], events: [], services: [] }, 'gateway');
  await hub.product('a1sensor', demoModel);
});
after(async () => {
  for (const each of open) each.client.end(true);
  await hub.dispose();
});

async function fresh(product = 'a1sensor') {
  const device = await hub.device(product, `d${++made}`);
  const pair = `${device.productKey}/${device.deviceName}`;
  return { ...device, pair, sys: `/sys/${pair}/`, session: `/ext/session/${pair}/combine/`, errors: `/ext/error/${pair}`, path: `/api/v1/devices/${pair}` };
}
async function gateway() {
  const device = await fresh('a1gateway');
  const link = await connect(hub.mqttPort, credentials(device));
  open.push(link);
  return { device, link };
}
/** What a gateway says of a sub-device when it adds it or logs it in. @param {Made} sub */
function claim(sub, method = 'hmacSha256', timestamp = /** @type {string | number} */ ('1700000000000')) {
  const clientId = `${sub.productKey}.${sub.deviceName}`;
  const hash = method.toLowerCase().includes('sha256') ? 'sha256' : method.toLowerCase().includes('sha1') ? 'sha1' : 'md5';
  return { productKey: sub.productKey, deviceName: sub.deviceName, clientId, timestamp, signMethod: method, sign: sign(sub, clientId, String(timestamp), hash), cleanSession: 'true' };
}
/** @param {Made} sub */
const name = (sub) => ({ productKey: sub.productKey, deviceName: sub.deviceName });
/** @param {Made} device */
const status = async (device) => (await hub.ok('GET', device.path)).status;

/** A gateway with sub-devices added and logged in. */
async function carried(count = 1) {
  const { device, link } = await gateway();
  const subs = [];
  for (let i = 0; i < count; ++i) subs.push(await fresh());
  assert.equal((await link.ask(`${device.sys}thing/topo/add`, { id: '1', params: subs.map((sub) => claim(sub)) })).json.code, 200);
  assert.equal((await link.ask(`${device.session}batch_login`, { id: '2', params: { deviceList: subs.map((sub) => claim(sub)) } })).json.code, 200);
  return { device, link, subs, sub: /** @type {Made} */ (subs[0]) };
}

test('a sub-device is added with its own signature, in every spelling, and with no other', async () => {
  const { device, link } = await gateway();
  const add = `${device.sys}thing/topo/add`;
  for (const method of ['hmacMd5', 'hmacmd5', 'hmacSha1', 'HMACSHA256', 'Sha256']) {
    const sub = await fresh();
    const { signMethod, ...rest } = claim(sub, method, 1700000000000);
    const reply = (await link.ask(add, { id: '1', params: [{ ...rest, signmethod: signMethod }] })).json;
    assert.equal(reply.code, 200, `${method}: ${JSON.stringify(reply)}`);
    assert.deepEqual(reply.data, [name(sub)]);
  }
  const sub = await fresh();
  assert.equal((await link.ask(add, { id: '2', params: [{ ...claim(sub), sign: '0'.repeat(64) }] })).json.code, 401);
  assert.equal((await link.ask(add, { id: '3', params: [{ ...claim(sub), deviceName: 'nobody' }] })).json.code, 6100);
  assert.equal((await link.ask(add, { id: '4', params: [claim(device)] })).json.code, 6402);
  for (const params of [[], {}, 'x', [1, null], [[]]]) {
    assert.notEqual((await link.ask(add, { id: '5', params })).json.code, 200, JSON.stringify(params));
  }
  const listed = (await link.ask(`${device.sys}thing/topo/get`, { id: '6', params: {} })).json.data;
  assert.equal(listed.length, 5);
  const { device: other } = await gateway();
  const odd = (await link.ask(add, { id: '7', params: [claim(other)] })).json;
  assert.notEqual(odd.code, 200, 'a gateway behind a gateway is refused with an answer');
  const batch = (await link.ask(add, { id: '8', params: [claim(sub), { ...claim(sub), sign: 'no' }] })).json;
  assert.equal(batch.code, 401);
  assert.equal((await link.ask(`${device.sys}thing/topo/get`, { id: '9', params: {} })).json.data.length, 5, 'all or nothing');
});

test('a sub-device posts only while it is logged in', async () => {
  const { device, link } = await gateway();
  const sub = await fresh();
  const post = `${sub.sys}thing/event/property/post`;
  const login = `${device.session}login`;
  assert.equal((await link.ask(login, { id: '0', params: claim(sub) })).json.code, 6401, 'not added yet');
  await link.ask(`${device.sys}thing/topo/add`, { id: '1', params: [claim(sub)] });
  await link.publish(post, { id: '2', params: { temperature: 1 } });
  const refused = (await link.next(device.errors)).json;
  assert.equal(refused.code, 520);
  assert.deepEqual(refused.data, name(sub));
  assert.equal((await link.ask(login, { id: '3', params: { ...claim(sub), sign: '00' } })).json.code, 6287);
  const welcome = (await link.ask(login, { id: '4', params: claim(sub) })).json;
  assert.equal(welcome.code, 200);
  assert.deepEqual(welcome.data, name(sub));
  assert.equal(await status(sub), 'online');
  assert.equal((await link.ask(post, { id: '5', params: { temperature: 2 } })).json.code, 200);
  const [granted] = await link.client.subscribeAsync(`${sub.sys}thing/service/property/set`, { qos: 1 });
  assert.equal(granted?.qos, 1);
  await hub.ok('PUT', `${sub.path}/properties`, { values: { setpoint: 5 } });
  assert.deepEqual((await link.next(`${sub.sys}thing/service/property/set`)).json.params, { setpoint: 5 });
  assert.equal((await link.ask(`${device.session}logout`, { id: '6', params: name(sub) })).json.code, 200);
  assert.equal(await status(sub), 'offline');
  assert.equal((await link.ask(`${device.session}logout`, { id: '7', params: name(sub) })).json.code, 520);
  await link.publish(post, { id: '8', params: { temperature: 3 } });
  await link.next(device.errors, 2);
  assert.equal(link.on(`${post}_reply`).length, 1);
});

test('a batch of logins is all or nothing, and has a largest size', async () => {
  const { device, link } = await gateway();
  const subs = [await fresh(), await fresh(), await fresh()];
  await link.ask(`${device.sys}thing/topo/add`, { id: '1', params: subs.map((sub) => claim(sub)) });
  const batch = `${device.session}batch_login`;
  const bad = subs.map((sub, i) => (i === 2 ? { ...claim(sub), sign: '00' } : claim(sub)));
  assert.equal((await link.ask(batch, { id: '2', params: { deviceList: bad } })).json.code, 6287);
  for (const sub of subs) assert.notEqual(await status(sub), 'online');
  assert.equal((await link.ask(batch, { id: '3', params: { deviceList: subs.map((sub) => claim(sub)) } })).json.data.length, 3);
  for (const sub of subs) assert.equal(await status(sub), 'online');
  const first = claim(/** @type {Made} */ (subs[0]));
  assert.equal((await link.ask(batch, { id: '4', params: { deviceList: Array(51).fill(first) } })).json.code, 460);
  assert.equal((await link.ask(batch, { id: '5', params: { deviceList: [] } })).json.code, 460);
  assert.equal((await link.ask(batch, { id: '6', params: 7 })).json.code, 460);
  assert.equal((await link.ask(`${device.session}batch_logout`, { id: '7', params: subs.map(name) })).json.code, 200);
  for (const sub of subs) assert.equal(await status(sub), 'offline');
});

test('the connection of a sub-device is its gateway; an operator can log it out there', async () => {
  const { device, link, sub } = await carried();
  assert.deepEqual(await hub.ok('GET', `${sub.path}/connection`), { online: true, gateway: name(device), session: null });
  assert.equal((await hub.call('DELETE', `${sub.path}/connection`)).status, 204);
  const told = (await link.next(device.errors)).json;
  assert.equal(told.code, 520, 'log it in again');
  assert.deepEqual(told.data, name(sub));
  assert.deepEqual(await hub.ok('GET', `${sub.path}/connection`), { online: false, gateway: null, session: null });
  assert.equal(await status(device), 'online');
  assert.equal((await link.ask(`${device.session}login`, { id: '3', params: claim(sub) })).json.code, 200);
  assert.equal(await status(sub), 'online');
});

test('when the gateway goes, its sub-devices are offline and have to log in again', async () => {
  const { device, link, subs } = await carried(3);
  link.cut();
  await until(async () => (await Promise.all(subs.map(status))).every((each) => each === 'offline'), 'all are offline');
  assert.match((await hub.ok('GET', /** @type {Made} */ (subs[0]).path)).statusReason, /gateway/);
  const again = await connect(hub.mqttPort, credentials(device));
  open.push(again);
  await again.publish(`${/** @type {Made} */ (subs[0]).sys}thing/event/property/post`, { id: '1', params: { temperature: 1 } });
  assert.equal((await again.next(device.errors)).json.code, 520);
});

test('a taken-over gateway connection keeps nobody logged in', async () => {
  const { device, link, sub } = await carried();
  const second = await connect(hub.mqttPort, credentials(device, 'other'));
  open.push(second);
  await until(() => link.closed, 'the older connection is closed');
  assert.equal(await status(sub), 'offline');
  assert.equal(await status(device), 'online');
});

test('a sub-device moves to the gateway that adds it last', async () => {
  const { device: first, link: old, sub } = await carried();
  const { device: second, link } = await gateway();
  await link.ask(`${second.sys}thing/topo/add`, { id: '1', params: [claim(sub)] });
  const told = (await old.next(`${first.sys}thing/topo/change`)).json;
  assert.equal(told.params.status, 1);
  assert.deepEqual(told.params.subList, [name(sub)]);
  assert.equal(await status(sub), 'offline');
  assert.equal((await link.ask(`${second.session}login`, { id: '2', params: claim(sub) })).json.code, 200);
  assert.equal((await old.ask(`${first.session}login`, { id: '3', params: claim(sub) })).json.code, 6401);
  await old.publish(`${sub.sys}thing/event/property/post`, { id: '4', params: { temperature: 9 } });
  assert.deepEqual((await hub.ok('GET', sub.path)).gateway, name(second));
  assert.equal((await link.ask(`${sub.sys}thing/event/property/post`, { id: '5', params: { temperature: 8 } })).json.code, 200);
});

test('a device has one session: directly or through its gateway, the newer wins, and epochs grow', async () => {
  const { device, link, sub } = await carried();
  const through = (await hub.ok('GET', sub.path)).epoch;
  const direct = await connect(hub.mqttPort, credentials(sub));
  open.push(direct);
  const now = await hub.ok('GET', sub.path);
  assert.equal(now.status, 'online');
  assert.ok(now.epoch > through, `${now.epoch} > ${through}`);
  await link.publish(`${sub.sys}thing/event/property/post`, { id: '1', params: { temperature: 1 } });
  await until(() => link.on(device.errors).length > 0, 'the gateway is told that its session is gone');
  assert.equal(link.on(`${sub.sys}thing/event/property/post_reply`).length, 0);
  link.cut();
  await until(async () => (await status(device)) === 'offline', 'the gateway is offline');
  assert.equal(await status(sub), 'online', 'its own connection is up');
  const back = await connect(hub.mqttPort, credentials(device));
  open.push(back);
  assert.equal((await back.ask(`${device.session}login`, { id: '2', params: claim(sub) })).json.code, 200);
  await until(() => direct.closed, 'its own connection is ended');
  const last = await hub.ok('GET', sub.path);
  assert.equal(last.status, 'online');
  assert.ok(last.epoch > now.epoch, `${last.epoch} > ${now.epoch}`);
});

test('disabling and deleting a sub-device tell its gateway', async () => {
  const { device, link, subs } = await carried(2);
  const [off, gone] = /** @type {[Made, Made]} */ (subs);
  await hub.ok('POST', `${off.path}/disable`);
  assert.equal((await link.next(device.errors)).json.code, 522);
  assert.equal((await link.ask(`${device.session}login`, { id: '3', params: claim(off) })).json.code, 522);
  assert.equal((await hub.call('DELETE', gone.path)).status, 204);
  assert.equal((await link.next(device.errors, 2)).json.code, 521);
  assert.equal((await link.ask(`${device.session}login`, { id: '4', params: claim(gone) })).json.code, 521);
});

test('topology is changed by the API, and a refused change changes nothing', async () => {
  const { device, link, sub } = await carried();
  const plain = await fresh();
  const wrong = await hub.call('POST', `/api/v1/gateways/${plain.pair}/devices`, name(sub));
  assert.equal(wrong.status, 422, wrong.text);
  assert.equal(await status(sub), 'online', 'still logged in');
  assert.deepEqual((await hub.ok('GET', sub.path)).gateway, name(device));
  assert.equal((await hub.call('DELETE', `/api/v1/gateways/${device.pair}/devices/${plain.pair}`)).status, 404);
  assert.equal((await hub.call('POST', `/api/v1/gateways/${device.pair}/devices`, name(plain))).status, 204);
  assert.equal((await link.next(`${device.sys}thing/topo/change`)).json.params.status, 0);
  assert.equal((await hub.ok('GET', `/api/v1/gateways/${device.pair}/devices`)).items.length, 2);
  assert.equal((await hub.call('DELETE', `/api/v1/gateways/${device.pair}/devices/${sub.pair}`)).status, 204);
  assert.equal(await status(sub), 'offline');
  assert.equal((await link.next(`${device.sys}thing/topo/change`, 2)).json.params.status, 1);
  assert.equal((await link.ask(`${device.sys}thing/topo/delete`, { id: '1', params: [name(plain)] })).json.code, 200);
  assert.equal((await link.ask(`${device.sys}thing/topo/delete`, { id: '2', params: [name(plain)] })).json.code, 6401);
});

test('only a gateway has sub-devices, and it learns no secret of others', async () => {
  const { device, link, sub } = await carried();
  const stranger = await fresh();
  assert.equal((await link.ask(`${device.sys}thing/sub/register`, { id: '1', params: [name(stranger)] })).json.code, 6619);
  assert.equal((await link.ask(`${device.sys}thing/sub/register`, { id: '2', params: [name(sub)] })).json.data[0].deviceSecret, sub.deviceSecret);
  const direct = await connect(hub.mqttPort, credentials(stranger));
  open.push(direct);
  assert.equal((await direct.ask(`${stranger.sys}thing/topo/add`, { id: '3', params: [claim(sub)] })).json.code, 6401);
});
