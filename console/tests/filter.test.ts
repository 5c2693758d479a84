import { describe, expect, it } from 'vitest';
import { matches, parseFilter, withToken } from '../src/lib/filter';
import type { Device } from '../src/api/types';

const device: Device = {
  productKey: 'a1B', deviceName: 'pump-7', nickname: 'Feed pump', productName: 'Boiler house', status: 'offline', statusSince: '', createdAt: '',
  gateway: { productKey: 'gW', deviceName: 'gw-line-3' },
};
const hits = (text: string) => matches(parseFilter(text), device);

describe('device filter', () => {
  it('splits words and tokens', () => expect(parseFilter('status:offline pump product:"boiler house" gateway:gw-1')).toEqual({ words: ['pump'], status: ['offline'], product: ['boiler house'], gateway: ['gw-1'] }));
  it('takes an unknown token as a word', () => expect(parseFilter('foo:bar').words).toEqual(['foo:bar']));
  it('matches everything when empty', () => expect(hits('  ')).toBe(true));
  it('needs every word', () => {
    expect(hits('feed PUMP')).toBe(true);
    expect(hits('feed valve')).toBe(false);
  });
  it('takes tokens of one key as alternatives', () => {
    expect(hits('status:online')).toBe(false);
    expect(hits('status:online status:offline')).toBe(true);
  });
  it('knows a product by key (exact) or name (part)', () => {
    expect(hits('product:a1b')).toBe(true);
    expect(hits('product:a1')).toBe(false);
    expect(hits('product:boiler')).toBe(true);
  });
  it('knows a gateway by name or full name', () => {
    expect(hits('gateway:line-3')).toBe(true);
    expect(hits('gateway:gw/gw-line-3')).toBe(true);
    expect(hits('gateway:line-4')).toBe(false);
    expect(matches(parseFilter('gateway:x'), { ...device, gateway: null })).toBe(false);
  });
  it('survives regular expression characters', () => expect(hits('(')).toBe(false));
  it('replaces and removes a token', () => {
    expect(withToken('status:online pump', 'status', 'offline')).toBe('status:offline pump');
    expect(withToken('status:online pump', 'status', '')).toBe('pump');
    expect(withToken('pump', 'product', 'boiler house')).toBe('product:"boiler house" pump');
  });
});
