import type { Model } from '../../architecture/model.js';
import { openCheckpoint } from '../../checkpoint/open.js';
import { findMatMulNBitsGrid, matMulNBitsNames } from '../../grid/onnx/matmul-nbits.js';
import type { Vocabulary } from '../../text/tokenizer.js';
import { createOnnxWriter, onnxSize } from '../../writer/onnx.js';
import { checkOnnxFolder } from '../../writer/onnx-folder.js';
import { provenance } from '../prepare/provenance.js';
import type { OutputFormat } from './format.js';
import { onnxRuntime } from './runtime.js';

/** A folder for transformers.js. */
export const onnx: OutputFormat = {
  name: 'onnx',
  runtime: onnxRuntime,
  holds: ({ runtimes }) => runtimes.includes('onnxruntime'),
  defaultType: () => 'int4',
  defaultEmbeddingType: () => 'int8',
  types: `${matMulNBitsNames}, f16, bf16 or f32`,
  fallbacks: 'int4-g16 or f16',
  alignment: 1,
  // Whole zero points earn their bits at four, not at two.
  candidates: [
    'int2-g64',
    'int2-g32',
    'int2-g16',
    'int4-g128-asym',
    'int4-g64-asym',
    'int4-g32-asym',
    'int4-g16-asym',
    'int8-g64',
    'f16',
  ],
  findGrid: findMatMulNBitsGrid,
  check: checkOnnxFolder,
  open: openCheckpoint,
  nameOf: (model, spec) => model.nameOf(spec),
  arrange: (rows) => rows,
  extras: () => [],
  layout({ model, tokenizer: { vocabulary }, assignments, recipe, calibration }, options) {
    const { tokenizer, activations, accuracyLevel } = options;
    const plan = {
      source: {
        checkpoint: model.checkpoint,
        ...(tokenizer ? { tokenizer } : {}),
        ...(vocabulary.kind === 'wordpiece' ? { tokenizerConfig: wordPieceConfig(model, vocabulary) } : {}),
      },
      architecture: model.architecture,
      tensors: assignments,
      metadata: provenance(recipe, calibration),
      ...(activations ? { float: activations } : {}),
      ...(accuracyLevel ? { accuracyLevel } : {}),
    };
    return { bytes: onnxSize(plan), create: (output) => createOnnxWriter(output, plan) };
  },
};

/** What transformers.js wants to know of an encoder's tokenizer besides its tokenizer.json. */
function wordPieceConfig({ architecture }: Model, { tokens, special }: Vocabulary): Record<string, unknown> {
  const token = (id: number | undefined) => tokens[id ?? -1];
  return {
    tokenizer_class: 'BertTokenizer',
    model_max_length: architecture.context,
    cls_token: token(special.bos),
    sep_token: token(special.eos),
    pad_token: token(special.pad),
    unk_token: token(special.unk),
  };
}
