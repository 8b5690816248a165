import type { Checkpoint } from '../src/checkpoint/checkpoint.js';
import type { Vocabulary } from '../src/text/tokenizer.js';
import { createGgufWriter } from '../src/writer/gguf.js';
import type { Metadata } from '../src/writer/metadata.js';
import { vocabularyMetadata } from '../src/writer/vocabulary.js';

const width = 32;

/** Writes a Llama of one block and zero weights, which libllama loads for the sake of its vocabulary. */
export async function writeTinyModel(path: string, vocabulary: Vocabulary): Promise<void> {
  const u32 = (value: number) => ({ type: 'u32', value }) as const;
  const metadata: Metadata = {
    'general.architecture': { type: 'string', value: 'llama' },
    'llama.context_length': u32(64),
    'llama.embedding_length': u32(width),
    'llama.block_count': u32(1),
    'llama.feed_forward_length': u32(width),
    'llama.attention.head_count': u32(1),
    'llama.attention.layer_norm_rms_epsilon': { type: 'f32', value: 1e-5 },
    ...vocabularyMetadata(vocabulary),
  };
  const square = ['attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_gate', 'ffn_up', 'ffn_down'];
  const shapes: [string, number[]][] = [
    ['token_embd.weight', [vocabulary.tokens.length, width]],
    ['output_norm.weight', [width]],
    ['blk.0.attn_norm.weight', [width]],
    ['blk.0.ffn_norm.weight', [width]],
    ...square.map((name): [string, number[]] => [`blk.0.${name}.weight`, [width, width]]),
  ];
  const tensors = shapes.map(([name, shape]) => ({
    name,
    shape,
    type: 'f32',
    bytes: 4 * shape.reduce((a, b) => a * b, 1),
  }));
  const writer = await createGgufWriter(path, { metadata, tensors });
  for (const { name, bytes } of tensors) await writer.write(name, new Uint8Array(bytes));
  await writer.finish();
}

/** A checkpoint without weights, for what only looks at its folder and metadata. */
export function emptyCheckpoint(
  folder: string,
  metadata: Readonly<Record<string, unknown>> = {},
): Checkpoint {
  const missing = (name: string) => Promise.reject(new Error(`there is no ${name}`));
  return {
    path: folder,
    format: 'safetensors',
    naming: 'huggingface',
    metadata,
    folder,
    tensors: new Map(),
    bytes: 0,
    read: missing,
    readRows: missing,
    fingerprint: async () => 'tiny',
    close: () => Promise.resolve(),
  };
}
