import { TersorError } from '../errors.js';
import type { Worth } from '../method.js';
import { packFloats, unpackFloats } from './cast.js';
import { fitFormat } from './fit/fit.js';
import { allocateParameters } from './gguf/dequantize.js';
import { type GgufFormat, type GgufName, ggufFormats } from './gguf/gguf.js';
import { type BlockLayout, blockLayouts } from './gguf/layout.js';
import { packBlocks, unpackBlocks } from './gguf/pack.js';
import type { Grid } from './grid.js';
import { findMatMulNBitsGrid, matMulNBitsNames } from './onnx/matmul-nbits.js';
import { compressedTensorsNames, findCompressedTensorsGrid } from './packed-int32/compressed-tensors.js';
import { findGptqGrid, gptqNames } from './packed-int32/gptq.js';
import { adaDimGridNames, findAdaDimGrid } from './tersor/adadim.js';
import { codebookGridNames, findCodebookGrid } from './tersor/codebook.js';
import { findFloatGrid, floatGridNames } from './tersor/float.js';
import { findIntegerGrid, integerGridNames } from './tersor/integer.js';
import { findNestedGrid, nestedGridNames } from './tersor/nested.js';
import { findNvfp4Grid } from './tersor/nvfp4.js';
import { findOutlierGrid, outlierGridNames } from './tersor/outliers.js';
import { findPowerGrid, powerGridNames } from './tersor/power.js';
import { findRowMixGrid, rowMixGridNames } from './tersor/row-mix.js';
import { findSignGrid, signGridNames } from './tersor/signs.js';
import { findVectorGrid, vectorGridNames } from './vector/vector.js';

/** GGUF's tensor types as grids, by name. */
export const ggufGrids = Object.fromEntries(
  Object.values(ggufFormats).map((format) => [format.name, ggufGrid(format)]),
) as { readonly [Name in GgufName]: Grid };

/** A family of tersor's own grids, whose names follow a pattern. */
export interface GridFamily extends Worth {
  /** The row of the catalogue of methods. */
  readonly id: string;
  readonly title: string;
  readonly paper: string;
  /** How the names are made. */
  readonly names: string;
  /** Some of the names, to show what they stand for. */
  readonly examples: readonly string[];
  /** The grid of this name, if it is one of the family. */
  find(name: string): Grid | undefined;
}

/** Every family of grids besides GGUF's types, in the order of the catalogue. */
export const gridFamilies: readonly GridFamily[] = [
  {
    id: 'G1',
    title: 'Uniform integers',
    paper: 'baseline',
    status: 'recommended',
    wins: 'folders of tersor’s own: int4 of tales, 4.52 bits, ends at a divergence of 0.0434',
    names: integerGridNames,
    examples: ['int4', 'int3-g64', 'int2-g16-asym', 'int8-channel'],
    find: findIntegerGrid,
  },
  {
    id: 'G1',
    title: 'AdaDim: groups along inputs or outputs, whichever loses less',
    paper: 'Heo et al., 2024, arXiv:2309.15531',
    status: 'experimental',
    wins: 'nowhere yet: 0.998 to 1.000 of the layer error of the same integers along inputs',
    names: adaDimGridNames,
    examples: ['int4-out', 'int4-ada', 'int3-g64-ada', 'int2-g16-asym-ada'],
    find: findAdaDimGrid,
  },
  {
    id: 'G3',
    title: 'SqueezeLLM: a codebook for every row by importance-weighted k-means',
    paper: 'Kim et al., 2023, arXiv:2306.07629',
    status: 'special',
    wins: 'few bits: codebook2 has 2.19 bits and 1.02 of the layer error of int2, which has 2.5',
    names: codebookGridNames,
    examples: ['codebook2', 'codebook3', 'codebook4'],
    find: findCodebookGrid,
  },
  {
    id: 'G4',
    title: 'NUPES: powers of the integers, the exponent fitted to every row',
    paper: 'Yvinec et al., 2023, arXiv:2308.05600',
    status: 'special',
    wins: '3 and 4 bits: 0.93 and 0.88 of the layer error of int3 and int4 for 0.03 bits more',
    names: powerGridNames,
    examples: ['power3', 'power4', 'power4-channel'],
    find: findPowerGrid,
  },
  {
    id: 'G5',
    title: 'Floats with shared scales: ZeroQuant-FP, FLIQS, OCP’s MX formats',
    paper:
      'Wu et al., 2023, arXiv:2307.09782; Dotzel et al., 2023, arXiv:2308.03290; OCP Microscaling Formats 1.0',
    status: 'experimental',
    wins: 'runtimes that have them: 1.23 of the layer error of int4 (fp4-e2m1), 1.28 of int6’s (fp6-e2m3)',
    names: floatGridNames,
    examples: ['fp4-e2m1', 'fp4-e3m0', 'fp6-e2m3-pow2', 'fp8-e4m3', 'fp8-e5m2-channel'],
    find: findFloatGrid,
  },
  {
    id: 'G5',
    title: 'NVFP4: floats with float scales',
    paper: 'NVIDIA, Pretraining large language models with NVFP4, 2025, arXiv:2509.25149',
    status: 'experimental',
    wins: 'runtimes that have it: 1.52 of the layer error of int4-g16, for half a bit less',
    names: 'nvfp4',
    examples: ['nvfp4'],
    find: findNvfp4Grid,
  },
  {
    id: 'G8',
    title: 'Nested bits: the high bits of one tensor are every lower precision (Double Rounding)',
    paper: 'Huang et al., 2025, arXiv:2502.01199',
    status: 'special',
    wins: 'one tensor for 8, 6, 4 and 2 bits: 0.70 to 0.79 of the error of plain rounding at each',
    names: nestedGridNames,
    examples: ['nested8', 'nested6', 'nested4', 'nested2'],
    find: findNestedGrid,
  },
  {
    id: 'G9',
    title: 'Sums of scaled sign planes: BinaryDM, BitStack',
    paper: 'Zheng et al., 2024, arXiv:2404.05662; Wang et al., 2024, arXiv:2410.23918',
    status: 'experimental',
    wins: 'two bits: signs2 has 2.13 bits and 1.03 of the layer error of int2, which has 2.5; more planes lose',
    names: signGridNames,
    examples: ['signs1', 'signs2', 'signs3', 'signs4'],
    find: findSignGrid,
  },
  {
    id: 'G6',
    title: 'Vector codebooks under the Hessian, for the solver vptq',
    paper: 'VPTQ: Liu et al., 2024, arXiv:2409.17066',
    status: 'special',
    wins: 'two bits: 0.76 of the layer error of tq2_0 and 0.83 of q2_k’s, all bytes counted',
    names: vectorGridNames,
    examples: ['vq-d2-k16', 'vq-d4-k256', 'vq-d4-k64-r4', 'vq-d8-k4096'],
    find: findVectorGrid,
  },
  {
    id: 'V4, D3',
    title: 'Outliers beside codes, for the solver outliers',
    paper: 'QuantEase: Behdin et al., 2023, arXiv:2309.01885; SqueezeLLM: Kim et al., 2023, arXiv:2306.07629',
    status: 'special',
    wins: 'where the next bit does not fit: int3-g64-s1 of tales at 3.5 bits 0.104, int3-g32 0.116',
    names: outlierGridNames,
    examples: ['int3-g64-s1', 'int3-channel-s0.5', 'int4-asym-c1', 'codebook3-s0.5'],
    find: findOutlierGrid,
  },
  {
    id: 'S5',
    title: 'MixLLM: the rows that matter most with eight bits, the others with fewer',
    paper: 'Zheng et al., 2024, arXiv:2412.14590',
    status: 'special',
    wins: 'a tenth more bits than int4 take 35 % of its divergence away on tales, whole tensors of int8 18 %',
    names: rowMixGridNames,
    examples: ['int4-r10', 'int4-asym-r5', 'int3-g64-r20', 'int2-channel-r2.5'],
    find: findRowMixGrid,
  },
];

/** Grids of ONNX folders, whose names mean something else there. */
export const onnxFamilies: readonly GridFamily[] = [
  {
    id: 'G1',
    title: 'Integers as onnxruntime’s MatMulNBits reads them; f16, bf16 and f32 are there as well',
    paper: 'baseline',
    status: 'recommended',
    wins: 'transformers.js: int4 of stories15M ends at a divergence of 0.0456, rounded at 0.127',
    names: matMulNBitsNames,
    examples: ['int4', 'int4-g64-asym', 'int2-g16', 'int8'],
    find: findMatMulNBitsGrid,
  },
];

/** Grids of folders for vLLM and transformers, likewise. */
export const vllmFamilies: readonly GridFamily[] = [
  {
    id: 'G1',
    title: 'gptq: integers in 32-bit words, as GPTQ’s checkpoints have them',
    paper: 'Frantar et al., 2022, arXiv:2210.17323; AutoGPTQ, GPTQModel',
    status: 'recommended',
    wins: 'vLLM and GPTQModel: int4-g128 of tales ends at 0.0546, by GPTQ as published at 0.0679',
    names: gptqNames,
    examples: ['int4-g128', 'int3-g128-asym', 'int8-channel'],
    find: findGptqGrid,
  },
  {
    id: 'G1',
    title: 'compressed-tensors: the same as its format pack-quantized has them',
    paper: 'https://github.com/vllm-project/compressed-tensors',
    status: 'recommended',
    wins: 'vLLM and transformers: int4-g128 of tales ends at 0.0546, by GPTQ as published at 0.0679',
    names: compressedTensorsNames,
    examples: ['int4-g128', 'int4-g32-asym', 'int8-channel'],
    find: findCompressedTensorsGrid,
  },
];

/** Names of GGUF's types; those of other grids follow patterns (`gridFamilies`). */
export const gridNames: readonly string[] = Object.keys(ggufGrids);

/**
 * The grid of this name (lower case): one of GGUF's types or of tersor's own.
 * @throws TersorError that lists the names if there is none
 */
export function findGrid(name: string): Grid {
  const found = knownGrid(name);
  if (found) return found;
  const patterns = gridFamilies.map(({ names }) => names);
  throw new TersorError(`there is no type ${name}`, {
    remedy: `choose one of ${[gridNames.join(', '), ...patterns].join('; ')}`,
  });
}

/** The grid of this name, if there is one. */
export function knownGrid(name: string): Grid | undefined {
  if (Object.hasOwn(ggufGrids, name)) return ggufGrids[name as GgufName];
  for (const { find } of gridFamilies) {
    const grid = find(name);
    if (grid) return grid;
  }
  return undefined;
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
    runtimes: levels.kind === 'cast' ? ['llama.cpp', 'onnxruntime', 'vllm'] : ['llama.cpp'],
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
      if (levels.kind === 'cast')
        return unpackFloats(kernels, arena, grid, levels.type, bytes, { rows, cols });
      return unpackBlocks(kernels, arena, { grid, format, layout: layoutOf(name) }, bytes, { rows, cols });
    },
  };
  return grid;
}

function layoutOf(name: GgufName): BlockLayout {
  return blockLayouts[name as keyof typeof blockLayouts];
}
