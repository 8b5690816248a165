import type { Arena, Kernels } from '../../kernels/kernels.js';
import { strideOf } from '../../kernels/panel.js';
import { dequantize } from '../gguf/dequantize.js';
import type { Encoded } from '../grid.js';
import { groupsOf, requireBytes } from '../tersor/rows.js';
import type { WordFormat, WordGrid, WordPart } from './layout.js';

/** Runs over the parts of a weight with their bytes in the kernels' memory. */
async function forParts(
  { layout }: WordFormat,
  arena: Arena,
  parts: readonly WordPart[],
  visit: (part: WordPart, bytes: Uint8Array, at: number) => void,
): Promise<void> {
  let at = 0;
  for (const part of parts) {
    const holds = Object.values(layout.parts).includes(part.suffix);
    visit(part, holds ? arena.u8(part.bytes) : new Uint8Array(part.bytes), at);
    at += part.bytes;
  }
}

/** The bytes of all parts, one after another. */
export async function packWeight(
  kernels: Kernels,
  format: WordFormat,
  encoded: Encoded,
): Promise<Uint8Array> {
  const { layout, bits } = format;
  const { dense } = layout;
  const { rows, cols, stride, codes, parameters } = encoded;
  if (!codes) throw new Error(`${format.name} stores codes`);
  const parts = layout.list(format, rows, cols);
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.bytes, 0));
  await kernels.scope((arena) =>
    forParts(format, arena, parts, (part, bytes, at) => {
      const { suffix } = part;
      if (suffix === layout.parts.codes) {
        const { along, row } = layout.codePitches(format, rows, cols);
        const steps = { codeStep: stride, laneStep: 1, wordPitch: 4 * along, lanePitch: 4 * row };
        kernels.parallel('packWords', rows, {
          codes,
          count: cols,
          bits,
          dense,
          add: 0,
          words: bytes,
          ...steps,
        });
      } else if (suffix === layout.parts.scales) {
        const groups = groupsOf(format, cols);
        const { along, row } = layout.scalePitches(rows, groups);
        const { scale } = parameters;
        const pitches = { groupPitch: 2 * along, rowPitch: 2 * row };
        kernels.parallel('storeScales', rows, { groups, stride, scale, bytes, ...pitches });
      } else if (suffix === layout.parts.zeros) packZeros(kernels, arena, format, encoded, bytes);
      else bytes.set(layout.constant(part, format, rows, cols));
      result.set(bytes, at);
    }),
  );
  return result;
}

function packZeros(
  kernels: Kernels,
  arena: Arena,
  format: WordFormat,
  { rows, cols, stride, parameters }: Encoded,
  bytes: Uint8Array,
): void {
  const { layout, bits, affine } = format;
  const groups = groupsOf(format, cols);
  const points = arena.u8(groups * stride);
  const { scale, offset } = parameters;
  if (affine) kernels.parallel('offsetsToZeroPoints', rows, { groups, stride, scale, offset, zeros: points });
  else points.fill(2 ** (bits - 1));
  const { along, row } = layout.zeroPitches(format, rows, groups);
  kernels.parallel('packWords', groups, {
    codes: points,
    codeStep: 1,
    laneStep: stride,
    count: rows,
    bits,
    dense: layout.dense,
    add: -layout.zeroShift,
    words: bytes,
    wordPitch: 4 * along,
    lanePitch: 4 * row,
  });
}

/** The inverse of `packWeight`. */
export async function unpackWeight(
  kernels: Kernels,
  arena: Arena,
  grid: WordGrid,
  stored: Uint8Array,
  { rows, cols }: Pick<Encoded, 'rows' | 'cols'>,
): Promise<Encoded> {
  const { words: format } = grid;
  const { layout, bits, affine, groupOf } = format;
  requireBytes(grid, stored, rows, cols);
  const stride = strideOf(rows);
  const groups = groupsOf(format, cols);
  const codes = arena.u8(cols * stride);
  const parameters = grid.allocate(arena, rows, cols);
  const values = arena.f32(cols * stride);
  await kernels.scope(async (scratch) => {
    await forParts(format, scratch, layout.list(format, rows, cols), ({ suffix, bytes: size }, bytes, at) => {
      bytes.set(stored.subarray(at, at + size));
      if (suffix === layout.parts.codes) {
        const { along, row } = layout.codePitches(format, rows, cols);
        const steps = { codeStep: stride, laneStep: 1, wordPitch: 4 * along, lanePitch: 4 * row };
        const { dense } = layout;
        kernels.parallel('unpackWords', rows, {
          codes,
          count: cols,
          bits,
          dense,
          add: 0,
          words: bytes,
          ...steps,
        });
      } else if (suffix === layout.parts.scales) {
        const { along, row } = layout.scalePitches(rows, groups);
        const [size, kind] = scaleKinds[format.scaleType];
        const { scale } = parameters;
        const pitches = { groupPitch: size * along, rowPitch: size * row };
        kernels.parallel('loadScales', rows, { groups, stride, scale, bytes, ...pitches, kind });
      }
    });
    if (affine) await unpackZeros(kernels, scratch, format, stored, { rows, cols, stride, parameters });
  });
  if (groupOf) {
    await kernels.scope((scratch) => {
      const columnGroups = scratch.i32(cols);
      columnGroups.set(groupOf);
      const low = affine ? 0 : -(2 ** (bits - 1));
      const { scale, offset } = parameters;
      kernels.parallel('dequantizeGathered', rows, {
        codes,
        stride,
        cols,
        groupOf: columnGroups,
        low,
        scale,
        offset,
        values,
      });
    });
  } else await dequantize(kernels, grid, codes, parameters, { stride, cols }, values);
  return { grid, rows, stride, cols, codes, parameters, values };
}

/** Zero points follow after scales, which offsets are multiples of. */
async function unpackZeros(
  kernels: Kernels,
  arena: Arena,
  format: WordFormat,
  stored: Uint8Array,
  { rows, cols, stride, parameters }: Pick<Encoded, 'rows' | 'cols' | 'stride' | 'parameters'>,
): Promise<void> {
  const { layout, bits } = format;
  const groups = groupsOf(format, cols);
  await forParts(format, arena, layout.list(format, rows, cols), ({ suffix, bytes: size }, bytes, at) => {
    if (suffix !== layout.parts.zeros) return;
    bytes.set(stored.subarray(at, at + size));
    const points = arena.u8(groups * stride);
    const { along, row } = layout.zeroPitches(format, rows, groups);
    kernels.parallel('unpackWords', groups, {
      codes: points,
      codeStep: 1,
      laneStep: stride,
      count: rows,
      bits,
      dense: layout.dense,
      add: layout.zeroShift,
      words: bytes,
      wordPitch: 4 * along,
      lanePitch: 4 * row,
    });
    const { scale, offset } = parameters;
    kernels.parallel('zeroPointsToOffsets', rows, { groups, stride, scale, offset, zeros: points });
  });
}

/** Bytes of a scale, and its number among the kernels' kinds. */
const scaleKinds = { F16: [2, 0], BF16: [2, 1], F32: [4, 2] } as const;
