/*
 * compress.mjs - .gz and .br beside each file, and the budget of a first load.
 *
 * The daemon sends these bytes as they are.  A first load is a page with all
 * that it needs until its data are shown, by gzip, which the least able of
 * today's clients takes.
 */
import { readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

const BUDGET_BYTES = 60 * 1024
const MIN_BYTES = 256 // below, one more header is all that is won

const out = process.env.OUT_DIR ?? 'dist'
const manifest = JSON.parse(readFileSync(join(out, '.vite/manifest.json'), 'utf8'))
rmSync(join(out, '.vite'), { recursive: true })

function files(dir) {
  return readdirSync(dir).flatMap(name => {
    const path = join(dir, name)
    return statSync(path).isDirectory() ? files(path) : [path]
  })
}

const compressedBytes = new Map()
for (const path of files(out)) {
  const raw = readFileSync(path)
  compressedBytes.set(path, raw.length)
  if (raw.length < MIN_BYTES || !/\.(html|js|css|svg|json)$/.test(path)) continue
  const gz = gzipSync(raw, { level: 9 })
  const br = brotliCompressSync(raw, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 11,
      [constants.BROTLI_PARAM_SIZE_HINT]: raw.length
    }
  })
  writeFileSync(path + '.gz', gz)
  writeFileSync(path + '.br', br)
  compressedBytes.set(path, gz.length)
}

/* All files that a chunk needs, with those it imports. */
function needed(chunk, seen = new Set()) {
  const { file, css = [], assets = [], imports = [] } = manifest[chunk]
  for (const name of [file, ...css, ...assets]) seen.add(name)
  for (const other of imports) {
    if (!seen.has(manifest[other].file)) needed(other, seen)
  }
  return seen
}

const PAGES = {
  'index.html': ['index.html', 'src/pages/overview/overview.tsx'],
  'docs.html': ['docs.html']
}
for (const [page, chunks] of Object.entries(PAGES)) {
  const all = new Set([page, ...chunks.flatMap(c => [...needed(c)])])
  const total = [...all].reduce((sum, name) => sum + compressedBytes.get(join(out, name)), 0)
  console.log(`${page}: first load ${(total / 1024).toFixed(1)} KiB compressed`)
  if (total > BUDGET_BYTES) {
    console.error(`${page} is over its budget of ${BUDGET_BYTES / 1024} KiB`)
    process.exitCode = 1
  }
}
