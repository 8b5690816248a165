/**
 * The forward pass of one Llama block against onnxruntime's bare matrix product, in the same run.
 * Shape of TinyLlama 1.1B: hidden 2048, feed-forward 5632, 32 query heads, 4 key and value heads.
 */
import { availableParallelism } from 'node:os';
import { createForward } from '../src/architecture/forward.js';
import { llama } from '../src/architecture/llama.js';
import { createCalibrator } from '../src/calibration/walk.js';
import { createGemm } from '../src/runtime/gemm.js';

const threads = Number(process.argv[3] ?? availableParallelism());
const rounds = 7;
const [hidden, intermediate, heads, kvHeads, headDim] = [2048, 5632, 32, 4, 64];
const architecture = llama(
  {
    modelType: 'llama',
    layers: 1,
    hidden,
    intermediate,
    heads,
    kvHeads,
    vocabulary: 32000,
    context: 2048,
    epsilon: 1e-5,
    rotary: { headDim, theta: 10000 },
  },
  () => false,
);
const batch = { sequences: 4, length: 512 };
const tokens = batch.sequences * batch.length;

const values = (length: number, scale: number) =>
  Float32Array.from({ length }, (_, at) => scale * (((at * 2654435761) % 1000) / 500 - 1));
const weights = Object.fromEntries(
  architecture.tensors
    .filter(({ block }) => block === 0)
    .map(({ role, kind, shape }) => {
      const length = shape.reduce((a, b) => a * b, 1);
      return [role, kind === 'norm' ? new Float32Array(length).fill(1) : values(length, hidden ** -0.5)];
    }),
);
const states = { batch, data: values(tokens * hidden, 1) };

const linear = architecture.tensors.filter(({ kind }) => kind === 'linear');
const linearFlop = linear.reduce(
  (sum, { shape: [out = 0, inputs = 0] }) => sum + 2 * tokens * out * inputs,
  0,
);
const attentionFlop = 2 * 2 * batch.sequences * heads * batch.length ** 2 * headDim;
const momentFlop = 2 * tokens * (3 * hidden ** 2 + intermediate ** 2);

const forward = createForward(architecture, { threads });
const calibrator = createCalibrator(architecture, { threads });
const gemm = createGemm({ threads });
const product = {
  a: { data: states.data, shape: [tokens, hidden] },
  b: { data: weights['ffn_up.weight'] as Float32Array, shape: [intermediate, hidden] },
  into: new Float32Array(tokens * intermediate),
};

const jobs: Record<string, { flop: number; run: () => Promise<unknown> }> = {
  'bare matrix product': {
    flop: 2 * tokens * hidden * intermediate,
    run: () => gemm(product.a, product.b, { transposeB: true, into: product.into }),
  },
  'block, forward': { flop: linearFlop + attentionFlop, run: () => forward.block(0, states, weights) },
  'block, calibration': {
    flop: linearFlop + attentionFlop + momentFlop,
    run: () => calibrator.walk({ block: 0, hidden: [states], weights }, async () => {}),
  },
};

const rates: Record<string, number[]> = {};
for (let round = 0; round <= rounds; round++) {
  for (const [name, { flop, run }] of Object.entries(jobs)) {
    const start = performance.now();
    await run();
    const rate = flop / (performance.now() - start) / 1e6;
    if (round > 0) rates[name] = [...(rates[name] ?? []), rate];
  }
}
const median = (numbers: number[]) => numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
const ceiling = median(rates['bare matrix product'] ?? []);
console.log(`${threads} threads, ${tokens} tokens, medians of ${rounds} rounds`);
for (const [name, numbers] of Object.entries(rates)) {
  const rate = median(numbers);
  console.log(
    `${name.padEnd(22)}${rate.toFixed(0).padStart(6)} GFLOP/s ${((100 * rate) / ceiling).toFixed(0).padStart(5)} %`,
  );
}
await forward.release();
await calibrator.release();
await gemm.release();
