import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { ArchitectureEntry, TensorSpec } from '../../architecture/architecture.js';
import { plan } from '../../index.js';
import { llamaFileTypes } from '../../runtime/llama-types.js';
import { mixtureNames, mixtureType, mixtureTypes } from './mixtures.js';

const path = (relative: string) => fileURLToPath(new URL(`../../../${relative}`, import.meta.url));

interface Measured {
  readonly layers: number;
  readonly width: number;
  readonly feedForward: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly tied: boolean;
  /** By mixture and tensor, the types of the blocks in their order: `2*q6_k 18*q4_k`. */
  readonly types: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/**
 * What llama-quantize of llama.cpp v0.5.0 gave the tensors of random Llama models of these shapes, one of them as tales
 * (`llama-quantize model.gguf out.gguf Q4_K_M`, with an importance matrix for Q2_K_S, which asks for one).
 */
const measured: readonly Measured[] = JSON.parse(
  readFileSync(path('test/fixtures/llama-mixtures.json'), 'utf8'),
);

function architectureOf({ layers, width, feedForward, heads, keyHeads, tied }: Measured) {
  const keys = (width / heads) * keyHeads;
  const spec = (gguf: string, kind: TensorSpec['kind'], shape: readonly number[]): TensorSpec => ({
    role: gguf,
    kind,
    shape,
    names: { huggingface: gguf, gguf },
  });
  const block = (index: number) => [
    spec(`blk.${index}.attn_norm.weight`, 'norm', [width]),
    ...Object.entries({
      attn_q: [width, width],
      attn_k: [keys, width],
      attn_v: [keys, width],
      attn_output: [width, width],
      ffn_gate: [feedForward, width],
      ffn_up: [feedForward, width],
      ffn_down: [width, feedForward],
    }).map(([name, shape]) => spec(`blk.${index}.${name}.weight`, 'linear', shape)),
  ];
  return {
    modelType: 'llama',
    layers,
    tied,
    tensors: [
      spec('token_embd.weight', 'embedding', [99, width]),
      ...Array.from({ length: layers }, (_, index) => block(index)).flat(),
      ...(tied ? [] : [spec('output.weight', 'head', [99, width])]),
    ],
    ggufMetadata: (): Record<string, ArchitectureEntry> => ({
      'attention.head_count': { type: 'u32', value: heads },
      'attention.head_count_kv': { type: 'u32', value: keyHeads },
    }),
  } as const;
}

/** Types by what tensors do, as the fixture has them. */
function inRuns(types: Iterable<readonly [name: string, type: string]>): Record<string, string> {
  const runs = new Map<string, { type: string; count: number }[]>();
  for (const [name, type] of types) {
    if (type === 'f32') continue;
    const role = name.replace(/^blk\.\d+\./, '').replace(/\.weight$/, '');
    const own = runs.get(role) ?? [];
    runs.set(role, own);
    const last = own.at(-1);
    if (last?.type === type) last.count++;
    else own.push({ type, count: 1 });
  }
  return Object.fromEntries(
    [...runs].map(([role, own]) => [role, own.map(({ type, count }) => `${count}*${type}`).join(' ')]),
  );
}

test.each(measured)('$layers blocks of $width get the types that llama-quantize gives', (model) => {
  expect(Object.keys(model.types)).toEqual(mixtureNames);
  for (const [name, expected] of Object.entries(model.types)) {
    const types = [...(mixtureTypes(name, architectureOf(model), true) ?? [])];
    expect(inRuns(types.map(([{ names }, type]) => [names.gguf, type])), name).toEqual(expected);
  }
});

test('rows that blocks do not divide keep the type of the mixture where another replacement is asked for', () => {
  const model = measured.find(({ width }) => width === 288) as Measured;
  const types = [...(mixtureTypes('q4_k_m', architectureOf(model), false) ?? [])].map(([, type]) => type);
  expect(new Set(types)).toEqual(new Set(['q4_k', 'q6_k', 'f32']));
});

test('a plan has the types of the mixture, and says so', async () => {
  const notes: string[] = [];
  const tales = { model: path('models/tales'), tokens: 512, solver: 'rtn' } as const;
  const { tensors, recipe } = await plan(
    { ...tales, type: 'q4_k_m' },
    { warn: (line) => void notes.push(line) },
  );
  const expected = measured.find(({ layers }) => layers === 4)?.types.q4_k_m;
  expect(inRuns(tensors.map(({ name, type }) => [name, type]))).toEqual(expected);
  expect(recipe.type).toBe('q4_k_m');
  expect(notes.join()).toContain('Q4_K_M mixes types as llama.cpp does');
  const other = await plan({ ...tales, type: 'q4_k_m', embeddingType: 'q8_0' });
  expect(other.tensors.find(({ name }) => name === 'token_embd.weight')?.type).toBe('q8_0');
});

test('what is no mixture is none', () => {
  expect(['q4_k_m', 'q3_k_l', 'q4_k', 'iq4_xs', 'q8_0_m', 'constructor'].map(mixtureType)).toEqual([
    'q4_k',
    'q3_k',
    ...[undefined, undefined, undefined, undefined],
  ]);
  for (const name of mixtureNames) expect(llamaFileTypes).toHaveProperty(name);
});
