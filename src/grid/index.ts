import { TersorError } from '../errors.js';
import { packFloats, unpackFloats } from './cast.js';
import { allocateParameters } from './dequantize.js';
import { fitFormat } from './fit.js';
import { type GgufFormat, type GgufName, ggufFormats } from './gguf.js';
import type { Grid } from './grid.js';
import { findIntegerGrid, integerGridNames } from './integer.js';
import { type BlockLayout, blockLayouts } from './layout.js';
import { packBlocks, unpackBlocks } from './pack.js';

/** GGUF's tensor types as grids, by name. */
export const ggufGrids = Object.fromEntries(
  Object.values(ggufFormats).map((format) => [format.name, ggufGrid(format)]),
) as { readonly [Name in GgufName]: Grid };

/** Names of GGUF's types; the integer grids follow a pattern (`integerGridNames`). */
export const gridNames: readonly string[] = Object.keys(ggufGrids);

/**
 * The grid of this name (lower case): one of GGUF's types or of the integer grids.
 * @throws TersorError that lists the names if there is none
 */
export function findGrid(name: string): Grid {
  const grid = Object.hasOwn(ggufGrids, name) ? ggufGrids[name as GgufName] : findIntegerGrid(name);
  if (!grid)
    throw new TersorError(`there is no type ${name}`, {
      remedy: `choose one of ${gridNames.join(', ')}; ${integerGridNames}`,
    });
  return grid;
}

/** Blocks of a row; throws a TersorError unless they are whole. */
function wholeBlocks({ name, blockSize }: GgufFormat, cols: number): number {
  if (cols % blockSize)
    throw new TersorError(`type ${name} stores ${blockSize} columns together and the rows have ${cols}`, {
      remedy: `choose ${cols % 32 ? 'f16' : 'a type with blocks of 32, q8_0 or q4_0 for instance'}`,
    });
  return cols / blockSize;
}

function ggufGrid(format: GgufFormat): Grid {
  const { name, levels, blockBytes } = format;
  const grid: Grid = {
    ...format,
    runtimes: levels.kind === 'cast' ? ['llama.cpp', 'onnx'] : ['llama.cpp'],
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
