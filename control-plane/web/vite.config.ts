import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

/**
 * `RIBALTA_SITE=http://127.0.0.1:8080 npm run dev` serves the pages from source and hands everything else to a running
 * instance, so that a page can be worked on with real videos.
 */
const site = process.env.RIBALTA_SITE ?? 'http://127.0.0.1:8080';
const proxied = ['/api', '/files', '/live', '/v/', '/t/'];

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: 'es2022',
    sourcemap: false,
    // hls.js is one chunk of 560 kB that only players load.
    chunkSizeWarningLimit: 700,
  },
  server: {
    proxy: Object.fromEntries(proxied.map((path) => [path, { target: site, changeOrigin: false }])),
  },
});
