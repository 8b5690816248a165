import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { execute } from '../src/cli/program.js';
import { errorsIn } from './fixtures/command.js';

const tales = fileURLToPath(new URL('../models/tales', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'tersor-command-line-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function tersor(
  words: readonly string[],
  watch: (written: string, stop: () => void) => void = () => {},
) {
  const written = { stdout: '', stderr: '' };
  const controller = new AbortController();
  const stream = (name: 'stdout' | 'stderr', isTTY = false) => ({
    isTTY,
    write: (text: string) => {
      written[name] += text;
      watch(text, () => controller.abort());
    },
  });
  const session = {
    signal: controller.signal,
    stdout: stream('stdout'),
    stderr: stream('stderr', watch.length > 0),
  };
  return { code: await execute(words, session), ...written };
}

const output = join(folder, 'tales.gguf');
const calibration = join(tales, 'calibration.txt');
const recipe = [
  '--type',
  'q3_k',
  '--calibration',
  calibration,
  '--tokens',
  '2048',
  '--override',
  'blk.0.ffn_down=q6_k',
];

test('plans, compresses, inspects, evaluates and tells a story', async () => {
  const planned = JSON.parse((await tersor(['compress', tales, ...recipe, '--dry-run', '--json'])).stdout);

  const compressed = await tersor(['compress', tales, '-o', output, ...recipe, '--json']);
  expect([compressed.code, errorsIn(compressed.stderr)]).toEqual([0, '']);
  const result = JSON.parse(compressed.stdout);
  expect(result).toMatchObject({
    output,
    bytes: planned.bytes,
    bitsPerWeight: planned.bitsPerWeight,
    seconds: expect.any(Number),
    peakMemoryBytes: expect.any(Number),
    verified: { runtime: expect.stringContaining('llama.cpp'), meanDivergence: expect.any(Number) },
  });
  expect(statSync(output).size).toBe(planned.bytes);
  expect(result.tensors).toHaveLength(planned.tensors.length);
  for (const [index, { name, type, bytes }] of planned.tensors.entries()) {
    expect(result.tensors[index]).toMatchObject({ name, type, bytes, relativeError: expect.any(Number) });
  }

  const inspected = JSON.parse((await tersor(['inspect', output, '--json'])).stdout);
  expect(inspected).toMatchObject({ format: 'gguf', architecture: 'llama', bytes: planned.bytes });
  expect(inspected.tensors).toContainEqual(
    expect.objectContaining({ name: 'blk.0.ffn_down.weight', type: 'q6_k', shape: [256, 768] }),
  );

  const text = join(tales, 'evaluation.txt');
  const words = ['evaluate', output, '--against', tales, '--text', text, '--tokens', '2048'];
  const evaluation = JSON.parse((await tersor([...words, '--json'])).stdout);
  expect(evaluation.divergence.mean).toBeGreaterThan(0.02);
  expect(evaluation.divergence.mean).toBeLessThan(0.3);
  expect(evaluation.sameTop).toBeGreaterThan(0.7);
  // the same figures for people
  const shown = (await tersor(words)).stdout;
  expect(shown).toContain(`size        ${planned.bytes.toLocaleString('en-US')} bytes, 29.`);
  expect(shown).toMatch(/perplexity {2}[\d.]+ \(original [\d.]+, [+−][\d.]+ %\)/);
  expect(shown).toContain(`divergence  ${evaluation.divergence.mean.toPrecision(3)} ± `);

  const story = await tersor(['run', output, 'Once upon a time', '--temperature', '0', '--max-tokens', '30']);
  expect(story.stdout).toMatch(/^Once upon a time, there was a little (girl|boy)/);
});

test('leaves nothing behind when stopped', async () => {
  const path = join(folder, 'stopped.gguf');
  const stopAtFirstBar = (text: string, stop: () => void) => text.includes('compress') && stop();
  const { code, stderr } = await tersor(['compress', tales, '-o', path, ...recipe], stopAtFirstBar);
  expect(code).toBe(1);
  expect(stderr.split('\n').at(-2)).toContain('stopped before the end');
  expect(readdirSync(folder).filter((name) => name.startsWith('stopped'))).toEqual([]);
});
