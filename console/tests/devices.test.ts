import { afterEach, describe, expect, it, vi } from 'vitest';
import { ApiError } from '../src/api/client';
import type { Device, Page } from '../src/api/types';
import { applyValues, DeviceList } from '../src/store/devices';
import { rateBetween } from '../src/store/system';

const make = (name: string, epoch = 1): Device => ({ productKey: 'p', deviceName: name, status: 'online', statusSince: '2026-01-01T00:00:00Z', createdAt: '2026-01-01T00:00:00Z', epoch });
vi.stubGlobal('requestAnimationFrame', (call: () => void) => setTimeout(call, 0));
afterEach(() => vi.restoreAllMocks());

describe('device list', () => {
  it('follows the cursor to the end and drops what is gone', async () => {
    let second = false;
    const read = (cursor: string | undefined): Promise<Page<Device>> => Promise.resolve(cursor ? { items: [make('c')], next: null } : { items: second ? [make('a')] : [make('a'), make('b')], next: 'x', total: 3 });
    const list = new DeviceList(read);
    await list.load();
    expect([...list.rows.keys()]).toEqual(['p/a', 'p/b', 'p/c']);
    second = true;
    await list.load();
    expect([...list.rows.keys()]).toEqual(['p/a', 'p/c']);
    expect(list.total.value).toBe(2);
  });
  it('keeps what it has when a page fails, and says why', async () => {
    let fail = false;
    const list = new DeviceList(() => (fail ? Promise.reject(new ApiError({ type: '', title: '', status: 503, code: 'busy' })) : Promise.resolve({ items: [make('a')], next: null })));
    await list.load();
    fail = true;
    await list.load();
    expect(list.rows.size).toBe(1);
    expect(list.problem.value?.code).toBe('busy');
    expect(list.loading.value).toBe(false);
  });
  it('ignores a status of an older connection, in both directions', async () => {
    const list = new DeviceList(() => Promise.resolve({ items: [make('a', 5)], next: null }));
    await list.load();
    list.onStatus({ productKey: 'p', deviceName: 'a', status: 'offline', since: '', epoch: 4 });
    expect(list.rows.get('p/a')?.status).toBe('online');
    list.onStatus({ productKey: 'p', deviceName: 'a', status: 'offline', since: '', epoch: 6, reason: 'network' });
    expect(list.rows.get('p/a')?.status).toBe('offline');
    await list.load(); // the page was read before the newer connection: epoch 5
    expect(list.rows.get('p/a')?.status).toBe('offline');
  });
});

describe('values', () => {
  it('a replayed old value never hides a newer one', () => {
    const device = make('a');
    applyValues(device, { productKey: 'p', deviceName: 'a', time: 2000, received: 2000, values: { t: 2 } });
    applyValues(device, { productKey: 'p', deviceName: 'a', time: 1000, received: 3000, replayed: true, values: { t: 1, u: 5 } });
    expect(device.properties?.['t']?.value).toBe(2);
    expect(device.properties?.['u']?.value).toBe(5);
    expect(Date.parse(device.lastSeen ?? '')).toBe(3000);
  });

  it('lets a live value replace one that was stamped ahead of the hub, but no replayed one', () => {
    const device = make('a');
    device.properties = { t: { value: 9, time: new Date(9000).toISOString() } };
    applyValues(device, { productKey: 'p', deviceName: 'a', time: 4000, received: 5000, replayed: true, values: { t: 4 } });
    expect(device.properties?.['t']?.value).toBe(9);
    applyValues(device, { productKey: 'p', deviceName: 'a', time: 5000, received: 5000, values: { t: 5 } });
    expect(device.properties?.['t']?.value).toBe(5);
  });
});

describe('message rate', () => {
  it('is what came per second', () => expect(rateBetween({ received: 100, at: 0 }, { received: 300, at: 2000 })).toBe(100));
  it('counts from zero after a restart', () => expect(rateBetween({ received: 5000, at: 0 }, { received: 20, at: 2000 })).toBe(10));
  it('does not divide by nothing', () => expect(rateBetween({ received: 1, at: 5 }, { received: 2, at: 5 })).toBe(0));
});
