import { createServer } from 'node:net';

/**
 * A port that is free now, and that the system gives to nobody who does not ask for it: until a program listens there, a
 * connection of another one could have taken a port from the range for those.
 * @returns {Promise<number>}
 */
export function freePort() {
  const wanted = 10_000 + Math.floor(Math.random() * 22_000);
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (/** @type {NodeJS.ErrnoException} */ error) => (error.code === 'EADDRINUSE' ? resolve(freePort()) : reject(error)));
    server.listen(wanted, '127.0.0.1', () => server.close(() => resolve(wanted)));
  });
}
