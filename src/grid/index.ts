import { TersorError } from '../errors.js';
import { packFloats, unpackFloats } from './cast.js';
import { allocateParameters } from './dequantize.js';
import { fitFormat } from './fit.js';
import { type GgufFormat, type GgufName, ggufFormats } from './gguf.js';
import type { Grid } from './grid.js';
import { type BlockLayout, blockLayouts } from './layout.js';
import { packBlocks, unpackBlocks } from './pack.js';

/** GGUF's tensor types as grids, by name. */
export const ggufGrids: { readonly [Name in GgufName]: Grid } = {
  f32: ggufGrid(ggufFormats.f32),
  f16: ggufGrid(ggufFormats.f16),
  bf16: ggufGrid(ggufFormats.bf16),
  q8_0: ggufGrid(ggufFormats.q8_0),
  q4_0: ggufGrid(ggufFormats.q4_0),
  q4_1: ggufGrid(ggufFormats.q4_1),
  q5_0: ggufGrid(ggufFormats.q5_0),
  q5_1: ggufGrid(ggufFormats.q5_1),
  q2_k: ggufGrid(ggufFormats.q2_k),
  q3_k: ggufGrid(ggufFormats.q3_k),
  q4_k: ggufGrid(ggufFormats.q4_k),
  q5_k: ggufGrid(ggufFormats.q5_k),
  q6_k: ggufGrid(ggufFormats.q6_k),
  iq4_nl: ggufGrid(ggufFormats.iq4_nl),
  iq4_xs: ggufGrid(ggufFormats.iq4_xs),
  q1_0: ggufGrid(ggufFormats.q1_0),
  q2_0: ggufGrid(ggufFormats.q2_0),
  tq1_0: ggufGrid(ggufFormats.tq1_0),
  tq2_0: ggufGrid(ggufFormats.tq2_0),
  mxfp4: ggufGrid(ggufFormats.mxfp4),
};

/** Names that `findGrid` knows. */
export const gridNames: readonly string[] = Object.keys(ggufGrids);

/** The grid of this name (lower case). Throws a TersorError that lists the names if there is none. */
export function findGrid(name: string): Grid {
  const grid = Object.hasOwn(ggufGrids, name) ? ggufGrids[name as GgufName] : undefined;
  if (!grid)
    throw new TersorError(`there is no type ${name}`, { remedy: `choose one of ${gridNames.join(', ')}` });
  return grid;
}

/** Weights per file block, checked. */
function wholeBlocks({ name, blockSize }: GgufFormat, cols: number): number {
  if (cols % blockSize)
    throw new TersorError(`type ${name} stores ${blockSize} columns together and the rows have ${cols}`, {
      remedy: 'choose a type with smaller blocks, q8_0 or q4_0 for instance',
    });
  return cols / blockSize;
}

function ggufGrid(format: GgufFormat): Grid {
  const { name, levels, blockBytes } = format;
  const grid: Grid = {
    ...format,
    runtimes: ['llama.cpp'],
    bytes: (rows, cols) => rows * wholeBlocks(format, cols) * blockBytes,
    allocate(arena, rows, cols) {
      wholeBlocks(format, cols);
      return allocateParameters(format, arena, rows, cols);
    },
    fit: (kernels, weight, importance, parameters, from) =>
      fitFormat(kernels, format, weight, importance, parameters, from),
    pack(kernels, encoded) {
      if (levels.kind === 'cast') return packFloats(kernels, levels.type, encoded);
      return packBlocks(kernels, format, layoutOf(name), encoded);
    },
    unpack(kernels, arena, bytes, rows, cols) {
      if (levels.kind === 'cast') return unpackFloats(kernels, arena, grid, levels.type, bytes, rows, cols);
      return unpackBlocks(kernels, arena, grid, format, layoutOf(name), bytes, rows, cols);
    },
  };
  return grid;
}

function layoutOf(name: GgufName): BlockLayout {
  return blockLayouts[name as keyof typeof blockLayouts];
}
