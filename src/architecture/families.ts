import type { Checkpoint } from '../checkpoint/checkpoint.js';
import { readPooling } from '../checkpoint/pooling.js';
import { bertFromHuggingFace } from './bert.js';
import { cohere2FromGguf, cohere2FromHuggingFace } from './cohere2.js';
import { decoder } from './decoder.js';
import { type DecoderBase, type GgufSource, ggufDecoder, type RopeTensors } from './decoder-config.js';
import type { DecoderShape } from './decoder-shape.js';
import { distilbertFromHuggingFace } from './distilbert.js';
import { electraFromHuggingFace } from './electra.js';
import { encoder } from './encoder.js';
import type { EncoderSource } from './encoder-config.js';
import type { EncoderShape } from './encoder-shape.js';
import { exaone4FromGguf, exaone4FromHuggingFace } from './exaone4.js';
import { type Family, ggufVocabulary } from './family.js';
import { gemma2FromGguf, gemma2FromHuggingFace, gemmaFromHuggingFace, gemmaShape } from './gemma.js';
import { gemma3FromGguf, gemma3FromHuggingFace } from './gemma3.js';
import { glm4FromHuggingFace, glm4Shape } from './glm4.js';
import { gptNeoxFromGguf, gptNeoxFromHuggingFace } from './gpt-neox.js';
import { gpt2 } from './gpt2.js';
import { gpt2FromGguf, gpt2FromHuggingFace } from './gpt2-config.js';
import { graniteFromGguf, graniteFromHuggingFace, graniteMoeFromHuggingFace } from './granite.js';
import { llamaFromGguf, llamaFromHuggingFace, llamaTypes } from './llama.js';
import { ministral3FromGguf, ministral3FromHuggingFace } from './ministral3.js';
import { mixtralFromGguf, mixtralFromHuggingFace } from './mixtral.js';
import { modernbertFromHuggingFace } from './modernbert.js';
import { mpnetBias, mpnetFromHuggingFace } from './mpnet.js';
import { nomicBertFromHuggingFace } from './nomic-bert.js';
import { olmo2FromHuggingFace, olmo3FromHuggingFace, olmoFromGguf } from './olmo.js';
import { olmoeFromGguf, olmoeFromHuggingFace } from './olmoe.js';
import { phi3FromHuggingFace, phi3Shape, phiFromHuggingFace, phiShape } from './phi.js';
import { qwen2MoeFromHuggingFace, qwen3MoeFromHuggingFace, qwenMoeFromGguf } from './qwen-moe.js';
import { robertaFromHuggingFace, robertaTypes } from './roberta.js';
import { smollm3FromGguf, smollm3FromHuggingFace } from './smollm3.js';
import { stablelmFromHuggingFace, stablelmShape } from './stablelm.js';
import { starcoder2FromHuggingFace, starcoder2Shape } from './starcoder2.js';
import { windowKeys } from './windows.js';

/** What reads the shape of a decoder. */
interface Readers {
  readonly huggingFace: (config: unknown, file: string) => DecoderShape;
  readonly gguf?: (metadata: Readonly<Record<string, unknown>>, source: GgufSource) => DecoderShape;
  /** llama.cpp's names of the architecture, where GGUFs of it are read. */
  readonly ggufNames?: readonly string[];
  readonly tied?: boolean;
}

/** A family of decoders (src/architecture/decoder.ts). */
function decoders(modelTypes: readonly string[], readers: Readers): Family {
  const { huggingFace, gguf, ggufNames = [], tied } = readers;
  return {
    modelTypes,
    ggufNames,
    ...(tied ? { tiedByDefault: true } : {}),
    fromHuggingFace: ({ metadata, path }, has) => decoder(huggingFace(metadata, path), has),
    ...(gguf && {
      async fromGguf(checkpoint, has) {
        const { metadata, path: file } = checkpoint;
        const source = { vocabulary: ggufVocabulary(checkpoint), rope: await ropeTensors(checkpoint), file };
        return decoder(gguf(metadata, source), has);
      },
    }),
  };
}

async function ropeTensors(checkpoint: Checkpoint): Promise<RopeTensors> {
  const names = { freqs: 'rope_freqs', long: 'rope_factors_long', short: 'rope_factors_short' };
  const found: Record<string, Float32Array> = {};
  for (const [key, name] of Object.entries(names))
    if (checkpoint.tensors.has(`${name}.weight`)) found[key] = (await checkpoint.read(`${name}.weight`)).data;
  return found;
}

/** A family of encoders (src/architecture/encoder.ts). */
const encoders = (
  modelTypes: readonly string[],
  read: (
    config: unknown,
    source: EncoderSource,
    checkpoint: Checkpoint,
  ) => EncoderShape | Promise<EncoderShape>,
): Family => ({
  modelTypes,
  ggufNames: [],
  async fromHuggingFace(checkpoint) {
    const { metadata, path: file, folder } = checkpoint;
    return encoder(await read(metadata, { file, pooling: await readPooling(folder) }, checkpoint));
  },
});

/** MPNet's biases by distance; none where they are missing, which is told when all tensors are looked for. */
async function biasTable({ tensors, read }: Checkpoint): Promise<Float32Array> {
  const name = [mpnetBias, `mpnet.${mpnetBias}`].find((each) => tensors.has(each));
  return name === undefined ? new Float32Array() : (await read(name)).data;
}

/** A family whose GGUFs say no more than the sizes. @param unused entries that llama.cpp reads and does without */
const bySizes =
  (
    shape: (base: DecoderBase) => DecoderShape,
    unused: readonly string[] = [],
  ): NonNullable<Readers['gguf']> =>
  (metadata, source) =>
    shape(ggufDecoder(metadata, source, unused).base);

/** Every family of models that tersor reads. */
export const families: readonly Family[] = [
  decoders(llamaTypes, {
    huggingFace: llamaFromHuggingFace,
    // llama.cpp calls a Mixtral a Llama.
    gguf: (metadata, source) =>
      metadata['llama.expert_count'] ? mixtralFromGguf(metadata, source) : llamaFromGguf(metadata, source),
    ggufNames: ['llama', 'qwen2', 'qwen3'],
  }),
  decoders(['mixtral'], { huggingFace: mixtralFromHuggingFace }),
  decoders(['qwen3_moe'], {
    huggingFace: qwen3MoeFromHuggingFace,
    gguf: qwenMoeFromGguf,
    ggufNames: ['qwen2moe', 'qwen3moe'],
  }),
  decoders(['qwen2_moe'], { huggingFace: qwen2MoeFromHuggingFace }),
  decoders(['olmoe'], { huggingFace: olmoeFromHuggingFace, gguf: olmoeFromGguf, ggufNames: ['olmoe'] }),
  decoders(['gemma3_text'], {
    huggingFace: gemma3FromHuggingFace,
    gguf: gemma3FromGguf,
    ggufNames: ['gemma3'],
    tied: true,
  }),
  decoders(['gemma'], {
    huggingFace: gemmaFromHuggingFace,
    gguf: bySizes(gemmaShape),
    ggufNames: ['gemma'],
    tied: true,
  }),
  decoders(['gemma2'], {
    huggingFace: gemma2FromHuggingFace,
    gguf: gemma2FromGguf,
    ggufNames: ['gemma2'],
    tied: true,
  }),
  decoders(['granite'], {
    huggingFace: graniteFromHuggingFace,
    gguf: graniteFromGguf,
    ggufNames: ['granite', 'granitemoe'],
  }),
  decoders(['granitemoe'], { huggingFace: graniteMoeFromHuggingFace, tied: true }),
  decoders(['glm4'], { huggingFace: glm4FromHuggingFace, gguf: bySizes(glm4Shape), ggufNames: ['glm4'] }),
  decoders(['ministral3'], {
    huggingFace: ministral3FromHuggingFace,
    gguf: ministral3FromGguf,
    ggufNames: ['mistral3'],
  }),
  decoders(['phi3'], {
    huggingFace: phi3FromHuggingFace,
    gguf: bySizes(phi3Shape, windowKeys),
    ggufNames: ['phi3'],
  }),
  decoders(['phi'], { huggingFace: phiFromHuggingFace, gguf: bySizes(phiShape), ggufNames: ['phi2'] }),
  decoders(['smollm3'], {
    huggingFace: smollm3FromHuggingFace,
    gguf: smollm3FromGguf,
    ggufNames: ['smollm3'],
    tied: true,
  }),
  decoders(['olmo2'], { huggingFace: olmo2FromHuggingFace, gguf: olmoFromGguf, ggufNames: ['olmo2'] }),
  decoders(['olmo3'], { huggingFace: olmo3FromHuggingFace }),
  decoders(['exaone4'], {
    huggingFace: exaone4FromHuggingFace,
    gguf: exaone4FromGguf,
    ggufNames: ['exaone4'],
  }),
  decoders(['cohere2'], {
    huggingFace: cohere2FromHuggingFace,
    gguf: cohere2FromGguf,
    ggufNames: ['cohere2'],
    tied: true,
  }),
  decoders(['gpt_neox'], {
    huggingFace: gptNeoxFromHuggingFace,
    gguf: gptNeoxFromGguf,
    ggufNames: ['gptneox'],
  }),
  decoders(['stablelm'], {
    huggingFace: stablelmFromHuggingFace,
    gguf: bySizes(stablelmShape),
    ggufNames: ['stablelm'],
  }),
  decoders(['starcoder2'], {
    huggingFace: starcoder2FromHuggingFace,
    gguf: bySizes(starcoder2Shape),
    ggufNames: ['starcoder2'],
    tied: true,
  }),
  {
    modelTypes: ['gpt2'],
    ggufNames: ['gpt2'],
    tiedByDefault: true,
    fromHuggingFace: ({ metadata, path }, has) => gpt2(gpt2FromHuggingFace(metadata, path), has),
    fromGguf: (checkpoint, has) =>
      gpt2(gpt2FromGguf(checkpoint.metadata, ggufVocabulary(checkpoint), checkpoint.path), has),
  },
  encoders(['bert'], bertFromHuggingFace),
  encoders(robertaTypes, robertaFromHuggingFace),
  encoders(['distilbert'], distilbertFromHuggingFace),
  encoders(['electra'], electraFromHuggingFace),
  encoders(['modernbert'], modernbertFromHuggingFace),
  encoders(['nomic_bert'], nomicBertFromHuggingFace),
  encoders(['mpnet'], async (config, source, checkpoint) =>
    mpnetFromHuggingFace(config, source, await biasTable(checkpoint)),
  ),
];
