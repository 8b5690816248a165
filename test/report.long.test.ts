import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { Evaluation } from '../src/pipeline/evaluate.js';
import type { CompressResult } from '../src/pipeline/measure/result.js';
import type { Findings } from '../src/report/findings.js';
import { tersor } from './fixtures/command.js';
import { tales } from './fixtures/data.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-report-'));
afterAll(() => rmSync(folder, { recursive: true }));

const output = join(folder, 'tales.gguf');
const page = join(folder, 'run.html');
/** Small jobs gain nothing from threads, and lose much where other jobs run beside them. */
const alone = ['--threads', '1'];

let made: CompressResult;

test('compress writes a report of what it made', async () => {
  // Calibrated on the original model, errors of layers are those of the original's inputs, as in reports.
  const words = [
    'compress',
    tales.model,
    '-o',
    output,
    '--type',
    'q3_k',
    '--solver',
    'rtn',
    '--calibrate-on',
    'original',
  ];
  const text = ['--calibration', tales.calibration, '--report', page, '--json'];
  const { code, errors, stdout } = await tersor(...words, ...text, ...alone);
  expect({ code, errors }).toEqual({ code: 0, errors: '' });
  made = JSON.parse(stdout);
  expect(readdirSync(folder).sort()).toEqual(['run.html', 'tales.gguf']);
  const html = readFileSync(page, 'utf8');
  expect(html).toContain('2.36\u00a0MB');
  expect(html).toContain('the end of calibration.txt (not calibrated on)');
  expect(html).toContain('llama.cpp opens the file');
  expect(html).toContain('What it changed, layer by layer');
  expect(html).toContain('<span>--solver</span> <span>rtn</span>');
  expect(html).not.toMatch(/<script|<link|https?:|NaN|undefined/);
});

test('report finds the same as compress, as evaluate, and what the file says of itself', async () => {
  const { recipe }: { recipe: string } = JSON.parse(
    (await tersor('inspect', output, '--json')).stdout,
  ).provenance;
  const { tokens } = JSON.parse(recipe);
  // What was calibrated on: then errors are the run's.
  const pair = [output, '--against', tales.model, '--text', tales.calibration, '--tokens', String(tokens)];
  const prompt = ['--prompt', 'Once upon a time'];
  const findings: Findings = JSON.parse(
    (await tersor('report', ...pair, ...prompt, '--json', ...alone)).stdout,
  );
  const errors = new Map(findings.tensors.map(({ name, relativeError }) => [name, relativeError]));
  for (const { name, relativeError } of made.tensors) {
    if (relativeError === 0) expect(errors.get(name), name).toBeUndefined();
    else expect((errors.get(name) ?? 0) / relativeError, name).toBeCloseTo(1, 3);
  }
  const evaluation: Evaluation = JSON.parse(
    (await tersor('evaluate', ...pair, '--context', '256', '--json', ...alone)).stdout,
  );
  expect(findings.quality).toMatchObject({
    tokens: evaluation.tokens,
    perplexity: evaluation.perplexity,
    divergence: evaluation.divergence,
    sameTop: evaluation.sameTop,
  });
  const counted = findings.quality?.histogram?.reduce((sum, { count }) => sum + count, 0);
  expect(counted).toBe(evaluation.tokens);
  expect(findings.recipe).toMatchObject({ type: 'q3_k', solver: 'rtn', tokens });
  expect(findings.texts?.original).toMatch(/^, there was a little (girl|boy)/);
  expect(findings.texts?.compressed.length).toBeGreaterThan(100);
  expect(findings.front).toBeUndefined();
  expect(existsSync(join(folder, 'tales.report.html'))).toBe(false);
});

test('a model compared with itself has lost nothing', async () => {
  const pair = [tales.model, '--against', tales.model, '--text', tales.evaluation, '--tokens', '512'];
  const findings = JSON.parse((await tersor('report', ...pair, '--json', ...alone)).stdout);
  expect(findings.quality.divergence.max).toBeLessThan(1e-5);
  expect(findings.texts.original).toBe(findings.texts.compressed);
  const errors: readonly { relativeError?: number }[] = findings.tensors;
  expect(Math.max(...errors.map(({ relativeError = 0 }) => relativeError))).toBe(0);
});

test('the front of a search is found again by what the file says', async () => {
  const store = join(folder, 'store');
  const small = join(folder, 'small.gguf');
  const goal = ['--size', '2.5MB', '--types', 'q3_k,q6_k', '--sensitivity', 'evolved', '--solver', 'rtn'];
  const text = ['--calibration', tales.calibration, '--tokens', '1024', '--store', store];
  expect((await tersor('compress', tales.model, '-o', small, ...goal, ...text, ...alone)).errors).toBe('');
  const { front, bytes } = JSON.parse(
    (await tersor('report', small, '--store', store, '--json', ...alone)).stdout,
  );
  expect(front.search).toBe('knapsack');
  expect(front.chosen.bytes).toBe(bytes);
  const sizes: readonly number[] = front.points.map((point: { bytes: number }) => point.bytes);
  expect(sizes.length).toBeGreaterThan(5);
  expect(sizes).toEqual([...sizes].sort((a, b) => a - b));
});

test.each([
  [['missing.gguf'], 'does not exist'],
  [[tales.model, '-o', join(folder, 'none', 'x.html')], 'does not exist; create it'],
  [[tales.model, '--text', 'missing.txt'], 'missing.txt: does not exist'],
])('%j is an error of one line and leaves no page', async (words, part) => {
  const { code, errors } = await tersor('report', ...words);
  expect(code).toBe(1);
  expect(errors).toMatch(/^error: [^\n]+\n$/);
  expect(errors).toContain(part);
});
