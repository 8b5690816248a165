import { TersorError } from '../errors.js';
import type { Kernels } from '../kernels/kernels.js';
import { withFiles } from './file.js';
import { openGguf } from './gguf/gguf.js';

/** Squares of one weight's inputs, as llama.cpp sums them up. */
export interface ImportanceEntry {
  /** Σ x² per input column over all tokens; for a stack of experts one row of columns after another. */
  readonly sums: Float32Array;
  /** Tokens that went into the sums: one number, or one for each expert. */
  readonly counts: Float32Array;
}

/**
 * llama.cpp's importance matrix: how much energy each input column of the linear layers carries on some text, the
 * diagonal of their second moments.
 */
export interface ImportanceMatrix {
  /** By the weights' names in a GGUF, `blk.0.attn_q.weight` for instance. */
  readonly entries: ReadonlyMap<string, ImportanceEntry>;
  /** The texts' names. */
  readonly datasets: readonly string[];
  /** Sequences of the text. */
  readonly chunks: number;
  /** Tokens of a sequence; 0 where the file does not say. */
  readonly chunkSize: number;
}

/** Names in the GGUF kind of file (llama.cpp, tools/imatrix and gguf-py's constants). */
export const imatrixKeys = {
  type: 'imatrix',
  datasets: 'imatrix.datasets',
  chunks: 'imatrix.chunk_count',
  chunkSize: 'imatrix.chunk_size',
  sums: '.in_sum2',
  counts: '.counts',
} as const;

const remedy = 'make one with tersor imatrix or llama-imatrix';
/** GGUF's magic number, as text. */
const magic = 'GGUF';

/**
 * Reads an importance matrix, a GGUF or the older kind (`.dat`), whichever it is.
 * @throws TersorError when the file is not there, is none, is corrupt, or has impossible values
 */
export async function readImatrix(path: string, kernels?: Kernels): Promise<ImportanceMatrix> {
  const bytes = await withFiles(async (open) => {
    const file = await open(path);
    const start = new Uint8Array(Math.min(file.size, magic.length));
    try {
      await file.read(0, start);
      if (Buffer.from(start).toString('latin1') === magic) return undefined;
      const whole = Buffer.alloc(file.size);
      await file.read(0, whole);
      return whole;
    } finally {
      await file.close();
    }
  });
  const matrix = bytes ? readLegacy(path, bytes) : await readGguf(path, kernels);
  for (const [tensor, { sums, counts }] of matrix.entries) {
    const bad =
      sums.find((sum) => !(sum >= 0 && Number.isFinite(sum))) ?? counts.find((count) => !(count >= 0));
    if (bad !== undefined || counts.length === 0 || sums.length % counts.length !== 0)
      throw new TersorError(
        bad === undefined
          ? `has ${sums.length} sums and ${counts.length} counts, which do not belong together`
          : `has the sum of squares or count ${bad}`,
        { file: path, tensor, remedy },
      );
  }
  return matrix;
}

/** Mean squares of an entry's columns; those of an expert that no token reached count alike. */
export function meanSquares({ sums, counts }: ImportanceEntry): Float32Array {
  const cols = sums.length / counts.length;
  return sums.map((sum, at) => {
    const count = counts[Math.floor(at / cols)] ?? 0;
    return count > 0 ? sum / count : 1;
  });
}

/** Two f32 tensors for every weight: `<name>.in_sum2` and `<name>.counts`. */
async function readGguf(path: string, kernels: Kernels | undefined): Promise<ImportanceMatrix> {
  const file = await openGguf(path, kernels);
  try {
    const { metadata } = file;
    if (metadata['general.type'] !== imatrixKeys.type)
      throw new TersorError('is a GGUF, but not an importance matrix', { file: path, remedy });
    const entries = new Map<string, ImportanceEntry>();
    for (const name of file.tensors.keys()) {
      if (!name.endsWith(imatrixKeys.sums)) continue;
      const weight = name.slice(0, -imatrixKeys.sums.length);
      const { data: sums } = await file.read(name);
      const { data: counts } = await file.read(weight + imatrixKeys.counts);
      entries.set(weight, { sums, counts });
    }
    const { datasets, chunks, chunkSize } = imatrixKeys;
    const names = metadata[datasets];
    return {
      entries,
      datasets: Array.isArray(names) ? names.map(String) : [],
      chunks: Number(metadata[chunks] ?? 0),
      chunkSize: Number(metadata[chunkSize] ?? 0),
    };
  } finally {
    await file.close();
  }
}

/**
 * The older kind: i32 number of entries; for each i32 length and bytes of the name, i32 number of calls, i32 number of
 * values, and as many f32, which are mean squares times the number of calls. Then, in all but the oldest files, i32
 * number of chunks and i32 length and bytes of the text's name.
 */
function readLegacy(path: string, bytes: Buffer): ImportanceMatrix {
  let at = 0;
  const take = (size: number): number => {
    const start = at;
    at += size;
    if (size >= 0 && at <= bytes.length) return start;
    throw new TersorError('is not an importance matrix, or ends before its last entry', {
      file: path,
      remedy,
    });
  };
  const whole = () => bytes.readInt32LE(take(4));
  const text = () => {
    const length = whole();
    const start = take(length);
    return bytes.toString('utf8', start, start + length);
  };
  const entries = new Map<string, ImportanceEntry>();
  for (let left = whole(); left > 0; left--) {
    const name = text();
    const calls = whole();
    const count = whole();
    const start = take(4 * count);
    const sums = Float32Array.from({ length: count }, (_, i) => bytes.readFloatLE(start + 4 * i));
    // As llama.cpp does with files that do not count: the sums are the means.
    entries.set(name, { sums, counts: Float32Array.of(Math.max(1, calls)) });
  }
  const chunks = at < bytes.length ? whole() : 0;
  const dataset = at < bytes.length ? text() : '';
  if (entries.size === 0) throw new TersorError('has no entries', { file: path, remedy });
  return { entries, datasets: dataset ? [dataset] : [], chunks, chunkSize: 0 };
}
