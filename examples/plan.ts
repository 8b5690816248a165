// Writes the smallest model that stays within a divergence, chosen from all sizes: node plan.js MODEL OUTPUT.gguf NATS
import { compress, planFront } from 'tersor';

const [model = '', output = '', limit = ''] = process.argv.slice(2);
const shared = { model, tokens: 4096 } as const;

const front = await planFront({
  ...shared,
  types: ['q2_k', 'q3_k', 'q4_k', 'q6_k', 'q8_0'],
  searchOptions: { measurements: 8, batch: 4, population: 16, generations: 4 },
});
for (const { bytes, bitsPerWeight, divergence } of front)
  console.log(
    `${(bytes / 1e6).toFixed(2)} MB, ${bitsPerWeight.toFixed(2)} bits: ${divergence.toFixed(4)} nats`,
  );

const chosen = front.find(({ divergence }) => divergence <= Number(limit));
if (!chosen) throw new Error(`nothing stays within ${limit} nats per token`);

const { bytes } = await compress({
  ...shared,
  output,
  bits: chosen.bitsPerWeight,
  types: ['q2_k', 'q3_k', 'q4_k', 'q6_k', 'q8_0'],
});
console.log(`${output}: ${(bytes / 1e6).toFixed(2)} MB`);
