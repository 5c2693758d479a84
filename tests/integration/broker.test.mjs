// The broker for apps and LAN devices as its users meet it: a hub or an edge as a process, files of users and permissions, and
// clients that are not ours (mosquitto's, npm mqtt). B-38 to B-45 of the fault list; nothing lost over kill -9.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createServer, connect as connectTcp } from 'node:net';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { BrokerHub, connect, connectTo, refusal, token } from './support/broker.mjs';
import { Authority } from './support/certificates.mjs';
import { Edge } from './support/edge.mjs';
import { brimProgram, execute, freePort, hubProgram, sleep, until } from './support/hub.mjs';
import { scramLogin } from './support/scram.mjs';

const kept = { clean: false, properties: { sessionExpiryInterval: 3600 } };

/** @param {import('./support/broker.mjs').Got[]} got */
const payloads = (got) => got.map((each) => each.payload);

describe('users and permissions', () => {
  /** @type {BrokerHub} */ let broker;
  before(async () => {
    broker = await BrokerHub.start({ acl: 'user ann\ntopic readwrite plant/#\ntopic deny plant/safe/#\nuser bob\ntopic read plant/#\npattern readwrite own/%u/#\n' });
  });
  after(() => broker.dispose());

  test('[B-42] without a right password nobody gets in, whatever the name', async () => {
    assert.equal(await refusal(broker.port, { username: 'ann', password: 'ann-secret', clientId: 'a' }), 0);
    for (const wrong of [{ username: 'ann', password: 'bob-secret' }, { username: 'ann' }, {}, { username: 'nobody', password: 'x' }, { username: '#', password: 'x' }, { username: '', password: '' }])
      assert.notEqual(await refusal(broker.port, { clientId: 'a', ...wrong }), 0, JSON.stringify(wrong));
    assert.equal(await refusal(broker.port, { username: 'ann', password: 'no', clientId: 'a' }), 0x87);
  });

  test("mosquitto's own clients publish and subscribe as a user", async () => {
    const words = ['-h', '127.0.0.1', '-p', String(broker.port), '-u', 'ann', '-P', 'ann-secret', '-q', '1'];
    let done = false;
    const reader = execute('mosquitto_sub', [...words, '-t', 'plant/m', '-C', '1', '-W', '20']).finally(() => (done = true));
    // Until it has one: nobody tells when its subscription is there.
    await until(async () => {
      const sent = await execute('mosquitto_pub', [...words, '-t', 'plant/m', '-m', 'hello']);
      assert.equal(sent.code, 0, sent.err);
      return done;
    }, 'mosquitto_sub has its message');
    assert.equal((await reader).out, 'hello\n');
  });

  test('[B-39] what is denied is not delivered, through no filter, shared or not', async () => {
    const ann = await broker.client('ann', { clientId: 'watch' });
    const grants = await ann.subscribeAsync(['plant/#', '$share/g/plant/#', 'plant/safe/#', '$share/g/plant/safe/a'], { qos: 1 }).catch((error) => error.packet.granted);
    assert.deepEqual(grants, [1, 1, 0x87, 0x87]);
    const denied = await ann.publishAsync('plant/safe/a', 'x', { qos: 1 }).catch((error) => error);
    assert.equal(denied.code, 0x87);
    await broker.setAcl('user ann\ntopic readwrite plant/#\nuser bob\ntopic readwrite plant/#\nuser carl\n');
    const bob = await broker.client('bob');
    await bob.publishAsync('plant/safe/a', 'allowed', { qos: 1 });
    await until(() => ann.got.length === 2, 'both subscriptions have it');
    await broker.setAcl('user ann\ntopic readwrite plant/#\ntopic deny plant/safe/#\nuser bob\ntopic readwrite plant/#\n');
    await bob.publishAsync('plant/safe/a', 'denied', { qos: 1 });
    await bob.publishAsync('plant/b', 'other', { qos: 1 });
    await until(() => ann.got.filter((each) => each.payload === 'other').length === 2, 'the rest still comes');
    assert.ok(!payloads(ann.got).includes('denied'));
    await Promise.all([ann.endAsync(true), bob.endAsync(true)]);
    await broker.setAcl('user ann\ntopic readwrite plant/#\nuser bob\ntopic readwrite plant/#\n');
  });

  test('[B-40] a right that is taken away is gone for live, waiting, retained and half-sent messages', async () => {
    await broker.setAcl('pattern readwrite #\n');
    const bob = await broker.client('bob', { clientId: 'writer' });
    const live = await broker.client('ann', { clientId: 'live' });
    await live.subscribeAsync('r/#', { qos: 1 });
    const away = await broker.client('ann', { clientId: 'away', ...kept });
    await away.subscribeAsync('r/#', { qos: 2 });
    await away.endAsync(true);
    await bob.publishAsync('r/held', 'retained', { qos: 1, retain: true });
    await bob.publishAsync('r/queued', 'queued', { qos: 1 });
    await bob.publishAsync('r/half', 'half', { qos: 2 });
    await until(() => live.got.length === 3, 'while it is allowed it comes');
    await broker.setAcl('user bob\ntopic readwrite #\nuser ann\ntopic readwrite other/#\n');
    await bob.publishAsync('r/live', 'after', { qos: 1 });
    await bob.publishAsync('other/1', 'fence', { qos: 1 });
    const back = await broker.client('ann', { clientId: 'away', ...kept });
    await assert.rejects(back.subscribeAsync('r/held', { qos: 1 }));
    await back.subscribeAsync('other/#', { qos: 1 });
    await live.subscribeAsync('other/#', { qos: 1 });
    await bob.publishAsync('other/2', 'last', { qos: 1 });
    await until(() => payloads(live.got).includes('last') && payloads(back.got).includes('last'), 'what is allowed comes');
    assert.ok(!payloads(live.got).includes('after'));
    assert.deepEqual(payloads(back.got).filter((each) => each !== 'last'), []);
    await Promise.all([bob, live, back].map((client) => client.endAsync(true)));
  });

  test('[B-41] a user who is gone is cut off, and leaves nothing behind', async () => {
    await broker.setAcl('pattern readwrite #\n');
    await broker.setUser('eve', 'eve-secret');
    await until(async () => (await refusal(broker.port, { username: 'eve', password: 'eve-secret', clientId: 'e0' })) === 0, 'the new user gets in');
    const will = { topic: 'eve/will', payload: Buffer.from('bye'), qos: /** @type {1} */ (1), retain: true };
    const eve = await broker.client('eve', { will, ...kept });
    await eve.subscribeAsync('x/#', { qos: 1 });
    await eve.publishAsync('eve/kept', 'mine', { qos: 1, retain: true });
    let goodbye = 0;
    eve.on('disconnect', (packet) => (goodbye = packet.reasonCode ?? 0));
    const gone = new Promise((resolve) => eve.once('close', resolve));
    await broker.removeUser('eve');
    await gone;
    assert.equal(goodbye, 0x87);
    assert.equal(await refusal(broker.port, { username: 'eve', password: 'eve-secret', clientId: 'eve-1' }), 0x87);
    const ann = await broker.client('ann');
    await ann.subscribeAsync(['eve/#', 'ping'], { qos: 1 });
    await ann.publishAsync('ping', 'pong', { qos: 1 });
    await until(() => ann.got.length > 0, 'something comes');
    assert.deepEqual(payloads(ann.got), ['pong']);
    await ann.endAsync(true);
  });

  test('[B-44] a broken file lets nobody new in by it and takes nothing from those who are', async () => {
    const ann = await broker.client('ann');
    await ann.subscribeAsync('x', { qos: 1 });
    writeFileSync(broker.acl, 'user ann\ntopic everything #\n');
    await until(() => /rules cannot be used.*acl.*2/.test(broker.hub.output), 'the log names file and line');
    await ann.publishAsync('x', 'still', { qos: 1 });
    await until(() => ann.got.length === 1, 'the rules of before are in force');
    const metrics = await (await fetch(`${broker.hub.url}/metrics`)).text();
    assert.match(metrics, /brim_broker_rules_refused 1\b/);
    rmSync(broker.acl);
    await until(() => /rules cannot be used.*No such file/i.test(broker.hub.output), 'a missing file is named');
    const denied = await ann.publishAsync('x', 'no', { qos: 1 }).catch((error) => error);
    assert.equal(denied.code, 0x87);
    await ann.endAsync(true);
  });
});

test('[B-42] empty and broken files at a start let nobody in or do anything, and say so', async () => {
  for (const acl of ['', '\n\n', '# nothing\n', '\ufeff', 'topic readwrite #', 'user ann\ntopic readwrite\n', 'everything is allowed\n']) {
    const broker = await BrokerHub.start({ acl });
    const ann = await broker.client('ann');
    const outcome = await ann.publishAsync('a', 'x', { qos: 1 }).catch((error) => error);
    assert.equal(outcome.code, 0x87, JSON.stringify(acl));
    assert.match(broker.hub.output, /listening.*users \(plain\)/);
    await ann.endAsync(true);
    await broker.dispose();
  }
  const broker = await BrokerHub.start({ settings: 'token_key_file = "/nowhere"\ntoken_algorithms = ["ES256"]\n' });
  await broker.hub.end();
  writeFileSync(broker.users, 'ann\n');
  await broker.hub.run();
  assert.match(broker.hub.output, /rules cannot be used.*users/);
  assert.match(broker.hub.output, /rules cannot be used.*nowhere/);
  assert.notEqual(await refusal(broker.port, { username: 'ann', password: '', clientId: 'a' }), 0);
  assert.notEqual(await refusal(broker.port, { username: 'ann', password: 'ann-secret', clientId: 'a' }), 0);
  await broker.dispose();
});

test('a listener nobody could use is refused by config check, with the key to set', async () => {
  const broker = await BrokerHub.start();
  await broker.hub.end();
  writeFileSync(broker.hub.config, `[hub]\ndata_dir = "${broker.hub.data}"\n[[listener]]\naddress = "127.0.0.1:0"\nauth = "users"\n`);
  const checked = await execute(hubProgram, ['config', 'check', '--config', broker.hub.config]);
  assert.equal(checked.code, 9);
  assert.match(checked.err, /broker\.acl_file/);
  rmSync(broker.hub.folder, { recursive: true, force: true });
});

test('[B-45] a session ends with its token', async () => {
  const secret = 'a secret of thirty-two bytes here';
  const broker = await BrokerHub.start({});
  await broker.hub.end();
  const key = join(broker.hub.folder, 'token.key');
  writeFileSync(key, secret, { mode: 0o600 });
  writeFileSync(broker.hub.config, `token_key_file = "${key}"\ntoken_key_form = "secret"\ntoken_algorithms = ["HS256"]\n`, { flag: 'a' });
  await broker.hub.run();
  const now = Math.floor(Date.now() / 1000);
  assert.equal(await refusal(broker.port, { username: 'carl', password: token({ sub: 'carl', exp: now + 60 }, secret), clientId: 'c' }), 0);
  for (const bad of [token({ sub: 'carl', exp: now - 1 }, secret), token({ sub: 'carl', exp: now + 60 }, 'another secret of thirty-two bytes'), token({ sub: 'carl', exp: now + 60 }, secret, { alg: 'none', typ: 'JWT' })])
    assert.equal(await refusal(broker.port, { username: 'carl', password: bad, clientId: 'c' }), 0x87);
  const carl = await connect(broker.port, { password: token({ sub: 'carl', exp: now + 2 }, secret), username: 'carl', clientId: 'c' });
  let goodbye = 0;
  carl.on('disconnect', (packet) => (goodbye = packet.reasonCode ?? 0));
  await until(() => !carl.connected, 'the connection ends with the token');
  assert.equal(goodbye, 0x87);
  assert.ok(Date.now() / 1000 >= now + 2);
  await broker.dispose();
});

test('[B-18] kept sessions, queues, retained messages and half-finished QoS 2 are there after kill -9', async () => {
  const broker = await BrokerHub.start();
  const ann = await broker.client('ann', { ...kept });
  await ann.subscribeAsync('k/#', { qos: 2 });
  await ann.endAsync(true);
  const bob = await broker.client('bob', { ...kept });
  /** @type {string[]} */ const acked = [];
  let killed = false;
  void (async () => {
    for (let i = 0; !killed && i < 100_000; ++i) {
      const qos = /** @type {1 | 2} */ (1 + (i % 2));
      await bob.publishAsync(`k/${qos}`, String(i), { qos, retain: i % 5 === 0 });
      acked.push(String(i));
    }
  })().catch(() => {});
  await until(() => acked.length >= 300, 'messages are acknowledged');
  await broker.hub.end('SIGKILL');
  killed = true;
  bob.end(true); // what was under way stays without an answer
  await broker.hub.run();
  const back = await broker.client('ann', { ...kept });
  await until(() => acked.every((each) => payloads(back.got).includes(each)), 'every acknowledged message arrives');
  const twice = payloads(back.got).filter((each, at, all) => Number(each) % 2 === 1 && all.indexOf(each) !== at);
  assert.deepEqual(twice, [], 'QoS 2 comes once');
  const fresh = await broker.client('bob', { clientId: 'fresh' });
  await fresh.subscribeAsync('k/#', { qos: 0 });
  await until(() => fresh.got.length > 0, 'retained messages are there');
  await Promise.all([back.endAsync(true), fresh.endAsync(true)]);
  await broker.dispose();
});

describe('administration', () => {
  /** @type {BrokerHub} */ let broker;
  before(async () => {
    broker = await BrokerHub.start({ acl: 'pattern readwrite app/#\nuser ann\ntopic write $CONTROL/broker/v1/#\ntopic read $SYS/#\n', settings: 'sys_interval = "1s"\n' });
  });
  after(() => broker.dispose());

  test('conns lists clients, one with its subscriptions; who is not permitted sees nothing', async () => {
    const bob = await broker.client('bob', { clientId: 'pump', ...kept });
    await bob.subscribeAsync('app/#', { qos: 1 });
    const listed = await broker.brim('ann', 'conns', '-o', 'json');
    assert.equal(listed.code, 0, listed.err);
    const pump = JSON.parse(listed.out).find((/** @type {any} */ each) => each.clientId === 'pump');
    assert.equal(pump.user, 'bob');
    assert.equal(pump.online, true);
    assert.equal(pump.durable, true);
    assert.equal(pump.subscriptions, 1);
    const one = await broker.brim('ann', 'conns', 'pump', '-o', 'json');
    assert.deepEqual(JSON.parse(one.out).subscribedTo, [{ filter: 'app/#', qos: 1 }]);
    const table = await broker.brim('ann', 'conns');
    assert.match(table.out, /CLIENT.*\n(.*\n)*.*pump\s+user bob/);
    const none = await broker.brim('ann', 'conns', 'nobody');
    assert.equal(none.code, 3);
    assert.match(none.err, /client "nobody": has no session/);
    const denied = await broker.brim('bob', 'conns');
    assert.equal(denied.code, 4);
    assert.match(denied.err, /topic write \$CONTROL/);
    await bob.endAsync(true);
  });

  test('kick ends a connection, and with --forget the session', async () => {
    const bob = await broker.client('bob', { clientId: 'pump', ...kept });
    const gone = new Promise((resolve) => bob.once('close', resolve));
    let goodbye = 0;
    bob.on('disconnect', (packet) => (goodbye = packet.reasonCode ?? 0));
    assert.equal((await broker.brim('ann', 'kick', 'pump')).code, 0);
    await gone;
    assert.equal(goodbye, 0x98);
    assert.equal((await broker.brim('ann', 'kick', 'pump', '--forget')).code, 0);
    assert.equal((await broker.brim('ann', 'kick', 'pump')).code, 3);
  });

  test('trace shows a client from its next connection on, and no password', async () => {
    const shown = broker.brim('ann', 'trace', 'pump', '--seconds', '6', '-o', 'json');
    const tools = async () => JSON.parse((await broker.brim('ann', 'conns', '--online', '-o', 'json')).out).filter((/** @type {any} */ each) => each.clientId.startsWith('brim-'));
    await until(async () => (await tools()).length === 2, 'the tracer is there, beside who asks');
    await sleep(500);
    const bob = await broker.client('bob', { clientId: 'pump' });
    await bob.subscribeAsync('app/t', { qos: 1 });
    await bob.publishAsync('app/t', 'hello', { qos: 1 });
    await until(() => bob.got.length === 1, 'its own message comes');
    await bob.endAsync();
    const events = (await shown).out.trim().split('\n').map((line) => JSON.parse(line));
    const words = events.map((each) => each.event ?? `${each.direction} ${each.packet}`);
    for (const word of ['connected', 'in SUBSCRIBE', 'out SUBACK', 'in PUBLISH', 'out PUBACK', 'out PUBLISH', 'in PUBACK', 'in DISCONNECT', 'disconnected'])
      assert.ok(words.includes(word), `${word} in ${words}`);
    assert.equal(events.find((each) => each.packet === 'PUBLISH').payload, 'hello');
    assert.ok(!(await shown).out.includes('secret'));
  });

  test('stats and $SYS tell what goes on; nobody can write there', async () => {
    const stats = await broker.brim('ann', 'stats', '-o', 'json');
    const told = JSON.parse(stats.out);
    assert.ok(told.connects > 0);
    assert.deepEqual(told.shed, { door: 0, connect: 0, qos0: 0, publish: 0 });
    assert.equal(told.slow, 0);
    assert.equal(typeof told.rejected, 'object');
    assert.equal(Object.values(told.refusedBy).reduce((sum, each) => sum + each, 0), told.refused);
    const ann = await broker.client('ann');
    await ann.subscribeAsync('$SYS/#');
    await until(() => ann.got.some((each) => each.topic === '$SYS/broker/clients/connected' && Number(each.payload) >= 1), 'figures come');
    const denied = await ann.publishAsync('$SYS/broker/uptime', '1', { qos: 1 }).catch((error) => error);
    assert.equal(denied.code, 0x87);
    const bob = await broker.client('bob');
    await assert.rejects(bob.subscribeAsync('$SYS/#'));
    const metrics = await (await fetch(`${broker.hub.url}/metrics`)).text();
    assert.match(metrics, /brim_broker_connections [1-9]/);
    assert.match(metrics, /brim_broker_denied_total [1-9]/);
    await Promise.all([ann.endAsync(true), bob.endAsync(true)]);
  });
});

test('client certificates name users; WebSocket and a proxy in front work', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'brim-broker-tls-'));
  const authority = new Authority(folder);
  const server = authority.issue();
  const pump = authority.client('pump-7');
  const files = `cert_file = "${server.cert}"\nkey_file = "${server.key}"\n`;
  const broker = await BrokerHub.start({
    acl: 'user pump-7\ntopic readwrite c/#\nuser ann\ntopic readwrite c/#\n',
    listeners: [
      { protocol: 'mqtts', more: `${files}client_certificate = "optional"\nclient_ca_file = "${authority.cert}"\n` },
      { protocol: 'ws' },
      { protocol: 'wss', more: files },
      { more: 'proxies = ["127.0.0.1"]\nconnections_per_address_max = 1\n' },
    ],
  });
  const [tls, ws, wss, proxied] = /** @type {[number, number, number, number]} */ (broker.ports);
  const trust = { ca: authority.pem };
  const own = { ...trust, cert: readFileSync(pump.cert), key: readFileSync(pump.key) };
  const open = async (/** @type {string} */ url, /** @type {import('mqtt').IClientOptions} */ options) => {
    const client = await connectTo(url, options);
    await client.publishAsync('c/1', url, { qos: 1 });
    await client.endAsync(true);
  };
  await open(`mqtts://localhost:${tls}`, { ...own, clientId: 'p' });
  await assert.rejects(open(`mqtts://localhost:${tls}`, { ...own, clientId: 'p', username: 'ann' }));
  await assert.rejects(open(`mqtts://localhost:${tls}`, { ...trust, clientId: 'p' }));
  const password = { username: 'ann', password: 'ann-secret', clientId: 'a' };
  await open(`mqtts://localhost:${tls}`, { ...trust, ...password });
  await open(`ws://localhost:${ws}`, password);
  await open(`wss://localhost:${wss}/mqtt`, { ...trust, ...password });
  await assert.rejects(open(`wss://localhost:${wss}`, { ...trust, ...password, wsOptions: { origin: 'https://evil.example' } }));
  // A load balancer that says who the client is.
  let said = '192.0.2.7';
  const balancer = createServer((front) => {
    const back = connectTcp(proxied, '127.0.0.1', () => {
      back.write(`PROXY TCP4 ${said} 127.0.0.1 4711 1883\r\n`);
      front.pipe(back).pipe(front);
    });
    front.on('error', () => back.destroy());
    back.on('error', () => front.destroy());
    back.on('close', () => front.destroy());
  });
  await new Promise((resolve) => balancer.listen(0, '127.0.0.1', () => resolve(undefined)));
  const port = /** @type {import('node:net').AddressInfo} */ (balancer.address()).port;
  const first = await connect(port, password);
  await assert.rejects(connect(port, { ...password, clientId: 'b' }), 'one connection of an address');
  said = '192.0.2.8';
  const second = await connect(port, { ...password, clientId: 'b' });
  await assert.rejects(connect(proxied, { ...password, clientId: 'c' }), 'no header, no entry');
  await Promise.all([first.endAsync(true), second.endAsync(true)]);
  balancer.close();
  const metrics = await (await fetch(`${broker.hub.url}/metrics`)).text();
  assert.match(metrics, /brim_mqtt_rejected_total\{reason="address_full"\} 1/);
  await broker.dispose();
  rmSync(folder, { recursive: true, force: true });
});

describe('SCRAM', () => {
  /** @type {BrokerHub} */ let broker;
  before(async () => {
    broker = await BrokerHub.start({ acl: 'pattern readwrite own/%u/#\n', users: {} });
    const made = await execute(brimProgram, ['mqtt', 'user', 'add', '--scram', broker.users, 'ann'], { env: { BRIM_MQTT_PASSWORD: 'pencil' } });
    assert.equal(made.code, 0, made.err);
    await until(() => /read again/.test(broker.hub.output), 'the user is known');
  });
  after(() => broker.dispose());

  test('a client that knows the password gets in, proves itself again, and sees that the broker knew it too', async () => {
    const login = await scramLogin(broker.port, 'ann', 'pencil', { again: ['ann', 'pencil'] });
    assert.equal(login.reason, 0);
    assert.equal(login.serverKnows, true);
    assert.equal(login.again, 0);
  });

  test('a wrong password, an unknown user, another method and another user afterwards are refused', async () => {
    assert.equal((await scramLogin(broker.port, 'ann', 'pen')).reason, 0x87);
    assert.equal((await scramLogin(broker.port, 'eve', 'pencil')).reason, 0x87);
    assert.equal((await scramLogin(broker.port, 'ann', 'pencil', { method: 'SCRAM-SHA-1' })).reason, 0x8c);
    assert.equal((await scramLogin(broker.port, 'ann', 'pencil', { again: ['ann', 'pen'] })).again, 0x87);
  });
});

describe('bridges', () => {
  test('with mosquitto, both ways, over its restart and a kill of ours: every acknowledged message arrives', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'brim-bridge-'));
    const far = await freePort();
    writeFileSync(join(folder, 'mosquitto.conf'), `listener ${far} 127.0.0.1\nuser root\nallow_anonymous true\npersistence true\npersistence_location ${folder}/\nautosave_interval 1\n`);
    const mosquitto = async () => {
      const child = spawn('mosquitto', ['-c', join(folder, 'mosquitto.conf')], { stdio: 'ignore' });
      await until(async () => (await refusal(far, { clientId: 'probe' })) === 0, 'mosquitto answers');
      return child;
    };
    let remote = await mosquitto();
    const bridge = `[[bridge]]\nname = "north"\nurl = "mqtt://127.0.0.1:${far}"\nbackoff_max = "1s"\n` + 'topics = ["up/# out 1 \\"\\" site-1/", "down/# in 1 \\"\\" site-1/"]\n';
    const broker = await BrokerHub.start({ acl: 'pattern readwrite #\nuser ann\ntopic write $CONTROL/broker/v1/#\n' });
    await broker.hub.end();
    writeFileSync(broker.hub.config, bridge, { flag: 'a' });
    await broker.hub.run();
    const up = async () => JSON.parse((await broker.brim('ann', 'stats', '-o', 'json')).out || '{}').bridges?.[0]?.up;
    await until(up, 'the bridge is up');
    const there = await connect(far, { clientId: 'there', clean: false, properties: { sessionExpiryInterval: 3600 } });
    await there.subscribeAsync('site-1/up/#', { qos: 1 });
    const here = await broker.client('bob', { ...kept });
    await here.subscribeAsync('down/#', { qos: 1 });
    await here.publishAsync('up/1', 'a', { qos: 1 });
    await there.publishAsync('site-1/down/1', 'b', { qos: 1 });
    await until(() => payloads(there.got).includes('a') && payloads(here.got).includes('b'), 'both ways work');
    // The far broker is away: what is acknowledged here waits on disk, also over kill -9.
    const gone = new Promise((resolve) => remote.once('exit', resolve));
    remote.kill('SIGTERM');
    await gone;
    for (let i = 0; i < 50; ++i) await here.publishAsync('up/2', `w${i}`, { qos: 1 });
    await broker.hub.end('SIGKILL');
    await broker.hub.run();
    remote = await mosquitto();
    const back = await connect(far, { clientId: 'there', clean: false, properties: { sessionExpiryInterval: 3600 } });
    const all = () => new Set([...payloads(there.got), ...payloads(back.got)]);
    await until(() => Array.from({ length: 50 }, (_, i) => `w${i}`).every((each) => all().has(each)), 'all of them arrive', 30_000).catch(async (error) => {
      throw new Error(`${error.message}; got ${[...all()]}; ${(await broker.brim('ann', 'stats', '-o', 'json')).out}\n${broker.hub.output.slice(-2000)}`);
    });
    const order = payloads(back.got).filter((each) => each.startsWith('w')).map((each) => Number(each.slice(1)));
    const firsts = order.filter((each, at) => order.indexOf(each) === at);
    assert.deepEqual(firsts, [...firsts].sort((a, b) => a - b), 'in order');
    await Promise.all([there, here, back].map((client) => client.endAsync(true).catch(() => {})));
    remote.kill('SIGTERM');
    await broker.dispose();
    rmSync(folder, { recursive: true, force: true });
  });
});

test('an edge opens the same broker, without its hub', async () => {
  const edge = new Edge({ productKey: 'a1gateway01', deviceName: 'gw', deviceSecret: 'x'.repeat(32) }, `mqtt://127.0.0.1:${await freePort()}`);
  const port = await freePort();
  const acl = join(edge.folder, 'acl');
  const users = join(edge.folder, 'users');
  writeFileSync(acl, 'pattern readwrite #\n');
  assert.equal((await execute(brimProgram, ['mqtt', 'user', 'add', users, 'ann'], { env: { BRIM_MQTT_PASSWORD: 'ann-secret' } })).code, 0);
  edge.extra = `[broker]\nusers_file = "${users}"\nacl_file = "${acl}"\n[[listener]]\naddress = "127.0.0.1:${port}"\n`;
  await edge.run();
  const ann = await connect(port, { username: 'ann', password: 'ann-secret', clientId: 'lan', ...kept });
  await ann.subscribeAsync('lan/#', { qos: 1 });
  await ann.publishAsync('lan/1', 'x', { qos: 1 });
  await until(() => ann.got.length === 1, 'the LAN has its broker');
  await ann.endAsync(true);
  await edge.end();
  await edge.run();
  const back = await connect(port, { username: 'ann', password: 'ann-secret', clientId: 'lan', ...kept });
  await back.publishAsync('lan/2', 'y', { qos: 1 });
  await until(() => back.got.some((each) => each.payload === 'y'), 'its session outlived the edge');
  await back.endAsync(true);
  await edge.dispose();
});
