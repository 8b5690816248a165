import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cols, config, norm, rows, weight, writeSmallStack } from '../../../test/fixtures/small-stack.js';
import { kernels } from '../../../test/fixtures/solver-context.js';
import { byGain } from '../../decomposition/order.js';
import { createStackWriter } from '../../writer/stack.js';
import { openStack } from './stack.js';

let folder = '';
let path = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tersor-stack-'));
  path = join(folder, 'model.stack');
  await writeSmallStack(path);
});
afterAll(() => rm(folder, { recursive: true }));

const distance = (a: Float32Array, b: Float32Array) =>
  Math.sqrt(a.reduce((sum, value, at) => sum + (value - (b[at] ?? 0)) ** 2, 0) / a.length);
/** The original as Hugging Face has it: [in, out]. */
const turned = Float32Array.from({ length: rows * cols }, (_, at) => {
  const [col, row] = [Math.floor(at / rows), at % rows];
  return weight.data[row * cols + col] ?? 0;
});

describe('a stacked file', () => {
  test('comes back: tensors, configuration, companions', async () => {
    const file = await openStack(path, kernels);
    expect(file.metadata).toEqual({ ...config, 'tersor.version': '1' });
    expect(file.companions?.get('tokenizer.json')?.toString()).toBe('{"a":1}');
    expect([...(file.companions?.get('tokenizer.model') ?? [])]).toEqual([0, 1, 2]);
    expect((await file.read('norm')).data).toEqual(norm);
    const { shape, data } = await file.read('turned');
    expect(shape).toEqual([cols, rows]);
    // The finest step is 1.4 / 9, about; an error lies evenly within it.
    expect(distance(data, turned)).toBeLessThan(0.05);
    expect((await file.readRows('turned', 3, 7)).data).toEqual(data.slice(3 * rows, 7 * rows));
    await file.close();
  });

  test('gets better with every slice, and is what a file cut there is', async () => {
    const whole = await openStack(path, kernels);
    const { bytes, headerBytes, slices, completeBytes } = whole.stack ?? {};
    await whole.close();
    expect(slices).toBe(1 + 3 * 3);
    const all = await readFile(path);
    expect(bytes).toBe(all.length);
    const errors: number[] = [];
    for (let at = headerBytes ?? 0; at < all.length + 40; at += 40) {
      const count = Math.min(at, all.length);
      const part = await openStack(path, kernels, { bytes: count });
      const { data } = await part.read('turned');
      await writeFile(join(folder, 'cut.stack'), all.subarray(0, count));
      const cut = await openStack(join(folder, 'cut.stack'), kernels);
      expect((await cut.read('turned')).data).toEqual(data);
      const missing = distance(data, turned);
      expect(missing).toBeLessThanOrEqual((errors.at(-1) ?? Number.POSITIVE_INFINITY) + 1e-9);
      errors.push(missing);
      if (count >= (completeBytes ?? 0)) expect(missing).toBeLessThan(0.6);
      await Promise.all([part.close(), cut.close()]);
    }
    // Nothing, and every slice of the tensor.
    expect(new Set(errors).size).toBe(1 + 9);
  });

  test('says what is wrong with less than its header, or with corrupt bytes', async () => {
    const all = await readFile(path);
    const opened = async (bytes: Uint8Array) => {
      const file = join(folder, 'corrupt.stack');
      await writeFile(file, bytes);
      const checkpoint = await openStack(file, kernels);
      await checkpoint.read('turned').finally(() => checkpoint.close());
    };
    await expect(opened(all.subarray(0, 7))).rejects.toThrow('does not begin as a stacked model does');
    await expect(opened(all.subarray(0, 60))).rejects.toThrow('ends before its header does');
    await expect(openStack(path, kernels, { bytes: 30 })).rejects.toThrow('less than its header');
    const version = Uint8Array.from(all);
    version[8] = 9;
    await expect(opened(version)).rejects.toThrow('version 9');
    const header = Uint8Array.from(all);
    header.fill(7, 40, 60);
    await expect(opened(header)).rejects.toThrow(/corrupt header|header that is not JSON/);
    const slice = Uint8Array.from(all);
    slice.fill(255, -60);
    await expect(opened(slice)).rejects.toThrow('tensor turned: has a corrupt slice');
  });

  test('leaves nothing behind when it is given up', async () => {
    const output = join(folder, 'other.stack');
    const writer = await createStackWriter(output);
    await writer.add(new Uint8Array(9));
    await writer.abort();
    await expect(readFile(output)).rejects.toThrow('ENOENT');
  });
});

test('refinements come by gain per byte, behind those that they refine', () => {
  const candidate = (tensor: number, refinement: number, gain: number, bytes = 10) => ({
    tensor,
    refinement,
    gain,
    bytes,
  });
  const ordered = byGain([
    candidate(0, 0, 0),
    candidate(0, 1, 1),
    candidate(0, 2, 9),
    candidate(1, 0, 0),
    candidate(1, 1, 5),
    candidate(1, 2, 2),
  ]);
  const names = ordered.map(({ tensor, refinement }) => `${tensor}.${refinement}`);
  expect(names).toEqual(['0.0', '1.0', '1.1', '1.2', '0.1', '0.2']);
});
