// The console with a real edge behind the hub: what an outage leaves behind in the chart, a service call, an event.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Edge } from '../integration/support/edge.mjs';
import { Hub, sleep, until } from '../integration/support/hub.mjs';
import { startBrowser, watchedPage } from './support/browser.mjs';

const outage_ms = 5_000;
const tank = 'a1webtank/tank-1';
const model = {
  properties: [{ identifier: 'level', name: 'Level', accessMode: 'r', dataType: { type: 'int', specs: { min: '0', max: '1000000', unit: 'l' } } }],
  events: [{ identifier: 'overflow', name: 'Overflow', type: 'alert', outputData: [{ identifier: 'amount', name: 'Amount', dataType: { type: 'int', specs: { min: '0', max: '100000', unit: 'l' } } }] }],
  services: [{
    identifier: 'calibrate', name: 'Calibrate', callType: 'sync',
    inputData: [{ identifier: 'target', name: 'Target', dataType: { type: 'int', specs: { min: '0', max: '100000' } } }],
    outputData: [{ identifier: 'before', name: 'Before', dataType: { type: 'int', specs: { min: '0', max: '1000000' } } }],
  }],
};

/** @type {Hub} */ let hub;
/** @type {Edge} */ let edge;
/** @type {import('playwright-core').Browser} */ let browser;
/** @type {import('playwright-core').BrowserContext} */ let context;

before(async () => {
  hub = await Hub.start();
  await hub.product('a1webgw', { properties: [], events: [], services: [] }, 'gateway');
  await hub.product('a1webtank', model);
  const gateway = await hub.device('a1webgw', 'edge-1');
  const { productKey, deviceName } = await hub.device('a1webtank', 'tank-1');
  await hub.ok('POST', '/api/v1/gateways/a1webgw/edge-1/devices', { productKey, deviceName });
  edge = new Edge(gateway, `mqtt://127.0.0.1:${hub.mqttPort}`);
  const program = fileURLToPath(new URL('support/driver.mjs', import.meta.url));
  // Where memory is limited by address space, Node needs far more of that than it uses.
  edge.drivers.push({ name: 'tank', program: process.execPath, args: [program], devices: [{ productKey, deviceName }], models: { [productKey]: model }, memory: '64GiB' });
  await edge.run();
  await until(async () => (await levels()).length > 3, 'values arrive', 30_000);
  browser = await startBrowser();
  context = await browser.newContext({ locale: 'en-GB', viewport: { width: 1440, height: 900 } });
  await context.addCookies([{ name: 'brim_session', value: hub.cookie.split('=')[1] ?? '', url: hub.url }]);
});
after(async () => {
  await browser?.close();
  await edge?.dispose().finally(() => hub.dispose());
});

/** @returns {Promise<{ time: number, value: number, replayed?: boolean }[]>} */
const levels = async () => (await hub.ok('GET', `/api/v1/devices/${tank}/history?property=level&order=asc&from=0&limit=10000`)).points;
/** @param {string} tab */
async function open(tab, expected = /** @type {number[]} */ ([])) {
  const { page, faults } = await watchedPage(context, hub.url, expected);
  await page.goto(`${hub.url}/devices/${tank}?tab=${tab}`);
  await page.waitForSelector('[data-test=device-title]');
  return { page, faults };
}

/** Columns of the chart that show the colour of the replayed band at its top, between first and last. @param {import('playwright-core').Page} page */
const bandOf = (page) => page.evaluate(() => {
  const chart = /** @type {HTMLCanvasElement} */ (document.querySelector('.chart canvas'));
  const copy = document.createElement('canvas'); // reading the page's own canvas again and again makes the browser warn
  copy.width = chart.width;
  const pen = copy.getContext('2d', { willReadFrequently: true });
  if (!pen) throw new Error('no canvas');
  pen.drawImage(chart, 0, Math.round(chart.height * 0.2), chart.width, 1, 0, 1, chart.width, 1);
  pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue('--replay-soft').trim();
  pen.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
  const near = (/** @type {number} */ x, /** @type {number | undefined} */ y) => Math.abs(x - (y ?? 0)) <= 3;
  const row = pen.getImageData(0, 1, copy.width, 1).data;
  let count = 0;
  for (let x = 0; x < copy.width; ++x) if (near(row[4 * x] ?? 0, r) && near(row[4 * x + 1] ?? 0, g) && near(row[4 * x + 2] ?? 0, b) && near(row[4 * x + 3] ?? 0, a)) ++count;
  return { count, width: copy.width };
});

describe('a device behind an edge', () => {
  test('the chart shows an outage as replayed: a band over its time, and a badge that counts its points', async () => {
    // What the driver said before the edge's first login may count as backlog too: look from the first live value on.
    const first = await until(async () => (await levels()).find((each) => !each.replayed), 'a live value');
    const from = first.time;
    const shown_ms = 60_000;
    const tab = `history&property=level&range=custom&from=${from}&to=${from + shown_ms}`;
    const before = await open(tab);
    await before.page.waitForSelector('.chart canvas');
    await before.page.waitForTimeout(500);
    assert.equal((await bandOf(before.page)).count, 0, 'no band before an outage');
    assert.equal(await before.page.locator('.badge.replay').count(), 0);
    assert.deepEqual(before.faults, []);
    await before.page.close();
    const down = Date.now();
    await hub.end();
    await sleep(outage_ms);
    await hub.run();
    const back = Date.now();
    const points = await until(async () => {
      const { uplink, backlog } = await edge.status();
      const read = (await levels()).filter((each) => each.time >= from);
      const last = read.at(-1);
      // Live values overtake the backlog, so wait for each that was said in between.
      const whole = read.every((each, index) => index === 0 || each.value === (read[index - 1]?.value ?? 0) + 1);
      return uplink.state === 'up' && !backlog.replaying && whole && last !== undefined && last.time > back && !last.replayed && read;
    }, 'the backlog is delivered, nothing missing and nothing twice, and values are live again', 60_000);
    const replayed = points.filter((each) => each.replayed);
    assert.ok(replayed.length >= (outage_ms / 100) * 0.5, `${replayed.length} replayed`);
    for (const each of replayed) assert.ok(each.time > down - 2_000 && each.time < back + 30_000, 'replayed means of the outage');
    const { page, faults } = await open(tab);
    await page.locator('.badge.replay', { hasText: `${replayed.length} replayed after outage` }).waitFor();
    const expected = ((replayed.at(-1)?.time ?? 0) - (replayed[0]?.time ?? 0)) / shown_ms;
    await until(async () => {
      const { count, width } = await bandOf(page);
      return count > expected * width * 0.7 && count < expected * width * 1.1;
    }, `a band as wide as the outage, ${Math.round(100 * expected)} % of the chart`);
    assert.deepEqual(faults, []);
    await page.close();
  });

  test('a service call is answered by the driver, and the event it causes is listed', async () => {
    const { page, faults } = await open('services');
    const target = page.locator('#in-target');
    await target.fill('540');
    await target.blur();
    await page.click('[data-test=call-service]');
    const answer = page.locator('article', { hasText: 'calibrate' });
    await answer.locator('.badge.ok').waitFor({ timeout: 10_000 });
    assert.match((await answer.textContent()) ?? '', /"before": \d+/);
    await page.click('#tab-events');
    const event = page.locator('li', { hasText: 'Overflow' });
    await event.waitFor({ timeout: 10_000 });
    assert.match((await event.textContent()) ?? '', /Amount\s*40\s*l/);
    await page.reload();
    await page.locator('li', { hasText: 'Overflow' }).waitFor();
    assert.deepEqual(faults, []);
    await page.close();
  });

  test('the gateway is online with its sub-device, and both are offline once the edge has stopped', async () => {
    const { page, faults } = await open('live');
    await page.locator('[data-test=device-status] .status.online').waitFor();
    assert.equal((await hub.ok('GET', '/api/v1/devices/a1webgw/edge-1')).status, 'online');
    await edge.end();
    await page.locator('[data-test=device-status] .status.offline').waitFor({ timeout: 15_000 });
    assert.equal((await hub.ok('GET', `/api/v1/devices/${tank}`)).status, 'offline');
    assert.deepEqual(faults, []);
    await page.close();
  });
});
