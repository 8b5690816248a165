import type { Portion } from '../checkpoint/stack/stack.js';
import { TersorError } from '../errors.js';
import type { ContextOptions } from './context/context.js';
import type { RecipeFile } from './prepare/recipe.js';

/** Gives the tensors whose name (GGUF's or Hugging Face's) matches a type of their own. */
export interface Override {
  readonly pattern: RegExp;
  readonly type: string;
}

export interface CompressOptions extends ContextOptions {
  /** A Hugging Face directory, a hub id, a `.gguf`, or a llama2.c `.bin`. */
  readonly model: string;
  /** The file or folder to write. */
  readonly output: string;
  /** `gguf`, `stack`, `onnx` or `safetensors`; by default as the output's extension says. */
  readonly format?: string;
  /** Type of the linear layers of all blocks; without one a sensible type is chosen. */
  readonly type?: string;
  /** In place of a type: the best model whose file has at most so many bytes. */
  readonly size?: number;
  /** In place of a type: the best model with at most so many bits per weight on average, embedding included. */
  readonly bits?: number;
  /**
   * In place of a type: the smallest model whose mean KL divergence on held-out text is expected to stay below, or of an
   * encoder the mean of one less the cosine of its embeddings with the original's.
   */
  readonly maxDivergence?: number;
  /** In place of a type: a plan made before (src/pipeline/prepare/recipe.ts). */
  readonly recipe?: RecipeFile;
  /** What a search for a size may choose from; by default whatever the output's runtime loads. */
  readonly types?: readonly string[];
  /** How types are chosen for a size (src/pipeline/search/searches.ts). */
  readonly search?: string;
  readonly searchOptions?: Readonly<Record<string, unknown>>;
  /** How a search judges what storing a tensor in a type does to the model (src/sensitivity). */
  readonly sensitivity?: string;
  /** Folder that keeps solved tensors, for later searches and after interruptions. */
  readonly store?: string;
  /**
   * Bytes of memory to get by with, by default a good half of the machine's: activations that do not fit wait on disk
   * beside the store. Never changes the result.
   */
  readonly memory?: number;
  /** Whether to go on where an earlier run of the same job stopped, and to keep what such a one needs; by default yes. */
  readonly resume?: boolean;
  /** Type of the embedding and the output head. */
  readonly embeddingType?: string;
  readonly overrides?: readonly Override[];
  /** Type for tensors whose rows the wanted type does not divide; without one the job stops before it starts. */
  readonly fallback?: string;
  /** ONNX: the type that activations, keys and values have; f32 by default. */
  readonly activations?: 'f32' | 'f16';
  /** ONNX: 4 lets onnxruntime round activations to 8 bits, which is faster and less exact; 0 by default. */
  readonly accuracyLevel?: 0 | 4;
  readonly solver?: string;
  readonly solverOptions?: Readonly<Record<string, unknown>>;
  /** Text file to calibrate on; without one a built-in text is used. */
  readonly calibration?: string;
  /**
   * llama.cpp's importance matrix of the model, in the place of second moments: layers are rounded under it, and the
   * text is measured on only.
   */
  readonly imatrix?: string;
  /** Calibration tokens at most. */
  readonly tokens?: number;
  /** Length of calibration sequences. */
  readonly context?: number;
  /** Whether a block is calibrated on what the compressed blocks before it put out, or the original ones. */
  readonly calibrateOn?: 'quantized' | 'original';
  /** Behind compressed blocks: reproduce the layer's own outputs there, or those it has in the original model. */
  readonly match?: 'original' | 'own';
  /** Biases of compressed layers: corrected, so that outputs keep their means (the default), or kept as they are. */
  readonly bias?: 'corrected' | 'kept';
  /** Whether a plan for one type says what the model would lose, which a plan for a size always does. */
  readonly predict?: boolean;
  /** Recipes of the solver to try before the best of them is taken (src/pipeline/search/tune.ts). */
  readonly tune?: number;
  /** Chooses the calibration sequences when there are more than are used. */
  readonly seed?: number;
}

export interface EvaluateOptions extends ContextOptions {
  readonly model: string;
  /** The original, to compare with. */
  readonly against?: string;
  /** A text file that calibration has not seen. */
  readonly text: string;
  readonly context?: number;
  /** Tokens of text at most; of language models, the second half of each context is scored. */
  readonly tokens?: number;
  /** Whose arithmetic runs the model; the reference is always tersor's. */
  readonly runtime?: 'tersor' | 'llama.cpp' | 'onnxruntime';
  /** How much of a stacked file to use. */
  readonly portion?: Portion;
}

/** The options that decide on types, of which there can be one. */
const goals = ['size', 'bits', 'maxDivergence', 'type', 'recipe'] as const;
const searchGoals: readonly string[] = ['size', 'bits', 'maxDivergence'];

/**
 * Whether types are to be searched for.
 * @throws TersorError for goals that contradict each other
 */
export function isSearch(options: CompressOptions): boolean {
  const [first, second] = goals.filter((goal) => options[goal] !== undefined);
  if (second) {
    const flag = (goal = '') => `--${goal.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    throw new TersorError(`${flag(first)} and ${flag(second)} contradict each other`, {
      remedy: 'give one of them',
    });
  }
  return first !== undefined && searchGoals.includes(first);
}

/** The options with what the recipe says in the place of everything that they leave open. */
export function withRecipe(options: CompressOptions): CompressOptions {
  if (!options.recipe) return options;
  const { recipe, output } = options.recipe;
  const { solver, options: solverOptions, imatrix, calibrateOn, match, bias, context, tokens, seed } = recipe;
  const { activations, accuracyLevel } = recipe;
  const defaults = { format: output, solver, calibrateOn, context, tokens };
  return {
    ...defaults,
    ...(solverOptions ? { solverOptions } : {}),
    ...(imatrix ? { imatrix } : {}),
    ...(match ? { match } : {}),
    ...(bias ? { bias } : {}),
    ...(activations ? { activations } : {}),
    ...(accuracyLevel ? { accuracyLevel } : {}),
    ...(seed === undefined ? {} : { seed }),
    ...Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)),
  } as CompressOptions;
}
