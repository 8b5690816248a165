import { expect, test } from 'vitest';
import { emptyCheckpoint } from '../../../test/tiny-model.js';
import { matrixShape, type TensorKind } from '../../architecture/architecture.js';
import { llama } from '../../architecture/llama.js';
import { findGrid } from '../../grid/index.js';
import { llamaCpp } from '../formats/runtime.js';
import { activationRoom, checkMemory, type MemoryJob, memoryOf, peakMemory } from './memory.js';

const types: Readonly<Partial<Record<TensorKind, string>>> = {
  linear: 'q4_0',
  embedding: 'q6_k',
  head: 'q6_k',
};

/** A job on a model in the shape of Llama 3 8B. */
function job(
  layers: number,
  solver: string,
  tokens = 4096,
  match: 'original' | 'own' = 'original',
): MemoryJob {
  const architecture = llama(
    {
      modelType: 'llama',
      layers,
      hidden: 4096,
      intermediate: 14336,
      heads: 32,
      kvHeads: 8,
      vocabulary: 128256,
      context: 2048,
      epsilon: 1e-5,
      rotary: { headDim: 128, theta: 10000 },
    },
    ({ kind }) => kind === 'head',
  );
  const assignments = architecture.tensors.map((spec) => {
    const [rows, cols] = matrixShape(spec);
    const type = types[spec.kind] ?? 'f32';
    const grid = findGrid(type);
    const bytes = grid.bytes(rows, cols);
    return { spec, grid, type, requestedType: type, name: spec.names.gguf, bytes, elements: rows * cols };
  });
  return {
    model: { architecture, checkpoint: emptyCheckpoint('8B') },
    assignments,
    recipe: {
      solver,
      calibrateOn: 'quantized',
      match,
      context: 512,
      tokens,
    },
    calibration: { sequences: [], heldOut: [] },
    format: {},
  };
}

test('4 GB are enough for 8 B, by any solver and on any text', () => {
  for (const solver of ['rtn', 'gptq', 'decoupleq']) {
    checkMemory(job(32, solver, 65536), 4e9);
    expect(peakMemory(job(32, solver, 65536), 4e9).bytes, solver).toBeLessThanOrEqual(4e9);
  }
  expect(() => checkMemory(job(32, 'gptq'), 1e9)).toThrow(/takes at least \d\.\d GB.*--memory \d/);
});

test('activations take what there is room for, and only they depend on the text', () => {
  const [short, long] = [job(2, 'gptq', 4096), job(2, 'gptq', 65536)];
  expect(memoryOf(long).activations).toBe(16 * memoryOf(short).activations);
  expect(memoryOf(long).compressing).toBe(memoryOf(short).compressing);
  expect(peakMemory(long, 5e9)).toEqual({ bytes: 5e9, mapped: 0 });
  expect(activationRoom(long, 5e9)).toBe(5e9 - memoryOf(long).compressing);
});

test('blocks take nothing, but in a file that its runtime maps', () => {
  const [few, many] = [job(2, 'gptq'), job(32, 'gptq')];
  expect(memoryOf(many)).toEqual(memoryOf(few));
  const mapped: MemoryJob = { ...many, format: { runtime: llamaCpp } };
  const bytes = many.assignments.reduce((sum, each) => sum + each.bytes, 0);
  expect(memoryOf(mapped)).toEqual({ ...memoryOf(many), mapped: bytes });
  expect(peakMemory(mapped)).toEqual({ bytes: memoryOf(many).measuring + bytes, mapped: bytes });
});

test('where targets are smaller than the moments that they come from, those are gone when they are solved', () => {
  const [both, one] = [job(2, 'gptq'), job(2, 'gptq', 4096, 'own')];
  const more = memoryOf(both).compressing - memoryOf(one).compressing;
  expect(more).toBeGreaterThan(0);
  expect(more).toBeLessThan(4 * 14336 ** 2);
  expect(memoryOf(both).activations).toBe(2 * memoryOf(one).activations);
});
