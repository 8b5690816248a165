import { dirname } from 'node:path';
import { TersorError } from '../errors.js';
import type { Kernels } from '../kernels/kernels.js';
import type { Checkpoint, Tensor } from './checkpoint.js';
import { product, type StoredTensor } from './decode.js';
import { getIntact, type RangedFile, withFiles } from './file.js';
import { storedCheckpoint } from './stored.js';

const headerBytes = 7 * 4;
/** `ak42`, with which the later versions of the format begin. */
const laterMagic = 0x616b3432;

interface Header {
  readonly hidden: number;
  readonly intermediate: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocabulary: number;
  readonly context: number;
  /** The output head is the embedding; files with a head of its own store a negative vocabulary size. */
  readonly tied: boolean;
}

/**
 * Opens a checkpoint of llama2.c: seven 32-bit integers and then f32 tensors, all layers of a kind together
 * (legacy_export in export.py and memory_map_weights in run.c, https://github.com/karpathy/llama2.c).
 *
 * The file has query and key rows in the order in which rotary pairs are neighbours; they are read in Hugging
 * Face's order, where the second elements of all pairs follow the first ones.
 * @throws TersorError when the size of the file is not what its header says
 */
export async function openLlama2c(path: string, kernels?: Kernels): Promise<Checkpoint> {
  return withFiles(async (open) => {
    const file = await open(path);
    const header = await readHeader(file);
    const stored = storedCheckpoint(
      {
        path,
        format: 'llama2c',
        naming: 'huggingface',
        metadata: equivalentConfig(header),
        folder: dirname(path),
        files: [file],
        tensors: layOut(file, header),
      },
      kernels,
    );
    return inHalfSplitOrder(stored, header.hidden / header.heads);
  });
}

async function readHeader(file: RangedFile): Promise<Header> {
  const wrong = (problem: string) => new TersorError(problem, { file: file.path, remedy: getIntact });
  if (file.size < headerBytes) throw wrong(`has ${file.size} bytes, too few for a llama2.c header`);
  const bytes = new Uint8Array(headerBytes);
  await file.read(0, bytes);
  const view = new DataView(bytes.buffer);
  if (view.getUint32(0, true) === laterMagic) {
    const remedy = 'export it with --version 0, or give the Hugging Face folder';
    throw new TersorError('is a llama2.c file of a version above 0', {
      code: 'unsupported',
      file: file.path,
      remedy,
    });
  }
  const at = (index: number) => view.getInt32(4 * index, true);
  const header: Header = {
    hidden: at(0),
    intermediate: at(1),
    layers: at(2),
    heads: at(3),
    kvHeads: at(4),
    vocabulary: Math.abs(at(5)),
    context: at(6),
    tied: at(5) > 0,
  };
  const { hidden, layers, heads, kvHeads } = header;
  const sizes = [hidden, header.intermediate, layers, heads, kvHeads, header.vocabulary, header.context];
  const possible = sizes.every((size) => size > 0) && hidden % (2 * heads) === 0 && heads % kvHeads === 0;
  if (!possible || hidden * layers > file.size) {
    throw wrong('is not a llama2.c checkpoint: its header makes no sense');
  }
  return header;
}

/** Where every tensor lies, under Hugging Face's names. */
function layOut(file: RangedFile, header: Header): StoredTensor[] {
  const { hidden, intermediate, layers, vocabulary } = header;
  const headSize = hidden / header.heads;
  const kv = header.kvHeads * headSize;
  const tensors: StoredTensor[] = [];
  let offset = headerBytes;
  const add = (name: string, ...shape: number[]) => {
    const bytes = 4 * product(shape);
    tensors.push({ name, shape, type: 'f32', bytes, file, offset });
    offset += bytes;
  };
  const addLayers = (name: string, ...shape: number[]) => {
    for (let layer = 0; layer < layers; layer++) add(`model.layers.${layer}.${name}.weight`, ...shape);
  };
  add('model.embed_tokens.weight', vocabulary, hidden);
  addLayers('input_layernorm', hidden);
  addLayers('self_attn.q_proj', hidden, hidden);
  addLayers('self_attn.k_proj', kv, hidden);
  addLayers('self_attn.v_proj', kv, hidden);
  addLayers('self_attn.o_proj', hidden, hidden);
  addLayers('post_attention_layernorm', hidden);
  addLayers('mlp.gate_proj', intermediate, hidden);
  addLayers('mlp.down_proj', hidden, intermediate);
  addLayers('mlp.up_proj', intermediate, hidden);
  add('model.norm.weight', hidden);
  offset += 2 * 4 * header.context * (headSize / 2); // tables of rotary cosines and sines, which readers skip
  if (!header.tied) add('lm_head.weight', vocabulary, hidden);
  if (offset !== file.size) {
    throw new TersorError(`has ${file.size} bytes, but as a llama2.c checkpoint it would have ${offset}`, {
      file: file.path,
      remedy: getIntact,
    });
  }
  return tensors;
}

function equivalentConfig(header: Header): Record<string, unknown> {
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_act: 'silu',
    hidden_size: header.hidden,
    intermediate_size: header.intermediate,
    num_hidden_layers: header.layers,
    num_attention_heads: header.heads,
    num_key_value_heads: header.kvHeads,
    head_dim: header.hidden / header.heads,
    vocab_size: header.vocabulary,
    max_position_embeddings: header.context,
    // What run.c has as constants.
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    attention_bias: false,
    mlp_bias: false,
    bos_token_id: 1,
    eos_token_id: 2,
    tie_word_embeddings: header.tied,
    torch_dtype: 'float32',
  };
}

/** Row 2i of a head goes to i, row 2i + 1 to i + headSize / 2, in all query and key matrices. */
function inHalfSplitOrder(stored: Checkpoint, headSize: number): Checkpoint {
  const readRows = async (name: string, from: number, to: number): Promise<Tensor> => {
    if (!/\.[qk]_proj\.weight$/.test(name)) return stored.readRows(name, from, to);
    const start = from - (from % headSize);
    const heads = await stored.readRows(name, start, Math.ceil(to / headSize) * headSize);
    const [, cols = 0] = heads.shape;
    const data = new Float32Array((to - from) * cols);
    for (let row = from; row < to; row++) {
      const inHead = row % headSize;
      const half = headSize / 2;
      const source = row - inHead - start + (inHead < half ? 2 * inHead : 2 * (inHead - half) + 1);
      data.set(heads.data.subarray(source * cols, (source + 1) * cols), (row - from) * cols);
    }
    return { shape: [to - from, cols], data };
  };
  return {
    ...stored,
    readRows,
    read: async (name) => {
      const tensor = stored.tensors.get(name);
      return tensor ? readRows(name, 0, tensor.shape[0] ?? 1) : stored.read(name);
    },
  };
}
