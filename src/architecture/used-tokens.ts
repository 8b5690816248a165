import { type Rows, tableRows } from './forward.js';

/** Texts whose tokens are numbered by the rows of a small table, which holds those that occur. */
export interface UsedTokens {
  readonly sequences: readonly Int32Array[];
  /** Number in the vocabulary of each row, ascending. */
  readonly tokens: readonly number[];
}

export function usedTokens(sequences: readonly Int32Array[]): UsedTokens {
  const tokens = [...new Set(sequences.flatMap((sequence) => [...sequence]))].sort((a, b) => a - b);
  const rowOf = new Map(tokens.map((token, row) => [token, row]));
  return { tokens, sequences: sequences.map((sequence) => sequence.map((token) => rowOf.get(token) ?? 0)) };
}

/** The rows of a large table that are in use, tokens × width, read a part of the table at a time. */
export async function rowsInUse(tokens: readonly number[], width: number, rows: Rows): Promise<Float32Array> {
  const result = new Float32Array(tokens.length * width);
  const height = tableRows(width);
  for (let at = 0; at < tokens.length; ) {
    const first = tokens[at] ?? 0;
    const end = tokens.findIndex((token, index) => index > at && token >= first + height);
    const next = end < 0 ? tokens.length : end;
    const part = await rows(first, (tokens[next - 1] ?? first) + 1);
    for (; at < next; at++) {
      const start = ((tokens[at] ?? 0) - first) * width;
      result.set(part.subarray(start, start + width), at * width);
    }
  }
  return result;
}
