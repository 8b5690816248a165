import type { Architecture } from '../architecture/architecture.js';
import { createForward, type Hidden, type ProgramCache, programCache } from '../architecture/forward.js';
import type { Model } from '../architecture/model.js';
import { pooled } from '../architecture/pooling.js';
import * as g from '../graph/build.js';
import { required } from '../required.js';
import type { RuntimeOptions } from '../runtime/session.js';
import type { Matrix, Progress } from '../types.js';

/** Texts by their number of tokens, so that those of a length are processed together; stable. */
export const byLength = (texts: readonly Int32Array[]): Int32Array[] =>
  texts.toSorted((a, b) => a.length - b.length);

/**
 * Embeddings of texts (Reimers and Gurevych, 2019): the mean of the last block's outputs over all tokens or the first
 * token's, as the model is meant to be used, scaled to length one.
 * @returns a row for every text, in the order of `texts`
 */
export async function embed(
  { architecture, readBlock }: Pick<Model, 'architecture' | 'readBlock'>,
  texts: readonly Int32Array[],
  options: RuntimeOptions & { readonly progress?: Progress } = {},
): Promise<Matrix> {
  const forward = createForward(architecture, options);
  const cache = programCache(options);
  const sorted = byLength(texts);
  let hidden = await forward.embedAll(sorted, await readBlock(undefined));
  for (let block = 0; block < architecture.layers; block++) {
    options.progress?.('embed', block, architecture.layers);
    hidden = await forward.blockAll(block, hidden, await readBlock(block), { consume: true });
  }
  options.progress?.('embed', architecture.layers, architecture.layers);
  const rows = await pool(cache, architecture, hidden);
  await Promise.all([forward.release(), cache.release()]);
  const order = new Map(sorted.map((text, at) => [text, at]));
  return pickRows(
    rows,
    texts.map((text) => required(order, text)),
  );
}

/** One vector of length one for each sequence, by the encoder's pooling: sequences × hidden. */
export async function pool(
  cache: ProgramCache,
  architecture: Pick<Architecture, 'hidden' | 'pooling'>,
  states: readonly Hidden[],
): Promise<Matrix> {
  const { hidden: cols } = architecture;
  const rows = states.reduce((sum, { batch }) => sum + batch.sequences, 0);
  const data = new Float32Array(rows * cols);
  let at = 0;
  for (const { batch, data: hidden } of states) {
    const { sequences, length } = batch;
    const program = await cache.get(`pool ${sequences} ${length}`, () => ({
      y: pooled(architecture, g.input('hidden', [sequences * length, cols]), batch),
    }));
    const { y } = await program.run({ hidden });
    data.set(y ?? [], at);
    at += sequences * cols;
  }
  return { rows, cols, data };
}

/** A matrix of some rows of another. */
export function pickRows({ cols, data }: Matrix, rows: readonly number[]): Matrix {
  const result = new Float32Array(rows.length * cols);
  for (const [to, from] of rows.entries())
    result.set(data.subarray(from * cols, (from + 1) * cols), to * cols);
  return { rows: rows.length, cols, data: result };
}

/**
 * One less the cosine of each row with the same row of the other matrix: of rows of length one half the square of their
 * distance, without the rounding of a difference from one.
 */
export function rowDistances(a: Matrix, b: Matrix): Float32Array {
  const { rows, cols } = a;
  return Float32Array.from({ length: rows }, (_, row) => {
    let squares = 0;
    for (let at = row * cols; at < (row + 1) * cols; at++)
      squares += ((a.data[at] ?? 0) - (b.data[at] ?? 0)) ** 2;
    return squares / 2;
  });
}
