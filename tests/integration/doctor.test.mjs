// `brim doctor` against real hubs and edges: what is well, and each fault with its finding, its fix and the exit code.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Authority } from './support/certificates.mjs';
import { Edge, hostModel } from './support/edge.mjs';
import { brimProgram, execute, freePort, Hub, until } from './support/hub.mjs';

const folder = mkdtempSync(join(tmpdir(), 'brim-doctor-'));
const authority = new Authority(folder);
const stranger = new Authority(folder, 'stranger');
const gateway = 'a1docgw/edge-1';
/** @type {Hub} */ let hub;
/** @type {Edge} */ let edge;
/** @type {import('./support/device.mjs').Credentials} */ let identity;
/** @type {{ https: number, mqtts: number }} */ let ports;

/** @typedef {{ group: string, check: string, object: string, level: 'ok' | 'warning' | 'bad', measured: string, fix: string, facts?: any }} Finding */

/** @param {string} protocol @param {number} port @param {import('./support/certificates.mjs').Pair} pair */
const listener = (protocol, port, pair) => `[[listener]]\nprotocol = "${protocol}"\naddress = "127.0.0.1:${port}"\ncert_file = "${pair.cert}"\nkey_file = "${pair.key}"\n`;

/** @param {string[]} words @param {Record<string, string>} [env] */
async function doctor(words, env = {}) {
  const run = await execute(brimProgram, ['doctor', '-o', 'json', ...(words.includes('--data-dir') ? [] : ['--data-dir', folder]), ...words], { env: { HOME: folder, XDG_CONFIG_HOME: folder, BRIM_URL: hub.url, BRIM_TOKEN: hub.token, BRIM_CONTEXT: '', BRIM_CA_FILE: '', ...env } });
  assert.equal(run.err, '');
  /** @type {Finding[]} */ const found = JSON.parse(run.out);
  for (const each of found) {
    assert.match(each.group, /^(storage|time|hub|edge|file)$/);
    assert.match(each.check, /^[a-z-]+$/);
    assert.ok(each.measured.length > 0, JSON.stringify(each));
    assert.equal(each.fix === '', each.level === 'ok', `a fix for what is not well: ${JSON.stringify(each)}`);
  }
  assert.equal(run.code, found.some((each) => each.level === 'bad') ? 9 : 0);
  // How fast this machine's disk is right now is no matter of these tests.
  const judged = found.filter((each) => each.check !== 'sync-time' );
  const bad = judged.filter((each) => each.level === 'bad');
  /** @param {string} group @param {string} check @param {string} [object] @returns {Finding} */
  const of = (group, check, object = '') => {
    const finding = found.find((each) => each.group === group && each.check === check && each.object.includes(object));
    assert.ok(finding, `${group} ${check} ${object}: ${JSON.stringify(found)}`);
    return finding;
  };
  return { code: bad.length > 0 ? 9 : 0, found: judged, bad, of };
}
const atEdge = () => ['--edge', `unix:${edge.socket}`];

before(async () => {
  ports = { https: await freePort(), mqtts: await freePort() };
  hub = await Hub.start(listener('https', ports.https, authority.issue()) + listener('mqtts', ports.mqtts, authority.issue({ days: 31 })));
  await hub.product('a1docgw', { properties: [], events: [], services: [] }, 'gateway');
  await hub.product('a1dochost', hostModel);
  identity = await hub.device('a1docgw', 'edge-1');
  const device = await hub.device('a1dochost', 'machine-1');
  await hub.ok('POST', `/api/v1/gateways/${gateway}/devices`, { productKey: device.productKey, deviceName: device.deviceName });
  edge = new Edge(identity, `mqtts://127.0.0.1:${ports.mqtts}`, authority.cert).addHostDriver(device);
  await edge.run();
  await edge.up();
});
after(async () => {
  await edge.dispose().finally(() => hub.dispose());
  rmSync(folder, { recursive: true, force: true });
});

test('a healthy hub and edge: every check is there and well, over HTTP and over HTTPS', async () => {
  await until(async () => (await edge.status()).devices.every((/** @type {any} */ each) => each.online), 'the device is online');
  await until(async () => {
    const { store } = (await hub.call('GET', '/api/v1/system')).json;
    return store.syncMsP50 > 0 && store.freeBytes > 0;
  }, 'the hub has synced a report and looked at its disk');
  for (const env of [{ BRIM_CA_FILE: authority.cert }, { BRIM_URL: `https://localhost:${ports.https}`, BRIM_CA_FILE: authority.cert }]) {
    const { code, found, of } = await doctor(atEdge(), env);
    assert.deepEqual(found.filter((each) => each.level !== 'ok'), []);
    assert.equal(code, 0);
    assert.ok(of('storage', 'sync-time').facts.medianMs > 0);
    assert.ok(of('storage', 'free-space').facts.bytes > 0);
    assert.ok(Math.abs(of('time', 'clock').facts.skewMs) < 2000);
    for (const protocol of ['mqtt ', 'mqtts ', 'http ', 'https ']) assert.ok(of('hub', 'listener', protocol).facts.connectMs >= 0);
    const { facts } = of('hub', 'certificate', `${ports.mqtts}`);
    assert.deepEqual(facts.names, ['localhost', '127.0.0.1']);
    assert.equal(facts.subject, 'CN=hub');
    assert.equal(facts.issuer, 'CN=Test authority');
    assert.equal(facts.key, 'ECDSA P-256');
    assert.equal(facts.protocol, 'TLSv1.3');
    assert.ok(facts.daysLeft === 30 && facts.accepted, JSON.stringify(facts));
    assert.equal(Date.parse(facts.notAfter) - Date.parse(facts.notBefore), 31 * 86_400_000);
    of('hub', 'certificate', `${ports.https}`);
    assert.ok(of('hub', 'sync-time').facts.medianMs > 0);
    assert.ok(of('hub', 'free-space').facts.bytes > 0);
    assert.equal(of('edge', 'identity').object, gateway);
    assert.equal(of('edge', 'uplink').facts.state, 'up');
    assert.equal(of('edge', 'backlog').facts.lost, 0);
    assert.match(of('edge', 'ca-file').object, /authority\.crt$/);
    for (const check of ['port', 'certificate', 'sync-time', 'clock', 'devices']) of('edge', check);
    assert.equal(of('edge', 'driver', 'host').facts.connected, true);
  }
});

test('for people it is one line for each check, with the fix below what is not well', async () => {
  const env = { HOME: folder, XDG_CONFIG_HOME: folder, BRIM_URL: `http://127.0.0.1:${await freePort()}`, BRIM_TOKEN: 'x', BRIM_CONTEXT: '' };
  const run = await execute(brimProgram, ['doctor', '--data-dir', folder, ...atEdge()], { env });
  assert.equal(run.code, 9);
  const lines = run.out.trimEnd().split('\n');
  const at = lines.findIndex((line) => /^× hub {6}port http:/.test(line));
  assert.ok(at >= 0, run.out);
  assert.match(lines[at + 1] ?? '', /^ {4}fix: \S/);
  assert.match(run.out, /^✓ edge {5}uplink tcp:127\.0\.0\.1:\d+ +up, came up \d+ s ago/m);
  assert.ok(!run.out.includes('\u001b'));
});

test('without a CA file another authority is a warning, with the wrong one it is bad; so with names', async () => {
  const unknown = await doctor([]);
  assert.equal(unknown.code, 0);
  assert.equal(unknown.of('hub', 'certificate', `${ports.mqtts}`).level, 'warning');
  assert.match(unknown.of('hub', 'certificate', `${ports.mqtts}`).fix, /--ca-file/);
  const wrong = await doctor(['--ca-file', stranger.cert]);
  assert.equal(wrong.code, 9);
  assert.match(wrong.of('hub', 'certificate', `${ports.mqtts}`).measured, /not trusted here/);
  assert.equal((await doctor(['--ca-file', authority.cert])).code, 0);
  assert.equal((await doctor(['--ca-file', authority.cert, '--name', 'localhost'])).code, 0);
  const other = await doctor(['--ca-file', authority.cert, '--name', 'hub.example']);
  assert.equal(other.code, 9);
  assert.match(other.of('hub', 'certificate', `${ports.mqtts}`).measured, /is for localhost, not for hub\.example/);
});

test('expired and soon-to-end certificates, other names and unsafe listeners of a hub', async () => {
  const [https, mqtts, soon, elsewhere, unsafe] = [await freePort(), await freePort(), await freePort(), await freePort(), await freePort()];
  const sick = await Hub.start(
    listener('https', https, authority.issue({ days: -1 })) + listener('mqtts', mqtts, authority.issue({ days: -1 })) + listener('mqtts', soon, authority.issue({ days: 30 })) +
    listener('mqtts', elsewhere, authority.issue({ names: 'DNS:elsewhere.test' })) + `[[listener]]\nprotocol = "mqtt"\naddress = "127.0.0.1:${unsafe}"\nauth = "unsafe-anonymous"\n`,
  );
  try {
    const env = { BRIM_URL: sick.url, BRIM_TOKEN: sick.token, BRIM_CA_FILE: authority.cert };
    const { bad, of } = await doctor([], env);
    const expired = of('hub', 'certificate', `${mqtts}`);
    assert.equal(expired.level, 'bad');
    assert.match(expired.measured, /expired on \d{4}-/);
    assert.match(expired.fix, /renew/);
    assert.ok(expired.facts.daysLeft < 0);
    const ending = of('hub', 'certificate', `${soon}`);
    assert.equal(ending.level, 'warning');
    assert.equal(ending.facts.daysLeft, 29);
    assert.match(ending.measured, /29 days left/);
    assert.equal(of('hub', 'certificate', `${elsewhere}`).level, 'warning', 'devices may know it by that name');
    assert.equal(of('hub', 'listener', `${unsafe}`).level, 'bad');
    assert.equal(bad.length, 3, JSON.stringify(bad));
    // Asked over HTTPS itself, the expired certificate is found and the API cannot be.
    const own = await doctor([], { ...env, BRIM_URL: `https://localhost:${https}` });
    assert.match(own.of('hub', 'certificate').measured, /expired on/);
    assert.match(own.of('hub', 'port').measured, /certificate/);
    assert.equal(own.code, 9);
  } finally {
    await sick.dispose();
  }
});

test('a hub that is down, a wrong token and a context that is none', async () => {
  const dead = await doctor([], { BRIM_URL: `http://127.0.0.1:${await freePort()}` });
  assert.equal(dead.of('hub', 'port').level, 'bad');
  assert.match(dead.of('hub', 'port').fix, /the server runs|hub runs/);
  const hidden = await doctor([], { BRIM_URL: `https://localhost:${await freePort()}` });
  assert.deepEqual(hidden.bad.map((each) => each.check), ['certificate', 'port']);
  const unknown = await doctor([], { BRIM_TOKEN: 'brim_nonsense' });
  assert.match(unknown.of('hub', 'port').fix, /brim login/);
  const none = await doctor([], { BRIM_URL: '' });
  assert.equal(none.code, 0);
  assert.equal(none.of('hub', 'context').level, 'warning');
  assert.equal((await doctor([], { BRIM_URL: 'hub.example' })).of('hub', 'context').level, 'bad');
  assert.ok((await doctor(['--no-hub'])).found.every((each) => each.group !== 'hub'));
});

test('an edge whose login is refused: why, from the hub\'s registry; and without a hub, where to look', async () => {
  /** @param {import('./support/device.mjs').Credentials} wrong @param {(other: Edge) => Promise<void>} check */
  const refused = async (wrong, check) => {
    const other = new Edge(wrong, `mqtt://127.0.0.1:${hub.mqttPort}`);
    try {
      await other.run();
      await other.uplink((uplink) => uplink.error !== undefined, 'the login is refused');
      await check(other);
    } finally {
      await other.dispose();
    }
  };
  const spare = await hub.device('a1docgw', 'spare');
  await refused({ ...spare, deviceSecret: 'x'.repeat(32) }, async (other) => {
    const { code, of } = await doctor(['--edge', `unix:${other.socket}`]);
    assert.equal(code, 9);
    assert.match(of('edge', 'identity').measured, /refused: .*so the secret differs/);
    assert.match(of('edge', 'identity').fix, /identity\.device_secret/);
    assert.equal(of('edge', 'uplink').facts.state, 'down');
    const blind = await doctor(['--no-hub', '--edge', `unix:${other.socket}`]);
    assert.equal(blind.of('edge', 'identity').level, 'bad');
    assert.match(blind.of('edge', 'identity').fix, /login refused/);
  });
  await refused({ ...spare, deviceName: 'nobody' }, async (other) => {
    const { of } = await doctor(['--edge', `unix:${other.socket}`]);
    assert.match(of('edge', 'identity').measured, /has no device a1docgw\/nobody/);
    assert.match(of('edge', 'identity').fix, /brim device create a1docgw\/nobody/);
  });
  await hub.ok('POST', '/api/v1/devices/a1docgw/spare/disable');
  await refused(spare, async (other) => {
    const { of } = await doctor(['--edge', `unix:${other.socket}`]);
    assert.match(of('edge', 'identity').measured, /is disabled at the hub/);
    assert.match(of('edge', 'identity').fix, /brim device enable a1docgw\/spare/);
  });
});

test('the hub\'s own disk: slow, full, and not measured yet', async () => {
  /** @type {any} */ let store;
  const played = createServer((_, response) => response.end(JSON.stringify({ version: '0', startedAt: new Date().toISOString(), time: new Date().toISOString(), listeners: [], store })));
  await new Promise((resolve) => played.listen(0, '127.0.0.1', () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (played.address());
  const gib = 1_073_741_824;
  try {
    for (const [syncMsP50, freeBytes, sync, room] of /** @type {[number | undefined, number | undefined, string, string][]} */ ([
      [10, gib, 'ok', 'ok'], [10.5, gib - 1, 'warning', 'warning'], [50, 0, 'warning', 'warning'], [50.5, gib, 'bad', 'ok'], [undefined, undefined, 'ok', 'ok'],
    ])) {
      store = { syncMsP50, freeBytes };
      const { of } = await doctor([], { BRIM_URL: `http://127.0.0.1:${port}` });
      assert.equal(of('hub', 'sync-time').level, sync, `${syncMsP50} ms`);
      assert.equal(of('hub', 'free-space').level, room, `${freeBytes} bytes`);
      if (sync !== 'ok') assert.match(of('hub', 'sync-time').fix, /disk/);
      if (room !== 'ok') assert.match(of('hub', 'free-space').fix, /history\.bytes_max/);
    }
  } finally {
    played.close();
  }
});

test('an edge that is not there, a driver that does not start and a device the hub refuses', async () => {
  const gone = await doctor(['--edge', `unix:${join(folder, 'nothing.sock')}`]);
  assert.equal(gone.of('edge', 'port').level, 'bad');
  assert.match(gone.of('edge', 'port').fix, /brim-edge/);
  assert.equal((await doctor(['--edge', 'nonsense'])).of('edge', 'port').level, 'bad');
  const second = await hub.device('a1docgw', 'edge-2');
  const other = new Edge(second, `mqtt://127.0.0.1:${hub.mqttPort}`).addHostDriver({ productKey: 'a1dochost', deviceName: 'nobody' });
  other.drivers.push({ name: 'absent', program: join(folder, 'no-such-driver'), args: [], devices: [], models: {} });
  try {
    await other.run();
    await until(async () => (await other.status()).devices.some((/** @type {any} */ each) => each.sessionError), 'the hub refuses the device');
    const { code, of } = await doctor(['--edge', `unix:${other.socket}`]);
    assert.equal(code, 9);
    const device = of('edge', 'device', 'a1dochost/nobody');
    assert.equal(device.level, 'bad');
    assert.ok(Number.isInteger(device.facts.code));
    const driver = of('edge', 'driver', 'absent');
    assert.equal(driver.level, 'warning');
    assert.match(driver.measured, /waiting|not connected/);
  } finally {
    await other.dispose();
  }
});

test('certificate files are judged before they are used', async () => {
  const good = authority.issue();
  const bad = [authority.issue({ days: -1 }).cert, authority.issue({ names: 'DNS:elsewhere.test' }).cert, stranger.issue().cert, good.key, join(folder, 'absent.crt')];
  const words = (/** @type {string} */ file) => ['--no-hub', '--ca-file', authority.cert, '--name', 'localhost', '--certificate', file];
  assert.equal((await doctor(words(good.cert))).of('file', 'certificate', good.cert).level, 'ok');
  for (const file of bad) {
    const { code, of } = await doctor(words(file));
    assert.equal(code, 9);
    assert.equal(of('file', 'certificate', file).level, 'bad');
  }
  const all = await doctor(['--no-hub', '--ca-file', authority.cert, '--name', 'localhost', ...[good.cert, ...bad].flatMap((file) => ['--certificate', file])]);
  assert.deepEqual(all.found.filter((each) => each.group === 'file').map((each) => each.level), ['ok', 'bad', 'bad', 'bad', 'bad', 'bad']);
});

test('a folder it may not write to is told, and help lists the options and exit codes', async () => {
  const { of } = await doctor(['--data-dir', '/proc']);
  assert.equal(of('storage', 'sync-time').level, 'bad');
  assert.match(of('storage', 'sync-time').fix, /--data-dir/);
  const help = await execute(brimProgram, ['doctor', '--help']);
  assert.equal(help.code, 0);
  for (const word of ['--edge', '--ca-file', '--name', '--certificate', '--no-hub', '--data-dir', 'Exit codes']) assert.ok(help.out.includes(word), word);
});
