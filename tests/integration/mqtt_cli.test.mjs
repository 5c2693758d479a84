// `brim mqtt pub|sub|bench` beside mosquitto's own clients, against mosquitto and against a real hub.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, closeSync, ftruncateSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectTcp, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { Authority } from './support/certificates.mjs';
import { brimProgram, execute, freePort, Hub, until } from './support/hub.mjs';

const folder = mkdtempSync(join(tmpdir(), 'brim-mqtt-cli-'));
const authority = new Authority(folder);
const stranger = new Authority(folder, 'stranger');
const env = { HOME: folder, XDG_CONFIG_HOME: folder, BRIM_MQTT_PASSWORD: '' };
/** @type {Hub} */ let hub;
/** @type {import('node:child_process').ChildProcess} */ let broker;
/** @type {Record<'plain' | 'tls' | 'closed', number>} */ let ports;
let hubPort = 0;
/** @type {Set<import('node:child_process').ChildProcess>} */ const running = new Set();

before(async () => {
  ports = { plain: await freePort(), tls: await freePort(), closed: await freePort() };
  hubPort = await freePort();
  const pair = authority.issue();
  writeFileSync(join(folder, 'users'), '');
  await execute('mosquitto_passwd', ['-b', join(folder, 'users'), 'ann', 'right']);
  writeFileSync(
    join(folder, 'mosquitto.conf'),
    `per_listener_settings true\nlistener ${ports.plain} 127.0.0.1\nallow_anonymous true\nlistener ${ports.tls} 127.0.0.1\ncertfile ${pair.cert}\nkeyfile ${pair.key}\n` +
      `allow_anonymous false\npassword_file ${join(folder, 'users')}\nlistener 0 ${join(folder, 'broker.sock')}\nallow_anonymous true\nuser root\n`,
  );
  broker = spawn('mosquitto', ['-c', join(folder, 'mosquitto.conf')], { stdio: 'ignore' });
  await until(() => new Promise((resolve) => {
    const socket = connectTcp(ports.tls, '127.0.0.1', () => { socket.destroy(); resolve(true); });
    socket.on('error', () => resolve(false));
  }), 'mosquitto listens');
  hub = await Hub.start(`[[listener]]\nprotocol = "mqtt"\naddress = "127.0.0.1:${hubPort}"\nauth = "unsafe-anonymous"\n`);
});
after(async () => {
  for (const child of running) child.kill('SIGKILL'); // of a test that failed
  broker.kill('SIGTERM');
  await once(broker, 'close');
  await hub.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** @param {string[]} words @param {string} [input] @param {Record<string, string>} [more] */
const brim = (words, input = '', more = {}) => execute(brimProgram, ['mqtt', ...words], { env: { ...env, ...more }, input });
/** A program that goes on; its output so far, and its end. @param {string} program @param {string[]} words */
function begin(program, words) {
  const child = spawn(program, words, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const seen = { out: '', err: '', child, ended: once(child, 'close').then(([code]) => code) };
  running.add(child);
  child.on('close', () => running.delete(child));
  child.stdout.on('data', (chunk) => (seen.out += chunk.toString('latin1')));
  child.stderr.on('data', (chunk) => (seen.err += chunk));
  return seen;
}
/** Where both servers are. */
const servers = () => /** @type {[string, number][]} */ ([['mosquitto', ports.plain], ['brim-hub', hubPort]]);
/** Both subscribers on `filter`, sure to be subscribed. @param {number} port @param {string} filter @param {string[]} words */
async function both(port, filter, words) {
  const ours = begin(brimProgram, ['mqtt', 'sub', '-p', String(port), '-t', filter, '-t', 'ready', ...words]);
  const theirs = begin('mosquitto_sub', ['-p', String(port), '-t', filter, '-t', 'ready', ...words]);
  const knocking = setInterval(() => void execute('mosquitto_pub', ['-p', String(port), '-t', 'ready', '-m', 'knock']), 100);
  await until(() => ours.out.includes('knock') && theirs.out.includes('knock'), 'both are subscribed');
  clearInterval(knocking);
  return { ours, theirs };
}
/** @param {string} text */
const without = (text) => text.split('\n').filter((line) => !line.includes('knock')).join('\n');

test('what any of the four programs sends, both subscribers print alike', async () => {
  writeFileSync(join(folder, 'binary'), Buffer.from([0, 1, 255, 10, 13, 128]));
  for (const [server, port] of servers()) {
    const { ours, theirs } = await both(port, 'same/#', ['-v', '-q', '1']);
    for (const [name, first] of /** @type {[string, string[]][]} */ ([[brimProgram, ['mqtt', 'pub']], ['mosquitto_pub', []]])) {
      /** @param {string[]} words @param {string} [input] */
      const send = async (words, input = '') => {
        const run = await execute(name, [...first, '-p', String(port), ...words], { env, input });
        assert.equal(run.code, 0, `${name} ${words.join(' ')}: ${run.err}`);
      };
      for (const qos of ['0', '1', '2']) await send(['-t', `same/qos${qos}`, '-m', `text ${qos} ü`, '-q', qos]);
      await send(['-t', 'same/none', '-n', '-q', '1']);
      await send(['-t', 'same/file', '-f', join(folder, 'binary'), '-q', '1']);
      await send(['-t', 'same/lines', '-l', '-q', '1'], 'one\n\nthree');
      await send(['-t', 'same/all', '-s', '-q', '1'], 'one\n\nthree\n');
      await send(['-t', 'same/dash', '-m', '-5', '-q', '1']);
      await send(['-L', `mqtt://127.0.0.1:${port}/same/url`, '-m', 'by url', '-q', '1']);
    }
    await execute('mosquitto_pub', ['-p', String(port), '-t', 'same/end', '-m', 'end', '-q', '1']);
    await until(() => ours.out.includes('same/end') && theirs.out.includes('same/end'), `${server}: the last one is printed`);
    assert.equal(without(ours.out), without(theirs.out), server);
    assert.equal(ours.out.match(/same\/lines/g)?.length, 6, 'three lines from each');
    ours.child.kill('SIGINT');
    theirs.child.kill('SIGINT');
    assert.equal(await ours.ended, 0, 'SIGINT is an orderly end');
    await theirs.ended;
  }
});

test('formats print the same as mosquitto_sub, letter by letter', async () => {
  for (const [server, port] of servers()) {
    const properties = ['-D', 'publish', 'user-property', 'k', 'v w', '-D', 'publish', 'content-type', 'x/y', '-D', 'publish', 'response-topic', 'r/t', '-D', 'publish', 'correlation-data', 'corr', '-D', 'publish', 'payload-format-indicator', '1'];
    const sent = await brim(['pub', '-p', String(port), '-t', `kept/${server}`, '-m', 'a"b', '-r', '-q', '1', ...properties]);
    assert.equal(sent.code, 0, sent.err);
    for (const format of ['%t|%p|%l|%q|%r|%x|%X|%%', '%C|%D|%E|%F|%P|%R', '%5t|%-20t|%.3t|%05l|%6l', '\\t%p\\n\\\\', 'plain']) {
      const words = ['-p', String(port), '-V', '5', '-t', `kept/${server}`, '-C', '1', '-W', '10', '-F', format];
      const ours = await brim(['sub', ...words]);
      const theirs = await execute('mosquitto_sub', words);
      assert.equal(ours.code, 0, ours.err);
      assert.equal(ours.out, theirs.out, `${server} ${format}`);
    }
    const all = await brim(['sub', '-p', String(port), '-t', `kept/${server}`, '-C', '1', '-F', '%j']);
    const json = JSON.parse(all.out);
    assert.equal(json.payload, 'a"b');
    assert.deepEqual(json.properties['user-properties'], [['k', 'v w']]);
  }
});

test('-C, -E, -R, -T, -N, --retained-only and -W end and leave out as they say', async () => {
  const port = String(ports.plain);
  for (const topic of ['kept/one', 'kept/two']) await brim(['pub', '-p', port, '-t', topic, '-m', topic, '-r', '-q', '1']);
  const count = await brim(['sub', '-p', port, '-t', 'kept/one', '-t', 'kept/two', '-C', '2', '-N']);
  assert.equal(count.code, 0);
  assert.deepEqual(count.out.match(/kept\/(one|two)/g)?.sort(), ['kept/one', 'kept/two']);
  assert.ok(!count.out.includes('\n'));
  const filtered = await brim(['sub', '-p', port, '-t', 'kept/one', '-t', 'kept/two', '-T', 'nothing/#', '-T', '+/two', '-W', '1']);
  assert.equal(filtered.code, 7);
  assert.equal(filtered.out, 'kept/one\n');
  assert.match(filtered.err, /^error: .*printed: 1.*\(timeout\)\nhint: /);
  const fresh = await brim(['sub', '-p', port, '-t', 'kept/#', '-R', '-W', '1']);
  assert.deepEqual([fresh.code, fresh.out], [7, '']);
  const subscribed = await brim(['sub', '-p', port, '-t', 'kept/one', '-E', '-W', '20', '--retain-handling', 'never']);
  assert.deepEqual([subscribed.code, subscribed.out], [0, '']);
  const kept = begin(brimProgram, ['mqtt', 'sub', '-p', port, '-t', 'kept/one', '-t', 'fresh', '--retained-only']);
  await until(() => kept.out === 'kept/one\n', 'the retained one is printed');
  await brim(['pub', '-p', port, '-t', 'fresh', '-m', 'x']);
  assert.equal(await kept.ended, 0);
  assert.equal(kept.out, 'kept/one\n');
});

test('a kept session holds messages while nobody listens, and -U ends its subscription', async () => {
  for (const [server, port] of servers()) {
    const words = ['sub', '-p', String(port), '-i', 'keeper', '-c', '-x', '300', '-q', '1', '-t', 'held/a'];
    assert.equal((await brim([...words, '-E'])).code, 0);
    const sent = await brim(['pub', '-p', String(port), '-t', 'held/a', '-q', '1', '-l'], 'one\ntwo\nthree\n');
    assert.equal(sent.code, 0, sent.err);
    const first = await brim([...words, '-C', '1', '-W', '10']);
    assert.equal(first.out, 'one\n', server);
    const rest = await brim([...words, '-C', '2', '-W', '10']);
    assert.equal(rest.out, 'two\nthree\n', `${server}: what was not printed was not acknowledged`);
    assert.equal((await brim(['sub', '-p', String(port), '-i', 'keeper', '-c', '-x', '300', '-t', 'other', '-U', 'held/a', '-E'])).code, 0);
    await brim(['pub', '-p', String(port), '-t', 'held/a', '-m', 'four', '-q', '1']);
    assert.equal((await brim(['sub', '-p', String(port), '-i', 'keeper', '-c', '-t', 'other', '-W', '1'])).out, '', server);
  }
});

test('the acknowledgement of what was printed arrives, whatever else the server is sending', async () => {
  const message = (/** @type {number} */ id) => Buffer.from([0x32, 8, 0, 1, 97, 0, id, 0, 120, 121]);
  /** @type {Buffer[]} */ const got = [];
  let reset = false;
  const server = createServer((socket) => {
    socket.on('error', () => (reset = true));
    socket.on('data', (bytes) => {
      got.push(bytes);
      if (bytes[0] === 0x10) socket.write(Buffer.from([0x20, 3, 0, 0, 0]));
      if (bytes[0] !== 0x82) return;
      // One message that ends the client, and, while nothing is read, more of them.
      socket.write(Buffer.concat([Buffer.from([0x90, 4, bytes[2] ?? 0, bytes[3] ?? 0, 0, 1]), message(1)]));
      socket.pause();
      let more = 2;
      const sending = setInterval(() => {
        if (more < 20) socket.write(message(more++));
        else { clearInterval(sending); socket.resume(); }
      }, 10);
    });
    socket.on('end', () => socket.end());
    socket.on('data', () => { if (Buffer.concat(got).at(-2) === 0xe0) socket.end(); });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  const run = await brim(['sub', '-p', String(port), '-t', 'a', '-q', '1', '-C', '1']);
  assert.deepEqual([run.code, run.out], [0, 'xy\n'], run.err);
  server.close();
  const end = Buffer.concat(got).subarray(-6);
  assert.deepEqual([...end], [0x40, 2, 0, 1, 0xe0, 0], `PUBACK and DISCONNECT; reset: ${reset}`);
});

test('a will is published when the client is killed and not when it is ended', async () => {
  const port = String(ports.plain);
  const watching = begin('mosquitto_sub', ['-p', port, '-t', 'will/#', '-v', '-C', '1', '-W', '20']);
  for (const signal of /** @type {NodeJS.Signals[]} */ (['SIGTERM', 'SIGKILL'])) {
    const client = begin(brimProgram, ['mqtt', 'sub', '-p', port, '-t', `up/${signal}`, '--will-topic', `will/${signal}`, '--will-payload', 'gone', '--will-qos', '1']);
    await until(async () => {
      await execute('mosquitto_pub', ['-p', port, '-t', `up/${signal}`, '-m', 'up']);
      return client.out !== '';
    }, 'it is subscribed');
    client.child.kill(signal);
    await client.ended;
  }
  assert.equal(await watching.ended, 0);
  assert.equal(watching.out, 'will/SIGKILL gone\n');
});

test('TLS with a password from a file, the environment or the line; each refusal says why', async () => {
  writeFileSync(join(folder, 'password'), 'right\n');
  const at = ['pub', '-h', 'localhost', '-p', String(ports.tls), '-t', 'tls/a', '-m', 'x', '-q', '1', '-u', 'ann'];
  const trusting = [...at, '--cafile', authority.cert];
  assert.equal((await brim([...trusting, '--password-file', join(folder, 'password')])).code, 0);
  assert.equal((await brim(trusting, '', { BRIM_MQTT_PASSWORD: 'right' })).code, 0);
  assert.equal((await brim(['pub', '-L', `mqtts://ann:right@localhost:${ports.tls}/tls/a`, '-m', 'x', '--cafile', authority.cert])).code, 0);
  for (const [words, code, text] of /** @type {[string[], number, RegExp][]} */ ([
    [[...trusting, '-P', 'wrong'], 4, /not authorized|bad user name/i],
    [[...at, '--cafile', stranger.cert, '-P', 'right'], 4, /authority that is not trusted/],
    [[...at, '-P', 'right'], 6, /./],
    [[...trusting, '-P', 'right', '--insecure'], 2, /always checked/],
    [['pub', '-p', String(ports.closed), '-t', 'a', '-m', 'x'], 6, /nobody listens/],
    [['pub', '-p', String(ports.plain), '-t', 'a/#', '-m', 'x'], 2, /no topic to publish to/],
    [['pub', '-p', String(ports.plain), '-t', 'a'], 2, /nothing to publish/],
    [['pub', '-p', String(ports.plain), '-t', 'a', '-m', 'x', '-n'], 2, /more than one thing/],
    [['pub', '-p', String(ports.plain), '-t', 'a', '-f', join(folder, 'absent')], 3, /absent/],
    [['sub', '-p', String(ports.plain), '-t', 'a/#/b'], 2, /a\/#\/b/],
    [['sub', '-p', String(ports.plain), '-t', 'a', '-F', '%z'], 2, /%z stands for nothing/],
  ])) {
    const run = await brim(words);
    assert.equal(run.code, code, `${words.join(' ')}: ${run.err}`);
    assert.match(run.err, text, words.join(' '));
    assert.match(run.err, /^error: .+ \([a-z_]+\)\nhint: .+/m);
    assert.equal(run.out, '');
  }
  const plain = await brim(['pub', '-h', '127.0.0.1', '-p', String(hub.mqttPort), '-t', 'a', '-m', 'x', '-u', 'nobody', '-P', 'x', '-i', 'nobody']);
  assert.equal(plain.code, 4, 'the hub knows no such device');
  assert.match(plain.err, /check -u, -P and -i/);
});

test('the handshake names version and protocol as the options say', async () => {
  const pair = authority.issue();
  /** @type {[string | false | null, string | null][]} */ const seen = [];
  const options = { cert: readFileSync(pair.cert), key: readFileSync(pair.key), ALPNProtocols: ['mqtt', 'x-amzn-mqtt-ca'] };
  const server = createTlsServer(options, (socket) => {
    seen.push([socket.alpnProtocol, socket.getProtocol()]);
    socket.destroy();
  });
  const old = createTlsServer({ ...options, maxVersion: 'TLSv1.2' }, (socket) => socket.destroy());
  for (const each of [server, old]) {
    each.on('tlsClientError', () => {});
    each.listen(0, '127.0.0.1');
    await once(each, 'listening');
  }
  const words = (/** @type {import('node:tls').Server} */ to) =>
    ['pub', '-h', 'localhost', '-p', String(/** @type {import('node:net').AddressInfo} */ (to.address()).port), '--cafile', authority.cert, '-t', 'a', '-m', 'x'];
  assert.equal((await brim(words(server))).code, 6);
  assert.equal((await brim([...words(server), '--tls-alpn', 'x-amzn-mqtt-ca', '--tls-version', 'tlsv1.2'])).code, 6);
  assert.deepEqual(seen, [[false, 'TLSv1.3'], ['x-amzn-mqtt-ca', 'TLSv1.3']]);
  assert.notEqual((await brim([...words(server), '--tls-alpn', 'http/1.1'])).code, 0);
  assert.notEqual((await brim([...words(old), '--tls-version', 'tlsv1.3'])).code, 0);
  assert.equal(seen.length, 2, 'neither came through its handshake');
  assert.equal((await brim([...words(server), '--tls-version', 'tlsv1.1'])).code, 2);
  server.close();
  old.close();
});

test('-I, -d, --quiet, --nodelay and --max-inflight do as in mosquitto_pub', async () => {
  const port = ['-p', String(hubPort)];
  const told = await brim(['pub', ...port, '-I', 'line-7-', '-d', '--nodelay', '-t', 'd/a', '-m', 'x', '-q', '1', '-r']);
  assert.equal(told.code, 0, told.err);
  assert.match(told.err, /^connecting to tcp:localhost:\d+ as line-7-brim-\w+\nconnected: .+\nmessage 1: d\/a, QoS 1, retained, 1 bytes\nmessage 1: .+\n$/);
  const silent = await brim(['pub', '-p', String(ports.closed), '-t', 'a', '-m', 'x', '--quiet']);
  assert.deepEqual([silent.code, silent.err], [6, '']);
  const word = await brim(['pub', '-p', String(ports.closed), '-t', 'a/#', '-m', 'x', '--quiet']);
  assert.equal(word.code, 2);
  assert.match(word.err, /no topic to publish to/);
  // One unacknowledged message at a time: the second waits for the first one's PUBACK.
  const lines = Array.from({ length: 50 }, (_, i) => `${i}\n`).join('');
  const watching = begin(brimProgram, ['mqtt', 'sub', ...port, '-t', 'flight', '-C', '50', '-q', '1', '--max-inflight', '1', '-d']);
  await until(() => watching.err.includes('subscription flight: '), 'it is subscribed');
  assert.equal((await brim(['pub', ...port, '-t', 'flight', '-l', '-q', '2', '--max-inflight', '1'], lines)).code, 0);
  assert.equal(await watching.ended, 0);
  assert.equal(watching.out, lines);
});

test('--remove-retained clears what comes, but for -T; --random-filter prints a share', async () => {
  for (const [server, port] of servers()) {
    const at = ['-p', String(port)];
    for (const name of ['a', 'b', 'c']) assert.equal((await brim(['pub', ...at, '-t', `clear/${name}`, '-m', name, '-r', '-q', '1'])).code, 0);
    const seen = await brim(['sub', ...at, '-t', 'clear/#', '-T', 'clear/c', '--remove-retained', '-C', '2', '-q', '1', '-W', '10']);
    assert.equal(seen.code, 0, `${server}: ${seen.err}`);
    assert.deepEqual(seen.out.split('\n').sort(), ['', 'a', 'b'], server);
    const left = await brim(['sub', ...at, '-t', 'clear/#', '-W', '1']);
    assert.deepEqual([left.code, left.out], [7, 'c\n'], server);
    await brim(['pub', ...at, '-t', 'clear/c', '-n', '-r', '-q', '1']);
    const drawing = begin(brimProgram, ['mqtt', 'sub', ...at, '-t', 'draw', '-q', '1', '--random-filter', '50', '-d']);
    await until(() => drawing.err.includes('subscription draw: '), 'it is subscribed');
    assert.equal((await brim(['pub', ...at, '-t', 'draw', '-m', 'x', '--repeat', '200', '-q', '1'])).code, 0);
    await until(() => (drawing.err.match(/^received draw/gm) ?? []).length === 200, 'all arrive');
    drawing.child.kill('SIGTERM');
    assert.equal(await drawing.ended, 0);
    const printed = (drawing.out.match(/x\n/g) ?? []).length;
    assert.ok(printed > 40 && printed < 160, `${server}: ${printed} of 200`);
  }
});

test('a socket file works as a host does', async () => {
  const watching = begin(brimProgram, ['mqtt', 'sub', '-p', String(ports.plain), '-t', 'unix/a', '-C', '1']);
  await until(async () => {
    const sent = await brim(['pub', '--unix', join(folder, 'broker.sock'), '-t', 'unix/a', '-m', 'through the file', '-q', '1']);
    assert.equal(sent.code, 0, sent.err);
    return watching.out !== '';
  }, 'it arrives');
  assert.equal(await watching.ended, 0);
  assert.equal(watching.out, 'through the file\n');
});

test('a message may have 64 MiB and not a byte more', async () => {
  const path = join(folder, 'large');
  /** @param {number} size */
  const sized = (size) => {
    const file = openSync(path, 'w');
    ftruncateSync(file, size);
    closeSync(file);
  };
  const limit = 64 * 1_048_576;
  const watching = begin('mosquitto_sub', ['-p', String(ports.plain), '-t', 'large/#', '-C', '1', '-W', '30', '-F', '%l']);
  await until(async () => {
    const log = await brim(['sub', '-p', String(ports.plain), '-t', '$SYS/broker/subscriptions/count', '-C', '1', '-W', '5']);
    return log.code === 0 || log.code === 7;
  }, 'mosquitto answers');
  sized(limit + 1);
  const refused = await brim(['pub', '-p', String(ports.plain), '-t', 'large/a', '-f', path, '-r']);
  assert.equal(refused.code, 1);
  assert.match(refused.err, /too_large/);
  sized(limit);
  assert.equal((await brim(['pub', '-p', String(ports.plain), '-t', 'large/a', '-f', path, '-q', '1', '-r'])).code, 0);
  assert.equal(await watching.ended, 0);
  assert.equal(watching.out, `${limit}\n`);
  await brim(['pub', '-p', String(ports.plain), '-t', 'large/a', '-n', '-r']);
});

test('sub comes back by itself after the connection broke; pub says how far it came', async () => {
  /** @type {Set<import('node:net').Socket>} */ const through = new Set();
  let acknowledged = 0;
  const proxy = createServer((near) => {
    const far = connectTcp(ports.plain, '127.0.0.1');
    far.on('data', (chunk) => (acknowledged += chunk.toString('latin1').match(/\x40[\x02-\x04]\0[\x01\x02]/g)?.length ?? 0));
    for (const [a, b] of [[near, far], [far, near]]) {
      through.add(a);
      a.pipe(b);
      a.on('error', () => b.destroy());
      a.on('close', () => { through.delete(a); b.destroy(); });
    }
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const port = String(/** @type {import('node:net').AddressInfo} */ (proxy.address()).port);
  const watching = begin(brimProgram, ['mqtt', 'sub', '-p', port, '-t', 'back/#']);
  const says = (/** @type {string} */ text) => until(async () => {
    await execute('mosquitto_pub', ['-p', String(ports.plain), '-t', 'back/a', '-m', text]);
    return watching.out.includes(text);
  }, `${text} arrives`);
  await says('before');
  for (const socket of through) socket.destroy();
  await says('after');
  assert.match(watching.err, /warning: .*trying again in/);
  watching.child.kill('SIGTERM');
  assert.equal(await watching.ended, 0);
  const sending = spawn(brimProgram, ['mqtt', 'pub', '-p', port, '-t', 'back/b', '-l', '-q', '1'], { env: { ...process.env, ...env }, stdio: ['pipe', 'ignore', 'pipe'] });
  let err = '';
  sending.stderr.on('data', (chunk) => (err += chunk));
  sending.stdin.on('error', () => {});
  acknowledged = 0;
  sending.stdin.write('one\ntwo\n');
  // mosquitto's second PUBACK may come 40 ms after the first.
  await until(() => acknowledged === 2, 'both are acknowledged');
  for (const socket of through) socket.destroy();
  const [code] = await once(sending, 'close');
  assert.equal(code, 6, err);
  assert.match(err, /hint: the server acknowledged 2 of 2 messages/);
  proxy.close();
});

test('bench measures what it sent: no message is missing at a rate a server can take', async () => {
  for (const [server, port] of servers()) {
    for (const qos of ['0', '1']) {
      const run = await brim(['bench', '-p', String(port), '-q', qos, '--publishers', '3', '--subscribers', '2', '--rate', '300', '--size', '100', '--duration', '1', '--warmup', '0.2', '-o', 'json']);
      assert.equal(run.code, 0, run.err);
      const seen = JSON.parse(run.out);
      assert.ok(Math.abs(seen.published - 300) <= 3, `${server}: ${run.out}`);
      assert.equal(seen.delivered, seen.published * 2, server);
      assert.equal(seen.missing, 0);
      assert.ok(seen.latencyMs.p50 <= seen.latencyMs.p99 && seen.latencyMs.p99 <= seen.latencyMs.max && seen.latencyMs.max > 0);
    }
  }
  const full = await brim(['bench', '-p', String(hubPort), '--duration', '0.5', '--warmup', '0.1']);
  assert.equal(full.code, 0, full.err);
  assert.match(full.out, /^published +[\d.]+ \/s.*\ndelivered +[\d.]+ \/s.*\nlatency +p50 /);
  assert.equal((await brim(['bench', '-p', String(hubPort), '-q', '0'])).code, 2);
  assert.equal((await brim(['bench', '-p', String(ports.closed)])).code, 6);
});
