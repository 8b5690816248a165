import type { Kernels } from '../../kernels/kernels.js';
import { type Panel, strideOf } from '../../kernels/panel.js';
import { fitDirect } from '../fit/fit.js';
import { fitByRatios } from '../fit/ratios.js';
import type { Grid, Parameters } from '../grid.js';
import { floatValues, powersOfTwo } from './float-values.js';
import { blockBytes, groupsOf, packRows, type RowLayout, rowBytes, unpackRows } from './rows.js';
import { codesToScales, scalesToCodes } from './scale-codes.js';

const namePattern = /^fp([3-8])-e([1-5])m([0-6])(?:-(channel|g(16|32|64|128|256)))?(-pow2)?$/;
const usualGroupSize = 32;
/** With more values than this a fine search for the scale takes long and wins nothing: floats fit any scale. */
const fewValues = 32;

/** How these grids are named, for messages that list what there is. */
export const floatGridNames = 'fp3-e1m1 … fp8-e5m2, with -channel or -g16 … -g256, and -pow2';

/**
 * Floats of 3 to 8 bits with a shared scale (ZeroQuant-FP, Wu et al., 2023; FLIQS, Dotzel et al., 2023):
 * `fp<bits>-e<exponent bits>m<mantissa bits>`, the sign taking one bit, with one scale per 32 columns of a row, per
 * `-g16` … `-g256`, or per output row (`-channel`). Scales are halves, or with `-pow2` powers of two in a byte, which
 * costs nothing to apply; `fp8-e4m3-pow2`, `fp6-e2m3-pow2` and so on are then OCP's MXFP8 and MXFP6 (MXFP4 is GGUF's
 * `mxfp4`). Values: `floatValues`.
 *
 * Stored as src/grid/tersor/rows.ts says. Codes count the values from the lowest; there is one zero.
 * @returns undefined if the name is not one of these
 */
export function findFloatGrid(name: string): Grid | undefined {
  const match = namePattern.exec(name);
  if (!match) return undefined;
  const [bits = 0, exponentBits = 0, mantissaBits = 0] = match.slice(1, 4).map(Number);
  if (1 + exponentBits + mantissaBits !== bits) return undefined;
  const [, , , , sharing = `g${usualGroupSize}`, size, constraint] = match;
  const channel = sharing === 'channel';
  const groupSize = channel ? Number.POSITIVE_INFINITY : Number(size ?? usualGroupSize);
  const power = constraint !== undefined;
  const format = { exponentBits, mantissaBits };
  const values = floatValues(format);
  const levels = { kind: 'table', values } as const;
  const layout: RowLayout = { name, bits, groupSize, block: power ? 'code' : 'scale' };

  const grid: Grid = {
    name,
    summary: `${bits}-bit floats (E${exponentBits}M${mantissaBits}), a ${power ? 'power of two' : 'half'} as scale per ${channel ? 'channel' : groupSize}`,
    levels,
    blockSize: channel ? 1 : groupSize,
    blockBytes: channel ? bits / 8 : blockBytes(layout, groupSize),
    groupSize,
    runtimes: ['tersor'],
    ...(power ? {} : { scale: { kind: 'direct', type: 'f16', offset: false } as const }),
    bytes: (rows, cols) => rows * rowBytes(layout, cols),
    allocate(arena, rows, cols) {
      const length = groupsOf(layout, cols) * strideOf(rows);
      const stored = power ? { scaleCode: arena.u8(length) } : {};
      return { scale: arena.f32(length), offset: arena.f32(length).fill(-0), stored };
    },
    async fit(kernels, weight, importance, parameters, from) {
      if (values.length > fewValues) {
        const stored = power ? { stored: { values: powersOfTwo, unit: 1, power: true } as const } : {};
        return fitByRatios(
          kernels,
          { ...format, groupSize, ...stored },
          weight,
          importance,
          parameters,
          from,
        );
      }
      await fitDirect(kernels, fitFormat(power), weight, importance, parameters, from);
      // The search goes to powers below what E8M0 holds.
      if (power) await snap(kernels, weight, parameters);
    },
    async pack(kernels, encoded) {
      if (power) await scalesToCodes(kernels, encoded.parameters, encoded.stride, powersOfTwo);
      return packRows(kernels, layout, encoded);
    },
    unpack: (kernels, arena, bytes, rows, cols) =>
      unpackRows(kernels, arena, { grid, layout }, bytes, { rows, cols }, (parameters) =>
        power ? codesToScales(kernels, parameters, strideOf(rows), powersOfTwo) : undefined,
      ),
  };

  const fitFormat = (power: boolean) => ({
    levels,
    groupSize,
    blockSize: groupSize,
    scale: { kind: 'direct', type: power ? 'e8m0' : 'f16', offset: false } as const,
  });
  return grid;
}

async function snap(kernels: Kernels, { stride }: Panel, parameters: Parameters): Promise<void> {
  await scalesToCodes(kernels, parameters, stride, powersOfTwo);
  await codesToScales(kernels, parameters, stride, powersOfTwo);
}
