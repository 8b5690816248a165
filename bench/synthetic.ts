/**
 * Writes a checkpoint in the shape of a real model, with weights made up: sharded bf16 safetensors, a block in memory at
 * a time. Every row is noise over columns of different energy, plus a few directions that all rows share, so that
 * spectra fall off as those of trained layers do; the tokenizer is that of models/tales.
 *
 *   node bench/run.mjs synthetic <1.1B|8B> <blocks> <folder>
 */
import { closeSync, copyFileSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { createRandom } from '../src/random.js';
import { tales } from '../test/fixtures/data.js';

interface Shape {
  readonly hidden: number;
  readonly intermediate: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocabulary: number;
  readonly blocks: number;
}

/** TinyLlama 1.1B and Llama 3 8B. */
export const shapes: Readonly<Record<string, Shape>> = {
  '1.1B': { hidden: 2048, intermediate: 5632, heads: 32, kvHeads: 4, vocabulary: 32000, blocks: 22 },
  '8B': { hidden: 4096, intermediate: 14336, heads: 32, kvHeads: 8, vocabulary: 128256, blocks: 32 },
};

type Tensor = readonly [name: string, rows: number, cols: number, gain?: number];

const random = createRandom(1);
/** Normal numbers to draw from; of odd length, so that rows start anywhere in them. */
const noise = Float32Array.from({ length: (1 << 20) + 7 }, () => random.normal());
const sharedDirections = 4;

export function writeSynthetic(
  folder: string,
  { hidden, intermediate, heads, kvHeads, vocabulary, blocks }: Shape,
): void {
  mkdirSync(folder, { recursive: true });
  const kv = (hidden / heads) * kvHeads;
  // Branches are small beside what they are added to, as GPT-2 starts: otherwise the rounding of activations grows from
  // block to block, as it does in no trained model.
  const branch = (2 * blocks) ** -0.5;
  const shards: Tensor[][] = [[['model.embed_tokens.weight', vocabulary, hidden, hidden ** 0.5]]];
  for (let block = 0; block < blocks; block++) {
    const at = (name: string, rows: number, cols: number, gain = 1): Tensor => [
      `model.layers.${block}.${name}.weight`,
      rows,
      cols,
      gain,
    ];
    shards.push([
      at('input_layernorm', 1, hidden),
      at('self_attn.q_proj', hidden, hidden),
      at('self_attn.k_proj', kv, hidden),
      at('self_attn.v_proj', kv, hidden),
      at('self_attn.o_proj', hidden, hidden, branch),
      at('post_attention_layernorm', 1, hidden),
      at('mlp.gate_proj', intermediate, hidden),
      at('mlp.up_proj', intermediate, hidden),
      at('mlp.down_proj', hidden, intermediate, branch),
    ]);
  }
  shards.push([
    ['model.norm.weight', 1, hidden],
    ['lm_head.weight', vocabulary, hidden],
  ]);
  const map: Record<string, string> = {};
  for (const [index, tensors] of shards.entries()) {
    const name = `model-${index + 1}-of-${shards.length}.safetensors`;
    for (const [tensor] of tensors) map[tensor] = name;
    writeShard(join(folder, name), tensors);
  }
  writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map: map }));
  const config = {
    model_type: 'llama',
    hidden_size: hidden,
    intermediate_size: intermediate,
    num_hidden_layers: blocks,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    vocab_size: vocabulary,
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: false,
    bos_token_id: 0,
    eos_token_id: 1,
  };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  for (const name of ['tokenizer.json', 'tokenizer_config.json'])
    copyFileSync(join(tales.model, name), join(folder, name));
}

function writeShard(path: string, tensors: readonly Tensor[]): void {
  let end = 0;
  const header: Record<string, unknown> = {};
  for (const [name, rows, cols] of tensors) {
    const norm = rows === 1;
    header[name] = {
      dtype: 'BF16',
      shape: norm ? [cols] : [rows, cols],
      data_offsets: [end, end + 2 * rows * cols],
    };
    end += 2 * rows * cols;
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const file = openSync(path, 'w');
  writeSync(file, length);
  writeSync(file, text);
  for (const [, rows, cols, gain = 1] of tensors) writeTensor(file, rows, cols, gain);
  closeSync(file);
}

function writeTensor(file: number, rows: number, cols: number, gain: number): void {
  const scale = gain * cols ** -0.5;
  const amplitude = Float32Array.from({ length: cols }, () => scale * Math.exp(0.4 * random.normal()));
  const directions = Array.from({ length: sharedDirections }, (_, k) =>
    Float32Array.from({ length: cols }, () => (scale / (k + 1)) * random.normal()),
  );
  const [a, b, c, d] = directions as [Float32Array, Float32Array, Float32Array, Float32Array];
  const values = new Float32Array(cols);
  const bits = new Uint32Array(values.buffer);
  const chunk = new Uint16Array(cols * Math.max(1, Math.floor(2 ** 21 / cols)));
  let filled = 0;
  for (let row = 0; row < rows; row++) {
    const start = random.integer(noise.length);
    const [p, q, r, s] = [random.normal(), random.normal(), random.normal(), random.normal()];
    for (let j = 0, at = start; j < cols; j++, at++) {
      if (at === noise.length) at = 0;
      values[j] =
        rows === 1
          ? 1
          : (noise[at] as number) * (amplitude[j] as number) +
            p * (a[j] as number) +
            q * (b[j] as number) +
            r * (c[j] as number) +
            s * (d[j] as number);
    }
    for (let j = 0; j < cols; j++) chunk[filled + j] = (bits[j] as number) >>> 16;
    filled += cols;
    if (filled === chunk.length || row === rows - 1) {
      writeSync(file, new Uint8Array(chunk.buffer, 0, 2 * filled));
      filled = 0;
    }
  }
}

const [, , own, name = '', blocks = '', folder = ''] = process.argv;
if (own === 'synthetic') {
  const shape = shapes[name];
  if (!shape || !folder)
    throw new Error(`usage: synthetic <${Object.keys(shapes).join('|')}> <blocks> <folder>`);
  writeSynthetic(folder, { ...shape, blocks: Number(blocks) || shape.blocks });
}
