import { readPooling } from '../checkpoint/pooling.js';
import { bert } from './bert.js';
import { bertFromHuggingFace } from './bert-config.js';
import { decoder } from './decoder.js';
import { type Family, ggufVocabulary } from './family.js';
import { gemma3FromGguf, gemma3FromHuggingFace } from './gemma3.js';
import { gpt2 } from './gpt2.js';
import { gpt2FromGguf, gpt2FromHuggingFace } from './gpt2-config.js';
import { llama } from './llama.js';
import { llamaFromGguf, llamaFromHuggingFace, llamaTypes } from './llama-config.js';

/** Every family of models that tersor reads. */
export const families: readonly Family[] = [
  {
    modelTypes: llamaTypes,
    ggufNames: ['llama', 'qwen2', 'qwen3'],
    fromHuggingFace: ({ metadata, path }, has) => llama(llamaFromHuggingFace(metadata, path), has),
    async fromGguf(checkpoint, has) {
      const { metadata, path, tensors } = checkpoint;
      const name = 'rope_freqs.weight';
      const factors = tensors.has(name) ? (await checkpoint.read(name)).data : undefined;
      return llama(llamaFromGguf(metadata, ggufVocabulary(checkpoint), factors, path), has);
    },
  },
  {
    modelTypes: ['gemma3_text'],
    ggufNames: ['gemma3'],
    tiedByDefault: true,
    fromHuggingFace: ({ metadata, path }, has) => decoder(gemma3FromHuggingFace(metadata, path), has),
    fromGguf: (checkpoint, has) =>
      decoder(gemma3FromGguf(checkpoint.metadata, ggufVocabulary(checkpoint), checkpoint.path), has),
  },
  {
    modelTypes: ['gpt2'],
    ggufNames: ['gpt2'],
    tiedByDefault: true,
    fromHuggingFace: ({ metadata, path }, has) => gpt2(gpt2FromHuggingFace(metadata, path), has),
    fromGguf: (checkpoint, has) =>
      gpt2(gpt2FromGguf(checkpoint.metadata, ggufVocabulary(checkpoint), checkpoint.path), has),
  },
  {
    modelTypes: ['bert'],
    ggufNames: [],
    fromHuggingFace: async ({ metadata, path, folder }) =>
      bert(bertFromHuggingFace(metadata, path, await readPooling(folder))),
  },
];
