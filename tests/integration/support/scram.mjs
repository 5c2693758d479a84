// SCRAM-SHA-256 over MQTT 5's enhanced authentication, in raw packets: npm mqtt has no such exchange.
import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import mqttPacket from 'mqtt-packet';

const v5 = { protocolVersion: 5 };
const hmac = (/** @type {Buffer} */ key, /** @type {string} */ text) => createHmac('sha256', key).update(text).digest();

/** The client's side. @param {string} user @param {string} password */
function exchange(user, password) {
  const nonce = randomBytes(18).toString('base64');
  const bare = `n=${user},r=${nonce}`;
  let salted = Buffer.alloc(0);
  let signed = '';
  return {
    first: `n,,${bare}`,
    /** @param {string} challenge */
    answer(challenge) {
      const parts = Object.fromEntries(challenge.split(',').map((each) => [each[0], each.slice(2)]));
      salted = pbkdf2Sync(password, Buffer.from(parts['s'] ?? '', 'base64'), Number(parts['i']), 32, 'sha256');
      const unproved = `c=${Buffer.from('n,,').toString('base64')},r=${parts['r']}`;
      signed = `${bare},${challenge},${unproved}`;
      const clientKey = hmac(salted, 'Client Key');
      const signature = hmac(createHash('sha256').update(clientKey).digest(), signed);
      return `${unproved},p=${Buffer.from(clientKey.map((byte, i) => byte ^ (signature[i] ?? 0))).toString('base64')}`;
    },
    /** @param {string} last */
    knows(last) {
      const sent = Buffer.from(last.slice(2), 'base64');
      const expected = hmac(hmac(salted, 'Server Key'), signed);
      return sent.length === expected.length && timingSafeEqual(sent, expected);
    },
  };
}

/**
 * Logs in; with `again` proves a user once more on the same connection.
 * @param {number} port @param {string} user @param {string} password @param {{ method?: string, again?: [string, string] }} [options]
 * @returns {Promise<{ reason: number, serverKnows?: boolean, again?: number }>} reason codes of CONNACK, and of AUTH or DISCONNECT afterwards
 */
export async function scramLogin(port, user, password, options = {}) {
  const method = options.method ?? 'SCRAM-SHA-256';
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const parser = mqttPacket.parser(v5);
  /** @type {any[]} */ const packets = [];
  parser.on('packet', (packet) => packets.push(packet));
  let closed = false;
  socket.on('data', (chunk) => parser.parse(chunk)).on('close', () => (closed = true)).on('error', () => {});
  const next = async () => {
    while (packets.length === 0 && !closed) await new Promise((resolve) => setTimeout(resolve, 5));
    return packets.shift();
  };
  const auth = (/** @type {string} */ data, /** @type {number} */ reasonCode) =>
    socket.write(mqttPacket.generate(/** @type {any} */ ({ cmd: 'auth', reasonCode, properties: { authenticationMethod: method, authenticationData: Buffer.from(data) } }), v5));
  try {
    let own = exchange(user, password);
    socket.write(mqttPacket.generate(/** @type {any} */ ({
      cmd: 'connect', ...v5, clientId: 'scram', clean: true, keepalive: 60, properties: { authenticationMethod: method, authenticationData: Buffer.from(own.first) },
    }), v5));
    let packet = await next();
    if (packet?.cmd === 'auth') {
      auth(own.answer(packet.properties.authenticationData.toString()), 0x18);
      packet = await next();
    }
    if (packet?.cmd !== 'connack' || packet.reasonCode !== 0) return { reason: packet?.reasonCode ?? -1 };
    const serverKnows = own.knows(packet.properties.authenticationData.toString());
    if (!options.again) return { reason: 0, serverKnows };
    own = exchange(...options.again);
    auth(own.first, 0x19);
    packet = await next();
    if (packet?.cmd === 'auth') {
      auth(own.answer(packet.properties.authenticationData.toString()), 0x18);
      packet = await next();
    }
    return { reason: 0, serverKnows, again: packet?.reasonCode ?? -1 };
  } finally {
    socket.destroy();
  }
}
