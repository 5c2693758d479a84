// The HTTP API as its own description says it is: permissions, schemas, pages, streams, sign-in.
import assert from 'node:assert/strict';
import { Sqlite } from './support/sqlite.mjs';
import { after, before, test } from 'node:test';
import { credentials, connect } from './support/device.mjs';
import { admin, Hub, until } from './support/hub.mjs';
import { EventReader } from './support/events.mjs';

/** @type {Hub} */ let hub;
/** @type {any} */ let api;
const key = 'a1api';
const roles = ['public', 'viewer', 'operator', 'admin'];
/** @type {Record<string, string>} */ const tokens = {};

before(async () => {
  hub = await Hub.start();
  await hub.product(key);
  api = (await hub.call('GET', '/api/openapi.json')).json;
  for (const role of ['viewer', 'operator']) {
    await hub.ok('POST', '/api/v1/users', { name: role, role, password: admin.password });
  }
  tokens['admin'] = hub.token;
  tokens['viewer'] = await hub.makeToken('viewer');
  tokens['operator'] = await hub.makeToken('operator');
  // An expired token: made for a day, whose end is then moved into the past in the stopped hub's database.
  const made = await hub.ok('POST', '/api/v1/tokens', { name: 'old', role: 'admin', expiresInDays: 1 });
  assert.equal((await hub.call('GET', '/api/v1/session', undefined, { token: made.token })).status, 200);
  await hub.end();
  Sqlite.run(`${hub.data}/hub.db`, `UPDATE token SET expires_ms = 1000 WHERE id = '${made.id}'`);
  await hub.run();
  tokens['expired'] = made.token;
});
after(() => hub.dispose());

/** Operations with a path that names nothing, so that a permitted call changes nothing. */
function* operations() {
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(/** @type {Record<string, any>} */ (methods))) {
      if (!['get', 'put', 'post', 'patch', 'delete'].includes(method)) continue;
      yield { method: method.toUpperCase(), path: path.replace(/\{[^}]+\}/g, 'nothing'), operation, name: `${method} ${path}` };
    }
  }
}
/** @param {import('./support/hub.mjs').Answer} answer @param {string} what */
function isProblem(answer, what) {
  assert.match(answer.headers.get('content-type') ?? '', /^application\/problem\+json/, what);
  for (const member of ['type', 'title', 'status', 'detail', 'code', 'cause', 'object']) assert.ok(member in answer.json, `${what}: ${member}`);
  assert.equal(answer.json.status, answer.status, `${what}: the body says the same status`);
  assert.notEqual(answer.status, 500, `${what}: ${answer.text}`);
}

test('every operation asks for exactly the role its description names', async () => {
  let checked = 0;
  for (const { method, path, operation, name } of operations()) {
    const needed = roles.indexOf(operation['x-brim-role']);
    assert.ok(needed >= 0, `${name} names a role`);
    if (operation.operationId === 'streamEvents' || operation.operationId === 'logout') continue; // have tests of their own
    for (const [who, token] of /** @type {[string, string][]} */ ([['none', ''], ['expired', tokens['expired']], ['viewer', tokens['viewer']], ['operator', tokens['operator']], ['admin', tokens['admin']], ['nonsense', 'brim_nonsense']])) {
      const rank = Math.max(0, roles.indexOf(who));
      // No body: whoever may call gets as far as its check, and nothing is changed.
      const answer = await hub.call(method, path, undefined, { token });
      const what = `${name} as ${who}: ${answer.status}`;
      if (rank >= needed) assert.ok(![401, 403].includes(answer.status), what);
      else assert.equal(answer.status, rank === 0 ? 401 : 403, what);
      if (answer.status >= 400) isProblem(answer, what);
      ++checked;
    }
    const writes = method !== 'GET';
    const byCookie = await hub.call(method, path, undefined, { token: '', headers: { Cookie: hub.cookie } });
    // Public ones too: another site must not sign a browser in or out.
    if (writes) assert.equal(byCookie.status, 403, `${name} by cookie without X-Brim-Request`);
    else assert.ok(![401, 403].includes(byCookie.status), `${name} by cookie`);
  }
  assert.ok(checked > 180, `${checked} calls`);
  assert.equal((await hub.call('GET', '/api/v1/events', undefined, { token: '' })).status, 401);
  assert.equal((await hub.call('GET', '/api/v1/events', undefined, { token: tokens['expired'] ?? '' })).status, 401);
  assert.equal((await hub.call('DELETE', '/api/v1/session', undefined, { token: '' })).status, 401);
});

/** A value that fits a schema. @param {any} schema @returns {any} */
function sample(schema) {
  if (schema.$ref) return sample(api.components.schemas[schema.$ref.split('/').pop()]);
  if (schema.enum) return schema.enum[0];
  if (schema.type === 'object') {
    const value = Object.fromEntries((schema.required ?? []).map((/** @type {string} */ name) => [name, sample(schema.properties[name])]));
    if (schema.minProperties) value['a'] = 1;
    return value;
  }
  if (schema.type === 'integer') return schema.minimum ?? 0;
  return 'abcdefghijklm1'.slice(0, Math.max(14, schema.minLength ?? 0));
}

test('a body is checked against its schema: unknown members, wrong types and missing ones, each with a pointer', async () => {
  let bodies = 0;
  for (const { method, path, operation, name } of operations()) {
    const reference = operation.requestBody?.content['application/json'].schema;
    if (!reference) continue;
    ++bodies;
    const schema = reference.$ref ? api.components.schemas[reference.$ref.split('/').pop()] : reference;
    const good = sample(schema);
    for (const raw of ['', '{', 'null', '[]', '"x"', '{"a":1}{"b":2}', `${'['.repeat(2000)}`]) {
      const answer = await hub.call(method, path, undefined, { raw });
      assert.ok([400, 422].includes(answer.status), `${name} with ${raw.slice(0, 20)}: ${answer.status} ${answer.text}`);
      isProblem(answer, name);
    }
    if (schema.additionalProperties === false) {
      // Fields that only the server may set, and one with characters that JSON Pointer escapes.
      for (const member of ['id', 'createdAt', 'authority', 'passwordHash', 'epoch', 'a/b~c']) {
        if (member in schema.properties) continue;
        const answer = await hub.call(method, path, { ...good, [member]: 'x' });
        assert.equal(answer.status, 422, `${name} with ${member}`);
        assert.deepEqual(answer.json.errors.map((/** @type {any} */ each) => each.pointer), [`/${member.replace('~', '~0').replace('/', '~1')}`]);
      }
    }
    for (const member of schema.required ?? []) {
      const { [member]: _, ...rest } = good;
      assert.equal((await hub.call(method, path, rest)).status, 422, `${name} without ${member}`);
    }
    for (const [member, inner] of Object.entries(/** @type {Record<string, any>} */ (schema.properties ?? {}))) {
      if (!inner.type) continue;
      const answer = await hub.call(method, path, { ...good, [member]: inner.type === 'integer' ? 'x' : 7 });
      assert.equal(answer.status, 422, `${name}: ${member} of a wrong type`);
      assert.equal(answer.json.errors[0].pointer, `/${member}`);
    }
  }
  assert.ok(bodies >= 10, `${bodies} bodies`);
  const big = await hub.call('POST', '/api/v1/products', undefined, { raw: JSON.stringify({ name: 'x'.repeat(20_000_000) }) }).catch(() => undefined);
  if (big) assert.equal(big.status, 413);
});

test('queries are checked, unknown paths and methods are told', async () => {
  for (const query of ['limit=0', 'limit=-1', 'limit=1001', 'limit=1000000000', 'limit=x', 'limit=', 'nothing=1', 'cursor=garbage', 'status=strange', 'values=perhaps', 'limit=99999999999999999999']) {
    const answer = await hub.call('GET', `/api/v1/devices?${query}`);
    assert.equal(answer.status, 400, query);
    isProblem(answer, query);
  }
  for (const [method, path, status] of /** @type {[string, string, number][]} */ ([
    ['GET', '/api/v1/nothing', 404], ['GET', '/api/v1/', 404], ['POST', '/api/v1/system', 405], ['DELETE', '/api/v1/products', 405],
    ['GET', '/api/v1/devices//x', 404], ['GET', `/api/v1/products/${'x'.repeat(5000)}`, 404],
  ])) {
    const answer = await hub.call(method, path);
    assert.ok(answer.status === status || answer.status === 400, `${method} ${path.slice(0, 40)}: ${answer.status}`);
    isProblem(answer, path.slice(0, 40));
    if (status === 405) assert.ok(answer.headers.get('allow'));
  }
  for (const path of ['/api/v1/devices/%00/%ff', '/api/v1/devices/a/..%2f..']) assert.equal((await hub.call('GET', path)).status, 400, path);
});

test('pages are stable while rows come and go, and a changed cursor is refused', async () => {
  const product = await hub.product('a1pages');
  for (let i = 0; i < 25; ++i) await hub.device(product, `p${String(i).padStart(2, '0')}`);
  const seen = [];
  let cursor = '';
  for (let page = 0; ; ++page) {
    const got = await hub.ok('GET', `/api/v1/devices?productKey=${product}&limit=4${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    seen.push(...got.items.map((/** @type {any} */ each) => each.deviceName));
    if (page === 1) {
      await hub.ok('DELETE', `/api/v1/devices/${product}/p01`).catch(() => {}); // seen already
      await hub.call('DELETE', `/api/v1/devices/${product}/p07`); // the cursor's own row
      await hub.device(product, 'late');
    }
    if (!got.next) break;
    cursor = got.next;
  }
  const expected = Array.from({ length: 25 }, (_, i) => `p${String(i).padStart(2, '0')}`).concat('late');
  assert.deepEqual(seen, expected);
  for (const bad of [`${cursor}x`, cursor.slice(1), `A${cursor}`, '%', cursor.split('').reverse().join('')]) {
    const answer = await hub.call('GET', `/api/v1/devices?cursor=${encodeURIComponent(bad)}`);
    assert.ok(answer.status === 400, `cursor ${bad}: ${answer.status} ${answer.text.slice(0, 100)}`);
  }
});

test('a token never has more than its owner, and dies with it', async () => {
  const created = await hub.call('POST', '/api/v1/tokens', { name: 'more', role: 'operator' }, { token: tokens['viewer'] ?? '' });
  assert.equal(created.status, 403);
  await hub.ok('POST', '/api/v1/users', { name: 'temp', role: 'operator', password: admin.password });
  const session = await hub.call('POST', '/api/v1/session', { user: 'temp', password: admin.password }, { token: '' });
  const cookie = (session.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
  assert.match(session.headers.get('set-cookie') ?? '', /HttpOnly; SameSite=Strict/);
  const headers = { Cookie: cookie, 'X-Brim-Request': '1' };
  const { token } = (await hub.call('POST', '/api/v1/tokens', { name: 't', role: 'operator' }, { token: '', headers })).json;
  const create = () => hub.call('POST', '/api/v1/products', { name: 'by temp' }, { token });
  assert.equal((await create()).status, 201);
  await hub.ok('PATCH', '/api/v1/users/temp', { role: 'viewer' });
  assert.equal((await create()).status, 403, 'its owner is a viewer now');
  assert.equal((await hub.call('GET', '/api/v1/session', undefined, { token: '', headers })).status, 401, 'sessions ended with the change');
  const stream = await EventReader.open(hub, '/api/v1/events', token);
  assert.equal((await hub.call('DELETE', '/api/v1/users/temp')).status, 204);
  assert.equal((await hub.call('GET', '/api/v1/session', undefined, { token })).status, 401);
  const link = await connect(hub.mqttPort, credentials(await hub.device(key, 'secretive')));
  await until(() => stream.ended, 'the stream of a deleted user ends at the next event');
  assert.equal(stream.events.filter((each) => each.data.deviceName === 'secretive').length, 0);
  await link.leave();
  assert.equal((await hub.call('DELETE', '/api/v1/users/root')).status, 409, 'the last administrator stays');
  assert.equal((await hub.call('PATCH', '/api/v1/users/root', { role: 'viewer' })).status, 409);
});

test('the setup link works once, also when it is used twice at the same time', async () => {
  const young = await Hub.prepare();
  try {
    await young.run();
    await until(() => young.setupUrl !== '', 'the setup link is printed');
    assert.equal((await young.call('GET', '/api/v1/setup')).json.needed, true);
    const token = new URL(young.setupUrl).searchParams.get('t');
    const use = (/** @type {string} */ user, /** @type {string | null} */ given) => young.call('POST', '/api/v1/setup', { token: given, user, password: admin.password });
    assert.equal((await use('eve', `${token?.slice(0, -1)}_`)).status, 403);
    const both = await Promise.all([use('one', token), use('two', token)]);
    assert.deepEqual(both.map((each) => each.status === 200).sort(), [false, true], both.map((each) => each.text).join());
    assert.equal((await use('three', token)).status, 409);
    assert.equal((await young.call('GET', '/api/v1/setup')).json.needed, false);
    await young.end();
    young.setupUrl = '';
    await young.run();
    assert.equal(young.setupUrl, '', 'no link once there is an administrator');
  } finally {
    await young.dispose();
  }
});

test('wrong passwords make the account wait, also when tried in parallel; an unknown name looks the same', async () => {
  const young = await Hub.start();
  try {
    const login = (/** @type {string} */ user, /** @type {string} */ password) => young.call('POST', '/api/v1/session', { user, password }, { token: '' });
    const unknown = await login('nobody', 'x');
    const wrong = await login(admin.user, 'x');
    assert.equal(unknown.status, 401);
    assert.deepEqual({ ...unknown.json, instance: 0 }, { ...wrong.json, instance: 0 });
    const tries = await Promise.all(Array.from({ length: 30 }, () => login(admin.user, 'wrong wrong wrong')));
    const refused = tries.filter((each) => each.status === 429);
    assert.ok(refused.length >= 25, `${refused.length} of 30 have to wait`);
    assert.ok(Number(refused[0]?.headers.get('retry-after')) > 0);
    assert.equal((await login(admin.user, admin.password)).status, 429, 'the right password waits too');
    await until(async () => (await login(admin.user, admin.password)).status === 200, 'the wait ends');
    assert.equal((await login(admin.user, admin.password)).status, 200, 'and is forgotten');
    assert.equal((await young.call('GET', '/api/v1/system')).status, 200, 'tokens never waited');
  } finally {
    await young.dispose();
  }
});

test('events are live, filtered by device, and resumed after a break', async () => {
  const [a, b] = [await hub.device(key, 'ea'), await hub.device(key, 'eb')];
  const all = await EventReader.open(hub, '/api/v1/events', hub.token);
  const onlyB = await EventReader.open(hub, `/api/v1/events?device=${key}/eb&types=property,status`, hub.token);
  const [linkA, linkB] = [await connect(hub.mqttPort, credentials(a)), await connect(hub.mqttPort, credentials(b))];
  const post = async (/** @type {import('./support/device.mjs').Device} */ link, /** @type {string} */ name, /** @type {number} */ count) =>
    link.ask(`/sys/${key}/${name}/thing/event/property/post`, { id: '1', params: { count } });
  const counts = (/** @type {EventReader} */ reader, /** @type {string} */ name) => reader.events.filter((each) => each.type === 'property' && each.data.deviceName === name).map((each) => each.data.values.count);
  await post(linkA, 'ea', 1);
  await post(linkB, 'eb', 2);
  await until(() => counts(all, 'eb').length === 1 && counts(onlyB, 'eb').length === 1, 'both saw it');
  assert.deepEqual(counts(all, 'ea'), [1]);
  assert.ok(onlyB.events.every((each) => each.data.deviceName === 'eb'));
  const online = all.events.find((each) => each.type === 'status' && each.data.deviceName === 'eb' && each.data.status === 'online');
  assert.equal(online?.data.epoch, (await hub.ok('GET', `/api/v1/devices/${key}/eb`)).epoch);
  const last = all.lastId;
  await all.close();
  for (let i = 10; i < 20; ++i) await post(linkA, 'ea', i);
  const again = await EventReader.open(hub, '/api/v1/events', hub.token, last);
  await post(linkA, 'ea', 20);
  await until(() => counts(again, 'ea').includes(20), 'it is live again');
  assert.deepEqual(counts(again, 'ea'), [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]);
  const ids = again.events.map((each) => each.id);
  assert.deepEqual(ids, [...new Set(ids)].sort((x, y) => Number(x) - Number(y)), 'ids grow');
  const stale = await EventReader.open(hub, '/api/v1/events', hub.token, '1');
  await until(() => stale.events.some((each) => each.type === 'dropped'), 'who missed events is told');
  for (const each of [again, onlyB, stale]) await each.close();
  await Promise.all([linkA.leave(), linkB.leave()]);
});

test('a reader that is too slow is told what it missed, and the hub does not wait for it', async () => {
  const device = await hub.device(key, 'fast');
  const link = await connect(hub.mqttPort, credentials(device));
  const slow = await EventReader.open(hub, '/api/v1/events?types=property,message', hub.token, undefined, true);
  const topic = `/sys/${key}/fast/thing/event/property/post`;
  const label = 'x'.repeat(60);
  for (let round = 0; round < 120; ++round) {
    await Promise.all(Array.from({ length: 100 }, (_, i) => link.publish(topic, { id: 'p'.repeat(900), params: { count: round * 100 + i, label } })));
  }
  slow.resume();
  await until(() => slow.events.some((each) => each.type === 'dropped' && each.data.count > 0), 'the mark arrives', 30_000);
  await link.ask(topic, { id: '1', params: { count: 999_999 } });
  await until(() => slow.events.some((each) => each.data.values?.count === 999_999), 'the stream goes on');
  await slow.close();
  await link.leave();
});

test('a sign-out ends the session; health and metrics answer', async () => {
  const session = await hub.call('POST', '/api/v1/session', { user: 'viewer', password: admin.password }, { token: '' });
  const headers = { Cookie: (session.headers.get('set-cookie') ?? '').split(';')[0] ?? '', 'X-Brim-Request': '1' };
  assert.equal((await hub.call('GET', '/api/v1/session', undefined, { token: '', headers })).json.role, 'viewer');
  assert.equal((await hub.call('DELETE', '/api/v1/session', undefined, { token: '', headers })).status, 204);
  assert.equal((await hub.call('GET', '/api/v1/session', undefined, { token: '', headers })).status, 401);
  for (const path of ['/livez', '/readyz']) assert.equal((await hub.call('GET', path)).status, 200);
  const metrics = (await hub.call('GET', '/metrics')).text;
  assert.match(metrics, /^brim_mqtt_connections \d/m);
  assert.match(metrics, /# EOF\s*$/);
});
