import vue from '@vitejs/plugin-vue';
import { defineConfig } from 'vitest/config';

// The hub serves this with `default-src 'self'`: no inline script, no eval, nothing from elsewhere. `BRIM_HUB` points
// the development server at a running hub.
const hub = process.env['BRIM_HUB'] ?? 'http://127.0.0.1:8080';

export default defineConfig({
  base: '/',
  plugins: [vue()],
  server: { host: '127.0.0.1', port: 5173, proxy: { '/api': { target: hub, changeOrigin: false } } },
  build: {
    target: 'es2022',
    assetsDir: 'assets',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    reportCompressedSize: false,
  },
  test: { include: ['tests/**/*.test.ts'], environment: 'node' },
});
