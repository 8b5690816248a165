import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeRecord } from './arguments.js';
import { instantiate } from './instance.js';
import { createKernels, type Kernels } from './kernels.js';
import { kernels as signatures } from './signatures.js';

let kernels: Kernels;
beforeAll(async () => {
  kernels = await createKernels();
});
afterAll(() => kernels.close());

const compiled = async () =>
  WebAssembly.compile(await readFile(new URL('../../build/kernels.wasm', import.meta.url)));

test('the compiled module has the kernels of the signatures, with as many parameters', async () => {
  const { find } = instantiate(await compiled());
  for (const [name, signature] of Object.entries(signatures)) {
    const own = 'record' in signature ? 1 : Object.keys(signature.arguments).length;
    expect(find(name as keyof typeof signatures).length, name).toBe(own + (signature.rows ? 2 : 0));
  }
});

test('kernels that were compiled from other signatures are refused', async () => {
  // The smallest module: nothing but its magic number and version.
  const empty = await WebAssembly.compile(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0));
  expect(() => instantiate(empty)).toThrow('run npm run build:kernels');
});

test('records are written field by field, where the compiler reads them', () => {
  const view = new DataView(new ArrayBuffer(128));
  writeRecord(view, 16, 'StorageRules', { kind: -3, affine: true, scaleMin: 0.1, superScale: undefined });
  expect(view.getInt32(16, true)).toBe(-3);
  expect(view.getUint8(20)).toBe(1);
  expect(view.getFloat32(24, true)).toBe(Math.fround(0.1));
  expect(() => writeRecord(view, 0, 'StorageRules', { sort: 1 })).toThrow(
    'record StorageRules has no field sort',
  );
});

test('some fields of a record are written anew, and kernels follow its address', async () => {
  await kernels.scope((arena) => {
    const [weight, values] = [arena.f32(4), arena.f32(4)];
    weight.set([-1.2, 0.4, 2.6, 9]);
    const [codes, scale, offset] = [arena.u8(4), arena.f32(4).fill(1), arena.f32(4)];
    const levels = arena.record('GridLevels', {
      kind: 0,
      low: -1,
      high: 7,
      count: 0,
      values: undefined,
      midpoints: undefined,
      pitch: 0,
    });
    const round = () =>
      kernels.parallel('roundColumns', 4, {
        weight,
        stride: 4,
        cols: 1,
        groupSize: 1,
        scale,
        offset,
        levels,
        codes,
        values,
      });
    round();
    expect([...values]).toEqual([-1, 0, 3, 7]);
    levels.set({ high: 2 });
    round();
    expect([...values]).toEqual([-1, 0, 2, 2]);
  });
});

describe('arguments', () => {
  test('from outside the kernels’ memory are refused', () => {
    const [x, y] = [new Float32Array(4), new Float32Array(4)];
    expect(() => kernels.parallel('axpy', 4, { a: 1, x, y })).toThrow('must come from an arena');
  });

  test('are checked by the compiler', async () => {
    await kernels.scope((arena) => {
      const [x, y, doubles] = [arena.f32(4), arena.f32(4), arena.f64(4)];
      const wrong = [
        // @ts-expect-error: no such kernel
        () => kernels.parallel('axpi', 4, { a: 1, x, y }),
        // @ts-expect-error: an argument is missing
        () => kernels.parallel('axpy', 4, { a: 1, x }),
        // @ts-expect-error: a number in the place of an array
        () => kernels.parallel('axpy', 4, { a: 1, x: 0, y }),
        // @ts-expect-error: doubles in the place of floats
        () => kernels.parallel('axpy', 4, { a: 1, x, y: doubles }),
        // @ts-expect-error: one argument too many
        () => kernels.parallel('axpy', 4, { a: 1, x, y, z: y }),
        // @ts-expect-error: a kernel on rows, called without rows
        () => kernels.call('axpy', { a: 1, x, y }),
        // @ts-expect-error: a field of a record is missing
        () => kernels.parallel('subtractPanels', 4, { cols: 1, stride: 4, x, y }),
        // @ts-expect-error: bytes in the place of floats in a record
        () => arena.record('FitLevels', { ...fitLevels, thresholds: arena.u8(4) }),
      ];
      expect(wrong).toHaveLength(8);
    });
  });
});

const fitLevels = {
  min: 0,
  max: 1,
  count: 0,
  affine: false,
  thresholds: undefined,
  bytes: undefined,
  halves: 0,
  wholes: 0,
};
