// Reads a thing model (TSL) for showing. The hub judges models; here odd parts are skipped, never fatal.

export interface TypeSpec {
  type: string;
  min?: number;
  max?: number;
  step?: number;
  unit?: string;
  unitName?: string;
  length?: number;
  /** bool and enum: wire value to label. */
  labels?: Record<string, string>;
  fields?: FieldSpec[];
  item?: TypeSpec;
  size?: number;
}
export interface FieldSpec {
  identifier: string;
  name: string;
  data: TypeSpec;
}
export interface PropertySpec extends FieldSpec {
  writable: boolean;
  required: boolean;
  description: string;
}
export interface EventSpec {
  identifier: string;
  name: string;
  level: string;
  outputs: FieldSpec[];
}
export interface ServiceSpec {
  identifier: string;
  name: string;
  synchronous: boolean;
  inputs: FieldSpec[];
  outputs: FieldSpec[];
}
export interface ThingModel {
  properties: PropertySpec[];
  events: EventSpec[];
  services: ServiceSpec[];
}

type Obj = Record<string, unknown>;
const isObject = (value: unknown): value is Obj => typeof value === 'object' && value !== null && !Array.isArray(value);
const list = (value: unknown): Obj[] => (Array.isArray(value) ? value.filter(isObject) : []);
const text = (value: unknown): string => (typeof value === 'string' ? value : '');

/** Numbers in specs are strings by convention, but plain numbers are seen too. */
function number(value: unknown): number | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  const result = Number(value);
  return Number.isFinite(result) ? result : undefined;
}

function readType(value: unknown): TypeSpec {
  const source = isObject(value) ? value : {};
  const type = text(source['type']) || 'text';
  const specs = source['specs'];
  const spec: TypeSpec = { type };
  if (type === 'struct') {
    spec.fields = list(specs).map(readField);
    return spec;
  }
  if (!isObject(specs)) return spec;
  if (type === 'bool' || type === 'enum') {
    spec.labels = {};
    for (const [key, label] of Object.entries(specs)) spec.labels[key] = String(label);
  } else if (type === 'array') {
    const size = number(specs['size']);
    if (size !== undefined) spec.size = size;
    spec.item = readType(specs['item']);
  } else {
    const { min, max, step, length } = { min: number(specs['min']), max: number(specs['max']), step: number(specs['step']), length: number(specs['length']) };
    if (min !== undefined) spec.min = min;
    if (max !== undefined) spec.max = max;
    if (step !== undefined && step > 0) spec.step = step;
    if (length !== undefined) spec.length = length;
    if (text(specs['unit'])) spec.unit = text(specs['unit']);
    if (text(specs['unitName'])) spec.unitName = text(specs['unitName']);
  }
  return spec;
}

function readField(source: Obj): FieldSpec {
  const identifier = text(source['identifier']);
  return { identifier, name: text(source['name']) || identifier, data: readType(source['dataType']) };
}

/** The generated entries (event `post`, services `set` and `get`) are left out: they repeat the properties. */
export function readModel(tsl: unknown): ThingModel {
  const source = isObject(tsl) ? tsl : {};
  return {
    properties: list(source['properties']).map((item) => ({
      ...readField(item),
      writable: text(item['accessMode']).includes('w'),
      required: item['required'] === true,
      description: text(item['desc']),
    })),
    events: list(source['events']).filter((item) => item['identifier'] !== 'post').map((item) => ({
      identifier: text(item['identifier']),
      name: text(item['name']) || text(item['identifier']),
      level: text(item['type']) || 'info',
      outputs: list(item['outputData']).map(readField),
    })),
    services: list(source['services']).filter((item) => item['identifier'] !== 'set' && item['identifier'] !== 'get').map((item) => ({
      identifier: text(item['identifier']),
      name: text(item['name']) || text(item['identifier']),
      synchronous: item['callType'] === 'sync',
      inputs: list(item['inputData']).map(readField),
      outputs: list(item['outputData']).map(readField),
    })),
  };
}

export const isNumeric = (type: string): boolean => type === 'int' || type === 'float' || type === 'double';
/** What a line can be drawn of; bool and enum as steps. */
export const isPlottable = (type: string): boolean => isNumeric(type) || type === 'bool' || type === 'enum';

/** "int, 0 … 100 °C, step 1" without words, so that it needs no translation. */
export function describeType(data: TypeSpec): string {
  const parts: string[] = [];
  if (data.min !== undefined || data.max !== undefined) parts.push(`${data.min ?? '−∞'} … ${data.max ?? '∞'}${data.unit ? ` ${data.unit}` : ''}`);
  else if (data.unit) parts.push(data.unit);
  if (data.step !== undefined) parts.push(`Δ ${data.step}`);
  if (data.length !== undefined) parts.push(`≤ ${data.length} B`);
  if (data.labels) parts.push(Object.entries(data.labels).map(([key, label]) => `${key} ${label}`).join(' · '));
  if (data.fields) parts.push(`{ ${data.fields.map((field) => field.identifier).join(', ')} }`);
  if (data.item) parts.push(`${data.item.type}[${data.size ?? ''}]`);
  return parts.join(', ');
}

/** A first value a form can start from, and a plausible one for the connect command. */
export function exampleValue(data: TypeSpec): number | string | unknown[] | Obj {
  switch (data.type) {
    case 'int': return Math.round(data.min !== undefined && data.max !== undefined ? (data.min + data.max) / 2 : (data.min ?? 1));
    case 'float':
    case 'double': return Number((data.min !== undefined && data.max !== undefined ? (data.min + data.max) / 2 : (data.min ?? 1)).toPrecision(4));
    case 'bool': return 1;
    case 'enum': return Number(Object.keys(data.labels ?? { 0: '' })[0] ?? 0);
    case 'date': return String(Date.now());
    case 'struct': return Object.fromEntries((data.fields ?? []).map((field) => [field.identifier, exampleValue(field.data)]));
    case 'array': return data.item ? [exampleValue(data.item)] : [];
    default: return 'text';
  }
}

/** An empty model to start an editor with. */
export const starterModel = {
  properties: [
    { identifier: 'temperature', name: 'Temperature', accessMode: 'r', required: false,
      dataType: { type: 'float', specs: { min: '-40', max: '120', step: '0.1', unit: '°C', unitName: 'degree Celsius' } } },
    { identifier: 'setpoint', name: 'Setpoint', accessMode: 'rw', required: false,
      dataType: { type: 'float', specs: { min: '0', max: '100', step: '0.5', unit: '°C', unitName: 'degree Celsius' } } },
    { identifier: 'running', name: 'Running', accessMode: 'rw', required: false,
      dataType: { type: 'bool', specs: { '0': 'Stopped', '1': 'Running' } } },
  ],
  events: [
    { identifier: 'overheat', name: 'Overheat', type: 'alert', required: false,
      outputData: [{ identifier: 'temperature', name: 'Temperature', dataType: { type: 'float', specs: { min: '-40', max: '120', unit: '°C' } } }] },
  ],
  services: [
    { identifier: 'restart', name: 'Restart', callType: 'sync', required: false,
      inputData: [{ identifier: 'delay', name: 'Delay', dataType: { type: 'int', specs: { min: '0', max: '60', unit: 's' } } }], outputData: [] },
  ],
};
