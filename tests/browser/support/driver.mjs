// A driver for tests, written against docs/spec/bus.md with an MQTT library that is not ours. brim-edge starts it.
// Each of its devices reports `level`, one more every 100 ms; service `calibrate` answers with the level before and sets it;
// calibrating above 500 raises the event `overflow`.
import mqtt from 'mqtt';

const name = process.env['BRIM_DRIVER'] ?? '';
const report_every_ms = 100;
const client = mqtt.connect({ protocol: 'mqtt+unix', path: process.env['BRIM_BUS'], clientId: name, username: name, password: process.env['BRIM_BUS_TOKEN'], protocolVersion: 5, clean: true, reconnectPeriod: 500 });
/** @type {Map<string, number>} by "productKey/deviceName" */ const levels = new Map();
let next = 1;

/** @param {string} topic @param {unknown} body */
const publish = (topic, body) => client.publish(topic, JSON.stringify(body), { qos: 1 });

/** @param {string} text */
function configure(text) {
  for (const { productKey, deviceName } of JSON.parse(text).deviceList) {
    publish(`bus/driver/${name}/device`, { id: next++, action: 'online', productKey, deviceName });
    levels.set(`${productKey}/${deviceName}`, levels.get(`${productKey}/${deviceName}`) ?? 0);
  }
}

/** @param {string} device @param {string} service @param {{ id: string, params: any }} request */
function serve(device, service, request) {
  const reply = (/** @type {number} */ code, /** @type {unknown} */ data) => publish(`/sys/${device}/thing/service/${service}_reply`, { id: request.id, code, data });
  if (service !== 'calibrate') return reply(460, {});
  const before = levels.get(device) ?? 0;
  levels.set(device, request.params.target);
  reply(200, { before });
  if (request.params.target > 500) publish(`/sys/${device}/thing/event/overflow/post`, { id: String(next++), version: '1.0', params: { value: { amount: request.params.target - 500 }, time: Date.now() }, method: 'thing.event.overflow.post' });
}

client.on('error', (error) => console.error(String(error)));
client.on('connect', () => client.subscribe([`bus/driver/${name}/config`, '/sys/+/+/thing/service/#'], { qos: 1 }));
client.on('message', (topic, payload) => {
  const text = payload.toString();
  const [, root, productKey, deviceName] = topic.split('/');
  if (topic === `bus/driver/${name}/config`) configure(text);
  else if (root === 'sys') serve(`${productKey}/${deviceName}`, topic.split('/').slice(6).join('/'), JSON.parse(text));
});
setInterval(() => {
  if (!client.connected) return;
  for (const [device, level] of levels) {
    levels.set(device, level + 1);
    publish(`/sys/${device}/thing/event/property/post`, { id: String(next++), version: '1.0', sys: { ack: 0 }, params: { level: { value: level, time: Date.now() } }, method: 'thing.event.property.post' });
  }
}, report_every_ms);
process.on('SIGTERM', () => client.end(false, {}, () => process.exit(0)));
