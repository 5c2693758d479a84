// Certificates as an operator makes them: with the openssl program, ECDSA P-256.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

/** @typedef {{ cert: string, key: string }} Pair */

export class Authority {
  /** Its certificate's path: what clients trust. */ cert;
  #made = 0;

  /** @param {string} folder @param {string} [name] @param {number} [days] -1 has expired */
  constructor(folder, name = 'authority', days = 3650) {
    this.folder = folder;
    this.name = name;
    this.cert = join(folder, `${name}.crt`);
    this.key = join(folder, `${name}.key`);
    this.#request(this.key, `/CN=Test ${name}`);
    this.#extensions('basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n');
    this.#openssl(['x509', '-req', '-in', this.#at('csr'), '-signkey', this.key, '-days', String(days), '-extfile', this.#at('ext'), '-out', this.cert]);
  }

  /**
   * A server's certificate for localhost, unless other names are given.
   * @param {{ names?: string, days?: number, cert?: string }} [options] names as in subjectAltName; days: -1 has expired; cert: where to put it
   * @returns {Pair}
   */
  issue(options = {}) {
    const { names = 'DNS:localhost,IP:127.0.0.1', days = 90 } = options;
    const cert = options.cert ?? join(this.folder, `${this.name}-${++this.#made}.crt`);
    const key = cert.replace(/\.crt$/, '.key');
    this.#request(key, '/CN=hub');
    this.#extensions(`subjectAltName=${names}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n`);
    this.#openssl(['x509', '-req', '-in', this.#at('csr'), '-CA', this.cert, '-CAkey', this.key, '-CAcreateserial', '-days', String(days), '-extfile', this.#at('ext'), '-out', cert]);
    return { cert, key };
  }

  /** The certificate's text, for clients that want that. */
  get pem() {
    return readFileSync(this.cert, 'utf8');
  }

  /** @param {string} key @param {string} subject */
  #request(key, subject) {
    this.#openssl(['req', '-new', ...curve, '-keyout', key, '-subj', subject, '-out', this.#at('csr')]);
  }

  /** @param {string} text */
  #extensions(text) {
    writeFileSync(this.#at('ext'), text);
  }

  /** @param {string} suffix */
  #at(suffix) {
    return join(this.folder, `${this.name}.${suffix}`);
  }

  /** @param {string[]} words */
  #openssl(words) {
    execFileSync('openssl', words, { stdio: ['ignore', 'ignore', 'pipe'] });
  }
}
