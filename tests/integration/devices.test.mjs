// Devices at the MQTT door, with a client that is not ours (hub-protocol 2.1, 2.2, 3.0 to 3.2).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connackCode, connect, credentials, sign } from './support/device.mjs';
import { Hub, until } from './support/hub.mjs';

/** @type {Hub} */ let hub;
let made = 0;
const product = 'a1devices';
/** @type {import('./support/device.mjs').Device[]} */ const open = [];

before(async () => {
  hub = await Hub.start();
  await hub.product(product);
});
after(async () => {
  for (const each of open) each.client.end(true);
  await hub.dispose();
});

async function fresh() {
  const device = await hub.device(product, `d${++made}`);
  return { ...device, sys: `/sys/${device.productKey}/${device.deviceName}/`, path: `/api/v1/devices/${device.productKey}/${device.deviceName}` };
}
/** @param {import('mqtt').IClientOptions} options */
async function join(options) {
  const device = await connect(hub.mqttPort, options);
  open.push(device);
  return device;
}
async function online(options = {}) {
  const device = await fresh();
  return { device, link: await join({ ...credentials(device), ...options }) };
}

test('each sign method is accepted, hex in either case, and a wrong secret never', async () => {
  const device = await fresh();
  const username = `${device.deviceName}&${device.productKey}`;
  for (const method of ['md5', 'sha1', 'sha256']) {
    const password = sign(device, 'x', '17', method);
    for (const [client, pass, code] of /** @type {[string, string, number][]} */ ([
      [`x|securemode=3,signmethod=hmac${method},timestamp=17|`, password, 0],
      [`x|securemode=3,signmethod=HMAC${method.toUpperCase()},timestamp=17|`, password.toUpperCase(), 0],
      [`x|securemode=3,signmethod=hmac${method},timestamp=18|`, password, 5],
      [`x|securemode=3,signmethod=hmac${method},timestamp=17|`, password.slice(0, -1) + (password.endsWith('0') ? '1' : '0'), 5],
      [`x|securemode=3,signmethod=hmac${method},timestamp=17|`, password.slice(0, -2), 5],
      [`x|securemode=3,signmethod=hmac${method},timestamp=17|`, '', 5],
    ])) {
      assert.equal(await connackCode(hub.mqttPort, { clientId: client, username, password: pass }), code, `${client} ${pass}`);
    }
  }
});

test('the client ids of the field are understood', async () => {
  const device = await fresh();
  const username = `${device.deviceName}&${device.productKey}`;
  const own = `${device.productKey}&${device.deviceName}_aliyun-iot-device-sdk-js`;
  for (const [client, password] of /** @type {[string, string][]} */ ([
    [`${own}|securemode=3,\n        signmethod=hmacsha1,\n        timestamp=1795217047870|`, sign(device, own, '1795217047870', 'sha1')],
    ['|timestamp=5|', sign(device, '', '5', 'md5')],
    ['a.b|securemode=3,signmethod=hmacsha256,timestamp=5,ext=1,_ss=1,lan=C,|', sign(device, 'a.b', '5')],
    ['plain|securemode=3|', sign(device, 'plain', '', 'md5')],
    ['p|timestamp=9,unknown=1,signmethod=hmacsha256,securemode=2|', sign(device, 'p', '9')],
  ])) {
    assert.equal(await connackCode(hub.mqttPort, { clientId: client, username, password }), 0, JSON.stringify(client));
  }
  assert.notEqual(await connackCode(hub.mqttPort, { clientId: 'x|signmethod=rot13|', username, password: sign(device, 'x', '', 'md5') }), 0);
});

test('refusals carry the code of their reason, in both protocol versions', async () => {
  const device = await fresh();
  const good = credentials(device);
  const off = await fresh();
  await hub.ok('POST', `${off.path}/disable`);
  const cases = /** @type {[string, import('mqtt').IClientOptions, number, number][]} */ ([
    ['wrong secret', { ...good, password: 'f'.repeat(64) }, 5, 0x87],
    ['unknown device', { ...good, username: `nobody&${product}` }, 5, 0x87],
    ['unknown product', { ...good, username: `${device.deviceName}&a1nothing` }, 5, 0x87],
    ['user name without &', { ...good, username: 'nonsense' }, 4, 0x86],
    ['empty halves', { ...good, username: '&' }, 4, 0x86],
    ['disabled', credentials(off), 5, 0x8a],
  ]);
  for (const [name, options, v3, v5] of cases) {
    assert.equal(await connackCode(hub.mqttPort, options), v3, name);
    assert.equal(await connackCode(hub.mqttPort, { ...options, protocolVersion: 5 }), v5, `${name}, MQTT 5`);
  }
  await hub.ok('POST', `${off.path}/enable`);
  assert.equal(await connackCode(hub.mqttPort, credentials(off)), 0, 'enabled again');
});

test('keep-alive is 30 to 1200 s: 3.1.1 is refused outside, MQTT 5 is told the nearest', async () => {
  const device = await fresh();
  for (const [seconds, code] of [[29, 3], [30, 0], [1200, 0], [1201, 3], [0, 3]]) {
    const got = await connackCode(hub.mqttPort, { ...credentials(device), keepalive: seconds });
    assert.equal(got, code, `keep-alive ${seconds}`);
  }
  for (const [asked, told] of [[10, 30], [2000, 1200], [0, 1200]]) {
    const link = await join({ ...credentials(device), protocolVersion: 5, keepalive: asked });
    assert.equal(link.connack.properties.serverKeepAlive, told);
    assert.equal(link.connack.properties.maximumQoS, 1);
    await link.leave();
  }
});

test('a device has one connection: the newer wins even with another client id, and epochs grow', async () => {
  const device = await fresh();
  const first = await join({ ...credentials(device, 'one'), protocolVersion: 5 });
  const before = await hub.ok('GET', device.path);
  assert.equal(before.status, 'online');
  const second = await join(credentials(device, 'two'));
  await until(() => first.closed, 'the older connection is closed');
  assert.equal(first.goodbye?.reasonCode, 0x8e, 'session taken over');
  const now = await hub.ok('GET', device.path);
  assert.equal(now.status, 'online');
  assert.ok(now.epoch > before.epoch, `${now.epoch} > ${before.epoch}`);
  assert.equal((await second.ask(`${device.sys}thing/dsltemplate/get`, { id: '1', params: {} })).json.code, 200);
  await second.leave();
  await until(async () => (await hub.ok('GET', device.path)).status === 'offline', 'it is offline');
});

test("foreign topics are closed: a subscription gets 0x80, a publish reaches nobody", async () => {
  const { device, link } = await online();
  const { device: other, link: victim } = await online();
  const foreign = [`${other.sys}thing/service/property/set`, `/${product}/${other.deviceName}/user/get`, '#', '/sys/#', `/sys/${product}/+/thing/#`, '$SYS/#'];
  for (const topic of foreign) {
    const [granted] = await link.client.subscribeAsync(topic, { qos: 1 }).catch(() => [{ qos: 128 }]);
    assert.equal(granted?.qos, 128, topic);
  }
  await link.publish(`${other.sys}thing/event/property/post`, { id: '1', params: { temperature: 666 } }).catch(() => {});
  await victim.ask(`${other.sys}thing/event/property/post`, { id: '2', params: { count: 1 } });
  const { items } = await hub.ok('GET', `${other.path}/properties`);
  assert.equal(items.find((/** @type {any} */ each) => each.identifier === 'temperature').value ?? null, null);
  const [own] = await link.client.subscribeAsync(`/${product}/${device.deviceName}/user/get`, { qos: 1 }).catch(() => [{ qos: 128 }]);
  if (!link.closed) assert.equal(own?.qos, 1, 'its own topic is open');
});

test('a reply arrives once, with and without SUBSCRIBE', async () => {
  const { device, link } = await online();
  const topic = `${device.sys}thing/event/property/post`;
  await link.ask(topic, { id: '1', params: { temperature: 1 } });
  await link.client.subscribeAsync(`${topic}_reply`, { qos: 1 });
  await link.ask(topic, { id: '2', params: { temperature: 2 } });
  await link.client.subscribeAsync(`${device.sys}thing/event/+/post_reply`, { qos: 1 });
  await link.ask(topic, { id: '3', params: { temperature: 3 } });
  await link.ask(`${device.sys}thing/dsltemplate/get`, { id: '4', params: {} });
  assert.deepEqual(link.on(`${topic}_reply`).map((each) => each.json.id), ['1', '2', '3']);
});

test('a property post takes both shapes, lists what it rejects, and echoes the id as it came', async () => {
  const { device, link } = await online();
  const topic = `${device.sys}thing/event/property/post`;
  const time = Date.now() - 5_000;
  const mixed = (await link.ask(topic, { id: '7', version: '1.0', params: { temperature: { value: 21.5, time }, count: 4, nonsense: 1, label: 5, setpoint: 1e9 } })).json;
  assert.equal(mixed.code, 200);
  assert.deepEqual(Object.keys(mixed.data).sort(), ['label', 'nonsense', 'setpoint']);
  assert.equal(mixed.data.nonsense, 'tsl parse: params not exist');
  const { items } = await hub.ok('GET', `${device.path}/properties`);
  const at = Object.fromEntries(items.map((/** @type {any} */ each) => [each.identifier, each]));
  assert.equal(at.temperature.value, 21.5);
  assert.equal(Date.parse(at.temperature.time), time);
  assert.equal(at.count.value, 4);
  assert.equal(at.setpoint.value ?? null, null);
  for (const id of ['12', 12, `1|exp-topic|${topic}_reply`, 'a "quoted" \u00e9 id']) {
    const reply = (await link.ask(topic, { id, params: { count: 1 } })).json;
    assert.deepEqual(reply.id, id);
    assert.equal(reply.method, 'thing.event.property.post');
    assert.deepEqual(reply.data, {});
  }
  for (const params of [{ count: { value: 5, time: -1 } }, { count: { value: 5, time: 9e15 } }]) {
    assert.deepEqual(Object.keys((await link.ask(topic, { id: '1', params })).json.data), ['count'], JSON.stringify(params));
  }
  for (const bad of ['', 'no json', '[]', '{"id":"1","params":7}']) {
    const reply = (await link.ask(topic, bad)).json;
    assert.notEqual(reply.code, 200, bad);
    assert.equal(typeof reply.data, 'object');
  }
  await link.publish(topic, { id: '90', sys: { ack: 0 }, params: { count: 90 } });
  await link.ask(topic, { id: '91', params: { count: 91 } });
  assert.equal(link.on(`${topic}_reply`).filter((each) => each.json.id === '90').length, 0, 'ack 0 wants no reply');
});

test('an event is taken wrapped and flat, and seen in the list of events', async () => {
  const { device, link } = await online();
  const topic = `${device.sys}thing/event/alarm/post`;
  const time = Date.now() - 1_000;
  assert.equal((await link.ask(topic, { id: '1', params: { value: { code: 3 }, time } })).json.code, 200);
  assert.equal((await link.ask(topic, { id: '2', params: { code: 4 } })).json.code, 200);
  assert.deepEqual(Object.keys((await link.ask(topic, { id: '3', params: { code: 1000, other: 1 } })).json.data).sort(), ['code', 'other']);
  const far = (await link.ask(topic, { id: '4', params: { value: { code: 5 }, time: 9e15 } })).json;
  assert.equal(far.code, 200);
  const unknown = (await link.ask(`${device.sys}thing/event/nothing/post`, { id: '5', params: {} })).json;
  assert.notEqual(unknown.code, 200);
  const items = await until(async () => {
    const page = await hub.ok('GET', `${device.path}/events`);
    return page.items.length === 4 ? page.items : undefined;
  }, 'four events');
  assert.ok(items.some((/** @type {any} */ each) => each.time === time && each.output.code === 3));
  for (const each of items) assert.ok(each.time > time - 1 && each.time <= Date.now() + 86_400_000, `time ${each.time} is believable`);
});

test('a property set goes pending, then confirmed by the report or failed by the reply', async () => {
  const { device, link } = await online();
  const set = `${device.sys}thing/service/property/set`;
  const sent = await hub.ok('PUT', `${device.path}/properties`, { values: { setpoint: 42, label: 'a' } });
  assert.equal(sent.delivered, true);
  const down = await link.next(set);
  assert.deepEqual(down.json.params, { setpoint: 42, label: 'a' });
  assert.match(down.json.id, /^\d{1,10}$/);
  await link.publish(`${set}_reply`, { id: down.json.id, code: 200, data: {} });
  await link.ask(`${device.sys}thing/event/property/post`, { id: '1', params: { setpoint: 42, label: 'b' } });
  const state = async (/** @type {string} */ name) => (await hub.ok('GET', `${device.path}/properties`)).items.find((/** @type {any} */ each) => each.identifier === name).desired;
  assert.equal((await state('setpoint')).state, 'confirmed');
  assert.equal((await state('label')).state, 'pending', 'another value confirms nothing');
  await hub.ok('PUT', `${device.path}/properties`, { values: { setpoint: 43 } });
  const second = await link.next(set, 2);
  await link.publish(`${set}_reply`, { id: second.json.id, code: 460, message: 'too hot', data: {} });
  const failed = await until(async () => ((await state('setpoint')).state === 'failed' ? state('setpoint') : undefined), 'failed');
  assert.match(failed.message, /460.*too hot/);
  assert.equal(failed.version, 2);
  for (const values of [{ temperature: 1 }, { setpoint: 'x' }, { nothing: 1 }, { setpoint: 1e9 }]) {
    assert.equal((await hub.call('PUT', `${device.path}/properties`, { values })).status, 422, JSON.stringify(values));
  }
});

test('a desired value waits for an absent device, which can read and delete it', async () => {
  const device = await fresh();
  assert.equal((await hub.ok('PUT', `${device.path}/properties`, { values: { setpoint: 7 } })).delivered, false);
  const link = await join(credentials(device));
  assert.deepEqual((await link.next(`${device.sys}thing/service/property/set`)).json.params, { setpoint: 7 });
  const get = `${device.sys}thing/property/desired/get`;
  assert.deepEqual((await link.ask(get, { id: '1', params: ['setpoint', 'label', 'nothing'] })).json.data, { setpoint: { value: 7, version: 1 } });
  const drop = `${device.sys}thing/property/desired/delete`;
  await link.ask(drop, { id: '2', params: { setpoint: { version: 9 } } });
  assert.deepEqual((await link.ask(get, { id: '3', params: ['setpoint'] })).json.data, { setpoint: { value: 7, version: 1 } }, 'another version');
  await link.ask(drop, { id: '4', params: { setpoint: { version: 1 }, nothing: {} } });
  assert.deepEqual((await link.ask(get, { id: '5', params: ['setpoint'] })).json.data, {});
});

test('a service call gets the answer of the device, or says why there is none', async () => {
  const { device, link } = await online();
  const calling = hub.call('POST', `${device.path}/services/restart`, { input: { delay: 3 } });
  const down = await link.next(`${device.sys}thing/service/restart`);
  assert.deepEqual(down.json.params, { delay: 3 });
  assert.equal(down.json.method, 'thing.service.restart');
  await link.publish(`${device.sys}thing/service/restart_reply`, { id: down.json.id, code: 200, data: { took: 12 } });
  const answer = await calling;
  assert.equal(answer.status, 200);
  assert.deepEqual(answer.json.output, { took: 12 });
  const late = await hub.call('POST', `${device.path}/services/restart`, { input: {}, timeoutMs: 100 });
  assert.equal(late.status, 504);
  assert.equal((await hub.call('POST', `${device.path}/services/nothing`, {})).status, 404);
  assert.equal((await hub.call('POST', `${device.path}/services/restart`, { input: { delay: 61 } })).status, 422);
  assert.equal((await hub.call('POST', `${device.path}/services/restart`, { input: { other: 1 } })).status, 422);
  await link.leave();
  await until(async () => (await hub.ok('GET', device.path)).status === 'offline', 'it is offline');
  assert.equal((await hub.call('POST', `${device.path}/services/restart`, { input: {} })).status, 503);
});

test('a reply of another device answers nothing', async () => {
  const { device, link } = await online();
  const { device: other, link: liar } = await online();
  const calling = hub.call('POST', `${device.path}/services/restart`, { input: {}, timeoutMs: 1500 });
  const down = await link.next(`${device.sys}thing/service/restart`);
  await liar.publish(`${other.sys}thing/service/restart_reply`, { id: down.json.id, code: 200, data: { took: 1 } });
  assert.equal((await calling).status, 504);
});

test('time and thing model can be asked for', async () => {
  const { device, link } = await online();
  const ntp = `/ext/ntp/${device.productKey}/${device.deviceName}/`;
  const time = (await link.ask(`${ntp}request`, { deviceSendTime: '1571724098000' }, `${ntp}response`)).json;
  assert.equal(time.deviceSendTime, '1571724098000');
  assert.ok(Math.abs(Number(time.serverRecvTime) - Date.now()) < 60_000);
  assert.ok(Number(time.serverSendTime) >= Number(time.serverRecvTime));
  const tsl = (await link.ask(`${device.sys}thing/dsltemplate/get`, { id: 5, params: '{}' })).json;
  assert.equal(tsl.id, 5);
  assert.equal(tsl.data.profile.productKey, product);
  assert.ok(tsl.data.properties.length >= 4);
});

test('disabling and deleting end the connection at once', async () => {
  const { device, link } = await online({ protocolVersion: 5 });
  await hub.ok('POST', `${device.path}/disable`);
  await until(() => link.closed, 'the connection is closed');
  assert.equal(link.goodbye?.reasonCode, 0x98, 'administrative action: "banned" is a code of CONNACK alone');
  assert.equal((await hub.ok('GET', device.path)).status, 'disabled');
  const { device: second, link: other } = await online();
  assert.equal((await hub.call('DELETE', second.path)).status, 204);
  await until(() => other.closed, 'the connection is closed');
  assert.equal((await hub.call('GET', second.path)).status, 404);
  assert.equal(await connackCode(hub.mqttPort, credentials(second)), 5);
});

test('a connection is shown with its session and what waits in it, and an operator can end it', async () => {
  const device = await fresh();
  const path = `${device.path}/connection`;
  assert.deepEqual(await hub.ok('GET', path), { online: false, gateway: null, session: null });
  assert.equal((await hub.call('DELETE', path)).status, 409, 'there is nothing to end');
  const kept = { ...credentials(device), protocolVersion: /** @type {5} */ (5), clean: false, keepalive: 60, properties: { sessionExpiryInterval: 600 } };
  const link = await join(kept);
  const filter = `/${product}/${device.deviceName}/user/get`;
  await link.client.subscribeAsync(filter, { qos: 1 });
  const up = await hub.ok('GET', path);
  assert.equal(up.online, true);
  assert.match(up.session.address, /^127\.0\.0\.1:\d+$/);
  const { address, connectedAt, ...session } = up.session;
  assert.ok(Math.abs(Date.now() - Date.parse(connectedAt)) < 60_000, `${connectedAt}, ${address}`);
  const facts = { protocol: '5', kept: true, will: false, queued: 0, queuedBytes: 0, inflightOut: 0, inflightIn: 0, expirySeconds: 600, subscriptionCount: 1, subscriptions: [{ filter, qos: 1 }] };
  assert.deepEqual(session, { ...facts, online: true, proxy: '', tls: false, keepAliveSeconds: 60, slow: false });

  assert.equal((await hub.call('DELETE', path)).status, 204);
  await until(() => link.closed, 'the connection is closed');
  assert.equal(link.goodbye?.reasonCode, 0x98);
  const { status, statusReason } = await hub.ok('GET', device.path);
  assert.deepEqual([status, statusReason], ['offline', 'ended']);
  const away = await hub.ok('GET', path);
  assert.equal(away.online, false);
  const { expiresAt, ...rest } = away.session;
  assert.deepEqual(rest, { ...facts, online: false });
  assert.ok(Math.abs(Date.parse(expiresAt) - Date.now() - 600_000) < 60_000, expiresAt);
  const back = await join(kept);
  assert.equal(back.connack.sessionPresent, true, 'what waits for it stays');
});

test('a device that comes back 30 times has a growing epoch each time, also over a restart of the hub', async () => {
  const device = await fresh();
  let last = 0;
  for (let i = 0; i < 30; ++i) {
    const link = await connect(hub.mqttPort, credentials(device, `c${i}`));
    const { epoch } = await hub.ok('GET', device.path);
    assert.ok(epoch > last, `${epoch} > ${last}`);
    last = epoch;
    if (i % 2) link.cut();
    else await link.leave();
  }
  await hub.end();
  await hub.run();
  const link = await connect(hub.mqttPort, credentials(device));
  assert.ok((await hub.ok('GET', device.path)).epoch > last);
  await link.leave();
});
