/*
 * token.ts - what people paste into the field of the key.
 */

/** Without quotes, blanks and characters that nobody sees. */
export function cleanToken(pasted: string): string {
  return pasted.replace(/[\s"'`\u2018\u2019\u201c\u201d\u00ad\u200b-\u200f\u2028-\u202e\u2060\ufeff]/g, '')
}

/** A line for a shell: the value in single quotes. */
export function shellQuote(value: string): string {
  return `'${value.replaceAll("'", "'\\''")}'`
}

export function curlLine(origin: string, key: string): string {
  return `curl -i -H ${shellQuote(`Authorization: Bearer ${key}`)} ${shellQuote(`${origin}/api/gate`)}`
}

export function envLines(origin: string, key: string): string {
  return `export TALLYD_URL=${shellQuote(origin)}\nexport TALLYD_API_KEY=${shellQuote(key)}\n`
}

export function jsonSettings(origin: string, key: string): string {
  return JSON.stringify({ baseUrl: origin, apiKey: key }, null, 2) + '\n'
}
