import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compress } from '../src/pipeline/compress.js';
import { evaluate } from '../src/pipeline/evaluate.js';
import type { CompressResult } from '../src/pipeline/measure/result.js';
import { tersor } from './fixtures/command.js';
import { tales } from './fixtures/data.js';
import { micros, writeMicro } from './fixtures/micro.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-stacked-'));
afterAll(() => rmSync(folder, { recursive: true }));
const calibration = tales.calibration;
const quick = { calibration, tokens: 1024, context: 64, solver: 'gptq', solverOptions: { damping: 0.3 } };

describe.each(['llama', 'gpt2'] as const)('a stacked %s', (name) => {
  const model = join(folder, name);
  const output = join(folder, `${name}.stack`);
  let result: CompressResult;
  beforeAll(async () => {
    await writeMicro(model, micros[name], 7);
    result = await compress({ ...quick, model, output, threads: 2 });
  });
  const divergence = async (share: number) => {
    const options = { model: output, against: model, text: tales.evaluation, context: 64, tokens: 512 };
    return (await evaluate({ ...options, portion: { share } })).divergence?.mean ?? Number.NaN;
  };

  test('gets closer to the original with its bytes', async () => {
    expect(result.bytes).toBe(statSync(output).size);
    const [third, half, most, all] = [
      await divergence(1 / 3),
      await divergence(0.5),
      await divergence(0.75),
      await divergence(1),
    ] as const;
    expect(half).toBeLessThan(third);
    expect(most).toBeLessThan(half / 2);
    expect(all).toBeLessThan(most / 2);
    expect(result.prefixes?.map(({ share }) => share)).toEqual([0.25, 0.5, 0.75, 1]);
  });

  test.each([1, 3])('is the same with %i threads', async (threads) => {
    const again = join(folder, 'again.stack');
    await compress({ ...quick, model, output: again, threads });
    expect(readFileSync(again).equals(readFileSync(output))).toBe(true);
  });
});

describe('the command line', () => {
  const model = join(folder, 'llama');
  const output = join(folder, 'llama.stack');
  const run = (...words: string[]) =>
    tersor(
      'compress',
      model,
      '-o',
      join(folder, 'cut.stack'),
      '--force',
      '--calibration',
      calibration,
      '--tokens',
      '512',
      '--solver',
      'gptq',
      ...words,
    );

  test('keeps to a size, and gives less than the coarsest model to nobody', async () => {
    const size = Math.round(0.6 * statSync(output).size);
    expect((await run('--size', `${size}`)).errors).toBe('');
    const { size: written } = statSync(join(folder, 'cut.stack'));
    expect(written).toBeLessThanOrEqual(size);
    expect(written).toBeGreaterThan(0.9 * size);
    const refused = await run('--size', '60kB');
    expect(refused.errors).toMatch(
      /^error: 60000 bytes cannot be reached: the coarsest model takes \d+; ask for/,
    );
    expect(readdirSync(folder).filter((each) => each.includes('tmp'))).toEqual([]);
  });

  test('refuses what does not apply', async () => {
    expect((await run('--type', 'q4_k')).errors).toMatch('--type does not apply to the output format stack');
    expect((await run('--dry-run')).errors).toMatch('leave --dry-run out');
    const text = ['--text', tales.evaluation, '--context', '64', '--tokens', '64'];
    const wrong = await tersor('evaluate', model, '--bytes', '50%', ...text);
    expect(wrong.errors).toMatch('only a part of a stacked file is a model');
    expect((await tersor('evaluate', output, '--bytes', '120%', ...text)).errors).toMatch(
      'give a share from 0',
    );
  });

  test('continues a text with all of it and with a part', async () => {
    const words = ['run', output, 'Once upon a time', '--max-tokens', '12', '--temperature', '0', '--json'];
    const [all, part, again] = [
      await tersor(...words),
      await tersor(...words, '--bytes', '30%'),
      await tersor(...words),
    ];
    const textOf = ({ stdout }: { readonly stdout: string }) => JSON.parse(stdout).text;
    expect(textOf(all).length).toBeGreaterThan(5);
    expect(textOf(again)).toBe(textOf(all));
    expect(textOf(part)).not.toBe(textOf(all));
    const gguf = await tersor('run', tales.calibration, 'Once', '--bytes', '30%');
    expect(gguf.errors).toMatch(/neither a GGUF or stacked file/);
  });

  test('says what a part is of', async () => {
    const { stdout } = await tersor('inspect', output);
    expect(stdout).toMatch(/slices, the most useful first/);
    expect(stdout).toMatch(/recipe.solver +gptq/);
  });
});
