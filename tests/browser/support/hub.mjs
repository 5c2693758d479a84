// Starts a brim-hub of its own in a temporary folder, or uses a running one. The only file that knows how a hub is run.
//   HUB=/path/to/brim-hub            start that binary (default: the newest build/*/src/hub/brim-hub)
//   BRIM_HUB_URL, BRIM_SETUP_URL     use a hub that runs already and is not set up yet
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../support/free_port.mjs';

const start_wait_ms = 15_000;
const stop_wait_ms = 10_000;

/** @typedef {{ url: string, setupUrl: string, mqttPort: number, stop: () => Promise<void>, pid: number | undefined }} Hub */

function newestBuild() {
  const build = fileURLToPath(new URL('../../../build/', import.meta.url));
  const found = [];
  try {
    for (const name of readdirSync(build)) {
      const path = join(build, name, 'src/hub/brim-hub');
      const info = statSync(path, { throwIfNoEntry: false });
      if (info) found.push({ path, time: info.mtimeMs });
    }
  } catch {
    // No build folder: the error below says what to do.
  }
  found.sort((a, b) => b.time - a.time);
  if (!found[0]) throw new Error('no brim-hub found: build it, or name one with HUB=/path/to/brim-hub');
  return found[0].path;
}

/** @returns {Promise<Hub>} */
export async function startHub() {
  if (process.env['BRIM_HUB_URL'] && process.env['BRIM_SETUP_URL']) {
    return { url: process.env['BRIM_HUB_URL'], setupUrl: process.env['BRIM_SETUP_URL'], mqttPort: Number(process.env['BRIM_MQTT_PORT'] ?? 1883), stop: async () => {}, pid: undefined };
  }
  const folder = mkdtempSync(join(tmpdir(), 'brim-browser-'));
  const [http, mqtt] = [await freePort(), await freePort()];
  const config = join(folder, 'hub.toml');
  writeFileSync(config, `[hub]\ndata_dir = "${folder}/data"\n[[listener]]\nprotocol = "mqtt"\naddress = "127.0.0.1:${mqtt}"\n[[listener]]\nprotocol = "http"\naddress = "127.0.0.1:${http}"\n`);
  const child = spawn(process.env['HUB'] ?? newestBuild(), ['run', '--config', config], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const setupUrl = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`brim-hub printed no setup link in ${start_wait_ms} ms:\n${output}`)), start_wait_ms);
    /** @param {Buffer} chunk */
    const read = (chunk) => {
      output = (output + chunk).slice(-20_000);
      const link = /https?:\/\/\S+\/setup\?t=\S+/.exec(output);
      if (link) {
        clearTimeout(timer);
        resolve(link[0]);
      }
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.once('exit', (code) => reject(new Error(`brim-hub ended with ${code}:\n${output}`)));
    child.once('error', reject);
  });
  child.removeAllListeners('exit');
  const stop = async () => {
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), stop_wait_ms);
    if (child.exitCode === null) await gone;
    clearTimeout(timer);
    rmSync(folder, { recursive: true, force: true });
  };
  return { url: `http://127.0.0.1:${http}`, setupUrl, mqttPort: mqtt, stop, pid: child.pid };
}
