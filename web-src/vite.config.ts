import { defineConfig } from 'vite';

// What is built is committed and shipped inside the Python package, so the same sources must give
// the same bytes everywhere: no dates, no paths, versions pinned by package-lock.json.
export default defineConfig({
  base: '/studio/',
  build: {
    outDir: '../src/dreamgrid/web',
    emptyOutDir: true,
    assetsDir: '',
    assetsInlineLimit: 0, // the page's policy allows no data: for scripts, styles and fonts
    target: 'es2022',
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'], // light-dark() as it is
    modulePreload: { polyfill: false },
    reportCompressedSize: false
  },
  server: {
    // `npm run dev` beside a grid: same origin for the cookie, so everything else goes through.
    proxy: Object.fromEntries(
      ['/v1', '/v2', '/v4', '/api', '/healthz', '/blobs', '/socket', '/docs', '/openapi.json'].map((path) => [
        path,
        { target: process.env['DREAMGRID_URL'] ?? 'http://127.0.0.1:8770', ws: path === '/socket' }
      ])
    )
  }
});
