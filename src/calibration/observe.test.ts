import { expect, test } from 'vitest';
import { normals } from '../../test/reference/random.js';
import { gpt2 } from '../architecture/gpt2.js';
import * as g from '../graph/build.js';
import { compile } from '../graph/program.js';
import { cosines, createObserver } from './observe.js';
import { createCalibrator } from './walk.js';

const architecture = gpt2(
  { layers: 1, hidden: 16, intermediate: 24, heads: 4, vocabulary: 32, context: 32, epsilon: 1e-5 },
  () => false,
);
const weights = Object.fromEntries(
  architecture.tensors
    .filter(({ block }) => block === 0)
    .map(({ role, shape }, index) => [
      role,
      normals(
        shape.reduce((a, b) => a * b, 1),
        index,
      ),
    ]),
);
const batch = { sequences: 2, length: 8 };
const hidden = { batch, data: normals(16 * 16, 100) };

test('sees the activations whose moments the calibrator gathers', async () => {
  const [observer, calibrator] = [createObserver(architecture), createCalibrator(architecture)];
  const { sites } = await observer.observe(0, hidden, weights);
  const seen = new Map(sites.flatMap(({ roles, inputs }) => roles.map((role) => [role, inputs] as const)));
  let visited = 0;
  await calibrator.walk({ block: 0, hidden: [hidden], weights }, async (roles, { gram, tokens }) => {
    const inputs = seen.get(roles[0] ?? '');
    expect(inputs).toMatchObject({ rows: tokens, cols: gram.cols });
    let energy = 0;
    for (const x of inputs?.data ?? []) energy += (x * x) / tokens;
    const trace = gram.data.reduce((sum, x, at) => (at % (gram.cols + 1) === 0 ? sum + x : sum), 0);
    expect(energy / trace).toBeCloseTo(1, 5);
    visited += roles.length;
  });
  expect(seen.size).toBe(visited);
  await Promise.all([observer.release(), calibrator.release()]);
});

test('a block that adds nothing leaves its input as it is', async () => {
  const observer = createObserver(architecture);
  const nothing = Object.fromEntries(
    Object.entries(weights).map(([role, data]) => [role, new Float32Array(data.length)]),
  );
  expect((await observer.observe(0, hidden, nothing)).cosine).toBeCloseTo(1, 6);
  expect((await observer.observe(0, hidden, weights)).cosine).toBeLessThan(0.9);
  await observer.release();
});

test('cosines of known rows', async () => {
  const [x, y] = [g.input('x', [4, 2]), g.input('y', [4, 2])];
  const program = await compile({ c: cosines(x, y) });
  const { c } = await program.run({
    x: Float32Array.of(1, 0, 1, 0, 3, 4, 2, 0),
    y: Float32Array.of(0, 5, -2, 0, 4, 3, 1, 1),
  });
  for (const [index, expected] of [0, -1, 24 / 25, Math.SQRT1_2].entries()) {
    expect(c?.[index]).toBeCloseTo(expected, 6);
  }
  await program.release();
});
