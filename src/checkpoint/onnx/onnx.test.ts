import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { layoutOnnx, type OnnxTensor } from '../../runtime/onnx-layout.js';
import { tensorTableKey } from '../compressed.js';
import { openCheckpoint } from '../open.js';

const root = mkdtempSync(join(tmpdir(), 'tersor-onnx-reader-'));
afterAll(() => rmSync(root, { recursive: true }));

const codes = Uint8Array.from({ length: 32 }, (_, i) => ((2 * i + 1) % 16) * 16 + ((2 * i) % 16));
const parts = [
  { name: 'w.codes', type: 'u8', shape: [2, 1, 16], bytes: 32, data: codes },
  { name: 'w.scales', type: 'f16', shape: [2, 1], bytes: 4, data: Uint8Array.of(0, 0x3c, 0, 0x40) },
  { name: 'n', type: 'f32', shape: [2], bytes: 8, data: new Uint8Array(Float32Array.of(1.5, -2).buffer) },
] as const;
const table = { w: { type: 'int4', shape: [2, 32] }, n: { type: 'f32', shape: [2] } };

let count = 0;
/** A folder with an ONNX file of these tensors, which `change` may spoil. */
function write(
  {
    tensors = parts as readonly OnnxTensor[],
    metadata = { [tensorTableKey]: JSON.stringify(table) } as Record<string, string>,
    external = undefined as string | undefined,
  },
  change: (file: Uint8Array) => Uint8Array = (file) => file,
): string {
  const folder = join(root, `${count++}`);
  mkdirSync(join(folder, 'onnx'), { recursive: true });
  writeFileSync(join(folder, 'config.json'), '{"model_type":"llama"}');
  const options = { metadata, ...(external ? { external } : {}) };
  const layout = layoutOnnx({ nodes: [], inputs: [], outputs: [] }, tensors, options);
  const file = new Uint8Array(layout.bytes);
  const outside = new Uint8Array(layout.externalBytes ?? 0);
  for (const { position, bytes } of layout.pieces) file.set(bytes, position);
  for (const { name, position } of layout.places) {
    const data = parts.find((part) => part.name === name)?.data;
    if (data) (external ? outside : file).set(data, position);
  }
  writeFileSync(join(folder, 'onnx', 'model.onnx'), change(file));
  if (external && !external.includes('/')) writeFileSync(join(folder, 'onnx', external), outside);
  return folder;
}

describe.each([undefined, 'model.onnx_data'])('an ONNX folder with data in %s', (external) => {
  test('gives its tensors as they are multiplied with', async () => {
    const checkpoint = await openCheckpoint(write(external ? { external } : {}));
    const row = Array.from({ length: 32 }, (_, i) => (i % 16) - 8);
    const values = await checkpoint.read('w');
    expect(values).toMatchObject({ shape: [2, 32] });
    expect([...values.data]).toEqual([...row, ...row.map((value) => 2 * value)]);
    expect([...(await checkpoint.readRows('w', 1, 2)).data]).toEqual(row.map((value) => 2 * value));
    expect([...(await checkpoint.read('n')).data]).toEqual([1.5, -2]);
    await checkpoint.close();
  });
});

describe('what is wrong is named', () => {
  const opening = (folder: string) => openCheckpoint(folder);

  test('files of other tools', async () => {
    await expect(opening(write({ metadata: {} }))).rejects.toThrow('was not written by tersor');
  });

  test('several models', async () => {
    const folder = write({});
    writeFileSync(join(folder, 'onnx', 'model_q4.onnx'), '');
    await expect(opening(folder)).rejects.toThrow(
      'has 2 models: model.onnx, model_q4.onnx; give one of them',
    );
  });

  test.each([
    [
      'no ONNX file',
      () => Uint8Array.from({ length: 100 }, (_, i) => (i * 37) % 256),
      /valid protocol buffer/,
    ],
    ['cut off', (file: Uint8Array) => file.subarray(0, -4), /valid protocol buffer/],
    ['empty', () => new Uint8Array(), /was not written by tersor/],
  ])('%s', async (_name, change, problem) => {
    await expect(opening(write({}, change))).rejects.toThrow(problem);
  });

  test('tensors that are missing or of another size', async () => {
    const tensors = parts.slice(0, 2);
    await expect(opening(write({ tensors }))).rejects.toThrow(/tensor n: .*there is no n;/);
    const metadata = { [tensorTableKey]: JSON.stringify({ ...table, w: { type: 'int4', shape: [3, 32] } }) };
    await expect(opening(write({ metadata }))).rejects.toThrow(
      'tensor w: w.codes has 32 bytes, but int4 of shape [3,32] takes 48',
    );
    const broken = { [tensorTableKey]: '{"w":{"type":"int4"}}' };
    await expect(opening(write({ metadata: broken }))).rejects.toThrow('must give a type and shape');
  });

  test('external data anywhere but beside the model', async () => {
    await expect(opening(write({ external: '../../secret' }))).rejects.toThrow('do not trust this model');
  });
});
