import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ProgressEvent } from '../src/pipeline/context/progress.js';
import { plan } from '../src/pipeline/plan.js';
import { sensitivityMeasures } from '../src/sensitivity/index.js';
import { tales } from './fixtures/data.js';
import { micros, writeMicro } from './fixtures/micro.js';
import { writeMicroBert } from './fixtures/micro-bert.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-sensitivity-'));
afterAll(() => rmSync(folder, { recursive: true }));
const [llama, bert] = [join(folder, 'llama'), join(folder, 'bert')];
beforeAll(async () => {
  await writeMicro(llama, micros.llama, 1);
  await writeMicroBert(bert, 1);
});
const options = {
  calibration: tales.calibration,
  tokens: 256,
  context: 64,
  bits: 5.6,
  threads: 1,
  store: join(folder, 'store'),
};
const ofLlama = {
  ...options,
  model: llama,
  output: 'model.gguf',
  embeddingType: 'q5_0',
  types: ['q4_0', 'q5_0', 'q8_0'],
};
const ofBert = { ...options, model: bert, output: 'model', format: 'onnx', types: ['int2', 'int4', 'int8'] };

// What several measures need is in the store behind the first of them.
test.each(sensitivityMeasures.map(({ name }) => name))('a size by %s', async (sensitivity) => {
  const planned = await plan({ ...ofLlama, sensitivity });
  expect(planned.search?.sensitivity).toBe(sensitivity);
  expect(planned.bitsPerWeight).toBeLessThanOrEqual(5.6);
  expect(planned.bitsPerWeight).toBeGreaterThan(5.5);
  expect(planned.search?.divergence).toBeGreaterThan(0);
});

test('an encoder is planned by traces and eigenvalues, and refuses gradients of predictions before work starts', async () => {
  for (const sensitivity of ['trace', 'eigenvalue-spread']) {
    const planned = await plan({ ...ofBert, sensitivity });
    expect(planned.bitsPerWeight).toBeLessThanOrEqual(5.6);
    expect(planned.search?.objective).toBe('embedding');
  }
  const stages: string[] = [];
  const progress = ({ detail }: ProgressEvent) => {
    if (detail) stages.push(detail.task);
  };
  await expect(plan({ ...ofBert, sensitivity: 'fisher' }, { progress })).rejects.toThrow(
    '--sensitivity fisher needs next tokens, which an encoder does not predict',
  );
  expect(stages).not.toContain('levels');
});
