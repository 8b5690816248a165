import type { Arena } from '../kernels/kernels.js';
import type { Matrix } from '../types.js';

// Positions are solved from the last to the first: position i stands for column order[i].

/** Columns from first to last. */
export function naturalOrder(arena: Arena, size: number): Int32Array {
  const order = arena.i32(size);
  for (let i = 0; i < size; i++) order[i] = size - 1 - i;
  return order;
}

/** Columns from the largest to the smallest entry of diag H; among equals, first to last. */
export function activationOrder(arena: Arena, gram: Matrix): Int32Array {
  const energy = (column: number) => gram.data[column * gram.rows + column] ?? 0;
  const order = naturalOrder(arena, gram.rows);
  order.set([...order].sort((a, b) => energy(a) - energy(b)));
  return order;
}
