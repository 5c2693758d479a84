// What a listener of devices bears, over real sockets: as many connections as its settings say, of each address
// too, also behind a load balancer, also before an HTTP handshake; and publishing at its rate.
import assert from 'node:assert/strict';
import { connect as dial, createServer } from 'node:net';
import { after, before, test } from 'node:test';
import { connect, credentials } from './support/device.mjs';
import { freePort, Hub, sleep, until } from './support/hub.mjs';

/** @type {Hub} */ let hub;
let product = '';
/** @type {Record<'few' | 'proxied' | 'slow' | 'web' | 'webProxied' | 'pace', number>} */ let ports;
/** @type {Map<string, import('./support/device.mjs').Credentials>} */ const devices = new Map();

before(async () => {
  ports = { few: await freePort(), proxied: await freePort(), slow: await freePort(), web: await freePort(), webProxied: await freePort(), pace: await freePort() };
  const listener = (/** @type {string} */ protocol, /** @type {number} */ port, /** @type {string} */ more) => `[[listener]]\nprotocol = "${protocol}"\naddress = "127.0.0.1:${port}"\n${more}\n`;
  hub = await Hub.start(
    listener('mqtt', ports.few, 'connections_per_address_max = 2') +
      listener('mqtt', ports.proxied, 'proxies = ["127.0.0.1"]\nconnections_per_address_max = 1') +
      listener('mqtt', ports.slow, 'publish_rate_max = 10') +
      listener('mqtt', ports.pace, 'connects_per_second = 5') +
      listener('http', ports.web, 'connections_per_address_max = 2\npublish_rate_max = 10\norigins = ["https://app.example"]') +
      listener('http', ports.webProxied, 'proxies = ["127.0.0.1"]\nconnections_per_address_max = 1'),
  );
  product = await hub.product('a1limits');
  for (const name of ['a', 'b', 'c']) devices.set(name, await hub.device(product, name));
});
after(() => hub?.dispose());

/** @param {string} name */
const login = (name) => credentials(/** @type {import('./support/device.mjs').Credentials} */ (devices.get(name)));

/** Opens a socket and says `text`; tells whether it was closed within `wait` ms. @param {number} port */
async function open(port, text = '', wait = 300) {
  const socket = dial(port, '127.0.0.1');
  const seen = { socket, heard: '', closed: false };
  socket.on('data', (chunk) => (seen.heard += chunk));
  socket.on('error', () => {});
  socket.on('close', () => (seen.closed = true));
  await new Promise((resolve) => socket.once('connect', resolve));
  if (text) socket.write(text);
  for (let waited = 0; waited < wait && !seen.closed; waited += 20) await sleep(20);
  return seen;
}

/** A load balancer on a port of its own, that says `client` is who comes. @param {number} to @param {() => string} client */
async function balancer(to, client) {
  const server = createServer((front) => {
    const back = dial(to, '127.0.0.1', () => {
      back.write(`PROXY TCP4 ${client()} 127.0.0.1 4711 1883\r\n`);
      front.pipe(back).pipe(front);
    });
    for (const [one, other] of [[front, back], [back, front]]) {
      one?.on('error', () => other?.destroy());
      one?.on('close', () => other?.destroy());
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  return { port: /** @type {import('node:net').AddressInfo} */ (server.address()).port, close: () => server.close() };
}

/** @param {string} reason @returns {Promise<number>} */
async function rejected(reason) {
  const text = await (await fetch(`${hub.url}/metrics`, { headers: { Authorization: `Bearer ${hub.token}` } })).text();
  return Number(new RegExp(`brim_mqtt_rejected_total\\{reason="${reason}"\\} (\\d+)`).exec(text)?.[1] ?? 0);
}

test('[F-45] an address has its share of a device listener, and gets it back', async () => {
  const before = await rejected('address_full');
  const silent = await open(ports.few, '', 50);
  const device = await connect(ports.few, login('a'));
  assert.ok((await open(ports.few)).closed, 'the third of an address');
  assert.equal(await rejected('address_full'), before + 1);
  silent.socket.destroy();
  await sleep(200);
  const other = await connect(ports.few, login('b'));
  await Promise.all([device.leave(), other.leave()]);
});

test('[F-45] connects above the rate of a device listener are closed and counted', async () => {
  const many = await Promise.all(Array.from({ length: 20 }, () => open(ports.pace)));
  const closed = many.filter((each) => each.closed).length;
  assert.ok(closed >= 10 && closed <= 15, `${closed} of 20 closed`);
  assert.ok((await rejected('rate')) >= closed);
  for (const each of many) each.socket.destroy();
  await sleep(1_200);
  await (await connect(ports.pace, login('a'))).leave();
});

test('[F-45] behind a balancer devices are counted and shown by their own addresses', async () => {
  let from = '192.0.2.7';
  const front = await balancer(ports.proxied, () => from);
  const first = await connect(front.port, login('a'));
  const shown = await hub.ok('GET', `/api/v1/devices/${product}/a`);
  assert.match(JSON.stringify(shown), /192\.0\.2\.7/);
  await assert.rejects(connect(front.port, login('b')), 'a second one of that address');
  from = '192.0.2.8';
  const second = await connect(front.port, login('b'));
  const before = await rejected('proxy_header');
  await assert.rejects(connect(ports.proxied, login('c')), 'no header, no service');
  assert.equal(await rejected('proxy_header'), before + 1);
  await Promise.all([first.leave(), second.leave()]);
  front.close();
});

/** Publishes 40 custom messages at QoS 1; how long all acknowledgements took, in ms. @param {import('./support/device.mjs').Device} device @param {string} name */
async function pace(device, name) {
  const start = Date.now();
  await Promise.all(Array.from({ length: 40 }, (_, i) => device.publish(`/${product}/${name}/user/x`, String(i))));
  return Date.now() - start;
}

test('[B-84] a device above the publishing rate of its listener is read from at that rate, and loses nothing', async () => {
  const free = await connect(hub.mqttPort, login('a'));
  const unbound = await pace(free, 'a');
  await free.leave();
  const slow = await connect(ports.slow, login('a'));
  const bound = await pace(slow, 'a');
  await slow.leave();
  assert.ok(bound >= 2_500, `40 messages at 10 a second took ${bound} ms; without a rate ${unbound} ms`);
});

test('[F-45] an HTTP listener counts at the accept, MQTT over WebSocket with it; its rates and origins count too', async () => {
  const before = await rejected('address_full');
  const silent = await open(ports.web, '', 50);
  const half = await open(ports.web, 'GET /livez HTTP/1.1\r\nHost: x\r\n', 50);
  assert.ok((await open(ports.web, 'GET /livez HTTP/1.1\r\nHost: x\r\n\r\n')).closed, 'before a word is read');
  const refused = await connect(ports.web, { ...login('a'), protocol: 'ws', path: '/mqtt' }).catch((error) => error);
  assert.ok(refused instanceof Error);
  assert.equal(await rejected('address_full'), before + 2);
  for (const each of [silent, half]) each.socket.destroy();
  await sleep(200);
  const device = await connect(ports.web, { ...login('a'), protocol: 'ws', path: '/mqtt' });
  const bound = await pace(device, 'a');
  assert.ok(bound >= 2_500, `${bound} ms`);
  // The upgrade has the one place of its socket: there is room for one more, and not for two.
  const page = (/** @type {string} */ origin) => connect(ports.web, { ...login('b'), protocol: 'ws', path: '/mqtt', wsOptions: { origin } });
  await assert.rejects(page('https://evil.example'));
  await until(async () => {
    const more = await open(ports.web, '', 100);
    more.socket.destroy();
    return !more.closed;
  }, 'the refused one gave its place back');
  await sleep(200);
  const welcome = await page('https://app.example');
  assert.ok((await open(ports.web)).closed);
  await Promise.all([device.leave(), welcome.leave()]);
});

test('[F-45] an HTTP listener behind a balancer counts the clients it is told of', async () => {
  let from = '192.0.2.17';
  const front = await balancer(ports.webProxied, () => from);
  const device = await connect(front.port, { ...login('c'), protocol: 'ws', path: '/mqtt' });
  assert.match(JSON.stringify(await hub.ok('GET', `/api/v1/devices/${product}/c`)), /192\.0\.2\.17/);
  assert.ok((await open(front.port, 'GET /livez HTTP/1.1\r\nHost: x\r\n\r\n')).closed, 'a second one of that address');
  from = '192.0.2.18';
  assert.match((await open(front.port, 'GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', 600)).heard, /^HTTP\/1\.1 200/);
  await device.leave();
  front.close();
});
