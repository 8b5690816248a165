// Panels from and to row-major matrices, in 16 × 16 tiles: one cache line of every row and column at a time.
import { F32Array } from '../arrays';

const tile: i32 = 16;

// Columns of a panel are pages apart: a column's rows are dealt with together, to spare address translations.
/** Rows [start, end) of a row-major matrix into a panel. `start` is a multiple of 16. */
export function rowsToPanel(
  start: i32,
  end: i32,
  cols: i32,
  stride: i32,
  from: F32Array,
  to: F32Array,
): void {
  const rowPitch = (<usize>cols) << 2;
  const colPitch = (<usize>stride) << 2;
  for (let col = 0; col < cols; col += tile) {
    const width = min(tile, cols - col);
    for (let row = start; row < end; row += tile) {
      const height = min(tile, end - row);
      const inMatrix = from + <usize>row * rowPitch + ((<usize>col) << 2);
      const inPanel = to + <usize>col * colPitch + ((<usize>row) << 2);
      transposeTile(height, width, inMatrix, rowPitch, inPanel, colPitch);
    }
  }
}

/** Columns of a panel, rows [start, end), into a row-major matrix. `start` is a multiple of 16. */
export function panelToRows(
  start: i32,
  end: i32,
  cols: i32,
  stride: i32,
  from: F32Array,
  to: F32Array,
): void {
  const rowPitch = (<usize>cols) << 2;
  const colPitch = (<usize>stride) << 2;
  for (let col = 0; col < cols; col += tile) {
    const width = min(tile, cols - col);
    for (let row = start; row < end; row += tile) {
      const height = min(tile, end - row);
      const inPanel = from + <usize>col * colPitch + ((<usize>row) << 2);
      const inMatrix = to + <usize>row * rowPitch + ((<usize>col) << 2);
      transposeTile(width, height, inPanel, colPitch, inMatrix, rowPitch);
    }
  }
}

/** to[c][r] = from[r][c] for f32; a pitch is the distance of two rows in bytes. */
function transposeTile(rows: i32, cols: i32, from: usize, fromPitch: usize, to: usize, toPitch: usize): void {
  const wholeRows = rows & ~3;
  const wholeCols = cols & ~3;
  for (let row = 0; row < wholeRows; row += 4) {
    for (let col = 0; col < wholeCols; col += 4) {
      const source = from + <usize>row * fromPitch + ((<usize>col) << 2);
      transposeFour(source, fromPitch, to + <usize>col * toPitch + ((<usize>row) << 2), toPitch);
    }
  }
  if (wholeCols < cols) transposeScalar(0, rows, wholeCols, cols, from, fromPitch, to, toPitch);
  if (wholeRows < rows) transposeScalar(wholeRows, rows, 0, wholeCols, from, fromPitch, to, toPitch);
}

function transposeFour(from: usize, fromPitch: usize, to: usize, toPitch: usize): void {
  const a = v128.load(from);
  const b = v128.load(from + fromPitch);
  const c = v128.load(from + 2 * fromPitch);
  const d = v128.load(from + 3 * fromPitch);
  const abLow = i32x4.shuffle(a, b, 0, 4, 1, 5);
  const abHigh = i32x4.shuffle(a, b, 2, 6, 3, 7);
  const cdLow = i32x4.shuffle(c, d, 0, 4, 1, 5);
  const cdHigh = i32x4.shuffle(c, d, 2, 6, 3, 7);
  v128.store(to, i64x2.shuffle(abLow, cdLow, 0, 2));
  v128.store(to + toPitch, i64x2.shuffle(abLow, cdLow, 1, 3));
  v128.store(to + 2 * toPitch, i64x2.shuffle(abHigh, cdHigh, 0, 2));
  v128.store(to + 3 * toPitch, i64x2.shuffle(abHigh, cdHigh, 1, 3));
}

function transposeScalar(
  rowFrom: i32,
  rowTo: i32,
  colFrom: i32,
  colTo: i32,
  from: usize,
  fromPitch: usize,
  to: usize,
  toPitch: usize,
): void {
  for (let row = rowFrom; row < rowTo; row++) {
    for (let col = colFrom; col < colTo; col++) {
      const value = load<f32>(from + <usize>row * fromPitch + ((<usize>col) << 2));
      store<f32>(to + <usize>col * toPitch + ((<usize>row) << 2), value);
    }
  }
}
