import { TersorError } from '../../errors.js';
import type { Arena, Kernels } from '../../kernels/kernels.js';
import { type Panel, strideOf, toPanel } from '../../kernels/panel.js';
import { roundingErrors } from '../fit/rounding-errors.js';
import { type Encoded, type Grid, type Parameters, storedBytes } from '../grid.js';
import { findIntegerGrid } from './integer.js';
import { groupsOf, packRows, type RowLayout, rowBytes, unpackRows } from './rows.js';

const namePattern = /^(int([1-8])(?:-g\d+)?(-asym)?)-(out|ada)$/;
const halfBytes = 2;

/** How these grids are named, for messages that list what there is. */
export const adaDimGridNames = 'int1-out … int8-g256-asym-ada';

/**
 * Integer grids with groups along outputs (`int4-out`: 32 output rows of one column share a scale) or along whichever
 * dimension loses less (`-ada`; AdaDim, Heo et al., 2024). The dimension is chosen for every block of as many columns
 * as a group has, so that the layer's loss is at most that of the better dimension; a block takes the same bytes
 * either way. Rows must be divisible by the group size.
 *
 * To solvers every column has scales of its own: group size 1, a block at a time; all of them work, and those that
 * choose scales leave these as they are. It takes twice the memory of the weights.
 *
 * Stored as src/grid/tersor/rows.ts says, without parameters; after the last row block after block its dimension (a byte, 1:
 * outputs) and its half scales, then offsets: of its rows from first to last, or of its groups of rows, those of a group
 * column by column. Both are filled up to whole groups.
 * @returns undefined if the name is not one of these
 */
export function findAdaDimGrid(name: string): Grid | undefined {
  const match = namePattern.exec(name);
  const base = match?.[1] ? findIntegerGrid(match[1]) : undefined;
  if (!match || !base) return undefined;
  const shape: Shape = {
    base,
    size: base.groupSize,
    affine: match[3] !== undefined,
    layout: { name, bits: Number(match[2]), groupSize: base.groupSize, block: 'nothing' },
    choices: match[4] === 'out' ? [true] : [false, true],
  };
  const grid: Grid = {
    name,
    summary: `${base.summary}, ${match[4] === 'out' ? 'along outputs' : 'along inputs or outputs, whichever loses less'}`,
    levels: base.levels,
    blockSize: base.groupSize,
    blockBytes: base.blockBytes,
    groupSize: 1,
    runtimes: ['tersor'],
    whole: true,
    bytes: (rows, cols) =>
      rows * rowBytes(shape.layout, cols) + groupsOf(shape.layout, cols) * tailBytes(shape, rows),
    allocate(arena, rows, cols) {
      const length = cols * strideOf(rows);
      const along = arena.u8(groupsOf(shape.layout, cols));
      const offset = arena.f32(length).fill(shape.affine ? 0 : -0);
      return { scale: arena.f32(length), offset, stored: { along } };
    },
    async fit(kernels, weight, importance, parameters, from) {
      for (let first = 0; first < weight.cols; first += shape.size) {
        const data = weight.data.subarray(first * weight.stride, (first + shape.size) * weight.stride);
        const block = { ...weight, cols: shape.size, data };
        const weights = importance.subarray(first, first + shape.size);
        await fitBlock(kernels, shape, block, weights, parameters, from + first);
      }
    },
    pack: (kernels, encoded) => pack(kernels, shape, encoded),
    unpack: (kernels, arena, bytes, rows, cols) =>
      unpackRows(kernels, arena, { grid, layout: shape.layout }, bytes, { rows, cols }, (parameters) =>
        readTail(kernels, shape, bytes, { rows, cols, parameters }),
      ),
  };
  return grid;
}

interface Shape {
  /** The same groups along inputs. */
  readonly base: Grid;
  readonly size: number;
  readonly affine: boolean;
  readonly layout: RowLayout;
  /** Whether groups may go along outputs. */
  readonly choices: readonly boolean[];
}

/** Per block: 1 if its groups go along outputs. */
const alongOf = (parameters: Parameters): Uint8Array => storedBytes(parameters, 'along');

type Lines = Pick<Parameters, 'scale' | 'offset'>;

/** Scales of a block: one per row, or per column and group of rows, filled up. */
const scalesOf = ({ size }: Shape, rows: number): number => Math.ceil(rows / size) * size;
const tailBytes = (shape: Shape, rows: number): number =>
  1 + scalesOf(shape, rows) * halfBytes * (shape.affine ? 2 : 1);

/** Fits a block of columns in the dimensions to choose from and keeps the better. */
async function fitBlock(
  kernels: Kernels,
  shape: Shape,
  weight: Panel,
  importance: Float32Array,
  parameters: Parameters,
  from: number,
): Promise<void> {
  const { stride, cols } = weight;
  const own = (lines: Float32Array) => lines.subarray(from * stride, (from + cols) * stride);
  await kernels.scope(async (arena) => {
    let least = Number.POSITIVE_INFINITY;
    for (const outputs of shape.choices) {
      const lines = { scale: arena.f32(cols * stride), offset: arena.f32(cols * stride).fill(-0) };
      await (outputs ? fitOutputs : fitInputs)(kernels, arena, shape, weight, importance, lines);
      const format = { levels: shape.base.levels, groupSize: 1 };
      const errors = await roundingErrors(kernels, arena, format, weight, importance, lines);
      const error = errors.reduce((sum, value) => sum + value, 0);
      if (error >= least) continue;
      least = error;
      own(parameters.scale).set(lines.scale);
      own(parameters.offset).set(lines.offset);
      alongOf(parameters)[from / shape.size] = outputs ? 1 : 0;
    }
  });
}

async function fitInputs(
  kernels: Kernels,
  arena: Arena,
  { base }: Shape,
  weight: Panel,
  importance: Float32Array,
  lines: Lines,
): Promise<void> {
  const fitted = base.allocate(arena, weight.rows, weight.cols);
  await base.fit(kernels, weight, importance, fitted, 0);
  for (let col = 0; col < weight.cols; col++) {
    lines.scale.set(fitted.scale, col * weight.stride);
    lines.offset.set(fitted.offset, col * weight.stride);
  }
}

/** Inside a group along outputs all weights have the same input and matter alike. */
async function fitOutputs(
  kernels: Kernels,
  arena: Arena,
  shape: Shape,
  { rows, stride, cols, data }: Panel,
  _importance: Float32Array,
  lines: Lines,
): Promise<void> {
  const padded = scalesOf(shape, rows);
  const matrix = arena.f32(cols * padded);
  for (let col = 0; col < cols; col++)
    matrix.set(data.subarray(col * stride, col * stride + rows), col * padded);
  const turned = await toPanel(kernels, arena, { rows: cols, cols: padded, data: matrix });
  const fitted = shape.base.allocate(arena, cols, padded);
  const counts = arena.f32(padded).fill(1, 0, rows);
  await shape.base.fit(kernels, turned, counts, fitted, 0);
  spread(kernels, shape, { cols, stride }, fitted.scale, lines.scale);
  if (shape.affine) spread(kernels, shape, { cols, stride }, fitted.offset, lines.offset);
}

/** From groups of rows × columns to columns × rows. */
function spread(
  kernels: Kernels,
  { size }: Shape,
  { cols, stride }: { readonly cols: number; readonly stride: number },
  groups: Float32Array,
  lines: Float32Array,
): void {
  const pitch = strideOf(cols);
  kernels.parallel('spreadGroupsOfRows', stride, { cols, stride, size, pitch, groups, lines });
}

async function pack(kernels: Kernels, shape: Shape, encoded: Encoded): Promise<Uint8Array> {
  const { rows, cols, parameters } = encoded;
  const blocks = groupsOf(shape.layout, cols);
  const size = tailBytes(shape, rows);
  const bytes = await packRows(kernels, shape.layout, encoded, blocks * size);
  await kernels.scope((arena) => {
    const floats = arena.f32(scalesOf(shape, rows));
    const halves = arena.u8(floats.length * halfBytes);
    forBlocks(shape, { rows, cols, parameters }, (block, lines, along) => {
      let at = bytes.length - (blocks - block) * size;
      bytes[at++] = along;
      for (const line of lines) {
        floats.fill(0);
        for (const [i, index] of line.indices.entries()) floats[i] = line.values[index] ?? 0;
        kernels.parallel('castToF16', floats.length, { from: floats, to: halves });
        bytes.set(halves, at);
        at += halves.length;
      }
    });
  });
  return bytes;
}

async function readTail(
  kernels: Kernels,
  shape: Shape,
  bytes: Uint8Array,
  tensor: { readonly rows: number; readonly cols: number; readonly parameters: Parameters },
): Promise<void> {
  const { rows, cols, parameters } = tensor;
  const stride = strideOf(rows);
  const blocks = groupsOf(shape.layout, cols);
  const size = tailBytes(shape, rows);
  const along = alongOf(parameters);
  for (let block = 0; block < blocks; block++) {
    const dimension = bytes[bytes.length - (blocks - block) * size] ?? 0;
    if (dimension > 1)
      throw new TersorError(
        `block ${block} has groups along dimension ${dimension}, which is neither 0 nor 1`,
        {
          remedy: 'check that the file is complete',
        },
      );
    along[block] = dimension;
  }
  await kernels.scope((arena) => {
    const floats = arena.f32(scalesOf(shape, rows));
    const halves = arena.u8(floats.length * halfBytes);
    const groups = arena.f32((floats.length / shape.size) * strideOf(shape.size));
    forBlocks(shape, tensor, (block, lines, outputs) => {
      let at = bytes.length - (blocks - block) * size + 1;
      for (const { values } of lines) {
        halves.set(bytes.subarray(at, at + halves.length));
        at += halves.length;
        kernels.parallel('convertF16', floats.length, { from: halves, to: floats });
        const target = values.subarray(block * shape.size * stride, (block + 1) * shape.size * stride);
        if (outputs) {
          for (let group = 0; group < floats.length / shape.size; group++)
            groups.set(
              floats.subarray(group * shape.size, (group + 1) * shape.size),
              group * strideOf(shape.size),
            );
          spread(kernels, shape, { cols: shape.size, stride }, groups, target);
        } else {
          for (let col = 0; col < shape.size; col++) target.set(floats.subarray(0, rows), col * stride);
        }
      }
    });
  });
}

/** Where the numbers that a block stores stand among its lines. */
function forBlocks(
  { size, layout, affine }: Shape,
  {
    rows,
    cols,
    parameters,
  }: { readonly rows: number; readonly cols: number; readonly parameters: Parameters },
  visit: (
    block: number,
    lines: readonly { readonly values: Float32Array; readonly indices: Int32Array }[],
    along: number,
  ) => void,
): void {
  const stride = strideOf(rows);
  const along = alongOf(parameters);
  const filled = Math.ceil(rows / size) * size;
  for (let block = 0; block < groupsOf(layout, cols); block++) {
    const first = block * size * stride;
    const outputs = along[block] ?? 0;
    const indices = Int32Array.from({ length: outputs ? filled : rows }, (_, i) =>
      outputs ? first + (i % size) * stride + Math.floor(i / size) * size : first + i,
    );
    const arrays = affine ? [parameters.scale, parameters.offset] : [parameters.scale];
    visit(
      block,
      arrays.map((values) => ({ values, indices })),
      outputs,
    );
  }
}
