// Where a device of this hub connects to: the MQTT listener, as seen from this browser's side.

import type { Listener } from '../api/types';
import type { Endpoint } from './sign';

/** As people write it: the hub names the transport too ("tcp:127.0.0.1:1883"). */
export const addressText = (address: string): string => address.replace(/^tcp:/, '');

/** Splits "host:port" and "[v6]:port". */
export function splitAddress(address: string): { host: string; port: number } | undefined {
  const match = /^(?:\[(.+)\]|(.*)):(\d+)$/.exec(addressText(address));
  if (!match) return undefined;
  return { host: match[1] ?? match[2] ?? '', port: Number(match[3]) };
}

/** Prefers TLS. A listener on all addresses is reached by the name this page was opened with. */
export function endpointOf(listeners: readonly Listener[], pageHost: string): Endpoint | undefined {
  const found = listeners
    .filter((listener) => /^mqtts?$/i.test(listener.protocol))
    .map((listener) => ({ ...splitAddress(listener.address), secure: listener.security === 'tls' }))
    .filter((item): item is { host: string; port: number; secure: boolean } => item.port !== undefined)
    .sort((a, b) => Number(b.secure) - Number(a.secure))[0];
  if (!found) return undefined;
  const anywhere = found.host === '' || found.host === '0.0.0.0' || found.host === '::' || found.host === '*';
  return { host: anywhere ? pageHost : found.host, port: found.port, secure: found.secure };
}
