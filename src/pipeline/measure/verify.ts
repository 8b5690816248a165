import type { Objective } from '../../architecture/architecture.js';
import { type Model, openModel } from '../../architecture/model.js';
import type { Checkpoint } from '../../checkpoint/checkpoint.js';
import { product } from '../../checkpoint/decode.js';
import { openGguf } from '../../checkpoint/gguf/gguf.js';
import { findOnnxFile } from '../../checkpoint/onnx/onnx.js';
import { openCheckpoint } from '../../checkpoint/open.js';
import type { Portion } from '../../checkpoint/stack/stack.js';
import { TersorError } from '../../errors.js';
import { compare } from '../../evaluation/compare.js';
import { embed, rowDistances } from '../../evaluation/embedding.js';
import { compareEmbeddings } from '../../evaluation/embedding-summary.js';
import { predictWithLlama } from '../../evaluation/llama.js';
import { predictWithOnnx } from '../../evaluation/onnx.js';
import { embedWithOnnx } from '../../evaluation/onnx-embedding.js';
import { type Predictor, predict } from '../../evaluation/predictor.js';
import { score } from '../../evaluation/score.js';
import { summarise } from '../../evaluation/summary.js';
import type { EmbeddingSummary, Summary } from '../../types.js';
import type { Context } from '../context/context.js';
import { checkAborted, type Hooks } from '../context/hooks.js';
import type { OutputFormat } from '../formats/format.js';
import type { Recipe } from '../prepare/recipe.js';
import { slabRows } from '../solve/slab.js';

export interface Verification {
  readonly runtime: string;
  readonly objective: Objective;
  /**
   * Mean KL divergence of the runtime's predictions from tersor's, nats per token; of an encoder, one less the mean
   * cosine of its embeddings with tersor's.
   */
  readonly meanDivergence: number;
  /** The largest difference of a log-probability; of an encoder, of an embedding's component. */
  readonly largestShift: number;
  /** What the one of the two that `bounded` names must not exceed. */
  readonly bound: number;
  readonly bounded: 'meanDivergence' | 'largestShift';
  readonly tokens: number;
}

/**
 * llama.cpp multiplies quantized weights with activations that it rounds to 8 bits, as onnxruntime does at accuracy
 * level 4, which alone moves predictions a little; docs/results/runtimes.md has the figures by type that this bound stands on. A
 * tensor in the wrong place or order costs whole nats.
 */
const roundedActivations = { bounded: 'meanDivergence', bound: 0.02 } as const;
/** At accuracy level 0 onnxruntime computes in f32 as tersor does, in another order. */
const exactActivations = { bounded: 'largestShift', bound: 0.02 } as const;
/** Components of embeddings are about a twentieth in size. */
const exactEmbeddings = { bounded: 'largestShift', bound: 0.001 } as const;
const verifiedSequences = 4;
/** Sentences, which are shorter. */
const verifiedTexts = 32;

/**
 * Opens a written file or folder in its own runtime and compares its predictions with tersor's own from the decoded
 * weights.
 * @throws TersorError beyond the bound
 */
export async function verify(
  context: Context,
  runtime: 'llama.cpp' | 'onnxruntime',
  path: string,
  sequences: readonly Int32Array[],
  hooks: Hooks,
  { activations, accuracyLevel }: Pick<Recipe, 'activations' | 'accuracyLevel'>,
): Promise<Verification> {
  checkAborted(hooks);
  const exact = runtime === 'onnxruntime' && !accuracyLevel && activations !== 'f16';
  const model = await openModel(await openWritten(context, runtime, path));
  try {
    const { objective } = model.architecture;
    const exactly = objective === 'embedding' ? exactEmbeddings : exactActivations;
    const limit = exact ? exactly : roundedActivations;
    const compareWith = objective === 'embedding' ? embeddingShift : predictionShift;
    const result = {
      runtime,
      objective,
      ...(await compareWith(context, model, runtime, path, sequences)),
      ...limit,
    };
    const measured = result[limit.bounded];
    if (!(measured <= limit.bound)) {
      throw new TersorError(
        `${runtime}'s ${objective === 'embedding' ? 'embeddings' : 'predictions'} differ from tersor's by ${measured.toPrecision(3)} ${units[objective][limit.bounded]} (at most ${limit.bound} is accepted)`,
        {
          code: 'verification',
          file: path,
          remedy: 'the file was not kept; please report this with the command you ran',
        },
      );
    }
    return result;
  } finally {
    await model.checkpoint.close();
  }
}

/** A file has no extension that tells its kind before it is complete. */
const openWritten = (
  context: Context,
  runtime: OutputFormat['runtime'],
  path: string,
): Promise<Checkpoint> =>
  runtime === 'llama.cpp' ? openGguf(path, context.kernels) : openCheckpoint(path, context);

/**
 * Reads every tensor of what was written, whatever made it: no NaN and no infinity may reach a user.
 * @throws TersorError that names the tensor
 */
export async function proveFinite(
  context: Context,
  runtime: OutputFormat['runtime'],
  path: string,
): Promise<void> {
  const written = await openWritten(context, runtime, path);
  try {
    for (const { name, shape } of written.tensors.values()) {
      const [rows = 1, ...inner] = shape;
      const slab = slabRows(product(inner));
      for (let from = 0; from < rows; from += slab) {
        await written.readRows(name, from, Math.min(rows, from + slab)).catch((cause) => {
          if (!(cause instanceof TersorError)) throw cause;
          throw new TersorError('holds a value that its type cannot store', {
            code: 'verification',
            file: path.replace(/\.tmp-\d+$/, ''),
            tensor: name,
            remedy: 'nothing was kept; give it a wider type, such as --override NAME=f32',
            cause,
          });
        });
      }
    }
  } finally {
    await written.close();
  }
}

const units = {
  prediction: { meanDivergence: 'nats a token', largestShift: 'in a log-probability' },
  embedding: { meanDivergence: 'of cosine distance', largestShift: 'in a component' },
} as const;

type Shift = (
  context: Context,
  model: Model,
  runtime: 'llama.cpp' | 'onnxruntime',
  path: string,
  sequences: readonly Int32Array[],
) => Promise<Pick<Verification, 'meanDivergence' | 'largestShift' | 'tokens'>>;

const predictionShift: Shift = async (context, model, runtime, path, sequences) => {
  const some = sequences.slice(0, verifiedSequences);
  const expected = await predict(model, some, context);
  const actual = await predictIn(runtime, path, some, context);
  const scores = await score(some, actual, expected, context);
  await actual.release();
  await expected.release();
  const { divergence, tokens } = summarise(scores);
  return {
    meanDivergence: divergence?.mean ?? Number.NaN,
    largestShift: scores.reference?.largestShift.reduce((a, b) => Math.max(a, b)) ?? Number.NaN,
    tokens,
  };
};

const embeddingShift: Shift = async (context, model, _runtime, path, sequences) => {
  const some = sequences.slice(0, verifiedTexts);
  const expected = await embed(model, some, context);
  const actual = await embedWithOnnx(await onnxFileOf(path), model.architecture, some, context);
  const distances = rowDistances(actual, expected);
  return {
    meanDivergence: distances.reduce((sum, each) => sum + each, 0) / distances.length,
    largestShift: actual.data.reduce(
      (most, value, at) => Math.max(most, Math.abs(value - (expected.data[at] ?? Number.NaN))),
      0,
    ),
    tokens: some.reduce((sum, { length }) => sum + length, 0),
  };
};

/** A file's predictions in its own runtime; `path` of an ONNX model may be its folder. */
export async function predictIn(
  runtime: 'llama.cpp' | 'onnxruntime',
  path: string,
  sequences: readonly Int32Array[],
  context: Context,
): Promise<Predictor> {
  if (runtime === 'llama.cpp') return predictWithLlama(path, sequences, context);
  return predictWithOnnx(await onnxFileOf(path), sequences, context);
}

/** The model file of a path, which may be its folder. */
export async function onnxFileOf(path: string): Promise<string> {
  const file = path.endsWith('.onnx') ? path : await findOnnxFile(path);
  if (file) return file;
  throw new TersorError('holds no ONNX model', { file: path, remedy: 'give a folder with onnx/*.onnx' });
}

/** What a model lost, by what it is for. */
export type Loss = { readonly heldOut: Summary } | { readonly embeddings: EmbeddingSummary };

/** Compares a model (a path, read back from disk) with the original, both by tersor's own forward pass. */
export async function measure(
  context: Context,
  path: string,
  original: Model,
  sequences: readonly Int32Array[],
  hooks: Hooks,
  portion?: Portion,
): Promise<Loss> {
  checkAborted(hooks);
  const settings = { ...context, ...hooks };
  if (original.architecture.objective === 'embedding') {
    const [expected, actual] = [
      await embed(original, sequences, settings),
      await embed(await context.open(path), sequences, settings),
    ];
    return { embeddings: await compareEmbeddings(actual, expected, context) };
  }
  const expected = await predict(original, sequences, settings);
  const actual = await predict(await context.open(path, portion), sequences, settings);
  return { heldOut: await compare(sequences, actual, expected, settings) };
}
