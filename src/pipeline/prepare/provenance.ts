import type { Architecture } from '../../architecture/architecture.js';
import { llamaFileTypes } from '../../runtime/llama-types.js';
import type { Vocabulary } from '../../text/tokenizer.js';
import { packageVersion } from '../../version.js';
import type { Metadata, MetadataValue } from '../../writer/metadata.js';
import { vocabularyMetadata } from '../../writer/vocabulary.js';
import type { CalibrationText } from './calibration-text.js';
import type { Recipe } from './recipe.js';

// ggml.h, GGML_QNT_VERSION
const quantizationVersion = 2;

const text = (value: string): MetadataValue => ({ type: 'string', value });
const whole = (value: number): MetadataValue => ({ type: 'u32', value });

/** The header of a GGUF: architecture, tokenizer, and where the file comes from. */
export function ggufMetadata(
  name: string,
  architecture: Architecture,
  vocabulary: Vocabulary,
  recipe: Recipe,
  calibration: CalibrationText,
  /** That most weights of the linear layers have. */
  type: string,
): Metadata {
  const fileType = (llamaFileTypes as Readonly<Record<string, number>>)[type];
  return {
    'general.architecture': text(architecture.gguf),
    'general.name': text(name),
    ...(fileType === undefined ? {} : { 'general.file_type': whole(fileType) }),
    'general.quantization_version': whole(quantizationVersion),
    ...Object.fromEntries(
      Object.entries(architecture.ggufMetadata()).map(([key, value]) => [
        `${architecture.gguf}.${key}`,
        value,
      ]),
    ),
    ...vocabularyMetadata(vocabulary),
    ...Object.fromEntries(
      Object.entries(provenance(recipe, calibration)).map(([key, value]) => [key, text(value)]),
    ),
  };
}

/** Where a file comes from, as key-value pairs of any format. */
export function provenance(recipe: Recipe, calibration: CalibrationText): Record<string, string> {
  return {
    'tersor.version': packageVersion,
    'tersor.recipe': JSON.stringify(recipe),
    'tersor.calibration': calibration.fingerprint,
  };
}

export const provenancePrefix = 'tersor.';

/** What `provenance` wrote into a file, by names without the prefix; empty for files that others made. */
export const writtenProvenance = (metadata: Readonly<Record<string, unknown>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(metadata)
      .filter(([key, value]) => key.startsWith(provenancePrefix) && typeof value === 'string')
      .map(([key, value]) => [key.slice(provenancePrefix.length), String(value)]),
  );
