// Compresses a model to a size, with a progress bar: node compress.js MODEL OUTPUT.gguf MEGABYTES
import { compress, type ProgressEvent } from 'tersor';

const [model = '', output = '', megabytes = ''] = process.argv.slice(2);

function drawBar({ stage, fraction, secondsLeft }: ProgressEvent): void {
  const bar = '#'.repeat(Math.round(fraction * 30)).padEnd(30, '.');
  const left = secondsLeft === undefined ? '' : `, ${Math.ceil(secondsLeft)} s left`;
  process.stderr.write(`\r\x1b[K${bar} ${stage}${left}`);
}

// Ctrl-C ends the job; the same command goes on from there.
const controller = new AbortController();
process.once('SIGINT', () => controller.abort(new Error('stopped by the user')));

const result = await compress(
  { model, output, size: Number(megabytes) * 1e6, types: ['q2_k', 'q3_k', 'q4_k', 'q6_k'], tokens: 4096 },
  { progress: drawBar, warn: (line) => process.stderr.write(`\n${line}\n`), signal: controller.signal },
);

process.stderr.write('\n');
const { bytes, originalBytes, heldOut } = result;
console.log(`${output}: ${(bytes / 1e6).toFixed(2)} MB of ${(originalBytes / 1e6).toFixed(2)} MB`);
console.log(`divergence from the original: ${heldOut?.divergence?.mean.toFixed(4)} nats per token`);
