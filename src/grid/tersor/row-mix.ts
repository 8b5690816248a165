import { TersorError } from '../../errors.js';
import type { Arena, Kernels } from '../../kernels/kernels.js';
import { fromPanel, toPanel } from '../../kernels/panel.js';
import type { Encoded, Grid, Parameters } from '../grid.js';
import { findIntegerGrid } from './integer.js';
import { requireBytes } from './rows.js';

const namePattern = /^int([1-7])((?:-channel|-g\d+)?(?:-asym)?)-r(\d+(?:\.\d+)?)$/;
const highBits = 8;
/** Per cent of the rows. */
const [fewest, most] = [0.01, 99];
/** What `int4-r*` stands for, besides all rows at either precision. */
const usualShares = [1, 2, 5, 10, 20, 40];

/** How these grids are named, for messages that list what there is. */
export const rowMixGridNames =
  'int1-r1 … int7-g256-asym-r50 (per cent of the rows as int8); int4-r* in --types';

/** A grid on which some rows have eight bits and the others fewer. */
export interface RowMixGrid extends Grid {
  readonly low: Grid;
  readonly high: Grid;
  /** How many rows of a tensor have eight bits. */
  room(rows: number): number;
}

/**
 * Rows, which are output features, at two precisions (MixLLM: Zheng et al., 2024, arXiv:2412.14590): `int4-g32-r10` has a
 * tenth of the rows as `int8-g32` and the others as `int4-g32`.
 *
 * Stored: a bit for every row, set where it has eight bits, the first in the lowest bit of the first byte, padded to
 * whole bytes; then the rows of eight bits, then the others, each in their order and as src/grid/tersor/rows.ts says.
 *
 * Rows are solved and packed apart (src/pipeline/solve/rows.ts), so that what is stored of a tensor is its bytes.
 * @returns undefined if the name is not one of these
 */
export function findRowMixGrid(name: string): RowMixGrid | undefined {
  const [, bits = '', sharing = '', share] = namePattern.exec(name) ?? [];
  const [low, high] = [findIntegerGrid(`int${bits}${sharing}`), findIntegerGrid(`int${highBits}${sharing}`)];
  const percent = Number(share);
  if (!low || !high || !(percent >= fewest && percent <= most)) return undefined;
  const room = (rows: number) => Math.min(rows, Math.max(1, Math.round((rows * percent) / 100)));
  const mixed = (own: number, other: number) => own + (percent / 100) * (other - own);
  const grid: RowMixGrid = {
    ...low,
    name,
    summary: `${low.summary}; ${percent} % of the rows with ${highBits} bits`,
    blockBytes: mixed(low.blockBytes, high.blockBytes),
    runtimes: ['tersor'],
    whole: true,
    low,
    high,
    room,
    bytes(rows, cols) {
      const count = room(rows);
      return maskBytes(rows) + count * high.bytes(1, cols) + (rows - count) * low.bytes(1, cols);
    },
    allocate: (arena, rows, cols) => stored(arena, new Uint8Array(grid.bytes(rows, cols))),
    async fit() {
      throw new Error(`the rows of ${name} are solved apart`);
    },
    pack: async (_, { parameters }) => packedOf(parameters),
    async unpack(kernels, arena, bytes, rows, cols) {
      requireBytes(grid, bytes, rows, cols);
      const chosen = chosenRows(grid, bytes, rows);
      const values = new Float32Array(rows * cols);
      let at = maskBytes(rows);
      for (const [own, places] of [
        [high, chosen],
        [low, otherRows(rows, chosen)],
      ] as const) {
        const size = places.length * own.bytes(1, cols);
        await unpackPart(kernels, own, bytes.subarray(at, at + size), places, cols, values);
        at += size;
      }
      const panel = await toPanel(kernels, arena, { rows, cols, data: values });
      return { grid, ...panel, parameters: stored(arena, bytes), values: panel.data };
    },
  };
  return grid;
}

export const isRowMixGrid = (grid: Grid): grid is RowMixGrid => 'low' in grid && 'high' in grid;

/** Types with a star for the share of rows spelt out: `int4-r*` as int4, int4-r1 … int4-r40, int8. */
export const spellOut = (types: readonly string[]): string[] =>
  types.flatMap((type) => {
    const base = type.endsWith('-r*') ? type.slice(0, -3) : undefined;
    if (!base || !findIntegerGrid(base)) return [type];
    return [
      base,
      ...usualShares.map((share) => `${base}-r${share}`),
      base.replace(/^int\d/, `int${highBits}`),
    ];
  });

/** Rows that are not among the given ones, which ascend. */
export function otherRows(rows: number, chosen: readonly number[]): number[] {
  const taken = new Set(chosen);
  return Array.from({ length: rows }, (_, row) => row).filter((row) => !taken.has(row));
}

/**
 * The bytes of a tensor.
 * @param chosen rows of eight bits, ascending
 * @param low all rows as packed on the grid of few bits; those that were chosen are left out
 * @param high the chosen rows as packed on the other
 */
export function joinRows(
  grid: RowMixGrid,
  rows: number,
  cols: number,
  chosen: readonly number[],
  low: Uint8Array,
  high: Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(grid.bytes(rows, cols));
  for (const row of chosen) bytes[row >> 3] = (bytes[row >> 3] ?? 0) | (1 << (row & 7));
  let at = maskBytes(rows);
  bytes.set(high, at);
  at += high.length;
  const size = grid.low.bytes(1, cols);
  for (const row of otherRows(rows, chosen)) {
    bytes.set(low.subarray(row * size, (row + 1) * size), at);
    at += size;
  }
  return bytes;
}

const maskBytes = (rows: number): number => Math.ceil(rows / 8);

const stored = (arena: Arena, packed: Uint8Array): Parameters => ({
  scale: arena.f32(0),
  offset: arena.f32(0),
  stored: { packed },
});

function packedOf({ stored: { packed } }: Parameters): Uint8Array {
  if (!(packed instanceof Uint8Array))
    throw new Error('parameters without bytes; make them with the grid’s allocate');
  return packed;
}

function chosenRows(grid: RowMixGrid, bytes: Uint8Array, rows: number): number[] {
  const isSet = (row: number) => ((bytes[row >> 3] ?? 0) >> (row & 7)) & 1;
  const chosen = Array.from({ length: rows }, (_, row) => row).filter(isSet);
  if (chosen.length === grid.room(rows)) return chosen;
  throw new TersorError(
    `${chosen.length} rows have ${highBits} bits where ${grid.name} has ${grid.room(rows)}`,
    {
      remedy: 'check that the file is complete',
    },
  );
}

/** Decodes rows and puts each in its place. */
async function unpackPart(
  kernels: Kernels,
  grid: Grid,
  bytes: Uint8Array,
  places: readonly number[],
  cols: number,
  into: Float32Array,
): Promise<void> {
  if (places.length === 0) return;
  await kernels.scope(async (arena) => {
    const part: Encoded = await grid.unpack(kernels, arena, bytes, places.length, cols);
    const { data } = await fromPanel(kernels, { ...part, data: part.values });
    for (const [i, row] of places.entries()) into.set(data.subarray(i * cols, (i + 1) * cols), row * cols);
  });
}
