import { describe, expect, it } from 'vitest';
import { describeType, exampleValue, isPlottable, readModel, starterModel } from '../src/lib/model';
import { draftOf, readDraft } from '../src/lib/values';

describe('drafts', () => {
  const range = { type: 'float', min: 0, max: 100 };
  it('holds numbers to their range, on both sides', () => {
    expect(readDraft(0, range)).toEqual({ value: 0 });
    expect(readDraft(100, range)).toEqual({ value: 100 });
    expect(readDraft(-0.1, range)).toEqual({ fault: { key: 'props.out', min: 0, max: 100 } });
    expect(readDraft(100.1, range)).toHaveProperty('fault');
    expect(readDraft(null, range)).toEqual({ fault: { key: 'props.needed' } });
  });
  it('wants whole numbers for int', () => expect(readDraft(1.5, { type: 'int' })).toEqual({ fault: { key: 'props.whole' } }));
  it('writes a switch as 0 and 1', () => {
    expect(readDraft(true, { type: 'bool' })).toEqual({ value: 1 });
    expect(readDraft(false, { type: 'bool' })).toEqual({ value: 0 });
  });
  it('writes a choice as a number', () => expect(readDraft('2', { type: 'enum' })).toEqual({ value: 2 }));
  it('counts bytes of a text, not letters', () => {
    expect(readDraft('abcd', { type: 'text', length: 4 })).toEqual({ value: 'abcd' });
    expect(readDraft('温度', { type: 'text', length: 5 })).toEqual({ fault: { key: 'props.tooLong', count: 5 } });
  });
  it('reads JSON for struct and array', () => {
    expect(readDraft('{"a":1}', { type: 'struct' })).toEqual({ value: { a: 1 } });
    expect(readDraft('{', { type: 'array' })).toEqual({ fault: { key: 'props.badJson' } });
  });
  it('starts from the current value', () => {
    expect(draftOf(1, { type: 'bool' }, 0)).toBe(true);
    expect(draftOf(2, { type: 'enum' }, 0)).toBe('2');
    expect(draftOf(undefined, { type: 'int' }, 7)).toBe(7);
  });
});

describe('model', () => {
  const model = readModel(starterModel);
  it('reads types, ranges given as strings, and access', () => {
    expect(model.properties.map((property) => [property.identifier, property.writable, property.data.min])).toEqual([['temperature', false, -40], ['setpoint', true, 0], ['running', true, undefined]]);
    expect(model.properties[2]?.data.labels).toEqual({ '0': 'Stopped', '1': 'Running' });
    expect(model.services[0]?.synchronous).toBe(true);
  });
  it('leaves out the generated entries', () => {
    const read = readModel({ events: [{ identifier: 'post' }, { identifier: 'e' }], services: [{ identifier: 'set' }, { identifier: 'get' }, { identifier: 's' }] });
    expect([read.events.length, read.services.length]).toEqual([1, 1]);
  });
  it('survives nonsense', () => {
    for (const odd of [null, 5, 'x', [], { properties: 5, events: [null, 3], services: [{ inputData: 'x' }] }]) expect(() => readModel(odd)).not.toThrow();
  });
  it('describes a range', () => expect(describeType(model.properties[0]!.data)).toBe('-40 … 120 °C, Δ 0.1'));
  it('gives examples that its own rules accept', () => {
    for (const property of model.properties) expect(readDraft(draftOf(exampleValue(property.data) as never, property.data, 0), property.data), property.identifier).toHaveProperty('value');
  });
  it('plots switches but no text', () => expect([isPlottable('bool'), isPlottable('text')]).toEqual([true, false]));
});
