import type { Architecture, Batch } from '../architecture/architecture.js';
import { type Hidden, hiddenOf, programCache } from '../architecture/forward.js';
import { elements } from '../graph/ops.js';
import type { Arrays } from '../graph/program.js';
import { collectGarbage } from '../runtime/garbage.js';
import type { RuntimeOptions } from '../runtime/session.js';
import type { Matrix, Moments } from '../types.js';
import { type ActivationCache, createActivationCache, type Kept } from './activation-cache.js';
import { createHeldOutCollector, heldOutRows } from './held-out.js';
import { createMoments } from './moments.js';
import { entrance, exit, freshOf, headSegment, type Segment, segments } from './segments.js';

/** Hidden states on their way through one block, and the weights they meet there. */
export interface Passage {
  readonly hidden: readonly Hidden[];
  readonly weights: Weights;
}

/** The way through a block. */
export interface BlockPassage extends Passage {
  readonly block: number;
}

/** Weights by role; those that are functions are fetched for each part of a block that needs them, and let go again. */
export type Weights = Readonly<Record<string, Float32Array | (() => Promise<Float32Array>)>>;

export const fetchWeight = async (weight: Weights[string] | undefined): Promise<Float32Array | undefined> =>
  typeof weight === 'function' ? weight() : weight;

/**
 * Called where the activations are known that feed the weights of these roles. What it changes in the weights
 * given to the walk is what the rest of the block computes with.
 */
export type Visit = (roles: readonly string[], moments: SiteMoments) => Promise<void>;

/** Moments that are whoever is visited's: what is of no more use to them should not stay in memory. */
export interface SiteMoments extends Omit<Moments, 'crossMoments'> {
  crossMoments?: Matrix;
}

export interface WalkOptions {
  /** The same text on its way through the original model: moments then include `crossMoments`. */
  readonly original?: Passage | undefined;
  /**
   * Asked before the moments at a site are collected: tells whether it has put weights of these roles in place that
   * are known from elsewhere, so that there is nothing to visit.
   */
  readonly skip?: (roles: readonly string[]) => Promise<boolean>;
}

export interface Calibrator {
  /**
   * Takes hidden states through one block, stopping at each site for a visit. States that can be dropped are.
   * @returns what comes out of the block
   */
  walk(
    passage: BlockPassage,
    visit: Visit,
    options?: WalkOptions,
  ): Promise<{ readonly output: Hidden[]; readonly original?: Hidden[] }>;
  /**
   * Moments of what the output head multiplies with: the last block's outputs behind the final norm. Logits are not
   * computed.
   * @param original the same text on its way through the original model
   */
  head(passage: Passage, original?: Passage): Promise<Moments>;
  release(): Promise<void>;
}

export interface CalibratorOptions extends RuntimeOptions {
  /** Whether some tokens stay out of the sums and come with the moments (./held-out.ts); by default none. */
  readonly holdOut?: boolean;
}

/**
 * Second moments of the inputs of a block's linear layers. The block's program is cut at every *site* (a value
 * that feeds linear layers), so that each part runs once, with everything before it already compressed, and
 * only what later parts need is kept between them: two to three arrays of tokens × width.
 */
export function createCalibrator(
  architecture: Architecture,
  options: CalibratorOptions = {},
  activationCache: ActivationCache = createActivationCache(),
): Calibrator {
  const cache = programCache(options);
  const moments = createMoments(options);

  /** The same for all blocks of a kind. */
  const known = new Map<string, Segment[]>();
  const segmentsOf = (block: number, batch: Batch): Segment[] => {
    const key = `${architecture.kindOf(block)} ${batch.sequences} ${batch.length}`;
    const found = known.get(key) ?? segments(architecture, block, batch);
    known.set(key, found);
    return found;
  };
  const programOf = ({ key, cut, segment }: Part, batch: Batch) =>
    Object.keys(segment.fresh).length > 0
      ? cache.get(`${key} ${batch.sequences} ${batch.length}`, () => freshOf(cut(batch)))
      : undefined; // the site is what has entered

  /** Runs one part for one batch; what later parts need replaces `state.arrays`. */
  const step = async (part: Part, state: State, weights: Arrays) => {
    const { batch, arrays } = state;
    const program = await programOf(part, batch);
    const names = Object.keys(program?.inputs ?? {}).filter((name) => name in arrays);
    const inputs = Object.fromEntries(names.map((name) => [name, arrays[name]?.data as Float32Array]));
    const results = Object.fromEntries(
      Object.entries(program?.outputs ?? {}).map(([name, shape]) => [
        name,
        activationCache.take(elements(shape)),
      ]),
    );
    await program?.run({ ...weights, ...inputs }, results);
    state.arrays = Object.fromEntries(
      part.segment.carried.map((name) => [
        name,
        arrays[name] ?? activationCache.keep(results[name] as Float32Array),
      ]),
    );
    for (const [name, data] of Object.entries(inputs)) if (arrays[name]?.onDisk) activationCache.give(data);
    for (const [name, data] of Object.entries(results))
      if (state.arrays[name]?.onDisk) activationCache.give(data);
    for (const [name, kept] of Object.entries(arrays)) if (!(name in state.arrays)) kept.drop?.();
  };

  /** Runs one part for all batches. @returns bytes of the weights that it needed */
  const run = async (part: Part, { states, weights }: Travel): Promise<number> => {
    const [first] = states;
    const program = first && (await programOf(part, first.batch));
    const fetched: Record<string, Float32Array> = {};
    for (const name of Object.keys(program?.inputs ?? {})) {
      const weight = await fetchWeight(weights[name]);
      if (weight) fetched[name] = weight;
    }
    for (const state of states) await step(part, state, fetched);
    return Object.values(fetched).reduce((bytes, { byteLength }) => bytes + byteLength, 0);
  };
  /** The same, after which its weights are in memory no longer. */
  const pass = async (part: Part, travel: Travel) => collectGarbage(await run(part, travel));

  /** Moments of a site that both models have reached, from what waits there for the next part. */
  const sum = async ({ site, width }: Segment, own: Travel, original?: Travel): Promise<SiteMoments> => {
    const batches = own.states.map(({ batch }) => batch);
    const tokens = batches.reduce((total, { sequences, length }) => total + sequences * length, 0);
    const sums = moments.sums(width, { cross: original !== undefined, tokens });
    const rows = options.holdOut ? heldOutRows(batches) : [];
    const heldOut = createHeldOutCollector(rows, width);
    const heldOutOriginal = original && createHeldOutCollector(rows, width);
    for (const [at, { arrays }] of own.states.entries()) {
      const [x, y] = [arrays[site], original?.states[at]?.arrays[site]];
      const [inputs, originals] = [x?.data as Float32Array, y?.data];
      heldOut.take(at, inputs);
      if (originals) heldOutOriginal?.take(at, originals);
      await sums.add(inputs, originals, rows[at]);
      if (x?.onDisk) activationCache.give(inputs);
      if (y?.onDisk && originals) activationCache.give(originals);
    }
    return {
      ...(await sums.mean()),
      ...(heldOut.tokens > 0 && {
        heldOut: { own: heldOut.inputs, ...(heldOutOriginal && { original: heldOutOriginal.inputs }) },
      }),
    };
  };

  return {
    async walk(passage, visit, { original, skip } = {}) {
      const [own, reference] = [enter(passage), original && enter(original)];
      const { block } = passage;
      const kind = architecture.kindOf(block);
      const [first] = passage.hidden;
      /** A function of its own, so that nothing of one site is still in memory at the next. */
      const stop = async (segment: Segment, index: number) => {
        const part = {
          key: `${kind} ${index}`,
          cut: (batch: Batch) => segmentsOf(block, batch)[index],
          segment,
        };
        const wanted = segment.roles.length > 0 && !(await skip?.(segment.roles));
        if (reference) await pass(part, reference);
        await pass(part, own);
        if (wanted) await visit(segment.roles, await sum(segment, own, reference));
      };
      for (const [index, segment] of first ? segmentsOf(block, first.batch).entries() : []) {
        await stop(segment, index);
        collectGarbage(4 * segment.width ** 2);
      }
      return { output: leave(own), ...(reference ? { original: leave(reference) } : {}) };
    },
    async head(passage, original) {
      const [first] = passage.hidden;
      if (!first) throw new Error('moments need at least one batch');
      const cut = (batch: Batch) => headSegment(architecture, batch);
      const part = { key: 'head', cut, segment: cut(first.batch) };
      const [own, reference] = [enter(passage), original && enter(original)];
      if (reference) await pass(part, reference);
      await pass(part, own);
      const found = await sum(part.segment, own, reference);
      for (const { arrays } of [...own.states, ...(reference?.states ?? [])])
        for (const kept of Object.values(arrays)) kept.drop?.();
      return found;
    },
    async release() {
      await Promise.all([cache.release(), moments.release()]);
    },
  };
}

/** One batch between two parts of a block. */
interface State {
  readonly batch: Batch;
  arrays: Record<string, Kept>;
}

/** All batches between two parts of a block, and the weights they meet there. */
interface Travel {
  readonly states: readonly State[];
  readonly weights: Weights;
}

const enter = ({ hidden, weights }: Passage): Travel => ({
  states: hidden.map((states) => ({ batch: states.batch, arrays: { [entrance]: states } })),
  weights,
});
const leave = ({ states }: Travel): Hidden[] =>
  states.map(({ batch, arrays }) => hiddenOf(batch, arrays[exit] as Kept));

/** A segment as it is for batches of any size. */
interface Part {
  /** Tells its programs from those of others. */
  readonly key: string;
  /** For the first batch: roles, width and names are the same for all. */
  readonly segment: Segment;
  readonly cut: (batch: Batch) => Segment | undefined;
}
