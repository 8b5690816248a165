import type { z } from 'zod';
import type { BisectionOptions } from '../allocation/bisection.js';
import type { EvoPressOptions } from '../allocation/evopress.js';
import type { FrontOptions } from '../allocation/front.js';
import type { InteractionOptions } from '../allocation/interactions.js';
import type { KnapsackOptions } from '../allocation/knapsack.js';
import type { LayerDpOptions } from '../allocation/layer-dp.js';
import type { Portion } from '../checkpoint/stack/stack.js';
import type { GgufName } from '../grid/gguf/gguf.js';
import type {
  decoupleQOptions,
  gptqOptions,
  greedyOptions,
  nestedOptions,
  outliersOptions,
  quantEaseOptions,
  rtnOptions,
  vptqOptions,
} from '../solver/options.js';
import type { FormatName } from './formats/names.js';
import type { GenerateOptions as AnyGenerateOptions } from './generate/options.js';
import type {
  CompressOptions as AnyCompressOptions,
  EvaluateOptions as AnyEvaluateOptions,
} from './options.js';

// The pipeline takes names as strings, since they come from command lines and files, and looks them up in its tables.
// Programs get the names themselves here, so that their editors and compilers know them.

/** What a model is written as: a GGUF file, a stacked file, or a folder. */
export type OutputFormatName = FormatName;

/** Types whose names follow patterns; `methods()` describes them. */
export type PatternedTypeName =
  | `int${number}`
  | `int${number}-${string}`
  | `codebook${number}`
  | `codebook${number}-${string}`
  | `power${number}`
  | `power${number}-${string}`
  | `fp${number}-${string}`
  | 'nvfp4'
  | `nested${number}`
  | `signs${number}`
  | `vq-${string}`;

/** What a tensor's weights are stored as: one of GGUF's types, or of those of the other formats. */
export type TypeName = GgufName | PatternedTypeName;

/** Mixtures of types as llama.cpp's own quantizer makes them. */
export type MixtureName =
  | 'q2_k_s'
  | 'q3_k_s'
  | 'q3_k_m'
  | 'q3_k_l'
  | 'q4_k_s'
  | 'q4_k_m'
  | 'q5_k_s'
  | 'q5_k_m';

/** What each solver can be told. */
export interface SolverOptions {
  readonly rtn: z.input<typeof rtnOptions>;
  readonly gptq: z.input<typeof gptqOptions>;
  readonly quantease: z.input<typeof quantEaseOptions>;
  readonly greedy: z.input<typeof greedyOptions>;
  readonly decoupleq: z.input<typeof decoupleQOptions>;
  readonly outliers: z.input<typeof outliersOptions>;
  readonly nested: z.input<typeof nestedOptions>;
  readonly vptq: z.input<typeof vptqOptions>;
}

export type SolverName = keyof SolverOptions;

/** What each search for types can be told. */
export interface SearchOptions {
  readonly knapsack: Partial<KnapsackOptions>;
  readonly 'layer-dp': Partial<LayerDpOptions>;
  readonly bisection: Partial<BisectionOptions>;
  readonly evopress: Partial<EvoPressOptions> & { readonly finalists?: number };
  readonly families: Readonly<Record<string, never>>;
  readonly interactions: Partial<InteractionOptions>;
}

export type SearchName = keyof SearchOptions;

/** How what a type costs can be measured. */
export const sensitivityNames = [
  'divergence',
  'loss',
  'energy',
  'weight-error',
  'lim',
  'zd',
  'entropy',
  'evolved',
  'gradient',
  'fisher',
  'gauss-newton',
  'm-fac',
  'second-order',
  'hutchinson',
  'trace',
  'eigenvalue',
  'eigenvalue-spread',
] as const;

export type SensitivityName = (typeof sensitivityNames)[number];

/** A solver with options of its own; decoupleQ where none is named. */
export type SolverChoice =
  | { readonly solver?: undefined; readonly solverOptions?: SolverOptions['decoupleq'] | undefined }
  | {
      [Name in SolverName]: {
        readonly solver: Name;
        readonly solverOptions?: SolverOptions[Name] | undefined;
      };
    }[SolverName];

/** A search with options of its own; knapsack where none is named, or bisection to a divergence. */
export type SearchChoice =
  | {
      readonly search?: undefined;
      readonly searchOptions?: SearchOptions['knapsack'] | SearchOptions['bisection'] | undefined;
    }
  | {
      [Name in SearchName]: {
        readonly search: Name;
        readonly searchOptions?: SearchOptions[Name] | undefined;
      };
    }[SearchName];

type Named =
  | 'format'
  | 'type'
  | 'types'
  | 'embeddingType'
  | 'fallback'
  | 'overrides'
  | 'sensitivity'
  | 'solver'
  | 'solverOptions'
  | 'search'
  | 'searchOptions'
  | 'size'
  | 'memory';

/** A number of bytes, or a text such as `'14MB'` or `'3.5GiB'`. */
export type ByteSize = number | string;

/** How much of a stacked file to use: `'50%'`, `'1.5MB'`, `{ share: 0.5 }` or `{ bytes: 1500000 }`. */
interface WithPortion {
  readonly portion?: Portion | string | undefined;
}

/** Options of `evaluate` and `evaluateEncoder`. */
export interface EvaluateOptions extends Omit<AnyEvaluateOptions, 'portion'>, WithPortion {}

/** Options of `generate`. */
export interface GenerateOptions extends Omit<AnyGenerateOptions, 'portion'>, WithPortion {}

/** What becomes of a model, besides the solver and the search. */
export interface CompressSettings extends Omit<AnyCompressOptions, Named> {
  /** By default as the output's extension (`.gguf`, `.stack`) says; a folder needs it. */
  readonly format?: OutputFormatName | undefined;
  /** Of the linear layers of all blocks; without one a sensible type is chosen. */
  readonly type?: TypeName | MixtureName | undefined;
  /** Of the embedding and the output head. */
  readonly embeddingType?: TypeName | undefined;
  /** Of the tensors whose name (GGUF's or Hugging Face's) matches. */
  readonly overrides?: readonly { readonly pattern: RegExp; readonly type: TypeName }[] | undefined;
  /** For tensors whose rows the wanted type does not divide; without one the job stops before it starts. */
  readonly fallback?: TypeName | undefined;
  /** What a search for a size may choose from; by default whatever the output's runtime loads. */
  readonly types?: readonly TypeName[] | undefined;
  /** How a search measures what storing a tensor in a type does to the model. */
  readonly sensitivity?: SensitivityName | undefined;
  /** In place of a type: the best model whose file has at most so many bytes. */
  readonly size?: ByteSize | undefined;
  /**
   * Memory to get by with, by default a good half of the machine's: activations that do not fit wait on disk beside the
   * store. Never changes the result.
   */
  readonly memory?: ByteSize | undefined;
}

/** Options of `compress`. */
export type CompressOptions = CompressSettings & SolverChoice & SearchChoice;

/** What is planned; nothing is written, but an output's name may tell its format. A GGUF file by default. */
export interface PlanSettings extends Omit<CompressSettings, 'output'> {
  readonly output?: string | undefined;
}

/** Options of `plan`. */
export type PlanOptions = PlanSettings & SolverChoice & SearchChoice;

/** Options of `planFront`. */
export interface PlanFrontOptions
  extends Omit<PlanSettings, 'size' | 'bits' | 'maxDivergence' | 'type' | 'recipe'> {
  readonly searchOptions?: Partial<FrontOptions> | undefined;
}
