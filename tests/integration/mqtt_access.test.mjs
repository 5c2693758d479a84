// `brim mqtt user` and `brim mqtt acl check`, beside a file of mosquitto_passwd.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { brimProgram, execute } from './support/hub.mjs';

const folder = mkdtempSync(join(tmpdir(), 'brim-mqtt-access-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** @param {string[]} words @param {Record<string, string>} [more] */
const brim = (words, more = {}) => execute(brimProgram, ['mqtt', ...words], { env: { HOME: folder, BRIM_MQTT_PASSWORD: '', ...more } });
/** @param {string} name */
const at = (name) => join(folder, name);

test('users are added, changed, listed and removed, in a file that is nobody else’s', async () => {
  const added = await brim(['user', 'add', at('users'), 'ann'], { BRIM_MQTT_PASSWORD: 'right' });
  assert.equal(added.code, 0, added.err);
  assert.equal(statSync(at('users')).mode & 0o777, 0o600);
  assert.match(readFileSync(at('users'), 'utf8'), /^ann:\$argon2id\$v=19\$m=19456,t=2,p=1\$[^$]+\$[^$\n]+\n$/);
  writeFileSync(at('secret'), 'pencil\n');
  assert.equal((await brim(['user', 'add', at('users'), 'bob', '--scram', '--password-file', at('secret')])).code, 0);
  const listed = await brim(['user', 'list', at('users'), '-o', 'json']);
  assert.deepEqual(JSON.parse(listed.out), [
    { name: 'ann', password: true, scram: false },
    { name: 'bob', password: true, scram: true },
  ]);
  assert.match(readFileSync(at('users'), 'utf8'), /\nbob:SCRAM-SHA-256\$10000:[^$]+\$[^:]+:[^\n]+\n$/);
  const before = readFileSync(at('users'), 'utf8').split('\n');
  chmodSync(at('users'), 0o644);
  assert.equal((await brim(['user', 'add', at('users'), 'bob'], { BRIM_MQTT_PASSWORD: 'new' })).code, 0);
  assert.equal(statSync(at('users')).mode & 0o777, 0o600);
  const changed = readFileSync(at('users'), 'utf8').split('\n');
  assert.equal(changed[0], before[0]);
  assert.notEqual(changed[1], before[1]);
  assert.equal(changed.length, 3, 'the old verifier would still let the old password in');
  assert.equal((await brim(['user', 'remove', at('users'), 'ann'])).code, 0);
  assert.equal((await brim(['user', 'remove', at('users'), 'ann'])).code, 3);
  assert.equal(existsSync(at('users.new')), false);
});

test('[B-42] a broken password file is told and not touched', async () => {
  for (const text of ['ann\n', 'ann:\n', 'ann:$6$c2FsdA==$aGFzaA==\n', 'ann:$7$101$short\n']) {
    writeFileSync(at('broken'), text);
    for (const words of [['add', at('broken'), 'bob'], ['remove', at('broken'), 'ann'], ['list', at('broken')]]) {
      const run = await brim(['user', ...words], { BRIM_MQTT_PASSWORD: 'x' });
      assert.equal(run.code, 1, `${words[0]}: ${run.err}`);
      assert.match(run.err, /line 1: /);
    }
    assert.equal(readFileSync(at('broken'), 'utf8'), text);
  }
  assert.equal((await brim(['user', 'list', at('none')])).code, 3);
});

test('[B-37] a name that means more than itself is refused, as are no password and a password among the words', async () => {
  for (const name of ['#', '+', 'a/b', '$x', 'a:b', ' a']) {
    assert.equal((await brim(['user', 'add', at('names'), name], { BRIM_MQTT_PASSWORD: 'x' })).code, 2, name);
  }
  const silent = await brim(['user', 'add', at('names'), 'ann']);
  assert.equal(silent.code, 2);
  assert.match(silent.err, /--password-file/);
  assert.equal((await brim(['user', 'add', at('names'), 'ann', '--password', 'x'])).code, 2);
  assert.equal(existsSync(at('names')), false);
});

test('what mosquitto_passwd wrote is read, and kept beside ours', async () => {
  writeFileSync(at('theirs'), '');
  await execute('mosquitto_passwd', ['-b', at('theirs'), 'carl', 'right']);
  const line = readFileSync(at('theirs'), 'utf8');
  assert.equal((await brim(['user', 'add', at('theirs'), 'ann'], { BRIM_MQTT_PASSWORD: 'x' })).code, 0);
  assert.ok(readFileSync(at('theirs'), 'utf8').startsWith(line));
  assert.match((await brim(['user', 'list', at('theirs')])).out, /carl +true +false\nann +true +false\n/);
});

test('acl check says what is allowed and which line decides', async () => {
  writeFileSync(at('acl'), '# comment\ntopic read public/#\nuser ann\ntopic home/#\n  topic deny home/safe/#\npattern write in/%u/%c\n');
  /** @param {string[]} words */
  const ask = async (...words) => {
    const run = await brim(['acl', 'check', at('acl'), ...words]);
    return [run.code, run.out.trim()];
  };
  assert.deepEqual(await ask(), [0, 'the file is well-formed']);
  assert.deepEqual(await ask('--user', 'ann', '--publish', 'home/lamp'), [0, 'allow: line 4: topic home/#']);
  assert.deepEqual(await ask('--user', 'ann', '--receive', 'home/safe/code'), [4, 'deny: line 5: topic deny home/safe/#']);
  assert.deepEqual(await ask('--user', 'ann', '--subscribe', '$share/g/home/#'), [0, 'allow: line 4: topic home/#']);
  assert.deepEqual(await ask('--user', 'ann', '--client-id', 'c1', '--publish', 'in/ann/c1'), [0, 'allow: line 6: pattern write in/%u/%c']);
  assert.deepEqual(await ask('--user', 'ann', '--publish', 'in/ann/c1'), [4, 'deny: no line allows it']);
  assert.deepEqual(await ask('--subscribe', 'public/+'), [0, 'allow: line 2: topic read public/#']);
  assert.deepEqual(await ask('--subscribe', '#'), [4, 'deny: no line allows it']);
  const json = await brim(['acl', 'check', at('acl'), '--publish', 'x', '-o', 'json']);
  assert.deepEqual(JSON.parse(json.out), { allowed: false, line: null, rule: null });
  assert.equal((await ask('--publish', 'a/#'))[0], 2);
  assert.equal((await ask('--subscribe', 'a#'))[0], 2);
  assert.equal((await ask('--publish', 'a', '--receive', 'a'))[0], 2);
  writeFileSync(at('acl'), 'user ann\ntopic reed x\n');
  const broken = await brim(['acl', 'check', at('acl')]);
  assert.equal(broken.code, 1);
  assert.match(broken.err, /line 2, column 7: "reed" is no kind of access/);
});
