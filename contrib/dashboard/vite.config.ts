import { defineConfig } from 'vite'

/*
 * tallyd sends "Content-Security-Policy: default-src 'self'": nothing may be
 * inline, so no data: addresses, no polyfill text in the page.
 * OUT_DIR is web/dashboard of the build directory.
 */
export default defineConfig({
  base: '/dashboard/',
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact', legalComments: 'none' },
  build: {
    outDir: process.env.OUT_DIR ?? 'dist',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    manifest: true, // for tools/compress.mjs
    rollupOptions: { input: ['index.html', 'docs.html'] }
  },
  logLevel: 'warn'
})
