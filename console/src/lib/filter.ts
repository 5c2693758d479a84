// The text query of the device list: words, and `status:offline product:xx gateway:xx` tokens. It lives in the URL.

import type { Device } from '../api/types';

export interface DeviceFilter {
  words: string[];
  status: string[];
  product: string[];
  gateway: string[];
}

/** Quotes keep blanks together: `product:"boiler house"`. An unknown token (`foo:bar`) is an ordinary word. */
export function parseFilter(text: string): DeviceFilter {
  const filter: DeviceFilter = { words: [], status: [], product: [], gateway: [] };
  for (const match of text.matchAll(/(?:(status|product|gateway):)?(?:"([^"]*)"|(\S+))/gi)) {
    const value = (match[2] ?? match[3] ?? '').toLowerCase();
    if (!value) continue;
    const key = match[1]?.toLowerCase() as 'status' | 'product' | 'gateway' | undefined;
    if (key) filter[key].push(value);
    else filter.words.push(value);
  }
  return filter;
}

type Row = Pick<Device, 'productKey' | 'deviceName' | 'nickname' | 'productName' | 'status' | 'gateway'>;

/** Words must all match; tokens of one key are alternatives. */
export function matches(filter: DeviceFilter, device: Row): boolean {
  if (filter.status.length > 0 && !filter.status.includes(device.status)) return false;
  if (filter.product.length > 0) {
    const key = device.productKey.toLowerCase();
    const name = (device.productName ?? '').toLowerCase();
    if (!filter.product.some((wanted) => key === wanted || name.includes(wanted))) return false;
  }
  if (filter.gateway.length > 0) {
    const gateway = device.gateway;
    if (!gateway) return false;
    const name = gateway.deviceName.toLowerCase();
    const full = `${gateway.productKey}/${gateway.deviceName}`.toLowerCase();
    if (!filter.gateway.some((wanted) => full === wanted || name.includes(wanted))) return false;
  }
  if (filter.words.length === 0) return true;
  const text = `${device.deviceName} ${device.nickname ?? ''} ${device.productName ?? ''} ${device.productKey}`.toLowerCase();
  return filter.words.every((word) => text.includes(word));
}

/** Puts `key:value` into the query, or takes the key out when `value` is empty. */
export function withToken(text: string, key: 'status' | 'product' | 'gateway', value: string): string {
  const rest = text.replace(new RegExp(`(^|\\s)${key}:(?:"[^"]*"|\\S+)`, 'gi'), ' ').replace(/\s+/g, ' ').trim();
  if (!value) return rest;
  const token = `${key}:${/\s/.test(value) ? `"${value}"` : value}`;
  return rest ? `${token} ${rest}` : token;
}
