import type { TensorSpec } from '../architecture/architecture.js';
import type { Grid } from '../grid/grid.js';
import type { WordFormat } from '../grid/packed-int32/layout.js';
import { isWordGrid } from '../grid/packed-int32/packed-int32.js';

/** What a runtime needs to know of how weights are stored; `quantization_config` in config.json. */
export type QuantizationConfig = Readonly<Record<string, unknown>>;

/** A tensor under Hugging Face's name. */
export interface NamedTensor {
  readonly name: string;
  readonly spec: TensorSpec;
  readonly grid: Grid;
}

/** A way of storing weights, and the layers that have it. */
interface Scheme {
  readonly format: WordFormat;
  readonly modules: readonly string[];
}

/** The module whose weight a tensor is. */
export const moduleOf = (tensor: string): string => tensor.replace(/\.weight$/, '');

/** Schemes by how many layers have them, the most frequent first, and the layers that have none. */
function schemes(tensors: readonly NamedTensor[]): { readonly all: Scheme[]; readonly plain: string[] } {
  const found = new Map<string, { format: WordFormat; modules: string[] }>();
  const plain: string[] = [];
  for (const { name, spec, grid } of tensors) {
    if (spec.kind !== 'linear') continue;
    if (!isWordGrid(grid)) {
      plain.push(moduleOf(name));
      continue;
    }
    const scheme = found.get(grid.name) ?? { format: grid.words, modules: [] };
    scheme.modules.push(moduleOf(name));
    found.set(grid.name, scheme);
  }
  return { all: [...found.values()].sort((a, b) => b.modules.length - a.modules.length), plain };
}

/**
 * GPTQ's, as AutoGPTQ and GPTQModel write it: the most frequent scheme for all layers, and GPTQModel's `dynamic`, by
 * patterns of names, for layers that have another or none.
 */
export function gptqConfig(tensors: readonly NamedTensor[], version: string): QuantizationConfig {
  const { all, plain } = schemes(tensors);
  const [main, ...others] = all;
  const exactly = (module: string) => `^${module.replaceAll('.', '\\.')}$`;
  const settings = ({ bits, groupSize, affine }: WordFormat) => ({
    bits,
    group_size: Number.isFinite(groupSize) ? groupSize : -1,
    sym: !affine,
  });
  const dynamic = [
    ...others.flatMap(({ format, modules }) =>
      withFused(modules).map((module) => [`+:${exactly(module)}`, settings(format)] as const),
    ),
    ...withFused(plain).map((module) => [`-:${exactly(module)}`, {}] as const),
  ];
  return {
    quant_method: 'gptq',
    ...(main ? settings(main.format) : {}),
    desc_act: false,
    lm_head: false,
    checkpoint_format: 'gptq',
    pack_dtype: 'int32',
    ...(dynamic.length > 0 ? { dynamic: Object.fromEntries(dynamic) } : {}),
    meta: { quantizer: [`tersor:${version}`] },
  };
}

/** Projections that vLLM runs as one, and what it calls them. */
export const fusedModules: Readonly<Record<string, readonly string[]>> = {
  qkv_proj: ['q_proj', 'k_proj', 'v_proj'],
  gate_up_proj: ['gate_proj', 'up_proj'],
};

/** vLLM looks for the names of its own fused layers. */
function withFused(modules: readonly string[]): string[] {
  const known = new Set(modules);
  const fused = modules.flatMap((module) =>
    Object.entries(fusedModules).flatMap(([name, [first = '', ...rest]]) => {
      const stem = module.endsWith(`.${first}`) ? module.slice(0, -first.length) : undefined;
      return stem !== undefined && rest.every((other) => known.has(stem + other)) ? [stem + name] : [];
    }),
  );
  return [...modules, ...fused];
}

/**
 * compressed-tensors': a group of settings for every scheme. A single one is for all linear layers but those of
 * `ignore`; several name their layers.
 */
export function compressedTensorsConfig(tensors: readonly NamedTensor[]): QuantizationConfig {
  const { all, plain } = schemes(tensors);
  const groups = all.map(({ format: { bits, groupSize, affine }, modules }, index) => {
    const grouped = Number.isFinite(groupSize);
    const weights = {
      num_bits: bits,
      type: 'int',
      symmetric: !affine,
      strategy: grouped ? 'group' : 'channel',
      group_size: grouped ? groupSize : null,
      block_structure: null,
      dynamic: false,
      actorder: null,
      observer: 'minmax',
      observer_kwargs: {},
    };
    const targets = all.length === 1 ? ['Linear'] : modules;
    return [
      `group_${index}`,
      { targets, weights, input_activations: null, output_activations: null },
    ] as const;
  });
  return {
    quant_method: 'compressed-tensors',
    format: 'pack-quantized',
    quantization_status: 'compressed',
    config_groups: Object.fromEntries(groups),
    ignore: ['lm_head', ...plain],
    kv_cache_scheme: null,
    global_compression_ratio: null,
  };
}
