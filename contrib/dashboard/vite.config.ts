import { defineConfig, type Plugin } from 'vite'

/*
 * tallyd sends "Content-Security-Policy: default-src 'self'": nothing may be
 * inline, so no data: addresses, no polyfill text in the page.
 * OUT_DIR is web/dashboard of the build directory.
 */
const paintOnce: Plugin = {
  name: 'paint-once',
  /* The theme that was chosen is known to the script: no other is shown first. */
  transformIndexHtml: {
    order: 'post',
    handler: html => html.replace('<script type="module"', '<script type="module" blocking="render"')
  }
}

export default defineConfig({
  plugins: [paintOnce],
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
