// Runs brim-edge as its users do: a process with a configuration file, a data folder and real drivers.
//   EDGE=/path/to/brim-edge       default: the newest build/*/src/edge/brim-edge; drivers are taken from the same build
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { newest, until } from './hub.mjs';

const stop_wait_ms = 20_000;
export const edgeProgram = process.env['EDGE'] ?? newest('src/edge/brim-edge');
const source = fileURLToPath(new URL('../../../', import.meta.url));
const hostDriver = join(dirname(edgeProgram), '../../drivers/host/brim-driver-host');

/** The model of the host driver's device. */
export const hostModel = JSON.parse(readFileSync(join(source, 'drivers/host/model.json'), 'utf8'));

/** @typedef {{ name: string, program: string, args: string[], devices: { productKey: string, deviceName: string }[], models: Record<string, any>, config?: any, memory?: string }} DriverOptions */
/** @typedef {import('./device.mjs').Credentials} Credentials */

export class Edge {
  /** @type {import('node:child_process').ChildProcess | undefined} */ child;
  output = '';
  /** @type {DriverOptions[]} */ drivers = [];
  /** Further configuration. */ extra = '';
  transportLoops = 0;

  /** @param {Credentials} gateway @param {string} url @param {string} [caFile] */
  constructor(gateway, url, caFile = '') {
    this.folder = mkdtempSync(join(tmpdir(), 'brim-edge-'));
    this.gateway = gateway;
    this.url = url;
    this.caFile = caFile;
    this.config = join(this.folder, 'edge.toml');
    this.socket = join(this.folder, 'status.sock');
    this.journal = join(this.folder, 'host.reported');
  }

  /** This machine as a device, reported by the real driver. @param {{ productKey: string, deviceName: string }} device */
  addHostDriver(device, intervalMs = 100) {
    const { productKey, deviceName } = device;
    this.drivers.push({ name: 'host', program: hostDriver, args: ['--journal', this.journal], devices: [{ productKey, deviceName }], models: { [productKey]: hostModel }, config: { json: { intervalMs } } });
    return this;
  }

  #write() {
    const models = join(this.folder, 'models');
    mkdirSync(models, { recursive: true });
    const secret = join(this.folder, 'gateway.secret');
    writeFileSync(secret, this.gateway.deviceSecret, { mode: 0o600 });
    let text =
      `[edge]\ndata_dir = "${this.folder}/data"\ntransport_loops = ${this.transportLoops}\n` +
      `[identity]\nproduct_key = "${this.gateway.productKey}"\ndevice_name = "${this.gateway.deviceName}"\ndevice_secret = "file:${secret}"\n` +
      `[uplink]\nurl = "${this.url}"\nca_file = "${this.caFile}"\nkeepalive = "30s"\nbackoff_min = "200ms"\nbackoff_max = "1s"\n` +
      `[bus]\nsocket = "unix:${this.folder}/bus.sock"\n[http]\nlisten = "unix:${this.socket}"\n`;
    for (const driver of this.drivers) {
      for (const [key, model] of Object.entries(driver.models)) writeFileSync(join(models, `${key}.json`), JSON.stringify(model));
      const file = join(this.folder, `${driver.name}.json`);
      writeFileSync(file, JSON.stringify({ config: driver.config ?? {}, deviceList: driver.devices }));
      text +=
        `[[driver]]\nname = "${driver.name}"\nprogram = "${driver.program}"\nargs = ${JSON.stringify(driver.args)}\n` +
        `config_file = "${file}"\nmodels_dir = "${models}"\n${driver.memory ? `memory_max = "${driver.memory}"\n` : ''}`;
    }
    writeFileSync(this.config, text + this.extra);
  }

  /** Starts the process and waits until its status page answers. */
  async run() {
    this.#write();
    const child = spawn(edgeProgram, ['run', '--config', this.config], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.child = child;
    this.output = '';
    const read = (/** @type {Buffer} */ chunk) => (this.output = (this.output + chunk).slice(-200_000));
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`brim-edge ended with ${child.exitCode}:\n${this.output}`);
      return this.status().catch(() => undefined);
    }, 'brim-edge answers', 30_000);
    return this;
  }

  /** @returns {Promise<any>} */
  status() {
    return new Promise((resolve, reject) => {
      const request = get({ socketPath: this.socket, path: '/status', agent: false }, (response) => {
        let text = '';
        response.on('data', (chunk) => (text += chunk)).on('end', () => resolve(JSON.parse(text)));
      });
      request.on('error', reject);
    });
  }

  /** Waits for a state of the uplink. @param {(uplink: any) => boolean} check @param {string} what @returns {Promise<any>} */
  async uplink(check, what) {
    /** @type {any} */ let last;
    const seen = async () => check((last = (await this.status()).uplink));
    await until(seen, what, 30_000).catch((error) => {
      throw new Error(`${error.message}; last ${JSON.stringify(last)}\n${this.output.slice(-3000)}`);
    });
    return last;
  }

  up() {
    return this.uplink((uplink) => uplink.state === 'up', 'the uplink is up');
  }

  /** The reports the driver was told are safe. @returns {{ device: string, property: string, time: number, value: number }[]} */
  reported() {
    if (!existsSync(this.journal)) return [];
    const lines = readFileSync(this.journal, 'utf8').split('\n').slice(0, -1); // what follows the last line feed is being written
    return lines.flatMap((line) => {
      const [, , productKey, deviceName] = line.split(' ', 1)[0]?.split('/') ?? [];
      const { params } = JSON.parse(line.slice(line.indexOf(' ') + 1));
      return Object.entries(params).map(([property, sample]) => ({ device: `${productKey}/${deviceName}`, property, time: sample.time, value: sample.value }));
    });
  }

  /** @param {NodeJS.Signals} signal */
  async end(signal = 'SIGTERM') {
    const child = this.child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), stop_wait_ms);
    await gone;
    clearTimeout(timer);
    if (signal === 'SIGTERM' && child.exitCode !== 0) throw new Error(`brim-edge did not end well: code ${child.exitCode}, signal ${child.signalCode}\n${this.output.slice(-10_000)}`);
  }

  async dispose() {
    await this.end().finally(() => rmSync(this.folder, { recursive: true, force: true }));
  }
}

/**
 * Everything in history of a device, as "property time" -> value.
 * @param {import('./hub.mjs').Hub} hub @param {string} device productKey/deviceName @param {Iterable<string>} properties
 * @returns {Promise<Map<string, number>>}
 */
export async function stored(hub, device, properties) {
  const found = new Map();
  for (const property of properties) {
    for (let cursor = ''; ; ) {
      const page = await hub.ok('GET', `/api/v1/devices/${device}/history?property=${property}&order=asc&from=0&limit=1000${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
      for (const point of page.points) found.set(`${property} ${point.time}`, point.value);
      cursor = page.next ?? '';
      if (!cursor) break;
    }
  }
  return found;
}
