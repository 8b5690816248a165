/**
 * What a weight costs when every part of its bytes is to be a weight: refinements as in stacked files, and BitStack's
 * blocks of signs and low-rank magnitudes, on layers of one block.
 *
 *   node bench/run.mjs stack MODEL CALIBRATION [block]
 */
import { blockTensors, matrixShape } from '../src/architecture/architecture.js';
import { createForward } from '../src/architecture/forward.js';
import { openModel } from '../src/architecture/model.js';
import { createCalibrator } from '../src/calibration/walk.js';
import { openCheckpoint } from '../src/checkpoint/open.js';
import { bitStack, bitStackBits } from '../src/decomposition/bitstack.js';
import { columnFactors } from '../src/decomposition/columns.js';
import { refine } from '../src/decomposition/refine.js';
import { columnSteps } from '../src/grid/tersor/refinement.js';
import { createKernels } from '../src/kernels/kernels.js';
import { toPanel } from '../src/kernels/panel.js';
import { createGemm } from '../src/runtime/gemm.js';
import { columnEnergies } from '../src/solver/column-energies.js';
import { layerError } from '../src/solver/layer-error.js';
import { quantEase } from '../src/solver/quantease.js';
import { chunk, readText } from '../src/text/corpus.js';
import { loadTokenizer } from '../src/text/load.js';
import type { Matrix, Moments } from '../src/types.js';

const [, , , path = 'models/tales', text = 'models/tales/calibration.txt', number = '1'] = process.argv;
const sequences = 64;
const context = 256;
const kernels = await createKernels();
const gemm = createGemm({ threads: 1 });
const model = await openModel(await openCheckpoint(path));
const { architecture } = model;
const tokenizer = await loadTokenizer(model.checkpoint);
const texts = chunk(tokenizer, await readText(text), context, text).slice(0, sequences);
const forward = createForward(architecture, { threads: 1 });
const calibrator = createCalibrator(architecture, { threads: 1 });

let hidden = await forward.embedAll(texts, await model.readBlock(undefined));
for (let block = 0; block < Number(number); block++)
  hidden = await forward.blockAll(block, hidden, await model.readBlock(block));
const weights = await model.readBlock(Number(number));
const specs = new Map(blockTensors(architecture, Number(number)).map((spec) => [spec.role, spec]));

const errorOf = (weight: Matrix, values: Float32Array, { gram }: Moments) =>
  kernels.scope(async (arena) => {
    const panels = [
      await toPanel(kernels, arena, weight),
      await toPanel(kernels, arena, { ...weight, data: values }),
    ];
    const [original, changed] = panels;
    return original && changed ? layerError({ kernels, gemm, arena }, gram, original, changed.data) : 0;
  });
const show = (bits: number, error: number) => `${bits.toFixed(2)} bits ${(100 * error).toPrecision(3)} %`;

async function refined(weight: Matrix, moments: Moments): Promise<string[]> {
  const { rows, cols } = weight;
  const energies = await kernels.scope((arena) => columnEnergies({ kernels, gemm, arena }, moments.gram));
  const columns = columnFactors(energies, rows);
  const factors = columnSteps(1, cols, columns);
  const data = moments.gram.data.map(
    (h, at) => h * (factors[at % cols] ?? 1) * (factors[Math.floor(at / cols)] ?? 1),
  );
  const scaled = { ...moments, gram: { ...moments.gram, data } };
  const line: string[] = [];
  let bits = columns ? 8 / rows : 0;
  await refine(
    kernels,
    weight,
    async (arena, rest, grid) =>
      (await quantEase({ kernels, gemm, arena }, rest, scaled, grid, { damping: 0.3 })).encoded,
    async ({ slices, values }) => {
      bits += (8 * slices.reduce((sum, { bytes }) => sum + bytes.length, 0)) / (rows * cols);
      line.push(show(bits, await errorOf(weight, values, moments)));
    },
    { columns },
  );
  return line;
}

async function stacked(weight: Matrix, moments: Moments, rank: number): Promise<string[]> {
  const { rows, cols } = weight;
  const perBlock = bitStackBits(rows, cols, rank);
  const scales = Float32Array.from(
    { length: cols },
    (_, i) => Math.sqrt(moments.gram.data[i * (cols + 1)] ?? 0) || 1,
  );
  const line: string[] = [];
  await bitStack(
    gemm,
    weight,
    scales,
    async (values, block) => {
      line.push(show((block + 1) * perBlock, await errorOf(weight, values, moments)));
    },
    { rank, blocks: Math.ceil(7 / perBlock) },
  );
  return line;
}

await calibrator.walk({ block: Number(number), hidden, weights }, async (roles, moments) => {
  for (const role of roles) {
    const [spec, data] = [specs.get(role), weights[role]];
    if (!spec || !data || !/attn_q|attn_v|ffn_up|ffn_down|c_attn|c_fc/.test(role)) continue;
    const [rows, cols] = matrixShape(spec);
    const weight = { rows, cols, data };
    console.log(`\n${role}, ${rows} × ${cols}`);
    console.log('  refinements     ', (await refined(weight, moments)).join('  '));
    for (const rank of [1, 4, 16])
      console.log(`  BitStack, rank ${rank}`.padEnd(19), (await stacked(weight, moments, rank)).join('  '));
  }
});
process.exit(0);
