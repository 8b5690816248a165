import { type Architecture, type Batch, blockTensors } from '../architecture/architecture.js';
import { embeddingOf, type Hidden, programCache } from '../architecture/forward.js';
import * as g from '../graph/build.js';
import { differentiate } from '../graph/differentiate.js';
import type { Arrays } from '../graph/program.js';
import { topological, type Value } from '../graph/value.js';
import type { RuntimeOptions } from '../runtime/session.js';

/** What the gradient of a linear layer's weight is made of: gradientᵀ · inputs. */
export interface LayerGradient {
  /** tokens × in */
  readonly inputs: Float32Array;
  /** Of the loss at the layer's outputs, tokens × out. */
  readonly gradient: Float32Array;
}

export interface BlockGradients {
  /** At the block's inputs, tokens × hidden. */
  readonly entrance: Float32Array;
  /** By role of the weight. */
  readonly layers: ReadonlyMap<string, LayerGradient>;
}

/** Gradients through a model, from behind, one block at a time. */
export interface Backward {
  /** @param upstream the loss's gradient at the block's outputs, tokens × hidden */
  block(hidden: Hidden, upstream: Float32Array, weights: Arrays): Promise<BlockGradients>;
  /** At the block's inputs only. */
  through(hidden: Hidden, upstream: Float32Array, weights: Arrays): Promise<Float32Array>;
  /**
   * Adds the gradient of the embedding's table, vocabulary × width.
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
  const roles = new Set(blockTensors(architecture, 0).map(({ role }) => role));
  return {
    async block({ batch, data }, upstream, weights) {
      const program = await cache.get(`block ${key(batch)}`, () => blockBackward(architecture, batch, true));
      const results = await program.run({ ...weights, hidden: data, upstream });
      const layers = new Map<string, LayerGradient>();
      for (const role of roles) {
        const [inputs, gradient] = [results[`inputs ${role}`], results[`gradient ${role}`]];
        if (inputs && gradient) layers.set(role, { inputs, gradient });
      }
      return { entrance: results.entrance ?? new Float32Array(), layers };
    },
    async through({ batch, data }, upstream, weights) {
      const program = await cache.get(`through ${key(batch)}`, () =>
        blockBackward(architecture, batch, false),
      );
      return (await program.run({ ...weights, hidden: data, upstream })).entrance ?? new Float32Array();
    },
    async addEmbedding(texts, batch, upstream, outside, into) {
      const program = await cache.get(`embed ${key(batch)}`, () => embeddingBackward(architecture, batch));
      const tokens = texts.flatMap((text) => [...text]);
      const ids = BigInt64Array.from(tokens, BigInt);
      const { rows = new Float32Array() } = await program.run({ ...outside, tokens: ids, upstream });
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

function blockBackward(architecture: Architecture, batch: Batch, withLayers: boolean): Record<string, Value> {
  const hidden = g.input('hidden', [batch.sequences * batch.length, architecture.hidden]);
  const output = architecture.block(hidden, batch);
  const layers = withLayers ? linearLayers(output) : [];
  const sources = [hidden, ...layers.map(({ value }) => value)];
  const [entrance = hidden, ...own] = differentiate(output, g.input('upstream', hidden.shape), sources);
  const results: Record<string, Value> = { entrance };
  for (const [index, { role, inputs }] of layers.entries()) {
    results[`inputs ${role}`] = inputs;
    results[`gradient ${role}`] = own[index] ?? hidden;
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
export function linearLayers(output: Value): { role: string; inputs: Value; value: Value }[] {
  return topological([output]).flatMap((value) => {
    const [inputs, weight] = value.inputs;
    return value.op === 'linear' && inputs && weight?.name !== undefined
      ? [{ role: weight.name, inputs, value }]
      : [];
  });
}
