import { describe, expect, it } from 'vitest';
import { csv } from '../src/lib/csv';
import { bytes, duration, epochText, measured, prettyJson, relativeTime, timeLabels, valueText } from '../src/lib/format';
import { fromLocalInput, toLocalInput } from '../src/lib/localtime';

describe('times', () => {
  it('says how long ago', () => {
    expect(relativeTime(0, 0, 'en')).toBe('now');
    expect(relativeTime(0, 59_000, 'en')).toContain('59');
    expect(relativeTime(0, 119_000, 'en')).toMatch(/^1 min/);
    expect(relativeTime(0, 2 * 86_400_000, 'zh-CN')).toContain('前天');
  });
  it('shows the two largest units', () => {
    expect(duration(0)).toBe('0 s');
    expect(duration(61_000)).toBe('1 min 1 s');
    expect(duration(86_400_000 + 5_000)).toBe('1 d');
    expect(duration(-5)).toBe('0 s');
  });
  it('names the day where it changes', () => {
    const start = new Date(2026, 2, 1, 23, 0).getTime() / 1000;
    const labels = timeLabels([start, start + 1800, start + 3600], 'en');
    expect(labels[0]).toContain('\n');
    expect(labels[1]).not.toContain('\n');
    expect(labels[2]).toContain('\n');
  });
  it('goes through a date field and back', () => {
    const ms = new Date(2026, 2, 1, 8, 30, 5).getTime();
    expect(fromLocalInput(toLocalInput(ms))).toBe(ms);
    expect(fromLocalInput('')).toBeUndefined();
    expect(toLocalInput(Number.NaN)).toBe('');
  });
});

describe('values', () => {
  it('hides binary noise', () => expect(measured(0.1 + 0.2, 'en')).toBe('0.3'));
  it('keeps small integers plain and groups large ones', () => expect([measured(1234, 'en'), measured(12345, 'en')]).toEqual(['1234', '12,345']));
  it('names choices', () => expect([valueText(1, 'en', { '1': 'On' }), valueText(true, 'en', { '1': 'On' }), valueText(7, 'en', { '1': 'On' })]).toEqual(['On', 'On', '7']));
  it('shows nothing as a dash, and 0, false and "" as themselves', () => expect([valueText(undefined, 'en'), valueText(null, 'en'), valueText(0, 'en'), valueText('', 'en')]).toEqual(['–', '–', '0', '']));
  it('leaves markup alone: escaping is the page\'s work', () => expect(valueText('<b>', 'en')).toBe('<b>'));
  it('names a connection by start and count', () => expect([epochText(2 ** 32 + 3), epochText(7 * 2 ** 32 + 4_294_967_295)]).toEqual(['1.3', '7.4294967295']));
  it('counts bytes', () => expect([bytes(1023, 'en'), bytes(1024, 'en'), bytes(1536, 'en')]).toEqual(['1,023 B', '1 KiB', '1.5 KiB']));
  it('tidies JSON and leaves the rest', () => expect([prettyJson('{"a":1}'), prettyJson('not json')]).toEqual(['{\n  "a": 1\n}', 'not json']));
});

describe('CSV', () => {
  it('quotes by RFC 4180', () => expect(csv(['a', 'b'], [['x,"y"', 1], [null, true]])).toBe('a,b\r\n"x,""y""",1\r\n,true\r\n'));
  it('disarms formulas in texts but not negative numbers', () => expect(csv(['v'], [['=1+1'], [-5]])).toBe('v\r\n"\'=1+1"\r\n-5\r\n'));
});
