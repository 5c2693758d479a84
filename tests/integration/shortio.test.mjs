// Hub and edge whose every read and write of a file is short or interrupted (support/short_io.c): nothing changes for
// their users, also when both are killed and recover from what was written so.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Edge, hostModel, stored } from './support/edge.mjs';
import { freePort, Hub, until } from './support/hub.mjs';

const folder = mkdtempSync(join(tmpdir(), 'brim-short-'));
const library = join(folder, 'short_io.so');
after(() => rmSync(folder, { recursive: true, force: true }));

test('[F-07] short and interrupted reads and writes lose nothing, also over kill -9 of both', async () => {
  execFileSync('cc', ['-shared', '-fPIC', '-O1', '-Wall', '-Wextra', '-Werror', '-o', library, fileURLToPath(new URL('support/short_io.c', import.meta.url)), '-ldl']);
  process.env['LD_PRELOAD'] = library; // of what is started from here on
  process.env['BRIM_SHORT_IO'] = tmpdir();
  const port = await freePort();
  const hub = await Hub.start(`[[listener]]\nprotocol = "mqtt"\naddress = "127.0.0.1:${port}"\n`);
  /** @type {Edge | undefined} */ let edge;
  try {
    await hub.product('a1shgw', { properties: [], events: [], services: [] }, 'gateway');
    await hub.product('a1shhost', hostModel);
    const identity = await hub.device('a1shgw', 'edge-1');
    const device = await hub.device('a1shhost', 'machine-1');
    await hub.ok('POST', '/api/v1/gateways/a1shgw/edge-1/devices', { productKey: device.productKey, deviceName: device.deviceName });
    edge = await new Edge(identity, `mqtt://127.0.0.1:${port}`).addHostDriver(device).run();
    for (const pid of [hub.child?.pid, edge.child?.pid]) assert.match(readFileSync(`/proc/${pid}/maps`, 'utf8'), /short_io\.so/);
    const reported = () => /** @type {Edge} */ (edge).reported().length;
    await until(async () => reported() > 100, 'a hundred values are reported', 30_000);
    await hub.end('SIGKILL');
    const before = reported();
    await until(async () => reported() > before + 100, 'a hundred more without the hub', 30_000);
    await edge.end('SIGKILL');
    await edge.run();
    await hub.run();
    await until(async () => reported() > before + 200, 'a hundred more after both came back', 30_000);
    const expected = edge.reported();
    const properties = new Set(expected.map((each) => each.property));
    await until(async () => {
      const found = await stored(hub, 'a1shhost/machine-1', properties);
      return expected.every((each) => found.get(`${each.property} ${each.time}`) === each.value);
    }, 'everything that was reported is in history', 60_000);
  } finally {
    delete process.env['LD_PRELOAD'];
    await edge?.dispose().finally(() => hub.dispose());
  }
});
