// Debian's Chromium, and a page that remembers everything a good page must not do.
import { chromium } from 'playwright-core';

/** @returns {Promise<import('playwright-core').Browser>} */
export const startBrowser = () => chromium.launch({
  executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

/**
 * A page whose faults are collected: console errors, exceptions, policy violations, requests to elsewhere, dialogs (an
 * injected script would open one). `expected` lists statuses of answers that a test provokes: the browser logs those.
 * @param {import('playwright-core').BrowserContext} context
 * @param {string} base
 * @param {number[]} expected
 */
export async function watchedPage(context, base, expected = []) {
  const page = await context.newPage();
  /** @type {string[]} */
  const faults = [];
  page.on('console', (message) => {
    const text = message.text();
    if (message.type() !== 'error' && message.type() !== 'warning') return;
    if (expected.some((status) => text.includes(`status of ${status}`))) return;
    faults.push(`console ${message.type()}: ${text}`);
  });
  page.on('pageerror', (error) => faults.push(`exception: ${error.message}`));
  page.on('dialog', (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('request', (request) => {
    const address = request.url();
    if (!address.startsWith(base) && !address.startsWith('data:') && !address.startsWith('blob:')) faults.push(`outside request: ${address}`);
  });
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => console.error(`policy violation: ${event.violatedDirective} ${event.blockedURI}`));
  });
  return { page, faults };
}

/**
 * Waits until the menu that was just opened has been put in its place: before that it lies below the page, and a click on
 * it scrolls the page and lands where the menu no longer is. @param {import('playwright-core').Page} page
 */
export const menuInPlace = (page) => page.waitForFunction(() => {
  const box = document.querySelector('.n-dropdown-menu, .n-base-select-menu')?.getBoundingClientRect();
  return box !== undefined && box.height > 0 && box.top > 0 && box.left > 0 && box.bottom <= innerHeight && box.right <= innerWidth;
});
