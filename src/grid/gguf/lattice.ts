import { TersorError } from '../../errors.js';
import type { Arena, Kernels } from '../../kernels/kernels.js';
import { slabHeight, slabs, strideOf } from '../../kernels/panel.js';
import type { Encoded, Grid } from '../grid.js';
import { type Lattice, latticePoints, lattices } from './lattices.js';

/** One of GGUF's types whose codes are indices of points in a lattice (ggml-common.h of llama.cpp v0.5.0). */
export interface LatticeFormat {
  readonly name: LatticeName;
  /** `enum ggml_type`, the number in the file. */
  readonly type: number;
  readonly summary: string;
  readonly blockSize: 256;
  readonly blockBytes: number;
  /** Columns that share a scale. */
  readonly groupSize: number;
  readonly lattice: Lattice;
  /** Its number in assembly/pack/lattices.ts. */
  readonly kind: number;
}

export type LatticeName = 'iq1_s' | 'iq1_m' | 'iq2_xxs' | 'iq2_xs' | 'iq2_s' | 'iq3_xxs' | 'iq3_s';

const blockSize = 256;

/** The types by name. They are read and not written. */
export const latticeFormats: { readonly [Name in LatticeName]: LatticeFormat & { readonly name: Name } } = {
  iq1_s: {
    name: 'iq1_s',
    type: 19,
    summary: '2048 points of 8 columns, 3-bit scales per 32, a half per 256',
    ...{ blockSize, blockBytes: 50, groupSize: 32, lattice: lattices.iq1, kind: 0 },
  },
  iq1_m: {
    name: 'iq1_m',
    type: 29,
    summary: '2048 points of 8 columns, 3-bit scales per 16, a half per 256',
    ...{ blockSize, blockBytes: 56, groupSize: 16, lattice: lattices.iq1, kind: 1 },
  },
  iq2_xxs: {
    name: 'iq2_xxs',
    type: 16,
    summary: '256 points of 8 columns with signs, 4-bit scales per 32, a half per 256',
    ...{ blockSize, blockBytes: 66, groupSize: 32, lattice: lattices.iq2xxs, kind: 2 },
  },
  iq2_xs: {
    name: 'iq2_xs',
    type: 17,
    summary: '512 points of 8 columns with signs, 4-bit scales per 16, a half per 256',
    ...{ blockSize, blockBytes: 74, groupSize: 16, lattice: lattices.iq2xs, kind: 3 },
  },
  iq2_s: {
    name: 'iq2_s',
    type: 22,
    summary: '1024 points of 8 columns with signs, 4-bit scales per 16, a half per 256',
    ...{ blockSize, blockBytes: 82, groupSize: 16, lattice: lattices.iq2s, kind: 4 },
  },
  iq3_xxs: {
    name: 'iq3_xxs',
    type: 18,
    summary: '256 points of 4 columns with signs, 4-bit scales per 32, a half per 256',
    ...{ blockSize, blockBytes: 98, groupSize: 32, lattice: lattices.iq3xxs, kind: 5 },
  },
  iq3_s: {
    name: 'iq3_s',
    type: 21,
    summary: '512 points of 4 columns with signs, 4-bit scales per 32, a half per 256',
    ...{ blockSize, blockBytes: 110, groupSize: 32, lattice: lattices.iq3s, kind: 6 },
  },
};

/** The types as grids that can only be read. */
export const latticeGrids = Object.fromEntries(
  Object.values(latticeFormats).map((format) => [format.name, latticeGrid(format)]),
) as { readonly [Name in LatticeName]: Grid };

function latticeGrid(format: LatticeFormat): Grid {
  const { name, summary, blockBytes, groupSize } = format;
  const readOnly = () =>
    new TersorError(`type ${name} is read and not written`, {
      code: 'unsupported',
      remedy: 'choose another type, such as q2_k',
    });
  const grid: Grid = {
    name,
    summary,
    levels: { kind: 'vector' },
    blockSize,
    blockBytes,
    groupSize,
    runtimes: ['llama.cpp'],
    bytes: (rows, cols) => (rows * cols * blockBytes) / blockSize,
    allocate() {
      throw readOnly();
    },
    fit: () => Promise.reject(readOnly()),
    pack: () => Promise.reject(readOnly()),
    unpack: (kernels, arena, bytes, rows, cols) =>
      decode(kernels, arena, { grid, format }, bytes, { rows, cols }),
  };
  return grid;
}

async function decode(
  kernels: Kernels,
  arena: Arena,
  { grid, format }: { readonly grid: Grid; readonly format: LatticeFormat },
  bytes: Uint8Array,
  { rows, cols }: Pick<Encoded, 'rows' | 'cols'>,
): Promise<Encoded> {
  const expected = grid.bytes(rows, cols);
  if (bytes.length !== expected)
    throw new TersorError(
      `${bytes.length} bytes are not ${rows} × ${cols} weights of type ${grid.name}, which take ${expected}`,
      { remedy: 'check that the file is complete' },
    );
  const { blockBytes, kind, lattice } = format;
  const stride = strideOf(rows);
  const values = arena.f32(cols * stride);
  const blocks = cols / blockSize;
  const rowBytes = blocks * blockBytes;
  await kernels.scope((inner) => {
    const all = latticePoints(lattice);
    const points = inner.u8(all.length);
    points.set(new Uint8Array(all.buffer));
    const file = inner.u8(Math.min(slabHeight(cols * 4), rows) * rowBytes);
    for (const { from, to } of slabs(rows, cols * 4)) {
      file.set(bytes.subarray(from * rowBytes, to * rowBytes));
      const job = { kind, blocks, blockBytes, stride, points, file, values: values.subarray(from) };
      kernels.parallel('decodeLattice', to - from, job);
    }
  });
  const none = arena.f32(0);
  return { grid, rows, stride, cols, parameters: { scale: none, offset: none, stored: {} }, values };
}
