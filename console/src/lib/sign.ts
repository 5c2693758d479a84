// What a device sends to connect, worked out in the browser so that the shown command really works.

import type { DeviceCredentials } from '../api/types';

/** Any decimal is accepted and never judged against a clock; this constant is what C clients send. */
const timestamp_constant = '2524608000000';

/** Hex HMAC-SHA256, or undefined where the browser has no WebCrypto (a page over plain HTTP from another host). */
export async function hmacSha256(key: string, text: string): Promise<string | undefined> {
  const subtle = globalThis.crypto?.subtle as SubtleCrypto | undefined;
  if (!subtle) return undefined;
  const encoder = new TextEncoder();
  const imported = await subtle.importKey('raw', encoder.encode(key), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  const signature = new Uint8Array(await subtle.sign('HMAC', imported, encoder.encode(text)));
  return Array.from(signature, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export interface ConnectParameters {
  clientId: string;
  username: string;
  password: string;
}

export async function connectParameters(device: DeviceCredentials, secure: boolean, timestamp = timestamp_constant,
  clientName = `${device.productKey}.${device.deviceName}`): Promise<ConnectParameters | undefined> {
  const content = `clientId${clientName}deviceName${device.deviceName}productKey${device.productKey}timestamp${timestamp}`;
  const password = await hmacSha256(device.deviceSecret, content);
  if (password === undefined) return undefined;
  return {
    clientId: `${clientName}|securemode=${secure ? 2 : 3},signmethod=hmacsha256,timestamp=${timestamp}|`,
    username: `${device.deviceName}&${device.productKey}`,
    password,
  };
}

/** For a POSIX shell: everything inside single quotes is literal. */
export const shellQuote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

export interface Endpoint {
  host: string;
  port: number;
  secure: boolean;
}

export function mosquittoCommand(device: DeviceCredentials, connect: ConnectParameters, endpoint: Endpoint, values: object): string {
  const message = JSON.stringify({ id: '1', version: '1.0', params: values, method: 'thing.event.property.post' });
  const lines = [
    `mosquitto_pub -h ${endpoint.host} -p ${endpoint.port}${endpoint.secure ? ' --cafile ca.pem' : ''} -q 1`,
    `  -i ${shellQuote(connect.clientId)}`,
    `  -u ${shellQuote(connect.username)}`,
    `  -P ${connect.password}`,
    `  -t ${shellQuote(`/sys/${device.productKey}/${device.deviceName}/thing/event/property/post`)}`,
    `  -m ${shellQuote(message)}`,
  ];
  return lines.join(' \\\n');
}

/** The same call as the console makes, for a terminal. The token is the reader's own. */
export function curlCommand(origin: string, method: string, path: string, body?: unknown): string {
  const lines = [`curl -sS -X ${method} ${shellQuote(origin + path)}`, `  -H "Authorization: Bearer $BRIM_TOKEN"`];
  if (body !== undefined) lines.push(`  -H 'Content-Type: application/json'`, `  -d ${shellQuote(JSON.stringify(body))}`);
  return lines.join(' \\\n');
}
