// The one place that talks HTTP. Every failure becomes an ApiError that carries object, cause and fix.

import type {
  Connection, Device, DeviceCreate, DeviceCredentials, DeviceEvent, DeviceRef, History, Json, Page, Problem, Product, ProductCreate,
  PropertySetResult, PropertyState, Role, ServiceResult, Session, System, Token, User,
} from './types';

export class ApiError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail ?? problem.cause ?? problem.title);
    this.name = 'ApiError';
  }
}

type Query = Record<string, string | number | boolean | undefined>;
type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** A GET that takes longer is given up; service calls bring their own wait. */
const request_wait_ms = 20_000;

let onSignedOut: () => void = () => {};
/** Called when the hub says the session is over (401 on anything but signing in). */
export function whenSignedOut(action: () => void): void {
  onSignedOut = action;
}

function problemOf(code: string, title: string, cause: string, fix: string, object: string): Problem {
  return { type: 'about:blank', status: 0, code, title, cause, fix, object };
}

async function readProblem(response: Response, path: string): Promise<Problem> {
  try {
    const body = (await response.json()) as Partial<Problem>;
    if (typeof body.code === 'string') return { type: 'about:blank', title: body.code, status: response.status, ...body, code: body.code };
  } catch {
    // Not JSON: something between us and the hub answered (a proxy's error page).
  }
  return {
    ...problemOf('bad_answer', 'The answer is not from the hub', `HTTP ${response.status} without a problem document`,
      'Check the proxy between this browser and the hub', path),
    status: response.status,
  };
}

export async function request<T>(method: Method, path: string, options: { query?: Query; body?: unknown; waitMs?: number } = {}): Promise<T> {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(options.query ?? {})) if (value !== undefined) query.set(key, String(value));
  const text = query.toString();
  const headers: Record<string, string> = { accept: 'application/json' };
  if (method !== 'GET') headers['x-brim-request'] = 'console'; // a page of another origin cannot send it without our consent
  const init: RequestInit = { method, headers, credentials: 'same-origin', signal: AbortSignal.timeout(options.waitMs ?? request_wait_ms) };
  if (options.body !== undefined) {
    headers['content-type'] = 'application/json';
    init.body = JSON.stringify(options.body);
  }
  let response: Response;
  try {
    response = await fetch(text ? `${path}?${text}` : path, init);
  } catch (error) {
    const late = error instanceof DOMException && error.name === 'TimeoutError';
    throw new ApiError(late
      ? problemOf('timeout', 'No answer in time', 'The hub did not answer in time', 'Try again; look at the hub\'s load on the Home page', path)
      : problemOf('unreachable', 'Hub not reachable', 'The browser could not reach the hub', 'Check that brim-hub runs and that the network is up', path));
  }
  if (!response.ok) {
    const problem = await readProblem(response, path);
    if (response.status === 401 && !(method === 'POST' && path === '/api/v1/session')) onSignedOut();
    throw new ApiError(problem);
  }
  if (response.status === 204) return undefined as T;
  const body = await response.text();
  return (body ? JSON.parse(body) : undefined) as T;
}

const part = encodeURIComponent;
export const devicePath = (ref: DeviceRef): string => `/api/v1/devices/${part(ref.productKey)}/${part(ref.deviceName)}`;
export const gatewayPath = (ref: DeviceRef): string => `/api/v1/gateways/${part(ref.productKey)}/${part(ref.deviceName)}/devices`;
export const productPath = (key: string): string => `/api/v1/products/${part(key)}`;

export interface DeviceQuery {
  productKey?: string;
  status?: string;
  gateway?: string;
  nodeType?: string;
  q?: string;
  values?: boolean;
  limit?: number;
  cursor?: string;
}
export interface HistoryQuery {
  property: string;
  from?: number;
  to?: number;
  order?: 'asc' | 'desc';
  buckets?: number;
  limit?: number;
  cursor?: string;
}

export const api = {
  setupState: () => request<{ needed: boolean }>('GET', '/api/v1/setup'),
  setup: (token: string, user: string, password: string) => request<Session>('POST', '/api/v1/setup', { body: { token, user, password } }),
  signIn: (user: string, password: string) => request<Session>('POST', '/api/v1/session', { body: { user, password } }),
  whoAmI: () => request<Session>('GET', '/api/v1/session'),
  signOut: () => request<void>('DELETE', '/api/v1/session'),
  system: () => request<System>('GET', '/api/v1/system'),

  users: () => request<Page<User>>('GET', '/api/v1/users', { query: { limit: 1000 } }),
  createUser: (name: string, role: Role, password: string) => request<User>('POST', '/api/v1/users', { body: { name, role, password } }),
  patchUser: (name: string, patch: { role?: Role; password?: string }) => request<User>('PATCH', `/api/v1/users/${part(name)}`, { body: patch }),
  deleteUser: (name: string) => request<void>('DELETE', `/api/v1/users/${part(name)}`),
  tokens: () => request<Page<Token>>('GET', '/api/v1/tokens', { query: { limit: 1000 } }),
  createToken: (name: string, role: Role, expiresInDays?: number) =>
    request<{ id: string; token: string }>('POST', '/api/v1/tokens', { body: { name, role, expiresInDays } }),
  deleteToken: (id: string) => request<void>('DELETE', `/api/v1/tokens/${part(id)}`),

  products: () => request<Page<Product>>('GET', '/api/v1/products', { query: { limit: 1000 } }),
  product: (key: string) => request<Product>('GET', productPath(key)),
  createProduct: (body: ProductCreate) => request<Product>('POST', '/api/v1/products', { body }),
  deleteProduct: (key: string) => request<void>('DELETE', productPath(key)),
  model: (key: string) => request<object>('GET', `${productPath(key)}/model`),
  putModel: (key: string, model: unknown) => request<object>('PUT', `${productPath(key)}/model`, { body: model }),

  devices: (query: DeviceQuery) => request<Page<Device>>('GET', '/api/v1/devices', { query: { ...query } }),
  device: (ref: DeviceRef) => request<Device>('GET', devicePath(ref)),
  createDevice: (body: DeviceCreate) => request<DeviceCredentials>('POST', '/api/v1/devices', { body }),
  deleteDevice: (ref: DeviceRef) => request<void>('DELETE', devicePath(ref)),
  disableDevice: (ref: DeviceRef) => request<Device>('POST', `${devicePath(ref)}/disable`),
  enableDevice: (ref: DeviceRef) => request<Device>('POST', `${devicePath(ref)}/enable`),
  connection: (ref: DeviceRef) => request<Connection>('GET', `${devicePath(ref)}/connection`),
  endConnection: (ref: DeviceRef) => request<void>('DELETE', `${devicePath(ref)}/connection`),
  properties: (ref: DeviceRef) => request<Page<PropertyState>>('GET', `${devicePath(ref)}/properties`),
  setProperties: (ref: DeviceRef, values: Record<string, Json>) =>
    request<PropertySetResult>('PUT', `${devicePath(ref)}/properties`, { body: { values } }),
  history: (ref: DeviceRef, query: HistoryQuery) => request<History>('GET', `${devicePath(ref)}/history`, { query: { ...query } }),
  deviceEvents: (ref: DeviceRef, cursor?: string) =>
    request<Page<DeviceEvent>>('GET', `${devicePath(ref)}/events`, { query: { limit: 100, cursor } }),
  callService: (ref: DeviceRef, service: string, input: Record<string, Json>, timeoutMs: number) =>
    request<ServiceResult>('POST', `${devicePath(ref)}/services/${part(service)}`, { body: { input, timeoutMs }, waitMs: timeoutMs + 5000 }),

  gateways: (cursor?: string) => request<Page<Device>>('GET', '/api/v1/gateways', { query: { limit: 1000, cursor } }),
  subDevices: (ref: DeviceRef, cursor?: string) => request<Page<Device>>('GET', gatewayPath(ref), { query: { limit: 1000, cursor } }),
  addSubDevice: (ref: DeviceRef, sub: DeviceRef) => request<void>('POST', gatewayPath(ref), { body: { productKey: sub.productKey, deviceName: sub.deviceName } }),
  removeSubDevice: (ref: DeviceRef, sub: DeviceRef) =>
    request<void>('DELETE', `${gatewayPath(ref)}/${part(sub.productKey)}/${part(sub.deviceName)}`),
};
