import { execFile } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';

const execute = promisify(execFile);
const root = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'tersor-package-'));
afterAll(() => rmSync(folder, { recursive: true }));

const tales = join(folder, 'node_modules/tersor/models/tales');
const examples = readdirSync(root('examples')).filter((name) => name.endsWith('.ts'));

/** Packs the built package as npm would publish it, and installs it where its dependencies are linked. */
beforeAll(async () => {
  const words = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder];
  const { stdout } = await execute('npm', words, { cwd: root('.') });
  const [packed] = JSON.parse(stdout) as readonly { readonly filename: string }[];
  const modules = join(folder, 'node_modules');
  mkdirSync(join(modules, 'tersor'), { recursive: true });
  const archive = join(folder, packed?.filename ?? '');
  await execute('tar', ['-xzf', archive, '-C', join(modules, 'tersor'), '--strip-components=1']);
  for (const name of readdirSync(root('node_modules')).filter((each) => !each.startsWith('.')))
    symlinkSync(root(`node_modules/${name}`), join(modules, name));
  for (const name of examples) writeFileSync(join(folder, name), readFileSync(root(`examples/${name}`)));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
});

/** Runs a script of the folder. */
async function run(script: string, words: readonly string[], options: readonly string[] = []) {
  const { stdout } = await execute(process.execPath, [...options, script, ...words], { cwd: folder });
  return stdout;
}

const compile = (names: readonly string[]) =>
  execute(
    process.execPath,
    [
      root('node_modules/typescript/bin/tsc'),
      ...names,
      ...['--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess'],
      ...[
        '--module',
        'nodenext',
        '--target',
        'es2023',
        '--lib',
        'es2024,dom,dom.asynciterable',
        '--types',
        'node',
      ],
    ],
    { cwd: folder },
  );

test('the examples are short, and compile under tsc --strict', async () => {
  expect(examples).toHaveLength(5);
  for (const name of examples)
    expect(
      readFileSync(root(`examples/${name}`), 'utf8')
        .trim()
        .split('\n').length,
    ).toBeLessThanOrEqual(40);
  await compile(examples);
});

test('options that do not belong together do not compile', async () => {
  const program = (options: string) =>
    `import { compress } from 'tersor';\nawait compress({ model: 'a', output: 'b.gguf', ${options} });\n`;
  writeFileSync(
    join(folder, 'right.ts'),
    program("solver: 'gptq', solverOptions: { damping: 0.1 }, type: 'q4_k'"),
  );
  await compile(['right.ts']);
  const wrong = [
    "solver: 'gptq', solverOptions: { windows: 1 }",
    "type: 'q4_q'",
    "solver: 'gtpq'",
    "format: 'ggml'",
  ];
  for (const [index, options] of wrong.entries()) {
    writeFileSync(join(folder, `wrong${index}.ts`), program(options));
    await expect(compile([`wrong${index}.ts`]), options).rejects.toMatchObject({
      stdout: expect.stringContaining(`wrong${index}.ts(2`),
    });
  }
});

test('an import touches no disk, no flags of the engine and no globals', async () => {
  writeFileSync(join(folder, 'watch.mjs'), watch);
  const entries = ['tersor', 'tersor/gguf', 'tersor/stack'];
  writeFileSync(
    join(folder, 'import.mjs'),
    `import { seen } from './watch.mjs';\n${entries.map((name) => `await import('${name}');`).join('\n')}\nconsole.log(JSON.stringify(seen()));\n`,
  );
  expect(JSON.parse(await run('import.mjs', []))).toEqual([]);
  writeFileSync(
    join(folder, 'read.mjs'),
    `import { seen } from './watch.mjs';\nconst { readRecipe } = await import('tersor');\nawait readRecipe('none').catch(() => {});\nconsole.log(JSON.stringify(seen()));\n`,
  );
  expect(JSON.parse(await run('read.mjs', []))).not.toEqual([]);
});

/** Notes what the package's own files call, and globals that appear besides zod's two. */
const watch = `
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import promises from 'node:fs/promises';
import v8 from 'node:v8';
const before = new Set(Object.getOwnPropertyNames(globalThis));
const calls = [];
for (const [room, library] of Object.entries({ fs, promises, v8 }))
  for (const [name, original] of Object.entries(library))
    if (typeof original === 'function' && /^[a-z]/.test(name))
      library[name] = function (...args) {
        const caller = new Error().stack.split('\\n')[2] ?? '';
        if (/tersor.(dist|build)/.test(caller)) calls.push(room + '.' + name);
        return original.apply(this, args);
      };
syncBuiltinESMExports();
export const seen = () => [...calls, ...Object.getOwnPropertyNames(globalThis).filter((name) => !before.has(name) && !/^__zod_/.test(name))];
`;

test('compress.ts meets the size', async () => {
  const printed = await run('compress.js', [tales, 'tales.gguf', '2.2']);
  expect(printed).toMatch(/tales\.gguf: 2\.\d\d MB of 8\.40 MB\ndivergence from the original: 0\.\d+ nats/);
  expect(statSync(join(folder, 'tales.gguf')).size).toBeLessThanOrEqual(2.2e6);
});

test('plan.ts takes the smallest that is good enough', async () => {
  const printed = await run('plan.js', [tales, 'planned.gguf', '0.1']);
  const points = [...printed.matchAll(/^([\d.]+) MB, [\d.]+ bits: ([\d.]+) nats$/gm)].map(
    ([, size, divergence]) => [Number(size), Number(divergence)] as const,
  );
  expect(points.length).toBeGreaterThan(2);
  const wanted = points.find(([, divergence]) => divergence <= 0.1);
  const written = Number(/planned\.gguf: ([\d.]+) MB/.exec(printed)?.[1]);
  // The file has the tokenizer and a header besides the tensors.
  expect(written).toBeGreaterThan(0.9 * (wanted?.[0] ?? 0));
  expect(written).toBeLessThan((wanted?.[0] ?? 0) + 0.3);
});

test('evaluate.ts says what was lost', async () => {
  const printed = await run('evaluate.js', ['tales.gguf', tales, join(tales, 'evaluation.txt')]);
  expect(printed).toMatch(/^size: \d+ bytes of \d+\nperplexity: [\d.]+, originally [\d.]+\n/);
  expect(Number(/divergence: ([\d.]+)/.exec(printed)?.[1])).toBeGreaterThan(0.001);
  expect(Number(/token: ([\d.]+) %/.exec(printed)?.[1])).toBeGreaterThan(60);
});

test('requantize.ts makes a GGUF smaller, and names the code of what is wrong', async () => {
  const printed = await run('requantize.js', ['tales.gguf', 'small.gguf', 'q2_k']);
  expect(printed).toMatch(/largest relative error of a layer: 0\.\d+ \(blk\.\d/);
  expect(printed).toMatch(/types: .*q2_k/);
  expect(printed).toMatch(/made by tersor \d+\.\d+\.\d+/);
  expect(statSync(join(folder, 'small.gguf')).size).toBeLessThan(statSync(join(folder, 'tales.gguf')).size);
  await expect(run('requantize.js', ['none.gguf', 'small.gguf'])).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^not-found: none\.gguf/),
  });
});

test('stream.ts continues a prompt', async () => {
  const printed = await run('stream.js', ['tales.gguf', 'Once upon a time']);
  expect(printed).toMatch(/^Once upon a time/);
  expect(printed.length).toBeGreaterThan(100);
});
