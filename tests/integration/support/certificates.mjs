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
    this.#extensions('basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n');
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
    this.#sign(cert, days);
    return { cert, key };
  }

  /**
   * A certificate for a client.
   * @param {string} name its common name @param {{ days?: number, seconds?: number }} [options] seconds: it ends so soon @returns {Pair}
   */
  client(name, options = {}) {
    const cert = join(this.folder, `${this.name}-${++this.#made}.crt`);
    const key = cert.replace(/\.crt$/, '.key');
    this.#request(key, `/CN=${name}`);
    this.#extensions('basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n');
    if (options.seconds === undefined) this.#sign(cert, options.days ?? 90);
    else this.#signUntil(cert, new Date(Date.now() + options.seconds * 1000));
    return { cert, key };
  }

  /** An authority that this one vouches for. @param {string} name @returns {Authority} */
  below(name) {
    const made = new Authority(this.folder, name);
    this.#request(made.key, `/CN=Test ${name}`);
    this.#extensions('basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n');
    this.#sign(made.cert, 3650);
    return made;
  }

  /**
   * Its revocation list as PEM text, with these certificates in it.
   * @param {Pair[]} revoked @param {{ ended?: boolean, more?: number }} [options] ended: it ran out yesterday; more: so many others in it
   */
  revocations(revoked, options = {}) {
    const serial = (/** @type {string} */ cert) => execFileSync('openssl', ['x509', '-in', cert, '-noout', '-serial'], { encoding: 'utf8' }).trim().replace('serial=', '');
    const line = (/** @type {string} */ number) => `R\t401231235959Z\t250101000000Z\t${number}\tunknown\t/CN=x\n`;
    let index = revoked.map((each) => line(serial(each.cert))).join('');
    for (let i = 0; i < (options.more ?? 0); ++i) index += line((0x7000000000000000n + BigInt(i)).toString(16).toUpperCase());
    writeFileSync(this.#at('index'), index);
    writeFileSync(this.#at('index.attr'), 'unique_subject = no\n');
    writeFileSync(this.#at('conf'), `[ca]\ndefault_ca = own\n[own]\ndatabase = ${this.#at('index')}\ndefault_md = sha256\ndefault_crl_days = 30\n`);
    const times = options.ended ? ['-crl_lastupdate', '20200101000000Z', '-crl_nextupdate', '20200201000000Z'] : [];
    this.#openssl(['ca', '-config', this.#at('conf'), '-gencrl', '-keyfile', this.key, '-cert', this.cert, ...times, '-out', this.#at('crl')]);
    return readFileSync(this.#at('crl'), 'utf8');
  }

  /** The certificate's text, for clients that want that. */
  get pem() {
    return readFileSync(this.cert, 'utf8');
  }

  /** Signs the request at hand. @param {string} cert @param {number} days */
  #sign(cert, days) {
    this.#openssl(['x509', '-req', '-in', this.#at('csr'), '-CA', this.cert, '-CAkey', this.key, '-CAcreateserial', '-days', String(days), '-extfile', this.#at('ext'), '-out', cert]);
  }

  /** The same to the second, which `openssl x509` does not offer. @param {string} cert @param {Date} end */
  #signUntil(cert, end) {
    const text = (/** @type {Date} */ time) => time.toISOString().replace(/[-:T]/g, '').slice(0, 14) + 'Z';
    writeFileSync(this.#at('index'), '');
    writeFileSync(this.#at('conf'), `[ca]\ndefault_ca = own\n[own]\ndatabase = ${this.#at('index')}\nnew_certs_dir = ${this.folder}\nrand_serial = yes\ndefault_md = sha256\npolicy = any\n[any]\ncommonName = supplied\n`);
    const times = ['-startdate', text(new Date(Date.now() - 60_000)), '-enddate', text(end)];
    this.#openssl(['ca', '-batch', '-notext', '-config', this.#at('conf'), '-keyfile', this.key, '-cert', this.cert, ...times, '-in', this.#at('csr'), '-extfile', this.#at('ext'), '-out', cert]);
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
