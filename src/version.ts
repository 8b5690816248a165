import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

// This file is what runs from the sources. The build puts its answers in the place of the compiled one
// (scripts/stamp-version.mjs), so that a package reads no files for them.

const root = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const { version, dependencies } = JSON.parse(readFileSync(root('package.json'), 'utf8')) as {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
};

export const packageVersion: string = version;

/** What prints, writes files or says what is there. Everything else decides on weights, until somebody proves otherwise. */
const printing =
  /^(cli|report|writer|pipeline[/\\](report|generate|inspect)|(index|gguf|stack|errors|version)\.)|[/\\](hooks|progress|steps)\./;
let known: string | undefined;

/**
 * Hash of the code that solves, kernels included, and of the packages that it calls. What is kept for later runs is marked
 * with it, so that no version, released or not, takes another one's results for its own.
 */
export function codeVersion(): string {
  known ??= hashCode();
  return known;
}

function hashCode(): string {
  const hash = createHash('sha256').update(JSON.stringify(dependencies));
  const code = fileURLToPath(new URL('.', import.meta.url));
  const names = readdirSync(code, { recursive: true, encoding: 'utf8' });
  for (const name of names.filter(solves).sort())
    hash.update(`${name.replaceAll('\\', '/')}\n`).update(readFileSync(join(code, name)));
  return hash.update(readFileSync(root('build/kernels.wasm'))).digest('hex');
}

/** Whether a file of src/ or dist/ is code that decides on weights. */
export const solves = (name: string): boolean =>
  /(?<!\.test|\.d)\.(js|ts)$/.test(name) && !printing.test(name);
