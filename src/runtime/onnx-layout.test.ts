import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { withFiles } from '../checkpoint/file.js';
import { readOnnxHeader } from '../checkpoint/onnx/header.js';
import { layoutOnnx, type Piece } from './onnx-layout.js';
import { InferenceSession, Tensor } from './onnxruntime.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-layout-'));
afterAll(() => rmSync(folder, { recursive: true }));

const size = 3000; // more than one page, and lengths of two bytes
const tensors = ['a', 'b'].map((name) => ({ name, type: 'f32', shape: [size], bytes: 4 * size }) as const);
const data = tensors.map((_, index) => Float32Array.from({ length: size }, (_, i) => i + 1000 * index));
const graph = {
  nodes: [
    { op: 'Add', inputs: ['x', 'a'], outputs: ['s'] },
    { op: 'Mul', inputs: ['s', 'b'], outputs: ['y'] },
  ],
  inputs: [{ name: 'x', type: 'f32', shape: [size] }],
  outputs: [{ name: 'y', type: 'f32', shape: [size] }],
} as const;
const metadata = { one: 'ä', two: 'x'.repeat(300) };

function assemble(bytes: number, pieces: readonly Piece[]): Uint8Array {
  const file = new Uint8Array(bytes);
  for (const piece of pieces) file.set(piece.bytes, piece.position);
  return file;
}

describe.each([undefined, 'model.onnx_data'])('with data in %s', (external) => {
  const layout = layoutOnnx(graph, tensors, { metadata, ...(external ? { external } : {}) });
  const path = join(folder, `${external ? 'out' : 'in'}side.onnx`);
  const parts = layout.places.map(({ position }, index) => ({
    position,
    bytes: new Uint8Array(data[index]?.buffer ?? new ArrayBuffer()),
  }));
  const inside = external ? [] : parts;
  writeFileSync(path, assemble(layout.bytes, [...layout.pieces, ...inside]));
  if (external) writeFileSync(join(folder, external), assemble(layout.externalBytes ?? 0, parts));

  test('onnxruntime finds the tensors', async () => {
    const session = await InferenceSession.create(path);
    const x = Float32Array.from({ length: size }, (_, i) => i % 7);
    const { y } = await session.run({ x: new Tensor('float32', x, [size]) });
    expect(y?.data).toEqual(x.map((value, i) => (value + i) * (i + 1000)));
    await session.release();
  });

  test('tersor finds them as well', async () => {
    await withFiles(async (open) => {
      const file = await open(path);
      const header = await readOnnxHeader(file);
      expect({ ...header.metadata }).toEqual(metadata);
      expect([...header.initializers.values()]).toEqual(
        layout.places.map(({ name, position, bytes }) => ({
          name,
          type: 'f32',
          shape: [size],
          offset: position,
          bytes,
          ...(external ? { external: join(folder, external) } : {}),
        })),
      );
      await file.close();
    });
  });
});

test('external data begin at pages', () => {
  const { places } = layoutOnnx(graph, tensors, { external: 'x' });
  expect(places.map(({ position }) => position % 4096)).toEqual([0, 0]);
});
