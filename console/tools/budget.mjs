// Fails when what the first page loads (index.html and everything it names) is over its budget.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const initial_bytes_max = 400 * 1024;
const dist = fileURLToPath(new URL('../dist/', import.meta.url));
const html = readFileSync(`${dist}index.html`, 'utf8');
if (/<script(?![^>]*\ssrc=)|\son\w+=|https?:\/\//.test(html)) {
  console.error('index.html has an inline script or an outside address: the content security policy would refuse it');
  process.exit(1);
}
const seen = new Set();
// Static imports of a module are loaded with it; dynamic ones are not.
function add(name) {
  if (seen.has(name)) return;
  seen.add(name);
  if (!name.endsWith('.js')) return;
  const text = readFileSync(dist + name, 'utf8');
  for (const [, file] of text.matchAll(/(?:from|import)\s*"\.\/([^"]+\.js)"/g)) add(`assets/${file}`);
}
for (const [, file] of html.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)) add(file);
let total = gzipSync(html).length;
for (const name of seen) total += gzipSync(readFileSync(dist + name)).length;
console.log(`initial load: ${seen.size} files, ${(total / 1024).toFixed(1)} KiB gzip of ${initial_bytes_max / 1024}`);
process.exit(total > initial_bytes_max ? 1 : 0);
