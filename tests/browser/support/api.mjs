// The hub's API from the tests' side, and one device that speaks through mosquitto_pub and listens through mosquitto_sub.
import { execFile, spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { promisify } from 'node:util';

const run = promisify(execFile);

export class Api {
  /** @param {string} base */
  constructor(base) {
    this.base = base;
    this.cookie = '';
  }

  /** @param {string} method @param {string} path @param {unknown} [body] @returns {Promise<any>} */
  async call(method, path, body) {
    const answer = await fetch(this.base + path, {
      method,
      headers: { 'x-brim-request': 'console', cookie: this.cookie, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    const cookie = /brim_session=[^;]+/.exec(answer.headers.get('set-cookie') ?? '');
    if (cookie) this.cookie = cookie[0];
    return text ? JSON.parse(text) : undefined;
  }

  /** @param {string} user @param {string} password */
  signIn(user, password) {
    return this.call('POST', '/api/v1/session', { user, password });
  }
}

/** @typedef {{ productKey: string, deviceName: string, deviceSecret: string }} Device */

/** How the device signs in. @param {number} port @param {Device} device */
function login(port, device) {
  const name = `${device.productKey}.${device.deviceName}`;
  const content = `clientId${name}deviceName${device.deviceName}productKey${device.productKey}`;
  const password = createHmac('sha256', device.deviceSecret).update(content).digest('hex');
  return ['-h', '127.0.0.1', '-p', String(port), '-q', '1', '-i', `${name}|securemode=3,signmethod=hmacsha256|`, '-u', `${device.deviceName}&${device.productKey}`, '-P', password];
}

/** Stays connected and subscribed until it is killed. @param {number} port @param {Device} device @param {string} filter */
export function listen(port, device, filter) {
  return spawn('mosquitto_sub', [...login(port, device), '-k', '60', '-t', filter], { stdio: 'ignore' });
}

/**
 * Reports values as the device does.
 * @param {number} port
 * @param {Device} device
 * @param {Record<string, unknown>} params
 */
export async function report(port, device, params) {
  await run('mosquitto_pub', [
    ...login(port, device),
    '-t', `/sys/${device.productKey}/${device.deviceName}/thing/event/property/post`, '-m', JSON.stringify({ id: '1', version: '1.0', params, method: 'thing.event.property.post' }),
  ], { timeout: 15_000 });
}
