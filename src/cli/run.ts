import { open, stat } from 'node:fs/promises';
import type { Command } from 'commander';
import { findOnnxFile } from '../checkpoint/onnx/onnx.js';
import type { Portion } from '../checkpoint/stack/stack.js';
import { TersorError } from '../errors.js';
import { chatText, generate } from '../pipeline/generate.js';
import { openLlama } from '../runtime/llama.js';
import { numberBetween, portion, positiveInteger, wholeNumber } from './arguments.js';
import { examples, type Session, withTerminal } from './command.js';

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

/** Of llama.cpp, which sets memory aside for all of it. */
const defaultContext = 2048;

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
    .option('--threads <n>', 'threads (default: all)', positiveInteger)
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
  if (flags.system !== undefined && !flags.chat)
    throw new TersorError('--system is for chats', { remedy: 'add --chat, or leave it out' });
  const kind = await kindOf(path);
  if (flags.bytes && kind !== 'stack')
    throw new TersorError('only a part of a stacked file is a model', {
      file: path,
      remedy: 'leave --bytes out, or compress to a .stack',
    });
  await withTerminal(session, flags, async (terminal) => {
    const write = (text: string) => {
      if (!flags.json) session.stdout.write(text);
    };
    // An answer stands for itself; a continuation does not.
    const begin = () => write(flags.chat ? '' : prompt);
    const text = await (kind === 'gguf'
      ? runGguf(path, prompt, flags, session, begin, write)
      : runOnnx(path, prompt, flags, session, begin, write));
    terminal.print('');
    terminal.json({ model: path, prompt, text });
  });
}

type Write = (text: string) => void;

async function runGguf(
  path: string,
  prompt: string,
  { json: _, bytes: __, context = defaultContext, threads, chat = false, system, ...sampling }: Flags,
  { signal }: Session,
  begin: () => void,
  write: Write,
): Promise<string> {
  const text = chat
    ? await chatText({ model: path, prompt, ...(system === undefined ? {} : { system }) })
    : prompt;
  const model = await openLlama(path, { context, ...(threads ? { threads } : {}) });
  try {
    begin();
    return await model.generate(text, { ...sampling, complete: chat, signal }, write);
  } finally {
    await model.close();
  }
}

async function runOnnx(
  path: string,
  prompt: string,
  { json: _, bytes, ...options }: Flags,
  { signal }: Session,
  begin: () => void,
  write: Write,
): Promise<string> {
  let begun = false;
  const start = () => {
    if (!begun) begin();
    begun = true;
  };
  const text = await generate(
    { model: path, prompt, ...options, ...(bytes ? { portion: bytes } : {}) },
    (part) => {
      start();
      write(part);
    },
    { signal },
  );
  start();
  return text;
}

/** @throws TersorError unless the path is a GGUF file, a stacked one, an ONNX file or a folder with one */
async function kindOf(path: string): Promise<'gguf' | 'onnx' | 'stack'> {
  const about = await stat(path).catch((cause: unknown) => {
    throw new TersorError('cannot be read', { file: path, remedy: 'check the path', cause });
  });
  if (about.isDirectory() ? await findOnnxFile(path) : path.endsWith('.onnx')) return 'onnx';
  if (about.isFile() && path.endsWith('.stack')) return 'stack';
  if (about.isFile() && (await beginning(path)) === 'GGUF') return 'gguf';
  throw new TersorError(
    'is neither a GGUF or stacked file nor a folder with an ONNX model, which run needs',
    {
      file: path,
      remedy: `make one: tersor compress ${path} -o model.gguf`,
    },
  );
}

async function beginning(path: string): Promise<string> {
  const file = await open(path).catch((cause: unknown) => {
    throw new TersorError('cannot be read', { file: path, remedy: 'check its permissions', cause });
  });
  try {
    const { buffer } = await file.read(Buffer.alloc(4));
    return buffer.toString('latin1');
  } finally {
    await file.close();
  }
}
