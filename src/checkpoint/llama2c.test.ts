import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { bytesOf, refused, withFolder } from '../../test/checkpoint/files.js';
import { normals } from '../../test/reference/random.js';
import { openCheckpoint } from './open.js';

const [hidden, intermediate, layers, heads, kvHeads, vocabulary, context] = [16, 24, 2, 4, 2, 10, 6];
const headSize = hidden / heads;
const kv = kvHeads * headSize;

type Weights = ReadonlyMap<string, { readonly shape: number[]; readonly data: Float32Array }>;

function randomWeights(): Weights {
  let seed = 1;
  const weights = new Map<string, { shape: number[]; data: Float32Array }>();
  const add = (name: string, ...shape: number[]) => {
    const data = normals(
      shape.reduce((a, b) => a * b),
      seed++,
    );
    weights.set(`${name}.weight`, { shape, data });
  };
  add('model.embed_tokens', vocabulary, hidden);
  for (let layer = 0; layer < layers; layer++) {
    const at = `model.layers.${layer}`;
    add(`${at}.input_layernorm`, hidden);
    add(`${at}.self_attn.q_proj`, hidden, hidden);
    add(`${at}.self_attn.k_proj`, kv, hidden);
    add(`${at}.self_attn.v_proj`, kv, hidden);
    add(`${at}.self_attn.o_proj`, hidden, hidden);
    add(`${at}.post_attention_layernorm`, hidden);
    add(`${at}.mlp.gate_proj`, intermediate, hidden);
    add(`${at}.mlp.down_proj`, hidden, intermediate);
    add(`${at}.mlp.up_proj`, intermediate, hidden);
  }
  add('model.norm', hidden);
  add('lm_head', vocabulary, hidden);
  return weights;
}

/** Row i of each half of a head to row 2i (+1), as export.py's permute_reverse does. */
function interleave(data: Float32Array): Float32Array {
  const result = new Float32Array(data.length);
  for (let row = 0; row < data.length / hidden; row++) {
    const [head, inHead] = [Math.floor(row / headSize), row % headSize];
    const pair = inHead % (headSize / 2);
    const target = head * headSize + 2 * pair + Math.floor(inHead / (headSize / 2));
    result.set(data.subarray(row * hidden, (row + 1) * hidden), target * hidden);
  }
  return result;
}

/** The file that llama2.c's legacy_export writes of these weights. */
function exported(weights: Weights, tied: boolean): Uint8Array {
  const of = (name: string) => weights.get(`${name}.weight`)?.data ?? new Float32Array();
  const each = (name: string) =>
    Array.from({ length: layers }, (_, layer) => {
      const data = of(`model.layers.${layer}.${name}`);
      return /[qk]_proj/.test(name) ? interleave(data) : data;
    });
  const header = [hidden, intermediate, layers, heads, kvHeads, tied ? vocabulary : -vocabulary, context];
  const rotary = new Float32Array(context * (headSize / 2)).fill(9);
  const parts = [
    Int32Array.from(header),
    of('model.embed_tokens'),
    ...each('input_layernorm'),
    ...each('self_attn.q_proj'),
    ...each('self_attn.k_proj'),
    ...each('self_attn.v_proj'),
    ...each('self_attn.o_proj'),
    ...each('post_attention_layernorm'),
    ...each('mlp.gate_proj'),
    ...each('mlp.down_proj'),
    ...each('mlp.up_proj'),
    of('model.norm'),
    rotary,
    rotary,
    ...(tied ? [] : [of('lm_head')]),
  ];
  return new Uint8Array(Buffer.concat(parts.map(bytesOf)));
}

const weights = randomWeights();

describe.each([true, false])('tied head: %s', (tied) => {
  test('tensors under Hugging Face’s names, in its order', () =>
    withFolder({ 'model.bin': exported(weights, tied) }, async (folder) => {
      const checkpoint = await openCheckpoint(join(folder, 'model.bin'));
      const expected = [...weights].filter(([name]) => !tied || name !== 'lm_head.weight');
      expect(new Set(checkpoint.tensors.keys())).toEqual(new Set(expected.map(([name]) => name)));
      for (const [name, tensor] of expected) expect(await checkpoint.read(name), name).toEqual(tensor);
      await checkpoint.close();
    }));

  test('the equivalent configuration', () =>
    withFolder({ 'model.bin': exported(weights, tied) }, async (folder) => {
      const {
        metadata,
        format,
        naming,
        folder: beside,
        close,
      } = await openCheckpoint(join(folder, 'model.bin'));
      expect({ format, naming, beside }).toEqual({
        format: 'llama2c',
        naming: 'huggingface',
        beside: folder,
      });
      expect(metadata).toMatchObject({
        model_type: 'llama',
        hidden_size: hidden,
        intermediate_size: intermediate,
        num_hidden_layers: layers,
        num_attention_heads: heads,
        num_key_value_heads: kvHeads,
        vocab_size: vocabulary,
        max_position_embeddings: context,
        tie_word_embeddings: tied,
      });
      await close();
    }));
});

test('any range of rows of a rearranged matrix', () =>
  withFolder({ 'model.bin': exported(weights, true) }, async (folder) => {
    const checkpoint = await openCheckpoint(join(folder, 'model.bin'));
    const name = 'model.layers.1.self_attn.k_proj.weight';
    const whole = weights.get(name)?.data ?? new Float32Array();
    for (let from = 0; from <= kv; from++) {
      for (let to = from; to <= kv; to++) {
        const { shape, data } = await checkpoint.readRows(name, from, to);
        expect(shape).toEqual([to - from, hidden]);
        expect(data).toEqual(whole.slice(from * hidden, to * hidden));
      }
    }
    await expect(checkpoint.readRows(name, 3, kv + 1)).rejects.toThrow(RangeError);
    await expect(checkpoint.read('missing')).rejects.toThrow('tensor missing: there is no such tensor');
    await checkpoint.close();
  }));

describe('refuses', () => {
  const intact = exported(weights, true);
  const changed = (index: number, value: number) => {
    const file = intact.slice();
    new DataView(file.buffer, file.byteOffset).setInt32(4 * index, value, true);
    return file;
  };
  test.each([
    [
      'a truncated file',
      intact.slice(0, -4),
      /model.bin: has \d+ bytes, but as a llama2.c checkpoint it would have \d+; get/,
    ],
    ['a longer file', Buffer.concat([intact, new Uint8Array(4)]), /would have/],
    ['a file without header', intact.slice(0, 20), /has 20 bytes, too few for a llama2.c header/],
    ['a later version', changed(0, 0x616b3432), /is a llama2.c file of a version above 0; export it/],
    ['no heads', changed(3, 0), /its header makes no sense/],
    ['a negative size', changed(0, -16), /its header makes no sense/],
    ['heads that do not divide', changed(3, 5), /its header makes no sense/],
    ['two thousand million layers', changed(2, 2e9), /its header makes no sense/],
  ])('%s', (_, file, message) =>
    withFolder({ 'model.bin': file }, (folder) => refused(join(folder, 'model.bin'), message)),
  );

  test('NaN', () => {
    const file = intact.slice();
    new DataView(file.buffer, file.byteOffset).setFloat32(28 + 4 * 20, Number.NaN, true);
    return withFolder({ 'model.bin': file }, async (folder) => {
      const checkpoint = await openCheckpoint(join(folder, 'model.bin'));
      const message = 'tensor model.embed_tokens.weight: the value at [1,4] is NaN';
      await expect(checkpoint.read('model.embed_tokens.weight')).rejects.toThrow(message);
      await checkpoint.close();
    });
  });
});
