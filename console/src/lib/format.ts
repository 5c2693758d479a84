// Numbers, bytes, times and values as people read them. Pure: the language comes in as an argument.

import type { Json } from '../api/types';

// Making an Intl formatter costs a hundred times its use, and a scrolling list asks for hundreds per frame.
const made = new Map<string, unknown>();
function keep<T>(key: string, make: () => T): T {
  let held = made.get(key) as T | undefined;
  if (held === undefined) made.set(key, (held = make()));
  return held;
}
function numbers(locale: string, options: Intl.NumberFormatOptions): Intl.NumberFormat {
  return keep(`n ${locale} ${options.maximumFractionDigits ?? ''} ${options.maximumSignificantDigits ?? ''} ${options.useGrouping ?? ''}`, () => new Intl.NumberFormat(locale, options));
}

export function relativeTime(ms: number, now: number, locale: string): string {
  const seconds = Math.round((ms - now) / 1000);
  const format = keep(`r ${locale}`, () => new Intl.RelativeTimeFormat(locale, { numeric: 'auto', style: 'short' }));
  const size = Math.abs(seconds);
  if (size < 2) return format.format(0, 'second');
  if (size < 60) return format.format(seconds, 'second');
  if (size < 3600) return format.format(Math.trunc(seconds / 60), 'minute');
  if (size < 86_400) return format.format(Math.trunc(seconds / 3600), 'hour');
  return format.format(Math.trunc(seconds / 86_400), 'day');
}

/** A connection epoch is the hub's start times 2^32 plus a count; "3.17" is the 17th connection of its third start. */
export function epochText(epoch: number): string {
  return `${Math.floor(epoch / 2 ** 32)}.${epoch % 2 ** 32}`;
}

/** "2 d 3 h", "4 min 10 s": the two largest units. Unit names are international symbols in both languages. */
export function duration(ms: number): string {
  const total = Math.max(0, Math.floor(ms / 1000));
  const parts: [number, string][] = [
    [Math.floor(total / 86_400), 'd'],
    [Math.floor(total / 3600) % 24, 'h'],
    [Math.floor(total / 60) % 60, 'min'],
    [total % 60, 's'],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first < 0) return '0 s';
  return parts.slice(first, first + 2).filter(([amount]) => amount > 0).map(([amount, unit]) => `${amount} ${unit}`).join(' ');
}

export function dateTime(ms: number, locale: string): string {
  return new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'medium' }).format(ms);
}

/** With milliseconds and zone, for tooltips: the exact answer. */
export function exactTime(ms: number, locale: string): string {
  const format = keep(`x ${locale}`, () => new Intl.DateTimeFormat(locale, {
    year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit',
    fractionalSecondDigits: 3, hour12: false, timeZoneName: 'short',
  }));
  return format.format(ms);
}

export function clockTime(ms: number, locale: string): string {
  return keep(`c ${locale}`, () => new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3, hour12: false })).format(ms);
}

export function bytes(amount: number, locale: string): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = amount;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${numbers(locale, { maximumFractionDigits: value < 10 && unit > 0 ? 1 : 0 }).format(value)} ${units[unit]}`;
}

export function count(amount: number, locale: string): string {
  return numbers(locale, { maximumFractionDigits: 1 }).format(amount);
}

/** A measured number without the noise of binary fractions: at most 6 significant digits, integers in full. */
export function measured(value: number, locale: string): string {
  if (!Number.isFinite(value)) return String(value);
  const format = Number.isInteger(value)
    ? numbers(locale, { maximumFractionDigits: 0, useGrouping: Math.abs(value) >= 10_000 })
    : numbers(locale, { maximumSignificantDigits: 6, useGrouping: Math.abs(value) >= 10_000 });
  return format.format(value);
}

/** Labels of a time axis (seconds since 1970), 24-hour; the day stands under the first label and where it changes. */
export function timeLabels(splits: readonly number[], locale: string): string[] {
  const step = splits.length > 1 ? splits[1]! - splits[0]! : 60;
  const clock = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', hour12: false, ...(step < 60 ? { second: '2-digit' } : {}) });
  const day = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short' });
  let last = '';
  return splits.map((split) => {
    const date = day.format(split * 1000);
    const changed = date !== last;
    last = date;
    if (step >= 86_400) return date;
    return changed ? `${clock.format(split * 1000)}\n${date}` : clock.format(split * 1000);
  });
}

/** A value on one line: choices by name, numbers by locale, the rest as JSON. `labels` are a bool's or an enum's. */
export function valueText(value: Json | undefined, locale: string, labels?: Record<string, string>): string {
  if (value === undefined || value === null) return '–';
  if (labels) {
    const key = typeof value === 'boolean' ? String(Number(value)) : String(value);
    const label = labels[key];
    if (label) return label;
  }
  if (typeof value === 'number') return measured(value, locale);
  if (typeof value === 'string') return value;
  return JSON.stringify(value);
}

/** Pretty JSON when the text is JSON, else the text itself. */
export function prettyJson(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
