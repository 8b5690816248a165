import { expect, test } from 'vitest';
import { permuteRows } from './rows.js';

const spec = { shape: [8, 1], interleavedHead: 4 };

test('halves become neighbouring pairs, head by head', () => {
  // Two heads of four rows: halves (0 1 | 2 3), so that row 0 turns against row 2 and row 1 against row 3.
  const rows = Float32Array.from([0, 1, 2, 3, 10, 11, 12, 13]);
  const pairs = permuteRows(rows, spec, 'to-gguf');
  expect([...pairs]).toEqual([0, 2, 1, 3, 10, 12, 11, 13]);
  expect(permuteRows(pairs, spec, 'from-gguf')).toEqual(rows);
});

test('rows of bytes move whole', () => {
  const bytes = Uint8Array.from({ length: 16 }, (_, index) => index);
  expect([...permuteRows(bytes, spec, 'to-gguf')]).toEqual([
    0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15,
  ]);
});

test('queries, keys and values of two heads come head by head, and part by part in GGUF', () => {
  const spec = { shape: [12, 1], fusedHeads: 2 };
  const byHead = Float32Array.of(10, 11, 20, 21, 30, 31, 12, 13, 22, 23, 32, 33);
  const byPart = Float32Array.of(10, 11, 12, 13, 20, 21, 22, 23, 30, 31, 32, 33);
  expect(permuteRows(byHead, spec, 'to-gguf')).toEqual(byPart);
  expect(permuteRows(byPart, spec, 'from-gguf')).toEqual(byHead);
});
