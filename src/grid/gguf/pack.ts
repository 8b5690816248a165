import { TersorError } from '../../errors.js';
import type { Arena, Kernels } from '../../kernels/kernels.js';
import { slabHeight, slabs, strideOf } from '../../kernels/panel.js';
import { type Encoded, type Grid, storedBytes, storedFloats } from '../grid.js';
import { allocateParameters, computeEffective, dequantize } from './dequantize.js';
import type { GgufFormat } from './gguf.js';
import type { BitPlacement, BlockLayout } from './layout.js';

/** Rows the kernels turn at a time; tileRows in assembly/pack/planes.ts. */
const tileRows = 64;

/** Bytes after a thread's planes that the kernels use besides. */
const spareBytes = 512;

/** Codes and parameters of a tensor, in the kernels' memory. */
type Coded = Pick<Encoded, 'rows' | 'stride' | 'cols' | 'parameters'> & { readonly codes: Uint8Array };

/** The bytes of a tensor in a block format, row after row. */
export async function packBlocks(
  kernels: Kernels,
  format: GgufFormat,
  layout: BlockLayout,
  { codes, ...shape }: Encoded,
): Promise<Uint8Array> {
  if (!codes) throw new Error(`${format.name} stores codes`);
  const rowBytes = (shape.cols / format.blockSize) * format.blockBytes;
  const bytes = new Uint8Array(shape.rows * rowBytes);
  await forSlabs(kernels, 'packBlocks', { format, layout }, { ...shape, codes }, (slab, start) =>
    bytes.set(slab, start),
  );
  return bytes;
}

/** The inverse of `packBlocks`, with decoded values. */
export async function unpackBlocks(
  kernels: Kernels,
  arena: Arena,
  { grid, format, layout }: BlockFormat & { readonly grid: Grid },
  bytes: Uint8Array,
  { rows, cols }: Pick<Encoded, 'rows' | 'cols'>,
): Promise<Encoded> {
  const expected = grid.bytes(rows, cols);
  if (bytes.length !== expected)
    throw new TersorError(
      `${bytes.length} bytes are not ${rows} × ${cols} weights of type ${format.name}, which take ${expected}`,
      { remedy: 'check that the file is complete' },
    );
  const stride = strideOf(rows);
  // Padding is to be zero.
  const content = stride === rows ? 'asLeft' : 'zeros';
  const codes = arena.u8(cols * stride, content);
  const parameters = allocateParameters(format, arena, rows, cols);
  const shape = { rows, stride, cols };
  const tensor = { ...shape, codes, parameters };
  await forSlabs(kernels, 'unpackBlocks', { format, layout }, tensor, (slab, start) =>
    slab.set(bytes.subarray(start, start + slab.length)),
  );
  computeEffective(kernels, format, parameters, stride, 0, cols / format.groupSize);
  const values = arena.f32(cols * stride, content);
  await dequantize(kernels, format, codes, parameters, shape, values);
  return { grid, ...shape, codes, parameters, values };
}

interface BlockFormat {
  readonly format: GgufFormat;
  readonly layout: BlockLayout;
}

/** Runs a packing kernel over slabs of rows, whose file bytes pass through the kernels' memory. */
function forSlabs(
  kernels: Kernels,
  kernel: 'packBlocks' | 'unpackBlocks',
  { format, layout }: BlockFormat,
  tensor: Coded,
  exchange: (slab: Uint8Array, start: number) => void,
): Promise<void> {
  const { blockSize, blockBytes, groupSize } = format;
  const { rows, cols, stride } = tensor;
  const blocks = cols / blockSize;
  const rowBytes = blocks * blockBytes;
  return kernels.scope((arena) => {
    const valueBytes = cols * 4;
    const file = arena.u8(Math.min(slabHeight(valueBytes), stride) * rowBytes);
    const planeRoom = blockBytes * tileRows + spareBytes;
    const planes = arena.u8(kernels.threads * planeRoom);
    const { table, count } = placeFields(arena, layout, format, kernel);
    const rename = layout.rename && place(arena, layout.rename[kernel === 'packBlocks' ? 'stored' : 'code']);
    for (const { from, to } of slabs(rows, valueBytes)) {
      const slab = file.subarray(0, (to - from) * rowBytes);
      if (kernel === 'unpackBlocks') exchange(slab, from * rowBytes);
      kernels.parallel(kernel, to - from, {
        blocks,
        blockSize,
        blockBytes,
        groups: blockSize / groupSize,
        stride,
        scaleAt: layout.scale,
        offsetAt: layout.offset ?? -1,
        exponent: Boolean(layout.exponent),
        trits: layout.codes === 'trits',
        fields: count,
        table,
        rename,
        ...arraysFrom(tensor, format, from),
        file,
        planes,
        planeRoom,
        rows: to - from,
        threads: kernels.threads,
      });
      if (kernel === 'packBlocks') exchange(slab, from * rowBytes);
    }
  });
}

/** Codes, integer scales and offsets, and the halves' scales and offsets from row `from` on. */
function arraysFrom({ codes, parameters }: Coded, { scale }: GgufFormat, from: number) {
  if (scale.kind !== 'two-level') {
    return {
      codes: codes.subarray(from),
      scaleCodes: undefined,
      offsetCodes: undefined,
      scales: parameters.scale.subarray(from),
      offsets: parameters.offset.subarray(from),
    };
  }
  return {
    codes: codes.subarray(from),
    scaleCodes: storedBytes(parameters, 'scaleCode').subarray(from),
    offsetCodes: scale.offset && storedBytes(parameters, 'offsetCode').subarray(from),
    scales: storedFloats(parameters, 'superScale').subarray(from),
    offsets: scale.offset && storedFloats(parameters, 'superOffset').subarray(from),
  };
}

function place(arena: Arena, values: readonly number[]): Uint8Array {
  const array = arena.u8(values.length);
  array.set(values);
  return array;
}

/** The table of BitField in assembly/pack/blocks.ts: every bit field of a block, sorted by what the kernel writes. */
function placeFields(
  arena: Arena,
  layout: BlockLayout,
  format: GgufFormat,
  kernel: 'packBlocks' | 'unpackBlocks',
): { readonly table: Uint8Array; readonly count: number } {
  const groups = format.blockSize / format.groupSize;
  const kinds: readonly [BitPlacement | undefined, number][] = [
    [layout.codes === 'trits' ? undefined : layout.codes, format.blockSize],
    [layout.scaleCodes, groups],
    [layout.offsetCodes, groups],
  ];
  const fields = kinds.flatMap(([placement, units], source) =>
    Array.from({ length: placement ? units : 0 }, (_, unit) =>
      (placement?.pieces ?? []).flatMap((piece) =>
        piece(unit).map((bits) => ({ unit, source, bias: placement?.bias ?? 0, ...bits })),
      ),
    ).flat(),
  );
  const target = (field: (typeof fields)[number]) =>
    kernel === 'packBlocks' ? field.byte : field.source * format.blockSize + field.unit;
  fields.sort((a, b) => target(a) - target(b));
  const rows = fields.map((field, index) => {
    const next = fields[index + 1];
    const last = !next || target(next) !== target(field);
    const mask = 2 ** field.width - 1;
    return [field.unit, field.byte, field.source, field.from, field.shift, mask, field.bias, last ? 1 : 0];
  });
  return { table: place(arena, rows.flat()), count: rows.length };
}
