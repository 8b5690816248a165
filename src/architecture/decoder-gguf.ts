import type { ArchitectureEntry } from './architecture.js';
import type { DecoderShape, Experts } from './decoder-shape.js';

export const u32 = (value: number): ArchitectureEntry => ({ type: 'u32', value });
export const f32 = (value: number): ArchitectureEntry => ({ type: 'f32', value });
export const string = (value: string): ArchitectureEntry => ({ type: 'string', value });

/** What llama.cpp reads of a decoder, below its architecture's name. */
export function decoderMetadata(shape: DecoderShape): Record<string, ArchitectureEntry> {
  const { hidden, heads, headDim, blocks, epsilon } = shape;
  const rotary = blocks.find((block) => block.rotary)?.rotary;
  return {
    block_count: u32(blocks.length),
    context_length: u32(shape.context),
    embedding_length: u32(hidden),
    feed_forward_length: u32(shape.intermediate),
    'attention.head_count': u32(heads),
    'attention.head_count_kv': u32(shape.kvHeads),
    [shape.norm === 'layer' ? 'attention.layer_norm_epsilon' : 'attention.layer_norm_rms_epsilon']:
      f32(epsilon),
    ...(headDim * heads === hidden
      ? {}
      : { 'attention.key_length': u32(headDim), 'attention.value_length': u32(headDim) }),
    'rope.freq_base': f32(rotary?.theta ?? 10000),
    'rope.dimension_count': u32(rotary?.headDim ?? headDim),
    ...rotary?.ggufEntries,
    ...expertEntries(blocks.find((block) => block.experts)?.experts),
    ...shape.ggufEntries,
  };
}

/** Which blocks have a window, as llama.cpp reads it. */
export function windowEntries({ blocks }: Pick<DecoderShape, 'blocks'>): Record<string, ArchitectureEntry> {
  const window = blocks.find((block) => block.window !== undefined)?.window;
  if (window === undefined) return {};
  return {
    'attention.sliding_window': u32(window),
    'attention.sliding_window_pattern': {
      type: 'array',
      of: 'bool',
      value: blocks.map((block) => block.window !== undefined),
    },
  };
}

function expertEntries(experts: Experts | undefined): Record<string, ArchitectureEntry> {
  if (!experts) return {};
  const { count, used, intermediate, shared } = experts;
  return {
    expert_count: u32(count),
    expert_used_count: u32(used),
    expert_feed_forward_length: u32(intermediate),
    ...(shared ? { expert_shared_feed_forward_length: u32(shared.intermediate) } : {}),
  };
}
