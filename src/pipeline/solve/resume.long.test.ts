import {
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { tales } from '../../../test/fixtures/data.js';
import { micros, writeMicro } from '../../../test/fixtures/micro.js';
import { compress } from '../compress.js';
import type { ProgressEvent } from '../context/progress.js';
import type { CompressResult } from '../measure/result.js';
import type { CompressOptions } from '../options.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-resume-'));
const model = join(folder, 'model');
const store = join(folder, 'store');
const text = join(folder, 'text.txt');
const output = join(folder, 'model.gguf');
const options: CompressOptions = {
  model,
  output,
  store,
  type: 'q4_0',
  calibration: text,
  embeddingType: 'q8_0',
  solver: 'gptq',
  tokens: 256,
  context: 64,
  threads: 1,
};
/** Embedding, head and the linear layers of two blocks. */
const solved = 16;
let expected: Buffer;

beforeAll(async () => {
  copyFileSync(tales.calibration, text);
  await writeMicro(model, micros.llama, 1);
  await compress({ ...options, resume: false });
  expected = readFileSync(output);
});
beforeEach(() => rmSync(store, { recursive: true, force: true }));
afterAll(() => rmSync(folder, { recursive: true }));

const entries = () => readdirSync(store).sort();
/** Which file each entry is: one that is written again becomes another. */
const identities = () => new Map(entries().map((name) => [name, statSync(join(store, name)).ino]));

/** Runs until so many entries are in the store, then stops. */
async function interrupt(count: number, changes: Partial<CompressOptions> = {}): Promise<void> {
  const controller = new AbortController();
  const progress = ({ detail }: ProgressEvent) => {
    if (detail?.task === 'compress' && entries().length >= count)
      controller.abort(new Error('stopped before the end'));
  };
  const run = compress({ ...options, ...changes }, { progress, signal: controller.signal });
  await expect(run).rejects.toThrow('stopped before the end');
}

async function finish(changes: Partial<CompressOptions> = {}): Promise<CompressResult> {
  rmSync(output, { force: true });
  const result = await compress({ ...options, ...changes });
  expect(readFileSync(result.output).equals(expected)).toBe(true);
  return result;
}

test.each([1, 4, 9])('goes on behind %s solved tensors and ends with the same bytes', async (count) => {
  await interrupt(count);
  expect(entries()).toHaveLength(count);
  expect((await finish()).resumed).toBe(count);
  expect(entries()).toEqual([]);
});

test('interrupted again and again, solves nothing twice', async () => {
  let known = new Map<string, number>();
  for (const count of [3, 8, 15]) {
    await interrupt(count);
    const now = identities();
    expect([...known].filter(([name, file]) => now.get(name) !== file)).toEqual([]);
    known = now;
  }
  expect((await finish()).resumed).toBe(15);
});

test('calibrated on the original and with any number of threads', async () => {
  const changes = { calibrateOn: 'original', output: join(folder, 'other.gguf') } as const;
  await compress({ ...options, ...changes, resume: false });
  const bytes = readFileSync(changes.output);
  await interrupt(7, { ...changes, threads: 2 });
  expect((await compress({ ...options, ...changes })).resumed).toBe(7);
  expect(readFileSync(changes.output).equals(bytes)).toBe(true);
});

test('with resume: false nothing is taken over or kept', async () => {
  await interrupt(5);
  const before = identities();
  expect((await finish({ resume: false })).resumed).toBe(0);
  expect(identities()).toEqual(before);
});

describe('takes over nothing from a run', () => {
  test.each<[string, () => Promise<void> | void, Partial<CompressOptions>, number]>([
    ['on another text', () => writeFileSync(text, readFileSync(tales.evaluation)), {}, 0],
    ['on other sequences', () => {}, { seed: 7 }, 0],
    ['of another checkpoint', () => writeMicro(model, micros.llama, 2), {}, 0],
    ['with another solver', () => {}, { solver: 'rtn' }, 0],
    ['to match other outputs', () => {}, { match: 'own' }, 0],
    [
      'but what lies before the first difference',
      () => {},
      { overrides: [{ pattern: /blk\.1\.ffn_up/, type: 'q8_0' }] },
      8,
    ],
  ])('%s', async (_, change, changes, common) => {
    await interrupt(12);
    await change();
    const { resumed } = await compress({ ...options, ...changes });
    const afresh = readFileSync(output);
    await compress({ ...options, ...changes, resume: false });
    copyFileSync(tales.calibration, text);
    await writeMicro(model, micros.llama, 1);
    expect(resumed).toBe(common);
    expect(readFileSync(output).equals(afresh)).toBe(true);
  });
});

test.each<[string, (content: Buffer) => Buffer]>([
  ['cut off', (content) => content.subarray(0, content.length >> 1)],
  ['empty', () => Buffer.alloc(0)],
  ['changed', (content) => content.fill(7, 100, 101)],
])('entries that are %s are solved again', async (_, corrupt) => {
  await interrupt(10);
  for (const name of entries().slice(0, 3)) {
    const path = join(store, name);
    writeFileSync(path, corrupt(readFileSync(path)));
  }
  expect((await finish()).resumed).toBe(7);
});

test('two runs at once share a store', async () => {
  const other = join(folder, 'second.gguf');
  await Promise.all([finish(), compress({ ...options, output: other })]);
  expect(readFileSync(other).equals(expected)).toBe(true);
});

test('a named store that cannot be written is an error before the work', async () => {
  const file = join(folder, 'file');
  writeFileSync(file, '');
  const store = join(file, 'store');
  await expect(compress({ ...options, store })).rejects.toThrow(/file.*--no-resume/);
  expect((await compress({ ...options, store, resume: false })).resumed).toBe(0);
});

test('what cannot be kept does not stop the run', async () => {
  const warnings: string[] = [];
  let first = true;
  const progress = ({ detail }: ProgressEvent) => {
    if (detail?.task !== 'compress' || !first) return;
    first = false;
    rmSync(store, { recursive: true });
    writeFileSync(store, ''); // in the folder's place
  };
  await compress(options, { progress, warn: (line) => warnings.push(line) });
  expect(readFileSync(output).equals(expected)).toBe(true);
  expect(warnings.filter((line) => line.includes('interruption would lose'))).toHaveLength(1);
});

test('counts every tensor that is solved', async () => {
  await interrupt(solved - 1);
  await finish();
  expect(solved).toBe(Object.values(micros.llama.shapes).filter((shape) => shape.length === 2).length);
});
