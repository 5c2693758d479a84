// Every call of the client must be an operation of the hub's OpenAPI document, and every answer field we name must exist.
import { afterEach, describe, expect, it, vi } from 'vitest';
import { api, ApiError, request } from '../src/api/client';
import document from '../../src/hub/openapi.json';

type Operation = { responses: Record<string, unknown>; parameters?: { $ref?: string; name?: string; in?: string }[] };
const paths = document.paths as unknown as Record<string, Record<string, Operation>>;
const parameters = document.components.parameters as Record<string, { name: string; in: string }>;

function find(path: string): [string, Record<string, Operation>] | undefined {
  const parts = path.split('/');
  return Object.entries(paths).find(([template]) => {
    const wanted = template.split('/');
    return wanted.length === parts.length && wanted.every((part, index) => part.startsWith('{') || part === parts[index]);
  });
}

const ref = { productKey: 'a1', deviceName: 'd/1 ?' };
const calls: Record<keyof typeof api, () => Promise<unknown>> = {
  setupState: () => api.setupState(), setup: () => api.setup('t', 'u', 'p'), signIn: () => api.signIn('u', 'p'), whoAmI: () => api.whoAmI(), signOut: () => api.signOut(), system: () => api.system(),
  users: () => api.users(), createUser: () => api.createUser('u', 'viewer', 'p'), patchUser: () => api.patchUser('u', {}), deleteUser: () => api.deleteUser('u'),
  tokens: () => api.tokens(), createToken: () => api.createToken('n', 'viewer', 30), deleteToken: () => api.deleteToken('t'),
  products: () => api.products(), product: () => api.product('a1'), createProduct: () => api.createProduct({ name: 'n' }), deleteProduct: () => api.deleteProduct('a1'), model: () => api.model('a1'), putModel: () => api.putModel('a1', {}),
  devices: () => api.devices({ productKey: 'a', status: 'online', gateway: 'a/b', nodeType: 'device', q: 'x', values: false, limit: 10, cursor: 'c' }), device: () => api.device(ref), createDevice: () => api.createDevice({ productKey: 'a1' }), deleteDevice: () => api.deleteDevice(ref),
  disableDevice: () => api.disableDevice(ref), enableDevice: () => api.enableDevice(ref), connection: () => api.connection(ref), endConnection: () => api.endConnection(ref), properties: () => api.properties(ref), setProperties: () => api.setProperties(ref, { a: 1 }),
  history: () => api.history(ref, { property: 'x', from: 1, to: 2, order: 'asc', buckets: 5, limit: 6, cursor: 'c' }), deviceEvents: () => api.deviceEvents(ref, 'c'), callService: () => api.callService(ref, 's', {}, 1000),
  gateways: () => api.gateways('c'), subDevices: () => api.subDevices(ref, 'c'), addSubDevice: () => api.addSubDevice(ref, ref), removeSubDevice: () => api.removeSubDevice(ref, ref),
};

afterEach(() => vi.unstubAllGlobals());

describe('the API client', () => {
  for (const [name, call] of Object.entries(calls)) {
    it(`${name} is an operation of the document`, async () => {
      const seen: { url: URL; init: RequestInit }[] = [];
      vi.stubGlobal('fetch', (url: string, init: RequestInit) => {
        seen.push({ url: new URL(url, 'http://hub'), init });
        return Promise.resolve(new Response('{}', { status: 200 }));
      });
      await call();
      expect(seen).toHaveLength(1);
      const { url, init } = seen[0]!;
      const found = find(url.pathname);
      expect(found, url.pathname).toBeDefined();
      const operation = found![1][init.method!.toLowerCase()];
      expect(operation, `${init.method} ${found![0]}`).toBeDefined();
      const known = (operation!.parameters ?? []).map((item) => (item.$ref ? parameters[item.$ref.split('/').at(-1)!]! : (item as { name: string; in: string }))).filter((item) => item.in === 'query').map((item) => item.name);
      for (const key of url.searchParams.keys()) expect(known, `${name}?${key}`).toContain(key);
      expect((init.headers as Record<string, string>)['x-brim-request']).toBe(init.method === 'GET' ? undefined : 'console');
    });
  }

  it('shows object, cause and fix of a problem', async () => {
    vi.stubGlobal('fetch', () => Promise.resolve(new Response(JSON.stringify({ type: 'x', title: 't', status: 409, code: 'conflict', object: 'o', cause: 'c', fix: 'f' }), { status: 409 })));
    await expect(request('GET', '/api/v1/system')).rejects.toMatchObject({ problem: { code: 'conflict', object: 'o', cause: 'c', fix: 'f' } });
  });
  it('says so when something else than the hub answers', async () => {
    vi.stubGlobal('fetch', () => Promise.resolve(new Response('<html>', { status: 502 })));
    await expect(request('GET', '/api/v1/system')).rejects.toMatchObject({ problem: { code: 'bad_answer', status: 502 } });
  });
  it('says so when the hub is away', async () => {
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('failed')));
    const error = await request('GET', '/api/v1/system').catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ApiError);
    expect((error as ApiError).problem).toMatchObject({ code: 'unreachable' });
    expect((error as ApiError).problem.fix).toBeTruthy();
  });
});
