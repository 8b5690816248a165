import type { Architecture, Batch } from '../architecture/architecture.js';
import { type Hidden, programCache } from '../architecture/forward.js';
import * as g from '../graph/build.js';
import type { Arrays } from '../graph/program.js';
import { frontier, substitute } from '../graph/rewrite.js';
import { elements, topological, type Value } from '../graph/value.js';
import type { RuntimeOptions } from '../runtime/session.js';
import type { Matrix, Moments } from '../types.js';

/** Hidden states on their way through one block, and the weights they meet there. */
export interface Passage {
  readonly hidden: readonly Hidden[];
  readonly weights: Arrays;
}

/**
 * Called where the activations are known that feed the weights of these roles. What it changes in the weights
 * given to the walk is what the rest of the block computes with.
 */
export type Visit = (roles: readonly string[], moments: Moments) => Promise<void>;

export interface Calibrator {
  /**
   * Takes hidden states through one block, stopping at each site for a visit.
   * @param original the same text on its way through the original model: moments then include `cross`
   * @returns what comes out of the block
   */
  walk(
    passage: Passage,
    visit: Visit,
    original?: Passage,
  ): Promise<{ readonly output: Hidden[]; readonly original?: Hidden[] }>;
  release(): Promise<void>;
}

/**
 * Second moments of the inputs of a block's linear layers. The block's program is cut at every *site* (a value
 * that feeds linear layers), so that each part runs once, with everything before it already compressed, and
 * only what later parts need is kept between them: two to three arrays of tokens × width.
 */
export function createCalibrator(architecture: Architecture, options: RuntimeOptions = {}): Calibrator {
  const cache = programCache(options);

  /** Runs one part of the block for one batch; what later parts need replaces `state.arrays`. */
  const step = async (stage: Stage, index: number, state: State, weights: Arrays, sums: Arrays) => {
    const extra = Object.keys(sums);
    const program = await cache.get(`${index} ${state.batch.sequences} ${state.batch.length} ${extra}`, () =>
      outputsOf(stages(architecture, state.batch)[index], extra),
    );
    const results = await program.run({ ...weights, ...state.arrays, ...sums });
    state.arrays = Object.fromEntries(
      stage.carried.map((name) => [name, (results[name] ?? state.arrays[name]) as Float32Array]),
    );
    return results;
  };

  return {
    async walk({ hidden, weights }, visit, original) {
      const states = hidden.map(enter);
      const originals = (original?.hidden ?? []).map(enter);
      const [first] = hidden;
      for (const [index, stage] of first ? stages(architecture, first.batch).entries() : []) {
        const { roles, width } = stage;
        const empty = (): Float32Array | undefined =>
          roles.length > 0 ? new Float32Array(width * width) : undefined;
        let [gram, cross] = [empty(), original && empty()];
        let tokens = 0;
        for (const [at, state] of states.entries()) {
          const twin = originals[at];
          const seen = twin && original && (await step(stage, index, twin, original.weights, observed));
          const results = await step(stage, index, state, weights, {
            ...(gram && { [previousGram]: gram }),
            ...(cross && { [previousCross]: cross, [originalSite]: seen?.[site] as Float32Array }),
          });
          [gram, cross] = [results[totalGram], results[totalCross]];
          tokens += state.batch.sequences * state.batch.length;
        }
        if (gram) {
          const moments = { gram: mean(gram, width, tokens), tokens };
          await visit(roles, cross ? { ...moments, cross: mean(cross, width, tokens) } : moments);
        }
      }
      return { output: states.map(leave), ...(original ? { original: originals.map(leave) } : {}) };
    },
    release: cache.release,
  };
}

/** What a walk costs for every token. */
export interface Footprint {
  /** Floats that are kept between two parts of a block, at most. */
  readonly kept: number;
  /** Inputs of each site. */
  readonly sites: readonly number[];
}

/** @returns the footprint of one block, the same for all */
export function footprint(architecture: Architecture): Footprint {
  const batch = { sequences: 1, length: 1 };
  const parts = stages(architecture, batch);
  return {
    kept: Math.max(...parts.map(({ carriedWidth }) => carriedWidth)),
    sites: parts.filter(({ roles }) => roles.length > 0).map(({ width }) => width),
  };
}

/** Names of arrays that enter and leave the programs. */
const [entrance, exit, site, originalSite] = ['hidden', 'exit', 'site', 'originalSite'] as const;
const [previousGram, totalGram] = ['previousGram', 'totalGram'] as const;
const [previousCross, totalCross] = ['previousCross', 'totalCross'] as const;
/** Stands for the wish to see a site's activations; no program takes it in. */
const observed: Arrays = { [site]: new Float32Array(0) };

/** One batch between two parts of a block. */
interface State {
  readonly batch: Batch;
  arrays: Record<string, Float32Array>;
}

const enter = ({ batch, data }: Hidden): State => ({ batch, arrays: { [entrance]: data } });
const leave = ({ batch, arrays }: State): Hidden => ({ batch, data: arrays[exit] as Float32Array });

/** A part of a block: from one site (or the block's input) to the next (or the block's output). */
interface Stage {
  /** Weights that take in the site's activations; none at the block's output. */
  readonly roles: readonly string[];
  /** The site's activations, tokens × width. */
  readonly site: Value;
  readonly width: number;
  /** Values that this part computes for later parts. */
  readonly fresh: Readonly<Record<string, Value>>;
  /** Names of all arrays that later parts need. */
  readonly carried: readonly string[];
  /** Floats per token of those. */
  readonly carriedWidth: number;
}

/** What a part's program computes, by what it is given or asked for besides weights and states. */
function outputsOf(stage: Stage | undefined, extra: readonly string[]): Record<string, Value> {
  if (!stage) throw new Error('the block has fewer parts for one batch than for another');
  const { site: x, width, fresh } = stage;
  const sum = (name: string) => g.input(name, [width, width]);
  return {
    ...fresh,
    ...(extra.includes(site) && { [site]: x }),
    ...(extra.includes(previousGram) && { [totalGram]: g.moment(x, x, sum(previousGram)) }),
    ...(extra.includes(previousCross) && {
      [totalCross]: g.moment(g.input(originalSite, x.shape), x, sum(previousCross)),
    }),
  };
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
    const current = substitute(value, known);
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
      site: current,
      width: value.shape[1] ?? 0,
      fresh,
      carried: kept.map((each) => names.get(each) ?? ''),
      carriedWidth:
        kept.reduce((sum, { shape }) => sum + elements(shape), 0) / (batch.sequences * batch.length),
    };
  });
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

function mean(sum: Float32Array, size: number, tokens: number): Matrix {
  for (let at = 0; at < sum.length; at++) sum[at] = (sum[at] ?? 0) / tokens;
  return { rows: size, cols: size, data: sum };
}
