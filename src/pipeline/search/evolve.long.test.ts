import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tales } from '../../../test/fixtures/data.js';
import { micros, writeMicro } from '../../../test/fixtures/micro.js';
import type { ProgressEvent } from '../context/progress.js';
import { plan } from '../plan.js';
import { promising } from './evolve.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-evolve-'));
afterAll(() => rmSync(folder, { recursive: true }));
const model = join(folder, 'model');
beforeAll(() => writeMicro(model, micros.llama, 1));

test('an interrupted evolution goes on where it was', async () => {
  const evolving = {
    model,
    output: 'model.gguf',
    calibration: tales.calibration,
    solver: 'gptq',
    tokens: 256,
    context: 32,
    types: ['q4_0', 'q5_0', 'q8_0'],
    bits: 6,
    search: 'evopress',
    searchOptions: { generations: 2, offspring: 2, tokens: [0, 512], survivors: [1], finalists: 1 },
  };
  const whole = await plan({ ...evolving, store: join(folder, 'whole') });
  const controller = new AbortController();
  const progress = ({ detail }: ProgressEvent) => {
    if (detail?.task === 'evolve') controller.abort(new Error('stopped before the end'));
  };
  const interrupted = { ...evolving, store: join(folder, 'interrupted') };
  await expect(plan(interrupted, { signal: controller.signal, progress })).rejects.toThrow('stopped');
  const resumed = await plan(interrupted);
  expect(resumed.tensors).toEqual(whole.tensors);
  expect(resumed.bitsPerWeight).toBeLessThanOrEqual(6);
  expect(resumed.search?.note).toBe(whole.search?.note);
  expect(resumed.search?.note).toMatch(/^\d models compressed on fewer tokens, 2 for good: /);
});

test('finalists are ordered by what was measured and what is predicted, alike in scale', () => {
  const choices = [1, 2, 3].map((weight) => ({
    name: `tensor ${weight}`,
    levels: [weight, 0].map((loss) => ({ type: 'q8_0', bytes: 1, loss })),
  }));
  const measured = [
    { levels: [0, 0, 0], value: 61 },
    { levels: [1, 0, 0], value: 50 },
    { levels: [0, 1, 0], value: 48 },
    { levels: [1, 1, 0], value: 31 },
  ];
  // Sums of 6, 5, 4 and 3 count for ten times as much: 121, 100, 88 and 61 in all.
  expect(promising(choices, measured).map((levels) => levels.join(''))).toEqual(['110', '010', '100', '000']);
  // Measured a little worse and predicted far better: first all the same.
  const lucky = { levels: [0, 0, 1], value: 29 };
  const solid = { levels: [1, 1, 1], value: 33 };
  expect(promising(choices, [...measured, lucky, solid])[0]).toBe(solid.levels);
});
