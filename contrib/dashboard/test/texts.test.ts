import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { docsEn } from '../src/i18n/docs_en.ts'
import { docsVi } from '../src/i18n/docs_vi.ts'
import { en } from '../src/i18n/en.ts'
import { fill } from '../src/i18n/table.ts'
import { vi } from '../src/i18n/vi.ts'

const pairs = [['pages', en, vi], ['docs', docsEn, docsVi]] as const
const holes = (text: string) => (text.match(/\{\w+\}/g) ?? []).sort()

for (const [name, first, second] of pairs) {
  const a = first as Record<string, string>, b = second as Record<string, string>

  test(`${name}: both languages have every text, none is empty`, () => {
    assert.deepEqual(Object.keys(b).sort(), Object.keys(a).sort())
    for (const [key, text] of [...Object.entries(a), ...Object.entries(b)]) assert.notEqual(text.trim(), '', key)
  })

  test(`${name}: both languages have the same holes to fill`, () => {
    for (const key of Object.keys(a)) assert.deepEqual(holes(b[key]!), holes(a[key]!), key)
  })

  test(`${name}: what is a sentence in English is translated`, () => {
    for (const key of Object.keys(a)) {
      if (a[key]!.split(' ').length > 2) assert.notEqual(b[key], a[key], key)
    }
  })
}

test('holes are filled, unknown ones stay to be seen', () => {
  assert.equal(fill('{n} of {limit}', { n: 1, limit: 2 }), '1 of 2')
  assert.equal(fill('{n} {other}', { n: 0 }), '0 {other}')
})

function sources(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true }).flatMap(e =>
    e.isDirectory() ? sources(join(dir, e.name)) : /\.tsx?$/.test(e.name) ? [join(dir, e.name)] : [])
}

test('no text stands unused', () => {
  const tables = /i18n.(en|vi|docs_en|docs_vi)\.ts$/
  const all = sources('src').filter(f => !tables.test(f)).map(f => readFileSync(f, 'utf8')).join('\n')
  const made = [...all.matchAll(/`([a-z_.]+(?:\$\{[^}]*\}[a-z_.]*)+)`/g)]
    .map(m => new RegExp(`^${m[1]!.replaceAll('.', '\\.').replace(/\$\{[^}]*\}/g, '.+')}$`))
  const unused = Object.keys(en).filter(key => !all.includes(`'${key}'`) && !made.some(m => m.test(key)))

  assert.deepEqual(unused, [])
})

test('nothing is written into pages as markup', () => {
  for (const file of sources('src')) {
    assert.doesNotMatch(readFileSync(file, 'utf8'), /dangerouslySetInnerHTML|innerHTML|insertAdjacentHTML|style="/, file)
  }
})
