import { createPreTokenizer, type PreTokenizer } from './library.js';

/**
 * How byte-level BPE cuts text into words before it merges, under llama.cpp's name (`tokenizer.ggml.pre`).
 * Each pattern in turn cuts the pieces that the ones before it left; its matches and what lies between them
 * are the new pieces. Where llama.cpp replaces a property of letters by ASCII ranges (tekken, gpt-4o), this is
 * the pattern that it replaces.
 */
interface Cuts {
  readonly name: string;
  /** Names under which llama.cpp cuts in the same way. */
  readonly aliases?: readonly string[];
  readonly patterns: readonly string[];
  /** A word that is a token as it stands is not merged from its bytes. */
  readonly ignoreMerges?: boolean;
}

const contractions = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
const word = '[^\\r\\n\\p{L}\\p{N}]?\\p{L}+';
const marks = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*';
const spaces = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const gpt2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const llama3 = `${contractions}|${word}|\\p{N}{1,3}|${marks}|${spaces}`;
const upper = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const lower = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';
/** Words that end before a capital: at most one change of case, from upper to lower. */
const cased = (end: string) =>
  `[^\\r\\n\\p{L}\\p{N}]?${upper}*${lower}+${end}|[^\\r\\n\\p{L}\\p{N}]?${upper}+${lower}*${end}`;
const pathMarks = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*';
const bloom = ' ?[^()|\\s.,!?…。，、।۔،]+';
const eastAsian = '[\\u4e00-\\u9fa5\\u0800-\\u4e00\\uac00-\\ud7ff]+';
/** Letters of scripts with two cases, as DeepSeek's first tokenizer lists them. */
const casedLetters =
  'A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄ' +
  'ῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃';

const cuts: readonly Cuts[] = [
  {
    name: 'gpt-2',
    aliases: [
      'phi-2',
      'mpt',
      'olmo',
      'jais',
      'trillion',
      'granite-docling',
      'exaone4',
      'modern-bert',
      'gigachat',
      'mellum',
      'a.x-4.0',
      'roberta-bpe',
    ],
    patterns: [gpt2],
  },
  {
    name: 'llama-bpe',
    aliases: ['llama3', 'llama-v3', 'falcon3', 'falcon-h1', 'pixtral', 'midm-2.0', 'lfm2'],
    patterns: [llama3],
    ignoreMerges: true,
  },
  { name: 'dbrx', aliases: ['smaug-bpe', 'glm4', 'chatglm-bpe'], patterns: [llama3] },
  {
    name: 'qwen2',
    aliases: ['stablelm2', 'deepseek-r1-qwen', 'kormo', 'megrez', 'hunyuan', 'solar-open', 'grok-2'],
    patterns: [`${contractions}|${word}|\\p{N}|${marks}|${spaces}`],
  },
  {
    name: 'qwen35',
    patterns: [
      `${contractions}|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|${spaces}`,
    ],
  },
  {
    name: 'smollm',
    aliases: ['starcoder', 'refact', 'command-r', 'codeshell', 'exaone', 'minerva-7b', 'mellum2'],
    patterns: ['\\p{N}', gpt2],
  },
  {
    name: 'tekken',
    patterns: [`${cased('')}|\\p{N}|${pathMarks}|${spaces}`],
    ignoreMerges: true,
  },
  {
    name: 'gpt-4o',
    aliases: ['llama4', 'kanana2', 'talkie', 'minimax-m2'],
    patterns: [`${cased(`${contractions}?`)}|\\p{N}{1,3}|${pathMarks}|${spaces}`],
  },
  {
    name: 'deepseek-llm',
    patterns: [
      '[\\r\\n]',
      `\\s?[${casedLetters}]+`,
      '\\s?[!-/:-~！-／：-～‘-‟\\u3000-。]+',
      '\\s+$',
      eastAsian,
      '\\p{N}+',
    ],
  },
  { name: 'deepseek-coder', patterns: ['[\\r\\n]', '\\s?\\p{L}+', '\\s?\\p{P}+', eastAsian, '\\p{N}'] },
  {
    name: 'deepseek-v3',
    aliases: ['hunyuan-dense', 'joyai-llm', 'hy_v4'],
    patterns: [
      '\\p{N}{1,3}',
      '[\\u4e00-\\u9fa5\\u3040-\\u309f\\u30a0-\\u30ff]+',
      `[!-/:-@\\[-\\u0060{-~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|${spaces}`,
    ],
  },
  { name: 'falcon', patterns: ['[\\p{P}$+<=>^~|`]+', gpt2, '[0-9][0-9][0-9]'] },
  { name: 'bloom', aliases: ['poro-chat', 'gpt3-finnish'], patterns: [bloom] },
  { name: 'viking', patterns: [bloom, '\\p{N}'] },
  { name: 'default', patterns: ['[\\p{P}$+<=>^~|]+', gpt2, '\\p{N}+', '[0-9][0-9][0-9]'] },
];

/**
 * Text in which any two of the ways to cut above differ: numbers of several lengths, contractions in both
 * cases, changes of case, marks before letters, lines and slashes, white space of every kind, other scripts.
 */
const probe =
  "It's 7 or 42, not 365; 2024 and 65536 (or 1234567)! WE'LL SAY 'Tis YOU'VE x'y\n\n  camelCaseWORD étéÉTÉ" +
  '\t\ttabs   and    runs \n \n\r\n end. "quoted",(nested)/path/to\n//comment\n$price=+3^2|a~b<c>d `code` ?!...\n' +
  '#tag @name don’t naïve Ελλάδα Привет мир 你好，世界。東京タワー 한국어 हिन्दी เมือง مرحبا ½ ² Ⅷ ١٢٣ 😀🎉 \u0301\u200d \u00a0x   ';

/** What llama.cpp takes when a file names no cuts. */
export const defaultPre = 'default';

/**
 * Cuts by llama.cpp's name, as tokenizer.json describes them; undefined for a name that is not known here.
 */
export function findCuts(name: string): { definition: object; ignoreMerges: boolean } | undefined {
  const found = cuts.find((entry) => entry.name === name || entry.aliases?.includes(name));
  return found && { definition: definition(found), ignoreMerges: found.ignoreMerges ?? false };
}

/** Whether llama.cpp puts BOS before a text with these cuts unless the file says otherwise. */
export function addsBosByDefault(pre: string | undefined): boolean {
  const bos = cuts.filter(({ name }) => name === 'llama-bpe' || name === 'tekken');
  return bos.some(({ name, aliases }) => name === pre || (pre !== undefined && aliases?.includes(pre)));
}

/**
 * llama.cpp's name for a tokenizer's own way of cutting, recognised by what it does and not by how it is
 * written, since the same cuts are spelled in many ways.
 */
export function recognise(own: PreTokenizer, ignoreMerges: boolean): string | undefined {
  const expected = own(probe).join('\n');
  return cuts.find(
    (entry) =>
      (entry.ignoreMerges ?? false) === ignoreMerges &&
      createPreTokenizer(definition(entry))(probe).join('\n') === expected,
  )?.name;
}

function definition({ patterns }: Cuts): object {
  return {
    type: 'Sequence',
    pretokenizers: [
      ...patterns.map((Regex) => ({
        type: 'Split',
        pattern: { Regex },
        behavior: 'Isolated',
        invert: false,
      })),
      { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
    ],
  };
}
