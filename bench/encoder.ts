/**
 * The tables of docs/results/encoders.md on all-MiniLM-L6-v2.
 *
 *   node bench/run.mjs encoder onnx [types,…] [solver] [threads] [tokens]
 *       folders for transformers.js; a type may have the embedding's behind a colon
 *   node bench/run.mjs encoder groups [types,…] [solver] [threads] [tokens]
 *       groups against one scale for a matrix or row, the embedding in f16
 *
 * Calibrated on the first nine tenths of WikiText-2's validation text and measured on sentences of the rest; without
 * ../shared/data on the built-in text.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { compress } from '../src/pipeline/compress.js';
import { miniLm, shared } from '../test/fixtures/data.js';

const tables: Readonly<
  Record<string, { format: string; types: string; solver: string; embedding?: string }>
> = {
  onnx: { format: 'onnx', types: 'int4,int4:int4,int8', solver: 'decoupleq' },
  groups: {
    format: 'safetensors',
    types: 'int4-tensor,int4-channel,int4-g128,int4-g32,int3-tensor,int3-channel,int3-g128,int3-g32',
    solver: 'rtn',
    embedding: 'f16',
  },
};
const [, , , name = '', list, solver, threads, tokens] = process.argv;
const table = tables[name];
if (!table) throw new Error('name a table: onnx or groups');
const folder = mkdtempSync(join(tmpdir(), 'tersor-encoder-'));

const row = (...cells: readonly (string | number)[]) => console.log(`| ${cells.join(' | ')} |`);
try {
  row(
    'type',
    'embedding',
    'bytes',
    'bits',
    'cosine, mean',
    '1 % below',
    'same nearest',
    'of ten',
    'nDCG@10',
    's',
  );
  row('---', '---', ...Array.from({ length: 8 }, () => '--:'));
  for (const entry of (list || table.types).split(',')) {
    const [type = '', embeddingType = table.embedding] = entry.split(':');
    const { bytes, bitsPerWeight, embeddings, tensors, seconds } = await compress({
      model: miniLm,
      output: join(folder, entry.replace(':', '-')),
      format: table.format,
      type,
      ...(embeddingType ? { embeddingType } : {}),
      solver: solver || table.solver,
      threads: Number(threads ?? availableParallelism()),
      ...(tokens ? { tokens: Number(tokens) } : {}),
      ...(shared ? { calibration: shared.encyclopedia } : {}),
    });
    if (!embeddings) throw new Error('the text is too short to hold any of it back');
    const { cosine, retrieval } = embeddings;
    row(
      type,
      tensors[0]?.type ?? '',
      bytes,
      bitsPerWeight.toFixed(3),
      cosine.mean.toFixed(5),
      cosine.p1.toFixed(4),
      retrieval.top1.toFixed(3),
      retrieval.top10.toFixed(3),
      retrieval.ndcg10.toFixed(4),
      seconds.toFixed(0),
    );
  }
} finally {
  rmSync(folder, { recursive: true });
}
