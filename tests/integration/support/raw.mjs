// MQTT clients of a few lines, for when there are thousands: a socket, a CONNECT, the answer.
import { connect as dial } from 'node:net';
import packets from 'mqtt-packet';

/** @typedef {{ socket: import('node:net').Socket, code: number, packets: import('mqtt-packet').Packet[] }} Raw  code: of CONNACK; -1 when it was closed without one */

/**
 * Resolves with the CONNACK or the end.
 * @param {import('node:net').Socket} socket @param {Partial<import('mqtt-packet').IConnectPacket> & { clientId: string }} connect @returns {Promise<Raw>}
 */
export function enter(socket, connect) {
  return new Promise((resolve) => {
    const raw = /** @type {Raw} */ ({ socket, code: -1, packets: [] });
    const parser = packets.parser({ protocolVersion: 5 });
    parser.on('packet', (packet) => {
      raw.packets.push(packet);
      if (packet.cmd !== 'connack') return;
      raw.code = packet.reasonCode ?? packet.returnCode ?? -1;
      resolve(raw);
    });
    socket.on('data', (chunk) => parser.parse(chunk));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => resolve(raw));
    socket.write(packets.generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clean: true, keepalive: 600, ...connect }));
  });
}

/** @param {number} port @param {Partial<import('mqtt-packet').IConnectPacket> & { clientId: string }} connect */
export const enterPlain = (port, connect) => enter(dial(port, '127.0.0.1'), connect);
