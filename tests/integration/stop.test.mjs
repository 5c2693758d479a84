// Hub and edge that are told twice to stop: the first SIGTERM waits for the disk and for the drivers, the second for
// nobody, and says so by its exit code (docs/errors.md).
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { connect, credentials } from './support/device.mjs';
import { Edge } from './support/edge.mjs';
import { Hub, sleep, until } from './support/hub.mjs';

const folder = mkdtempSync(join(tmpdir(), 'brim-stop-'));
const library = join(folder, 'slow_sync.so');
const hangs = join(folder, 'hangs');
after(() => rmSync(folder, { recursive: true, force: true }));

/**
 * SIGTERM, which must not be enough, then a second one. The exit code, and how long it took from the second.
 * @param {{ child?: import('node:child_process').ChildProcess | undefined, output: string }} program
 */
async function stopTwice(program) {
  const child = program.child;
  assert.ok(child);
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  await until(() => /stopping/.test(program.output), 'it says that it stops');
  await sleep(500);
  assert.equal(child.exitCode, null, 'the first one waits');
  const start = Date.now();
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 15_000);
  const [code, signal] = await gone;
  clearTimeout(timer);
  assert.equal(signal, null, `killed after ${Date.now() - start} ms`);
  return { code, took: Date.now() - start };
}

test('[F-95] a second SIGTERM ends a hub whose disk hangs at once, with 1; what was acknowledged is safe', async () => {
  execFileSync('cc', ['-shared', '-fPIC', '-O1', '-Wall', '-Wextra', '-Werror', '-o', library, fileURLToPath(new URL('support/slow_sync.c', import.meta.url)), '-ldl']);
  Object.assign(process.env, { LD_PRELOAD: library, BRIM_SLOW_SYNC: hangs });
  const hub = await Hub.start().finally(() => delete process.env['LD_PRELOAD']);
  try {
    const product = await hub.product('a1twice');
    const link = await connect(hub.mqttPort, credentials(await hub.device(product, 'd1')));
    link.client.on('error', () => {});
    const post = (/** @type {number} */ value) => link.publish(`/sys/${product}/d1/thing/event/property/post`, { id: '1', params: { count: { value, time: 1_700_000_000_000 + value } } });
    for (let value = 1; value <= 20; ++value) await post(value);
    writeFileSync(hangs, '');
    let answered = false;
    void post(21).then(() => (answered = true), () => {});
    await sleep(300);
    assert.equal(answered, false, 'nothing is acknowledged before it is on disk');
    const { code, took } = await stopTwice(hub);
    assert.equal(code, 1);
    assert.ok(took < 2000, `${took} ms`);
    link.client.end(true);
    rmSync(hangs);
    await hub.run();
    const page = await hub.ok('GET', `/api/v1/devices/${product}/d1/history?property=count&order=asc&from=0&limit=100`);
    const values = page.points.map((/** @type {{ value: number }} */ point) => point.value);
    assert.deepEqual(values.slice(0, 20), Array.from({ length: 20 }, (_, i) => i + 1));
  } finally {
    rmSync(hangs, { force: true });
    await hub.dispose();
  }
});

const read = (/** @type {string} */ path) => (existsSync(path) ? readFileSync(path, 'utf8') : '');

/** @param {number} pid */
function alive(pid) {
  // A zombie that nobody has buried yet does nothing any more.
  return /^State:\s+[^ZX]/m.test(read(`/proc/${pid}/status`));
}

test('[F-95] a second SIGTERM ends an edge whose driver does not stop at once, with 1, and the driver with it', async () => {
  const pidFile = join(folder, 'driver.pid');
  const edge = new Edge({ productKey: 'a1twice', deviceName: 'edge-1', deviceSecret: '0123456789abcdef' }, 'mqtt://127.0.0.1:1');
  edge.drivers.push({ name: 'deaf', program: '/bin/sh', args: ['-c', `trap '' TERM; echo $$ > ${pidFile}; while :; do sleep 0.1; done`], devices: [], models: {} });
  try {
    await edge.run();
    const pid = await until(() => Number(read(pidFile)), 'the driver runs');
    const { code, took } = await stopTwice(edge);
    assert.equal(code, 1);
    assert.ok(took < 2000, `${took} ms`);
    await until(() => !alive(pid), 'the driver is gone', 2000);
    edge.drivers.length = 0;
    await edge.run(); // its files are in order
  } finally {
    await edge.dispose();
  }
});
