// A reader of server-sent events over node:http, so that a test can also stop reading.
import { get } from 'node:http';

export class EventReader {
  /** @type {{ id: string, type: string, data: any }[]} */ events = [];
  lastId = '';
  ended = false;
  #rest = '';

  /** @param {import('node:http').IncomingMessage} response @param {boolean} paused */
  constructor(response, paused) {
    this.response = response;
    const ended = () => (this.ended = true);
    response.on('end', ended).on('close', ended).on('error', ended);
    response.setEncoding('utf8');
    if (paused) response.pause();
    else this.resume();
  }

  /** Starts reading. */
  resume() {
    this.response.on('data', (chunk) => this.#read(chunk));
    this.response.resume();
  }

  /** @param {string} chunk */
  #read(chunk) {
    const blocks = (this.#rest + chunk).split('\n\n');
    this.#rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]));
      if (fields['data'] === undefined) continue;
      if (fields['id']) this.lastId = fields['id'];
      this.events.push({ id: fields['id'] ?? '', type: fields['event'] ?? '', data: JSON.parse(fields['data']) });
    }
  }

  /** @param {import('./hub.mjs').Hub} hub @param {string} path @param {string} token @param {string} [lastId] @returns {Promise<EventReader>} */
  static open(hub, path, token, lastId, paused = false) {
    return new Promise((resolve, reject) => {
      const headers = { Authorization: `Bearer ${token}`, ...(lastId ? { 'Last-Event-ID': lastId } : {}) };
      const request = get(hub.url + path, { headers, agent: false }, (response) => {
        if (response.statusCode === 200) resolve(new EventReader(response, paused));
        else reject(new Error(`event stream: ${response.statusCode}`));
      });
      request.on('error', reject);
    });
  }

  async close() {
    this.response.destroy();
  }
}
