import { join } from 'node:path';
import { expect, test } from 'vitest';
import { bytesOf, type RawTensor, safetensors, withFolder } from '../../test/checkpoint/files.js';
import { createKernels } from '../kernels/kernels.js';
import { openSafetensors } from './safetensors.js';

/** The value of a half by its definition (IEEE 754-2008, binary16). */
function half(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const magnitude = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
  return bits & 0x8000 ? -magnitude : magnitude;
}

async function decode(tensor: RawTensor, threads = 1): Promise<Float32Array> {
  const kernels = await createKernels({ threads });
  const files = { 'config.json': {}, 'model.safetensors': safetensors({ tensor }) };
  return withFolder(files, async (folder) => {
    const checkpoint = await openSafetensors(join(folder, 'model.safetensors'), folder, kernels);
    try {
      return (await checkpoint.read('tensor')).data;
    } finally {
      await checkpoint.close();
      kernels.close();
    }
  });
}

const finiteHalves = Uint16Array.from({ length: 65536 }, (_, bits) => bits).filter(
  (bits) => (bits & 0x7c00) !== 0x7c00,
);

test.each([1, 2])('every finite half decodes to its value, bit for bit (%i threads)', async (threads) => {
  const shape = [finiteHalves.length];
  const decoded = await decode({ dtype: 'F16', shape, data: bytesOf(finiteHalves) }, threads);
  const expected = Float32Array.from(finiteHalves, half);
  expect(Buffer.compare(bytesOf(decoded), bytesOf(expected))).toBe(0);
});

test('bf16 is the upper half of an f32', async () => {
  const values = Float32Array.of(0, -0, 1, -1.5, 2 ** -133, 3.3895313892515355e38);
  const upper = Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16);
  const decoded = await decode({ dtype: 'BF16', shape: [values.length], data: bytesOf(upper) });
  expect([...decoded]).toEqual([...values]);
});

test.each([
  ['F32', Float32Array.of(1.5, -0, 3.4e38)],
  ['F64', Float64Array.of(0.1, -1e-300, 1e38)],
  ['I8', Int8Array.of(-128, 0, 127)],
  ['U8', Uint8Array.of(0, 1, 255)],
  ['BOOL', Uint8Array.of(0, 1, 1)],
  ['I16', Int16Array.of(-32768, 0, 32767)],
  ['U16', Uint16Array.of(0, 1, 65535)],
  ['I32', Int32Array.of(-(2 ** 31), 16777217, 5)],
  ['U32', Uint32Array.of(0, 1, 2 ** 32 - 1)],
  ['I64', BigInt64Array.of(-(2n ** 63n), 3n, 2n ** 53n + 1n)],
  ['U64', BigUint64Array.of(0n, 3n, 2n ** 64n - 1n)],
] as const)('%s is rounded to the nearest f32', async (dtype, values) => {
  const decoded = await decode({ dtype, shape: [3], data: bytesOf(values) });
  expect([...decoded]).toEqual(
    Array.from<number | bigint, number>(values, (value) => Math.fround(Number(value))),
  );
});

test('tensors larger than a slab, of odd size', async () => {
  const values = Float32Array.from({ length: 3 * 2 ** 20 + 7 }, (_, i) => i % 8191);
  const upper = Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16);
  const truncated = new Float32Array(Uint32Array.from(upper, (bits) => bits << 16).buffer);
  const decoded = await decode({ dtype: 'BF16', shape: [values.length], data: bytesOf(upper) }, 2);
  expect(Buffer.compare(bytesOf(decoded), bytesOf(truncated))).toBe(0);
});

test.each([
  ['F32', bytesOf(Float32Array.of(0, 1, 2, 3, 4, Number.NaN)), '[1,2] is NaN'],
  ['F32', bytesOf(Float32Array.of(0, 1, 2, -Infinity, 4, 5)), '[1,0] is infinite'],
  ['F64', bytesOf(Float64Array.of(0, 1e39, 2, 3, 4, 5)), '[0,1] is infinite'],
  ['F16', bytesOf(Uint16Array.of(0, 0, 0x7e01, 0, 0, 0)), '[0,2] is NaN'],
  ['BF16', bytesOf(Uint16Array.of(0xff80, 0, 0, 0, 0, 0)), '[0,0] is infinite'],
])('refuses %s values that are not finite', async (dtype, data, message) => {
  const failure = await decode({ dtype, shape: [2, 3], data }).catch((error: Error) => error);
  expect(failure).toMatchObject({ name: 'TersorError', tensor: 'tensor' });
  expect((failure as Error).message).toContain(`model.safetensors: tensor tensor: the value at ${message}`);
});

test('finds a NaN at any place of a large tensor', async () => {
  for (const at of [0, 15, 16, 2 ** 20 - 1, 2 ** 20 + 3]) {
    const values = new Float32Array(2 ** 20 + 4);
    values[at] = Number.NaN;
    const tensor = { dtype: 'F32', shape: [values.length], data: bytesOf(values) };
    await expect(decode(tensor)).rejects.toThrow(`[${at}] is NaN`);
  }
});
