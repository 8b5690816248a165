import type { Arena } from '../kernels/kernels.js';
import type { Matrix } from '../types.js';

// Positions are solved from the last to the first: position i stands for column order[i].

/** Columns from first to last. */
export function naturalOrder(arena: Arena, size: number): Int32Array {
  const order = arena.i32(size);
  for (let i = 0; i < size; i++) order[i] = size - 1 - i;
  return order;
}

/**
 * Columns from the largest to the smallest entry of diag H; among equals, first to last. Runs of `together`
 * columns stay together, the run with the largest sum first.
 */
export function activationOrder(arena: Arena, gram: Matrix, together = 1): Int32Array {
  const energies = Array.from({ length: gram.rows }, (_, i) => gram.data[i * gram.rows + i] ?? 0);
  const runs = new Float64Array(Math.ceil(gram.rows / together));
  const runOf = (column: number) => Math.floor(column / together);
  for (const [column, energy] of energies.entries())
    runs[runOf(column)] = (runs[runOf(column)] ?? 0) + energy;
  const rank = (a: number, b: number) =>
    (runs[runOf(a)] ?? 0) - (runs[runOf(b)] ?? 0) ||
    runOf(b) - runOf(a) ||
    (energies[a] ?? 0) - (energies[b] ?? 0) ||
    b - a;
  const order = arena.i32(gram.rows);
  order.set(energies.map((_, column) => column).sort(rank));
  return order;
}
