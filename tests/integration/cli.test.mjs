// The `brim` command line against a real hub: verbs, output for programs, exit codes, error texts.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect, credentials } from './support/device.mjs';
import { admin, brimProgram, demoModel, execute, freePort, Hub, until } from './support/hub.mjs';

/** @type {Hub} */ let hub;
const home = mkdtempSync(join(tmpdir(), 'brim-cli-'));
const env = { XDG_CONFIG_HOME: home, HOME: home, BRIM_URL: '', BRIM_TOKEN: '', BRIM_CONTEXT: '', NO_COLOR: '1' };
/** @param {string[]} words */
const brim = (words, input = '') => execute(brimProgram, words, { env, input });
/** @param {string[]} words */
async function json(...words) {
  const run = await brim([...words, '-o', 'json']);
  assert.equal(run.code, 0, `${words.join(' ')}: ${run.err}`);
  return JSON.parse(run.out);
}
/** Fails with that code and says object, cause and fix. @param {number} code @param {string[]} words */
async function fails(code, ...words) {
  const run = await brim(words);
  assert.equal(run.code, code, `${words.join(' ')}: ${run.out}${run.err}`);
  assert.equal(run.out, '', 'standard output is for data');
  if (code !== 2) {
    assert.match(run.err, /^error: .+: .+ \([a-z_]+\)$/m, words.join(' '));
    assert.match(run.err, /^hint: \S+/m, words.join(' '));
  }
  return run.err;
}

before(async () => {
  hub = await Hub.start();
});
after(async () => {
  await hub.dispose();
  rmSync(home, { recursive: true, force: true });
});

test('without a hub it says how to get one', async () => {
  assert.match(await fails(3, 'product', 'list'), /brim login/);
});

test('login takes the password from standard input and keeps a token of its own, readable by the user alone', async () => {
  const wrong = await brim(['login', hub.url, '--user', admin.user, '--password-stdin'], 'wrong\n');
  assert.equal(wrong.code, 4, wrong.err);
  const good = await brim(['login', hub.url, '--user', admin.user, '--password-stdin', '--name', 'test'], `${admin.password}\n`);
  assert.equal(good.code, 0, good.err);
  const file = join(home, 'brim/contexts.json');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.ok(!readFileSync(file, 'utf8').includes(admin.password));
  const { items } = await hub.ok('GET', '/api/v1/tokens');
  assert.ok(items.some((/** @type {any} */ each) => each.name.startsWith('brim on ')));
  assert.equal((await brim(['login', hub.url, '--token-stdin', '--name', 'bad'], 'brim_nonsense\n')).code, 4);
});

test('products, devices, properties and gateways, from making to deleting', async () => {
  const model = join(home, 'model.json');
  writeFileSync(model, JSON.stringify(demoModel));
  const created = await brim(['product', 'create', 'Pump', '--key', 'a1cli', '--model', model]);
  assert.equal(created.code, 0, created.err);
  assert.match(created.out, /a1cli/);
  await brim(['product', 'create', 'Box', '--key', 'a1cligw', '--gateway']);
  assert.deepEqual((await json('product', 'list')).map((/** @type {any} */ each) => each.productKey), ['a1cli', 'a1cligw']);
  assert.equal((await json('product', 'get', 'a1cli')).name, 'Pump');
  assert.equal((await json('product', 'model', 'get', 'a1cli')).properties.length, demoModel.properties.length);
  assert.equal((await brim(['product', 'model', 'put', 'a1cli', model])).code, 0);
  const made = await json('device', 'create', 'a1cli/p1', '--nickname', 'first');
  assert.match(made.deviceSecret, /^[A-Za-z0-9]{32}$/);
  await json('device', 'create', 'a1cligw/g1');
  assert.equal((await json('device', 'list')).length, 2);
  assert.equal((await json('device', 'list', '--product', 'a1cli', '--like', 'fir')).length, 1);
  assert.equal((await json('device', 'list', '--status', 'online')).length, 0);
  const link = await connect(hub.mqttPort, credentials(made));
  await link.ask('/sys/a1cli/p1/thing/event/property/post', { id: '1', params: { temperature: 20.5 } });
  assert.equal((await json('device', 'get', 'a1cli/p1')).status, 'online');
  assert.equal((await json('property', 'get', 'a1cli/p1', 'temperature'))[0].value, 20.5);
  const watching = brim(['property', 'watch', 'a1cli/p1', '-C', '1', '-o', 'json']);
  const posting = setInterval(() => link.publish('/sys/a1cli/p1/thing/event/property/post', { id: '1', params: { temperature: 21 } }), 100);
  const watched = await watching;
  clearInterval(posting);
  assert.equal(JSON.parse(watched.out.split('\n')[0] ?? '').value, 21);
  const set = await json('property', 'set', 'a1cli/p1', 'setpoint=7', 'label=warm');
  assert.equal(set.delivered, true);
  assert.deepEqual((await link.next('/sys/a1cli/p1/thing/service/property/set')).json.params, { setpoint: 7, label: 'warm' });
  assert.ok((await json('property', 'history', 'a1cli/p1', 'temperature', '-n', '5')).length >= 1);
  assert.equal((await brim(['gateway', 'bind', 'a1cligw/g1', 'a1cli/p1'])).code, 0);
  assert.equal((await json('gateway', 'devices', 'a1cligw/g1')).length, 1);
  assert.equal((await json('gateway', 'list')).length, 1);
  assert.equal((await brim(['gateway', 'unbind', 'a1cligw/g1', 'a1cli/p1'])).code, 0);
  assert.equal((await json('device', 'connection', 'a1cli/p1')).session.queued, 0);
  const shown = (await brim(['device', 'connection', 'a1cli/p1'])).out;
  assert.match(shown, /^FIELD +VALUE\n/);
  assert.match(shown, /address +127\.0\.0\.1:\d+/);
  assert.equal((await brim(['device', 'disconnect', 'a1cli/p1'])).code, 0);
  await until(() => link.closed, 'the connection is closed');
  await fails(5, 'device', 'disconnect', 'a1cli/p1');
  assert.equal((await brim(['device', 'disable', 'a1cli/p1'])).code, 0);
  assert.equal((await json('device', 'get', 'a1cli/p1')).status, 'disabled');
  assert.equal((await brim(['device', 'enable', 'a1cli/p1'])).code, 0);
  link.client.end(true);
  const table = (await brim(['device', 'list'])).out.split('\n');
  assert.match(table[0] ?? '', /^[A-Z]/);
  assert.ok(!table.join('').includes('\u001b'), 'no colour when piped');
});

test('exit codes say what kind of failure it was', async () => {
  await fails(3, 'product', 'get', 'a1nothing');
  await fails(3, 'device', 'get', 'a1cli/nothing');
  await fails(3, 'property', 'get', 'a1cli/p1', 'nothing');
  await fails(3, '--context', 'nowhere', 'product', 'list');
  await fails(5, 'product', 'create', 'Pump', '--key', 'a1cli');
  await fails(5, 'device', 'create', 'a1cli/p1');
  await fails(5, 'product', 'delete', 'a1cli', '--yes');
  await fails(1, 'property', 'set', 'a1cli/p1', 'temperature=1');
  for (const words of [['fly'], ['product'], ['product', 'get'], ['device', 'list', '--nothing'], ['-o', 'xml', 'product', 'list'], ['property', 'set', 'a1cli/p1']]) await fails(2, ...words);
  assert.match((await brim(['devce', 'list'])).err, /command "devce".*\n.*did you mean "device"/);
  assert.match((await brim(['device', 'lst'])).err, /command "lst".*\n.*did you mean "list".*brim device --help/);
  const unsure = await brim(['device', 'delete', 'a1cli/p1']);
  assert.notEqual(unsure.code, 0, 'deleting without --yes and without a terminal');
  assert.equal((await json('device', 'get', 'a1cli/p1')).deviceName, 'p1');
  const viewer = await hub.makeToken('viewer');
  const weak = await execute(brimProgram, ['product', 'create', 'x'], { env: { ...env, BRIM_URL: hub.url, BRIM_TOKEN: viewer } });
  assert.equal(weak.code, 4, weak.err);
  const stranger = await execute(brimProgram, ['product', 'list'], { env: { ...env, BRIM_URL: hub.url, BRIM_TOKEN: 'brim_no' } });
  assert.equal(stranger.code, 4, stranger.err);
  const dead = await execute(brimProgram, ['product', 'list'], { env: { ...env, BRIM_URL: `http://127.0.0.1:${await freePort()}`, BRIM_TOKEN: viewer } });
  assert.equal(dead.code, 6, dead.err);
  assert.equal((await brim(['device', 'delete', 'a1cli/p1', '--yes'])).code, 0);
  assert.equal((await brim(['device', 'delete', 'a1cligw/g1', '--yes'])).code, 0);
  assert.equal((await brim(['product', 'delete', 'a1cli', '--yes'])).code, 0);
});

test('version and help', async () => {
  assert.match((await brim(['version'])).out, /\d+\.\d+\.\d+/);
  const help = await brim(['--help']);
  assert.equal(help.code, 0);
  for (const word of ['product', 'device', 'property', 'gateway', 'doctor', 'login']) assert.ok(help.out.includes(word), word);
  assert.equal((await brim(['help'])).out, help.out);
  const codes = await brim(['help', 'exit-codes']);
  assert.equal(codes.code, 0);
  assert.deepEqual([...codes.out.matchAll(/^ {2}(\d) {2}\S/gm)].map((each) => Number(each[1])), [0, 1, 2, 3, 4, 5, 6, 7, 9]);
  assert.match((await brim(['help', 'device', 'list'])).out, /--gateway/);
  const none = await brim(['help', 'device', 'fly']);
  assert.equal(none.code, 2);
  assert.match(none.err, /"fly".*\nhint: .*"brim device --help"/);
});
