import type { Architecture, Batch } from '../architecture/architecture.js';
import { type Hidden, programCache } from '../architecture/forward.js';
import * as g from '../graph/build.js';
import type { Arrays } from '../graph/program.js';
import { frontier, substitute } from '../graph/rewrite.js';
import { topological, type Value } from '../graph/value.js';
import type { RuntimeOptions } from '../runtime/session.js';
import type { Moments } from '../types.js';

/**
 * Called where the activations are known that feed the weights of these roles. What it changes in the weights
 * given to the walk is what the rest of the block computes with.
 */
export type Visit = (roles: readonly string[], moments: Moments) => Promise<void>;

export interface Calibrator {
  /** Takes hidden states through one block, stopping at each site for a visit; returns the block's outputs. */
  walk(hidden: readonly Hidden[], weights: Arrays, visit: Visit): Promise<Hidden[]>;
  release(): Promise<void>;
}

/**
 * Second moments of the inputs of a block's linear layers. The block's program is cut at every *site* (a value
 * that feeds linear layers), so that each part runs once, with everything before it already compressed, and
 * only what later parts need is kept between them: two to three arrays of tokens × width.
 */
export function createCalibrator(architecture: Architecture, options: RuntimeOptions = {}): Calibrator {
  const cache = programCache(options);
  return {
    async walk(hidden, weights, visit) {
      let states: Record<string, Float32Array>[] = hidden.map(({ data }) => ({ [entrance]: data }));
      const [first] = hidden;
      if (!first) return [];
      for (const [index, { roles, width, carried }] of stages(architecture, first.batch).entries()) {
        let sum: Float32Array = new Float32Array(width * width);
        let tokens = 0;
        const next: typeof states = [];
        for (const [at, { batch }] of hidden.entries()) {
          const key = `${index} ${batch.sequences} ${batch.length}`;
          const program = await cache.get(key, () => stages(architecture, batch)[index]?.outputs ?? {});
          const { [total]: result, ...kept } = await program.run({
            ...weights,
            ...states[at],
            [previous]: sum,
          });
          next.push(select({ ...states[at], ...kept }, carried));
          if (result) sum = result;
          tokens += batch.sequences * batch.length;
        }
        states = next;
        if (roles.length > 0) await visit(roles, mean(sum, width, tokens));
      }
      return hidden.map(({ batch }, at) => ({ batch, data: states[at]?.[exit] as Float32Array }));
    },
    release: cache.release,
  };
}

const [entrance, exit, total, previous] = ['hidden', 'exit', 'total', 'previous'] as const;

/** A part of a block: from one site (or the block's input) to the next (or the block's output). */
interface Stage {
  /** Weights that take in the site's activations; none at the block's output. */
  readonly roles: readonly string[];
  /** Of the site's activations. */
  readonly width: number;
  readonly outputs: Readonly<Record<string, Value>>;
  /** Names of the arrays that later parts need. */
  readonly carried: readonly string[];
}

function stages(architecture: Architecture, batch: Batch): Stage[] {
  const hidden = g.input(entrance, [batch.sequences * batch.length, architecture.hidden]);
  const output = architecture.block(hidden, batch);
  const sites = findSites(output);
  const names = new Map<Value, string>([
    [hidden, entrance],
    [output, exit],
  ]);
  const known = new Map<Value, Value>();
  const result: Stage[] = [];
  const reached: Value[] = [];
  for (const [site, roles] of [...sites, [output, []] as const]) {
    reached.push(site);
    const outputs: Record<string, Value> = {};
    const width = site.shape[1] ?? 0;
    const fresh = substitute(site, known);
    if (roles.length > 0) outputs[total] = g.moment(fresh, fresh, g.input(previous, [width, width]));
    const kept = frontier(output, reached, new Set([hidden]));
    for (const value of kept) {
      if (!names.has(value)) names.set(value, `kept:${names.size}`);
      const name = names.get(value) ?? '';
      if (value === hidden || known.has(value)) continue;
      outputs[name] = substitute(value, known);
    }
    for (const value of kept)
      if (value !== hidden) known.set(value, g.input(names.get(value) ?? '', value.shape));
    result.push({ roles, width, outputs, carried: kept.map((value) => names.get(value) ?? '') });
  }
  return result;
}

/** Values that feed linear layers, in the order in which the block reaches them, with the weights' names. */
function findSites(output: Value): [Value, string[]][] {
  const sites = new Map<Value, string[]>();
  for (const { op, inputs } of topological([output])) {
    const [x, weight] = inputs;
    if (op !== 'linear' || !x || weight?.name === undefined) continue;
    sites.set(x, [...(sites.get(x) ?? []), weight.name]);
  }
  return [...sites];
}

function mean(sum: Float32Array, size: number, tokens: number): Moments {
  for (let at = 0; at < sum.length; at++) sum[at] = (sum[at] ?? 0) / tokens;
  return { gram: { rows: size, cols: size, data: sum }, tokens };
}

const select = (arrays: Record<string, Float32Array>, names: readonly string[]) =>
  Object.fromEntries(names.map((name) => [name, arrays[name] as Float32Array]));
