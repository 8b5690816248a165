/**
 * Packing, unpacking (with decoding) and transposing in millions of weights per second, per type, beside a plain
 * copy of the f32 weights in the same run.
 */
import { ggufGrids } from '../src/grid/index.js';
import { createKernels } from '../src/kernels/kernels.js';
import { fromPanel, toPanel } from '../src/kernels/panel.js';

const threads = Number(process.argv[3] ?? 1);
const [rows, cols] = [4096, 4096];
const rounds = 3;
const kernels = await createKernels({ threads });

async function speed(work: () => Promise<unknown> | unknown): Promise<string> {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    await work();
    best = Math.min(best, performance.now() - start);
  }
  return ((rows * cols) / best / 1000).toFixed(0).padStart(6);
}

const data = Float32Array.from({ length: rows * cols }, (_, i) => Math.sin(i));
const copy = new Float32Array(data.length);
console.log(`threads ${threads}; millions of weights per second`);
console.log(`copy      ${await speed(() => copy.set(data))}`);
await kernels.scope(async (arena) => {
  const panel = await toPanel(kernels, arena, { rows, cols, data });
  const shape = { rows, cols, data };
  console.log(`toPanel   ${await speed(() => kernels.scope((inner) => toPanel(kernels, inner, shape)))}`);
  console.log(`fromPanel ${await speed(() => fromPanel(kernels, panel, copy))}`);
});
console.log('type      pack unpack');
for (const grid of Object.values(ggufGrids)) {
  const bytes = Uint8Array.from({ length: grid.bytes(rows, cols) }, (_, i) => (i * 2654435761) >>> 27);
  await kernels.scope(async (arena) => {
    const encoded = await grid.unpack(kernels, arena, bytes, rows, cols);
    const pack = await speed(() => grid.pack(kernels, encoded));
    const unpack = await speed(() =>
      kernels.scope((inner) => grid.unpack(kernels, inner, bytes, rows, cols)),
    );
    console.log(`${grid.name.padEnd(7)}${pack} ${unpack}`);
  });
}
kernels.close();
