// brim-hub as a process: one owner of its data, formats, configuration, and how it ends (F-14, F-16, F-90, F-95).
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect, credentials } from './support/device.mjs';
import { EventReader } from './support/events.mjs';
import { execute, Hub, hubProgram, sleep, until } from './support/hub.mjs';
import { Sqlite } from './support/sqlite.mjs';

/** @param {string} folder @returns {string} digest of all files below */
function digest(folder) {
  const hash = createHash('sha256');
  for (const name of readdirSync(folder, { recursive: true }).map(String).sort()) {
    const path = join(folder, name);
    // The lock names its last owner; it is not data.
    if (name !== 'lock' && statSync(path).isFile()) hash.update(name).update(readFileSync(path));
  }
  return hash.digest('hex');
}

test('a second hub on the same data ends with "locked by pid", the first goes on', async () => {
  const hub = await Hub.start();
  try {
    const other = join(hub.folder, 'other.toml');
    writeFileSync(other, `[hub]\ndata_dir = "${hub.data}"\n[[listener]]\nprotocol = "mqtt"\naddress = "127.0.0.1:0"\n`);
    const second = await execute(hubProgram, ['run', '--config', other]);
    assert.equal(second.code, 75); // EX_TEMPFAIL [F-14]
    assert.match(second.err, new RegExp(`lock.*\\b${hub.child?.pid}\\b`, 's'));
    assert.match(second.err, /^hint: /m);
    assert.equal((await hub.call('GET', '/api/v1/system')).status, 200);
  } finally {
    await hub.dispose();
  }
});

test('data of a newer format is refused and not touched', async () => {
  const hub = await Hub.start();
  try {
    await hub.end();
    for (const file of ['hub.db', 'history.db']) {
      const path = join(hub.data, file);
      const version = Sqlite.run(path, 'PRAGMA user_version').trim();
      Sqlite.run(path, 'PRAGMA user_version = 999');
      const before = digest(hub.data);
      const run = await execute(hubProgram, ['run', '--config', hub.config]);
      assert.equal(run.code, 1, file);
      assert.match(run.err, /999.*newer|newer.*999/s, file);
      assert.ok(run.err.includes(file), 'names the file');
      if (file === 'hub.db') assert.equal(digest(hub.data), before, 'nothing was written');
      Sqlite.run(path, `PRAGMA user_version = ${version}`);
    }
    await hub.run();
    assert.equal((await hub.call('GET', '/api/v1/system')).status, 200);
  } finally {
    await hub.dispose();
  }
});

test('config check names file, line and column of each mistake, and exits with 9', async () => {
  const hub = await Hub.prepare();
  try {
    const check = async (/** @type {string} */ text, words = /** @type {string[]} */ ([])) => {
      writeFileSync(hub.config, text);
      return execute(hubProgram, ['config', 'check', '--config', hub.config, ...words]);
    };
    assert.equal((await check('')).code, 0);
    const example = await execute(hubProgram, ['config', 'example']);
    assert.equal((await check(example.out)).code, 0, example.out);
    for (const [text, place, what] of /** @type {[string, string, RegExp][]} */ ([
      ['[hub]\ndata_dri = "/x"\n', ':2:1', /data_dir/],
      ['[hub]\n  data_dir = 7\n', ':2:', /text|string/],
      ['[mqtt]\nqueue_max = 0\n', ':2:', /1/],
      ['[mqtt]\nkeepalive_min = "2h"\n', ':2:', /keepalive_min/],
      ['[hub\n', ':1:', /./],
      ['[hub]\ndata_dir = "a"\ndata_dir = "b"\n', ':3:', /./],
      ['[nothing]\nx = 1\n', ':1:', /nothing/],
      ['[[listener]]\nprotocol = "smtp"\n', ':2:', /mqtt/],
      ['[log]\nlevel = "loud"\n', ':2:', /debug/],
    ])) {
      const got = await check(text);
      assert.equal(got.code, 9, `${text}: ${got.err}${got.out}`);
      assert.ok(got.err.includes(`${hub.config}${place}`), `${text}: ${got.err}`);
      assert.match(got.err, what);
    }
    // What is only wrong together: each mistake at its key, or where the table of a missing key begins.
    for (const [text, ...places] of /** @type {string[][]} */ ([
      ['[[listener]]\nprotocol = "mqtt"\naddress = "0.0.0.0:1883"\n', ':3:1: listener[0].address: '],
      ['[[listener]]\nprotocol = "http"\n\n  address = "nonsense"\n', ':4:3: listener[0].address: '],
      ['[[listener]]\nprotocol = "mqtt"\n', ':1:1: listener[0].address: '],
      ['[mqtt]\nkeepalive_min = "10m"\nkeepalive_max = "5m"\n', ':2:1: mqtt.keepalive_min: '],
      ['[[listener]]\nprotocol = "mqtts"\naddress = "0.0.0.0:1"\ncert_file = "x"\n', ':4:1: listener[0].cert_file: '],
      ['[[listener]]\nprotocol = "mqtts"\naddress = "0.0.0.0:1"\nauth = "unsafe-anonymous"\n', ':4:1: listener[0].auth: '],
      ['[[listener]]\nprotocol = "mqtt"\naddress = "127.0.0.1:1"\norigins = ["*"]\n', ':4:1: listener[0].origins: '],
      ['[ingest]\nlog_bytes_max = "1MiB"\n', ':2:1: ingest.log_bytes_max: '],
      ['[history]\nbytes_max = 7\n[[bridge]]\nname = "b"\nurl = "ftp://x"\n[[listener]]\naddress = "x"\n[[listener]]\naddress = "1.2.3.4:5"\n',
        ':2:1: history.bytes_max: ', ':5:1: bridge[0].url: ', ':7:1: listener[0].address: ', ':9:1: listener[1].address: '],
    ])) {
      const got = await check(/** @type {string} */ (text));
      assert.equal(got.code, 9, text);
      const lines = got.err.trimEnd().split('\n');
      assert.equal(lines.length, places.length + 1, got.err);
      for (const place of places) assert.ok(lines.some((line) => line.startsWith(`${hub.config}${place}`) && line.includes('; ')), `${place} in ${got.err}`);
      assert.match(/** @type {string} */ (lines.at(-1)), /^hint: /);
    }
    const plain = await check('', ['--set', 'listener[0].address=0.0.0.0:1883']);
    assert.match(plain.err, /^--set listener\[0\]\.address: listener\[0\]\.address: plain mqtt/);
    assert.equal((await check('', ['--set', 'mqtt.queue_max=5'])).code, 0);
    assert.equal((await check('', ['--set', 'mqtt.nothing=5'])).code, 9);
    const env = { BRIM_MQTT__QUEUE_MAX: 'many' };
    assert.equal((await execute(hubProgram, ['config', 'check', '--config', hub.config], { env })).code, 9);
    assert.equal((await execute(hubProgram, ['config', 'check', '--config', '/nowhere/hub.toml'])).code, 9);
    for (const words of [[], ['fly'], ['run', '--nothing'], ['config', 'eat'], ['run', 'x']]) {
      const run = await execute(hubProgram, words);
      assert.ok(words.length === 0 ? run.code === 0 || run.code === 2 : run.code === 2, `${words}: ${run.code}`);
    }
  } finally {
    await hub.dispose();
  }
});

test('SIGTERM under load says goodbye, keeps all that was acknowledged, and ends within 10 s', async () => {
  const hub = await Hub.start();
  try {
    const product = await hub.product('a1drain');
    const links = [];
    for (let i = 0; i < 4; ++i) links.push(await connect(hub.mqttPort, { ...credentials(await hub.device(product, `d${i}`)), protocolVersion: 5 }));
    const streams = [await EventReader.open(hub, '/api/v1/events', hub.token), await EventReader.open(hub, '/api/v1/events?types=message', hub.token, undefined, true)];
    /** @type {Set<string>} */ const acknowledged = new Set();
    let running = true;
    const load = links.map(async (link, device) => {
      for (let i = 1; running; ++i) {
        await link.publish(`/sys/${product}/d${device}/thing/event/property/post`, { id: '1', params: { count: { value: i, time: 1_700_000_000_000 + i } } }).then(
          () => acknowledged.add(`${device}/${i}`),
          () => (running = false),
        );
      }
    });
    await until(() => acknowledged.size > 50, 'the load runs');
    const start = Date.now();
    const code = await hub.end('SIGTERM');
    running = false;
    assert.equal(code, 0, `${hub.child?.signalCode} ${hub.output.slice(-6000)}`);
    assert.ok(Date.now() - start < 10_000, `${Date.now() - start} ms`);
    await until(() => links.every((link) => link.closed), 'all are told');
    for (const link of links) assert.equal(link.goodbye?.reasonCode, 0x8b, 'server shutting down');
    for (const link of links) link.client.end(true);
    await Promise.race([Promise.all(load), sleep(1000)]);
    for (const stream of streams) await stream.close();
    await hub.run();
    for (let device = 0; device < 4; ++device) {
      const stored = await allPoints(hub, `${product}/d${device}`);
      const missing = [...acknowledged].filter((each) => each.startsWith(`${device}/`) && !stored.has(Number(each.slice(2))));
      assert.deepEqual(missing, []);
    }
  } finally {
    await hub.dispose();
  }
});

/** Every value of `count` in history. @param {Hub} hub @param {string} pair @returns {Promise<Set<number>>} */
async function allPoints(hub, pair) {
  const stored = new Set();
  let cursor = '';
  do {
    const page = await hub.ok('GET', `/api/v1/devices/${pair}/history?property=count&order=asc&from=0&limit=1000${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    for (const point of page.points) stored.add(point.value);
    cursor = page.next ?? '';
  } while (cursor);
  return stored;
}

test('law L1: what was acknowledged is in history, however often the hub is killed (20 times, under load)', async () => {
  const hub = await Hub.start();
  try {
    const product = await hub.product('a1kill');
    const devices = [];
    for (let i = 0; i < 3; ++i) devices.push(await hub.device(product, `d${i}`));
    const acknowledged = devices.map(() => /** @type {number[]} */ ([]));
    let next = 0;
    const count = () => acknowledged.reduce((sum, each) => sum + each.length, 0);
    for (let round = 0; round < 20; ++round) {
      const links = await Promise.all(devices.map((device) => connect(hub.mqttPort, credentials(device))));
      const load = links.map(async (link, d) => {
        link.client.on('error', () => {});
        // Eight in flight each: acknowledgements and the history batch overlap.
        await Promise.all(Array.from({ length: 8 }, async () => {
          while (!link.closed) {
            const value = ++next;
            const done = link.publish(`/sys/${product}/d${d}/thing/event/property/post`, { id: '1', params: { count: { value, time: 1_700_000_000_000 + value } } });
            const good = await Promise.race([done.then(() => true, () => false), new Promise((resolve) => link.client.once('close', () => resolve(false)))]);
            if (good) acknowledged[d]?.push(value);
          }
        }));
      });
      for (const link of links) link.client.setMaxListeners(0);
      const before = count();
      await until(() => count() > before + 5, 'the load runs');
      await sleep(Math.random() * 400);
      await hub.end('SIGKILL');
      await until(() => links.every((link) => link.closed), 'the connections are gone');
      for (const link of links) link.client.end(true);
      await Promise.all(load);
      await hub.run();
    }
    for (const [d, values] of acknowledged.entries()) {
      const stored = await allPoints(hub, `${product}/d${d}`);
      assert.deepEqual(values.filter((value) => !stored.has(value)), [], `lost of device ${d}`);
    }
    assert.ok(count() >= 20 * 6, `${count()} acknowledged`);
  } finally {
    await hub.dispose();
  }
});
