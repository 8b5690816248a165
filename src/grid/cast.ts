import { TersorError } from '../errors.js';
import type { Arena, Kernels } from '../kernels/kernels.js';
import { createPanel, slabHeight, slabs, strideOf } from '../kernels/panel.js';
import type { Encoded, Grid } from './grid.js';

/** The kernels between f32 and a smaller float type, over runs of elements; f32 needs none. */
const casts = {
  f32: undefined,
  f16: { pack: 'castToF16', unpack: 'convertF16' },
  bf16: { pack: 'castToBf16', unpack: 'convertBf16' },
} as const;

/**
 * The bytes of a panel's values as floats of a type, row after row, rounded to nearest even as ggml rounds:
 * beyond 65504 (from 65520 on) f16 becomes infinite.
 */
export async function packFloats(
  kernels: Kernels,
  type: keyof typeof casts,
  { rows, stride, cols, values }: Encoded,
): Promise<Uint8Array> {
  const cast = casts[type];
  const size = cast ? 2 : 4;
  const bytes = new Uint8Array(rows * cols * size);
  await kernels.scope((arena) => {
    const { floats, small } = slabArrays(arena, type, Math.min(slabHeight(cols * 4), stride) * cols);
    for (const { from, to } of slabs(rows, cols * 4)) {
      kernels.parallel('panelToRows', to - from, { cols, stride, from: values.subarray(from), to: floats });
      const count = (to - from) * cols;
      if (cast) kernels.parallel(cast.pack, count, { from: floats, to: small });
      bytes.set(small.subarray(0, count * size), from * cols * size);
    }
  });
  return bytes;
}

/** A slab as f32 and in the file's type; the same memory for f32. */
function slabArrays(arena: Arena, type: keyof typeof casts, count: number) {
  const floats = arena.f32(count);
  const same = new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength);
  return { floats, small: casts[type] ? arena.u8(count * 2) : same };
}

/** The inverse of `packFloats`. */
export async function unpackFloats(
  kernels: Kernels,
  arena: Arena,
  grid: Grid,
  type: keyof typeof casts,
  bytes: Uint8Array,
  { rows, cols }: Pick<Encoded, 'rows' | 'cols'>,
): Promise<Encoded> {
  const cast = casts[type];
  const size = cast ? 2 : 4;
  if (bytes.length !== rows * cols * size)
    throw new TersorError(`${bytes.length} bytes are not ${rows} × ${cols} weights of type ${type}`, {
      remedy: 'check that the file is complete',
    });
  const panel = createPanel(arena, rows, cols);
  const stride = strideOf(rows);
  await kernels.scope((inner) => {
    const { floats, small } = slabArrays(inner, type, Math.min(slabHeight(cols * 4), stride) * cols);
    for (const { from, to } of slabs(rows, cols * 4)) {
      const count = (to - from) * cols;
      small.set(bytes.subarray(from * cols * size, to * cols * size));
      if (cast) kernels.parallel(cast.unpack, count, { from: small, to: floats });
      kernels.parallel('rowsToPanel', to - from, {
        cols,
        stride,
        from: floats,
        to: panel.data.subarray(from),
      });
    }
  });
  return { grid, rows, stride, cols, parameters: grid.allocate(arena, rows, cols), values: panel.data };
}
