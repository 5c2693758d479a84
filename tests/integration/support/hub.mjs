// Runs brim-hub as its users do: a process with a configuration file and a data folder, reached by sockets only.
//   HUB=/path/to/brim-hub, BRIM=/path/to/brim      default: the newest build/*/src/{hub/brim-hub,cli/brim}
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../support/free_port.mjs';

export { freePort };

const start_wait_ms = 30_000;
const stop_wait_ms = 20_000;
export const admin = { user: 'root', password: 'correct horse battery' };

/** @param {string} part */
export function newest(part) {
  const build = fileURLToPath(new URL('../../../build/', import.meta.url));
  const found = readdirSync(build)
    .map((name) => join(build, name, part))
    .map((path) => ({ path, time: statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0 }))
    .filter((each) => each.time > 0)
    .sort((a, b) => b.time - a.time);
  if (!found[0]) throw new Error(`no build/*/${part}: build it first`);
  return found[0].path;
}

export const hubProgram = process.env['HUB'] ?? newest('src/hub/brim-hub');
export const brimProgram = process.env['BRIM'] ?? newest('src/cli/brim');

/** Runs a program to its end. @param {string} program @param {string[]} words @param {{ input?: string, env?: Record<string, string> }} [options] */
export async function execute(program, words, options = {}) {
  const child = spawn(program, words, { env: { ...process.env, ...options.env }, stdio: ['pipe', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk) => (out += chunk));
  child.stderr.on('data', (chunk) => (err += chunk));
  child.stdin.on('error', () => {}); // it may end before it has read everything
  child.stdin.end(options.input ?? '');
  const timer = setTimeout(() => child.kill('SIGKILL'), start_wait_ms);
  const [code] = await once(child, 'close');
  clearTimeout(timer);
  return { code, out, err };
}

/** @typedef {{ status: number, json: any, text: string, headers: Headers }} Answer */

export class Hub {
  /** @type {import('node:child_process').ChildProcess | undefined} */ child;
  output = '';
  setupUrl = '';
  token = '';
  cookie = '';
  /** How many files it may have open; 0: as the machine says. */ descriptors = 0;
  /** More settings, as `section.key=value`. @type {string[]} */ sets = [];
  /** The control group it joins: the path of its cgroup.procs. */ group = '';

  /** @param {string} folder @param {number} http @param {number} mqtt */
  constructor(folder, http, mqtt) {
    this.folder = folder;
    this.httpPort = http;
    this.mqttPort = mqtt;
    this.url = `http://127.0.0.1:${http}`;
    this.config = join(folder, 'hub.toml');
    this.data = join(folder, 'data');
  }

  /** A hub in a folder of its own, set up with an administrator. @param {string} [extra] further configuration */
  static async start(extra = '', /** @type {string[]} */ sets = []) {
    const hub = await Hub.prepare(extra);
    hub.sets = sets;
    await hub.run();
    await hub.setUp();
    return hub;
  }

  /** @param {string} [extra] */
  static async prepare(extra = '') {
    const folder = mkdtempSync(join(tmpdir(), 'brim-integration-'));
    const hub = new Hub(folder, await freePort(), await freePort());
    writeFileSync(
      hub.config,
      `[hub]\ndata_dir = "${hub.data}"\n[[listener]]\nprotocol = "mqtt"\naddress = "127.0.0.1:${hub.mqttPort}"\n` +
        `[[listener]]\nprotocol = "http"\naddress = "127.0.0.1:${hub.httpPort}"\n${extra}`,
    );
    return hub;
  }

  /** Starts the process and waits until it is ready. */
  async run() {
    const words = ['run', '--config', this.config, ...this.sets.flatMap((set) => ['--set', set])];
    const first = (this.descriptors ? `ulimit -n ${this.descriptors}; ` : '') + (this.group ? `echo 0 > ${this.group}; ` : '');
    const child = spawn(first ? 'sh' : hubProgram, first ? ['-c', `${first}exec "$0" "$@"`, hubProgram, ...words] : words, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.child = child;
    this.output = '';
    const read = (/** @type {Buffer} */ chunk) => {
      this.output = (this.output + chunk).slice(-200_000);
      this.setupUrl = /https?:\/\/\S+\/setup\?t=\S+/.exec(this.output)?.[0] ?? this.setupUrl;
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    const deadline = Date.now() + start_wait_ms;
    for (;;) {
      if (child.exitCode !== null) throw new Error(`brim-hub ended with ${child.exitCode}:\n${this.output}`);
      if (Date.now() > deadline) throw new Error(`brim-hub is not ready:\n${this.output}`);
      const ready = await fetch(`${this.url}/readyz`).catch(() => undefined);
      if (ready?.status === 200) return;
      await sleep(25);
    }
  }

  async setUp() {
    await until(() => this.setupUrl !== '', 'the setup link is printed');
    const token = new URL(this.setupUrl).searchParams.get('t');
    const made = await this.call('POST', '/api/v1/setup', { token, ...admin }, { token: '' });
    if (made.status !== 200) throw new Error(`setup: ${made.text}`);
    this.cookie = (made.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
    this.token = await this.makeToken('admin');
  }

  /** @param {string} role */
  async makeToken(role, name = role) {
    const made = await this.call('POST', '/api/v1/tokens', { name, role }, { token: '', headers: { Cookie: this.cookie, 'X-Brim-Request': '1' } });
    if (made.status !== 201) throw new Error(`token: ${made.text}`);
    return made.json.token;
  }

  /**
   * @param {string} method @param {string} path @param {any} [body]
   * @param {{ token?: string, headers?: Record<string, string>, raw?: string }} [options]
   * @returns {Promise<Answer>}
   */
  async call(method, path, body, options = {}) {
    const token = options.token ?? this.token;
    const response = await fetch(this.url + path, {
      method,
      redirect: 'manual',
      headers: { ...(token === '' ? {} : { Authorization: `Bearer ${token}` }), ...options.headers },
      ...(options.raw !== undefined ? { body: options.raw } : body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    let json;
    try {
      json = JSON.parse(text);
    } catch {
      json = undefined;
    }
    return { status: response.status, json, text, headers: response.headers };
  }

  /** As call(), but anything but success throws. @param {string} method @param {string} path @param {any} [body] */
  async ok(method, path, body) {
    const answer = await this.call(method, path, body);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
    return answer.json;
  }

  /** @param {string} [key] */
  async product(key, model = demoModel, nodeType = 'device') {
    const made = await this.ok('POST', '/api/v1/products', { name: key ?? 'p', ...(key ? { productKey: key } : {}), nodeType, model });
    return made.productKey;
  }

  /** @param {string} productKey @param {string} deviceName @returns {Promise<{ productKey: string, deviceName: string, deviceSecret: string }>} */
  device(productKey, deviceName) {
    return this.ok('POST', '/api/v1/devices', { productKey, deviceName });
  }

  /** The value of a metric, by its name and labels as they are written; undefined when it is not there. @param {string} name */
  async metric(name) {
    const { text } = await this.call('GET', '/metrics');
    const line = text.split('\n').find((each) => each.startsWith(`${name} `));
    return line === undefined ? undefined : Number(line.slice(name.length + 1));
  }

  /** @param {NodeJS.Signals} signal @returns {Promise<number | null>} the exit code */
  async end(signal = 'SIGTERM') {
    const child = this.child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const gone = once(child, 'exit');
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), stop_wait_ms);
    await gone;
    clearTimeout(timer);
    if (signal === 'SIGTERM' && child.exitCode !== 0) {
      throw new Error(`brim-hub did not end well: code ${child.exitCode}, signal ${child.signalCode}\n${this.output.slice(-10_000)}`);
    }
    return child.exitCode;
  }

  async dispose() {
    await this.end().finally(() => rmSync(this.folder, { recursive: true, force: true }));
  }
}

/** @param {number} ms @returns {Promise<void>} */
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until `check` is true (or does not throw and is truthy). @template T @param {() => T | Promise<T>} check @param {string} what @returns {Promise<T>} */
export async function until(check, what, wait_ms = 15_000) {
  const deadline = Date.now() + wait_ms;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`never happened in ${wait_ms} ms: ${what}`);
    await sleep(20);
  }
}

const number = (min = '-1000', max = '1000000') => ({ type: 'double', specs: { min, max } });

/** One property of each kind the tests use, an event and a service. */
export const demoModel = {
  properties: [
    { identifier: 'temperature', name: 'Temperature', accessMode: 'r', dataType: number() },
    { identifier: 'setpoint', name: 'Setpoint', accessMode: 'rw', dataType: { type: 'int', specs: { min: '0', max: '100000' } } },
    { identifier: 'count', name: 'Count', accessMode: 'r', dataType: { type: 'int', specs: { min: '0', max: '2000000000' } } },
    { identifier: 'label', name: 'Label', accessMode: 'rw', dataType: { type: 'text', specs: { length: '64' } } },
  ],
  events: [
    { identifier: 'alarm', name: 'Alarm', type: 'alert', outputData: [{ identifier: 'code', name: 'Code', dataType: { type: 'int', specs: { min: '0', max: '100' } } }] },
  ],
  services: [
    {
      identifier: 'restart', name: 'Restart', callType: 'async',
      inputData: [{ identifier: 'delay', name: 'Delay', dataType: { type: 'int', specs: { min: '0', max: '60' } } }],
      outputData: [{ identifier: 'took', name: 'Took', dataType: { type: 'int', specs: { min: '0', max: '60000' } } }],
    },
  ],
};
