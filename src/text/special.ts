import { defined } from './sentencepiece.js';
import type { Vocabulary } from './tokenizer.js';

type Json = Readonly<Record<string, unknown>>;

export const object = (value: unknown): Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};

const text = (value: unknown): string | undefined => {
  if (typeof value === 'string') return value;
  const { content } = object(value);
  return typeof content === 'string' ? content : undefined;
};

/** What decides about special tokens. */
export interface SpecialSources {
  readonly kind: Vocabulary['kind'];
  readonly tokens: readonly string[];
  /** tokenizer_config.json over special_tokens_map.json: names of tokens, `add_bos_token`, chat template. */
  readonly settings: Json;
  /** config.json over generation_config.json: ids of tokens. */
  readonly config: Json;
  /** tokenizer.json's post-processor, which may put tokens around a text. */
  readonly postProcessor: unknown;
  /** Used where the files above say nothing. */
  readonly fallback: Vocabulary['special'];
}

/** Ids of the special tokens, which of them end a text, and whether a text gets BOS and EOS. */
export function readSpecial(
  sources: SpecialSources,
): Pick<Vocabulary, 'special' | 'ends' | 'around' | 'addBos' | 'addEos'> {
  const { kind, tokens, settings, config, postProcessor, fallback } = sources;
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const idOf = (token: string | undefined) => (token === undefined ? undefined : ids.get(token));
  const listed = (name: string) =>
    [config[`${name}_token_id`]]
      .flat()
      .filter((id): id is number => typeof id === 'number' && id >= 0 && id < tokens.length);
  const find = (name: keyof Vocabulary['special']) => {
    const byName = idOf(text(settings[`${name}_token`]));
    if (byName !== undefined) return byName;
    // Several EOS tokens are listed with the one that ends a text first.
    return listed(name)[0] ?? fallback[name];
  };
  const { first, last } = tokensAround(postProcessor);
  const special = defined({
    bos: find('bos') ?? idOf(first),
    eos: find('eos') ?? idOf(last),
    unk: find('unk'),
    sep: find('sep'),
    pad: find('pad'),
  });
  const asks = (key: string, otherwise: boolean) =>
    typeof settings[key] === 'boolean' ? settings[key] : otherwise;
  // Without a post-processor SentencePiece tokenizers add BOS, as their class and llama.cpp do.
  const template = postProcessor ? idOf(first) === special.bos : kind === 'spm';
  const closes = last !== undefined && idOf(last) === special.eos;
  const ends = [...new Set(listed('eos'))];
  const addBos = special.bos !== undefined && asks('add_bos_token', template);
  const addEos = special.eos !== undefined && asks('add_eos_token', closes);
  const around = defined({ first: idOf(first), last: idOf(last) });
  const differs =
    Boolean(postProcessor) &&
    (around.first !== (addBos ? special.bos : undefined) ||
      around.last !== (addEos ? special.eos : undefined));
  return {
    special,
    ...(ends.length > 1 && { ends }),
    ...(differs && { around }),
    addBos,
    addEos,
  };
}

/** Post-processors that name the two tokens, each as a pair of the token and its id. */
const pairProcessors: readonly string[] = ['RobertaProcessing', 'BertProcessing'];
const pairToken = (processor: unknown, name: 'cls' | 'sep'): string | undefined =>
  text([object(processor)[name]].flat()[0]);

/** The tokens that a post-processor puts before and after a single text. */
function tokensAround(postProcessor: unknown): { first?: string | undefined; last?: string | undefined } {
  const { processors = [postProcessor] } = object(postProcessor);
  const template = [processors].flat().find((entry) => object(entry).type === 'TemplateProcessing');
  const pair = [processors].flat().find((entry) => pairProcessors.includes(String(object(entry).type)));
  if (!template && pair) return { first: pairToken(pair, 'cls'), last: pairToken(pair, 'sep') };
  const { single } = object(template);
  if (!Array.isArray(single) || single.length < 2) return {};
  const token = (entry: unknown) => text(object(object(entry).SpecialToken).id);
  return { first: token(single[0]), last: token(single.at(-1)) };
}

/** The chat template of tokenizer_config.json; of several the one named `default`, else the first. */
export function readChatTemplate(settings: Json): string | undefined {
  const { chat_template: template } = settings;
  if (!Array.isArray(template)) return text(template);
  const chosen = template.find((entry) => object(entry).name === 'default') ?? template[0];
  return text(object(chosen).template);
}
