import * as g from '../graph/build.js';
import { type Arrays, compile, type Program } from '../graph/program.js';
import type { Value } from '../graph/value.js';
import type { RuntimeOptions } from '../runtime/session.js';
import type { Architecture, Batch } from './architecture.js';

/** Hidden states of one batch between two blocks: tokens × hidden, sequences one after another. */
export interface Hidden {
  readonly batch: Batch;
  readonly data: Float32Array;
}

/** The forward pass of a model in pieces, so that only one block's weights need to be in memory. */
export interface Forward {
  embed(sequences: readonly Int32Array[], weights: Arrays): Promise<Hidden>;
  block(hidden: Hidden, weights: Arrays): Promise<Hidden>;
  /** In batches of equal length: sequences of the same length should follow each other. */
  embedAll(sequences: readonly Int32Array[], weights: Arrays): Promise<Hidden[]>;
  blockAll(hidden: readonly Hidden[], weights: Arrays): Promise<Hidden[]>;
  /** Logits of the rows given, rows × vocabulary. */
  logits(rows: Float32Array, weights: Arrays): Promise<Float32Array>;
  release(): Promise<void>;
}

/** Programs are compiled on first use and shared by all blocks. */
export function createForward(architecture: Architecture, options: RuntimeOptions = {}): Forward {
  const cache = programCache(options);
  const { hidden: width } = architecture;
  const input = ({ sequences, length }: Batch) => g.input('hidden', [sequences * length, width]);
  const forward: Omit<Forward, 'embedAll' | 'blockAll'> = {
    async embed(sequences, weights) {
      const batch = { sequences: sequences.length, length: sequences[0]?.length ?? 0 };
      const program = await cache.get(`embed ${batch.sequences} ${batch.length}`, () => {
        const tokens = g.input('tokens', [batch.sequences * batch.length], 'i64');
        return { y: architecture.embed(tokens, batch) };
      });
      const tokens = BigInt64Array.from(sequences.flatMap((ids) => Array.from(ids, BigInt)));
      const { y } = await program.run({ ...weights, tokens });
      return { batch, data: y as Float32Array };
    },

    async block(hidden, weights) {
      const { sequences, length } = hidden.batch;
      const program = await cache.get(`block ${sequences} ${length}`, () => ({
        y: architecture.block(input(hidden.batch), hidden.batch),
      }));
      const { y } = await program.run({ ...weights, hidden: hidden.data });
      return { batch: hidden.batch, data: y as Float32Array };
    },

    async logits(rows, weights) {
      const batch = { sequences: 1, length: rows.length / width };
      const program = await cache.get(`head ${batch.length}`, () => ({ y: architecture.head(input(batch)) }));
      const { y } = await program.run({ ...weights, hidden: rows });
      return y as Float32Array;
    },

    release: cache.release,
  };
  return {
    ...forward,
    async embedAll(sequences, weights) {
      const hidden: Hidden[] = [];
      for (const batch of batches(sequences)) hidden.push(await forward.embed(batch, weights));
      return hidden;
    },
    async blockAll(hidden, weights) {
      const next: Hidden[] = [];
      for (const states of hidden) next.push(await forward.block(states, weights));
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

// Enough rows for onnxruntime's matrix products to run at full speed, few enough for the widest feed-forward
// layers (tens of thousands of columns) to stay within a gigabyte.
export const batchTokens = 2048;

/** Groups neighbours of equal length into batches for `Forward.embed`. */
function batches(sequences: readonly Int32Array[]): Int32Array[][] {
  const groups: Int32Array[][] = [];
  for (const sequence of sequences) {
    const last = groups.at(-1);
    const fits = last?.[0]?.length === sequence.length && (last.length + 1) * sequence.length <= batchTokens;
    if (last && fits) last.push(sequence);
    else groups.push([sequence]);
  }
  return groups;
}
