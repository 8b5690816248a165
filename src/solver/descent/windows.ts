import type { Arena, Kernels } from '../../kernels/kernels.js';
import { createRandom } from '../../random.js';

/** Sets of columns of a block that are solved together (assembly/descent/window.ts). */
export interface Windows {
  readonly size: number;
  /** Positions in the block, `size` per window, −1 behind the last. */
  readonly columns: Int32Array;
  readonly factors: Float32Array;
  /** How many windows were chosen. */
  count(): number;
  /** Chooses windows for a block of this width, and factors its H (width × width, in the kernels' memory). */
  choose(square: Float32Array, width: number): void;
}

/** Kernels hand out rows by sixteens: a window counts as so many. */
const rowQuantum = 16;

/**
 * Sets of `size` columns of a block: random partitions of it, `visits` of them, the same in every run; or, with
 * visits = 'groups', its runs of `size` columns.
 */
export function createWindows(
  kernels: Kernels,
  arena: Arena,
  blockSize: number,
  visits: number | 'groups',
  size: number,
): Windows {
  const partitions = visits === 'groups' ? 1 : visits;
  const most = partitions * Math.ceil(blockSize / size);
  const columns = arena.i32(most * size);
  const factors = arena.f32(most * kernels.call('windowFloats', { size }));
  const work = arena.f64(most * size * size);
  const random = createRandom(1).next;
  let count = 0;
  return {
    size,
    columns,
    factors,
    count: () => count,
    choose(square, width) {
      columns.fill(-1);
      count = partitions * Math.ceil(width / size);
      const diagonal = (column: number) => square[column * (width + 1)] ?? 0;
      for (let partition = 0; partition < partitions; partition++) {
        const order = visits === 'groups' ? naturalOrder(width) : shuffled(width, random);
        const first = (partition * count) / partitions;
        for (let from = 0; from < width; from += size) {
          const window = order.subarray(from, from + size);
          // Columns with the largest diag H are rounded first, that is stand last, in every other partition.
          if (partition % 2 === 0) window.sort((a, b) => diagonal(a) - diagonal(b) || a - b);
          columns.set(window, (first + from / size) * size);
        }
      }
      if (count > 0)
        kernels.parallel('factorWindows', count * rowQuantum, {
          square,
          blockWidth: width,
          size,
          columns,
          factors,
          work,
        });
    },
  };
}

const naturalOrder = (length: number) => Int32Array.from({ length }, (_, i) => i);

/** 0 … length − 1 in random order. */
function shuffled(length: number, random: () => number): Int32Array {
  const order = naturalOrder(length);
  for (let i = length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const other = order[j] ?? 0;
    order[j] = order[i] ?? 0;
    order[i] = other;
  }
  return order;
}
