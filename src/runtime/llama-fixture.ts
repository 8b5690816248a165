/** A GGUF of a tiny Llama with random weights and one token per byte, for tests of the runtime. */

const width = 32;
const vocabularySize = 258;
const begin = 256;
const end = 257;

type Value = string | boolean | { u32: number } | { f32: number } | string[] | { i32: number[] };

/** Bytes of the file; weights come from a generator with this seed. */
export function tinyLlama(seed = 1): Uint8Array {
  const metadata: Record<string, Value> = {
    'general.architecture': 'llama',
    'llama.context_length': { u32: 128 },
    'llama.embedding_length': { u32: width },
    'llama.block_count': { u32: 1 },
    'llama.feed_forward_length': { u32: 64 },
    'llama.attention.head_count': { u32: 2 },
    'llama.attention.head_count_kv': { u32: 1 },
    'llama.attention.layer_norm_rms_epsilon': { f32: 1e-5 },
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': 'default',
    'tokenizer.ggml.tokens': [...Array.from({ length: 256 }, (_, byte) => byteSymbol(byte)), '<s>', '</s>'],
    'tokenizer.ggml.token_type': {
      i32: Array.from({ length: vocabularySize }, (_, id) => (id < 256 ? 1 : 3)),
    },
    'tokenizer.ggml.merges': ['a b'],
    'tokenizer.ggml.bos_token_id': { u32: begin },
    'tokenizer.ggml.eos_token_id': { u32: end },
    'tokenizer.ggml.add_bos_token': true,
  };
  const shapes: [string, number[]][] = [
    ['token_embd.weight', [width, vocabularySize]],
    ['output_norm.weight', [width]],
    ['blk.0.attn_norm.weight', [width]],
    ['blk.0.attn_q.weight', [width, width]],
    ['blk.0.attn_k.weight', [width, width / 2]],
    ['blk.0.attn_v.weight', [width, width / 2]],
    ['blk.0.attn_output.weight', [width, width]],
    ['blk.0.ffn_norm.weight', [width]],
    ['blk.0.ffn_gate.weight', [width, 64]],
    ['blk.0.ffn_up.weight', [width, 64]],
    ['blk.0.ffn_down.weight', [64, width]],
  ];
  const sink = new Sink();
  sink.bytes('GGUF').u32(3).u64(shapes.length).u64(Object.keys(metadata).length);
  for (const [key, value] of Object.entries(metadata)) sink.string(key).value(value);
  let offset = 0;
  for (const [name, shape] of shapes) {
    sink.string(name).u32(shape.length);
    for (const size of shape) sink.u64(size);
    sink.u32(0).u64(offset);
    offset += product(shape) * 4;
  }
  sink.align(32);
  let state = seed;
  for (const [name, shape] of shapes) {
    for (let index = product(shape); index > 0; index--) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      sink.f32(name.endsWith('norm.weight') ? 1 : state / 2 ** 31 - 1);
    }
  }
  return sink.done();
}

const product = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

/** GPT-2's printable stand-in for a byte. */
function byteSymbol(byte: number): string {
  const printable = (code: number) =>
    (code >= 33 && code <= 126) || (code >= 161 && code <= 172) || (code >= 174 && code <= 255);
  if (printable(byte)) return String.fromCharCode(byte);
  let rank = 0;
  for (let code = 0; code < byte; code++) if (!printable(code)) rank++;
  return String.fromCharCode(256 + rank);
}

class Sink {
  private readonly parts: Uint8Array[] = [];
  private length = 0;

  bytes(text: string | Uint8Array): this {
    const part = typeof text === 'string' ? new TextEncoder().encode(text) : text;
    this.parts.push(part);
    this.length += part.length;
    return this;
  }
  private scalar(size: number, write: (view: DataView) => void): this {
    const part = new Uint8Array(size);
    write(new DataView(part.buffer));
    return this.bytes(part);
  }
  u32(value: number): this {
    return this.scalar(4, (view) => view.setUint32(0, value, true));
  }
  u64(value: number): this {
    return this.scalar(8, (view) => view.setBigUint64(0, BigInt(value), true));
  }
  f32(value: number): this {
    return this.scalar(4, (view) => view.setFloat32(0, value, true));
  }
  string(text: string): this {
    const bytes = new TextEncoder().encode(text);
    return this.u64(bytes.length).bytes(bytes);
  }
  value(value: Value): this {
    if (typeof value === 'string') return this.u32(8).string(value);
    if (typeof value === 'boolean') return this.u32(7).bytes(Uint8Array.of(Number(value)));
    if (Array.isArray(value)) {
      this.u32(9).u32(8).u64(value.length);
      for (const text of value) this.string(text);
      return this;
    }
    if ('u32' in value) return this.u32(4).u32(value.u32);
    if ('f32' in value) return this.u32(6).f32(value.f32);
    this.u32(9).u32(5).u64(value.i32.length);
    for (const item of value.i32) this.u32(item);
    return this;
  }
  align(to: number): this {
    return this.bytes(new Uint8Array((to - (this.length % to)) % to));
  }
  done(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.parts));
  }
}
