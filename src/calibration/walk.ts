import type { Architecture, Batch } from '../architecture/architecture.js';
import { type Hidden, hiddenOf, programCache } from '../architecture/forward.js';
import * as g from '../graph/build.js';
import { elements } from '../graph/ops.js';
import type { Arrays } from '../graph/program.js';
import { frontier, substitute } from '../graph/rewrite.js';
import { topological, type Value } from '../graph/value.js';
import { workSpace } from '../graph/work-space.js';
import { collectGarbage } from '../runtime/garbage.js';
import type { RuntimeOptions } from '../runtime/session.js';
import type { Matrix, Moments } from '../types.js';
import { type ActivationCache, createActivationCache, type Kept } from './activation-cache.js';
import { createMoments } from './moments.js';

/** Hidden states on their way through one block, and the weights they meet there. */
export interface Passage {
  readonly hidden: readonly Hidden[];
  readonly weights: Weights;
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
    passage: Passage,
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

/**
 * Second moments of the inputs of a block's linear layers. The block's program is cut at every *site* (a value
 * that feeds linear layers), so that each part runs once, with everything before it already compressed, and
 * only what later parts need is kept between them: two to three arrays of tokens × width.
 */
export function createCalibrator(
  architecture: Architecture,
  options: RuntimeOptions = {},
  activationCache: ActivationCache = createActivationCache(),
): Calibrator {
  const cache = programCache(options);
  const moments = createMoments(options);

  /** The same for all blocks. */
  const known = new Map<string, Stage[]>();
  const stagesOf = (batch: Batch): Stage[] => {
    const key = `${batch.sequences} ${batch.length}`;
    const found = known.get(key) ?? stages(architecture, batch);
    known.set(key, found);
    return found;
  };
  const programOf = ({ key, cut, stage }: Part, batch: Batch) =>
    Object.keys(stage.fresh).length > 0
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
      part.stage.carried.map((name) => [
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
  const sum = async ({ site, width }: Stage, own: Travel, original?: Travel): Promise<SiteMoments> => {
    const [gram, cross] = [moments.sum(width), original && moments.sum(width)];
    const [mean, originalMean] = [moments.vector(width), original && moments.vector(width)];
    let tokens = 0;
    for (const [at, { batch, arrays }] of own.states.entries()) {
      const [x, y] = [arrays[site], original?.states[at]?.arrays[site]];
      const [inputs, originals] = [x?.data as Float32Array, y?.data as Float32Array];
      await gram.add(inputs, inputs);
      await cross?.add(originals, inputs);
      await mean.add(inputs);
      await originalMean?.add(originals);
      if (x?.onDisk) activationCache.give(inputs);
      if (y?.onDisk) activationCache.give(originals);
      tokens += batch.sequences * batch.length;
    }
    const average = mean.mean(tokens);
    const second = gram.mean(tokens);
    const crossMoments = cross && (await moments.subtract(cross.mean(tokens), second));
    return {
      gram: second,
      means: { original: originalMean?.mean(tokens) ?? average, own: average },
      tokens,
      ...(crossMoments && { crossMoments }),
    };
  };

  return {
    async walk(passage, visit, { original, skip } = {}) {
      const [own, reference] = [enter(passage), original && enter(original)];
      const [first] = passage.hidden;
      /** A function of its own, so that nothing of one site is still in memory at the next. */
      const stop = async (stage: Stage, index: number) => {
        const part = { key: `${index}`, cut: (batch: Batch) => stagesOf(batch)[index], stage };
        const wanted = stage.roles.length > 0 && !(await skip?.(stage.roles));
        if (reference) await pass(part, reference);
        await pass(part, own);
        if (wanted) await visit(stage.roles, await sum(stage, own, reference));
      };
      for (const [index, stage] of first ? stagesOf(first.batch).entries() : []) {
        await stop(stage, index);
        collectGarbage(4 * stage.width ** 2);
      }
      return { output: leave(own), ...(reference ? { original: leave(reference) } : {}) };
    },
    async head(passage, original) {
      const [first] = passage.hidden;
      if (!first) throw new Error('moments need at least one batch');
      const cut = (batch: Batch) => headStage(architecture, batch);
      const part = { key: 'head', cut, stage: cut(first.batch) };
      const [own, reference] = [enter(passage), original && enter(original)];
      if (reference) await pass(part, reference);
      await pass(part, own);
      const found = await sum(part.stage, own, reference);
      for (const { arrays } of [...own.states, ...(reference?.states ?? [])])
        for (const kept of Object.values(arrays)) kept.drop?.();
      return found;
    },
    async release() {
      await Promise.all([cache.release(), moments.release()]);
    },
  };
}

/** What a walk takes. */
export interface Footprint {
  /** Floats per token in the activation cache, at most, with the idle arrays that it keeps for later parts. */
  readonly cachedFloats: number;
  /** Inputs of each site, and the layers that take them in. */
  readonly sites: readonly { readonly width: number; readonly roles: readonly string[] }[];
  /** Floats of onnxruntime's own arrays, of all parts together: none gives its memory back before the end. */
  readonly workSpace: number;
  /** Elements of the weights that a part needs, at most. */
  readonly weights: number;
}

/** @returns the footprint of one block for batches of this size, the same for all blocks */
export function footprint(architecture: Architecture, batch: Batch): Footprint {
  const parts = stages(architecture, batch);
  const weights = new Set(
    architecture.tensors.filter(({ kind }) => kind === 'linear').map(({ role }) => role),
  );
  const weightsOf = ({ fresh }: Stage) =>
    topological(Object.values(fresh))
      .filter(({ op, name = '' }) => op === 'input' && weights.has(name))
      .reduce((sum, { shape }) => sum + elements(shape), 0);
  // An array is used again for any other of its length.
  const most = new Map<number, number>();
  for (const { carriedWidths } of parts)
    for (const width of carriedWidths)
      most.set(
        width,
        Math.max(most.get(width) ?? 0, carriedWidths.filter((other) => other === width).length),
      );
  return {
    cachedFloats: [...most].reduce((sum, [width, count]) => sum + width * count, 0),
    sites: parts.filter(({ roles }) => roles.length > 0).map(({ width, roles }) => ({ width, roles })),
    workSpace: parts.reduce((sum, { fresh }) => sum + workSpace(Object.values(fresh)), 0),
    weights: Math.max(...parts.map(weightsOf)),
  };
}

/** Names of arrays that enter and leave a block. */
const [entrance, exit] = ['hidden', 'exit'] as const;

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

/** A stage as it is for batches of any size. */
interface Part {
  /** Tells its programs from those of others. */
  readonly key: string;
  /** For the first batch: roles, width and names are the same for all. */
  readonly stage: Stage;
  readonly cut: (batch: Batch) => Stage | undefined;
}

/** A part of a block: from one site (or the block's input) to the next (or the block's output). */
interface Stage {
  /** Weights that take in the site's activations; none at the block's output. */
  readonly roles: readonly string[];
  /** Name of the site's activations, tokens × width. */
  readonly site: string;
  readonly width: number;
  /** Values that this part computes for later parts. */
  readonly fresh: Readonly<Record<string, Value>>;
  /** Names of all arrays that later parts need. */
  readonly carried: readonly string[];
  /** Floats per token of each of those. */
  readonly carriedWidths: readonly number[];
}

function freshOf(stage: Stage | undefined): Readonly<Record<string, Value>> {
  if (!stage) throw new Error('the block has fewer parts for one batch than for another');
  return stage.fresh;
}

function stages(architecture: Architecture, batch: Batch): Stage[] {
  const hidden = g.input(entrance, [batch.sequences * batch.length, architecture.hidden]);
  const output = architecture.block(hidden, batch);
  const names = new Map<Value, string>([
    [hidden, entrance],
    [output, exit],
  ]);
  /** Values of earlier parts, as inputs of later ones. */
  const known = new Map([[hidden, hidden]]);
  const reached: Value[] = [];
  return [...findSites(output), [output, []] as const].map(([value, roles]) => {
    reached.push(value);
    const kept = frontier(output, reached, hidden);
    const fresh: Record<string, Value> = {};
    for (const each of kept.filter((candidate) => !known.has(candidate))) {
      const name = names.get(each) ?? `kept:${names.size}`;
      names.set(each, name);
      fresh[name] = substitute(each, known);
    }
    for (const each of kept)
      if (!known.has(each)) known.set(each, g.input(names.get(each) ?? '', each.shape));
    return {
      roles,
      site: names.get(value) ?? '',
      width: value.shape[1] ?? 0,
      fresh,
      carried: kept.map((each) => names.get(each) ?? ''),
      carriedWidths: kept.map(({ shape }) => elements(shape) / (batch.sequences * batch.length)),
    };
  });
}

/** From the last block's outputs to what the head multiplies with; nothing comes after it. */
function headStage(architecture: Architecture, batch: Batch): Stage {
  const hidden = g.input(entrance, [batch.sequences * batch.length, architecture.hidden]);
  const [found] = findSites(architecture.head(hidden));
  if (!found) throw new Error('the head has no linear layer');
  const [value, roles] = found;
  const width = value.shape[1] ?? 0;
  return { roles, site: 'head', width, fresh: { head: value }, carried: ['head'], carriedWidths: [width] };
}

/** Values that feed linear layers, in the order in which the block reaches them, with the weights' names. */
export function findSites(output: Value): [Value, string[]][] {
  const sites = new Map<Value, string[]>();
  for (const { op, inputs } of topological([output])) {
    const [x, weight] = inputs;
    if (op !== 'linear' || !x || weight?.name === undefined) continue;
    sites.set(x, [...(sites.get(x) ?? []), weight.name]);
  }
  return [...sites];
}
