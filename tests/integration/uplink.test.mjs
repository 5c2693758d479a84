// brim-edge with an mqtts:// uplink to brim-hub, both as processes, with a real driver: values arrive; a certificate that
// is wrong is named in /status and by `brim doctor`, nothing is lost meanwhile (F-24).
import assert from 'node:assert/strict';
import { appendFileSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { Authority } from './support/certificates.mjs';
import { Edge, hostModel, stored } from './support/edge.mjs';
import { brimProgram, execute, freePort, Hub, until } from './support/hub.mjs';

const folder = mkdtempSync(join(tmpdir(), 'brim-uplink-'));
const authority = new Authority(folder);
const stranger = new Authority(folder, 'stranger');
const shown = join(folder, 'shown.crt'); // what the hub is configured with
const trusted = join(folder, 'trusted.crt'); // what the edge is configured with
const gateway = 'a1upgw/edge-1';
const machine = 'a1uphost/machine-1';
/** @type {Hub} */ let hub;
/** @type {Edge} */ let edge;
let port = 0;

before(async () => {
  port = await freePort();
  authority.issue({ cert: shown });
  copyFileSync(authority.cert, trusted);
  hub = await Hub.start(`[[listener]]\nprotocol = "mqtts"\naddress = "127.0.0.1:${port}"\ncert_file = "${shown}"\nkey_file = "${shown.replace('.crt', '.key')}"\n`);
  await hub.product('a1upgw', { properties: [], events: [], services: [] }, 'gateway');
  await hub.product('a1uphost', hostModel);
  const identity = await hub.device('a1upgw', 'edge-1');
  const device = await hub.device('a1uphost', 'machine-1');
  await hub.ok('POST', `/api/v1/gateways/${gateway}/devices`, { productKey: device.productKey, deviceName: device.deviceName });
  edge = new Edge(identity, `mqtts://localhost:${port}`, trusted).addHostDriver(device);
});
after(async () => {
  await edge.dispose().finally(() => hub.dispose());
  rmSync(folder, { recursive: true, force: true });
});
/** Every test begins with a hub that is right and an edge that is connected. */
beforeEach(async () => {
  if (edge.child?.exitCode !== null) await edge.run();
  await edge.up();
});

/** Starts the hub again with another certificate. @param {Parameters<Authority['issue']>[0]} options */
async function show(options, by = authority) {
  await hub.end();
  by.issue({ ...options, cert: shown });
  await hub.run();
}

/** `brim doctor` of the edge (and hub). @param {string[]} words */
async function doctor(...words) {
  const env = { BRIM_URL: hub.url, BRIM_TOKEN: hub.token, BRIM_CONTEXT: '', BRIM_CA_FILE: '' };
  const run = await execute(brimProgram, ['doctor', '-o', 'json', '--data-dir', edge.folder, '--edge', `unix:${edge.socket}`, ...words], { env });
  /** @type {any[]} */ const found = JSON.parse(run.out);
  return { code: run.code, found, /** @param {string} check @param {string} [object] */ of: (check, object) => found.find((each) => each.group === 'edge' && each.check === check && (object === undefined || each.object === object)) };
}

/** Every report the driver was told is safe is in history, exactly as it was reported. */
async function allArrived() {
  await until(async () => (await edge.status()).backlog.records < 20, 'the backlog is delivered', 60_000);
  const expected = edge.reported();
  assert.ok(expected.length > 0);
  const properties = new Set(expected.map((each) => each.property));
  /** @type {typeof expected} */ let missing = [];
  // The newest are on their way: only what was reported before the first look must be there.
  await until(async () => {
    const found = await stored(hub, machine, properties);
    missing = expected.filter((each) => found.get(`${each.property} ${each.time}`) !== each.value);
    return missing.length === 0;
  }, 'all of it is in history', 30_000).catch((error) => {
    throw new Error(`${error.message}: ${missing.length} of ${expected.length} missing, such as ${JSON.stringify(missing.slice(0, 3))}`);
  });
  return expected.length;
}

/** While the uplink is refused reports are kept: the driver is told they are safe, and they are held. */
async function keeps() {
  const before = edge.reported().length;
  await until(() => edge.reported().length >= before + 60, 'the driver goes on reporting');
  const { backlog, ledger } = await edge.status();
  assert.ok(backlog.records >= 5, `${backlog.records} held`);
  assert.deepEqual(ledger.dropped, {});
}

/** The uplink is refused with that cause, by /status and by doctor. @param {RegExp} cause */
async function refused(cause) {
  const uplink = await edge.uplink((each) => each.state === 'down' && cause.test(each.error?.cause ?? ''), `refused: ${cause}`);
  assert.equal(uplink.error.code, 'denied');
  assert.match(uplink.error.object, /^TLS connection to localhost/);
  assert.ok(uplink.error.fix.length > 10);
  const run = await doctor();
  assert.equal(run.code, 9);
  const [link, certificate] = [run.of('uplink'), run.of('certificate')];
  for (const finding of [link, certificate]) {
    assert.equal(finding.level, 'bad', JSON.stringify(finding));
    assert.match(finding.measured, cause);
    assert.ok(finding.fix.length > 10);
  }
  assert.equal(link.facts.error.code, 'denied');
  assert.equal(certificate.facts.accepted, false);
  return { uplink, certificate, run };
}

test('values of a real driver travel over TLS into the hub\'s history', async () => {
  const status = await edge.status();
  assert.equal(status.uplink.security, 'tls');
  assert.equal(status.uplink.caFile, trusted);
  assert.ok(Math.abs(Date.now() - Date.parse(status.uplink.since)) < 60_000, status.uplink.since);
  await until(() => edge.reported().length >= 60, 'reports are safe');
  await allArrived();
  const run = await doctor();
  // How fast this machine's disk is right now is no matter of this test.
  assert.deepEqual(run.found.filter((each) => each.level === 'bad' && each.check !== 'sync-time'), []);
  assert.equal(run.of('identity').measured, 'accepted by the hub');
  assert.equal(run.of('uplink').facts.state, 'up');
  assert.equal(run.of('certificate').facts.accepted, true);
  assert.equal(run.of('certificate').facts.key, 'ECDSA P-256');
  assert.equal(run.of('driver', 'host').level, 'ok');
  assert.equal(run.of('devices').facts.online, 1);
});

test('an expired certificate is named with its date; reports are kept and arrive once it is renewed', async () => {
  await show({ days: -1 });
  const { certificate } = await refused(/server's certificate expired on \d{4}-\d\d-\d\d/);
  assert.ok(certificate.facts.daysLeft < 0);
  await keeps();
  await show({});
  await edge.up();
  await allArrived();
});

test('a certificate for another host is named with both names; reports are kept and arrive once it is right', async () => {
  await show({ names: 'DNS:elsewhere.test' });
  const { certificate } = await refused(/is for elsewhere\.test, not for localhost/);
  assert.deepEqual(certificate.facts.names, ['elsewhere.test']);
  await keeps();
  await show({});
  await edge.up();
  await allArrived();
});

test('a hub of another authority is not trusted; with both authorities in the file it is, and nothing was lost', async () => {
  await show({}, stranger);
  const { certificate } = await refused(/not trusted here: .*stranger/);
  assert.equal(certificate.facts.issuer, 'CN=Test stranger');
  await keeps();
  await edge.end();
  appendFileSync(trusted, readFileSync(stranger.cert));
  await edge.run();
  await edge.up();
  await allArrived();
  await show({}); // the old authority's again: a rotation trusts both
  await edge.up();
  copyFileSync(authority.cert, trusted);
});

test('a kill while the hub is refused loses nothing either', async () => {
  await show({ days: -1 });
  await edge.uplink((each) => each.state === 'down' && each.error !== undefined, 'refused');
  await keeps();
  await edge.end('SIGKILL');
  await edge.run();
  await refused(/expired on/);
  await keeps();
  await show({});
  await edge.up();
  await allArrived();
});

test('plain MQTT at the other end is told as what it is', async () => {
  const { url } = edge;
  await edge.end();
  edge.url = `mqtts://localhost:${hub.mqttPort}`;
  await edge.run();
  try {
    const uplink = await edge.uplink((each) => each.state === 'down' && each.error !== undefined, 'no TLS there');
    assert.match(uplink.error.cause, /TLS/);
    const run = await doctor();
    assert.equal(run.code, 9);
    assert.match(run.of('certificate').measured, /TLS/);
    assert.equal(run.of('identity').level, 'warning', 'the hub was never asked who we are');
  } finally {
    await edge.end();
    edge.url = url;
  }
});

test('a CA file that is absent or no certificate keeps the edge from starting, by name', async () => {
  await edge.end();
  const broken = join(folder, 'broken.crt');
  writeFileSync(broken, 'this is no certificate\n');
  for (const file of [join(folder, 'absent.crt'), broken]) {
    const other = new Edge({ ...edge.gateway }, edge.url, file);
    try {
      await assert.rejects(other.run(), (/** @type {Error} */ error) => error.message.includes(file) && /hint: \S/.test(error.message));
    } finally {
      await other.dispose();
    }
  }
});
