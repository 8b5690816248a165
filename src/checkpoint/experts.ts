import type { Checkpoint, Tensor, TensorInfo } from './checkpoint.js';

/** How a format keeps one kind of weight of all experts of a layer in one tensor. */
interface Joined {
  /** Of the tensor's name. */
  readonly pattern: RegExp;
  /** Names of the parts of an expert, whose rows follow each other in it; `*` stands for its number. */
  readonly parts: readonly string[];
}

/** Tensors of three dimensions, experts outermost. */
const joined: readonly Joined[] = [
  // llama.cpp
  { pattern: /^(blk\.\d+\.ffn_(?:gate|up|down)_exps)\.weight$/, parts: ['$1.*.weight'] },
  // transformers 5 in memory, and files that were written from it
  {
    pattern: /^(.*\.mlp\.experts)\.gate_up_proj$/,
    parts: ['$1.*.gate_proj.weight', '$1.*.up_proj.weight'],
  },
  { pattern: /^(.*\.mlp\.experts)\.down_proj$/, parts: ['$1.*.down_proj.weight'] },
  // the same of Mixtral
  { pattern: /^(.*\.block_sparse_moe\.experts)\.gate_up_proj$/, parts: ['$1.*.w1.weight', '$1.*.w3.weight'] },
  { pattern: /^(.*\.block_sparse_moe\.experts)\.down_proj$/, parts: ['$1.*.w2.weight'] },
  // Granite
  {
    pattern: /^(.*\.block_sparse_moe)\.input_linear\.weight$/,
    parts: ['$1.experts.*.gate_proj.weight', '$1.experts.*.up_proj.weight'],
  },
  { pattern: /^(.*\.block_sparse_moe)\.output_linear\.weight$/, parts: ['$1.experts.*.down_proj.weight'] },
];

/** Where a tensor lies in a larger one. */
interface Place {
  readonly whole: string;
  readonly expert: number;
  /** First of its rows in the part of the expert. */
  readonly from: number;
  readonly shape: readonly [rows: number, cols: number];
}

/**
 * A checkpoint in which every expert has tensors of its own: where a format keeps all of them in one tensor, its parts
 * stand in its place, and are read one expert at a time.
 */
export function withOwnExperts(checkpoint: Checkpoint): Checkpoint {
  const places = new Map<string, Place>();
  const tensors = new Map<string, TensorInfo>();
  for (const info of checkpoint.tensors.values()) {
    const parts = partsOf(info);
    if (parts.length === 0) tensors.set(info.name, info);
    for (const [name, place] of parts) {
      places.set(name, place);
      const share = (info.bytes * place.shape[0]) / ((info.shape[0] ?? 1) * (info.shape[1] ?? 1));
      tensors.set(name, { name, shape: place.shape, type: info.type, bytes: share });
    }
  }
  if (places.size === 0) return checkpoint;
  const rowsOf = async (
    { whole, expert, from, shape }: Place,
    first: number,
    end: number,
  ): Promise<Tensor> => {
    const [rows, cols] = shape;
    if (!(0 <= first && first <= end && end <= rows))
      throw new RangeError(`rows ${first} to ${end} of an expert of ${whole}, which has ${rows}`);
    const { data } = await checkpoint.readRows(whole, expert, expert + 1);
    return { shape: [end - first, cols], data: data.subarray((from + first) * cols, (from + end) * cols) };
  };
  return {
    ...checkpoint,
    tensors,
    joinsExperts: true,
    async read(name) {
      const place = places.get(name);
      return place ? rowsOf(place, 0, place.shape[0]) : checkpoint.read(name);
    },
    async readRows(name, from, to) {
      const place = places.get(name);
      return place ? rowsOf(place, from, to) : checkpoint.readRows(name, from, to);
    },
  };
}

/** The tensors that a tensor of all experts consists of, by name; none if it is no such tensor. */
function partsOf({ name, shape }: TensorInfo): [string, Place][] {
  const [experts = 0, rows = 0, cols = 0] = shape;
  const rule = shape.length === 3 ? joined.find(({ pattern }) => pattern.test(name)) : undefined;
  if (!rule || rows % rule.parts.length !== 0) return [];
  const own = rows / rule.parts.length;
  return Array.from({ length: experts }, (_, expert) =>
    rule.parts.map((part, at): [string, Place] => [
      name.replace(rule.pattern, part).replace('*', `${expert}`),
      { whole: name, expert, from: at * own, shape: [own, cols] },
    ]),
  ).flat();
}
