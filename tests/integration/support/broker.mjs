// The broker for apps of a hub, with its files of users and permissions.
import { createHmac } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { brimProgram, execute, freePort, Hub, until } from './hub.mjs';

/** @typedef {{ auth?: string, protocol?: string, port?: number, more?: string }} Listener */

export class BrokerHub {
  /** @type {Hub} */ hub;
  /** @type {number[]} */ ports = [];

  /**
   * A hub with these listeners for apps; without set-up, for nothing here needs the API.
   * @param {{ acl?: string, users?: Record<string, string>, listeners?: Listener[], settings?: string, sets?: string[] }} [options]
   */
  static async start(options = {}) {
    const made = new BrokerHub();
    let extra = '';
    for (const listener of options.listeners ?? [{}]) {
      const port = await freePort();
      made.ports.push(port);
      extra += `[[listener]]\nprotocol = "${listener.protocol ?? 'mqtt'}"\naddress = "127.0.0.1:${port}"\nauth = "${listener.auth ?? 'users'}"\n${listener.more ?? ''}`;
    }
    made.hub = await Hub.prepare(extra);
    made.hub.sets = options.sets ?? [];
    made.users = join(made.hub.folder, 'users');
    made.acl = join(made.hub.folder, 'acl');
    const settings = `[broker]\nusers_file = "${made.users}"\nacl_file = "${made.acl}"\n${options.settings ?? ''}`;
    writeFileSync(made.hub.config, settings, { flag: 'a' });
    writeFileSync(made.users, '');
    for (const [name, password] of Object.entries(options.users ?? { ann: 'ann-secret', bob: 'bob-secret' })) await made.setUser(name, password);
    writeFileSync(made.acl, options.acl ?? 'pattern readwrite #\n');
    await made.hub.run();
    return made;
  }

  get port() {
    return /** @type {number} */ (this.ports[0]);
  }

  /** @param {string} name @param {string} password */
  async setUser(name, password) {
    const done = await execute(brimProgram, ['mqtt', 'user', 'add', this.users, name], { env: { BRIM_MQTT_PASSWORD: password } });
    if (done.code !== 0) throw new Error(done.err);
  }

  /** @param {string} name */
  async removeUser(name) {
    const done = await execute(brimProgram, ['mqtt', 'user', 'remove', this.users, name]);
    if (done.code !== 0) throw new Error(done.err);
  }

  /** Changes the permissions and waits until they count. @param {string} text */
  async setAcl(text) {
    const before = (this.hub.output.match(/read again/g) ?? []).length;
    writeFileSync(this.acl, text);
    await until(() => (this.hub.output.match(/read again/g) ?? []).length > before, 'the permissions are read again');
  }

  /** @param {string} user @param {import('mqtt').IClientOptions} [options] */
  client(user, options = {}) {
    return connect(this.port, { username: user, password: `${user}-secret`, clientId: `${user}-1`, ...options });
  }

  /** A command of `brim mqtt` as a user. @param {string} user @param {string[]} words */
  brim(user, ...words) {
    return execute(brimProgram, ['mqtt', ...words, '-h', '127.0.0.1', '-p', String(this.port), '-u', user], { env: { BRIM_MQTT_PASSWORD: `${user}-secret` } });
  }

  dispose() {
    return this.hub.dispose();
  }
}

/** @typedef {{ topic: string, payload: string, packet: import('mqtt').IPublishPacket }} Got */

/** Connects, or throws with the CONNACK code. @param {number} port @param {import('mqtt').IClientOptions} options */
export const connect = (port, options) => connectTo(`mqtt://127.0.0.1:${port}`, options);

/** @param {string} url @param {import('mqtt').IClientOptions} options */
export async function connectTo(url, options) {
  const client = mqtt.connect(url, { protocolVersion: 5, reconnectPeriod: 0, connectTimeout: 10_000, ...options });
  /** @type {Got[]} */ const got = [];
  client.on('message', (topic, payload, packet) => got.push({ topic, payload: payload.toString(), packet }));
  await new Promise((resolve, reject) => {
    client.once('connect', resolve);
    client.once('error', reject);
    client.once('close', () => reject(new Error('closed before CONNACK')));
  }).catch((error) => {
    client.end(true);
    throw error;
  });
  client.removeAllListeners('error');
  client.on('error', () => {});
  return Object.assign(client, { got });
}

/** Why a login fails: the reason code of CONNACK. @param {number} port @param {import('mqtt').IClientOptions} options @returns {Promise<number>} */
export async function refusal(port, options) {
  try {
    const client = await connect(port, options);
    await client.endAsync(true);
    return 0;
  } catch (error) {
    return /** @type {any} */ (error).code ?? -1;
  }
}

const part = (/** @type {any} */ value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A JSON Web Token signed with HMAC. @param {Record<string, any>} claims @param {string} secret */
export function token(claims, secret, header = { alg: 'HS256', typ: 'JWT' }) {
  const signed = `${part(header)}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}
