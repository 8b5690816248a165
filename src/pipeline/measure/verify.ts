import { type Model, openModel } from '../../architecture/model.js';
import { product } from '../../checkpoint/decode.js';
import { TersorError } from '../../errors.js';
import { embed, rowDistances } from '../../evaluation/embedding.js';
import { predict } from '../../evaluation/predictor.js';
import { score } from '../../evaluation/score.js';
import { summarise } from '../../evaluation/summary.js';
import type { Context } from '../context/context.js';
import { checkAborted, type Hooks } from '../context/hooks.js';
import type { OutputFormat } from '../formats/format.js';
import type { Runtime } from '../formats/runtime.js';
import type { Recipe } from '../prepare/recipe.js';
import { slabRows } from '../solve/slab.js';
import type { Verification } from './result.js';

/** Sequences that are tried; of large models fewer, which take 2 operations per weight and token. */
const [mostSequences, verifyingOperations] = [4, 2e12];
/** Sentences, which are shorter. */
const verifiedTexts = 32;

/** A file or folder that was just written, what it is to be tried on, and how it was made. */
export interface Written {
  readonly path: string;
  readonly sequences: readonly Int32Array[];
  readonly recipe: Pick<Recipe, 'activations' | 'accuracyLevel'>;
}

/** What verification needs of a format. */
export type VerifiedFormat = Pick<OutputFormat, 'open'> & { readonly runtime: Runtime };

/**
 * Opens what was written in its own runtime and compares its predictions with tersor's own from the decoded weights.
 * @throws TersorError beyond the runtime's tolerance
 */
export async function verify(
  context: Context,
  { runtime, open }: VerifiedFormat,
  { path, sequences, recipe }: Written,
  hooks: Hooks,
): Promise<Verification> {
  checkAborted(hooks);
  const model = await openModel(await open(path, context));
  try {
    const { objective } = model.architecture;
    const limit = runtime.tolerance(objective, recipe);
    const compareWith = objective === 'embedding' ? embeddingShift : predictionShift;
    const result = {
      runtime: runtime.name,
      objective,
      ...(await compareWith(context, model, runtime, { path, sequences })),
      ...limit,
    };
    const measured = result[limit.bounded];
    if (!(measured <= limit.bound)) {
      throw new TersorError(
        `${runtime.name}'s ${objective === 'embedding' ? 'embeddings' : 'predictions'} differ from tersor's by ${measured.toPrecision(3)} ${units[objective][limit.bounded]} (at most ${limit.bound} is accepted)`,
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

/**
 * Reads every tensor of what was written, whatever made it: no NaN and no infinity may reach a user.
 * @throws TersorError that names the tensor
 */
export async function proveFinite(
  context: Context,
  { open }: Pick<OutputFormat, 'open'>,
  path: string,
): Promise<void> {
  const written = await open(path, context);
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
  runtime: Runtime,
  written: Pick<Written, 'path' | 'sequences'>,
) => Promise<Pick<Verification, 'meanDivergence' | 'largestShift' | 'tokens'>>;

const predictionShift: Shift = async (context, model, runtime, { path, sequences }) => {
  const weights = model.architecture.tensors.reduce((sum, { shape }) => sum + product(shape), 0);
  const each = 2 * weights * (sequences[0]?.length ?? 1);
  const count = Math.min(mostSequences, Math.max(1, Math.floor(verifyingOperations / each)));
  const some = sequences.slice(0, count);
  const expected = await predict(model, some, context);
  const actual = await runtime.predict(path, some, context);
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

const embeddingShift: Shift = async (context, model, runtime, { path, sequences }) => {
  if (!runtime.embed) throw new Error(`${runtime.name} embeds no texts`);
  const some = sequences.slice(0, verifiedTexts);
  const expected = await embed(model, some, context);
  const actual = await runtime.embed(path, model.architecture, some, context);
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
