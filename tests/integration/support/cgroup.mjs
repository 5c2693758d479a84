// A control group with a memory limit for one program: what a container or a service manager would make.
import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { until } from './hub.mjs';

const root = '/sys/fs/cgroup';
const isVersion2 = existsSync(`${root}/cgroup.controllers`);
const parent = isVersion2 ? root : `${root}/memory`;

/** Why no group can be made here; undefined when one can. @returns {string | undefined} */
export function whyNoGroup() {
  try {
    accessSync(parent, constants.W_OK);
    if (isVersion2 && !readFileSync(`${parent}/cgroup.subtree_control`, 'utf8').includes('memory')) return `${parent} hands no memory controller down`;
    const probe = new MemoryGroup('probe', 64 * 1024 * 1024);
    rmdirSync(probe.folder);
    return undefined;
  } catch (error) {
    return `control groups cannot be written: ${/** @type {Error} */ (error).message}`;
  }
}

export class MemoryGroup {
  /** @param {string} name @param {number} bytes_max */
  constructor(name, bytes_max) {
    this.folder = `${parent}/brim-test-${process.pid}-${name}`;
    mkdirSync(this.folder);
    try {
      writeFileSync(`${this.folder}/${isVersion2 ? 'memory.max' : 'memory.limit_in_bytes'}`, String(bytes_max));
      const swap = `${this.folder}/${isVersion2 ? 'memory.swap.max' : 'memory.memsw.limit_in_bytes'}`;
      if (existsSync(swap)) writeFileSync(swap, isVersion2 ? '0' : String(bytes_max));
    } catch (error) {
      rmdirSync(this.folder);
      throw error;
    }
  }

  /** To be written with a process id, or "0" by who joins. */
  get join() {
    return `${this.folder}/cgroup.procs`;
  }

  /** How often the kernel killed in it for want of memory. */
  get kills() {
    const text = readFileSync(`${this.folder}/${isVersion2 ? 'memory.events' : 'memory.oom_control'}`, 'utf8');
    return Number(/oom_kill (\d+)/.exec(text)?.[1] ?? 0);
  }

  /** Once nobody is in it. */
  async remove() {
    await until(() => {
      try {
        rmdirSync(this.folder);
        return true;
      } catch {
        return false;
      }
    }, `${this.folder} is empty`);
  }
}
