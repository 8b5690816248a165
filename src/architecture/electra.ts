import { z } from 'zod';
import { bertBlocks, bertNames } from './bert.js';
import { dimension } from './config.js';
import { parseHuggingFace } from './config-keys.js';
import { bertKeys, type EncoderSource, encoderBase } from './encoder-config.js';
import type { EncoderShape } from './encoder-shape.js';

const keys = z.object({
  ...bertKeys,
  embedding_size: dimension.default(128),
  // Of the head that tells replaced words, which is not part of the encoder.
  summary_last_dropout: z.unknown().optional(),
});

/**
 * Reads the config.json of an ELECTRA (Clark et al., 2020): a BERT that may have narrow embeddings and a linear layer
 * behind them.
 */
export function electraFromHuggingFace(config: unknown, source: EncoderSource): EncoderShape {
  const parsed = parseHuggingFace(keys, config, source.file);
  const { hidden_size: hidden, embedding_size: width } = parsed;
  return {
    ...encoderBase(parsed, source),
    ...bertBlocks,
    modelType: 'electra',
    epsilon: parsed.layer_norm_eps,
    activation: parsed.hidden_act,
    ...(width === hidden ? {} : { embeddingWidth: width }),
    positions: { rows: parsed.max_position_embeddings, first: 0 },
    segments: parsed.type_vocab_size,
    names: { ...bertNames, outside: { ...bertNames.outside, embd_projection: 'embeddings_project' } },
  };
}
