/*
 * run.mjs - the unit tests, bundled by the esbuild that Vite brings, because
 * node 18 reads no TypeScript, and run by node's own runner.
 */
import { spawnSync } from 'node:child_process'
import { readdirSync, rmSync } from 'node:fs'
import { build } from 'esbuild'

const here = new URL('.', import.meta.url).pathname
const names = readdirSync(here).filter(name => name.endsWith('.test.ts'))
const out = 'test-out'

rmSync(out, { recursive: true, force: true })
await build({
  entryPoints: names.map(name => here + name),
  outdir: out,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node18',
  logLevel: 'warning'
})
const made = names.map(name => `${out}/${name.replace(/\.ts$/, '.mjs')}`)
process.exitCode = spawnSync(process.execPath, ['--test', ...made], { stdio: 'inherit' }).status ?? 1
