import { basename } from 'node:path';
import type { Model } from '../../architecture/model.js';
import { continueGreedily } from '../../evaluation/continuation.js';
import type { Texts } from '../../report/findings.js';
import { openLlama } from '../../runtime/llama.js';
import { chunk, readText, spread } from '../../text/corpus.js';
import { encodeTexts, splitSentences } from '../../text/sentences.js';
import type { Tokenizer } from '../../text/tokenizer.js';
import type { Context } from '../context/context.js';
import type { Hooks } from '../context/hooks.js';
import { defaultEvaluationTokens, withRecipe } from '../options.js';
import { calibrationText } from '../prepare/calibration-text.js';
import type { ReportOptions } from './options.js';

const longestContext = 512;
const continuedTokens = 80;

/** What a report is measured on. */
export interface ReportText {
  readonly name: string;
  readonly sequences: readonly Int32Array[];
  readonly tokenizer: Tokenizer;
}

/** What to measure on; nothing where there is neither a text nor an original. */
export async function findText(
  context: Context,
  { text, against, tokens = defaultEvaluationTokens, run, model: path, ...options }: ReportOptions,
  model: Model,
  hooks: Hooks,
): Promise<ReportText | undefined> {
  if (text === undefined && against === undefined) return undefined;
  const tokenizer = await context.tokenizer(model);
  if (text !== undefined) {
    const { objective, context: longest } = model.architecture;
    if (objective === 'embedding') {
      const texts = encodeTexts(tokenizer, splitSentences(await readText(text)), longest);
      return { name: basename(text), sequences: spread(texts, tokens), tokenizer };
    }
    const context = Math.min(longestContext, longest);
    const sequences = chunk(tokenizer, await readText(text), context, text);
    const count = Math.max(1, Math.floor(tokens / context));
    return { name: basename(text), sequences: sequences.slice(0, count), tokenizer };
  }
  if (!run) hooks.warn?.('no --text given: measuring on a small built-in text; a text of your own says more');
  const given = run ? withRecipe(run.options) : { ...options, model: path, output: path };
  const { heldOut, sequences, source } = await calibrationText(given, model, tokenizer, {});
  return {
    name: `the end of ${source === 'built-in' ? 'the built-in text' : basename(source)} (not calibrated on)`,
    sequences: heldOut.length > 0 ? heldOut : sequences,
    tokenizer,
  };
}

/** Both models go on from the same words; a GGUF in llama.cpp, where people will run it. */
export async function writeTexts(
  context: Context,
  model: Model,
  original: Model | undefined,
  { tokenizer, sequences }: ReportText,
  options: ReportOptions,
  hooks: Hooks,
): Promise<Texts> {
  const prompt = options.prompt ?? beginning(tokenizer.decode([...(sequences[0] ?? [])]));
  const { special, addBos } = tokenizer.vocabulary;
  const bos = addBos && special.bos !== undefined ? [special.bos] : [];
  const tokens = [...bos, ...tokenizer.encode(prompt)];
  const settings = {
    threads: context.threads,
    count: continuedTokens,
    ...(special.eos === undefined ? {} : { end: special.eos }),
    ...(hooks.progress ? { progress: hooks.progress } : {}),
  };
  const length = Math.min(model.architecture.context, tokens.length + continuedTokens);
  const text = (own: readonly number[]) => {
    const [before, all] = [tokenizer.decode(tokens), tokenizer.decode([...tokens, ...own])];
    return all.startsWith(before) ? all.slice(before.length) : tokenizer.decode(own);
  };
  if (model.checkpoint.format !== 'gguf') {
    const own = await continueGreedily(model, tokens, settings);
    const draft = async (so: readonly number[]) => own.slice(so.length - tokens.length);
    return {
      prompt,
      compressed: text(own),
      ...(original
        ? { original: text(await continueGreedily(original, tokens, { ...settings, draft })) }
        : {}),
    };
  }
  const llama = await openLlama(model.checkpoint.path, { context: length, threads: context.threads });
  try {
    const continued = async (from: string, maxTokens: number) => {
      const signal = hooks.signal ? { signal: hooks.signal } : {};
      const { text } = await llama.generate(from, { temperature: 0, maxTokens, ...signal });
      return text;
    };
    const compressed = await continued(prompt, continuedTokens);
    /** What the compressed model would write here: mostly what the original writes, too. */
    const draft = async (so: readonly number[]) => {
      const left = length - so.length;
      if (left < 2) return [];
      const from = tokenizer.decode(so);
      const all = [...bos, ...tokenizer.encode(from + (await continued(from, left - 1)))];
      return so.every((token, index) => token === all[index]) ? all.slice(so.length) : [];
    };
    return {
      prompt,
      compressed,
      ...(original
        ? { original: text(await continueGreedily(original, tokens, { ...settings, draft })) }
        : {}),
    };
  } finally {
    await llama.close();
  }
}

/** The first words of the first whole sentence, or of the text. */
function beginning(text: string): string {
  const start = /(?:[.!?]["”']?\s+|\n)(?=\p{Lu})/u.exec(text.slice(0, 600));
  const words = text
    .slice(start ? start.index + start[0].length : 0)
    .trim()
    .split(/\s+/);
  return words.slice(0, 12).join(' ');
}
