// Ten thousand devices in the list: loaded in the background, filtered at once, scrolled without long pauses.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Api } from './support/api.mjs';
import { startBrowser, watchedPage } from './support/browser.mjs';
import { startHub } from './support/hub.mjs';

const devices_count = Number(process.env['BRIM_SCALE_DEVICES'] ?? 10_000);
const create_parallel = 8;
// What makes a list of any length smooth: only rows in sight exist, at every moment. Times are printed, not judged.
const rows_in_page_max = 80;

/** @type {import('./support/hub.mjs').Hub} */
let hub;
/** @type {import('playwright-core').Browser} */
let browser;
before(async () => {
  hub = await startHub();
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await hub?.stop();
});

test(`${devices_count} devices stay responsive`, { timeout: 600_000 }, async (context) => {
  const api = new Api(hub.url);
  await api.call('POST', '/api/v1/setup', { token: new URL(hub.setupUrl).searchParams.get('t'), user: 'admin', password: 'a long enough sentence' });
  const product = await api.call('POST', '/api/v1/products', { name: 'Sensor' });
  let next = 0;
  await Promise.all(Array.from({ length: create_parallel }, async () => {
    for (let at = next++; at < devices_count; at = next++) await api.call('POST', '/api/v1/devices', { productKey: product.productKey, deviceName: `sensor-${String(at).padStart(5, '0')}` });
  }));

  const browserContext = await browser.newContext({ locale: 'en-GB', viewport: { width: 1440, height: 900 } });
  await browserContext.addCookies([{ name: 'brim_session', value: api.cookie.split('=')[1] ?? '', url: hub.url }]);
  const { page, faults } = await watchedPage(browserContext, hub.url);
  const start = Date.now();
  await page.goto(`${hub.url}/devices`);
  await page.waitForSelector('[role=row] .name');
  const first_ms = Date.now() - start;
  const total = devices_count.toLocaleString('en');
  await page.waitForFunction((text) => document.querySelector('[data-test=device-count]')?.textContent === text, `${total} of ${total}`, { timeout: 60_000 });
  const loaded_ms = Date.now() - start;
  assert.ok((await page.locator('[role=row]').count()) <= rows_in_page_max, 'only rows in sight may exist');

  const { frames, rows } = await page.evaluate(async () => {
    const port = /** @type {HTMLElement} */ (document.querySelector('[data-test=device-rows]'));
    /** @type {number[]} */
    const times = [];
    const steps = 120;
    let rows = 0;
    let last = performance.now();
    for (let step = 0; step <= steps; step += 1) {
      port.scrollTop = (port.scrollHeight * step) / steps;
      await new Promise((resolve) => requestAnimationFrame(resolve));
      const now = performance.now();
      times.push(now - last);
      last = now;
      rows = Math.max(rows, document.querySelectorAll('[role=row]').length);
    }
    return { frames: times.sort((a, b) => a - b), rows };
  });
  assert.ok(rows <= rows_in_page_max, `${rows} rows existed while scrolling`);
  const p50 = frames[Math.floor(frames.length * 0.5)] ?? 0;
  const p95 = frames[Math.floor(frames.length * 0.95)] ?? 0;
  const lastName = `sensor-${String(devices_count - 1).padStart(5, '0')}`;
  await page.waitForSelector(`text=${lastName}`);

  const filterStart = Date.now();
  await page.fill('[data-test=device-filter] input', 'sensor-00042');
  await page.waitForFunction((text) => document.querySelector('[data-test=device-count]')?.textContent?.startsWith(text), '1 of');
  const filter_ms = Date.now() - filterStart;
  assert.match(page.url(), /q=sensor-00042/);
  context.diagnostic(`first rows ${first_ms} ms, all loaded ${loaded_ms} ms, scroll frames p50 ${p50.toFixed(1)} ms p95 ${p95.toFixed(1)} ms, filter ${filter_ms} ms`);
  assert.deepEqual(faults, []);
});
