import { z } from 'zod';
import { bertBlocks } from './bert.js';
import { wrongConfig } from './config.js';
import { parseHuggingFace } from './config-keys.js';
import { bertKeys, type EncoderSource, encoderBase } from './encoder-config.js';
import type { EncoderShape } from './encoder-shape.js';

const keys = z.object({
  ...bertKeys,
  // Positions are counted from the one behind padding's.
  pad_token_id: z.number().int().nonnegative().max(1024).default(1),
});

/** Values of `model_type`: RoBERTa (Liu et al., 2019), and XLM-RoBERTa (Conneau et al., 2019), whose graph it is, too. */
export const robertaTypes = ['roberta', 'xlm-roberta'] as const;

/** Reads the config.json of a RoBERTa or an XLM-RoBERTa: a BERT whose positions start behind that of padding. */
export function robertaFromHuggingFace(config: unknown, source: EncoderSource): EncoderShape {
  const parsed = parseHuggingFace(keys, config, source.file);
  const positions = learnedPositions(parsed.max_position_embeddings, parsed.pad_token_id, source.file);
  return {
    ...encoderBase(parsed, source),
    ...bertBlocks,
    modelType: String((config as { model_type?: unknown }).model_type ?? 'roberta'),
    epsilon: parsed.layer_norm_eps,
    activation: parsed.hidden_act,
    context: positions.rows - positions.first,
    positions,
    segments: parsed.type_vocab_size,
  };
}

/**
 * Positions of the families whose tables begin with rows that belong to padding.
 * @throws TersorError for a table that has no other rows
 */
export function learnedPositions(rows: number, padding: number, file: string) {
  const first = padding + 1;
  if (rows <= first) throw wrongConfig(`max_position_embeddings leaves no position behind padding's`, file);
  return { rows, first };
}
