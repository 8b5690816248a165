import { Tokenizer } from '@huggingface/tokenizers';
import type { Model } from '../../src/architecture/model.js';
import { createStackDecoder } from '../../src/checkpoint/stack/decoder.js';
import type { Kernels } from '../../src/kernels/kernels.js';
import { createSampler } from '../../src/runtime/sampling.js';
import { openSafetensors } from './checkpoint.js';
import { createDecoder, type Decoder, openDecoder } from './decoder.js';
import { download } from './download.js';
import { createEvaluator, type Evaluator } from './evaluator.js';
import { loadKernels } from './kernels.js';
import type { Event, Loaded, Request, Side, StreamRequest, TellRequest } from './protocol.js';
import { arrivedModel } from './stacked.js';

/** How often the arriving model is measured on its way. */
const measurements = 16;
/** Tokens of the story that is told during the download. */
const storyTokens = 160;

/** What talks: a decoder and the words for it. */
interface Speaker {
  readonly decoder: Decoder;
  readonly tokenizer: Tokenizer;
  readonly begin: readonly number[];
  readonly end: number | undefined;
}

const say = (event: Event) => self.postMessage(event);
const speakers = new Map<Side, Speaker>();
let kernels: Promise<Kernels> | undefined;
let evaluator: Evaluator | undefined;
/** Counts up when what is going on is to end. */
let round = 0;

async function load(base: string): Promise<void> {
  kernels ??= loadKernels();
  const json = async (name: string) => (await fetch(new URL(name, base))).json();
  const [config, words, settings, text] = await Promise.all([
    json('config.json'),
    json('tokenizer.json'),
    json('tokenizer_config.json'),
    fetch(new URL('evaluation.txt', base)).then((answer) => answer.text()),
  ]);
  const parts: Uint8Array[] = [];
  let got = 0;
  for await (const { bytes, total } of download(new URL('model.safetensors', base).href, 0)) {
    parts.push(bytes);
    got += bytes.length;
    say({ kind: 'loading', bytes: got, total });
  }
  const file = new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
  const model = await openSafetensors('model.safetensors', file, config, await kernels);
  const weights = await readAll(model);
  const decoder = await createDecoder(model.architecture, (spec) => weights.get(spec) ?? new Float32Array());
  const tokenizer = new Tokenizer(words, settings);
  const original = { decoder, tokenizer, ...ends(config) };
  speakers.set('original', original);
  evaluator = await createEvaluator(decoder, [
    ...original.begin,
    ...tokenizer.encode(text, { add_special_tokens: false }).ids,
  ]);
  say({ kind: 'loaded', original: describe('tales', model, decoder, file.length) });
}

async function stream({ source, bytesPerSecond, prompt }: StreamRequest, own: number): Promise<void> {
  kernels ??= loadKernels();
  const name = typeof source === 'string' ? (source.split('/').at(-1) ?? source) : source.name;
  const arrival = createStackDecoder(await kernels, name);
  let total = 0;
  let finished = false;
  let failure: unknown;
  let measuredAt = 0;
  const step = () => Math.max(1, total / measurements);
  // The connection waits for the measurements, so that each of them sees a part of the file.
  const pump = async () => {
    for await (const part of download(source, bytesPerSecond)) {
      if (round !== own) return;
      arrival.push(part.bytes);
      total = arrival.contents?.bytes ?? part.total;
      say({ kind: 'arriving', bytes: arrival.received, total, usableAt: arrival.contents?.completeAt ?? 0 });
      while (arrival.usable && arrival.received > measuredAt + 1.5 * step() && round === own) await pause(5);
    }
  };
  const pumping = pump()
    .catch((cause: unknown) => {
      failure = cause;
    })
    .finally(() => {
      finished = true;
    });
  let speaker: Speaker | undefined;
  let model: Model | undefined;
  let last: { divergence: number; sameTop: number } | undefined;
  const story = createStory(prompt);
  while (round === own && failure === undefined) {
    const complete = finished;
    const due = complete || (arrival.usable && arrival.received - measuredAt >= step()) || measuredAt === 0;
    if (due || !arrival.contents) await arrival.update();
    const { contents } = arrival;
    if (contents && arrival.usable && due && arrival.received > measuredAt) {
      const seen = arrival.received;
      model ??= await arrivedModel(name, arrival);
      const { architecture, nameOf } = model;
      const decoder = await createDecoder(architecture, (spec) => arrival.values(nameOf(spec)));
      await speakers.get('compressed')?.decoder.release();
      speaker = { decoder, tokenizer: tokenizerOf(contents.files), ...ends(contents.config) };
      speakers.set('compressed', speaker);
      last = await evaluator?.measure(decoder);
      measuredAt = seen;
      if (last) say({ kind: 'sharper', bytes: seen, ...last });
    }
    if (complete) break;
    const talking = speaker && story.words() < storyTokens;
    if (speaker && talking) say(await story.next(speaker, arrival.received, last));
    await pause(talking ? 0 : 10);
  }
  await pumping;
  if (failure !== undefined) throw failure;
  if (round !== own) return;
  if (!speaker || !model) throw new Error(`${name} ends before every tensor is there`);
  while (story.words() < storyTokens && round === own) {
    say(await story.next(speaker, arrival.received, last));
    await pause(0);
  }
  speaker.decoder.restart();
  say({ kind: 'arrived', compressed: describe(name, model, speaker.decoder, arrival.received), ...last });
}

/** An ONNX folder in the place of the compressed model. */
async function openFolder(files: readonly File[]): Promise<void> {
  const find = (pattern: RegExp) => files.find(({ name }) => pattern.test(name));
  const json = async (file: File | undefined) => file && JSON.parse(await file.text());
  const [graph, config, words] = [find(/\.onnx$/), find(/^config\.json$/), find(/^tokenizer\.json$/)];
  if (!graph || !config || !words)
    throw new Error('an ONNX folder needs config.json, tokenizer.json and a .onnx file');
  const bytesOf = async (file: File) => new Uint8Array(await file.arrayBuffer());
  const data = files.filter(({ name }) => /\.onnx_data(_\d+)?$/.test(name));
  const settings = await json(config);
  const decoder = await openDecoder(
    await bytesOf(graph),
    await Promise.all(data.map(async (file) => ({ path: file.name, data: await bytesOf(file) }))),
    settings.vocab_size,
  );
  const tokenizer = new Tokenizer(await json(words), (await json(find(/^tokenizer_config\.json$/))) ?? {});
  await speakers.get('compressed')?.decoder.release();
  speakers.set('compressed', { decoder, tokenizer, ...ends(settings) });
  const same = speakers.get('original')?.decoder.vocabulary === decoder.vocabulary;
  const measured = same ? await evaluator?.measure(decoder) : undefined;
  const bytes = [graph, ...data].reduce((sum, { size }) => sum + size, 0);
  const { provider } = decoder;
  const compressed = { name: graph.name, provider, parameters: 0, bytes, memory: bytes };
  say({ kind: 'arrived', compressed, ...measured });
}

/** A story that goes on while its teller changes; when it is over, it begins anew. */
function createStory(prompt: string) {
  const sample = createSampler({ temperature: 0 });
  let told: number[] = [];
  let words = 0;
  return {
    words: () => words,
    async next(
      speaker: Speaker,
      bytes: number,
      measured: { readonly divergence: number } | undefined,
    ): Promise<Event> {
      const { decoder, tokenizer, begin, end } = speaker;
      const all = [...begin, ...tokenizer.encode(prompt, { add_special_tokens: false }).ids, ...told];
      // A teller that was just renewed reads what was told before.
      if (decoder.position >= all.length) decoder.restart();
      const token = sample(lastOf(await decoder.next(all.slice(decoder.position)), decoder.vocabulary));
      words++;
      const over = token === end;
      told = over ? [] : [...told, token];
      const text = over ? `\n\n${prompt}` : wordOf(speaker, told);
      return { kind: 'word', text, bytes, ...(measured ? { divergence: measured.divergence } : {}) };
    },
  };
}

/** What the last token adds to the text. */
function wordOf({ tokenizer }: Speaker, tokens: readonly number[]): string {
  const before = tokens.length > 1 ? tokenizer.decode(tokens.slice(-9, -1)) : '';
  return tokenizer.decode(tokens.slice(-9)).slice(before.length);
}

async function tell({ side, prompt, temperature, most }: TellRequest, own: number): Promise<void> {
  const speaker = speakers.get(side);
  if (!speaker) throw new Error(`there is no ${side} model`);
  const { decoder, tokenizer, begin, end } = speaker;
  const sample = createSampler({ temperature });
  const told: number[] = [];
  let next = [...begin, ...tokenizer.encode(prompt, { add_special_tokens: false }).ids];
  let busy = 0;
  decoder.restart();
  while (told.length < most && round === own) {
    const started = performance.now();
    const token = sample(lastOf(await decoder.next(next), decoder.vocabulary));
    const took = performance.now() - started;
    // The first token waits for the whole prompt, which is not what a speed of tokens is about.
    if (told.length > 0) busy += took;
    if (token === end) break;
    told.push(token);
    next = [token];
    const tokensPerSecond = busy > 0 ? (1000 * (told.length - 1)) / busy : 0;
    say({ kind: 'token', side, text: wordOf(speaker, told), tokens: told.length, tokensPerSecond });
    await pause(0);
  }
  say({ kind: 'told', side });
}

const lastOf = (logits: Float32Array, vocabulary: number) => logits.subarray(logits.length - vocabulary);
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function readAll(model: Model) {
  const weights = new Map<Model['architecture']['tensors'][number], Float32Array>();
  for (const spec of model.architecture.tensors) weights.set(spec, await model.read(spec));
  return weights;
}

function ends(config: Readonly<Record<string, unknown>>): Pick<Speaker, 'begin' | 'end'> {
  const { bos_token_id: bos, eos_token_id: eos } = config;
  return {
    begin: typeof bos === 'number' ? [bos] : [],
    end: typeof eos === 'number' ? eos : undefined,
  };
}

function tokenizerOf(files: Readonly<Record<string, unknown>>): Tokenizer {
  const parse = (name: string) => {
    const text = files[name];
    return typeof text === 'string' ? JSON.parse(text) : undefined;
  };
  const words = parse('tokenizer.json');
  if (!words) throw new Error('the model has no tokenizer.json, which the page needs');
  return new Tokenizer(words, parse('tokenizer_config.json') ?? {});
}

function describe(name: string, { architecture }: Model, { provider }: Decoder, bytes: number): Loaded {
  const parameters = architecture.tensors.reduce(
    (sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1),
    0,
  );
  return { name, provider, parameters, bytes, memory: 4 * parameters };
}

self.addEventListener('message', async ({ data }: MessageEvent<Request>) => {
  try {
    switch (data.kind) {
      case 'load':
        return await load(data.base);
      case 'stream':
        return await stream(data, ++round);
      case 'open':
        round++;
        return await openFolder(data.files);
      case 'tell':
        return await tell(data, round);
      case 'stop':
        round++;
        return;
      default:
        return data satisfies never;
    }
  } catch (cause) {
    say({ kind: 'failed', message: cause instanceof Error ? cause.message : String(cause) });
  }
});
