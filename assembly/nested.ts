// Bits of codes from and to planes of their own (src/grid/tersor/nested.ts). Codes and planes are cols × stride bytes.

/** Rows [start, end), multiples of four: bits [shift, shift + width) of the codes. */
export function takeBits(
  start: i32,
  end: i32,
  cols: i32,
  stride: i32,
  codes: usize,
  shift: i32,
  width: i32,
  plane: usize,
): void {
  const mask: u32 = ((1 << width) - 1) * 0x01010101;
  for (let col: usize = 0; col < <usize>cols; col++) {
    for (let at = col * stride + <usize>start; at < col * stride + <usize>end; at += 4) {
      store<u32>(plane + at, (load<u32>(codes + at) >> shift) & mask);
    }
  }
}

/** Sets bits of the codes, which are zero, to those of a plane. */
export function putBits(
  start: i32,
  end: i32,
  cols: i32,
  stride: i32,
  codes: usize,
  shift: i32,
  plane: usize,
): void {
  for (let col: usize = 0; col < <usize>cols; col++) {
    for (let at = col * stride + <usize>start; at < col * stride + <usize>end; at += 4) {
      store<u32>(codes + at, load<u32>(codes + at) | (load<u32>(plane + at) << shift));
    }
  }
}
