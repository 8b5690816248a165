import { expect, test } from 'vitest';
import { findSensitivityMeasure, sensitivityMeasures } from './index.js';
import type { TensorFacts } from './measure.js';

const tensor: TensorFacts = {
  name: 'blk.0.attn_q.weight',
  levels: [
    {
      bytes: 10,
      relativeError: 0.2,
      weightError: 0.3,
      divergence: 0.5,
      curvature: {
        slope: -0.7,
        fisher: 0.6,
        fisherForm: 0.8,
        drawnFisher: 0.9,
        drawnFisherForm: 1.1,
        diagonal: -0.4,
      },
    },
    {
      bytes: 20,
      relativeError: 0.02,
      weightError: 0.04,
      curvature: {
        slope: 0.07,
        fisher: 0.06,
        fisherForm: 0.08,
        drawnFisher: 0.09,
        drawnFisherForm: 0.11,
        diagonal: 0.04,
      },
    },
    { bytes: 40, relativeError: 0, weightError: 0 },
  ],
  statistics: {
    elements: 100,
    energy: 8,
    outliers: 0.16,
    entropy: 2.5,
    cosine: 0.75,
    depth: 0.25,
    norm: 50,
    curvature: { trace: 30, eigenvalue: 6, eigenvalues: [2, 4] },
  },
};

test.each([
  ['divergence', [0.5, 0.05, 0]],
  ['loss', [0.2, 0.02, 0]],
  ['energy', [1.6, 0.16, 0]],
  ['weight-error', [0.3, 0.04, 0]],
  ['lim', [0.05, 0.005, 0]],
  ['zd', [1.25, 0.125, 0]],
  ['entropy', [0.5, 0.05, 0]],
  // √(ε · weight error · 100 · (1 − 0.75))
  ['gradient', [0.7, 0.07, 0]],
  ['fisher', [0.6, 0.06, 0]],
  ['gauss-newton', [0.9, 0.09, 0]],
  ['m-fac', [0.8, 0.08, 0]],
  ['second-order', [1.1, 0.11, 0]],
  ['hutchinson', [0.4, 0.04, 0]],
  // ½ · 30 / 100 · 50 · weight error
  ['trace', [2.25, 0.3, 0]],
  // 6 / 100 · 50 · weight error
  ['eigenvalue', [0.9, 0.12, 0]],
  // mean 3, deviation 1: 4 / 100 · 50 · weight error
  ['eigenvalue-spread', [0.6, 0.08, 0]],
  ['evolved', [Math.sqrt(1.5), Math.sqrt(0.02), 0]],
])('%s of known facts', (name, expected) => {
  const losses = findSensitivityMeasure(name).loss(tensor);
  expect(losses).toHaveLength(expected.length);
  for (const [index, loss] of losses.entries()) expect(loss).toBeCloseTo(expected[index] ?? 0, 12);
});

test('tensors without a choice, whose statistics nobody collects, have finite losses', () => {
  const norm = { name: 'output_norm.weight', levels: [{ bytes: 4, relativeError: 0 }] };
  for (const { name, loss } of sensitivityMeasures) expect(loss(norm), name).toEqual([0]);
});

test('a weight without outliers has a finite loss', () => {
  const flat = { ...tensor, statistics: { ...(tensor.statistics as object), outliers: 0 } } as TensorFacts;
  expect(findSensitivityMeasure('zd').loss(flat)[0]).toBeCloseTo(20, 12);
});

test('an unknown measure is refused with the names of the others', () => {
  expect(() => findSensitivityMeasure('luck')).toThrow('there is no measure of sensitivity luck');
});
