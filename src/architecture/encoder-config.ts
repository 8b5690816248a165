import { z } from 'zod';
import type { Pooling } from '../checkpoint/pooling.js';
import { blockCount, dimension, shared } from './config.js';
import type { EncoderBlockShape, EncoderShape } from './encoder-shape.js';

/** What a family's reader knows beside config.json. */
export interface EncoderSource {
  readonly file: string;
  readonly pooling: Pooling;
}

const activations = { gelu: 'gelu', gelu_new: 'geluTanh', gelu_pytorch_tanh: 'geluTanh' } as const;
const activation = z
  .enum(['gelu', 'gelu_new', 'gelu_pytorch_tanh'])
  .default('gelu')
  .transform((name) => activations[name]);

export const epsilonKey = z.number().positive();

/** Keys of config.json that BERT and the families in its manner share. */
export const encoderKeys = {
  num_hidden_layers: blockCount,
  hidden_size: dimension,
  intermediate_size: dimension,
  num_attention_heads: dimension,
  vocab_size: dimension,
  max_position_embeddings: dimension.default(512),
  // Keys of other families, which Hugging Face's code of these does not read.
  num_key_value_heads: z.unknown().optional(),
};

/** Those that read it as one of a few functions; a gate's is the family's own. */
export const activationKey = activation;

/** Keys of the families with learned positions, which are added to the tokens. */
export const bertKeys = {
  ...encoderKeys,
  type_vocab_size: dimension.default(2),
  layer_norm_eps: epsilonKey.default(1e-12),
  hidden_act: activationKey,
  position_embedding_type: z.literal('absolute').default('absolute'),
  is_decoder: z.literal(false).default(false),
};

const sizes = z.object(encoderKeys);

/**
 * The sizes of an encoder.
 * @param block of all blocks
 * @throws TersorError for heads that cannot be shared evenly
 */
export function encoderBase(
  parsed: z.output<typeof sizes>,
  { file, pooling }: EncoderSource,
  block: (index: number) => EncoderBlockShape = () => ({}),
): Pick<
  EncoderShape,
  'hidden' | 'intermediate' | 'heads' | 'vocabulary' | 'context' | 'blocks' | 'pooling'
> & { readonly headDim: number } {
  const { hidden_size: hidden, num_attention_heads: heads } = parsed;
  return {
    headDim: shared(hidden, 'columns', heads, 'attention heads', file),
    hidden,
    intermediate: parsed.intermediate_size,
    heads,
    vocabulary: parsed.vocab_size,
    context: parsed.max_position_embeddings,
    blocks: Array.from({ length: parsed.num_hidden_layers }, (_, index) => block(index)),
    pooling,
  };
}
