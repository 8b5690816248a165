import { openCheckpoint } from '../../checkpoint/open.js';
import { requireConfig } from '../../writer/folder.js';
import { checkOutputFolder, createSafetensorsWriter, safetensorsSize } from '../../writer/safetensors.js';
import { provenance } from '../prepare/provenance.js';
import { sixOrEightBits } from './default-types.js';
import type { OutputFormat } from './format.js';

/** A folder in tersor's own layout. */
export const safetensors: OutputFormat = {
  name: 'safetensors',
  holds: () => true,
  defaultType: (fits) => (fits('q4_k') ? 'q4_k' : 'iq4_nl'),
  defaultEmbeddingType: sixOrEightBits,
  types: 'the types that tersor methods lists',
  fallbacks: 'iq4_nl or q8_0',
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
  open: openCheckpoint,
  nameOf: (model, spec) => model.nameOf(spec),
  storedValues: true,
  arrange: (rows) => rows,
  extras: () => [],
  layout({ model, assignments, recipe, calibration }, options) {
    requireConfig(model.checkpoint, 'a folder of safetensors');
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
