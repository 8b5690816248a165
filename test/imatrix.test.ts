import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { meanSquares, readImatrix } from '../src/checkpoint/imatrix.js';
import { compress } from '../src/pipeline/compress.js';
import { evaluate } from '../src/pipeline/evaluate.js';
import { imatrix } from '../src/pipeline/imatrix.js';
import { inspect } from '../src/pipeline/inspect.js';
import { quantizeWithLlama } from '../src/runtime/llama-quantize.js';
import { writeImatrix } from '../src/writer/imatrix.js';
import { tersor } from './fixtures/command.js';
import { tales } from './fixtures/data.js';
import { micros, writeMicro } from './fixtures/micro.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-imatrix-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = (name: string) => join(folder, name);
/** What llama-imatrix made of `model` and `text`, of which it keeps the last name only. */
const theirs = (kind: string) => fileURLToPath(new URL(`fixtures/imatrix/micro.${kind}`, import.meta.url));
const model = file('micro');
const text = file('text.txt');

beforeAll(async () => {
  await writeMicro(model, micros.llama, 7);
  writeFileSync(text, readFileSync(tales.evaluation).subarray(0, 4000));
});

describe.each(['gguf', 'dat'])("llama.cpp's .%s", (kind) => {
  test('is read and written again byte for byte', async () => {
    const matrix = await readImatrix(theirs(kind));
    expect(matrix).toMatchObject({ datasets: ['text.txt'], chunks: 16, chunkSize: kind === 'gguf' ? 64 : 0 });
    expect(matrix.entries.size).toBe(14);
    const again = file(`again.${kind}`);
    expect(await writeImatrix(again, matrix)).toBe(readFileSync(again).length);
    expect(readFileSync(again)).toEqual(readFileSync(theirs(kind)));
  });

  test('says what tersor finds of the same model and text', async () => {
    const output = file(`ours.${kind}`);
    const result = await imatrix({ model, output, calibration: text, context: 64 });
    expect(result).toMatchObject({ output, entries: 14, tokens: 1024, chunks: 16, context: 64 });
    const [ours, expected] = [await readImatrix(output), await readImatrix(theirs(kind))];
    expect([...ours.entries.keys()]).toEqual([...expected.entries.keys()]);
    for (const [name, entry] of expected.entries) {
      const found = ours.entries.get(name) ?? { sums: new Float32Array(), counts: new Float32Array() };
      expect(found.counts, name).toEqual(entry.counts);
      const ratios = meanSquares(entry).map((value, at) => (meanSquares(found)[at] ?? Number.NaN) / value);
      // llama.cpp keeps keys and values as halves.
      expect(Math.max(...ratios.map((ratio) => Math.abs(ratio - 1))), name).toBeLessThan(0.005);
    }
  });
});

test('a .gguf matrix becomes the .dat that llama.cpp makes of it', async () => {
  await writeImatrix(file('converted.dat'), await readImatrix(theirs('gguf')));
  expect(readFileSync(file('converted.dat'))).toEqual(readFileSync(theirs('dat')));
});

test('experts that no token reached count alike', () => {
  const entry = { sums: Float32Array.of(6, 9, 0, 0), counts: Float32Array.of(3, 0) };
  expect([...meanSquares(entry)]).toEqual([2, 3, 1, 1]);
});

describe('compress --imatrix', () => {
  const small = ['--type', 'q4_0', '--context', '64', '--calibration', text] as const;

  test('rounds under the matrix, and the file says so', async () => {
    const output = file('micro.gguf');
    const result = await tersor('compress', model, '-o', output, ...small, '--imatrix', theirs('gguf'));
    expect(result).toMatchObject({ code: 0, errors: '' });
    expect(result.stderr).toMatch(/rounded by itself under the importance\s+of\s+its input/);
    const { provenance } = await inspect({ model: output });
    const recipe = JSON.parse(provenance?.recipe ?? '{}');
    expect(recipe).toMatchObject({ solver: 'rtn', imatrix: theirs('gguf'), type: 'q4_0' });
    expect(recipe).not.toHaveProperty('match');
  });

  test('reports the error under the matrix, which it makes smaller', async () => {
    const run = async (imatrix?: string) => {
      const options = { model, output: file('q.gguf'), type: 'q4_0', context: 64, calibration: text };
      const { tensors } = await compress(imatrix ? { ...options, imatrix } : { ...options, solver: 'rtn' });
      return tensors.find(({ name }) => name === 'blk.1.ffn_down.weight')?.relativeError ?? Number.NaN;
    };
    // One column that carries everything is the only one that matters.
    const matrix = await readImatrix(theirs('gguf'));
    const entries = new Map(matrix.entries);
    const sums = Float32Array.from({ length: 96 }, (_, column) => (column === 5 ? 1 : 0));
    entries.set('blk.1.ffn_down.weight', { sums, counts: Float32Array.of(1) });
    await writeImatrix(file('one.gguf'), { ...matrix, entries });
    expect(await run(file('one.gguf'))).toBeLessThan(0.05 * (await run(theirs('gguf'))));
  });

  test.each([
    [['--solver', 'gptq'], /micro\.gguf: the solver gptq needs the second moments of a text.*--solver/],
    [['--solver-option', 'importance=uniform'], /contradict each other/],
    [['--shrinkage', '0.3'], /--imatrix and --shrinkage contradict each other/],
    [['--imatrix', 'missing.dat'], /missing\.dat: does not exist/],
    [['--imatrix', text], /text\.txt: is not an importance matrix/],
  ])('%j is refused', async (words, message) => {
    const result = await tersor(
      'compress',
      model,
      '-o',
      file('no.gguf'),
      ...small,
      '--imatrix',
      theirs('gguf'),
      ...words,
    );
    expect(result.code).toBe(1);
    expect(result.errors).toMatch(message);
  });

  test('so are searches, and types that need more than a diagonal', async () => {
    const imatrix = theirs('gguf');
    const output = file('no.gguf');
    const options = { model, imatrix, calibration: text, context: 64 };
    await expect(compress({ ...options, output, bits: 6 })).rejects.toThrow(
      /a search .* needs the second moments/,
    );
    const own = { ...options, output: file('folder'), format: 'safetensors', type: 'vq-d4-k64' };
    await expect(compress(own)).rejects.toThrow(/q_proj.*vq-d4-k64 needs the second moments/);
  });

  test('a matrix of another model is refused by the name of a tensor', async () => {
    const matrix = await readImatrix(theirs('gguf'));
    const run = (imatrix: string) => compress({ model, output: file('no.gguf'), type: 'q4_0', imatrix });
    const entries = new Map(matrix.entries);
    entries.delete('blk.1.attn_v.weight');
    await writeImatrix(file('less.dat'), { ...matrix, entries });
    await expect(run(file('less.dat'))).rejects.toThrow(/less\.dat.*blk\.1\.attn_v\.weight.*no entry/);
    entries.set('blk.1.attn_v.weight', { sums: new Float32Array(32), counts: Float32Array.of(1) });
    await writeImatrix(file('other.gguf'), { ...matrix, entries });
    await expect(run(file('other.gguf'))).rejects.toThrow(/attn_v\.weight.*32 columns.*64/);
  });

  test('corrupt files are refused', async () => {
    for (const kind of ['gguf', 'dat']) {
      writeFileSync(file(`half.${kind}`), readFileSync(theirs(kind)).subarray(0, 3000));
      await expect(readImatrix(file(`half.${kind}`))).rejects.toThrow(/half\..*(truncated|ends)/);
    }
    const matrix = await readImatrix(theirs('dat'));
    const entries = new Map([['a.weight', { sums: Float32Array.of(1, -2), counts: Float32Array.of(1) }]]);
    await writeImatrix(file('negative.dat'), { ...matrix, entries });
    await expect(readImatrix(file('negative.dat'))).rejects.toThrow(/a\.weight.*-2/);
  });
});

test("llama.cpp's quantizer gives a better model under tersor's matrix", async () => {
  const calibration = tales.calibration;
  const full = file('tales.gguf');
  await compress({
    model: tales.model,
    output: full,
    type: 'f16',
    embeddingType: 'f16',
    calibration,
    tokens: 256,
  });
  await imatrix({ model: tales.model, output: file('tales.dat'), calibration, tokens: 2048 });
  const { entries } = await readImatrix(file('tales.dat'));
  const means = new Map([...entries].map(([name, entry]) => [name, meanSquares(entry)]));
  const score = async (output: string, options: Parameters<typeof quantizeWithLlama>[3]) => {
    await quantizeWithLlama(full, output, 'q3_k', { pure: true, ...options });
    const { divergence } = await evaluate({
      model: output,
      against: tales.model,
      text: tales.evaluation,
      tokens: 512,
    });
    return divergence?.mean ?? Number.NaN;
  };
  const plain = await score(file('plain.gguf'), {});
  expect(await score(file('weighted.gguf'), { imatrix: means })).toBeLessThan(0.95 * plain);
}, 30_000);
