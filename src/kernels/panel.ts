import type { Matrix } from '../types.js';
import type { Arena, Content, Kernels } from './kernels.js';
import { isShared } from './shared.js';

/**
 * A weight as kernels work on it, in the kernels' memory: column-major over rows, element (row, col) at
 * `col * stride + row`; `stride` is `rows` rounded up to a multiple of four, the padding is zero. A run of
 * columns is therefore a contiguous piece of `data`.
 */
export interface Panel {
  readonly rows: number;
  readonly stride: number;
  readonly cols: number;
  readonly data: Float32Array;
}

/** Rows of a panel are padded to a multiple of this, so that a SIMD vector holds rows of one column only. */
const rowPadding = 4;

/**
 * Bytes of f32 that pass between JavaScript's memory and the kernels' at a time: few enough for the last cache,
 * enough for long runs of rows in every column of a panel, since columns lie pages apart.
 */
const slabBytes = 1 << 22;

/** Rows per slab start at multiples of 16, the unit in which kernels share out rows. */
const slabQuantum = 16;

export const strideOf = (rows: number): number => Math.ceil(rows / rowPadding) * rowPadding;

/** The row ranges [from, to) in which a tensor with this many bytes per row passes between the two memories. */
export function* slabs(rows: number, rowBytes: number): Generator<{ from: number; to: number }> {
  const height = slabHeight(rowBytes);
  for (let from = 0; from < rows; from += height) yield { from, to: Math.min(rows, from + height) };
}

/** Rows of the largest slab. */
export const slabHeight = (rowBytes: number): number =>
  Math.max(1, Math.floor(slabBytes / rowBytes / slabQuantum)) * slabQuantum;

/** True for arrays of an arena, which kernels read where they are. */
export const inKernelMemory = isShared;

/** A zeroed panel, or one whose rows are to be written, with padding of zeros. */
export function createPanel(arena: Arena, rows: number, cols: number, content?: Content): Panel {
  const stride = strideOf(rows);
  return { rows, stride, cols, data: arena.f32(cols * stride, stride === rows ? content : 'zeros') };
}

/** Transposes a row-major matrix (anywhere) into a new panel of the arena. */
export async function toPanel(kernels: Kernels, arena: Arena, matrix: Matrix): Promise<Panel> {
  const { rows, cols, data } = matrix;
  const panel = createPanel(arena, rows, cols, 'asLeft');
  const { stride } = panel;
  if (inKernelMemory(data))
    kernels.parallel('rowsToPanel', rows, { cols, stride, from: data, to: panel.data });
  else
    await kernels.scope((inner) => {
      const slab = inner.f32(Math.min(slabHeight(cols * 4), strideOf(rows)) * cols, 'asLeft');
      for (const { from, to } of slabs(rows, cols * 4)) {
        slab.set(data.subarray(from * cols, to * cols));
        kernels.parallel('rowsToPanel', to - from, {
          cols,
          stride,
          from: slab,
          to: panel.data.subarray(from),
        });
      }
    });
  return panel;
}

/** Transposes a panel's values (cols × stride) into a row-major matrix: a new one, or `into` (anywhere). */
export async function fromPanel(
  kernels: Kernels,
  panel: Panel,
  into: Float32Array = new Float32Array(panel.rows * panel.cols),
): Promise<Matrix> {
  const { rows, cols, stride, data } = panel;
  if (inKernelMemory(into)) kernels.parallel('panelToRows', rows, { cols, stride, from: data, to: into });
  else
    await kernels.scope((inner) => {
      const slab = inner.f32(Math.min(slabHeight(cols * 4), strideOf(rows)) * cols, 'asLeft');
      for (const { from, to } of slabs(rows, cols * 4)) {
        kernels.parallel('panelToRows', to - from, { cols, stride, from: data.subarray(from), to: slab });
        into.set(slab.subarray(0, (to - from) * cols), from * cols);
      }
    });
  return { rows, cols, data: into };
}
