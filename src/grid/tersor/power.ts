import type { Arena, Kernels } from '../../kernels/kernels.js';
import { type Panel, strideOf } from '../../kernels/panel.js';
import { fitDirect } from '../fit/fit.js';
import { roundingErrors } from '../fit/rounding-errors.js';
import { type Grid, type Parameters, storedFloats } from '../grid.js';
import { allocateCodebook, codebookOf } from './codebook.js';
import { blockBytes, groupsOf, packRows, type RowLayout, rowBytes, unpackRows } from './rows.js';

const namePattern = /^power([2-4])(?:-(channel|g(16|32|64|128|256)))?$/;
const usualGroupSize = 32;

/** How these grids are named, for messages that list what there is. */
export const powerGridNames = 'power2 … power4, with -channel or -g16 … -g256';

/** Exponents that are tried, in eighths: 8 is the uniform grid, 16 suits tails much heavier than normal ones. */
const exponents = Array.from({ length: 11 }, (_, i) => 8 + i);

/**
 * Power functions of the integers (NUPES, Yvinec et al., 2023): `power<bits>`, with one half scale per 32 columns of a
 * row, per `-g16` … `-g256`, or per output row (`-channel`). Levels are sign(i) · (|i| / 2^(b−1))^exponent for
 * i = −2^(b−1) … 2^(b−1) − 1, denser around zero the larger the exponent. Every row has the exponent, 1 to 2.25, that
 * suits it best; 1 is the uniform grid of the same bits.
 *
 * Stored as src/grid/tersor/rows.ts says, a half scale per block and the row's exponent, in eighths, as a byte after them.
 * @returns undefined if the name is not one of these
 */
export function findPowerGrid(name: string): Grid | undefined {
  const match = namePattern.exec(name);
  if (!match) return undefined;
  const bits = Number(match[1]);
  const channel = match[2] === 'channel';
  const groupSize = channel ? Number.POSITIVE_INFINITY : Number(match[3] ?? usualGroupSize);
  const size = 2 ** bits;
  const lines = { count: 1, as: 'byte', of: exponentsOf } as const;
  const layout: RowLayout = { name, bits, groupSize, block: 'scale', lines };
  const grid: Grid = {
    name,
    summary: `${bits}-bit powers of integers, an exponent per row, a half scale per ${channel ? 'channel' : groupSize}`,
    levels: { kind: 'codebook', size },
    blockSize: channel ? 1 : groupSize,
    blockBytes: channel ? bits / 8 : blockBytes(layout, groupSize),
    groupSize,
    runtimes: ['tersor'],
    bytes: (rows, cols) => rows * rowBytes(layout, cols),
    allocate(arena, rows, cols) {
      const parameters = allocateCodebook(arena, rows, size, groupsOf(layout, cols));
      return { ...parameters, stored: { exponent: arena.f32(strideOf(rows)) } };
    },
    fit: (kernels, weight, importance, parameters, from) =>
      fitPower(kernels, { half: size / 2, groupSize }, weight, importance, parameters, from),
    pack: (kernels, encoded) => packRows(kernels, layout, encoded),
    unpack: (kernels, arena, bytes, rows, cols) =>
      unpackRows(kernels, arena, { grid, layout }, bytes, { rows, cols }, (parameters) =>
        setLevels(kernels, size / 2, parameters),
      ),
  };
  return grid;
}

const exponentsOf = (parameters: Parameters): Float32Array => storedFloats(parameters, 'exponent');

function setLevels(kernels: Kernels, half: number, parameters: Parameters): void {
  const exponent = exponentsOf(parameters);
  kernels.parallel('powerLevels', exponent.length, {
    exponents: exponent,
    half,
    stride: exponent.length,
    codebook: codebookOf(parameters),
  });
}

/**
 * Fits scales for every exponent and keeps, row by row, those with the least `Σ importance · (w − nearest value)²`.
 * The first columns that are fitted choose a tensor's exponents.
 */
async function fitPower(
  kernels: Kernels,
  { half, groupSize }: { readonly half: number; readonly groupSize: number },
  weight: Panel,
  importance: Float32Array,
  parameters: Parameters,
  from: number,
): Promise<void> {
  const { rows, stride, cols } = weight;
  const exponent = exponentsOf(parameters);
  const chosen = exponent.some((value) => value > 0);
  const groups = Number.isFinite(groupSize) ? cols / groupSize : 1;
  const at = Number.isFinite(groupSize) ? (from / groupSize) * stride : 0;
  const best = parameters.scale.subarray(at, at + groups * stride);
  const wanted = chosen ? [...new Set(exponent.subarray(0, rows))] : exponents;
  await kernels.scope(async (arena) => {
    const errors = arena.f64(stride).fill(Number.POSITIVE_INFINITY, 0, rows);
    for (const candidate of wanted) {
      await kernels.scope(async (inner) => {
        const trial = trialOf(kernels, inner, half, candidate, groups, stride);
        const format = {
          levels: { kind: 'table', values: trial.values } as const,
          groupSize,
          blockSize: Math.min(groupSize, cols),
          scale: { kind: 'direct', type: 'f16', offset: false } as const,
        };
        await fitDirect(kernels, format, weight, importance, trial.parameters, 0);
        const error = await roundingErrors(kernels, inner, format, weight, importance, trial.parameters);
        // A row whose exponent is chosen already takes no other.
        if (chosen)
          for (const [row, own] of exponent.subarray(0, rows).entries())
            if (own !== candidate) error[row] = Number.POSITIVE_INFINITY;
        const line = inner.f32(stride).fill(candidate);
        const before = inner.f64(stride);
        before.set(errors);
        const own = { lines: 1, stride, errors: error, bestErrors: before };
        kernels.parallel('keepBetterRows', rows, { ...own, candidate: line, best: exponent });
        const all = { lines: groups, stride, errors: error, bestErrors: errors };
        kernels.parallel('keepBetterRows', rows, { ...all, candidate: trial.parameters.scale, best });
      });
    }
  });
  setLevels(kernels, half, parameters);
}

/** The levels of one exponent and room for scales on them. */
function trialOf(
  kernels: Kernels,
  arena: Arena,
  half: number,
  exponent: number,
  groups: number,
  stride: number,
): { readonly values: Float32Array; readonly parameters: Parameters } {
  const values = arena.f32(2 * half);
  kernels.parallel('powerLevels', 1, {
    exponents: arena.f32(1).fill(exponent),
    half,
    stride: 1,
    codebook: values,
  });
  const length = groups * stride;
  return {
    values,
    parameters: { scale: arena.f32(length), offset: arena.f32(length).fill(-0), stored: {} },
  };
}
