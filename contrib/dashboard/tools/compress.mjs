/*
 * compress.mjs - .gz and .br beside each file, and the budget of a first load.
 *
 * The daemon sends these bytes as they are.  A first load is a page with all
 * that its HTML names; what is imported later does not count.
 */
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

const BUDGET_BYTES = 60 * 1024
const MIN_BYTES = 256 // below, a header more is all that is won

const out = process.env.OUT_DIR ?? 'dist'

function files(dir) {
  return readdirSync(dir).flatMap(name => {
    const path = join(dir, name)
    return statSync(path).isDirectory() ? files(path) : [path]
  })
}

const compressedBytes = new Map()
for (const path of files(out)) {
  if (!/\.(html|js|css|svg|json)$/.test(path)) continue
  const raw = readFileSync(path)
  compressedBytes.set(path, raw.length)
  if (raw.length < MIN_BYTES) continue
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

for (const page of ['index.html', 'docs.html']) {
  const path = join(out, page)
  const named = readFileSync(path, 'utf8').matchAll(/(?:src|href)="\/dashboard\/([^"]+)"/g)
  let total = compressedBytes.get(path)
  for (const [, name] of named) total += compressedBytes.get(join(out, name))
  console.log(`${page}: first load ${(total / 1024).toFixed(1)} KiB compressed`)
  if (total > BUDGET_BYTES) {
    console.error(`${page} is over its budget of ${BUDGET_BYTES / 1024} KiB`)
    process.exitCode = 1
  }
}
