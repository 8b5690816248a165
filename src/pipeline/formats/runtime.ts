import type { Architecture, Objective } from '../../architecture/architecture.js';
import { findOnnxFile } from '../../checkpoint/onnx/onnx.js';
import { TersorError } from '../../errors.js';
import { predictWithLlama } from '../../evaluation/llama.js';
import { predictWithOnnx } from '../../evaluation/onnx.js';
import { embedWithOnnx } from '../../evaluation/onnx-embedding.js';
import type { Predictor } from '../../evaluation/predictor.js';
import type { Matrix } from '../../types.js';
import type { Context } from '../context/context.js';
import type { Recipe } from '../prepare/recipe.js';

/** What a runtime's outputs may differ by from tersor's own forward pass with the same weights. */
export interface Tolerance {
  readonly bounded: 'meanDivergence' | 'largestShift';
  readonly bound: number;
}

/** A runtime at hand that is not tersor's own. */
export interface Runtime {
  readonly name: 'llama.cpp' | 'onnxruntime';
  /** Format of the checkpoints that it runs, and what they are called. */
  readonly runs: { readonly format: string; readonly name: string };
  /** Whether it maps files into memory, which the system then counts. */
  readonly mapsFiles: boolean;
  /** A file's predictions. */
  predict(path: string, sequences: readonly Int32Array[], context: Context): Promise<Predictor>;
  /** An encoder's embeddings, texts × width. */
  embed?(
    path: string,
    encoder: Architecture,
    texts: readonly Int32Array[],
    context: Context,
  ): Promise<Matrix>;
  tolerance(objective: Objective, recipe: Pick<Recipe, 'activations' | 'accuracyLevel'>): Tolerance;
}

/**
 * llama.cpp multiplies quantized weights with activations that it rounds to 8 bits, as onnxruntime does at accuracy
 * level 4, which alone moves predictions a little; docs/results/runtimes.md has the figures by type that this bound
 * stands on. A tensor in the wrong place or order costs whole nats.
 */
const roundedActivations = { bounded: 'meanDivergence', bound: 0.02 } as const;
/** At accuracy level 0 onnxruntime computes in f32 as tersor does, in another order. */
const exactActivations = { bounded: 'largestShift', bound: 0.02 } as const;
/** Components of embeddings are about a twentieth in size. */
const exactEmbeddings = { bounded: 'largestShift', bound: 0.001 } as const;

export const llamaCpp: Runtime = {
  name: 'llama.cpp',
  runs: { format: 'gguf', name: 'GGUF files' },
  mapsFiles: true,
  predict: predictWithLlama,
  tolerance: () => roundedActivations,
};

export const onnxRuntime: Runtime = {
  name: 'onnxruntime',
  runs: { format: 'onnx', name: 'ONNX folders that tersor wrote' },
  mapsFiles: false,
  predict: async (path, sequences, context) => predictWithOnnx(await onnxFileOf(path), sequences, context),
  embed: async (path, encoder, texts, context) =>
    embedWithOnnx(await onnxFileOf(path), encoder, texts, context),
  tolerance(objective, { activations, accuracyLevel }) {
    if (accuracyLevel || activations === 'f16') return roundedActivations;
    return objective === 'embedding' ? exactEmbeddings : exactActivations;
  },
};

/** Runtimes that a model can be evaluated in besides tersor's own, by name. */
export const runtimes: Readonly<Record<Runtime['name'], Runtime>> = {
  'llama.cpp': llamaCpp,
  onnxruntime: onnxRuntime,
};

/** The model file of a path, which may be its folder. */
async function onnxFileOf(path: string): Promise<string> {
  const file = path.endsWith('.onnx') ? path : await findOnnxFile(path);
  if (file) return file;
  throw new TersorError('holds no ONNX model', {
    code: 'not-found',
    file: path,
    remedy: 'give a folder with onnx/*.onnx',
  });
}
