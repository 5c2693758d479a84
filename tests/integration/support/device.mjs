// A device as the field has them: the npm `mqtt` client, signed as hub-protocol 2.1 says.
import { createHmac } from 'node:crypto';
import mqtt from 'mqtt';
import { until } from './hub.mjs';

/** @typedef {{ productKey: string, deviceName: string, deviceSecret: string }} Credentials */

/** Signature over the content of 2.1. @param {Credentials} device @param {string} clientId */
export function sign(device, clientId, timestamp = '', method = 'sha256') {
  const content = `clientId${clientId}deviceName${device.deviceName}productKey${device.productKey}` + (timestamp === '' ? '' : `timestamp${timestamp}`);
  return createHmac(method, device.deviceSecret).update(content).digest('hex');
}

/** CONNECT options of a device. @param {Credentials} device @returns {import('mqtt').IClientOptions} */
export function credentials(device, clientId = 'c1', timestamp = '2524608000000') {
  return {
    clientId: `${clientId}|securemode=3,signmethod=hmacsha256,timestamp=${timestamp}|`,
    username: `${device.deviceName}&${device.productKey}`,
    password: sign(device, clientId, timestamp),
  };
}

/**
 * Connects once. Rejects with the CONNACK code as `code`.
 * @param {number} port @param {import('mqtt').IClientOptions} options @returns {Promise<Device>}
 */
export function connect(port, options) {
  return new Promise((resolve, reject) => {
    const client = mqtt.connect({ host: '127.0.0.1', port, protocol: 'mqtt', keepalive: 60, reconnectPeriod: 0, connectTimeout: 20_000, clean: true, ...options });
    const device = new Device(client);
    let code = -1;
    client.on('error', (error) => {
      code = /** @type {any} */ (error).code ?? -1;
    });
    client.once('connect', (connack) => {
      device.connack = connack;
      resolve(device);
    });
    client.once('close', () => reject(Object.assign(new Error(`connection refused, code ${code}`), { code })));
  });
}

/** The CONNACK code of a CONNECT: 0 when it is accepted. @param {number} port @param {import('mqtt').IClientOptions} options @returns {Promise<number>} */
export async function connackCode(port, options) {
  try {
    const device = await connect(port, options);
    await device.leave();
    return 0;
  } catch (error) {
    return /** @type {any} */ (error).code;
  }
}

export class Device {
  /** @type {{ topic: string, text: string, json: any, packet: any }[]} */ received = [];
  /** @type {any} */ connack;
  /** @type {any} */ goodbye; // the server's DISCONNECT (MQTT 5)
  closed = false;

  /** @param {import('mqtt').MqttClient} client */
  constructor(client) {
    this.client = client;
    client.on('message', (topic, payload, packet) => {
      const text = payload.toString();
      let json;
      try {
        json = JSON.parse(text);
      } catch {
        json = undefined;
      }
      this.received.push({ topic, text, json, packet });
    });
    client.on('close', () => (this.closed = true));
    client.on('disconnect', (packet) => (this.goodbye = packet));
  }

  /** @param {string} topic @param {any} body */
  publish(topic, body, /** @type {0 | 1} */ qos = 1) {
    return this.client.publishAsync(topic, typeof body === 'string' ? body : JSON.stringify(body), { qos });
  }

  /** Publishes a request and waits for its reply. @param {string} topic @param {any} body */
  async ask(topic, body, reply = `${topic}_reply`) {
    const before = this.received.filter((each) => each.topic === reply).length;
    await this.publish(topic, body);
    await until(() => this.received.filter((each) => each.topic === reply).length > before, `a reply on ${reply}`);
    return /** @type {any} */ (this.received.filter((each) => each.topic === reply)[before]);
  }

  /** @param {string} topic */
  on(topic) {
    return this.received.filter((each) => each.topic === topic);
  }

  /** @param {string} topic */
  async next(topic, count = 1) {
    await until(() => this.on(topic).length >= count, `message ${count} on ${topic}`);
    return /** @type {any} */ (this.on(topic)[count - 1]);
  }

  async leave() {
    await this.client.endAsync(true);
  }

  /** As a cable pulled: no DISCONNECT. */
  cut() {
    this.client.stream.destroy();
  }
}
