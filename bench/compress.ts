/**
 * Where the time of one run of compress goes, and how long llama.cpp's own quantizer takes for the same type
 * from the F32 GGUF of the same model, in the same run. llama.cpp rounds every block by itself: it neither
 * calibrates nor measures, so the ratio to tersor's packing and rounding alone (solver rtn) is shown as well.
 *
 *   node bench/run.mjs compress [model] [type] [calibration text] [threads]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { compress } from '../src/pipeline/compress.js';
import type { CompressResult } from '../src/pipeline/result.js';
import { type LlamaFileType, quantizeWithLlama } from '../src/runtime/llama-quantize.js';
import { tales } from '../test/fixtures/data.js';

const [, , , model = tales.model, type = 'q4_k', calibration = tales.calibration, count] = process.argv;
const threads = Number(count ?? availableParallelism());
const folder = mkdtempSync(join(tmpdir(), 'tersor-bench-'));
const path = (name: string) => join(folder, `${name}.gguf`);

const seconds = (value: number) => `${value.toFixed(2).padStart(8)} s`;

function report(
  name: string,
  { stages, seconds: total, ...result }: CompressResult,
  yardstick: number,
): void {
  const known = Object.values(stages).reduce((sum, part) => sum + part, 0);
  console.log(`\n${name}: ${type}, ${result.bytes} bytes`);
  for (const [stage, part] of [...Object.entries(stages), ['the rest', total - known] as const]) {
    console.log(`  ${stage.padEnd(12)}${seconds(part)} ${((100 * part) / total).toFixed(0).padStart(4)} %`);
  }
  const ratio = (part: number) => `${(part / yardstick).toFixed(1)} × llama.cpp`;
  console.log(`  ${'all'.padEnd(12)}${seconds(total)}        ${ratio(total)}`);
  console.log(
    `  ${'solve, write'.padEnd(12)}${seconds(stages.solve + stages.write)}        ${ratio(stages.solve + stages.write)}`,
  );
  console.log(`  peak memory of this process so far ${(result.peakMemoryBytes / 1e6).toFixed(0)} MB`);
}

try {
  await compress({
    model,
    output: path('f32'),
    type: 'f32',
    calibration,
    tokens: 256,
    context: 256,
    threads,
  });
  const start = performance.now();
  await quantizeWithLlama(path('f32'), path('llama'), type as LlamaFileType, { pure: true, threads });
  const yardstick = (performance.now() - start) / 1000;
  console.log(`${model}, ${threads} threads\nllama.cpp's quantizer${seconds(yardstick)}`);
  for (const solver of ['rtn', 'gptq']) {
    const result = await compress({ model, output: path(solver), type, solver, calibration, threads });
    report(solver, result, yardstick);
  }
} finally {
  rmSync(folder, { recursive: true });
}
