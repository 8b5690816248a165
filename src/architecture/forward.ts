import * as g from '../graph/build.js';
import { type Arrays, compile, type Program } from '../graph/program.js';
import { substitute } from '../graph/rewrite.js';
import { topological, type Value } from '../graph/value.js';
import type { RuntimeOptions } from '../runtime/session.js';
import type { Architecture, Batch, TensorSpec } from './architecture.js';

/** Hidden states of one batch between two blocks: tokens × hidden, sequences one after another. */
export interface Hidden {
  readonly batch: Batch;
  /** May be read from disk at each access. */
  readonly data: Float32Array;
  readonly onDisk?: boolean;
  /** To be called when nobody needs the data any more, which may make room elsewhere. */
  drop?(): void;
}

/** States whose data stay where they are kept, perhaps on disk. */
export const hiddenOf = (batch: Batch, kept: Omit<Hidden, 'batch'>): Hidden => ({
  batch,
  get data() {
    return kept.data;
  },
  onDisk: kept.onDisk ?? false,
  drop: () => kept.drop?.(),
});

/** Rows [from, to) of a table that may be too large to hold. */
export type Rows = (from: number, to: number) => Promise<Float32Array>;

/** Tokens [from, to) of the vocabulary, and their rows of the head. */
export interface HeadPart {
  readonly from: number;
  readonly to: number;
  readonly head: Float32Array;
}

/** The forward pass of a model in pieces, so that only one block's weights need to be in memory. */
export interface Forward {
  /** The table of tokens may have fewer rows than the vocabulary (src/architecture/used-tokens.ts). */
  embed(sequences: readonly Int32Array[], weights: Arrays): Promise<Hidden>;
  /** @param into receives the states, in place of a fresh array */
  block(block: number, hidden: Hidden, weights: Arrays, into?: Float32Array): Promise<Hidden>;
  /** In batches of equal length: sequences of the same length should follow each other. */
  embedAll(
    sequences: readonly Int32Array[],
    weights: Arrays,
    keep?: (data: Float32Array) => Omit<Hidden, 'batch'>,
  ): Promise<Hidden[]>;
  /** @param consume whether the arrays of `hidden` may be overwritten, because nobody needs them any more */
  blockAll(
    block: number,
    hidden: readonly Hidden[],
    weights: Arrays,
    options?: { readonly consume?: boolean },
  ): Promise<Hidden[]>;
  /**
   * Logits of the rows given, rows × vocabulary, or × tokens.
   * @param part some tokens only, and their rows of the head
   */
  logits(rows: Float32Array, weights: Arrays, part?: HeadPart): Promise<Float32Array>;
  release(): Promise<void>;
}

/** Programs are compiled on first use and shared by all blocks of a kind. */
export function createForward(architecture: Architecture, options: RuntimeOptions = {}): Forward {
  const cache = programCache(options);
  const { hidden: width, vocabulary } = architecture;
  const [embeddingRole, headRole] = [embeddingOf(architecture)?.role ?? '', headOf(architecture)?.role ?? ''];
  const embeddingWidth = embeddingOf(architecture)?.shape[1] ?? width;
  const input = ({ sequences, length }: Batch) => g.input('hidden', [sequences * length, width]);
  const forward: Omit<Forward, 'embedAll' | 'blockAll'> = {
    async embed(sequences, weights) {
      const batch = sizeOf(sequences);
      const rows = (weights[embeddingRole]?.length ?? 0) / embeddingWidth;
      const program = await cache.get(`embed ${batch.sequences} ${batch.length} ${rows}`, () => {
        const tokens = g.input('tokens', [batch.sequences * batch.length], 'i64');
        return { y: withRows(architecture.embed(tokens, batch), embeddingRole, rows) };
      });
      const tokens = BigInt64Array.from(sequences.flatMap((ids) => Array.from(ids, BigInt)));
      const { y } = await program.run({ ...weights, tokens });
      return { batch, data: y as Float32Array };
    },

    async block(block, hidden, weights, into) {
      const { sequences, length } = hidden.batch;
      const program = await cache.get(`${architecture.kindOf(block)} ${sequences} ${length}`, () => ({
        y: architecture.block(block, input(hidden.batch), hidden.batch),
      }));
      const { y } = await program.run({ ...weights, hidden: hidden.data }, into ? { y: into } : {});
      return { batch: hidden.batch, data: y as Float32Array };
    },

    async logits(rows, weights, part) {
      const batch = { sequences: 1, length: rows.length / width };
      const count = part ? part.to - part.from : vocabulary;
      const program = await cache.get(`head ${batch.length} ${count}`, () => ({
        y: withRows(withRows(architecture.head(input(batch)), headRole, count), headBias, count),
      }));
      const bias = part && weights[headBias]?.subarray(part.from, part.to);
      const { y } = await program.run({
        ...weights,
        ...(part ? { [headRole]: part.head } : {}),
        ...(bias ? { [headBias]: bias } : {}),
        hidden: rows,
      });
      return y as Float32Array;
    },

    release: cache.release,
  };
  return {
    ...forward,
    async embedAll(sequences, weights, keep = (data) => ({ data })) {
      const hidden: Hidden[] = [];
      for (const batch of batches(sequences, batchTokensOf(architecture))) {
        const { data } = await forward.embed(batch, weights);
        hidden.push(hiddenOf(sizeOf(batch), keep(data)));
      }
      return hidden;
    },
    async blockAll(block, hidden, weights, { consume = false } = {}) {
      const next: Hidden[] = [];
      let free: Float32Array | undefined;
      for (const states of hidden) {
        next.push(await forward.block(block, states, weights, sameLength(free, states.data)));
        free = consume ? states.data : undefined;
      }
      return next;
    },
  };
}

/** Compiled programs by a key of the caller's. */
export interface ProgramCache {
  get(key: string, outputs: () => Record<string, Value>): Promise<Program>;
  release(): Promise<void>;
}

export function programCache(options: RuntimeOptions = {}): ProgramCache {
  const programs = new Map<string, Promise<Program>>();
  return {
    get(key, outputs) {
      const program = programs.get(key) ?? compile(outputs(), options);
      programs.set(key, program);
      return program;
    },
    async release() {
      for (const program of programs.values()) await (await program).release();
      programs.clear();
    },
  };
}

// Enough rows for onnxruntime's matrix products to run at full speed.
const mostBatchTokens = 2048;
/** Floats of the widest array of a batch, at most where a batch has several sequences. */
const widestBatch = 1 << 23;

/** Tokens of a batch: fewer for wide models, whose arrays are large enough as they are. */
export function batchTokensOf({ tensors }: Pick<Architecture, 'tensors'>): number {
  const widths = tensors.filter(({ kind }) => kind === 'linear').flatMap(({ shape }) => shape);
  return Math.min(mostBatchTokens, Math.floor(widestBatch / Math.max(1, ...widths)));
}

/** Rows of a table that are in memory at a time where the whole is not. */
export const tableRows = (width: number): number => Math.max(1, Math.floor(largestTable / width));
/** Elements of the largest table that is held as a whole. */
export const largestTable = 1 << 25;

export const embeddingOf = ({ tensors }: Pick<Architecture, 'tensors'>): TensorSpec | undefined =>
  tensors.find(({ kind }) => kind === 'embedding');
/** The embedding itself, where it is the head, too. */
export const headOf = (architecture: Pick<Architecture, 'tensors'>): TensorSpec | undefined =>
  architecture.tensors.find(({ kind }) => kind === 'head') ?? embeddingOf(architecture);

const sameLength = (array: Float32Array | undefined, other: Float32Array) =>
  array?.length === other.length ? array : undefined;

/** Role of the bias of the output head, where there is one. */
const headBias = 'output.bias';

/** The same computation with a table of so many rows. */
function withRows(output: Value, role: string, rows: number): Value {
  const table = topological([output]).find(({ name }) => name === role);
  if (!table || table.shape[0] === rows) return output;
  return substitute(output, new Map([[table, g.input(role, [rows, ...table.shape.slice(1)])]]));
}

const sizeOf = (sequences: readonly Int32Array[]): Batch => ({
  sequences: sequences.length,
  length: sequences[0]?.length ?? 0,
});

/** Groups neighbours of equal length into batches for `Forward.embed`. */
function batches(sequences: readonly Int32Array[], tokens: number): Int32Array[][] {
  const groups: Int32Array[][] = [];
  for (const sequence of sequences) {
    const last = groups.at(-1);
    const fits = last?.[0]?.length === sequence.length && (last.length + 1) * sequence.length <= tokens;
    if (last && fits) last.push(sequence);
    else groups.push([sequence]);
  }
  return groups;
}
