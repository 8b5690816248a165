import type { Architecture, ExtraTensor, TensorSpec } from '../architecture/architecture.js';
import type { Model } from '../architecture/model.js';
import { permuteRows } from '../architecture/rows.js';
import { TersorError } from '../errors.js';
import { requireLlama } from '../runtime/llama.js';
import type { Tokenizer } from '../text/tokenizer.js';
import { createGgufWriter, ggufAlignment, ggufSize } from '../writer/gguf.js';
import { checkOutput } from '../writer/output.js';
import {
  checkOutputFolder,
  createSafetensorsWriter,
  requireConfig,
  safetensorsSize,
} from '../writer/safetensors.js';
import type { TensorWriter } from '../writer/tensor-writer.js';
import type { CalibrationText } from './calibration-text.js';
import type { CompressOptions } from './options.js';
import type { Assignment } from './plan.js';
import { ggufMetadata, provenance } from './provenance.js';
import type { Recipe } from './recipe.js';

/** Everything that goes into an output besides the weights' bytes. */
export interface Contents {
  readonly name: string;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  readonly assignments: readonly Assignment[];
  readonly recipe: Recipe;
  readonly calibration: CalibrationText;
}

/** An output whose every byte is accounted for. */
export interface Layout {
  /** Size of the file with the weights. */
  readonly bytes: number;
  create(output: string): Promise<TensorWriter>;
}

/** What differs between the kinds of output. */
export interface OutputFormat {
  readonly name: 'gguf' | 'safetensors';
  /** Whose types it can hold. */
  readonly runtime: 'llama.cpp' | 'tersor';
  /** Tensors' data are padded to multiples of so many bytes. */
  readonly alignment: number;
  /** What a search may choose from, unless the caller says. */
  readonly candidates: readonly string[];
  /** @throws TersorError when the output cannot be written, or not be checked, before any work */
  check(output: string): Promise<void>;
  /** A tensor's name in the output. */
  nameOf(model: Model, spec: TensorSpec): string;
  /** Packed rows in the order of the output. */
  arrange(rows: Uint8Array, spec: TensorSpec): Uint8Array;
  layout(contents: Contents, options: CompressOptions): Layout;
  /** Tensors in f32 that this format stores beside the model's own. */
  extras(architecture: Architecture): readonly ExtraTensor[];
}

const gguf: OutputFormat = {
  name: 'gguf',
  runtime: 'llama.cpp',
  alignment: ggufAlignment,
  // Sizes of about half a bit apart; of types with the same size the one that loses less, on any weights we met.
  candidates: [
    'q2_0',
    'q2_k',
    'q3_k',
    'iq4_xs',
    'iq4_nl',
    'q4_k',
    'q4_1',
    'q5_0',
    'q5_k',
    'q5_1',
    'q6_k',
    'q8_0',
    'f16',
  ],
  async check(output) {
    requireLlama();
    await checkOutput(output);
  },
  nameOf: (_model, spec) => spec.names.gguf,
  arrange: (rows, spec) => (spec.interleavedHead ? permuteRows(rows, spec, 'to-pairs') : rows),
  extras: (architecture) => architecture.ggufExtras(),
  layout({ name, model, tokenizer, assignments, recipe, calibration }) {
    const { architecture } = model;
    const metadata = ggufMetadata(
      name,
      architecture,
      tokenizer.vocabulary,
      recipe,
      calibration,
      mainType(assignments),
    );
    const tensors = [
      ...assignments.map(({ name: tensor, spec, type, bytes }) => ({
        name: tensor,
        shape: spec.shape,
        type,
        bytes,
      })),
      ...gguf.extras(architecture).map(({ name: tensor, shape, data }) => ({
        name: tensor,
        shape,
        type: 'f32',
        bytes: data.byteLength,
      })),
    ];
    return {
      bytes: ggufSize(metadata, tensors),
      create: (output) => createGgufWriter(output, { metadata, tensors }),
    };
  },
};

/** The type that most weights of linear layers have. */
function mainType(assignments: readonly Assignment[]): string {
  const elements = new Map<string, number>();
  for (const { type, spec, elements: count } of assignments) {
    if (spec.kind === 'linear') elements.set(type, (elements.get(type) ?? 0) + count);
  }
  const [first] = [...elements].sort(([, a], [, b]) => b - a);
  return first?.[0] ?? 'f32';
}

const safetensors: OutputFormat = {
  name: 'safetensors',
  runtime: 'tersor',
  alignment: 1,
  candidates: [
    'int2-g32-asym',
    'int3-g32-asym',
    'int4-g32-asym',
    'nvfp4',
    'int5-g32-asym',
    'int6-g32-asym',
    'fp4-e2m1',
    'fp6-e2m3',
    'fp8-e4m3',
    'int8-g32',
    'f16',
  ],
  check: checkOutputFolder,
  nameOf: (model, spec) => model.nameOf(spec),
  arrange: (rows) => rows,
  extras: () => [],
  layout({ model, assignments, recipe, calibration }, options) {
    requireConfig(model.checkpoint);
    const metadata = provenance(recipe, calibration);
    const tensors = assignments.map(({ name, spec, type, bytes }) => ({
      name,
      shape: spec.shape,
      type,
      bytes,
      ...(spec.transposed ? { transposed: true } : {}),
    }));
    return {
      bytes: safetensorsSize({ metadata, tensors }),
      create: (output) =>
        createSafetensorsWriter(output, {
          source: model.checkpoint,
          ...(options.tokenizer ? { tokenizer: options.tokenizer } : {}),
          metadata,
          tensors,
        }),
    };
  },
};

/** The kinds of output, by the word for `--format`. */
export const outputFormats = { gguf, safetensors } as const;

/** The format asked for, or the one that the output's extension tells. */
export function findFormat({ format, output }: CompressOptions): OutputFormat {
  const known = Object.keys(outputFormats).join(', ');
  if (format) {
    const found = Object.values(outputFormats).find(({ name }) => name === format);
    if (found) return found;
    throw new TersorError(`there is no output format ${format}`, { remedy: `choose one of ${known}` });
  }
  if (output.endsWith('.gguf')) return gguf;
  throw new TersorError('cannot tell what to write from the name of the output', {
    file: output,
    remedy: `give a name that ends in .gguf, or --format safetensors for a folder in tersor's own layout`,
  });
}
