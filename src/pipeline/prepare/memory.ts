import { totalmem } from 'node:os';
import {
  type Architecture,
  blockTensors,
  firstOfKinds,
  largestBlock,
  matrixShape,
  type TensorSpec,
} from '../../architecture/architecture.js';
import { batchTokensOf, largestTable } from '../../architecture/forward.js';
import type { Model } from '../../architecture/model.js';
import { usedTokens } from '../../architecture/used-tokens.js';
import { type Footprint, footprint } from '../../calibration/footprint.js';
import { mostKept } from '../../calibration/held-out.js';
import { momentRoom } from '../../calibration/moments.js';
import { product } from '../../checkpoint/decode.js';
import { TersorError } from '../../errors.js';
import { scoringFloats } from '../../evaluation/score.js';
import * as g from '../../graph/build.js';
import { workSpace } from '../../graph/work-space.js';
import { isCoded } from '../../grid/grid.js';
import { findSolver } from '../../solver/index.js';
import { judgingFloats } from '../solve/judge.js';
import { slabElements, solvedRows } from '../solve/slab.js';
import type { Job } from './job.js';

/** What of a job decides on its memory. */
export interface MemoryJob extends Pick<Job, 'assignments' | 'recipe'> {
  readonly model: Pick<Model, 'architecture' | 'checkpoint'>;
  readonly calibration: Pick<Job['calibration'], 'sequences' | 'heldOut'>;
  readonly format: Pick<Job['format'], 'runtime'>;
}

/** Bytes of a job, at most. */
export interface Memory {
  /** What it takes while it compresses, whatever it is given, beside activations. */
  readonly compressing: number;
  /** What it takes to verify and to measure the finished file. */
  readonly measuring: number;
  /** The file itself, where its runtime maps it: the system counts it, and can take it back. */
  readonly mapped: number;
  /** Activations between two parts of a block, which may wait on disk. */
  readonly activations: number;
}

/** Node, the kernels and onnxruntime before any work, and a tokenizer's maps per token. */
const [processBytes, bytesPerToken] = [150e6, 700];
/** Arrays that nobody needs and that are not collected yet, or not given back to the system. */
const looseBytes = 170e6;
/** Bytes of the kernels' memory per element of a slab: weight, values, codes, scales; with a copy of all in a descent. */
const [kernelBytes, descentKernelBytes] = [9.3, 14.6];
/** Bytes of other arrays per element of a slab: the rows read, their target, errors; with those of a descent. */
const [slabBytes, descentSlabBytes] = [12, 20];
/** The same per row of a slab, and per column: what belongs to one block of columns. */
const [rowKernelBytes, rowBytes, columnBytes] = [4096, 5120, 4096];
/** So much is always there for activations: less would only mean more disk. */
const leastRoom = 64e6;
/** Share of the machine's memory that a job takes at most, unless told. */
const share = 0.6;

const most = (values: readonly number[]) => Math.max(0, ...values);

/**
 * The sum of what exists at once in every stage, from the shapes of arrays. Only activations depend on the length of the
 * text, and only a mapped file on the number of blocks.
 */
export function memoryOf(job: MemoryJob): Memory {
  const { model, assignments, recipe } = job;
  const { architecture } = model;
  const models = recipe.match === 'original' ? 2 : 1;
  const batch = batchOf(architecture, recipe);
  const kinds = firstOfKinds(architecture);
  const walks = kinds.map((block) => ({ block, ...footprint(architecture, block, batch) }));
  const embeddingAndHead = assignments.filter(({ spec }) => isEmbeddingOrHead(spec));
  // An importance matrix takes the place of calibration.
  const sites =
    recipe.imatrix === undefined
      ? walks.flatMap(({ block, sites }) => sites.map((site) => ({ block, ...site })))
      : [];
  const heldOut = (width: number) => 4 * models * width * Math.min(recipe.tokens, mostKept);
  const { descends } = findSolver(recipe.solver);

  const slabs = new Map(
    assignments.map(({ spec, grid }) => {
      const [rows, cols] = matrixShape(spec);
      return [spec, { rows: solvedRows(grid, rows, cols), cols }];
    }),
  );
  const [perElement, perElementOutside] = descends
    ? [descentKernelBytes, descentSlabBytes]
    : [kernelBytes, slabBytes];
  const kernels = most(
    [...slabs.values()].map(
      ({ rows, cols }) => perElement * rows * cols + rowKernelBytes * rows + columnBytes * cols,
    ),
  );
  const outside = (specs: readonly TensorSpec[]) =>
    most(
      specs.map((spec) => {
        const { rows, cols }: Slab = slabs.get(spec) ?? { rows: 0, cols: 0 };
        return perElementOutside * rows * cols + rowBytes * rows;
      }),
    );

  const standing = processBytes + bytesPerToken * architecture.vocabulary + looseBytes + kernels;
  // Rows of the embedding that the text needs, before and after.
  const used = usedTokens(job.calibration.sequences).tokens.length;
  // What a block has become, which its later parts compute with.
  const becomes = most(
    kinds.map((block) =>
      assignments.reduce((sum, { spec, bytes }) => sum + (spec.block === block ? bytes : 0), 0),
    ),
  );
  // A table is packed as a whole; a coded one is copied for a later run.
  const packed = most(embeddingAndHead.map(({ bytes, grid }) => (isCoded(grid) ? 2 : 1) * bytes));
  const compressing = most([
    4 * most(walks.map(({ weights }) => weights)),
    ...sites.map(
      ({ width }) => 4 * (models * width ** 2 + momentRoom(width, models, recipe.tokens)) + heldOut(width),
    ),
    ...sites.map(({ width }) => shrinking(width, models) + (1 + 1 / models) * heldOut(width)),
    ...sites.map(
      (site) => solving(architecture, site, models, outside) + heldOut(site.width) + 4 * judgingFloats,
    ),
    packed + outside(embeddingAndHead.map(({ spec }) => spec)) + 6 * architecture.hidden ** 2,
    embeddingMomentsBytes(job),
  ]);
  // Programs of every kind of block stay compiled.
  const workSpaceOfAll = walks.reduce((sum, walk) => sum + walk.workSpace, 0);
  return {
    compressing: standing + 4 * (workSpaceOfAll + 2 * used * architecture.hidden) + becomes + compressing,
    measuring: standing + measuringBytes(job, batch),
    mapped: job.format.runtime?.mapsFiles ? assignments.reduce((sum, { bytes }) => sum + bytes, 0) : 0,
    activations: 4 * recipe.tokens * most(walks.map(({ cachedFloats }) => cachedFloats)) * models,
  };
}

/** The rows of a weight that are solved together. */
interface Slab {
  readonly rows: number;
  readonly cols: number;
}

const isEmbeddingOrHead = ({ kind }: TensorSpec) => kind === 'embedding' || kind === 'head';

/** The second moments of a site and the factor that tells how far to shrink them, of which two columns are on their way. */
const shrinking = (width: number, models: number) => 4 * ((models + 0.5) * width ** 2 + 2 * 256 * width);

/** The second moments of a site, the factor of a layer there, and a slab of it; src/pipeline/solve/blocks.ts. */
function solving(
  architecture: Architecture,
  { block, width, roles }: Footprint['sites'][number] & { readonly block: number },
  models: number,
  outside: (specs: readonly TensorSpec[]) => number,
): number {
  const specs = blockTensors(architecture, block).filter(({ role }) => roles.includes(role));
  const all = specs.reduce((sum, { shape }) => sum + product(shape), 0);
  const square = width ** 2;
  // Targets are made before, where they take less than the crossMoments (with a part of the weight, and its own).
  const targetsFirst = models > 1 && all < square;
  const makingTargets = targetsFirst ? 2 * square + all + 2 * Math.min(all, slabElements) : 0;
  const crossMoments = models === 1 ? 0 : Math.min(square, all);
  // The factor is a triangle; two of its columns are on their way.
  const factor = square / 2 + 2 * 256 * width;
  return Math.max(4 * makingTargets, 4 * (square + crossMoments + factor) + outside(specs));
}

/** Of the embedding: layers that read it, times their gains, and squared; the whole model, one block at a time, where it
 * is the head, too. */
function embeddingMomentsBytes({ model }: MemoryJob): number {
  const { architecture } = model;
  const { hidden, tied } = architecture;
  const block = blockTensors(architecture, 0);
  const readers = block.filter(({ kind, shape }) => kind === 'linear' && shape[1] === hidden);
  // The weight, the same times the gains, either turned over, and what onnxruntime reserves beside them.
  const reading = 6 * most(readers.map(({ shape }) => product(shape))) + 4 * hidden ** 2;
  return 4 * Math.max(reading, tied ? largestBlock(architecture) : 0);
}

/** A block of either model on its way, and logits. */
function measuringBytes({ model, calibration }: MemoryJob, batch: ReturnType<typeof batchOf>): number {
  const { architecture } = model;
  const { hidden, vocabulary } = architecture;
  const tokens = calibration.heldOut.reduce((sum, { length }) => sum + length, 0);
  const states = g.input('hidden', [batch.sequences * batch.length, hidden]);
  const embeddingAndHead = blockTensors(architecture, undefined)
    .filter(isEmbeddingOrHead)
    .map(({ shape }) => product(shape));
  const held = embeddingAndHead.reduce(
    (sum, size) => sum + (size > largestTable ? largestTable / 2 : size),
    0,
  );
  const predicting = firstOfKinds(architecture).reduce(
    (sum, block) => sum + workSpace([architecture.block(block, states, batch)]),
    0,
  );
  const scoring = scoringFloats(vocabulary);
  return 4 * (2 * (held + predicting) + 3 * tokens * hidden + Math.max(largestBlock(architecture), scoring));
}

/** Batches as they go through a block. */
function batchOf(architecture: Architecture, { context, tokens }: Job['recipe']) {
  const length = Math.max(1, context);
  const most = Math.min(tokens, batchTokensOf(architecture));
  return { sequences: Math.max(1, Math.floor(most / length)), length };
}

/** Bytes of activations that may lie in memory where a job may take so many in all; the rest waits on disk. */
export function activationRoom(job: MemoryJob, memory = share * machineMemory()): number {
  return Math.max(leastRoom, memory - memoryOf(job).compressing);
}

/** The most that a job has in memory at once, and how much of it is the finished file, mapped. */
export function peakMemory(
  job: MemoryJob,
  memory?: number,
): { readonly bytes: number; readonly mapped: number } {
  const { compressing, measuring, mapped, activations } = memoryOf(job);
  const before = compressing + Math.min(activations, activationRoom(job, memory));
  return before > measuring + mapped ? { bytes: before, mapped: 0 } : { bytes: measuring + mapped, mapped };
}

/** @throws TersorError when a job cannot be done with so little */
export function checkMemory(job: MemoryJob, memory: number | undefined): void {
  const { compressing, measuring } = memoryOf(job);
  const least = Math.max(compressing + leastRoom, measuring);
  if (memory === undefined || memory >= least) return;
  throw new TersorError(
    `compressing it takes at least ${(least / 1e9).toFixed(1)} GB of memory, more than --memory allows`,
    {
      code: 'no-memory',
      file: job.model.checkpoint.path,
      remedy: `give --memory ${Math.ceil(least / 1e8) / 10}GB`,
    },
  );
}

/** What the machine has, or the container that the process runs in. */
function machineMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}
