import type { Command } from 'commander';
import type { Portion } from '../checkpoint/stack/stack.js';
import { TersorError } from '../errors.js';
import type { GenerateOptions, GenerateResult } from '../pipeline/generate/options.js';
import { generate } from '../pipeline/generate.js';
import { numberBetween, portion, positiveInteger, wholeNumber } from './arguments.js';
import { examples, type Session, withTerminal } from './command.js';
import { formatCount, formatDuration, significant } from './format.js';

interface Flags {
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topP: number;
  readonly seed: number;
  readonly context?: number;
  readonly threads?: number;
  readonly chat?: boolean;
  readonly system?: string;
  readonly bytes?: Portion;
  readonly json?: boolean;
}

export function runCommand(program: Command, session: Session): void {
  const command = program
    .command('run')
    .summary('generate text')
    .description(
      'Continues a prompt with a GGUF model, in llama.cpp, or with an ONNX or stacked model, in onnxruntime.',
    )
    .argument('<model>', 'a .gguf, a .stack, or a folder with an ONNX model that tersor wrote')
    .argument('<prompt>', 'the beginning of the text')
    .option('--chat', "ask the prompt as a question, by the model's own chat template")
    .option('--system <text>', 'with --chat: what the model is told beforehand')
    .option('--max-tokens <n>', 'tokens to generate at most', positiveInteger, 256)
    .option('--temperature <t>', '0 takes the likeliest token each time', numberBetween(0, 10), 0.8)
    .option('--top-p <p>', 'draw from the likeliest tokens of this probability', numberBetween(0, 1), 0.95)
    .option('--seed <n>', 'the same seed gives the same text', wholeNumber, 1)
    .option('--bytes <size>', 'use only so much of a .stack, such as 50% or 1.5MB', portion)
    .option('--context <n>', 'tokens that prompt and text may have together', positiveInteger)
    .option('--threads <n>', 'threads at most (default: all)', positiveInteger)
    .option('--json', 'print one JSON document')
    .action((model: string, prompt: string, flags: Flags) => run(model, prompt, flags, session));
  examples(command, [
    ['tersor run model.gguf "Once upon a time"', 'tells a story'],
    ['tersor run model.gguf "Who was Ada Lovelace?" --chat', 'asks a model that was trained to answer'],
    ['tersor run model.stack "Once upon a time" --bytes 50%', 'with half of the file'],
    ['tersor run ./model-onnx "Once upon a time" --temperature 0', 'the likeliest one'],
  ]);
}

async function run(path: string, prompt: string, flags: Flags, session: Session): Promise<void> {
  const { json, bytes: portion, ...options } = flags;
  if (flags.system !== undefined && !flags.chat)
    throw new TersorError('--system is for chats', { remedy: 'add --chat, or leave it out' });
  await withTerminal(session, flags, async (terminal) => {
    const write = (text: string) => {
      if (!json) session.stdout.write(text);
    };
    let text = '';
    // An answer stands for itself; a continuation does not.
    const begin = () => write(flags.chat ? '' : prompt);
    const pieces = generated({ model: path, prompt, portion, ...options }, session);
    let next = await pieces.next();
    begin();
    for (; !next.done; next = await pieces.next()) {
      write(next.value);
      text += next.value;
    }
    terminal.print('');
    if (next.value) terminal.note(describeSpeed(next.value));
    terminal.json({ model: path, prompt, text, ...next.value });
  });
}

function describeSpeed({ tokens, seconds }: GenerateResult): string {
  const speed = seconds > 0 ? `, ${significant(tokens / seconds, 3)} per second` : '';
  return `${formatCount(tokens)} ${tokens === 1 ? 'token' : 'tokens'} in ${formatDuration(seconds)}${speed}`;
}

/** What comes until the user has seen enough. */
async function* generated(
  options: GenerateOptions,
  { signal }: Session,
): AsyncGenerator<string, GenerateResult | undefined, void> {
  try {
    return yield* generate(options, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
    return undefined;
  }
}
