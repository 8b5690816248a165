// Says what a compressed model has lost: node evaluate.js MODEL ORIGINAL TEXT
import { evaluate } from 'tersor';

const [model = '', against = '', text = ''] = process.argv.slice(2);

const { bytes, perplexity, divergence, sameTop, reference } = await evaluate({
  model,
  against,
  text,
  tokens: 4096,
});

console.log(`size: ${bytes} bytes of ${reference?.bytes}`);
console.log(`perplexity: ${perplexity.toFixed(3)}, originally ${reference?.perplexity.toFixed(3)}`);
console.log(
  `divergence: ${divergence?.mean.toFixed(4)} ± ${divergence?.standardError.toFixed(4)} nats per token`,
);
console.log(`same most likely token: ${(100 * (sameTop ?? 0)).toFixed(1)} % of positions`);
