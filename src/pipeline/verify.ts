import { type Model, openModel } from '../architecture/model.js';
import { openGguf } from '../checkpoint/gguf.js';
import { findOnnxFile } from '../checkpoint/onnx.js';
import { openCheckpoint } from '../checkpoint/open.js';
import { TersorError } from '../errors.js';
import { compare } from '../evaluation/compare.js';
import type { EmbeddingSummary } from '../evaluation/embedding-summary.js';
import { predictWithLlama } from '../evaluation/llama.js';
import { predictWithOnnx } from '../evaluation/onnx.js';
import { type Predictor, predict } from '../evaluation/predictor.js';
import { score } from '../evaluation/score.js';
import { type Summary, summarise } from '../evaluation/summary.js';
import { compareModels } from './encoder.js';
import { checkAborted, type Hooks } from './hooks.js';
import type { Recipe } from './recipe.js';
import type { Workshop } from './workshop.js';

export interface Verification {
  readonly runtime: string;
  /** Mean KL divergence of the runtime's predictions from tersor's, nats per token. */
  readonly meanDivergence: number;
  /** The largest difference of a log-probability. */
  readonly largestShift: number;
  /** What the one of the two that `bounded` names must not exceed. */
  readonly bound: number;
  readonly bounded: 'meanDivergence' | 'largestShift';
  readonly tokens: number;
}

/**
 * llama.cpp multiplies quantized weights with activations that it rounds to 8 bits, as onnxruntime does at accuracy
 * level 4, which alone moves predictions a little; docs/results.md has the figures by type that this bound stands on. A
 * tensor in the wrong place or order costs whole nats.
 */
const roundedActivations = { bounded: 'meanDivergence', bound: 0.02 } as const;
/** At accuracy level 0 onnxruntime computes in f32 as tersor does, in another order. */
const exactActivations = { bounded: 'largestShift', bound: 0.02 } as const;
const verifiedSequences = 4;

/**
 * Opens a written file or folder in its own runtime and compares its predictions with tersor's own from the decoded
 * weights.
 * @throws TersorError beyond the bound
 */
export async function verify(
  shop: Workshop,
  runtime: 'llama.cpp' | 'onnxruntime',
  path: string,
  sequences: readonly Int32Array[],
  hooks: Hooks,
  { activations, accuracyLevel }: Pick<Recipe, 'activations' | 'accuracyLevel'>,
): Promise<Verification> {
  checkAborted(hooks);
  const some = sequences.slice(0, verifiedSequences);
  const exact = runtime === 'onnxruntime' && !accuracyLevel && activations !== 'f16';
  const limit = exact ? exactActivations : roundedActivations;
  const open = runtime === 'llama.cpp' ? openGguf(path, shop.kernels) : openCheckpoint(path, shop);
  const model = await openModel(await open);
  try {
    const expected = await predict(model, some, shop);
    const actual = await predictIn(runtime, path, some, shop);
    const scores = await score(some, actual, expected, shop);
    await actual.release();
    await expected.release();
    const { divergence, tokens } = summarise(scores);
    const result = {
      runtime,
      meanDivergence: divergence?.mean ?? Number.NaN,
      largestShift: scores.reference?.largestShift.reduce((a, b) => Math.max(a, b)) ?? Number.NaN,
      ...limit,
      tokens,
    };
    const measured = result[limit.bounded];
    if (!(measured <= limit.bound)) {
      const unit = limit.bounded === 'largestShift' ? 'in a log-probability' : 'nats a token';
      throw new TersorError(
        `${runtime}'s predictions differ from tersor's by ${measured.toPrecision(3)} ${unit} (at most ${limit.bound} is accepted)`,
        { file: path, remedy: 'the file was not kept; please report this with the command you ran' },
      );
    }
    return result;
  } finally {
    await model.checkpoint.close();
  }
}

/** A file's predictions in its own runtime; `path` of an ONNX model may be its folder. */
export async function predictIn(
  runtime: 'llama.cpp' | 'onnxruntime',
  path: string,
  sequences: readonly Int32Array[],
  shop: Workshop,
): Promise<Predictor> {
  if (runtime === 'llama.cpp') return predictWithLlama(path, sequences, shop);
  const file = path.endsWith('.onnx') ? path : await findOnnxFile(path);
  if (!file)
    throw new TersorError('holds no ONNX model', { file: path, remedy: 'give a folder with onnx/*.onnx' });
  return predictWithOnnx(file, sequences, shop);
}

/** What a model lost, by what it is for. */
export type Loss = { readonly heldOut: Summary } | { readonly embeddings: EmbeddingSummary };

/** Compares a model (a path, read back from disk) with the original, both by tersor's own forward pass. */
export async function measure(
  shop: Workshop,
  path: string,
  original: Model,
  sequences: readonly Int32Array[],
  hooks: Hooks,
): Promise<Loss> {
  checkAborted(hooks);
  if (original.architecture.objective === 'embedding')
    return { embeddings: await compareModels(shop, await shop.open(path), original, sequences, hooks) };
  const settings = { ...shop, ...hooks };
  const expected = await predict(original, sequences, settings);
  const actual = await predict(await shop.open(path), sequences, settings);
  return { heldOut: await compare(sequences, actual, expected, settings) };
}
