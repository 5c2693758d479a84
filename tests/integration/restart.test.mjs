// A hub that is killed under many TLS clients: all come back, and what it acknowledged is there.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createSecureContext, connect as dialTls } from 'node:tls';
import { Authority } from './support/certificates.mjs';
import { connect, credentials } from './support/device.mjs';
import { freePort, Hub, sleep, until } from './support/hub.mjs';
import { enter } from './support/raw.mjs';

const crowd = Number(process.env['BRIM_RESTART_CLIENTS'] ?? 1000);
const reporters = 10;
const back_wait_ms = 60_000; // the fault's own bound
const folder = mkdtempSync(join(tmpdir(), 'brim-restart-'));
/** @type {Authority} */ let authority;
/** @type {Hub} */ let hub;
let open = 0; // the TLS port without logins

before(async () => {
  authority = new Authority(folder);
  const { cert, key } = authority.issue();
  open = await freePort();
  hub = await Hub.start(
    `[[listener]]\nprotocol = "mqtts"\naddress = "127.0.0.1:${open}"\nauth = "unsafe-anonymous"\ncert_file = "${cert}"\nkey_file = "${key}"\n`,
  );
});
after(async () => {
  await hub?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** One that stays connected, with a ticket once it has one, and comes back after a random time, longer with each failure: jittered. */
class Member {
  isUp = false;
  logins = 0;
  #left = false;
  /** @type {Buffer | undefined} */ #ticket;
  /** @type {import('node:tls').TLSSocket | undefined} */ #socket;

  /** @param {number} number @param {import('node:tls').SecureContext} trust */
  constructor(number, trust) {
    this.number = number;
    this.trust = trust;
  }

  async stay() {
    for (let failures = 0; !this.#left; ++failures) {
      const socket = dialTls({ port: open, host: '127.0.0.1', servername: 'localhost', secureContext: this.trust, ...(this.#ticket ? { session: this.#ticket } : {}) });
      this.#socket = socket;
      socket.on('session', (ticket) => (this.#ticket = ticket));
      const closed = new Promise((resolve) => socket.once('close', resolve));
      const raw = await enter(socket, { clientId: `m${this.number}` });
      if (raw.code === 0) {
        this.isUp = true;
        ++this.logins;
        failures = 0;
        await closed;
        this.isUp = false;
      } else {
        socket.destroy();
      }
      if (!this.#left) await sleep(Math.random() * Math.min(5_000, 250 * 2 ** failures));
    }
  }

  leave() {
    this.#left = true;
    this.#socket?.destroy();
  }
}

test(`[F-86] ${crowd} TLS clients are back within 60 s of a kill, and what was acknowledged is not lost`, async () => {
  const product = await hub.product('a1restart');
  const devices = [];
  for (let i = 0; i < reporters; ++i) devices.push(await hub.device(product, `d${i}`));
  const trust = createSecureContext({ ca: authority.pem });
  const members = Array.from({ length: crowd }, (_, i) => new Member(i, trust));
  const stays = [];
  for (const [i, member] of members.entries()) {
    stays.push(member.stay());
    if (i % 100 === 99) await until(() => members.slice(0, i + 1).every((each) => each.isUp), 'they come in', 60_000);
  }

  const acknowledged = devices.map(() => /** @type {number[]} */ ([]));
  const links = await Promise.all(devices.map((device) => connect(hub.mqttPort, credentials(device))));
  let next = 0;
  const load = links.map(async (link, d) => {
    link.client.on('error', () => {});
    const gone = new Promise((resolve) => link.client.once('close', () => resolve(false)));
    while (!link.closed) {
      const value = ++next;
      const done = link.publish(`/sys/${product}/d${d}/thing/event/property/post`, { id: '1', params: { count: { value, time: 1_700_000_000_000 + value } } });
      if (await Promise.race([done.then(() => true, () => false), gone])) acknowledged[d]?.push(value);
    }
  });
  await until(() => acknowledged.every((each) => each.length >= 20), 'reports are acknowledged');
  await hub.end('SIGKILL');
  const killed = Date.now();
  await until(() => members.every((each) => !each.isUp), 'all have lost their connection');
  for (const link of links) link.client.end(true);
  await Promise.all(load);
  await hub.run();
  await until(() => members.every((each) => each.isUp), 'all are back', Math.max(1, back_wait_ms - (Date.now() - killed)));
  assert.ok(members.every((each) => each.logins >= 2));

  const again = await connect(hub.mqttPort, credentials(/** @type {any} */ (devices[0]))); // the door is not jammed
  assert.equal((await again.ask(`/sys/${product}/d0/thing/event/property/post`, { id: '2', params: { count: 1 } })).json.code, 200);
  await again.leave();
  for (const [d, values] of acknowledged.entries()) {
    const page = await hub.ok('GET', `/api/v1/devices/${product}/d${d}/history?property=count&order=asc&from=0&limit=1000`);
    const stored = new Set(page.points.map((/** @type {any} */ point) => point.value));
    assert.deepEqual(values.slice(0, 900).filter((value) => !stored.has(value)), [], `lost of device ${d}`);
  }
  for (const member of members) member.leave();
  await Promise.all(stays);
});
