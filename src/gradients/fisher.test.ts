import { expect, test } from 'vitest';
import { normals } from '../../test/reference/random.js';
import { matrixShape } from '../architecture/architecture.js';
import { createForward } from '../architecture/forward.js';
import { gpt2 } from '../architecture/gpt2.js';
import { readBlock } from '../architecture/model.js';
import { outputFisher } from './fisher.js';

const architecture = gpt2(
  { layers: 2, hidden: 16, intermediate: 24, heads: 4, vocabulary: 32, context: 32, epsilon: 1e-5 },
  () => false,
);
const weights = new Map(
  architecture.tensors.map((spec, index) => {
    const [rows, cols] = matrixShape(spec);
    const values = normals(rows * cols, index + 1).map((value) => 0.3 * value);
    return [spec, spec.kind === 'norm' ? values.map((value) => 1 + value) : values];
  }),
);
const read = async (spec: (typeof architecture.tensors)[number]) => weights.get(spec) ?? new Float32Array();
const model = {
  architecture,
  readBlock: (block: number | undefined) => readBlock(architecture, block, read),
};
/** One position with a next token: what a bias gets is what its output gets there. */
const text = [Int32Array.of(3, 17)];

async function loss(): Promise<number> {
  const forward = createForward(architecture);
  const outside = await model.readBlock(undefined);
  let hidden = await forward.embedAll(text, outside);
  for (let block = 0; block < architecture.layers; block++) {
    hidden = await forward.blockAll(block, hidden, await model.readBlock(block));
  }
  const states = hidden[0]?.data.subarray(0, architecture.hidden) ?? new Float32Array();
  const logits = await forward.logits(states, outside);
  await forward.release();
  const normaliser = Math.log(logits.reduce((sum, value) => sum + Math.exp(value), 0));
  return normaliser - (logits[17] ?? 0);
}

test('squares of gradients are those that differences of the loss give', async () => {
  const fisher = await outputFisher(model, text, text);
  let compared = 0;
  for (const spec of architecture.tensors) {
    const own = fisher.get(spec);
    const bias = architecture.tensors.find(
      ({ block, role }) => block === spec.block && role === spec.role.replace('.weight', '.bias'),
    );
    if (spec.kind !== 'linear' || !own || !bias) continue;
    const values = weights.get(bias) ?? new Float32Array();
    expect(own).toHaveLength(values.length);
    const scale = Math.sqrt(Math.max(...own));
    for (let row = 0; row < values.length; row += 7) {
      const before = values[row] ?? 0;
      const at = async (value: number) => {
        values[row] = value;
        return loss();
      };
      const slope = ((await at(before + 0.02)) - (await at(before - 0.02))) / 0.04;
      values[row] = before;
      // Two tokens went into the mean, one of which has no next one.
      expect(Math.abs(Math.sqrt(2 * (own[row] ?? 0)) - Math.abs(slope)) / scale).toBeLessThan(0.02);
      compared++;
    }
  }
  expect(compared).toBeGreaterThan(15);
});

test('rows of an embedding that is the head count by how often their tokens occur and how sure the head is of them', async () => {
  const counted = [Int32Array.of(5, 5, 5, 5, 5, 5, 9)];
  const fisher = await outputFisher(model, text, counted);
  const table = architecture.tensors.find(({ kind }) => kind === 'embedding');
  const own = (table && fisher.get(table)) ?? new Float32Array();
  expect(own).toHaveLength(32);
  expect(own.indexOf(Math.max(...own))).toBe(5);
  expect(own.every((value) => value > 0)).toBe(true);
  expect(own.reduce((sum, value) => sum + value, 0) / 32).toBeCloseTo(2, 5);
});
