import { totalmem } from 'node:os';
import { matrixShape } from '../architecture/architecture.js';
import { batchTokensOf, largestTable } from '../architecture/forward.js';
import { footprint } from '../calibration/walk.js';
import { TersorError } from '../errors.js';
import type { Job } from './job.js';
import { slabElements } from './solve/slab.js';
import type { Workshop } from './workshop.js';

/** What carrying out a plan will take on this machine. */
export interface Estimate {
  readonly seconds: number;
  readonly peakMemoryBytes: number;
}

// Fitted to four runs of tales and stories15M: memory came out within a tenth, time within a factor of two.
/** Share of the bare product's speed that a block with its second moments reaches. */
const efficiency = 0.6;
/** Seconds per weight and thread of kernels beside matrix products: fits, sweeps, packing. */
const secondsPerWeight: Readonly<Record<string, number>> = { rtn: 1.2e-7, gptq: 6e-7 };
const descentSecondsPerWeight = 5e-6;
/** Node, the kernels and onnxruntime before any work. */
const processBytes = 240e6;
/** onnxruntime's work space for the parts of a block, in floats per token of a batch and float kept. */
const workSpace = 9;
/** Arrays of activations that are garbage and not yet collected, and those in use, in terms of the latter. */
const slack = 1.5;
/** Arrays as large as the part of a weight that is solved at a time. */
const solverArrays = 8;
/** The same for its second moments: both sums, one on its way, and what solvers factor. */
const squareArrays = 4;

/** Time of a job, from its shapes and this machine's speed at matrix products, and memory. */
export async function estimate(shop: Workshop, job: Job, memory?: number): Promise<Estimate> {
  const { model, assignments, recipe, calibration } = job;
  const { architecture } = model;
  const { sites } = footprint(architecture);
  const twins = twinsOf(job);
  const linear = assignments.filter(({ spec }) => spec.kind === 'linear');
  const weights = linear.reduce((sum, { elements }) => sum + elements, 0);
  const outside = assignments.reduce(
    (sum, { spec, elements }) => sum + (spec.block === undefined ? elements : 0),
    0,
  );
  const squares = sites.reduce((sum, width) => sum + width ** 2, 0);
  const forward = 2 * weights * twins;
  const moments = 2 * squares * architecture.layers * twins;
  const flops = (forward + moments) * recipe.tokens;
  const perWeight = secondsPerWeight[recipe.solver] ?? descentSecondsPerWeight;
  const measured = calibration.heldOut.length * recipe.context * 2 * (weights + outside) * 3;
  const speed = await productSpeed(shop);
  const { fixed, activations } = memoryOf(job);
  return {
    seconds:
      (flops / efficiency + measured) / speed +
      (weights * perWeight + outside * (secondsPerWeight.rtn ?? 0)) / shop.threads +
      2,
    peakMemoryBytes: fixed + Math.min(activations, activationRoom(job, memory)),
  };
}

interface Memory {
  /** Bytes that a job takes whatever it is given. */
  readonly fixed: number;
  /** Bytes of activations between two parts of a block, twice where the original runs beside the compressed model. */
  readonly activations: number;
}

type MemoryJob = Pick<Job, 'model' | 'assignments' | 'recipe' | 'calibration'>;

const twinsOf = ({ recipe }: Pick<Job, 'recipe'>) => (recipe.target === 'asymmetric' ? 2 : 1);

/**
 * Besides activations: a batch on its way through a part of a block with the weights of that part; second moments of
 * the widest site, and a slab of a weight under them; and when the file is measured, one block of either model. Only
 * the first depends on the text, none on the number of blocks.
 */
function memoryOf(job: MemoryJob): Memory {
  const { model, assignments, recipe } = job;
  const { architecture } = model;
  const { kept } = footprint(architecture);
  const batch = Math.min(recipe.tokens, batchTokensOf(architecture));
  const linear = assignments.filter(({ spec }) => spec.kind === 'linear');
  const tables = assignments.filter(({ spec }) => spec.kind === 'embedding' || spec.kind === 'head');
  const block = linear.reduce((sum, { elements }) => sum + elements, 0) / architecture.layers;
  const most = (values: readonly number[]) => Math.max(0, ...values);
  const slab = most(assignments.map(({ elements }) => Math.min(elements, slabElements)));
  const widest = most(linear.map(({ spec }) => matrixShape(spec)[1]));
  const passing = batch * kept * workSpace;
  const solving = solverArrays * slab + squareArrays * widest ** 2;
  const held = tables.reduce((sum, { elements }) => sum + (elements > largestTable ? 0 : elements), 0);
  const logits =
    4 * scoredPositions * architecture.vocabulary +
    most(tables.map(({ elements }) => Math.min(elements, largestTable)));
  const measuring = block + 2 * held + logits;
  return {
    fixed:
      processBytes +
      4 * Math.max(passing + solving, passing + measuring) +
      // A table is packed as a whole, and kept for a later run.
      2 * most(tables.map(({ bytes }) => bytes)),
    activations: 4 * slack * recipe.tokens * kept * twinsOf(job),
  };
}

/** Positions whose distributions are compared at a time (src/evaluation/score.ts). */
const scoredPositions = 128;
/** So much is always there for activations: less would only mean more disk. */
const leastRoom = 64e6;
/** Share of the machine's memory that a job takes at most, unless told. */
const share = 0.6;

/** Bytes of activations that may lie in memory where a job may take so many in all; the rest waits on disk. */
export function activationRoom(job: MemoryJob, memory = share * machineMemory()): number {
  return Math.max(leastRoom, memory - memoryOf(job).fixed);
}

/** @throws TersorError when a job cannot be done with so little */
export function checkMemory(job: MemoryJob, memory: number | undefined): void {
  const least = memoryOf(job).fixed + leastRoom;
  if (memory === undefined || memory >= least) return;
  throw new TersorError(
    `compressing it takes at least ${(least / 1e9).toFixed(1)} GB of memory, more than --memory allows`,
    { file: job.model.checkpoint.path, remedy: `give --memory ${Math.ceil(least / 1e8) / 10}GB` },
  );
}

/** What the machine has, or the container that the process runs in. */
function machineMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

/** Floating-point operations per second of a matrix product, the best of a few. */
async function productSpeed({ gemm }: Workshop): Promise<number> {
  const size = 768;
  const square = { data: new Float32Array(size ** 2).fill(1), shape: [size, size] };
  let best = 0;
  for (let attempt = 0; attempt < 4; attempt++) {
    const start = performance.now();
    await gemm(square, square);
    best = Math.max(best, (2000 * size ** 3) / (performance.now() - start));
  }
  return best;
}
