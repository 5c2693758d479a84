// The hub's TLS ports and WebSockets, with clients that are not ours: mosquitto, npm mqtt, openssl, node (F-24, B-50).
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { Authority } from './support/certificates.mjs';
import { connect, credentials } from './support/device.mjs';
import { admin, brimProgram, demoModel, execute, freePort, Hub, hubProgram, until } from './support/hub.mjs';

const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), 'brim-tls-'));
const authority = new Authority(folder);
const stranger = new Authority(folder, 'stranger');
/** @type {Hub} */ let hub;
/** @type {Record<'mqtts' | 'https' | 'elsewhere' | 'expired', number>} */ let ports;
let made = 0;

/** @param {string} protocol @param {number} port @param {import('./support/certificates.mjs').Pair} pair */
const listener = (protocol, port, pair) => `[[listener]]\nprotocol = "${protocol}"\naddress = "127.0.0.1:${port}"\ncert_file = "${pair.cert}"\nkey_file = "${pair.key}"\n`;

before(async () => {
  ports = { mqtts: await freePort(), https: await freePort(), elsewhere: await freePort(), expired: await freePort() };
  const good = authority.issue();
  hub = await Hub.start(
    listener('mqtts', ports.mqtts, good) + listener('https', ports.https, good) +
    listener('mqtts', ports.elsewhere, authority.issue({ names: 'DNS:elsewhere.test' })) + listener('mqtts', ports.expired, authority.issue({ days: -1 })),
  );
  await hub.product('a1tls', demoModel);
});
after(async () => {
  await hub.dispose();
  rmSync(folder, { recursive: true, force: true });
});

async function fresh() {
  const device = await hub.device('a1tls', `d${++made}`);
  return { ...device, topic: `/sys/a1tls/${device.deviceName}/thing/`, path: `/api/v1/devices/a1tls/${device.deviceName}` };
}
/** @typedef {Awaited<ReturnType<typeof fresh>>} Made */
/** Its current temperature. @param {Made} device @returns {Promise<number>} */
const temperature = async (device) => (await hub.ok('GET', device.path)).properties.temperature.value;

/** What mosquitto is started with. @param {Made} device @param {number} port @param {string} cafile */
function mosquitto(device, port, cafile, host = 'localhost') {
  const { clientId, username, password } = credentials(device, `m${device.deviceName}`);
  return ['-h', host, '-p', String(port), '--cafile', cafile, '-i', String(clientId), '-u', String(username), '-P', String(password), '-q', '1'];
}
/** @param {Made} device @param {number} port @param {string} cafile @param {number} value */
function publish(device, port, cafile, value, host = 'localhost') {
  const body = JSON.stringify({ id: '1', version: '1.0', params: { temperature: value }, method: 'thing.event.property.post' });
  return execute('mosquitto_pub', [...mosquitto(device, port, cafile, host), '-t', `${device.topic}event/property/post`, '-m', body]);
}

/** A request over HTTPS with only `ca` trusted. @param {string} path @param {string} ca @param {Record<string, string>} [headers] @param {string} [body] @returns {Promise<{ status: number, headers: import('node:http').IncomingHttpHeaders, text: string }>} */
function https(path, ca, headers = {}, body) {
  return new Promise((resolve, reject) => {
    const asked = request({ host: 'localhost', port: ports.https, path, ca, headers, agent: false, method: body === undefined ? 'GET' : 'POST' }, (response) => {
      let text = '';
      response.on('data', (chunk) => (text += chunk)).on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

/** What a port answers to raw bytes until it closes. @param {number} port @param {string | Buffer} bytes @returns {Promise<Buffer>} */
function raw(port, bytes) {
  return new Promise((resolve, reject) => {
    const socket = connectTcp(port, '127.0.0.1', () => socket.write(bytes));
    /** @type {Buffer[]} */ const got = [];
    const timer = setTimeout(() => socket.destroy(new Error('the port stays open')), 8_000);
    socket.on('data', (chunk) => got.push(chunk));
    socket.on('error', (error) => (/** @type {any} */ (error).code === 'ECONNRESET' ? undefined : reject(error)));
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(Buffer.concat(got));
    });
  });
}

test('mosquitto reports over MQTTS by name and by address, and receives what is set', async () => {
  const device = await fresh();
  for (const [value, host] of /** @type {[number, string][]} */ ([[21.5, 'localhost'], [22.5, '127.0.0.1']])) {
    const sent = await publish(device, ports.mqtts, authority.cert, value, host);
    assert.equal(sent.code, 0, sent.err);
    assert.equal(await temperature(device), value);
  }
  const topic = `${device.topic}service/property/set`;
  const listening = spawn('mosquitto_sub', [...mosquitto(device, ports.mqtts, authority.cert), '-t', topic, '-C', '1', '-W', '20'], { stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  listening.stdout.on('data', (chunk) => (out += chunk));
  const ended = once(listening, 'close');
  await until(async () => (await hub.ok('GET', device.path)).status === 'online', 'mosquitto_sub is online');
  await hub.ok('PUT', `${device.path}/properties`, { values: { setpoint: 42 } });
  await ended;
  assert.deepEqual(JSON.parse(out).params, { setpoint: 42 });
});

test('a client refuses the hub with a certificate of another authority, of another name, or an expired one; nothing of it arrives', async () => {
  const device = await fresh();
  for (const [port, trusted, code] of /** @type {[number, Authority, string][]} */ ([
    [ports.mqtts, stranger, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
    [ports.elsewhere, authority, 'ERR_TLS_CERT_ALTNAME_INVALID'],
    [ports.expired, authority, 'CERT_HAS_EXPIRED'],
  ])) {
    const sent = await publish(device, port, trusted.cert, 1);
    assert.notEqual(sent.code, 0);
    assert.match(sent.err, /TLS error/);
    await assert.rejects(connect(port, { host: 'localhost', protocol: 'mqtts', ca: trusted.pem, ...credentials(device) }), { code });
  }
  assert.equal((await hub.ok('GET', device.path)).status, 'unactivated');
  assert.equal((await publish(device, ports.mqtts, authority.cert, 2)).code, 0, 'the hub goes on');
});

test('bytes without TLS are refused on the TLS ports, and TLS on the plain ones', async () => {
  const device = await fresh();
  const { clientId, username, password } = credentials(device);
  const text = (/** @type {any} */ value) => Buffer.concat([Buffer.from([value.length >> 8, value.length & 255]), Buffer.from(value)]);
  const body = Buffer.concat([text('MQTT'), Buffer.from([4, 0xc2, 0, 60]), text(clientId), text(username), text(password)]);
  assert.ok(body.length > 127 && body.length < 16_384);
  const login = Buffer.concat([Buffer.from([0x10, (body.length & 127) | 128, body.length >> 7]), body]);
  assert.deepEqual([...(await raw(hub.mqttPort, Buffer.concat([login, Buffer.from([0xe0, 0])])))], [0x20, 2, 0, 0], 'the same bytes log in on the plain port');
  for (const port of [ports.mqtts, ports.https]) {
    for (const bytes of [login, 'GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n', Buffer.alloc(300, 0xff)]) {
      const answer = await raw(port, bytes);
      // Nothing, or one TLS alert: record type 21.
      assert.ok(answer.length === 0 || (answer[0] === 21 && answer.length < 16), `${port}: ${answer.toString('latin1')}`);
    }
  }
  for (const port of [hub.mqttPort, hub.httpPort]) {
    const greeting = await run('openssl', ['s_client', '-connect', `127.0.0.1:${port}`], { timeout: 10_000 }).then(() => 0, (error) => error.code);
    assert.equal(greeting, 1, 'no handshake');
  }
  assert.equal((await publish(device, ports.mqtts, authority.cert, 3)).code, 0, 'the hub goes on');
});

test('TLS 1.2 and 1.3 are spoken, 1.1 is refused by name', async () => {
  /** @param {number} port @param {string[]} words */
  const handshake = (port, words) => execute('openssl', ['s_client', '-connect', `localhost:${port}`, '-CAfile', authority.cert, '-verify_return_error', '-cipher', 'ALL:@SECLEVEL=0', ...words], { input: 'Q\n' });
  for (const port of [ports.mqtts, ports.https]) {
    for (const [words, protocol] of /** @type {[string[], string][]} */ ([[['-tls1_2'], 'TLSv1.2'], [['-tls1_3'], 'TLSv1.3']])) {
      const good = await handshake(port, words);
      assert.equal(good.code, 0, good.err);
      assert.match(good.out, new RegExp(`(New|Protocol).*${protocol.replace('.', '\\.')}`));
      assert.match(good.out, /Verify return code: 0/);
    }
    const old = await handshake(port, ['-tls1_1']);
    assert.equal(old.code, 1);
    assert.match(old.err, /alert protocol version/);
  }
});

test('MQTT over WebSocket, plain and over TLS, does what MQTT does', async () => {
  for (const [port, options] of /** @type {[number, import('mqtt').IClientOptions][]} */ ([
    [hub.httpPort, { protocol: 'ws', path: '/mqtt' }],
    [hub.httpPort, { protocol: 'ws', path: '/mqtt', protocolVersion: 5 }],
    [ports.https, { protocol: 'wss', path: '/mqtt', wsOptions: { ca: authority.pem } }],
    [ports.https, { protocol: 'wss', path: '/mqtt', protocolVersion: 5, wsOptions: { ca: authority.pem } }],
  ])) {
    const device = await fresh();
    const link = await connect(port, { host: 'localhost', ...options, ...credentials(device) });
    const what = `${options.protocol} ${options.protocolVersion ?? 4}`;
    assert.equal((await link.ask(`${device.topic}event/property/post`, { id: '1', params: { temperature: 20.25 } })).json.code, 200, what);
    assert.equal(await temperature(device), 20.25, what);
    await hub.ok('PUT', `${device.path}/properties`, { values: { setpoint: 7 } });
    assert.deepEqual((await link.next(`${device.topic}service/property/set`)).json.params, { setpoint: 7 }, what);
    // Larger than one frame header and one TLS record.
    const label = 'x'.repeat(64);
    for (let i = 0; i < 400; ++i) void link.publish(`${device.topic}event/property/post`, { id: String(i), params: { label } }, 0);
    await link.ask(`${device.topic}event/property/post`, { id: 'last', params: { temperature: 21 } });
    link.cut();
    await until(async () => (await hub.ok('GET', device.path)).status === 'offline', `${what}: a cut is noticed`);
  }
});

test('a WebSocket with a wrong secret, a foreign authority or on another path is refused', async () => {
  const device = await fresh();
  const wrong = { ...device, deviceSecret: 'x'.repeat(32) };
  await assert.rejects(connect(hub.httpPort, { host: 'localhost', protocol: 'ws', path: '/mqtt', ...credentials(wrong) }), { code: 5 });
  await assert.rejects(connect(ports.https, { host: 'localhost', protocol: 'wss', path: '/mqtt', wsOptions: { ca: stranger.pem }, ...credentials(device) }));
  await assert.rejects(connect(hub.httpPort, { host: 'localhost', protocol: 'ws', path: '/elsewhere', ...credentials(device) }));
  assert.equal((await hub.ok('GET', device.path)).status, 'unactivated');
});

test('API and console are served over HTTPS; the session cookie never travels without TLS', async () => {
  const system = await https('/api/v1/system', authority.pem, { Authorization: `Bearer ${hub.token}` });
  assert.equal(system.status, 200);
  const { listeners } = JSON.parse(system.text);
  for (const protocol of ['mqtts', 'https']) assert.ok(listeners.some((/** @type {any} */ each) => each.protocol === protocol && each.security === 'tls'), protocol);
  const page = await https('/', authority.pem);
  assert.equal(page.status, 200);
  assert.match(page.text, /<div id="app">/);
  const script = /src="(\/assets\/[^"]+\.js)"/.exec(page.text)?.[1] ?? '';
  assert.equal((await https(script, authority.pem)).status, 200);
  const session = await https('/api/v1/session', authority.pem, { 'Content-Type': 'application/json' }, JSON.stringify({ user: admin.user, password: admin.password }));
  assert.equal(session.status, 200, session.text);
  assert.match(String(session.headers['set-cookie']), /brim_session=.*;\s*Secure/i);
  const plain = await hub.call('POST', '/api/v1/session', { user: admin.user, password: admin.password }, { token: '' });
  assert.doesNotMatch(String(plain.headers.get('set-cookie')), /Secure/i, 'without TLS a Secure cookie would be lost');
  await assert.rejects(https('/livez', stranger.pem), /certificate/);
});

test('brim signs in over HTTPS with the right authority, and says what is wrong with another', async () => {
  const home = mkdtempSync(join(tmpdir(), 'brim-tls-home-'));
  try {
    const env = { XDG_CONFIG_HOME: home, HOME: home, BRIM_URL: '', BRIM_TOKEN: '', BRIM_CONTEXT: '' };
    const url = `https://localhost:${ports.https}`;
    const wrong = await execute(brimProgram, ['login', url, '--user', admin.user, '--password-stdin', '--ca-file', stranger.cert], { env, input: `${admin.password}\n` });
    assert.equal(wrong.code, 4, wrong.err);
    assert.match(wrong.err, /certificate was refused.*\nhint: .*CA file/s);
    const good = await execute(brimProgram, ['login', url, '--user', admin.user, '--password-stdin', '--ca-file', authority.cert], { env, input: `${admin.password}\n` });
    assert.equal(good.code, 0, good.err);
    const list = await execute(brimProgram, ['product', 'list', '-o', 'json'], { env });
    assert.equal(list.code, 0, list.err);
    assert.ok(JSON.parse(list.out).some((/** @type {any} */ each) => each.productKey === 'a1tls'));
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
});

test('a hub without certificate files makes its own once, keeps its key to itself, and can be pinned', async () => {
  const port = await freePort();
  const own = await Hub.start(`[[listener]]\nprotocol = "mqtts"\naddress = "127.0.0.1:${port}"\n`);
  try {
    const cert = join(own.data, 'tls/self-signed.crt');
    assert.equal(statSync(join(own.data, 'tls/self-signed.key')).mode & 0o077, 0);
    const before = readFileSync(cert, 'utf8');
    await own.product('a1own', demoModel);
    const device = await own.device('a1own', 'd1');
    const link = await connect(port, { host: 'localhost', protocol: 'mqtts', ca: before, ...credentials(device) });
    await link.leave();
    await assert.rejects(connect(port, { host: 'localhost', protocol: 'mqtts', ca: authority.pem, ...credentials(device) }));
    await own.end();
    await own.run();
    assert.equal(readFileSync(cert, 'utf8'), before);
  } finally {
    await own.dispose();
  }
});

test('a certificate that is absent, damaged or of another key keeps the hub from starting, by name', async () => {
  const hurt = await Hub.prepare();
  try {
    const pair = authority.issue();
    const other = authority.issue();
    const damaged = join(folder, 'damaged.crt');
    writeFileSync(damaged, readFileSync(pair.cert, 'utf8').replace(/\n[A-Za-z0-9+/]{20}/, '\n!!!!!!!!!!!!!!!!!!!!'));
    const base = readFileSync(hurt.config, 'utf8');
    for (const [cert, key, what] of /** @type {[string, string, RegExp][]} */ ([
      [join(folder, 'absent.crt'), pair.key, /absent\.crt/],
      [damaged, pair.key, /damaged\.crt/],
      [pair.cert, other.key, /does not belong to the certificate/],
      [pair.cert, pair.cert, /no usable private key/],
    ])) {
      writeFileSync(hurt.config, base + listener('mqtts', 0, { cert, key }));
      const started = await execute(hubProgram, ['run', '--config', hurt.config]);
      assert.equal(started.code, 1, `${what}: ${started.err}`);
      assert.match(started.err, what);
      assert.match(started.err, /^hint: \S/m);
    }
    assert.ok(existsSync(hurt.data));
  } finally {
    await hurt.dispose();
  }
});

test('[F-45] handshakes that never end, and clients that never say CONNECT, keep nobody out and are closed', async () => {
  const device = await fresh();
  const each = 100;
  let open = 0;
  /** @param {import('node:net').Socket} socket */
  const watch = (socket) => {
    open += 1;
    socket.on('error', () => {}).on('close', () => (open -= 1)).resume();
    return socket;
  };
  const sockets = [];
  for (let i = 0; i < each; ++i) {
    sockets.push(watch(connectTcp(ports.mqtts, '127.0.0.1')));
    const half = watch(connectTcp(ports.mqtts, '127.0.0.1'));
    half.write(Buffer.from('16030100f8010000f40303', 'hex')); // the head of a ClientHello of 248 bytes, and no more
    const silent = connectTls({ port: ports.mqtts, host: '127.0.0.1', servername: 'localhost', ca: readFileSync(authority.cert) });
    await once(watch(silent), 'secureConnect');
    sockets.push(half, silent);
  }
  assert.ok(open > each, `${open} of ${3 * each} are open`); // the first of them may be closed by now
  const published = await publish(device, ports.mqtts, authority.cert, 7);
  assert.equal(published.code, 0, published.err);
  await until(async () => (await temperature(device)) === 7, 'the value is there');
  await until(() => open === 0, 'all of them are closed', 30_000);
  for (const socket of sockets) socket.destroy();
});
