import { isReordered, permuteRows } from '../../architecture/rows.js';
import { openGguf } from '../../checkpoint/gguf/gguf.js';
import { TersorError } from '../../errors.js';
import { gridNames } from '../../grid/index.js';
import { requireLlama } from '../../runtime/llama.js';
import { createGgufWriter, ggufAlignment, ggufSize } from '../../writer/gguf.js';
import { checkOutput } from '../../writer/output.js';
import type { Assignment } from '../prepare/plan.js';
import { ggufMetadata } from '../prepare/provenance.js';
import { sixOrEightBits } from './default-types.js';
import type { OutputFormat } from './format.js';
import { joinExperts, joiningWriter } from './joined-experts.js';
import { mixtureType } from './mixtures.js';
import { llamaCpp } from './runtime.js';

/** A file for llama.cpp. */
export const gguf: OutputFormat = {
  name: 'gguf',
  extension: '.gguf',
  runtime: llamaCpp,
  holds: ({ runtimes }) => runtimes.includes('llama.cpp'),
  defaultType: (fits) => (fits('q4_k') ? 'q4_k' : 'iq4_nl'),
  defaultEmbeddingType: sixOrEightBits,
  types: gridNames.join(', '),
  fallbacks: 'iq4_nl or q8_0',
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
    await checkOutput(output, '.gguf');
  },
  checkModel({ architecture, checkpoint }) {
    if (architecture.ggufObstacle)
      throw new TersorError(architecture.ggufObstacle, {
        code: 'unsupported',
        file: checkpoint.path,
        remedy: 'write it with --format onnx (for transformers.js) or --format safetensors',
      });
    if (architecture.objective !== 'embedding') return;
    throw new TersorError('an encoder cannot be written as a GGUF', {
      code: 'unsupported',
      file: checkpoint.path,
      remedy: 'write it with --format onnx (for transformers.js) and the name of a folder',
    });
  },
  open: (path, { kernels }) => openGguf(path, kernels),
  nameOf: (_model, spec) => spec.names.gguf,
  joinsExperts: true,
  arrange: (rows, spec) => (isReordered(spec) ? permuteRows(rows, spec, 'to-gguf') : rows),
  extras: (architecture) => architecture.ggufExtras(),
  layout({ name, model, tokenizer, assignments, recipe, calibration }) {
    const { architecture } = model;
    const metadata = ggufMetadata(
      name,
      architecture,
      tokenizer.vocabulary,
      recipe,
      calibration,
      mixtureType(recipe.type ?? '') && recipe.type ? recipe.type : mainType(assignments),
    );
    const joined = joinExperts(assignments);
    const tensors = [
      ...joined.tensors,
      ...gguf.extras(architecture).map(({ name: tensor, shape, data }) => ({
        name: tensor,
        shape,
        type: 'f32',
        bytes: data.byteLength,
      })),
    ];
    return {
      bytes: ggufSize(metadata, tensors),
      create: async (output) => joiningWriter(await createGgufWriter(output, { metadata, tensors }), joined),
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
