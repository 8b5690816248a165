import { expect, test } from 'vitest';
import { randomMoments, withRun } from '../../../test/fixtures/solving-run.js';
import { required } from '../../required.js';
import { correctableBias, correctedBias } from './layer-bias.js';

test('the bias of a coded layer is corrected, unless biases are to be kept', async () => {
  await withRun({}, async ({ run, spec }) => {
    const specs = run.job.model.architecture.tensors.filter(({ block }) => block === 0);
    expect(correctableBias(run, spec('attn_k.weight'), specs)).toBe(spec('attn_k.bias'));
    expect(correctableBias(run, spec('attn_norm.weight'), specs)).toBeUndefined();
    const withoutBiases = specs.filter(({ kind }) => kind !== 'bias');
    expect(correctableBias(run, spec('attn_k.weight'), withoutBiases)).toBeUndefined();
  });
  await withRun({ bias: 'kept' }, async ({ run, spec }) => {
    const specs = run.job.model.architecture.tensors.filter(({ block }) => block === 0);
    expect(correctableBias(run, spec('attn_k.weight'), specs)).toBeUndefined();
  });
});

test('with the corrected bias outputs have the means that they have in the original model', async () => {
  await withRun({}, async ({ run, spec }) => {
    const [layer, bias] = [spec('attn_k.weight'), spec('attn_k.bias')];
    const { means } = randomMoments(64, 3);
    const [weight, before] = [await run.original(layer)(0, 32), await run.original(bias)(0, 32)];
    const rounded = weight.map((value) => Math.round(8 * value) / 8);
    const decoded = async (from: number, to: number) => rounded.subarray(64 * from, 64 * to);
    const after = await correctedBias(run, { layer, bias, decoded }, means);
    const output = (values: Float32Array, input: Float32Array, added: Float32Array, row: number) =>
      input.reduce(
        (sum, x, col) => sum + x * required([...values], 64 * row + col),
        required([...added], row),
      );
    for (const row of [0, 17, 31])
      expect(output(rounded, means.own, after, row)).toBeCloseTo(
        output(weight, means.original, before, row),
        4,
      );
    expect(after).not.toEqual(before);
  });
});
