import type { Architecture, TensorSpec } from '../../architecture/architecture.js';
import { findGrid } from '../../grid/index.js';
import type { MixtureName } from '../typed-options.js';

/** Where a tensor stands among those that do the same. */
interface Place {
  readonly index: number;
  readonly count: number;
  /** Blocks of the model. */
  readonly layers: number;
  /** Heads that share a key and a value. */
  readonly sharing: number;
}

type Rule = (place: Place) => string | undefined;

/** A mixture of llama.cpp: the type of most tensors, and those of tensors that do the same in every block. */
interface Mixture {
  readonly type: string;
  /** Of values, or of queries, keys and values in one. */
  readonly values?: Rule;
  readonly down?: Rule;
  readonly output?: Rule;
}

const part = (numerator: number, count: number, denominator: number) =>
  Math.floor((numerator * count) / denominator);
/** The first and the last eighth, and every third between. */
const moreBits = (index: number, count: number) =>
  index < part(1, count, 8) || index >= part(7, count, 8) || (index - part(1, count, 8)) % 3 === 2;
const sixBitsForSome = {
  values: ({ index, count }) => (moreBits(index, count) ? 'q6_k' : undefined),
  down: ({ index, layers }) => (moreBits(index, layers) ? 'q6_k' : undefined),
} satisfies Partial<Mixture>;

const mixtures: Readonly<Record<MixtureName, Mixture>> = {
  q2_k_s: {
    type: 'q2_k',
    values: ({ sharing }) => (sharing >= 4 ? 'q4_k' : undefined),
    down: ({ index, layers }) => (index < part(1, layers, 8) ? 'q4_k' : undefined),
  },
  q3_k_s: { type: 'q3_k' },
  q3_k_m: {
    type: 'q3_k',
    values: ({ index }) => (index < 2 ? 'q5_k' : 'q4_k'),
    down: ({ index, layers }) => (index < part(1, layers, 16) ? 'q5_k' : 'q4_k'),
    output: () => 'q4_k',
  },
  q3_k_l: { type: 'q3_k', values: () => 'q5_k', down: () => 'q5_k', output: () => 'q5_k' },
  q4_k_s: {
    type: 'q4_k',
    values: ({ index }) => (index < 4 ? 'q5_k' : undefined),
    down: ({ index, layers }) => (index < part(1, layers, 8) ? 'q5_k' : undefined),
  },
  q4_k_m: { type: 'q4_k', ...sixBitsForSome },
  q5_k_s: { type: 'q5_k' },
  q5_k_m: { type: 'q5_k', ...sixBitsForSome },
};

export const mixtureNames = Object.keys(mixtures) as readonly MixtureName[];

const find = (name: string): Mixture | undefined =>
  Object.hasOwn(mixtures, name) ? mixtures[name as MixtureName] : undefined;

/** The type that most tensors of a mixture have; undefined for what is none. */
export const mixtureType = (name: string): string | undefined => find(name)?.type;

/** What a row that a type's blocks do not divide is stored as in its place. */
const replacements: Readonly<Record<string, string>> = {
  q2_k: 'q4_0',
  q3_k: 'q4_0',
  q4_k: 'q5_0',
  q5_k: 'q5_1',
  q6_k: 'q8_0',
};

/**
 * The types that llama.cpp's own quantizer gives tensors for a name such as Q4_K_M, without an importance matrix
 * (llama_tensor_get_type in src/llama-quant.cpp, version 0.5.0): values and the outputs of feed-forward layers get more
 * bits in some blocks, the output head six.
 * @param fitted whether rows that a type's blocks do not divide get the type that llama.cpp replaces it by
 * @returns undefined unless the name is one of `mixtureNames`
 */
export function mixtureTypes(
  name: string,
  architecture: Pick<Architecture, 'modelType' | 'layers' | 'tied' | 'tensors' | 'ggufMetadata'>,
  fitted: boolean,
): ReadonlyMap<TensorSpec, string> | undefined {
  const mixture = find(name);
  if (!mixture) return undefined;
  const { layers, tensors } = architecture;
  const [heads, keyHeads] = ['attention.head_count', 'attention.head_count_kv'].map((key) =>
    Number(architecture.ggufMetadata()[key]?.value),
  );
  const sharing = part(heads ?? 1, 1, keyHeads || heads || 1);
  const all = (pattern: RegExp) => tensors.filter(({ names }) => pattern.test(names.gguf));
  const types = new Map<TensorSpec, string>();
  for (const spec of tensors) {
    if (spec.kind === 'linear') types.set(spec, mixture.type);
    else if (spec.kind === 'embedding') types.set(spec, architecture.tied ? 'q6_k' : mixture.type);
    else types.set(spec, spec.kind === 'head' ? 'q6_k' : 'f32');
  }
  const give = (specs: readonly TensorSpec[], rule: Rule | undefined) => {
    for (const [index, spec] of specs.entries())
      types.set(spec, rule?.({ index, count: specs.length, layers, sharing }) ?? mixture.type);
  };
  give(all(/\.attn_(v|qkv)\.weight$/), largeValues(mixture, architecture.modelType, layers, sharing));
  give(all(/\.ffn_down\.weight$/), mixture.down);
  give(all(/\.attn_output\.weight$/), mixture.output);
  if (!fitted) return types;
  return new Map([...types].map(([spec, type]) => [spec, fitting(type, spec.shape.at(-1) ?? 1)]));
}

/** Models of 80 blocks, whose heads share values: these get five bits where they would get three or four. */
function largeValues({ type, values }: Mixture, modelType: string, layers: number, sharing: number): Rule {
  const usual: Rule = (place) => values?.(place) ?? type;
  if (layers !== 80 || (modelType === 'llama' ? sharing === 1 : modelType !== 'qwen2')) return usual;
  return (place) => {
    const given = usual(place);
    return given === 'q3_k' || given === 'q4_k' ? 'q5_k' : given;
  };
}

function fitting(type: string, width: number): string {
  if (width % findGrid(type).blockSize === 0) return type;
  const other = replacements[type];
  return other && width % findGrid(other).blockSize === 0 ? other : 'f16';
}
