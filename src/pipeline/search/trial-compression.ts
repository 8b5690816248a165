import type { TensorSpec } from '../../architecture/architecture.js';
import {
  createDivergenceEvaluator,
  type DivergenceEvaluator,
} from '../../evaluation/divergence-evaluator.js';
import { spread } from '../../text/corpus.js';
import { codeVersion } from '../../version.js';
import type { Context } from '../context/context.js';
import type { Hooks } from '../context/hooks.js';
import { keyOf, numberBytes, type Store } from '../context/store.js';
import { solveIdentity } from '../options/recipe.js';
import type { CompressOptions } from '../options.js';
import { assign } from '../prepare/assign.js';
import type { Materials } from '../prepare/job.js';
import type { Recipe } from '../prepare/recipe.js';
import { compressBlocks } from '../solve/blocks.js';
import { noJournal } from '../solve/resume.js';
import { mixture, type StoredWeight } from './table/mixture.js';
import { calibrationForTable, tableSolver } from './table/table.js';

type Types = ReadonlyMap<TensorSpec, string>;

/**
 * Compresses whole models and evaluates them on text that calibration did not see: what levels that were solved apart do
 * not tell, namely how well later layers make up for what earlier ones lose. Results are divergences at every scored
 * position, nats, so that two models can be compared position by position.
 */
export interface TrialCompressor {
  /** As the recipe says. */
  full(types: Types, recipe: Recipe): Promise<Float32Array>;
  /** With the solver and the tokens of level tables, evaluated on about so many tokens. */
  quick(types: Types, recipe: Recipe, tokens: number): Promise<Float32Array>;
  release(): Promise<void>;
}

/** Tokens that models are evaluated on at most. */
export const trialTokens = 40960;

/**
 * Share of a sequence that is not scored. Verdicts for people keep to a half, as llama.cpp does; to compare two models
 * nearly all positions serve, and twice as many tell them apart with 0.7 times the error.
 */
const unscored = 1 / 16;

/** Weights go through the store, block by block; what stays there is the result. */
export function createTrialCompressor(
  context: Context,
  { model, format, calibration }: Materials,
  store: Store,
  options: CompressOptions,
  { signal }: Hooks,
): TrialCompressor {
  const asStored = { ...format, arrange: (rows: Uint8Array) => rows, extras: () => [] };
  let evaluating: Promise<DivergenceEvaluator> | undefined;

  const compressAndMeasure = async (
    types: Types,
    recipe: Recipe,
    sequences: readonly Int32Array[],
    asked = trialTokens,
  ): Promise<Float32Array> => {
    const tokens = Math.min(asked, trialTokens);
    evaluating ??= createDivergenceEvaluator(model, unseenText(calibration), { ...context, unscored });
    const evaluator = await evaluating;
    const assignments = assign(model, format, (spec) => types.get(spec) ?? 'f32', options);
    const key = keyOf(
      'trial compression',
      codeVersion(),
      evaluator.fingerprint,
      calibration.fingerprint,
      solveIdentity(recipe),
      JSON.stringify([sequences.length, tokens]),
      assignments.map(({ name, type }) => `${name} ${type}`).join(),
    );
    const known = await store.get(key);
    // A view into a file's bytes need not begin where floats may.
    if (known) return new Float32Array(new Uint8Array(known).buffer);

    const keyOfTensor = (name: string) => keyOf(key, name);
    try {
      await compressBlocks(
        context,
        { model, format: asStored, recipe, calibration: { ...calibration, sequences }, assignments },
        {
          write: (name, bytes) => store.put(keyOfTensor(name), Buffer.concat([numberBytes(0), bytes])),
          journal: noJournal,
          hooks: signal ? { signal } : {},
        },
      );
      const weights = new Map<TensorSpec, StoredWeight>(
        assignments.map(({ spec, grid, name }) => [spec, { grid, key: keyOfTensor(name) }]),
      );
      const positions = await evaluator.positions(mixture(context, store, model, weights), tokens);
      await store.put(key, new Uint8Array(positions.buffer, positions.byteOffset, positions.byteLength));
      return positions;
    } finally {
      for (const { name } of assignments) await store.drop(keyOfTensor(name));
    }
  };
  return {
    full: (types, recipe) => compressAndMeasure(types, recipe, calibration.sequences),
    quick: (types, { options: _, ...recipe }, tokens) =>
      compressAndMeasure(types, { ...recipe, solver: tableSolver }, calibrationForTable(calibration), tokens),
    release: async () => (await evaluating)?.release(),
  };
}

/** What was held out, then what is left over; of a text too short for either what was calibrated on. */
function unseenText({ heldOut, spare, sequences }: Materials['calibration']): Int32Array[] {
  const length = sequences[0]?.length ?? 0;
  const unseen = [...heldOut, ...spread(spare, trialTokens - heldOut.length * length)];
  return unseen.length > 0 ? unseen : spread(sequences, trialTokens);
}
