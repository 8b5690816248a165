import type { Architecture } from '../architecture/architecture.js';
import { embeddingOf, programCache } from '../architecture/forward.js';
import * as g from '../graph/build.js';
import { topological, type Value } from '../graph/value.js';
import type { RuntimeOptions } from '../runtime/session.js';
import type { Matrix, Moments } from '../types.js';
import { type Calibrator, fetchWeight, type Passage, type Visit } from './walk.js';

/**
 * What an error Δ of an embedding's row does to the first block, as a matrix M in the place of second moments, so that
 * Δ M Δᵀ is the loss. Behind a norm with the gains g, a linear layer W with inputs of the moment H gives W (g ∘ Δ), up to
 * the scale that the norm gives the whole row; relative to what it gives otherwise,
 *
 *   M = Σ_W diag(g) Wᵀ W diag(g) / tr(W H Wᵀ)   over the layers of the block that stand behind norms of its states.
 *
 * Layers that take in the states themselves (in blocks with norms behind their layers) count with g = 1.
 *
 * Later blocks are left out: their inputs are so much larger that the same error is smaller in them (stories15M: 8
 * times in the second block; tales: 1000 times).
 * @param passage states on their way into the first block, its weights, and those outside the blocks
 * @returns M with a mean diagonal of 1, width × width of the embedding
 */
export async function embeddingMoments(
  architecture: Architecture,
  calibrator: Calibrator,
  passage: Passage,
  options: RuntimeOptions = {},
): Promise<Moments> {
  const size = architecture.hidden;
  const width = embeddingOf(architecture)?.shape[1] ?? size;
  // Narrow rows go through a layer of their own first, which the blocks say nothing of: all columns count alike.
  if (width !== size) return { gram: identity(width), tokens: 0 };
  const cache = programCache(options);
  const gains = gainsOf(architecture);
  let total: Float32Array = new Float32Array(size * size);
  let tokens = 0;
  // Sites behind no norm, the widest among them, say nothing of the embedding.
  const skip = async (roles: readonly string[]) => !roles.some((role) => gains.has(role));
  const visit: Visit = async (roles, moments) => {
    tokens = moments.tokens;
    for (const role of roles) {
      const name = gains.get(role);
      const gain =
        name === null ? new Float32Array(size).fill(1) : await fetchWeight(passage.weights[name ?? '']);
      const weight = await fetchWeight(passage.weights[role]);
      if (!gain || !weight) continue;
      const program = await cache.get(`${weight.length}`, () => reading(weight.length / size, size));
      const { sum } = await program.run({ weight, gain, gram: moments.gram.data, previous: total });
      total = sum ?? total;
    }
  };
  await calibrator.walk({ ...passage, block: 0 }, visit, { skip });
  await cache.release();
  return { gram: unit({ rows: size, cols: size, data: total }), tokens };
}

/**
 * Of every linear layer that takes in a norm of the block's states: which weight holds the norm's gains, and null of those
 * that take in the states themselves. States may come out of a norm, as those of encoders do.
 */
function gainsOf({ embed, block, hidden }: Architecture): Map<string, string | null> {
  const batch = { sequences: 1, length: 1 };
  const entrance = g.input('hidden', [1, hidden]);
  const embedded = embed(g.input('tokens', [1], 'i64'), batch);
  const gains = new Map<string, string | null>();
  for (const { op, inputs } of topological([block(0, entrance, batch)])) {
    const [x, weight] = inputs;
    const norm = x === entrance ? embedded : x;
    if (op !== 'linear' || weight?.name === undefined) continue;
    const isNorm = norm?.op === 'rmsNorm' || norm?.op === 'layerNorm';
    const gain = isNorm ? norm.inputs[1]?.name : x === entrance ? null : undefined;
    if (gain !== undefined) gains.set(weight.name, gain);
  }
  return gains;
}

/** previous + diag(g) Wᵀ W diag(g) / tr(W H Wᵀ), with nothing added where the layer gives nothing. */
function reading(rows: number, size: number) {
  const square = (name: string) => g.input(name, [size, size]);
  const [weight, previous] = [g.input('weight', [rows, size]), square('previous')];
  const product = (x: Value) => g.matmul(g.transpose(x, [1, 0]), x);
  const energy = g.sum(g.sum(g.mul(product(weight), square('gram')), 0), 1);
  const share = g.div(product(g.mul(weight, g.input('gain', [size]))), g.add(energy, g.scalar(1e-30)));
  return { sum: g.add(previous, share) };
}

/**
 * Moments of a matrix that is both embedding and head: each counts as much as the other, by the means of their
 * diagonals.
 */
export function combinedMoments(embedding: Moments, head: Moments): Moments {
  const [a, b] = [unit(embedding.gram), unit(head.gram)];
  const data = a.data.map((value, at) => (value + (b.data[at] ?? 0)) / 2);
  return { gram: { ...a, data }, tokens: head.tokens };
}

/** A second moment in units of its diagonal's mean. */
function unit({ rows, cols, data }: Matrix): Matrix {
  let trace = 0;
  for (let i = 0; i < rows; i++) trace += data[i * (cols + 1)] ?? 0;
  const scale = trace > 0 ? rows / trace : 1;
  return { rows, cols, data: data.map((value) => value * scale) };
}

function identity(size: number): Matrix {
  const data = new Float32Array(size * size);
  for (let i = 0; i < size; i++) data[i * (size + 1)] = 1;
  return { rows: size, cols: size, data };
}
