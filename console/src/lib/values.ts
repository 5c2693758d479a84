// What a person typed, as the value a data type wants on the wire, or what is wrong with it.

import type { Json } from '../api/types';
import type { TypeSpec } from './model';

export type Draft = number | string | boolean | null;
export type Fault = { key: 'props.needed' | 'props.whole' | 'props.badJson' } | { key: 'props.out'; min: number | string; max: number | string } | { key: 'props.tooLong'; count: number };
export type Reading = { value: Json } | { fault: Fault };

export function readDraft(draft: Draft, data: TypeSpec): Reading {
  switch (data.type) {
    case 'int':
    case 'float':
    case 'double': {
      if (typeof draft !== 'number' || !Number.isFinite(draft)) return { fault: { key: 'props.needed' } };
      if (data.type === 'int' && !Number.isInteger(draft)) return { fault: { key: 'props.whole' } };
      if ((data.min !== undefined && draft < data.min) || (data.max !== undefined && draft > data.max)) {
        return { fault: { key: 'props.out', min: data.min ?? '−∞', max: data.max ?? '∞' } };
      }
      return { value: draft };
    }
    case 'bool': return { value: draft ? 1 : 0 }; // 0 and 1 on the wire, never true and false
    case 'enum': return draft === null || draft === '' ? { fault: { key: 'props.needed' } } : { value: Number(draft) };
    case 'struct':
    case 'array':
      try {
        return { value: JSON.parse(String(draft ?? '')) as Json };
      } catch {
        return { fault: { key: 'props.badJson' } };
      }
    case 'date': return /^\d+$/.test(String(draft ?? '')) ? { value: String(draft) } : { fault: { key: 'props.needed' } };
    default: {
      const text = String(draft ?? '');
      if (data.length !== undefined && new TextEncoder().encode(text).length > data.length) return { fault: { key: 'props.tooLong', count: data.length } };
      return { value: text };
    }
  }
}

/** The draft an input starts with: the current value, or the type's example. */
export function draftOf(value: Json | undefined, data: TypeSpec, example: unknown): Draft {
  const start = value ?? (example as Json);
  if (data.type === 'bool') return start === 1 || start === true || start === '1';
  if (data.type === 'struct' || data.type === 'array') return JSON.stringify(start, null, 2);
  if (data.type === 'enum') return start === null || start === undefined ? null : String(start);
  return typeof start === 'number' || typeof start === 'string' ? start : null;
}
