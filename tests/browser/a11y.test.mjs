// axe-core over the pages people use most, in both themes and both languages: nothing serious, nothing critical.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import axe from 'axe-core';
import { Api, report } from './support/api.mjs';
import { startBrowser, watchedPage } from './support/browser.mjs';
import { startHub } from './support/hub.mjs';

const password = 'a long enough sentence';
const model = {
  properties: [
    { identifier: 'temperature', name: 'Temperature', accessMode: 'r', dataType: { type: 'float', specs: { min: '-40', max: '120', unit: '°C' } } },
    { identifier: 'setpoint', name: 'Setpoint', accessMode: 'rw', dataType: { type: 'float', specs: { min: '0', max: '100', step: '0.5', unit: '°C' } } },
    { identifier: 'mode', name: 'Mode', accessMode: 'rw', dataType: { type: 'enum', specs: { 0: 'off', 1: 'on' } } },
  ],
  events: [{ identifier: 'alarm', name: 'Alarm', type: 'alert', outputData: [] }],
  services: [{ identifier: 'restart', name: 'Restart', callType: 'async', inputData: [{ identifier: 'delay', name: 'Delay', dataType: { type: 'int', specs: { min: '0', max: '60' } } }], outputData: [] }],
};

/** @type {import('./support/hub.mjs').Hub} */ let hub;
/** @type {import('playwright-core').Browser} */ let browser;
/** @type {Api} */ let api;
let device = '';

before(async () => {
  hub = await startHub();
  browser = await startBrowser();
  api = new Api(hub.url);
  await api.call('POST', '/api/v1/setup', { token: new URL(hub.setupUrl).searchParams.get('t'), user: 'admin', password });
  await api.signIn('admin', password);
  const product = await api.call('POST', '/api/v1/products', { name: 'Boiler', model });
  const made = await api.call('POST', '/api/v1/devices', { productKey: product.productKey, deviceName: 'boiler-1', nickname: 'Boiler one' });
  await api.call('POST', '/api/v1/devices', { productKey: product.productKey, deviceName: 'boiler-2' });
  device = `/devices/${product.productKey}/boiler-1`;
  await report(hub.mqttPort, made, { temperature: 21.5, setpoint: 20, mode: 1 });
});
after(async () => {
  await browser?.close();
  await hub?.stop();
});

/** What is wrong on a page, in words. @param {import('playwright-core').Page} page @returns {Promise<string[]>} */
async function violations(page) {
  await page.evaluate(axe.source);
  const found = await page.evaluate(() => /** @type {any} */ (window).axe.run(document, { resultTypes: ['violations'] }));
  return found.violations
    .filter((/** @type {any} */ each) => each.impact === 'serious' || each.impact === 'critical')
    .flatMap((/** @type {any} */ each) => each.nodes.map((/** @type {any} */ node) => `${each.id} (${each.impact}): ${node.target.join(' ')}: ${String(node.failureSummary).replace(/\s+/g, ' ')}`));
}

const tabs = ['live', 'history', 'properties', 'services', 'events', 'messages', 'connection'];
for (const theme of ['light', 'dark']) {
  for (const language of ['en', 'zh']) {
    describe(`${theme}, ${language}`, () => {
      /** @type {import('playwright-core').BrowserContext} */ let context;
      /** @type {import('playwright-core').Page} */ let page;
      /** @type {string[]} */ let faults;
      before(async () => {
        context = await browser.newContext({ locale: language === 'en' ? 'en-GB' : 'zh-CN', viewport: { width: 1440, height: 900 }, reducedMotion: 'reduce' });
        ({ page, faults } = await watchedPage(context, hub.url, [401]));
        await page.addInitScript((preferences) => localStorage.setItem('brim.console.preferences', preferences), JSON.stringify({ language, theme }));
      });
      after(() => context.close());

      /** @param {string} path @param {string} ready */
      const check = async (path, ready) => {
        await page.goto(hub.url + path);
        await page.waitForSelector(ready);
        await page.waitForTimeout(400); // transitions end: axe reads the colours it finds
        assert.equal(await page.getAttribute('html', 'data-theme'), theme);
        assert.equal((await page.getAttribute('html', 'lang'))?.slice(0, 2), language);
        assert.deepEqual(await violations(page), [], path);
        assert.deepEqual(faults, []);
      };
      test('sign-in', () => check('/sign-in', '#password'));
      test('devices', async () => {
        await context.addCookies([{ name: 'brim_session', value: api.cookie.split('=')[1] ?? '', url: hub.url }]);
        await check('/devices', '[role=row] .name');
      });
      for (const tab of tabs) test(`device page, ${tab}`, () => check(`${device}?tab=${tab}`, '[data-test=device-title]'));
    });
  }
}
