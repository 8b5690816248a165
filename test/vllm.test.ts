import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openCheckpoint } from '../src/checkpoint/open.js';
import { findCompressedTensorsGrid } from '../src/grid/packed-int32/compressed-tensors.js';
import { compress } from '../src/pipeline/compress.js';
import { evaluate } from '../src/pipeline/evaluate.js';
import { plan } from '../src/pipeline/plan.js';
import { createQuantizedWriter } from '../src/writer/quantized-folder.js';
import { tersor } from './fixtures/command.js';
import { tales } from './fixtures/data.js';
import { micros, writeMicro } from './fixtures/micro.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-vllm-'));
afterAll(() => rmSync(folder, { recursive: true }));
const path = (name: string) => join(folder, name);
const text = path('text.txt');
const small = { calibration: text, context: 64, threads: 1 };

beforeAll(async () => {
  await writeMicro(path('llama'), micros.llama, 11);
  await writeMicro(path('qwen2'), micros.qwen2, 12);
  await writeMicro(path('gpt2'), micros.gpt2, 13);
  writeFileSync(text, readFileSync(tales.calibration).subarray(0, 8000));
});

interface Stored {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: DataView;
}

/** A safetensors file, read without tersor. */
function readFile(file: string): { tensors: Map<string, Stored>; metadata: Record<string, string> } {
  const bytes = readFileSync(file);
  const length = Number(bytes.readBigUInt64LE(0));
  const { __metadata__: metadata, ...entries } = JSON.parse(bytes.toString('utf8', 8, 8 + length));
  const tensors = Object.entries(
    entries as Record<string, { dtype: string; shape: number[]; data_offsets: number[] }>,
  );
  return {
    metadata,
    tensors: new Map(
      tensors.map(
        ([
          name,
          {
            dtype,
            shape,
            data_offsets: [from = 0, to = 0],
          },
        ]) => [
          name,
          { dtype, shape, data: new DataView(bytes.buffer, bytes.byteOffset + 8 + length + from, to - from) },
        ],
      ),
    ),
  };
}

function half(bits: number): number {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

/** A layer's weight, row-major [out, in], from a folder that was read without tersor. */
function decode(tensors: ReadonlyMap<string, Stored>, layer: string): Float32Array {
  const get = (suffix: string) => tensors.get(layer + suffix);
  const word = (part: Stored | undefined, at: number) => part?.data.getUint32(4 * at, true) ?? Number.NaN;
  const field = (value: number, at: number, bits: number) => (value >>> at) & (2 ** bits - 1);
  const packed = get('.weight_packed');
  if (packed) {
    const [rows, cols] = [0, 8].map((at) => Number(get('.weight_shape')?.data.getBigInt64(at, true)));
    const perWord = (cols ?? 0) / (packed.shape[1] ?? 1);
    const bits = 32 / perWord;
    const [scales, zeros] = [get('.weight_scale'), get('.weight_zero_point')];
    const groups = scales?.shape[1] ?? 1;
    return Float32Array.from({ length: (rows ?? 0) * (cols ?? 0) }, (_, i) => {
      const [row, col] = [Math.floor(i / (cols ?? 1)), i % (cols ?? 1)];
      const group = Math.floor((col * groups) / (cols ?? 1));
      const code = field(word(packed, Math.floor(i / perWord)), bits * (col % perWord), bits);
      const zero = zeros
        ? field(word(zeros, Math.floor(row / perWord) * groups + group), bits * (row % perWord), bits)
        : 2 ** (bits - 1);
      return half(scales?.data.getUint16(2 * (row * groups + group), true) ?? 0) * (code - zero);
    });
  }
  const [codes, zeros, scales] = [get('.qweight'), get('.qzeros'), get('.scales')];
  const rows = codes?.shape[1] ?? 0;
  const bits = ((zeros?.shape[1] ?? 0) * 32) / rows;
  const cols = ((codes?.shape[0] ?? 0) * 32) / bits;
  const index = get('.g_idx');
  /** `bits` bits of a stream of words from bit `at` on. */
  const stream = (part: Stored | undefined, first: number, step: number, at: number) => {
    const [start, shift] = [Math.floor(at / 32), at % 32];
    const low = word(part, first + step * start) >>> shift;
    const high = shift + bits > 32 ? word(part, first + step * (start + 1)) << (32 - shift) : 0;
    return (low | high) & (2 ** bits - 1);
  };
  return Float32Array.from({ length: rows * cols }, (_, i) => {
    const [row, col] = [Math.floor(i / cols), i % cols];
    const group = index?.data.getInt32(4 * col, true) ?? 0;
    const zero = stream(zeros, (group * rows * bits) / 32, 1, bits * row) + 1;
    const scale = half(scales?.data.getUint16(2 * (group * rows + row), true) ?? 0);
    return scale * (stream(codes, row, rows, bits * col) - zero);
  });
}

const config = (name: string) => JSON.parse(readFileSync(path(`${name}/config.json`), 'utf8'));
const same = (a: Float32Array, b: Float32Array) => a.length === b.length && a.every((x, i) => x === b[i]);

describe.each([
  ['gptq', 'int4-g32'],
  ['gptq', 'int3-g32-asym'],
  ['gptq', 'int2-channel'],
  ['gptq', 'int8-channel-asym'],
  ['compressed-tensors', 'int4-g32'],
  ['compressed-tensors', 'int4-g32-asym'],
  ['compressed-tensors', 'int2-channel-asym'],
  ['compressed-tensors', 'int8-g32'],
])('--format %s --type %s', (format, type) => {
  const output = path(`${format}-${type}`);

  test('is written to the byte, read back, and measured', async () => {
    const options = { model: path('qwen2'), output, format, type, solver: 'gptq', ...small };
    const planned = await plan(options);
    const { bytes, heldOut, tensors } = await compress(options);
    expect(statSync(join(output, 'model.safetensors')).size).toBe(bytes);
    expect(planned.bytes).toBe(bytes);
    const measured = await evaluate({ model: output, against: path('qwen2'), text, context: 64 });
    expect(measured.divergence?.mean).toBeGreaterThan(0);
    expect(heldOut?.divergence?.mean).toBeLessThan(type.startsWith('int2') ? 2 : 0.3);
    expect(tensors.find(({ name }) => name.includes('up_proj'))).toMatchObject({ type });
  });

  test('holds what an independent decoder reads, too', async () => {
    const checkpoint = await openCheckpoint(output);
    const { tensors, metadata } = readFile(join(output, 'model.safetensors'));
    expect(metadata).toMatchObject({ format: 'pt', 'tersor.recipe': expect.stringContaining(type) });
    for (const layer of ['model.layers.0.self_attn.k_proj', 'model.layers.1.mlp.down_proj']) {
      const { data, shape } = await checkpoint.read(`${layer}.weight`);
      expect(checkpoint.tensors.get(`${layer}.weight`)).toMatchObject({ type, shape });
      expect(same(data, decode(tensors, layer)), layer).toBe(true);
    }
    // Biases and norms are ordinary tensors.
    expect(tensors.get('model.layers.0.self_attn.k_proj.bias')).toMatchObject({ dtype: 'F32', shape: [32] });
    await checkpoint.close();
  });
});

test('the configuration tells runtimes how weights are stored', () => {
  expect(config('gptq-int3-g32-asym')).toMatchObject({
    model_type: 'qwen2',
    torch_dtype: 'float16',
    quantization_config: {
      quant_method: 'gptq',
      bits: 3,
      group_size: 32,
      sym: false,
      desc_act: false,
      checkpoint_format: 'gptq',
    },
  });
  expect(config('gptq-int2-channel').quantization_config).toMatchObject({
    bits: 2,
    group_size: -1,
    sym: true,
  });
  const { quantization_config: quantization } = config('compressed-tensors-int2-channel-asym');
  expect(quantization).toMatchObject({
    quant_method: 'compressed-tensors',
    format: 'pack-quantized',
    config_groups: {
      group_0: {
        targets: ['Linear'],
        weights: { num_bits: 2, symmetric: false, strategy: 'channel', group_size: null },
      },
    },
    ignore: ['lm_head'],
  });
  expect(existsSync(path('gptq-int3-g32-asym/tokenizer.json'))).toBe(true);
});

describe('several types in one model', () => {
  const mixed = ['--override', 'layers.1.mlp.down=int8-g32', '--override', 'layers.0.self_attn.o=f16'];
  const words = (format: string, output: string) => {
    const options = ['--format', format, '--type', 'int4-g32', '--solver', 'rtn', ...mixed];
    return [
      'compress',
      path('llama'),
      '-o',
      path(output),
      '--calibration',
      text,
      '--context',
      '64',
      ...options,
    ];
  };

  test('are patterns of names to GPTQ', async () => {
    expect(await tersor(...words('gptq', 'mixed-gptq'))).toMatchObject({ code: 0, errors: '' });
    expect(config('mixed-gptq').quantization_config).toMatchObject({
      bits: 4,
      dynamic: {
        '+:^model\\.layers\\.1\\.mlp\\.down_proj$': { bits: 8, group_size: 32, sym: true },
        '-:^model\\.layers\\.0\\.self_attn\\.o_proj$': {},
      },
    });
  });

  test('and groups to compressed-tensors', async () => {
    expect(await tersor(...words('compressed-tensors', 'mixed'))).toMatchObject({ code: 0, errors: '' });
    const { config_groups: groups, ignore } = config('mixed').quantization_config;
    expect(groups.group_0.weights.num_bits).toBe(4);
    expect(groups.group_0.targets).toHaveLength(12);
    expect(groups.group_1).toMatchObject({
      targets: ['model.layers.1.mlp.down_proj'],
      weights: { num_bits: 8 },
    });
    expect(ignore).toEqual(['lm_head', 'model.layers.0.self_attn.o_proj']);
  });

  test.each(['mixed-gptq', 'mixed'])('%s is read back', async (name) => {
    const checkpoint = await openCheckpoint(path(name));
    const { tensors } = readFile(path(`${name}/model.safetensors`));
    for (const layer of ['model.layers.1.mlp.down_proj', 'model.layers.1.mlp.up_proj'])
      expect(same((await checkpoint.read(`${layer}.weight`)).data, decode(tensors, layer)), layer).toBe(true);
    expect(checkpoint.tensors.get('model.layers.1.mlp.down_proj.weight')?.type).toBe('int8-g32');
    expect(checkpoint.tensors.get('model.layers.0.self_attn.o_proj.weight')?.type).toBe('f16');
    await checkpoint.close();
  });

  test('what vLLM cannot load is said beforehand', async () => {
    const options = { model: path('llama'), output: path('no'), format: 'gptq', type: 'int4-g32', ...small };
    const heard: string[] = [];
    const overrides = [{ pattern: /0\.self_attn\.v/, type: 'int8-g32' }];
    await plan({ ...options, overrides }, { warn: (line) => heard.push(line) });
    expect(heard.join()).toMatch(
      /model\.layers\.0\.self_attn\.q_proj\.weight: vLLM runs query, key and value/,
    );
    await plan(options, { warn: (line) => heard.push(line) });
    expect(heard).toHaveLength(1);
  });
});

test('compressed again, such a model says no more that it is quantized so', async () => {
  const model = path('compressed-tensors-int8-g32');
  const options = { model, solver: 'rtn', type: 'int4', ...small };
  await compress({ ...options, output: path('own'), format: 'safetensors' });
  expect(config('own')).not.toHaveProperty('quantization_config');
  await compress({ ...options, output: path('second-gptq'), format: 'gptq' });
  expect(config('second-gptq').quantization_config.quant_method).toBe('gptq');
});

test('a search leaves what runtimes load as plain numbers only plain', async () => {
  const options = { model: path('llama'), output: path('searched'), format: 'compressed-tensors', ...small };
  const { tensors, bytes } = await compress({ ...options, size: 1_125_000, solver: 'rtn' });
  expect(bytes).toBeLessThanOrEqual(1_125_000);
  expect(statSync(path('searched/model.safetensors')).size).toBe(bytes);
  expect(tensors.find(({ name }) => name === 'lm_head.weight')?.type).toBe('f16');
  expect(new Set(tensors.map(({ type }) => type)).size).toBeGreaterThan(2);
});

test("GPT-2's transposed layers are stored as GPTQ does, and only so", async () => {
  const options = {
    model: path('gpt2'),
    output: path('gpt2-gptq'),
    type: 'int4-g32',
    solver: 'rtn',
    ...small,
  };
  const { heldOut } = await compress({ ...options, format: 'gptq' });
  const { divergence } = await evaluate({
    model: path('gpt2-gptq'),
    against: path('gpt2'),
    text,
    context: 64,
  });
  expect(divergence?.mean).toBeCloseTo(heldOut?.divergence?.mean ?? Number.NaN, 1);
  const { tensors } = readFile(path('gpt2-gptq/model.safetensors'));
  expect(tensors.get('h.0.attn.c_attn.qweight')?.shape).toEqual([8, 192]);
  const other = { ...options, output: path('no'), overrides: [{ pattern: /mlp/, type: 'f16' }] };
  await expect(compress({ ...other, format: 'gptq' })).rejects.toThrow(/mlp.*cannot be stored as f16/);
});

test('large models are divided into shards', async () => {
  const grid = findCompressedTensorsGrid('int4-g32');
  if (!grid) throw new Error('no grid');
  const spec = (name: string) => ({
    role: name,
    kind: 'linear' as const,
    shape: [64, 64],
    names: { huggingface: `${name}.weight`, gguf: name },
  });
  const tensors = ['a', 'b', 'c'].map((name) => ({
    name: `${name}.weight`,
    spec: spec(name),
    grid,
    bytes: grid.bytes(64, 64),
  }));
  const source = {
    path: path('llama'),
    folder: path('llama'),
    naming: 'huggingface' as const,
    metadata: config('llama'),
  };
  const quantization = config('compressed-tensors-int4-g32').quantization_config;
  const output = path('shards');
  const shardBytes = 2 * grid.bytes(64, 64);
  const metadata = { 'tersor.version': '0' };
  const writer = await createQuantizedWriter(output, { source, metadata, tensors, quantization, shardBytes });
  for (const [index, { name, bytes }] of tensors.entries()) {
    const packed = new Uint8Array(bytes).fill(index);
    new BigInt64Array(packed.buffer, bytes - 16).fill(64n);
    await writer.write(name, packed);
  }
  await writer.finish();
  const files = readdirSync(output).filter((name) => name.endsWith('.safetensors'));
  expect(files).toEqual(['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors']);
  expect(files.reduce((sum, name) => sum + statSync(join(output, name)).size, 0)).toBe(writer.bytes);
  const index = JSON.parse(readFileSync(join(output, 'model.safetensors.index.json'), 'utf8'));
  expect(index.weight_map['c.weight_packed']).toBe(files[1]);
  const checkpoint = await openCheckpoint(output);
  expect([...checkpoint.tensors.keys()].sort()).toEqual(['a.weight', 'b.weight', 'c.weight']);
  const { data } = await checkpoint.read('c.weight');
  expect(same(data, decode(readFile(join(output, files[1] ?? '')).tensors, 'c'))).toBe(true);
  await checkpoint.close();
});

/** A folder like `from` with a part of a layer changed. */
async function changed(
  from: string,
  to: string,
  part: string,
  change: (data: DataView) => void,
): Promise<string> {
  await cp(path(from), path(to), { recursive: true });
  const file = path(`${to}/model.safetensors`);
  const { tensors } = readFile(file);
  const stored = tensors.get(part);
  if (!stored) throw new Error(`no ${part}`);
  change(stored.data);
  writeFileSync(
    file,
    new Uint8Array(stored.data.buffer, stored.data.byteOffset - offsetOf(file, part)).subarray(
      0,
      statSync(file).size,
    ),
  );
  return path(to);
}

function offsetOf(file: string, part: string): number {
  const bytes = readFileSync(file);
  const length = Number(bytes.readBigUInt64LE(0));
  return 8 + length + JSON.parse(bytes.toString('utf8', 8, 8 + length))[part].data_offsets[0];
}

describe('checkpoints of others', () => {
  const layer = 'model.layers.0.mlp.down_proj';

  test('may have columns in groups in any order (desc_act)', async () => {
    const name = `${layer}.g_idx`;
    const shuffled = await changed('gptq-int4-g32', 'act-order', name, (data) => {
      for (let col = 0; col < data.byteLength / 4; col++) data.setInt32(4 * col, (7 * col + 1) % 3, true);
    });
    const checkpoint = await openCheckpoint(shuffled);
    const { data } = await checkpoint.read(`${layer}.weight`);
    expect(same(data, decode(readFile(join(shuffled, 'model.safetensors')).tensors, layer))).toBe(true);
    await checkpoint.close();
  });

  test('may have zero points as they are (gptq_v2)', async () => {
    await cp(path('gptq-int4-g32'), path('second'), { recursive: true });
    const settings = config('second');
    settings.quantization_config.checkpoint_format = 'gptq_v2';
    writeFileSync(path('second/config.json'), JSON.stringify(settings));
    const [first, second] = [
      await openCheckpoint(path('gptq-int4-g32')),
      await openCheckpoint(path('second')),
    ];
    const [a, b] = [await first.read(`${layer}.weight`), await second.read(`${layer}.weight`)];
    const { tensors } = readFile(path('second/model.safetensors'));
    const scales = tensors.get(`${layer}.scales`);
    // Every zero point counts one less, so that every value counts one scale more.
    const scale = half(scales?.data.getUint16(0, true) ?? 0);
    expect((b.data[0] ?? 0) - (a.data[0] ?? 0)).toBeCloseTo(scale, 6);
    await first.close();
    await second.close();
  });

  test('are refused by name where a part is missing or impossible', async () => {
    const wrong = await changed('gptq-int4-g32', 'wrong', `${layer}.g_idx`, (data) =>
      data.setInt32(0, 99, true),
    );
    await expect(openCheckpoint(wrong)).rejects.toThrow(
      /down_proj\.weight.*groups that there are no scales for/,
    );
    const file = path('less/model.safetensors');
    await cp(path('compressed-tensors-int4-g32'), path('less'), { recursive: true });
    const bytes = readFileSync(file);
    writeFileSync(
      file,
      Buffer.from(
        bytes.toString('latin1').replace(`${layer}.weight_scale`, `${layer}.weight_scald`),
        'latin1',
      ),
    );
    await expect(openCheckpoint(path('less'))).rejects.toThrow(/down_proj\.weight.*no weight_scale/);
  });
});

test.each([
  [['--type', 'q4_k'], /gptq cannot hold the type q4_k; choose one of int2, int3/],
  [['--type', 'int5-g32'], /cannot hold the type int5-g32/],
  [['--type', 'int4-g128'], /rows of 64 are not divisible by int4-g128's blocks of 128.*--fallback/],
  [
    ['--type', 'int4', '--embedding-type', 'int4'],
    /embed_tokens\.weight: it is no linear layer of a block.*--fallback/,
  ],
])('%j is refused', async (words, message) => {
  const command = ['compress', path('llama'), '-o', path('no'), '--format', 'gptq', '--calibration', text];
  const result = await tersor(...command, '--context', '64', ...words);
  expect(result.code).toBe(1);
  expect(result.errors).toMatch(message);
  expect(existsSync(path('no'))).toBe(false);
});

test('folders that tersor wrote are replaced, others are not', async () => {
  const options = { model: path('llama'), format: 'gptq', type: 'int4-g32', solver: 'rtn', ...small };
  await expect(compress({ ...options, output: path('llama') })).rejects.toThrow(
    /something that tersor did not write/,
  );
  await compress({ ...options, output: path('mixed') });
  expect(config('mixed').quantization_config.quant_method).toBe('gptq');
});
