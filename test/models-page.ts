import { families } from '../src/architecture/families.js';
import { openModel } from '../src/architecture/model.js';
import { openCheckpoint } from '../src/checkpoint/open.js';

/** Models that people know by other names than their `model_type`. */
const known: Readonly<Record<string, string>> = {
  bert: 'BERT, MiniLM, BGE, GTE, E5',
  cohere2: 'Command R7B, Command A',
  distilbert: 'DistilBERT',
  electra: 'ELECTRA',
  exaone4: 'EXAONE 4',
  gemma: 'Gemma 1',
  gemma2: 'Gemma 2',
  gemma3_text: 'Gemma 3 (270M, 1B)',
  glm4: 'GLM-4-0414',
  gpt2: 'GPT-2',
  gpt_neox: 'GPT-NeoX, Pythia',
  granite: 'Granite 3',
  granitemoe: 'Granite 3 with experts (1B-A400M, 3B-A800M)',
  llama: 'Llama 2 and 3, TinyLlama, SmolLM 1 and 2, Yi',
  ministral3: 'Ministral 3',
  mistral: 'Mistral 7B',
  modernbert: 'ModernBERT, GTE ModernBERT',
  mpnet: 'MPNet, all-mpnet-base-v2',
  nomic_bert: 'Nomic Embed 1 and 1.5',
  mixtral: 'Mixtral 8x7B and 8x22B',
  olmo2: 'OLMo 2',
  olmo3: 'OLMo 3',
  olmoe: 'OLMoE 1B-7B',
  phi: 'Phi 1.5, Phi 2',
  phi3: 'Phi 3, 3.5, 4 and 4 mini',
  qwen2: 'Qwen 2, Qwen 2.5',
  qwen2_moe: 'Qwen 1.5 and 2 with experts',
  qwen3: 'Qwen 3, without experts',
  roberta: 'RoBERTa',
  qwen3_moe: 'Qwen 3 with experts (30B-A3B, 235B-A22B)',
  smollm3: 'SmolLM 3',
  stablelm: 'StableLM 2 1.6B',
  starcoder2: 'StarCoder 2',
  'xlm-roberta': 'XLM-RoBERTa, multilingual E5, BGE-M3',
};

/** Which models are read, and what they can be written as, told by the models themselves. */
export async function modelsPage(samples: ReadonlyMap<string, string>): Promise<string> {
  const rows = new Map<string, string[]>();
  const refused: string[] = [];
  for (const [name, folder] of [...samples].sort()) {
    const checkpoint = await openCheckpoint(folder);
    const model = await openModel(checkpoint).catch(() => undefined);
    await checkpoint.close();
    if (!model) {
      refused.push(name);
      continue;
    }
    const { modelType: read, gguf, ggufObstacle, objective, exportGraph, tensors } = model.architecture;
    const experts = tensors.some(({ expert }) => expert);
    const type = String(checkpoint.metadata.model_type ?? read);
    const readsGguf = families.some(({ ggufNames }) => ggufNames.includes(gguf));
    const writesGguf = objective === 'prediction' && !ggufObstacle;
    const row = rows.get(type);
    const cells = [
      writesGguf ? `as \`${gguf}\`` : 'no',
      readsGguf ? 'yes' : 'no',
      exportGraph ? 'yes' : 'no',
      experts ? 'yes' : '',
      ggufObstacle ? `GGUF of \`${name}\`: ${ggufObstacle}` : exportGraph ? '' : `no ONNX of \`${name}\``,
    ];
    // Of several samples of a type, what any of them can be.
    rows.set(type, row ? cells.map((cell, at) => merged(row[at] ?? '', cell, at)) : cells);
  }
  const lines = [...rows]
    .sort()
    .map(([type, cells]) => `| \`${type}\` | ${known[type] ?? ''} | ${cells.join(' | ')} |`);
  return `${head}\n${lines.join('\n')}\n\n${foot(refused)}\n`;
}

const merged = (a: string, b: string, column: number): string => {
  if (column === 4) return [a, b].filter((text) => text !== '').join('; ');
  return a === 'no' ? b : a;
};

const head = `# Models

Which models tersor reads, by the \`model_type\` of their config.json, and what they can be written as. Made by
\`npm run docs:models\` from small models of Hugging Face's own code: tersor's outputs are compared with those that this code
gives (test/hugging-face.test.ts), and llama.cpp's and onnxruntime's on what tersor writes with tersor's
(test/architectures.long.test.ts). Every one can be written as safetensors; folders for vLLM follow Hugging Face's names.

| \`model_type\` | models | GGUF out | GGUF in | ONNX | experts | notes |
|---|---|---|---|---|---|---|`;

const foot = (refused: readonly string[]) => `## Not yet

A key of config.json that no graph follows is refused by name, and so are these families: ${refused.join(', ')}.`;
