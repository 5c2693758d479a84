// Users of a broker known by their certificates, which are revoked or end while they are connected (B-40, B-43, B-45).
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { BrokerHub, connectTo } from './support/broker.mjs';
import { Authority } from './support/certificates.mjs';
import { until } from './support/hub.mjs';

const folder = mkdtempSync(join(tmpdir(), 'brim-broker-certificates-'));
const authority = new Authority(folder);
const list = join(folder, 'crl');
/** @type {BrokerHub} */ let broker;

before(async () => {
  const server = authority.issue();
  writeFileSync(list, authority.revocations([]));
  const tls = `cert_file = "${server.cert}"\nkey_file = "${server.key}"\nclient_certificate = "required"\nclient_ca_file = "${authority.cert}"\ncrl_file = "${list}"\n`;
  broker = await BrokerHub.start({ acl: 'pattern readwrite #\n', listeners: [{}, { protocol: 'mqtts', more: tls }] });
});
after(async () => {
  await broker.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** @param {import('./support/certificates.mjs').Pair} pair @param {import('mqtt').IClientOptions} [options] */
const joinWith = (pair, options) => connectTo(`mqtts://localhost:${broker.ports[1]}`, { ca: authority.pem, cert: readFileSync(pair.cert), key: readFileSync(pair.key), ...options });
const will = (/** @type {string} */ payload) => ({ topic: 'wills', payload: Buffer.from(payload), qos: /** @type {const} */ (1), retain: false });

test('[B-40] [B-43] a revoked user is out within a second of its list, unasked; its session goes, its will is not heard', async () => {
  const [lost, kept] = [authority.client('lost'), authority.client('kept')];
  const witness = await broker.client('ann');
  await witness.subscribeAsync('wills', { qos: 1 });
  const session = { clean: false, properties: { sessionExpiryInterval: 3600 } };
  const revoked = await joinWith(lost, { clientId: 'lost', will: will('of the revoked one'), ...session });
  await revoked.subscribeAsync('t', { qos: 1 });
  const other = await joinWith(kept, { clientId: 'kept', will: will('of the other one') });
  writeFileSync(list, authority.revocations([lost]));
  const since = Date.now();
  await until(() => !revoked.connected, 'the revoked user is out');
  const took = Date.now() - since;
  // The product's promise is a second; what a busy machine adds is not judged here.
  assert.ok(took < 10_000, `${took} ms`);
  assert.ok(other.connected);
  await assert.rejects(joinWith(lost, { clientId: 'lost' }));
  await until(() => /session ended: its certificate is refused/.test(broker.hub.output), 'the log says so');
  // The other one's will comes, and would come after the revoked one's.
  other.stream.destroy();
  await until(() => witness.got.length > 0, 'the will of the other one');
  assert.deepEqual(witness.got.map((each) => each.payload), ['of the other one']);
  // Let in again, it finds nothing of what it had.
  writeFileSync(list, authority.revocations([]));
  const back = await until(() => joinWith(lost, { clientId: 'lost', ...session }).catch(() => undefined), 'it is let in again');
  await back.subscribeAsync('u', { qos: 1 });
  for (const topic of ['t', 'u']) await witness.publishAsync(topic, topic, { qos: 1 });
  await until(() => back.got.length > 0, 'what it subscribed to now');
  assert.deepEqual(back.got.map((each) => each.topic), ['u']);
  for (const each of [witness, back]) await each.endAsync(true);
});

test('[B-45] a connection ends with its certificate, and its will is heard', async () => {
  const witness = await broker.client('bob');
  await witness.subscribeAsync('wills', { qos: 1 });
  const end = Math.floor(Date.now() / 1000) + 4;
  const brief = await joinWith(authority.client('brief', { seconds: 4 }), { clientId: 'brief', will: will('its time is over') });
  const lasting = await joinWith(authority.client('lasting'), { clientId: 'lasting' });
  await until(() => !brief.connected, 'the connection ends');
  assert.ok(Date.now() / 1000 >= end - 1);
  assert.ok(lasting.connected);
  await until(() => witness.got.length === 1, 'the will');
  assert.equal(witness.got[0]?.payload, 'its time is over');
  await until(() => /connection refused.*expired on/.test(broker.hub.output), 'the reason is in the log');
  for (const each of [witness, lasting]) await each.endAsync(true);
});
