// Continues a prompt, word by word: node stream.js MODEL PROMPT
import { generate } from 'tersor';

const [model = '', prompt = ''] = process.argv.slice(2);

process.stdout.write(prompt);
for await (const piece of generate({ model, prompt, maxTokens: 60, temperature: 0 }))
  process.stdout.write(piece);
process.stdout.write('\n');
