import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openModel } from '../src/architecture/model.js';
import { openCheckpoint } from '../src/checkpoint/open.js';
import { compress } from '../src/pipeline/compress.js';
import { imatrix } from '../src/pipeline/imatrix.js';
import { sharedMissing } from './fixtures/data.js';
import { huggingFaceModels, largestRelative } from './fixtures/hugging-face.js';
import { needs } from './fixtures/needs.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-experts-'));
afterAll(() => rmSync(folder, { recursive: true }));

const models = huggingFaceModels();
const text = { tokens: 1024, context: 64, threads: 1 };

/**
 * A copy of a model whose routers never choose the last two of eight experts: of the scores of the first four two are those
 * of the other two with the sign turned, and the last two are 0.
 */
function withoutLastExperts(name: string): string {
  const copy = join(folder, `${name} without the last experts`);
  cpSync(models.get(name) ?? '', copy, { recursive: true });
  const file = readFileSync(join(copy, 'model.safetensors'));
  const start = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, start));
  for (const [tensor, { data_offsets: offsets, shape }] of Object.entries<{
    data_offsets: number[];
    shape: number[];
  }>(header).filter(([each]) => each.endsWith('.mlp.gate.weight'))) {
    expect(shape[0], tensor).toBe(8);
    const weights = new Uint16Array(
      file.buffer,
      file.byteOffset + start + (offsets[0] ?? 0),
      8 * (shape[1] ?? 0),
    );
    const row = (index: number) => weights.subarray(index * (shape[1] ?? 0), (index + 1) * (shape[1] ?? 0));
    for (const index of [0, 2]) row(index + 1).set(row(index).map((half) => half ^ 0x8000));
    for (const index of [6, 7]) row(index).fill(0);
  }
  writeFileSync(join(copy, 'model.safetensors'), file);
  return copy;
}

describe('experts', needs(sharedMissing), () => {
  test('that no token chooses are compressed for what their layer sees, and it is said', async () => {
    const model = withoutLastExperts('qwen3-moe');
    const output = join(folder, 'rare.gguf');
    const notes: string[] = [];
    const { tensors } = await compress(
      { model, output, type: 'q4_0', ...text },
      { warn: (line) => notes.push(line) },
    );
    expect(notes.filter((line) => line.includes('chosen by'))).toEqual([
      expect.stringMatching(/^8 of 32 experts were chosen by fewer than 64 tokens .*, 8 of them by none: /),
    ]);
    const experts = tensors.filter(({ name }) => name.includes('_exps.'));
    expect(experts).toHaveLength(4 * 8 * 3);
    for (const { name, type, relativeError, routedTokens = 0 } of experts) {
      expect(type, name).toBe('q4_0');
      expect(relativeError, name).toBeLessThan(0.03);
      expect(relativeError, name).toBeGreaterThan(0);
      expect(routedTokens > 0, name).toBe(!/_exps\.[67]\./.test(name));
    }
    // Every token of the text has two experts.
    const ofBlock = experts.filter(({ name }) => name.startsWith('blk.2.ffn_down_exps.'));
    expect(ofBlock.reduce((sum, { routedTokens = 0 }) => sum + routedTokens, 0) % 2).toBe(0);

    const [before, after] = [await openCheckpoint(model), await openCheckpoint(output)];
    const [original, written] = [await openModel(before), await openModel(after)];
    expect(after.tensors.get('blk.0.ffn_up_exps.weight')?.shape).toEqual([8, 32, 64]);
    for (const [at, spec] of original.architecture.tensors.entries()) {
      if (!spec.expert && spec.kind !== 'router') continue;
      const own = written.architecture.tensors[at] ?? spec;
      const error = largestRelative(await written.read(own), await original.read(spec));
      expect(error, spec.names.gguf).toBeLessThan(spec.expert ? 0.3 : 1e-6);
    }
    await Promise.all([before.close(), after.close()]);
  });

  test('have an importance matrix as llama.cpp writes it', async () => {
    const model = models.get('mixtral') ?? '';
    const output = join(folder, 'mixtral.imatrix.gguf');
    const { entries } = await imatrix({ model, output, ...text });
    // Four layers of attention, and three of all experts, in each of four blocks.
    expect(entries).toBe(4 * 7);
    const matrix = await openCheckpoint(output).then(async (file) => {
      const { shape, data } = await file.read('blk.1.ffn_down_exps.weight.counts');
      const sums = await file.read('blk.1.ffn_down_exps.weight.in_sum2');
      await file.close();
      return { shape, counts: data, sums };
    });
    expect(matrix.shape).toEqual([4, 1]);
    expect(matrix.sums.shape).toEqual([4, 96]);
    // Two experts for each token.
    expect(matrix.counts.reduce((sum, count) => sum + count, 0)).toBe(2 * 1024);
    const compressed = await compress({
      model,
      output: join(folder, 'by-matrix.gguf'),
      type: 'q4_0',
      imatrix: output,
      ...text,
    });
    for (const { name, relativeError } of compressed.tensors) expect(relativeError, name).toBeLessThan(0.03);
  });

  test('of one layer have one type in a GGUF', async () => {
    const model = models.get('mixtral') ?? '';
    const output = join(folder, 'mixed.gguf');
    const overrides = [{ pattern: /experts\.2\.w1/, type: 'q8_0' }];
    await expect(compress({ model, output, type: 'q4_0', overrides, ...text })).rejects.toThrow(
      /all experts of a layer in one tensor: they cannot be q4_0 and q8_0/,
    );
    await expect(compress({ model, output, size: '300KB', ...text } as never)).rejects.toThrow(
      /all experts of a layer in one type, which no search does yet/,
    );
  });

  test('of one tensor do not go into folders for vLLM, which would not find them', async () => {
    const output = join(folder, 'granite');
    const job = { model: models.get('granitemoe') ?? '', output, type: 'int4-g32', ...text };
    await expect(compress({ ...job, format: 'compressed-tensors' })).rejects.toThrow(
      /all experts of a layer in one tensor, which such a folder cannot/,
    );
    expect(existsSync(output)).toBe(false);
  });

  test('that every token passes through are kept in more bits, and routers as they are', async () => {
    const output = join(folder, 'shared');
    const { tensors } = await compress({
      model: models.get('qwen2-moe') ?? '',
      output,
      format: 'safetensors',
      type: 'int4-g16',
      embeddingType: 'f16',
      ...text,
    });
    const typesOf = (pattern: RegExp) => [
      ...new Set(tensors.filter(({ name }) => pattern.test(name)).map(({ type }) => type)),
    ];
    expect(typesOf(/mlp\.experts\.\d+\./)).toEqual(['int4-g16']);
    // The blocks of q6_k and q8_0 do not divide its 48 columns.
    expect(typesOf(/shared_expert\./)).toEqual(['f16']);
    expect(typesOf(/gate\.weight$/)).toEqual(['f32']);
  });
});
