import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tales } from '../../../test/fixtures/data.js';
import { micros, writeMicro } from '../../../test/fixtures/micro.js';
import { compress } from '../compress.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tersor-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Errors of embedding and head under their moments, which are those of the original for either solver. */
async function errors(model: string, solver: string): Promise<Map<string, number>> {
  const { tensors } = await compress({
    model,
    output: join(folder, `${solver}.gguf`),
    calibration: tales.calibration,
    type: 'f32',
    embeddingType: 'q4_0',
    solver,
    calibrateOn: 'original',
    tokens: 1024,
    context: 64,
  });
  return new Map(tensors.map(({ name, relativeError }) => [name, relativeError]));
}

test.each([
  ['llama', ['token_embd.weight', 'output.weight']],
  ['gpt2', ['token_embd.weight']],
] as const)('embedding and head of %s lose less than by rounding', async (name, tables) => {
  const model = join(folder, name);
  await writeMicro(model, micros[name], 1);
  const [rounded, solved] = [await errors(model, 'rtn'), await errors(model, 'gptq')];
  for (const table of tables) {
    const of = (found: Map<string, number>) => (found.get(table) ?? 0) / (rounded.get(table) ?? 0);
    expect(of(solved)).toBeLessThan(0.97);
  }
});
