import type { Architecture, Batch, TensorSpec } from '../architecture/architecture.js';
import { embeddingOf, type Hidden, programCache } from '../architecture/forward.js';
import * as g from '../graph/build.js';
import { differentiate } from '../graph/differentiate.js';
import type { Arrays } from '../graph/program.js';
import { topological, type Value } from '../graph/value.js';
import { required } from '../required.js';
import type { Gemm } from '../runtime/gemm.js';
import type { RuntimeOptions } from '../runtime/session.js';

/** What the gradient of a linear layer's weight is made of: gradientᵀ · inputs. */
export interface LayerGradient {
  /** tokens × in */
  readonly inputs: Float32Array;
  /** Of the loss at the layer's outputs, tokens × out. */
  readonly gradient: Float32Array;
}

/** One batch that is to pass one block backwards. */
export interface BackwardPass {
  readonly block: number;
  /** What enters the block. */
  readonly hidden: Hidden;
  /** The loss's gradient at the block's outputs, tokens × hidden. */
  readonly upstream: Float32Array;
  /** Of the block, by role. */
  readonly weights: Arrays;
}

/** What comes out of a block backwards. */
export interface Passed {
  /** The loss's gradient at the block's inputs, tokens × hidden. */
  readonly entrance: Float32Array;
}

/** By role of the weight. */
export type LayerGradients = ReadonlyMap<string, LayerGradient>;

/** Gradients through a model, from behind, one block at a time. */
export interface Backward {
  /** With what the gradients of the linear layers' weights are made of. */
  layers(pass: BackwardPass): Promise<Passed & { readonly layers: LayerGradients }>;
  /** With the sums over tokens of squared gradients at each output of the linear layers, by role of the weight. */
  squares(pass: BackwardPass): Promise<Passed & { readonly squares: ReadonlyMap<string, Float32Array> }>;
  /** With nothing else. */
  through(pass: BackwardPass): Promise<Passed>;
  /**
   * Adds the gradient of the embedding's weight, vocabulary × width.
   * @param upstream at the first block's inputs
   */
  addEmbedding(
    texts: readonly Int32Array[],
    batch: Batch,
    upstream: Float32Array,
    outside: Arrays,
    into: Float32Array,
  ): Promise<void>;
  release(): Promise<void>;
}

export function createBackward(architecture: Architecture, options: RuntimeOptions = {}): Backward {
  const cache = programCache(options);
  const key = ({ sequences, length }: Batch) => `${sequences} ${length}`;
  const run = async (wanted: Wanted, { block, hidden: { batch, data }, upstream, weights }: BackwardPass) => {
    const program = await cache.get(`${wanted} ${architecture.kindOf(block)} ${key(batch)}`, () =>
      blockBackward(architecture, block, batch, wanted),
    );
    const results = await program.run({ ...weights, hidden: data, upstream });
    return { results, entrance: required(results, 'entrance') };
  };
  return {
    async layers(pass) {
      const { results, entrance } = await run('layers', pass);
      const layers = new Map<string, LayerGradient>();
      for (const [role, gradient] of startingWith(results, 'gradient '))
        layers.set(role, { gradient, inputs: required(results, `inputs ${role}`) });
      return { entrance, layers };
    },
    async squares(pass) {
      const { results, entrance } = await run('squares', pass);
      return { entrance, squares: new Map(startingWith(results, 'squares ')) };
    },
    async through(pass) {
      const { entrance } = await run('nothing', pass);
      return { entrance };
    },
    async addEmbedding(texts, batch, upstream, outside, into) {
      const program = await cache.get(`embed ${key(batch)}`, () => embeddingBackward(architecture, batch));
      const tokens = texts.flatMap((text) => [...text]);
      const ids = BigInt64Array.from(tokens, BigInt);
      const rows = required(await program.run({ ...outside, tokens: ids, upstream }), 'rows');
      const width = rows.length / tokens.length;
      for (const [at, token] of tokens.entries()) {
        for (let col = 0; col < width; col++) {
          const place = token * width + col;
          into[place] = (into[place] ?? 0) + (rows[at * width + col] ?? 0);
        }
      }
    },
    release: cache.release,
  };
}

/** A sum of products of matrices: sum + factor · gradientᵀ · inputs, out × in. */
export async function addLayerGradient(
  gemm: Gemm,
  { role, shape: [out = 0, inputs = 0] }: TensorSpec,
  layers: LayerGradients,
  { factor = 1, sum }: { readonly factor?: number; readonly sum?: Float32Array | undefined } = {},
): Promise<Float32Array> {
  const layer = required(layers, role);
  const tokens = layer.gradient.length / out;
  return gemm(
    { data: layer.gradient, shape: [tokens, out] },
    { data: layer.inputs, shape: [tokens, inputs] },
    { transposeA: true, alpha: factor, ...(sum ? { add: { data: sum, shape: [out, inputs] } } : {}) },
  );
}

/** Results whose names start so, by the rest of their names. */
const startingWith = (results: Readonly<Record<string, Float32Array>>, prefix: string) =>
  Object.entries(results).flatMap(([name, values]) =>
    name.startsWith(prefix) ? [[name.slice(prefix.length), values] as const] : [],
  );

/** What is wanted of a block's linear layers. */
type Wanted = 'nothing' | 'layers' | 'squares';

function blockBackward(
  architecture: Architecture,
  block: number,
  batch: Batch,
  wanted: Wanted,
): Record<string, Value> {
  const hidden = g.input('hidden', [batch.sequences * batch.length, architecture.hidden]);
  const output = architecture.block(block, hidden, batch);
  const layers = wanted === 'nothing' ? [] : linearLayers(output);
  const sources = [hidden, ...layers.map(({ value }) => value)];
  const [entrance = hidden, ...own] = differentiate(output, g.input('upstream', hidden.shape), sources);
  const results: Record<string, Value> = { entrance };
  for (const [index, { role, inputs }] of layers.entries()) {
    const gradient = required(own, index);
    if (wanted === 'squares') results[`squares ${role}`] = g.sum(g.mul(gradient, gradient), 0);
    else {
      results[`inputs ${role}`] = inputs;
      results[`gradient ${role}`] = gradient;
    }
  }
  return results;
}

/** From the gradient at the first block's inputs to that of each position's row of the table. */
function embeddingBackward(architecture: Architecture, batch: Batch): Record<string, Value> {
  const rows = batch.sequences * batch.length;
  const embedded = architecture.embed(g.input('tokens', [rows], 'i64'), batch);
  const role = embeddingOf(architecture)?.role;
  const looked = topological([embedded]).find(
    ({ op, inputs }) => op === 'gather' && inputs[0]?.name === role,
  );
  const upstream = g.input('upstream', [rows, architecture.hidden]);
  const [gradient] = looked ? differentiate(embedded, upstream, [looked]) : [];
  if (!gradient) throw new Error('the model looks no token up');
  return { rows: gradient };
}

/** The linear layers of a program, by the names of their weights. */
function linearLayers(output: Value): { role: string; inputs: Value; value: Value }[] {
  return topological([output]).flatMap((value) => {
    const [inputs, weight] = value.inputs;
    return value.op === 'linear' && inputs && weight?.name !== undefined
      ? [{ role: weight.name, inputs, value }]
      : [];
  });
}
