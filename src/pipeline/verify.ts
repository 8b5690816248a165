import { type Model, openModel } from '../architecture/model.js';
import { openGguf } from '../checkpoint/gguf.js';
import { TersorError } from '../errors.js';
import { compare } from '../evaluation/compare.js';
import { predictWithLlama } from '../evaluation/llama.js';
import { predict } from '../evaluation/predictor.js';
import type { Summary } from '../evaluation/summary.js';
import { checkAborted, type Hooks } from './hooks.js';
import type { Workshop } from './workshop.js';

export interface Verification {
  readonly runtime: string;
  /** Mean KL divergence of the runtime's predictions from tersor's, nats per token. */
  readonly meanDivergence: number;
  /** What it must not exceed. */
  readonly bound: number;
  readonly tokens: number;
}

/**
 * llama.cpp multiplies quantized weights with activations that it rounds to 8 bits, which alone moves its
 * predictions a little; docs/results.md has the figures by type that this bound stands on. A tensor in the
 * wrong place or order costs whole nats.
 */
const divergenceBound = 0.02;
const verifiedSequences = 4;

/**
 * Opens a written file in llama.cpp and compares its predictions with tersor's own from the decoded weights.
 * @throws TersorError beyond the bound
 */
export async function verify(
  shop: Workshop,
  path: string,
  sequences: readonly Int32Array[],
  hooks: Hooks,
): Promise<Verification> {
  checkAborted(hooks);
  const some = sequences.slice(0, verifiedSequences);
  const model = await openModel(await openGguf(path, shop.kernels));
  try {
    const expected = await predict(model, some, shop);
    const actual = await predictWithLlama(path, some, shop);
    const { divergence, tokens } = await compare(some, actual, expected, shop);
    const meanDivergence = divergence?.mean ?? Number.NaN;
    if (!(meanDivergence <= divergenceBound)) {
      throw new TersorError(
        `llama.cpp's predictions differ from tersor's by ${meanDivergence.toPrecision(3)} nats a token (at most ${divergenceBound} is accepted)`,
        { file: path, remedy: 'the file was not kept; please report this with the command you ran' },
      );
    }
    return { runtime: 'llama.cpp', meanDivergence, bound: divergenceBound, tokens };
  } finally {
    await model.checkpoint.close();
  }
}

/** Scores a model (a path, read back from disk) against the original, both by tersor's own forward pass. */
export async function measure(
  shop: Workshop,
  path: string,
  original: Model,
  sequences: readonly Int32Array[],
  hooks: Hooks,
): Promise<Summary> {
  checkAborted(hooks);
  const settings = { ...shop, ...hooks };
  const expected = await predict(original, sequences, settings);
  const actual = await predict(await shop.open(path), sequences, settings);
  return compare(sequences, actual, expected, settings);
}
