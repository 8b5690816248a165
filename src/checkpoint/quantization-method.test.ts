import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { quantizedLayout } from './quantization-method.js';
import { openSafetensors } from './safetensors.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-method-'));
afterAll(() => rmSync(folder, { recursive: true }));

const layout = (quantization: object | undefined) =>
  quantizedLayout({ quantization_config: quantization }, 'config.json');

test.each([
  [undefined, undefined],
  [{ quant_method: 'gptq', bits: 4 }, 'gptq'],
  [{ quant_method: 'auto-round', packing_format: 'auto_round:auto_gptq' }, 'gptq'],
  [{ quant_method: 'compressed-tensors', format: 'pack-quantized' }, 'compressed-tensors'],
  [
    {
      quant_method: 'compressed-tensors',
      format: 'mixed-precision',
      config_groups: { a: { format: 'pack-quantized' } },
    },
    'compressed-tensors',
  ],
])('%j lies as %j', (quantization, expected) => {
  expect(layout(quantization)).toBe(expected);
});

describe('methods that are not read are refused by name', () => {
  test.each([
    [{ quant_method: 'awq' }, 'quantized by awq, which is not read; get the original model'],
    [{ quant_method: 'bitsandbytes' }, 'by bitsandbytes'],
    [{ quant_method: 'bitnet' }, 'by bitnet'],
    [{ quant_method: 'fp8' }, 'by fp8'],
    [{ bits: 4 }, 'by a method without a name'],
    [
      { quant_method: 'auto-round', packing_format: 'auto_round:auto_awq' },
      'by auto-round (auto_round:auto_awq)',
    ],
    [
      { quant_method: 'compressed-tensors', format: 'int-quantized' },
      'by compressed-tensors (int-quantized)',
    ],
    [
      {
        quant_method: 'compressed-tensors',
        format: 'mixed-precision',
        config_groups: { a: { format: 'float-quantized' } },
      },
      'by compressed-tensors (float-quantized)',
    ],
  ])('%j', (quantization, words) => {
    expect(() => layout(quantization)).toThrow(words);
  });
});

/** A file with one tensor of four bytes. */
function write(name: string, dtype: string, shape: readonly number[]): string {
  const header = JSON.stringify({ [name]: { dtype, shape, data_offsets: [0, 4] } });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const path = join(folder, 'model.safetensors');
  writeFileSync(path, Buffer.concat([length, Buffer.from(header), Buffer.alloc(4)]));
  writeFileSync(join(folder, 'config.json'), '{"model_type":"llama"}');
  return path;
}

test('integers without scales are no weights, whatever the configuration says', async () => {
  await expect(openSafetensors(write('a.weight', 'I8', [2, 2]))).rejects.toThrow(
    /tensor a\.weight: holds integers, which are no weights without the scales/,
  );
  // Buffers may be integers.
  await (await openSafetensors(write('a.position_ids', 'I8', [2, 2]))).close();
});
