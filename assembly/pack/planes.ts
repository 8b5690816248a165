// Byte planes of a tile of rows: byte p of the block of row r at `p * tileRows + r`.

/** Rows of a tile: one cache line of codes. */
export const tileRows: usize = 64;

/** Writes the first `rows` rows of a tile, `bytes` (at least 16) of each, rows `pitch` apart. */
export function planesToRows(planes: usize, bytes: i32, rows: i32, to: usize, pitch: usize): void {
  const spare = planes + <usize>bytes * tileRows;
  for (let row = 0; row < rows; row += 16) {
    const count = min(16, rows - row);
    const target = to + <usize>row * pitch;
    for (let byte = 0; byte < bytes; byte += 16) {
      // The last sixteen bytes overlap those before them.
      const at = min(byte, bytes - 16);
      const source = planes + <usize>at * tileRows + <usize>row;
      for (let i: usize = 0; i < 4; i++) {
        interleave(source + i * tileRows, 4 * tileRows, spare + (i << 6), 16);
      }
      if (count == 16) {
        for (let i: usize = 0; i < 4; i++) {
          interleave(spare + (i << 4), 64, target + <usize>at + 4 * i * pitch, pitch);
        }
      } else {
        for (let i: usize = 0; i < 4; i++) interleave(spare + (i << 4), 64, spare + 256 + (i << 6), 16);
        for (let i: usize = 0; i < <usize>count; i++) {
          v128.store(target + <usize>at + i * pitch, v128.load(spare + 256 + (i << 4)));
        }
      }
    }
  }
}

/** Reads the first `rows` rows of a tile; the planes' further rows repeat the last one. */
export function rowsToPlanes(from: usize, pitch: usize, rows: i32, planes: usize, bytes: i32): void {
  const spare = planes + <usize>bytes * tileRows;
  for (let row = 0; row < rows; row += 16) {
    const count = min(16, rows - row);
    const source = from + <usize>row * pitch;
    for (let byte = 0; byte < bytes; byte += 16) {
      const at = min(byte, bytes - 16);
      if (count == 16) {
        for (let i: usize = 0; i < 4; i++) {
          interleave(source + <usize>at + i * pitch, 4 * pitch, spare + (i << 6), 16);
        }
      } else {
        for (let i: usize = 0; i < 16; i++) {
          v128.store(
            spare + 256 + (i << 4),
            v128.load(source + <usize>at + min(i, <usize>count - 1) * pitch),
          );
        }
        for (let i: usize = 0; i < 4; i++) interleave(spare + 256 + (i << 4), 64, spare + (i << 6), 16);
      }
      const target = planes + <usize>at * tileRows + <usize>row;
      for (let i: usize = 0; i < 4; i++) {
        interleave(spare + (i << 4), 64, target + 4 * i * tileRows, tileRows);
      }
    }
  }
}

/**
 * Two of the four perfect shuffles that transpose 16 × 16 bytes: of vectors i, i + 4, i + 8, i + 12 to vectors
 * 4i … 4i + 3. Doing it for i = 0 … 3 twice transposes.
 */
function interleave(from: usize, fromPitch: usize, to: usize, toPitch: usize): void {
  const a = v128.load(from);
  const b = v128.load(from + fromPitch);
  const c = v128.load(from + 2 * fromPitch);
  const d = v128.load(from + 3 * fromPitch);
  const acLow = low(a, c);
  const acHigh = high(a, c);
  const bdLow = low(b, d);
  const bdHigh = high(b, d);
  v128.store(to, low(acLow, bdLow));
  v128.store(to + toPitch, high(acLow, bdLow));
  v128.store(to + 2 * toPitch, low(acHigh, bdHigh));
  v128.store(to + 3 * toPitch, high(acHigh, bdHigh));
}

function low(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

function high(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}
