import { expect, test } from 'vitest';
import { randomModel, tiny } from '../../test/fixtures/random-model.js';
import { denseFisher, multiply } from '../../test/reference/fisher.js';
import { normals, uniform } from '../../test/reference/random.js';
import { createHessianProducts } from './hessian-products.js';

const next = uniform(5);
// Of two lengths, out of order.
const texts = [5, 3, 5].map((length) => Int32Array.from({ length }, () => Math.floor(16 * next())));

/** Third derivatives and rounding weigh about alike. */
const step = 1.5e-3;

const angle = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  const dot = (x: ArrayLike<number>, y: ArrayLike<number>) =>
    Array.from(x, (value, i) => value * (y[i] ?? 0)).reduce((sum, value) => sum + value, 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
};

test.each([
  ['gpt2', ['blk.0.attn_qkv', 'blk.1.ffn_down', 'token_embd']],
  ['llama', ['blk.0.attn_k', 'blk.1.ffn_gate', 'token_embd', 'blk.0.attn_q.']],
  ['bert', ['blk.0.attn_v.weight', 'blk.1.attn_output.weight', 'token_embd.weight']],
  ['bert by its first token', ['blk.0.attn_v.weight', 'token_embd.weight']],
] as const)('products with the Hessian of %s are those with the dense matrix', async (name, parts) => {
  const model = randomModel(tiny[name], 0.4);
  const products = await createHessianProducts(model, texts);
  let compared = 0;
  for (const spec of model.architecture.tensors) {
    if (!['linear', 'embedding', 'head'].includes(spec.kind)) continue;
    if (!parts.some((part) => spec.names.gguf.includes(part))) continue;
    const size = model.weights.get(spec)?.length ?? 0;
    const vector = normals(size, 3);
    const dense = multiply(await denseFisher(model, texts, spec), vector);
    const found = await products.own(spec, { vector, step });
    const label = `${name} ${spec.names.gguf}`;
    expect(angle(found, dense), label).toBeGreaterThan(0.9995);
    expect(Math.abs(Math.hypot(...found) / Math.hypot(...dense) - 1), label).toBeLessThan(0.01);
    compared++;
  }
  expect(compared).toBeGreaterThanOrEqual(parts.length);
  await products.release();
});

test('products of all weights at once are those of each, with terms between weights that cancel', async () => {
  const model = randomModel(tiny.llama, 0.4);
  const products = await createHessianProducts(model, texts);
  const specs = model.architecture.tensors.filter(({ kind }) =>
    ['linear', 'embedding', 'head'].includes(kind),
  );
  // Moving one weight only leaves no other terms.
  for (const chosen of specs.filter((_, index) => index % 5 === 0)) {
    const vectors = new Map(
      specs.map((spec, index) => [spec, normals(model.weights.get(spec)?.length ?? 0, index)]),
    );
    const still = (length: number) => ({ vector: new Float32Array(length), step });
    const visited = new Map<unknown, Float32Array>();
    await products.all(
      async (spec, weight) => {
        const vector = vectors.get(spec) ?? new Float32Array();
        return spec === chosen ? { vector, step } : still(weight.length || vector.length);
      },
      async (spec, _vector, product) => {
        visited.set(spec, product);
      },
    );
    expect(visited.size).toBe(specs.length);
    const own = await products.own(chosen, { vector: vectors.get(chosen) ?? new Float32Array(), step });
    const found = visited.get(chosen) ?? new Float32Array();
    for (const [index, value] of own.entries()) expect(found[index]).toBeCloseTo(value, 5);
  }
  await products.release();
});
