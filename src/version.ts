import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The version in package.json, which lies one folder above both the sources and the built files. */
export const packageVersion: string = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
).version;

const folders = ['.', '../build'].map((name) => new URL(`${name}/`, import.meta.url));
let known: string | undefined;

/**
 * Hash of the code that runs, kernels included. What is kept for later runs is marked with it, so that no version,
 * released or not, takes another one's results for its own.
 */
export function codeVersion(): string {
  known ??= hashOf(folders);
  return known;
}

function hashOf(folders: readonly URL[]): string {
  const hash = createHash('sha256').update(packageVersion);
  for (const folder of folders.map((url) => fileURLToPath(url))) {
    const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
    for (const name of names.filter((each) => /(?<!\.test|\.d)\.(js|ts|wasm)$/.test(each)).sort()) {
      hash.update(`${name}\n`).update(readFileSync(join(folder, name)));
    }
  }
  return hash.digest('hex');
}
