import type { Checkpoint } from '../../checkpoint/checkpoint.js';
import { openCheckpoint } from '../../checkpoint/open.js';
import { TersorError } from '../../errors.js';
import {
  compressedTensorsNames,
  findCompressedTensorsGrid,
} from '../../grid/packed-int32/compressed-tensors.js';
import { findGptqGrid, gptqNames } from '../../grid/packed-int32/gptq.js';
import { packageVersion } from '../../version.js';
import { requireConfig } from '../../writer/folder.js';
import { compressedTensorsConfig, fusedModules, gptqConfig } from '../../writer/quantization-config.js';
import {
  checkQuantizedFolder,
  createQuantizedWriter,
  type QuantizedPlan,
  quantizedSize,
} from '../../writer/quantized-folder.js';
import type { Assignment } from '../prepare/plan.js';
import { provenance } from '../prepare/provenance.js';
import type { OutputFormat } from './format.js';

/** vLLM runs some layers as one, which must then be stored alike. */
function fusedRemarks(assignments: readonly Assignment[]): string[] {
  const types = new Map(assignments.map(({ spec, type }) => [spec.names.huggingface, type]));
  const mixed = [...types].filter(([name, type]) =>
    Object.values(fusedModules).some(([first = '', ...others]) => {
      if (!name.endsWith(`.${first}.weight`)) return false;
      return others.some((other) => types.get(name.replace(first, other)) !== type);
    }),
  );
  const [sample] = mixed;
  if (!sample) return [];
  const count = mixed.length > 1 ? ` and ${mixed.length - 1} more` : '';
  return [
    `${sample[0]}${count}: vLLM runs query, key and value, and gate and up, as one layer each, and loads them only if they ` +
      'have one type; transformers loads them as they are',
  ];
}

/** @throws TersorError for experts that vLLM and transformers look for in one tensor, where their codes would be apart */
function refuseJoinedExperts({ joinsExperts, path }: Checkpoint): void {
  if (!joinsExperts) return;
  throw new TersorError(
    'keeps the weights of all experts of a layer in one tensor, which such a folder cannot',
    {
      file: path,
      remedy: 'give --format gguf or safetensors',
    },
  );
}

const plainNames = 'f16, bf16 or f32';

/** What both kinds of folders have in common. */
function folder(
  given: Pick<OutputFormat, 'name' | 'types' | 'candidates' | 'findGrid'>,
  quantization: (tensors: QuantizedPlan['tensors']) => QuantizedPlan['quantization'],
): OutputFormat {
  return {
    ...given,
    // No runtime of such a folder is at hand.
    holds: ({ runtimes }) => runtimes.includes('vllm'),
    // The group size that all kernels know.
    defaultType: (fits) => (fits('int4-g128') ? 'int4-g128' : 'int4-g32'),
    defaultEmbeddingType: () => 'f16',
    fallbacks: 'int4-g32, int8-channel or f16',
    alignment: 1,
    check: checkQuantizedFolder,
    open: openCheckpoint,
    nameOf: (model, spec) => model.nameOf(spec),
    storedValues: true,
    arrange: (rows) => rows,
    extras: () => [],
    layout({ model, assignments, recipe, calibration }, options) {
      requireConfig(model.checkpoint, 'a folder of safetensors');
      refuseJoinedExperts(model.checkpoint);
      const plan = {
        source: model.checkpoint,
        ...(options.tokenizer ? { tokenizer: options.tokenizer } : {}),
        metadata: provenance(recipe, calibration),
        tensors: assignments,
        quantization: quantization(assignments),
      };
      return { bytes: quantizedSize(plan), create: (output) => createQuantizedWriter(output, plan) };
    },
    remarks: fusedRemarks,
  };
}

/** GPTQ's checkpoints, for vLLM, transformers with GPTQModel, and what else reads them. */
export const gptq: OutputFormat = folder(
  {
    name: 'gptq',
    types: `${gptqNames}, ${plainNames}`,
    candidates: [
      'int2-g32',
      'int2-g128',
      'int3-g32',
      'int3-g128',
      'int4-g32',
      'int4-g128',
      'int8-g128',
      'f16',
    ],
    findGrid: findGptqGrid,
  },
  (tensors) => gptqConfig(tensors, packageVersion),
);

/** compressed-tensors, for vLLM and transformers. */
export const compressedTensors: OutputFormat = folder(
  {
    name: 'compressed-tensors',
    types: `${compressedTensorsNames}, ${plainNames}`,
    // vLLM runs these; others of the format are read by transformers.
    candidates: ['int4-g32', 'int4-g64', 'int4-g128', 'int8-g128', 'f16'],
    findGrid: findCompressedTensorsGrid,
  },
  compressedTensorsConfig,
);
