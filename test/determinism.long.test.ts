import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tersor } from './fixtures/command.js';
import { tales } from './fixtures/data.js';
import { micros, writeMicro } from './fixtures/micro.js';
import { writeMicroBert } from './fixtures/micro-bert.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-determinism-'));
afterAll(() => rmSync(folder, { recursive: true }));
const model = (name: string) => join(folder, name);
beforeAll(async () => {
  await writeMicro(model('micro'), micros.llama, 7);
  await writeMicroBert(model('bert'), 7);
});

/** Every file below a path, by its path. */
function files(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  const names = readdirSync(path, { recursive: true, encoding: 'utf8' });
  return names
    .sort()
    .map((name) => join(path, name))
    .filter((file) => statSync(file).isFile());
}

/** Hash of what one run writes. (Of stacked files see stack.long.test.ts.) */
async function fingerprint(name: string, words: readonly string[]): Promise<string> {
  const output = join(folder, name);
  const text = ['--calibration', tales.calibration, '--tokens', '512', '--context', '64'];
  const outcome = await tersor('compress', ...words, '-o', output, ...text, '--no-resume');
  expect(outcome).toMatchObject({ code: 0, errors: '' });
  const hash = createHash('sha256');
  for (const file of files(output)) hash.update(file).update(readFileSync(file));
  rmSync(output, { recursive: true });
  return hash.digest('hex');
}

/** The layers of two blocks to a type, and everything else as cheaply as can be. */
const blocks = (type: string) => [
  ...[tales.model, '--type', 'f16', '--embedding-type', 'q8_0'],
  ...['--override', `blk\\.[01]\\.(attn_[qkvo]|ffn_[dgu])=${type}`],
];

describe.each<[string, string, () => readonly string[]]>([
  ['q3_k', 'model.gguf', () => blocks('q3_k')],
  ['q4_0', 'model.gguf', () => blocks('q4_0')],
  ['a size', 'model.gguf', () => [model('micro'), '--bits', '7', '--types', 'q4_0,q8_0', '--solver', 'gptq']],
  ['onnx', 'model', () => [model('micro'), '--format', 'onnx', '--type', 'int4']],
  ['an encoder', 'model', () => [model('bert'), '--format', 'onnx', '--type', 'int4']],
  ['vLLM', 'model', () => [model('micro'), '--format', 'compressed-tensors', '--type', 'int4-g32']],
])('%s', (_, name, words) => {
  let once = '';
  beforeAll(async () => {
    once = await fingerprint(name, [...words(), '--threads', '2']);
  });

  test.each(['1', '2', '3'])('the same bytes again with %s threads', async (threads) => {
    expect(await fingerprint(name, [...words(), '--threads', threads])).toBe(once);
  });
});
