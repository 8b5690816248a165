import type { Encoded, Grid } from '../grid/grid.js';
import type { Arena } from '../kernels/kernels.js';
import type { Panel } from '../kernels/panel.js';

/** Room for codes, parameters and values of a weight on a grid. */
export function allocateEncoded(arena: Arena, { rows, stride, cols }: Panel, grid: Grid): Encoded {
  const values = arena.f32(cols * stride);
  const encoded = { grid, rows, stride, cols, parameters: grid.allocate(arena, rows, cols), values };
  return grid.levels.kind === 'cast' ? encoded : { ...encoded, codes: arena.u8(cols * stride) };
}
