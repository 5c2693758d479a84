// Certificates that change while the hub serves: renewed, broken, revoked (F-24, F-67, B-50). Clients are not ours.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, mkdtempSync, rmSync, unlinkSync, writeFileSync, copyFileSync, statSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Authority } from './support/certificates.mjs';
import { connect, credentials } from './support/device.mjs';
import { demoModel, execute, freePort, Hub, until } from './support/hub.mjs';

const folder = mkdtempSync(join(tmpdir(), 'brim-certificates-'));
const authority = new Authority(folder);
const clients = new Authority(folder, 'clients');
const works = clients.below('works');
const stranger = new Authority(folder, 'stranger');
const at = (/** @type {string} */ name) => join(folder, name);
/** @type {Hub} */ let hub;
/** @type {Record<'plainTls' | 'required' | 'optional' | 'https', number>} */ let ports;
let made = 0;

/** @param {Authority} from @param {string} name */
const put = (from, name) => {
  const pair = from.issue();
  copyFileSync(pair.key, at(`${name}.key`));
  copyFileSync(pair.cert, at(`${name}.crt`));
  return pair;
};
/** @param {import('./support/certificates.mjs').Pair[]} revoked @param {any} [options] */
const writeLists = (revoked, options) => writeFileSync(at('crl'), clients.revocations(revoked, options) + works.revocations(revoked));
const asked = async () => {
  const { text } = await hub.call('GET', '/metrics');
  return Array.from(text.matchAll(/^brim_tls_files_asked(?:_total)?\{[^}]*\} (\S+)/gm), (each) => Number(each[1]));
};
let told = 0;
/** Sends SIGHUP and waits until each listener has looked; what it says of the files it may have said before, by itself. @param {string | RegExp} says */
async function reload(says) {
  const before = await asked();
  hub.child?.kill('SIGHUP');
  await until(async () => (await asked()).every((count, i) => count > (before[i] ?? 0)), 'each listener has looked');
  await until(() => new RegExp(says).test(hub.output.slice(told)), `the hub says ${says}`);
  told = hub.output.length;
}
const metric = async (/** @type {string} */ name, /** @type {string} */ listener) => {
  const { text } = await hub.call('GET', '/metrics');
  return Number(new RegExp(`^${name}\\{listener="${listener}[^"]*"\\} (\\S+)`, 'm').exec(text)?.[1]);
};

before(async () => {
  ports = { plainTls: await freePort(), required: await freePort(), optional: await freePort(), https: await freePort() };
  for (const name of ['plain', 'asking']) put(authority, name);
  writeFileSync(at('ca'), clients.pem + works.pem);
  writeLists([]);
  const listener = (/** @type {string} */ protocol, /** @type {number} */ port, /** @type {string} */ pair, more = '') =>
    `[[listener]]\nprotocol = "${protocol}"\naddress = "127.0.0.1:${port}"\ncert_file = "${at(pair)}.crt"\nkey_file = "${at(pair)}.key"\n${more}`;
  const asks = (/** @type {string} */ demand) => `client_certificate = "${demand}"\nclient_ca_file = "${at('ca')}"\ncrl_file = "${at('crl')}"\n`;
  hub = await Hub.start(
    listener('mqtts', ports.plainTls, 'plain') + listener('mqtts', ports.required, 'asking', asks('required')) +
      listener('mqtts', ports.optional, 'asking', `tls_min = "1.3"\n${asks('optional')}`) + listener('https', ports.https, 'plain'),
  );
  await hub.product('a1cert', demoModel);
});
after(async () => {
  await hub.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** A device's connection. @param {number} port @param {import('./support/certificates.mjs').Pair} [pair] @param {string[]} [chain] files of authorities to show too */
async function join_(port, pair, chain = []) {
  const device = await hub.device('a1cert', `d${++made}`);
  const shown = pair && { cert: [pair.cert, ...chain].map((path) => readFileSync(path, 'utf8')).join(''), key: readFileSync(pair.key, 'utf8') };
  const link = await connect(port, { host: 'localhost', protocol: 'mqtts', ca: authority.pem, ...shown, ...credentials(device) });
  const post = () => link.ask(`/sys/a1cert/${device.deviceName}/thing/event/property/post`, { id: '1', params: { temperature: 1 } });
  return { link, post };
}
/** What openssl says of a handshake. @param {number} port @param {string[]} [words] */
const handshake = (port, words = []) => execute('openssl', ['s_client', '-connect', `localhost:${port}`, '-CAfile', authority.cert, '-verify_return_error', ...words], { input: 'Q\n' });
const serial = async (/** @type {number} */ port) => {
  const seen = await handshake(port);
  const shown = await execute('openssl', ['x509', '-noout', '-serial'], { input: seen.out });
  return shown.out.trim().toUpperCase();
};
const serialOf = async (/** @type {string} */ cert) => (await execute('openssl', ['x509', '-noout', '-serial', '-in', cert])).out.trim().toUpperCase();

test('a renewed certificate serves the next connections and drops nobody', async () => {
  const before = await join_(ports.plainTls);
  const old = await serial(ports.plainTls);
  const pair = put(authority, 'plain');
  await reload('certificate files read again');
  assert.equal(await serial(ports.plainTls), await serialOf(pair.cert));
  assert.notEqual(await serial(ports.plainTls), old);
  assert.equal(await serial(ports.https), await serialOf(pair.cert));
  await before.post();
  assert.ok(!before.link.closed);
  await before.link.leave();
  const ends = Date.parse((await execute('openssl', ['x509', '-noout', '-enddate', '-in', pair.cert])).out.trim().replace('notAfter=', ''));
  assert.equal(await metric('brim_tls_certificate_expires_seconds', `mqtts tcp:127.0.0.1:${ports.plainTls}`), ends / 1000);
});

test('files that cannot be used change nothing, are told once, and the next good ones are taken', async () => {
  const good = { crt: readFileSync(at('plain.crt')), key: readFileSync(at('plain.key')) };
  const shown = await serial(ports.plainTls);
  const listener = `mqtts tcp:127.0.0.1:${ports.plainTls}`;
  const other = authority.issue();
  const expired = authority.issue({ days: -1 });
  for (const [break_, says] of /** @type {[() => void, string][]} */ ([
    [() => copyFileSync(other.key, at('plain.key')), 'does not belong to the certificate'],
    [() => writeFileSync(at('plain.crt'), 'nonsense'), 'no usable certificate in PEM form'],
    [() => unlinkSync(at('plain.crt')), 'plain.crt'],
    [() => { copyFileSync(expired.cert, at('plain.crt')); copyFileSync(expired.key, at('plain.key')); }, 'the certificate expired on'],
  ])) {
    const from = hub.output.length;
    break_();
    await reload(`old ones serve on.*${ports.plainTls}`);
    assert.match(hub.output.slice(from), new RegExp(`not usable.*${says}`));
    assert.equal(await serial(ports.plainTls), shown);
    assert.equal(await metric('brim_tls_files_refused', listener), 1);
    const told = hub.output.slice(from).split('old ones serve on').length;
    await reload('configuration read again');
    await reload('configuration read again');
    assert.equal(hub.output.slice(from).split('old ones serve on').length, told, 'it is said once');
    writeFileSync(at('plain.crt'), good.crt);
    writeFileSync(at('plain.key'), good.key);
    await reload(`certificate files read again.*${ports.plainTls}`);
    assert.equal(await metric('brim_tls_files_refused', listener), 0);
  }
});

test('a listener that requires certificates refuses none, a stranger\'s and an expired one; one that asks takes none', async () => {
  for (const pair of [undefined, stranger.client('eve'), clients.client('old', { days: -1 }), authority.issue()]) {
    await assert.rejects(join_(ports.required, pair));
    if (pair) await assert.rejects(join_(ports.optional, pair));
  }
  await until(() => /connection refused.*authority that is not trusted/.test(hub.output) && /connection refused.*expired on/.test(hub.output) && /connection refused.*none was shown/.test(hub.output), 'each reason is in the log');
  for (const [port, pair] of /** @type {[number, any][]} */ ([[ports.optional, undefined], [ports.optional, clients.client('a')], [ports.required, clients.client('b')]])) {
    const { link, post } = await join_(port, pair);
    await post();
    await link.leave();
  }
});

test('a revoked client is ended where it is connected and refused when it comes back; the others notice nothing', async () => {
  const [lost, kept] = [clients.client('lost'), clients.client('kept')];
  const lower = works.client('lower');
  const links = { lost: await join_(ports.required, lost), kept: await join_(ports.required, kept), lower: await join_(ports.required, lower), none: await join_(ports.optional) };
  writeLists([lost]);
  await reload('certificate files read again');
  await until(() => links.lost.link.closed, 'the revoked client is ended');
  await until(() => /connection refused.*client's certificate was revoked by/.test(hub.output), 'the reason is in the log');
  await assert.rejects(join_(ports.required, lost));
  for (const each of [links.kept, links.lower, links.none]) {
    await each.post();
    assert.ok(!each.link.closed);
  }
  writeFileSync(at('crl'), clients.revocations([{ cert: works.cert, key: works.key }]) + works.revocations([]));
  writeFileSync(at('ca'), clients.pem);
  await reload('certificate files read again');
  await until(() => links.lower.link.closed, 'a client below a revoked authority is ended');
  await assert.rejects(join_(ports.required, lower, [works.cert]));
  await links.kept.post();
  writeFileSync(at('ca'), stranger.pem);
  writeFileSync(at('crl'), stranger.revocations([]));
  await reload('certificate files read again');
  await until(() => links.kept.link.closed, 'a client of an authority that is no longer trusted is ended');
  await links.none.post();
  writeFileSync(at('ca'), clients.pem + works.pem);
  writeLists([]);
  await reload('certificate files read again');
  const again = await join_(ports.required, kept);
  await again.post();
  for (const each of [again, links.none]) await each.link.leave();
});

test('a revocation list that has run out, or is missing, refuses its authority\'s clients, with that reason', async () => {
  const pair = clients.client('doubt');
  writeLists([], { ended: true });
  await reload('certificate files read again');
  await assert.rejects(join_(ports.required, pair));
  await until(() => /connection refused.*revocation list of.* has run out/.test(hub.output), 'the reason is in the log');
  writeFileSync(at('crl'), works.revocations([]));
  await reload('certificate files read again');
  await assert.rejects(join_(ports.required, pair));
  await until(() => /connection refused.*no revocation list of/.test(hub.output), 'the reason is in the log');
  writeFileSync(at('crl'), clients.revocations([]).replace(/[A-Za-z0-9]{20}/, '!'));
  await reload('no usable revocation list in PEM form');
  writeLists([]);
  await reload('certificate files read again');
  await (await join_(ports.required, pair)).link.leave();
});

test('a list of 10 MB is read, one of more than 16 MiB is refused by its size', async () => {
  const [lost, kept] = [clients.client('many'), clients.client('few')];
  const list = clients.revocations([lost], { more: 290_000 }) + works.revocations([]);
  writeFileSync(at('crl'), list);
  assert.ok(statSync(at('crl')).size > 10_000_000);
  await reload('certificate files read again');
  await assert.rejects(join_(ports.required, lost));
  const { link, post } = await join_(ports.required, kept);
  const limit = 16 * 1024 * 1024;
  writeFileSync(at('crl'), list + '\n'.repeat(limit + 1 - list.length));
  await reload(/not usable.*crl/);
  assert.match(hub.output, /not usable.*(16777216|too large|over)/);
  writeFileSync(at('crl'), list + '\n'.repeat(limit - list.length));
  await reload('certificate files read again');
  await post();
  await link.leave();
  writeLists([]);
  await reload('certificate files read again');
});

test('eight authorities may stand between a client and the trusted one, not nine', async () => {
  /** @type {Authority[]} */ const chain = [];
  for (let i = 1; i <= 10; ++i) chain.push((chain.at(-1) ?? clients).below(`level${i}`));
  writeFileSync(at('crl'), [clients, works, ...chain].map((each) => each.revocations([])).join(''));
  await reload('certificate files read again');
  const show = (/** @type {number} */ count) => join_(ports.required, /** @type {Authority} */ (chain[count - 1]).client('deep'), chain.slice(0, count).reverse().map((each) => each.cert));
  const good = await show(8);
  await good.post();
  await good.link.leave();
  await assert.rejects(show(9));
  await assert.rejects(show(10));
  await until(() => /connection refused.*(more than 8 authorities)/.test(hub.output), 'the reason is in the log');
});

test('a session is resumed where no client shows a certificate, and never where one does', async () => {
  const pair = clients.client('again');
  for (const [port, words, protocol, resumed] of /** @type {[number, string[], string, boolean][]} */ ([
    [ports.plainTls, [], '-tls1_3', true], [ports.plainTls, [], '-tls1_2', true], [ports.https, [], '-tls1_2', true],
    [ports.required, ['-cert', pair.cert, '-key', pair.key], '-tls1_3', false], [ports.required, ['-cert', pair.cert, '-key', pair.key], '-tls1_2', false], [ports.optional, [], '-tls1_3', false],
  ])) {
    const kept = at(`session-${port}${protocol}`);
    // A ticket of TLS 1.3 comes after the handshake: the wrong bytes make the server answer, and end.
    const first = await execute('openssl', ['s_client', '-connect', `localhost:${port}`, '-CAfile', authority.cert, '-ign_eof', protocol, ...words, '-sess_out', kept], { input: port === ports.https ? 'GET / HTTP/1.0\r\n\r\n' : 'ÿ'.repeat(8) });
    assert.match(first.out, /New, TLS/);
    const second = statSync(kept, { throwIfNoEntry: false }) ? await execute('openssl', ['s_client', '-connect', `localhost:${port}`, '-CAfile', authority.cert, protocol, ...words, '-sess_in', kept], { input: 'Q\n' }) : { out: 'New, TLS' };
    assert.match(second.out, resumed ? /Reused, TLS/ : /New, TLS/, `${port} ${protocol}`);
  }
});

test('each port names its protocol to who asks, and refuses who speaks another', async () => {
  for (const [port, mine, other] of /** @type {[number, string, string][]} */ ([[ports.plainTls, 'mqtt', 'http/1.1'], [ports.https, 'http/1.1', 'mqtt']])) {
    assert.match((await handshake(port, ['-alpn', `h2,${mine}`])).out, new RegExp(`ALPN protocol: ${mine}`));
    assert.match((await handshake(port)).out, /No ALPN negotiated/);
    const refused = await handshake(port, ['-alpn', `h2,${other}`]);
    assert.notEqual(refused.code, 0);
    assert.match(refused.err, /no application protocol/i);
  }
  await until(() => /connection refused.*no common protocol \(ALPN\)/.test(hub.output), 'the reason is in the log');
});

test('tls_min = "1.3" refuses TLS 1.2', async () => {
  assert.equal((await handshake(ports.required, ['-tls1_2', '-cert', clients.client('x').cert, '-key', clients.client('x').key])).code, 1, 'the key does not fit');
  assert.notEqual((await handshake(ports.optional, ['-tls1_2'])).code, 0);
  assert.equal((await handshake(ports.optional, ['-tls1_3'])).code, 0);
  assert.equal((await handshake(ports.plainTls, ['-tls1_2'])).code, 0);
});

test('with no descriptor left a reload changes nothing, and lets nobody in who was not let in before (B-15)', async () => {
  const port = await freePort();
  const small = await Hub.prepare(
    `[[listener]]\nprotocol = "mqtts"\naddress = "127.0.0.1:${port}"\ncert_file = "${at('asking')}.crt"\nkey_file = "${at('asking')}.key"\n` +
      `client_certificate = "required"\nclient_ca_file = "${at('ca')}"\ncrl_file = "${at('crl')}"\n`,
  );
  small.descriptors = 64;
  await small.run();
  await small.setUp();
  await small.product('a1small', demoModel);
  const device = await small.device('a1small', 'one');
  const own = clients.client('own');
  const enter = (/** @type {any} */ shown) => connect(port, { host: 'localhost', protocol: 'mqtts', ca: authority.pem, ...shown, ...credentials(device) });
  const shown = { cert: readFileSync(own.cert), key: readFileSync(own.key) };
  /** @type {import('node:net').Socket[]} */ const sockets = [];
  for (let i = 0; i < 100; ++i) sockets.push(connectTcp(small.mqttPort, '127.0.0.1').on('error', () => {}));
  await until(() => readdirSync(`/proc/${small.child?.pid}/fd`).length >= 64 - 16, 'all that connections may have is taken');
  // The rest is kept for files: what else may use it up is played by a lower limit.
  execFileSync('prlimit', [`--pid=${small.child?.pid}`, '--nofile=40:64']);
  const from = small.output.length;
  small.child?.kill('SIGHUP');
  await until(() => /the running one stays/.test(small.output.slice(from)) && /old ones serve on/.test(small.output.slice(from)), 'both are told');
  for (const socket of sockets) socket.destroy();
  execFileSync('prlimit', [`--pid=${small.child?.pid}`, '--nofile=64:64']);
  await until(() => readdirSync(`/proc/${small.child?.pid}/fd`).length < 40, 'there is room again');
  await assert.rejects(enter({}), 'still without a certificate nobody comes in');
  await assert.rejects(connect(small.mqttPort, { clientId: 'anyone' }), 'nor without a login');
  const good = await enter(shown);
  await good.leave();
  small.child?.kill('SIGHUP');
  await until(() => /certificate files read again/.test(small.output.slice(from)), 'it heals');
  await small.dispose();
});

test('settings that leave a hole are refused before the start', async () => {
  const pair = authority.issue();
  const files = `cert_file = "${pair.cert}"\nkey_file = "${pair.key}"\n`;
  for (const [lines, says] of /** @type {[string, RegExp][]} */ ([
    [`protocol = "mqtts"\n${files}client_certificate = "required"\n`, /set client_ca_file/],
    [`protocol = "mqtts"\n${files}client_ca_file = "x"\n`, /set it to .required. or .optional./],
    [`protocol = "mqtts"\n${files}crl_file = "x"\n`, /set client_ca_file/],
    [`protocol = "mqtt"\nclient_certificate = "required"\nclient_ca_file = "x"\n`, /client_certificate: is for TLS/],
    [`protocol = "mqtts"\n${files}tls_min = "1.1"\n`, /tls_min/],
  ])) {
    const wrong = await Hub.prepare(`[[listener]]\naddress = "127.0.0.1:0"\n${lines}`);
    const run = await execute((await import('./support/hub.mjs')).hubProgram, ['config', 'check', '--config', wrong.config]);
    assert.equal(run.code, 9, run.out);
    assert.match(run.err, says);
    rmSync(wrong.folder, { recursive: true, force: true });
  }
});
