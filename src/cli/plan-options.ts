import type { Command } from 'commander';
import type { CompressOptions, Override } from '../pipeline/options.js';
import { readRecipe } from '../pipeline/prepare/recipe.js';
import {
  accuracyLevel,
  byteSize,
  choice,
  list,
  numberBetween,
  override,
  positiveInteger,
  setting,
  typeName,
  wholeNumber,
} from './arguments.js';

export const modelArgument =
  'Hugging Face directory or hub id, .gguf, .stack, llama2.c .bin, or ONNX directory';

/** What `compress` and `plan` take alike. */
export interface PlanFlags {
  readonly override?: readonly Override[];
  readonly solverOption?: Record<string, unknown>;
  readonly searchOption?: Record<string, unknown>;
  readonly recipe?: string;
  readonly verbose?: boolean;
  readonly json?: boolean;
  // The rest go through to the pipeline under the same names.
  readonly format?: string;
  readonly size?: number;
  readonly bits?: number;
  readonly maxDivergence?: number;
  readonly type?: string;
  readonly embeddingType?: string;
  readonly types?: readonly string[];
  readonly search?: string;
  readonly sensitivity?: string;
  readonly activations?: 'f32' | 'f16';
  readonly accuracyLevel?: 0 | 4;
  readonly fallback?: string;
  readonly solver?: string;
  readonly calibration?: string;
  readonly imatrix?: string;
  readonly tokens?: number;
  readonly context?: number;
  readonly calibrateOn?: 'original' | 'quantized';
  readonly match?: 'original' | 'own';
  readonly bias?: 'corrected' | 'kept';
  readonly tune?: number;
  readonly predict?: boolean;
  readonly seed?: number;
  readonly threads?: number;
  readonly memory?: number;
  readonly tokenizer?: string;
  readonly store?: string;
  readonly cacheFolder?: string;
}

const calibrateOn = choice('--calibrate-on', ['quantized', 'original']);
const match = choice('--match', ['original', 'own']);
const bias = choice('--bias', ['corrected', 'kept']);

/** Adds the options that decide what becomes of a model. */
export function planOptions(command: Command): Command {
  return command
    .option(
      '--format <format>',
      "gguf, stack, onnx (a folder for transformers.js), gptq or compressed-tensors (folders for vLLM), safetensors (tersor's own)",
    )
    .option('--activations <type>', 'onnx: f32 (default) or f16', choice('--activations', ['f32', 'f16']))
    .option('--accuracy-level <n>', 'onnx: 4 rounds activations to 8 bits (default: 0)', accuracyLevel)
    .optionsGroup('How small (one of these):')
    .option('--size <size>', 'the best model of at most this file size, such as 14MB', byteSize)
    .option('--bits <n>', 'the same by bits per weight, embedding included', numberBetween(0.5, 32))
    .option(
      '--max-divergence <n>',
      'the smallest that is expected to stay below this divergence (of encoders: 1 − cosine)',
      numberBetween(1e-6, 100),
    )
    .option('--type <type>', 'type of the linear layers (default: about 4.5 bits)', typeName)
    .optionsGroup('Types of single tensors:')
    .option(
      '--embedding-type <type>',
      'type of embedding and output head (default: q6_k, q8_0 or int8)',
      typeName,
    )
    .option('--override <regex=type>', 'type of the tensors whose name matches; repeatable', override)
    .option('--fallback <type>', 'type for rows that the block size does not divide', typeName)
    .optionsGroup('The search for types:')
    .option('--types <list>', 'types that a search for a size may choose from', list)
    .option('--search <name>', 'how it chooses (default: knapsack); see tersor methods')
    .option('--search-option <key=value>', 'option of the search; repeatable', setting)
    .option('--sensitivity <measure>', 'how it judges what a type costs; see tersor methods')
    .option('--predict', 'with --type, say what the model would lose, too (solves every tensor quickly)')
    .optionsGroup('Rounding:')
    .option('--solver <name>', 'how codes are chosen (default: decoupleq); see tersor methods')
    .option('--solver-option <key=value>', 'option of the solver; repeatable', setting)
    .option(
      '--calibrate-on <which>',
      'inputs of a block: from the quantized blocks before it (default) or the original ones',
      calibrateOn,
    )
    .option(
      '--match <which>',
      'outputs that a layer is to have on quantized inputs: those of the original model (default) or its own',
      match,
    )
    .option(
      '--bias <which>',
      'biases of compressed layers: corrected for their errors (default) or kept',
      bias,
    )
    .option(
      '--tune <n>',
      'try so many settings of the solver, each by compressing the whole model, and take the best',
      positiveInteger,
    )
    .optionsGroup('Calibration:')
    .option('--calibration <file>', 'text like the one that the model will see (default: built in)')
    .option('--imatrix <file>', "llama.cpp's importance matrix, to round under in place of calibrating")
    .option('--tokens <n>', 'calibration tokens at most', positiveInteger)
    .option('--context <n>', 'length of calibration sequences', positiveInteger)
    .option('--seed <n>', 'seed of the choice of calibration sequences', wholeNumber)
    .optionsGroup('Options:')
    .option('--threads <n>', 'threads; they never change the result (default: all)', positiveInteger)
    .option(
      '--memory <size>',
      'memory to get by with, such as 4GB; what does not fit waits on disk',
      byteSize,
    )
    .option('--tokenizer <folder>', 'where the tokenizer is, if not beside the model')
    .option('--store <folder>', 'where solved tensors are kept for later runs')
    .option('--cache-folder <folder>', 'where models from the hub are kept')
    .option('-v, --verbose', 'a row for every tensor')
    .option('--json', 'print one JSON document');
}

/** The pipeline's options; without an output, those of a GGUF. */
export async function compressOptions(
  model: string,
  output: string | undefined,
  flags: PlanFlags,
): Promise<CompressOptions> {
  const {
    override: overrides,
    solverOption: solverOptions,
    searchOption: searchOptions,
    recipe,
    json: _,
    verbose: __,
    ...same
  } = flags;
  return {
    model,
    output: output ?? 'model.gguf',
    ...same,
    ...(overrides ? { overrides } : {}),
    ...(solverOptions ? { solverOptions } : {}),
    ...(searchOptions ? { searchOptions } : {}),
    ...(recipe ? { recipe: await readRecipe(recipe) } : {}),
  };
}
