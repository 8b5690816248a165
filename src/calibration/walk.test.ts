import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { normals } from '../../test/reference/random.js';
import { createForward } from '../architecture/forward.js';
import { gpt2 } from '../architecture/gpt2.js';
import { llama } from '../architecture/llama.js';
import * as g from '../graph/build.js';
import { compile } from '../graph/program.js';
import { topological } from '../graph/value.js';
import type { Moments } from '../types.js';
import { type ActivationCache, createActivationCache } from './activation-cache.js';
import { createCalibrator, type Passage } from './walk.js';

const shared = {
  layers: 1,
  hidden: 16,
  intermediate: 24,
  heads: 4,
  vocabulary: 32,
  context: 32,
  epsilon: 1e-5,
};
const architectures = {
  llama: llama(
    { ...shared, modelType: 'llama', kvHeads: 2, rotary: { headDim: 4, theta: 10000 } },
    () => false,
  ),
  gpt2: gpt2(shared, () => false),
};
// The second batch is smaller, as the last one of a text often is.
const sizes = [2, 1].map((sequences) => ({ sequences, length: 8 }));

describe.each(Object.entries(architectures))('the walk through a block of %s', (_, architecture) => {
  const randomWeights = (seed: number) =>
    Object.fromEntries(
      architecture.tensors
        .filter(({ block }) => block === 0)
        .map(({ role, shape }, index) => [
          role,
          normals(
            shape.reduce((a, b) => a * b, 1),
            seed + index,
          ),
        ]),
    );
  const hidden = sizes.map((batch, index) => ({
    batch,
    data: normals(batch.sequences * batch.length * shared.hidden, 100 + index),
  }));

  test('sees each site as it is when everything before has been replaced', async () => {
    const calibrator = createCalibrator(architecture);
    const weights: Record<string, Float32Array> = randomWeights(1);
    const replaced = randomWeights(50);
    const seen: string[] = [];
    const { output } = await calibrator.walk(
      { block: 0, hidden, weights },
      async (roles, { gram, tokens }) => {
        expect(tokens).toBe(24);
        const expected = new Float64Array(gram.data.length);
        for (const { batch, data } of hidden) {
          const x = await activations(batch, roles[0] ?? '', { ...weights, hidden: data });
          const width = gram.cols;
          for (let t = 0; t < x.length / width; t++)
            for (let i = 0; i < width; i++)
              for (let j = 0; j < width; j++)
                expected[i * width + j] =
                  (expected[i * width + j] ?? 0) + ((x[t * width + i] ?? 0) * (x[t * width + j] ?? 0)) / 24;
        }
        const scale = Math.max(...expected.map(Math.abs));
        const errors = Array.from(gram.data, (value, at) => Math.abs(value - (expected[at] ?? 0)) / scale);
        expect(Math.max(...errors)).toBeLessThan(1e-5);
        for (const role of roles) weights[role] = replaced[role] as Float32Array;
        seen.push(...roles);
      },
    );
    expect(seen.sort()).toEqual(
      architecture.tensors
        .filter(({ block, kind }) => block === 0 && kind === 'linear')
        .map(({ role }) => role)
        .sort(),
    );
    const forward = createForward(architecture);
    for (const [index, states] of hidden.entries()) {
      const { batch, data } = await forward.block(0, states, weights);
      expect(output[index]?.batch).toEqual(batch);
      expect(output[index]?.data).toEqual(data);
    }
    await forward.release();
    await calibrator.release();
  });

  test('is the same with activations on disk', async () => {
    const walk = async (activationCache?: ActivationCache) => {
      const calibrator = createCalibrator(architecture, {}, activationCache);
      const weights = randomWeights(1);
      const seen: Moments[] = [];
      const original = {
        hidden: hidden.map(({ batch, data }) => ({ batch, data: data.map((x) => -x) })),
        weights,
      };
      const passed = await calibrator.walk(
        { block: 0, hidden, weights },
        async (_, moments) => void seen.push(moments),
        { original },
      );
      const next = passed.output.map(({ data }) => data.slice());
      await calibrator.release();
      return { seen, next };
    };
    const folder = mkdtempSync(join(tmpdir(), 'tersor-activationCache-'));
    const activationCache = createActivationCache({ bytes: 0, folder });
    const onDisk = await walk(activationCache);
    expect(activationCache.spilled).toBeGreaterThan(0);
    expect(readdirSync(folder)).toEqual([]);
    activationCache.close();
    rmSync(folder, { recursive: true });
    expect(onDisk).toEqual(await walk());
  });

  test('leaves held-out tokens out of the moments and hands them over', async () => {
    const long = [5, 3].map((sequences, index) => ({
      batch: { sequences, length: 8 },
      data: normals(sequences * 8 * shared.hidden, 200 + index),
    }));
    const [weights, original] = [randomWeights(1), randomWeights(2)];
    const walk = async (holdOut: boolean, hidden: readonly (typeof long)[number][]) => {
      const calibrator = createCalibrator(architecture, { holdOut });
      const seen: Moments[] = [];
      const { output } = await calibrator.walk(
        { block: 0, hidden, weights },
        async (_, moments) => void seen.push(moments),
        { original: { hidden, weights: original } },
      );
      await calibrator.release();
      return { seen, output: output.flatMap(({ data }) => [...data]) };
    };
    const parts = await walk(true, long);
    expect(parts.output).toEqual((await walk(false, long)).output);
    // The fifth of eight sequences is held out, the last of the first batch.
    const rows = 8 * shared.hidden;
    const rest = await walk(false, [
      {
        batch: { sequences: 4, length: 8 },
        data: (long[0]?.data ?? new Float32Array()).subarray(0, 4 * rows),
      },
      ...long.slice(1),
    ]);
    const alone = await walk(false, [
      { batch: { sequences: 1, length: 8 }, data: (long[0]?.data ?? new Float32Array()).subarray(4 * rows) },
    ]);
    for (const [site, { heldOut, ...moments }] of parts.seen.entries()) {
      const expected = rest.seen[site];
      expect(moments.tokens).toBe(56);
      expectClose(moments.gram.data, [...(expected?.gram.data ?? [])]);
      expectClose(moments.crossMoments?.data ?? new Float32Array(), [
        ...(expected?.crossMoments?.data ?? []),
      ]);
      expectClose(moments.means?.own ?? new Float32Array(), [...(expected?.means?.own ?? [])]);
      const { own, original: before } = heldOut ?? {};
      const held = alone.seen[site];
      expectClose(
        held?.gram.data ?? new Float32Array(),
        product([...(own?.data ?? [])], [...(own?.data ?? [])], own?.cols),
      );
      const cross = held?.crossMoments?.data.map((value, at) => value + (held.gram.data[at] ?? 0));
      expectClose(
        cross ?? new Float32Array(),
        product([...(before?.data ?? [])], [...(own?.data ?? [])], own?.cols),
      );
    }
  });

  test('gathers what the head multiplies with, beside the original', async () => {
    const calibrator = createCalibrator(architecture);
    const outside = (seed: number) =>
      Object.fromEntries(
        architecture.tensors
          .filter(({ role }) => role.startsWith('output_norm'))
          .map(({ role }, index) => [role, normals(shared.hidden, seed + index)]),
      );
    const shifted = hidden.map(({ batch, data }) => ({ batch, data: data.map((x, at) => x + Math.sin(at)) }));
    const [own, original] = [
      { hidden, weights: outside(1) },
      { hidden: shifted, weights: outside(9) },
    ];
    const { gram, crossMoments, tokens } = await calibrator.head(own, original);
    const [x, y] = [await normed(own), await normed(original)];
    expect(tokens).toBe(24);
    expectClose(gram.data, product(x, x));
    const cross = crossMoments?.data.map((value, at) => value + (gram.data[at] ?? 0));
    expectClose(cross ?? new Float32Array(), product(y, x));
    expect((await calibrator.head(own)).crossMoments).toBeUndefined();
    await calibrator.release();
  });

  /** Final norm of all states. */
  async function normed({ hidden: states, weights }: Passage): Promise<number[]> {
    const rows: number[] = [];
    for (const { batch, data } of states) {
      const output = architecture.head(g.input('hidden', [batch.sequences * batch.length, shared.hidden]));
      const program = await compile({ x: output.inputs[0] ?? output });
      const { x } = await program.run({ ...weights, hidden: data });
      await program.release();
      rows.push(...(x ?? []));
    }
    return rows;
  }

  /** xᵀ y / tokens. */
  function product(x: readonly number[], y: readonly number[], width = shared.hidden): number[] {
    return Array.from({ length: width * width }, (_, at) => {
      let sum = 0;
      for (let t = 0; t < x.length; t += width)
        sum += (x[t + Math.floor(at / width)] ?? 0) * (y[t + (at % width)] ?? 0);
      return (sum * width) / x.length;
    });
  }

  function expectClose(actual: Float32Array, expected: readonly number[]): void {
    const scale = Math.max(...expected.map(Math.abs));
    const errors = expected.map((value, at) => Math.abs(value - (actual[at] ?? Number.NaN)) / scale);
    expect(Math.max(...errors)).toBeLessThan(1e-5);
  }

  /** What feeds a linear layer, computed from the block's input in one piece. */
  async function activations(
    batch: (typeof sizes)[number],
    role: string,
    inputs: Record<string, Float32Array>,
  ) {
    const block = architecture.block(
      0,
      g.input('hidden', [batch.sequences * batch.length, shared.hidden]),
      batch,
    );
    const layer = topological([block]).find(
      ({ op, inputs: [, weight] }) => op === 'linear' && weight?.name === role,
    );
    const program = await compile({ x: layer?.inputs[0] ?? block });
    const { x } = await program.run(inputs);
    await program.release();
    return x ?? new Float32Array();
  }
});
