// The console in a real browser against a real hub. One hub, one story: set up, sign in, model, device, values.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Api, listen, report } from './support/api.mjs';
import { menuInPlace, startBrowser, watchedPage } from './support/browser.mjs';
import { startHub } from './support/hub.mjs';

const user = 'admin';
const password = 'a long enough sentence';
const hostile = '<img src=x onerror=alert(1)><script>alert(2)</script>';
const model = {
  properties: [
    { identifier: 'temperature', name: 'Temperature', accessMode: 'r', dataType: { type: 'float', specs: { min: '-40', max: '120', unit: '°C' } } },
    { identifier: 'setpoint', name: 'Setpoint', accessMode: 'rw', dataType: { type: 'float', specs: { min: '0', max: '100', step: '0.5', unit: '°C' } } },
    { identifier: 'label', name: 'Label', accessMode: 'rw', dataType: { type: 'text', specs: { length: '128' } } },
  ],
  events: [],
  services: [],
};

/** @type {import('./support/hub.mjs').Hub} */
let hub;
/** @type {import('playwright-core').Browser} */
let browser;
/** @type {import('playwright-core').BrowserContext} */
let context;
/** @type {Api} */
let api;
/** @type {{ productKey: string, deviceName: string, deviceSecret: string }} */
let device;

before(async () => {
  hub = await startHub();
  browser = await startBrowser();
  context = await browser.newContext({ locale: 'en-GB', viewport: { width: 1440, height: 900 } });
  api = new Api(hub.url);
});
after(async () => {
  await browser?.close();
  await hub?.stop();
});

/** @param {string} path @param {number[]} [expected] */
async function open(path, expected = []) {
  const { page, faults } = await watchedPage(context, hub.url, expected);
  await page.goto(hub.url + path);
  return { page, faults };
}
const devicePage = () => `/devices/${encodeURIComponent(device.productKey)}/${encodeURIComponent(device.deviceName)}`;

describe('console', () => {
  test('the setup link makes the first administrator and leaves no token in the address', async () => {
    const { page, faults } = await open(new URL(hub.setupUrl).pathname + new URL(hub.setupUrl).search, [401]);
    await page.waitForSelector('#user');
    assert.doesNotMatch(page.url(), /t=/);
    await page.fill('#user', user);
    await page.fill('#password', 'short');
    await page.fill('#again', 'short');
    assert.equal(await page.isDisabled('[data-test=setup]'), true, 'a short password must not be accepted');
    await page.fill('#password', password);
    await page.fill('#again', password);
    await page.click('[data-test=setup]');
    await page.waitForSelector('[data-test=devices-online]');
    assert.deepEqual(faults, []);
    await page.close();
  });

  test('signing out ends the session; a wrong password is told with cause and fix; the right one leads back', async () => {
    const { page, faults } = await open('/', [401, 403]);
    await page.click('[data-test=account]');
    await menuInPlace(page);
    await page.click('text=Sign out');
    await page.waitForURL('**/sign-in');
    await page.goto(`${hub.url}/products`);
    await page.waitForURL('**/sign-in?to=/products');
    await page.fill('#user', user);
    await page.fill('#password', 'not the password at all');
    await page.click('[data-test=sign-in]');
    const problem = await page.waitForSelector('[role=alert]');
    assert.match((await problem.textContent()) ?? '', /Cause.+What to do/s);
    await page.fill('#password', password);
    await page.click('[data-test=sign-in]');
    await page.waitForURL(`${hub.url}/products`);
    assert.deepEqual(faults, []);
    await page.close();
    await api.signIn(user, password);
  });

  test('a product and a device are made; the shown command really connects', async () => {
    const { page, faults } = await open('/devices');
    await page.click('[data-test=add-device] >> nth=0');
    await page.fill('#product-name', 'Boiler');
    await page.fill('#device-name', 'boiler-1');
    await page.fill('#nickname', hostile.slice(0, 64));
    await page.click('[data-test=create-device]');
    const secret = ((await page.textContent('[data-test=secret] code')) ?? '').trim();
    assert.match(secret, /^\w{16,64}$/);
    const command = (await page.textContent('[data-test=connect-command]')) ?? '';
    assert.match(command, new RegExp(`mosquitto_pub -h 127\\.0\\.0\\.1 -p ${hub.mqttPort} `));
    const { execFileSync } = await import('node:child_process');
    execFileSync('sh', ['-c', command], { timeout: 15_000 });
    await page.waitForSelector('.wait.online', { timeout: 5_000 });
    const { items } = await api.call('GET', '/api/v1/devices');
    assert.deepEqual(items.map((/** @type {{ deviceName: string }} */ each) => each.deviceName), ['boiler-1']);
    device = { productKey: items[0].productKey, deviceName: 'boiler-1', deviceSecret: secret };
    await api.call('PUT', `/api/v1/products/${device.productKey}/model`, model);
    await page.click('[data-test=open-device]');
    await page.waitForSelector('[data-test=device-title]');
    assert.deepEqual(faults, []);
    await page.close();
  });

  test('a value appears on the open page without a reload', async () => {
    const { page, faults } = await open(devicePage());
    await page.waitForSelector('[data-test=live-temperature]');
    await page.waitForFunction(() => document.querySelector('.badge.live:not(.connecting):not(.waiting)'));
    await report(hub.mqttPort, device, { temperature: 73.25 });
    await page.waitForFunction(() => document.querySelector('[data-test=live-temperature]')?.textContent?.includes('73.25'), null, { timeout: 5_000 });
    assert.deepEqual(faults, []);
    await page.close();
  });

  test('setting a property shows the desired value as pending until the device reports it', async () => {
    const { page, faults } = await open(`${devicePage()}?tab=properties`);
    await page.click('[data-test=set-setpoint]');
    const input = page.locator('.dialog input').first();
    await input.fill('101');
    await input.blur();
    assert.equal(await page.isDisabled('[data-test=set-submit]'), true, 'a value out of range must not be sent');
    await input.fill('42.5');
    await input.blur();
    await page.click('[data-test=set-submit]');
    const row = page.locator('[data-test=property-setpoint]');
    await row.locator('text=pending').waitFor();
    assert.match((await row.textContent()) ?? '', /42\.5/);
    await report(hub.mqttPort, device, { setpoint: 42.5 });
    await row.locator('text=confirmed').waitFor({ timeout: 5_000 });
    assert.deepEqual(faults, []);
    await page.close();
  });

  test('markup in a nickname or a value is shown as text', async () => {
    await report(hub.mqttPort, device, { label: hostile });
    for (const path of ['/devices', devicePage(), `${devicePage()}?tab=properties`, `${devicePage()}?tab=history&property=label`, '/']) {
      const { page, faults } = await open(path);
      await page.waitForFunction(() => document.body.innerText.includes('<img src=x') || location.pathname === '/');
      await page.waitForTimeout(300);
      assert.equal(await page.locator('#app img[src="x"]').count(), 0, path);
      assert.deepEqual(faults, [], path);
      await page.close();
    }
  });

  test('messages of the device run by, and can be paused', async () => {
    const { page, faults } = await open(`${devicePage()}?tab=messages`);
    await page.waitForFunction(() => document.querySelector('.badge.live:not(.connecting):not(.waiting)'));
    await report(hub.mqttPort, device, { temperature: 20 });
    await page.locator('[data-test=messages] li').first().waitFor({ timeout: 5_000 });
    await page.click('[data-test=pause]');
    const before = await page.locator('[data-test=messages] li').count();
    await report(hub.mqttPort, device, { temperature: 21 });
    await page.waitForTimeout(500);
    assert.equal(await page.locator('[data-test=messages] li').count(), before);
    await page.click('[data-test=pause]');
    await page.waitForFunction((count) => document.querySelectorAll('[data-test=messages] li').length > count, before);
    assert.deepEqual(faults, []);
    await page.close();
  });

  test('the connection of the device is shown, and an operator can end it', async () => {
    const { page, faults } = await open(`${devicePage()}?tab=connection`);
    await page.waitForSelector('[data-test=connection-state]:not(.ok)');
    const filter = `/${device.productKey}/${device.deviceName}/user/get`;
    const client = listen(hub.mqttPort, device, filter);
    try {
      await page.waitForSelector('[data-test=connection-state].ok');
      await page.locator(`code:text-is("${filter}")`).waitFor();
      assert.match((await page.locator('[data-test=connection]').textContent()) ?? '', /127\.0\.0\.1:\d+.*MQTT 3\.1\.1/s);
      await page.click('[data-test=disconnect]');
      await page.locator('.dialog button', { hasText: 'Disconnect' }).click();
      await page.locator('text=disconnected').first().waitFor();
    } finally {
      client.kill();
    }
    await page.waitForSelector('[data-test=connection-state]:not(.ok)');
    assert.deepEqual(faults, []);
    await page.close();
  });

  test('the model editor shows what the hub finds wrong and keeps the text', async () => {
    const { page, faults } = await open(`/products/${device.productKey}`, [400, 422]);
    await page.click('#tab-text');
    const text = await page.inputValue('[data-test=model-text]');
    await page.fill('[data-test=model-text]', text.replace('"float"', '"number"'));
    await page.click('[data-test=model-save]');
    const problem = await page.waitForSelector('[role=alert]');
    assert.match((await problem.textContent()) ?? '', /Cause.+What to do/s);
    assert.match(await page.inputValue('[data-test=model-text]'), /"number"/);
    await page.click('text=Discard changes');
    assert.deepEqual(faults, []);
    await page.close();
  });

  test('language and theme switch without a reload and are remembered', async () => {
    const { page, faults } = await open('/');
    await page.waitForSelector('h1');
    await page.evaluate(() => Object.assign(window, { sameDocument: true }));
    assert.equal(await page.textContent('h1'), 'Home');
    await page.click('[data-test=language]');
    assert.equal(await page.textContent('h1'), '首页');
    assert.equal(await page.getAttribute('html', 'lang'), 'zh-CN');
    const light = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await page.click('[data-test=theme]');
    await menuInPlace(page);
    await page.click('text=深色');
    await page.waitForFunction((before) => getComputedStyle(document.body).backgroundColor !== before, light);
    assert.equal(await page.getAttribute('html', 'data-theme'), 'dark');
    assert.equal(await page.evaluate(() => 'sameDocument' in window), true);
    await page.reload();
    await page.waitForSelector('h1');
    assert.equal(await page.textContent('h1'), '首页');
    assert.equal(await page.getAttribute('html', 'data-theme'), 'dark');
    await page.evaluate(() => localStorage.clear());
    assert.deepEqual(faults, []);
    await page.close();
  });

  test('no page is wider than a 360 px screen, in both languages', async () => {
    const { page, faults } = await open('/');
    await page.setViewportSize({ width: 360, height: 760 });
    for (const language of ['en', 'zh']) {
      await page.evaluate((value) => localStorage.setItem('brim.console.preferences', JSON.stringify({ language: value, theme: 'auto' })), language);
      const tabs = ['live', 'history', 'properties', 'services', 'events', 'messages', 'connection'].map((tab) => `${devicePage()}?tab=${tab}`);
      for (const path of ['/', '/devices', '/products', `/products/${device.productKey}`, '/gateways', '/access', '/access?tab=tokens', ...tabs]) {
        await page.goto(hub.url + path);
        await page.waitForTimeout(350);
        const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(over <= 0, `${path} (${language}) is ${over} px too wide`);
      }
    }
    await page.evaluate(() => localStorage.clear());
    assert.deepEqual(faults, []);
    await page.close();
  });

  test('a gateway takes a device and lets it go', async () => {
    const kind = await api.call('POST', '/api/v1/products', { name: 'Line gateway', nodeType: 'gateway' });
    await api.call('POST', '/api/v1/devices', { productKey: kind.productKey, deviceName: 'gw-1' });
    const { page, faults } = await open(`/gateways/${kind.productKey}/gw-1`);
    await page.click('[data-test=bind]');
    await page.click('.dialog .n-base-selection');
    await menuInPlace(page);
    await page.click('.n-base-select-option >> text=Boiler');
    await page.click('.dialog footer >> text=Add');
    await page.locator('[role=row] .name').waitFor();
    const subs = await api.call('GET', `/api/v1/gateways/${kind.productKey}/gw-1/devices`);
    assert.deepEqual(subs.items.map((/** @type {{ deviceName: string }} */ item) => item.deviceName), [device.deviceName]);
    await page.click('[role=row] >> text=Remove');
    await page.click('[data-test=confirm]');
    await page.waitForSelector('text=No sub-devices yet');
    assert.deepEqual(faults, []);
    await page.close();
  });

  test('a token is shown once and works', async () => {
    const { page, faults } = await open('/access?tab=tokens');
    await page.click('[data-test=add-token] >> nth=0');
    await page.fill('#t-name', 'browser test');
    await page.click('[data-test=create-token]');
    const token = ((await page.textContent('[data-test=token] code')) ?? '').trim();
    const answer = await fetch(`${hub.url}/api/v1/system`, { headers: { authorization: `Bearer ${token}` } });
    assert.equal(answer.status, 200);
    assert.deepEqual(faults, []);
    await page.close();
  });

  test('deleting asks for the name', async () => {
    const spare = await api.call('POST', '/api/v1/devices', { productKey: device.productKey, deviceName: 'spare' });
    const { page, faults } = await open(`/devices/${spare.productKey}/spare`);
    await page.click('[data-test=device-menu]');
    await menuInPlace(page);
    await page.click('text=Delete device');
    await page.waitForSelector('#confirm-name');
    assert.equal(await page.isDisabled('[data-test=confirm]'), true);
    await page.fill('#confirm-name', 'spare');
    await page.click('[data-test=confirm]');
    await page.waitForURL(`${hub.url}/devices`);
    await assert.rejects(api.call('GET', `/api/v1/devices/${spare.productKey}/spare`), /404/);
    assert.deepEqual(faults, []);
    await page.close();
  });
});
