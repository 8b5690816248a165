import { describe, expect, test } from 'vitest';
import { blockTensors, matrixShape } from '../src/architecture/architecture.js';
import { findGrid } from '../src/grid/index.js';
import { type Context, withContext } from '../src/pipeline/context/context.js';
import { calibrationText } from '../src/pipeline/prepare/calibration-text.js';
import { createJudge } from '../src/pipeline/solve/judge.js';
import { unpackTensor } from '../src/pipeline/solve/packed.js';
import { createPasses, type Shrinkage } from '../src/pipeline/solve/passes.js';
import { compressTensor } from '../src/pipeline/solve/tensor.js';
import type { Matrix, Moments } from '../src/types.js';
import { shared, tales } from './fixtures/data.js';

const text = shared ?? tales;
const models = Object.entries(shared?.models ?? { tales: tales.model });
// Minutes for the slowest on two free cores.
const slow = 1_200_000;
const grid = findGrid('int4-g32');

/** Takes a text through the original model, and visits every site of its blocks. */
async function visitSites(
  context: Context,
  model: Awaited<ReturnType<Context['open']>>,
  sequences: readonly Int32Array[],
  shrinkage: Shrinkage,
  visit: (block: number, roles: readonly string[], moments: Moments) => Promise<void>,
): Promise<void> {
  const { architecture } = model;
  const passes = createPasses(context, architecture, { shrinkage });
  let hidden = await passes.embed(sequences, await model.readBlock(undefined));
  for (let block = 0; block < architecture.layers; block++) {
    const weights = await model.readBlock(block);
    const passed = await passes.calibrator.walk({ block, hidden, weights }, (roles, moments) =>
      visit(block, roles, moments),
    );
    hidden = passed.output;
  }
  await passes.release();
}

/** ‖X (W − Ŵ)ᵀ‖² / ‖X Wᵀ‖² of every row-major Ŵ. */
async function errorOn(
  { gemm }: Context,
  inputs: Matrix,
  weight: Matrix,
  found: Float32Array,
): Promise<number> {
  const judge = await createJudge(gemm, { own: inputs }, weight);
  const { rows, cols } = weight;
  const values = new Float32Array(found.length);
  for (let row = 0; row < rows; row++)
    for (let col = 0; col < cols; col++) values[col * rows + row] = found[row * cols + col] ?? Number.NaN;
  return (await judge({ values, stride: rows })).relativeError;
}

describe.each(models)('no layer of %s is worse on another text than rounded to nearest', (_, path) => {
  test.each([
    ['gptq', 2048],
    ['gptq', 8192],
    ['decoupleq', 2048],
  ] as const)(
    'by %s, on %i tokens',
    async (solver, tokens) => {
      await withContext({}, {}, async (context) => {
        const model = await context.open(path);
        const tokenizer = await context.tokenizer(model);
        const sequencesOf = async (calibration: string, count: number) =>
          (
            await calibrationText(
              { calibration, tokens: count } as Parameters<typeof calibrationText>[0],
              model,
              tokenizer,
              {},
            )
          ).sequences;
        const others = new Map<string, Matrix>();
        await visitSites(
          context,
          model,
          await sequencesOf(text.evaluation, 16384),
          0,
          async (block, roles, moments) => {
            for (const role of roles)
              if (moments.heldOut) others.set(`${block} ${role}`, moments.heldOut.own);
          },
        );
        const ratios: number[] = [];
        await visitSites(
          context,
          model,
          await sequencesOf(text.calibration, tokens),
          'auto',
          async (block, roles, moments) => {
            for (const spec of blockTensors(model.architecture, block).filter(({ role }) =>
              roles.includes(role),
            )) {
              const [rows, cols] = matrixShape(spec);
              const data = await model.read(spec);
              const inputs = others.get(`${block} ${spec.role}`) as Matrix;
              const errorBy = async (by: string) => {
                const { bytes } = await compressTensor(context, { spec, grid }, data, moments, {
                  solver: by,
                });
                const values = await unpackTensor(context.kernels, { spec, grid }, bytes);
                return errorOn(context, inputs, { rows, cols, data }, values);
              };
              const ratio = (await errorBy(solver)) / (await errorBy('rtn'));
              ratios.push(ratio);
              expect(ratio, `${spec.names.gguf}, shrunk by ${moments.shrinkage}`).toBeLessThanOrEqual(1);
            }
          },
        );
        expect(ratios).toHaveLength(7 * model.architecture.layers);
      });
    },
    slow,
  );
});
