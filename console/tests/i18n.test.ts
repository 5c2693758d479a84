import { describe, expect, it } from 'vitest';
import { fill } from '../src/i18n';
import { en } from '../src/i18n/en';
import { zh } from '../src/i18n/zh';

const holes = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort();

describe('the two languages', () => {
  it('have the same keys', () => expect(Object.keys(zh).sort()).toEqual(Object.keys(en).sort()));
  it('ask for the same values in every text', () => {
    for (const key of Object.keys(en) as (keyof typeof en)[]) expect(holes(zh[key]), key).toEqual(holes(en[key]));
  });
  it('have no empty text and no text left in the other language', () => {
    for (const key of Object.keys(en) as (keyof typeof en)[]) {
      expect(en[key].trim(), key).not.toBe('');
      expect(zh[key].trim(), key).not.toBe('');
      expect(en[key], key).not.toMatch(/[\u4e00-\u9fff]/);
    }
    const same = (Object.keys(en) as (keyof typeof en)[]).filter((key) => en[key] === zh[key]);
    expect(same).toEqual(['common.json', 'home.secTls', 'live.age', 'history.csv', 'messages.topic'].filter((key) => same.includes(key as never)));
  });
  it('never say "unknown error"', () => {
    for (const text of Object.values(en)) expect(text).not.toMatch(/unknown error|internal error/i);
  });
});

describe('fill', () => {
  it('puts values in', () => expect(fill('{a} of {b}', { a: 1, b: 'x' })).toBe('1 of x'));
  it('leaves what it was not given, and does not expand values again', () => expect(fill('{a} {c}', { a: '{c}' })).toBe('{c} {c}'));
  it('does not reach into the prototype', () => expect(fill('{name}', { other: 1 })).toBe('{name}'));
});
