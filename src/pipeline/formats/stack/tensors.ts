import { blockTensors, matrixShape, type TensorSpec } from '../../../architecture/architecture.js';
import type { Model } from '../../../architecture/model.js';
import { walkModel } from '../../../calibration/walk-model.js';
import { product } from '../../../checkpoint/decode.js';
import { columnsText, type StackTensor } from '../../../checkpoint/stack/header.js';
import { columnFactors } from '../../../decomposition/columns.js';
import type { Candidate } from '../../../decomposition/order.js';
import { refine } from '../../../decomposition/refine.js';
import type { DivergenceEvaluator, Probe } from '../../../evaluation/divergence-evaluator.js';
import * as g from '../../../graph/build.js';
import { compile } from '../../../graph/program.js';
import { columnSteps } from '../../../grid/tersor/refinement.js';
import { toPanel } from '../../../kernels/panel.js';
import { required } from '../../../required.js';
import type { RuntimeOptions } from '../../../runtime/session.js';
import { columnEnergies } from '../../../solver/column-energies.js';
import { findSolver } from '../../../solver/index.js';
import { layerError } from '../../../solver/layer-error.js';
import type { Matrix, Moments } from '../../../types.js';
import type { SpooledSlice, StackWriter } from '../../../writer/stack.js';
import type { Context } from '../../context/context.js';
import { checkAborted, type Hooks } from '../../context/hooks.js';
import { embeddingAndHeadRecipe, tokenEmbeddingMoments } from '../../solve/embedding-and-head.js';
import { createPasses, shrinkageOf } from '../../solve/passes.js';
import { slabRows } from '../../solve/slab.js';
import type { TensorRecipe } from '../../solve/tensor.js';

/** Rows of a refinement that wait for their place in the file. */
export interface WaitingSlice extends SpooledSlice {
  readonly from: number;
  readonly to: number;
}

/** A refinement, where its slices wait, and what is left of the tensor's loss behind it. */
export interface StackedRefinement extends Candidate {
  readonly slices: readonly WaitingSlice[];
  readonly relativeError: number;
}

export interface StackedTensors {
  readonly tensors: readonly StackTensor[];
  readonly refinements: readonly StackedRefinement[];
}

/** A tensor that is refined, and whose refinements are not ranked yet. */
interface Refined {
  readonly spec: TensorSpec;
  readonly steps: readonly number[];
  readonly columns?: Int8Array;
  readonly refinements: readonly Omit<StackedRefinement, 'gain' | 'tensor'>[];
  /** The weight with its first refinement only. */
  readonly probe?: Probe;
}

/** What a stack is made with. */
export interface StackTask {
  /** Calibration text. */
  readonly sequences: readonly Int32Array[];
  readonly evaluator: DivergenceEvaluator;
  readonly recipe: TensorRecipe;
  readonly writer: StackWriter;
}

interface RefinementTask {
  readonly spec: TensorSpec;
  readonly data: Float32Array;
  readonly moments: Moments | undefined;
  readonly recipe: TensorRecipe;
}

/** What is stored as it is: few numbers, to which everything else is sensitive. */
const isPlain = ({ kind }: TensorSpec) => kind === 'norm' || kind === 'bias' || kind === 'router';

/**
 * Refines all tensors, one block at a time, under the moments of the original's activations: how much of the tensors before it
 * is read is not known, so that no layer can make up for their errors. What a refinement is worth is measured
 * for the first (the model's divergence with only this tensor at its coarsest) and carried to the others along ε.
 */
export async function stackTensors(
  context: Context,
  model: Model,
  { sequences, evaluator, recipe, writer }: StackTask,
  hooks: Hooks,
): Promise<StackedTensors> {
  const { architecture } = model;
  const { time } = context.stopwatch;
  const shrinkage = shrinkageOf(recipe);
  const passes = createPasses(context, architecture, { shrinkage });
  const results = new Map<TensorSpec, { refined: Refined; divergence: number }>();
  const total = architecture.tensors.reduce((sum, { shape }) => sum + product(shape), 0);
  let done = 0;

  const stack = async (spec: TensorSpec, data: Float32Array, moments?: Moments): Promise<Refined> => {
    checkAborted(hooks);
    const refined = isPlain(spec)
      ? await storePlain(writer, spec, data)
      : await refineTensor(context, writer, {
          spec,
          data,
          moments,
          recipe: spec.kind === 'linear' ? recipe : embeddingAndHeadRecipe(recipe),
        });
    done += data.length;
    hooks.progress?.('refine', done, total);
    return refined;
  };
  const outside = await time('read', () => model.readBlock(undefined));
  const stackOutside = async (spec: TensorSpec, momentsOf: () => Promise<Moments>) => {
    const wantsMoments = spec.kind === 'embedding' || spec.kind === 'head';
    const moments = wantsMoments ? await momentsOf() : undefined;
    const refined = await stack(spec, required(outside, spec.role), moments);
    const { probe } = refined;
    const divergence = probe ? await time('measure', () => evaluator.outside(probe)) : 0;
    results.set(spec, { refined, divergence });
  };
  const outer = blockTensors(architecture, undefined);
  await walkModel(architecture, passes.calibrator, {
    async embedding() {
      for (const spec of outer.filter(({ kind }) => kind !== 'head'))
        await stackOutside(spec, () => tokenEmbeddingMoments(context, model, sequences, outside, shrinkage));
      return { hidden: await passes.embed(sequences, outside) };
    },
    async block(block) {
      const weights = await time('read', () => model.readBlock(block));
      const stacked: Refined[] = [];
      return {
        weights,
        async site(layers, moments) {
          for (const spec of layers) stacked.push(await stack(spec, required(weights, spec.role), moments));
        },
        async rest(specs) {
          for (const spec of specs) stacked.push(await stack(spec, required(weights, spec.role)));
          const probes = stacked.flatMap(({ probe }) => probe ?? []);
          const divergences = await time('measure', () => evaluator.block(block, weights, probes));
          for (const refined of stacked) {
            const divergence = refined.probe ? required(divergences, probes.indexOf(refined.probe)) : 0;
            results.set(refined.spec, { refined, divergence });
          }
        },
      };
    },
    async head(moments) {
      for (const spec of outer.filter(({ kind }) => kind === 'head'))
        await stackOutside(spec, () => moments(outside));
    },
  });
  await passes.release();

  const stacked = architecture.tensors.flatMap((spec) => required(results, spec));
  return {
    tensors: stacked.map(({ refined: { spec, steps, columns } }) => ({
      name: model.nameOf(spec),
      shape: [...spec.shape],
      ...(spec.transposed ? { transposed: true as const } : {}),
      ...(steps.length > 0 ? { steps: [...steps] } : {}),
      ...(columns ? { columns: columnsText(columns) } : {}),
    })),
    refinements: stacked.flatMap(({ refined, divergence }, tensor) =>
      refined.refinements.map((each, index) => ({
        ...each,
        tensor,
        gain: divergence * lossShare(refined, index),
      })),
    ),
  };
}

/** By how much a refinement lowers the loss, in units of what the first leaves. */
function lossShare({ refinements }: Refined, index: number): number {
  const error = (at: number) => refinements[at]?.relativeError ?? 0;
  return index === 0 || error(0) === 0 ? 0 : Math.max(0, error(index - 1) - error(index)) / error(0);
}

async function refineTensor(
  context: Context,
  writer: StackWriter,
  { spec, data, moments, recipe: { solver, options } }: RefinementTask,
): Promise<Refined> {
  const [rows, cols] = matrixShape(spec);
  const weight = { rows, cols, data };
  const { kernels, stopwatch } = context;
  const { solve } = findSolver(moments ? solver : 'rtn');
  const columns = moments && (await stopwatch.time('solve', () => factorsOf(context, weight, moments)));
  const scaled = moments && (await scaleMoments(moments, columns, context));
  const steps: number[] = [];
  const refinements: Refined['refinements'][number][] = [];
  let coarsest: Float32Array = new Float32Array();
  await stopwatch.time('solve', () =>
    refine(
      kernels,
      weight,
      async (arena, rest, grid) =>
        (await solve({ ...context, arena }, rest, scaled, grid, moments ? options : {})).encoded,
      async ({ step, slices, values }, refinement) => {
        const waiting: WaitingSlice[] = [];
        for (const { bytes, ...rows } of slices) waiting.push({ ...rows, ...(await writer.add(bytes)) });
        steps.push(step);
        refinements.push({
          refinement,
          slices: waiting,
          bytes: waiting.reduce((sum, { bytes }) => sum + bytes, 0),
          relativeError: await errorOf(context, weight, values, moments),
        });
        if (refinement === 0) coarsest = values.slice();
      },
      { columns },
    ),
  );
  return {
    spec,
    steps,
    ...(columns ? { columns } : {}),
    refinements,
    probe: { role: spec.role, weight: coarsest },
  };
}

const factorsOf = (context: Context, { rows }: Matrix, { gram }: Moments) =>
  context.kernels.scope(async (arena) =>
    columnFactors(await columnEnergies({ ...context, arena }, gram), rows),
  );

/** The moments of inputs to a weight whose columns are divided by their factors: diag(f) H diag(f). */
async function scaleMoments(
  moments: Moments,
  columns: Int8Array | undefined,
  options: RuntimeOptions,
): Promise<Moments> {
  if (!columns) return moments;
  const { rows: size, data } = moments.gram;
  const factor = g.input('factor', [size]);
  const rows = g.reshape(factor, [size, 1]);
  const program = await compile({ y: g.mul(g.mul(g.input('gram', [size, size]), factor), rows) }, options);
  const y = required(await program.run({ gram: data, factor: columnSteps(1, size, columns) }), 'y');
  await program.release();
  return { ...moments, gram: { ...moments.gram, data: y } };
}

/** ε, slab by slab of rows, of which each counts by its rows. */
async function errorOf(
  context: Context,
  { rows, cols, data }: Matrix,
  values: Float32Array,
  moments: Moments | undefined,
): Promise<number> {
  const { kernels } = context;
  let error = 0;
  for (let from = 0; from < rows; from += slabRows(cols)) {
    const to = Math.min(rows, from + slabRows(cols));
    const part = (whole: Float32Array) => ({
      rows: to - from,
      cols,
      data: whole.subarray(from * cols, to * cols),
    });
    await kernels.scope(async (arena) => {
      const original = await toPanel(kernels, arena, part(data));
      const refined = await toPanel(kernels, arena, part(values));
      error +=
        (await layerError({ ...context, arena }, moments?.gram, original, refined.data)) *
        ((to - from) / rows);
    });
  }
  return error;
}

async function storePlain(writer: StackWriter, spec: TensorSpec, data: Float32Array): Promise<Refined> {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const slice = { from: 0, to: matrixShape(spec)[0], ...(await writer.add(bytes)) };
  return {
    spec,
    steps: [],
    refinements: [{ refinement: 0, slices: [slice], bytes: bytes.length, relativeError: 0 }],
  };
}
