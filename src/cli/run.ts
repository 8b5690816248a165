import { open } from 'node:fs/promises';
import type { Command } from 'commander';
import { TersorError } from '../errors.js';
import { type GenerateOptions, openLlama } from '../runtime/llama.js';
import { numberBetween, positiveInteger, wholeNumber } from './arguments.js';
import { examples, type Session, withTerminal } from './command.js';

interface Flags {
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topP: number;
  readonly seed: number;
  readonly context: number;
  readonly threads?: number;
  readonly json?: boolean;
}

export function runCommand(program: Command, session: Session): void {
  const command = program
    .command('run')
    .summary('generate text')
    .description('Continues a prompt with a GGUF model, in llama.cpp.')
    .argument('<model>', 'a .gguf file')
    .argument('<prompt>', 'the beginning of the text')
    .option('--max-tokens <n>', 'tokens to generate at most', positiveInteger, 256)
    .option('--temperature <t>', '0 takes the likeliest token each time', numberBetween(0, 10), 0.8)
    .option('--top-p <p>', 'draw from the likeliest tokens of this probability', numberBetween(0, 1), 0.95)
    .option('--seed <n>', 'the same seed gives the same text', wholeNumber, 1)
    .option('--context <n>', 'tokens that prompt and text may have together', positiveInteger, 2048)
    .option('--threads <n>', 'threads (default: all)', positiveInteger)
    .option('--json', 'print one JSON document')
    .action((model: string, prompt: string, flags: Flags) => run(model, prompt, flags, session));
  examples(command, [['tersor run model.gguf "Once upon a time"', 'tells a story']]);
}

async function run(path: string, prompt: string, flags: Flags, session: Session): Promise<void> {
  const { json, context, threads, ...sampling } = flags;
  await requireGguf(path);
  await withTerminal(session, flags, async (terminal) => {
    const model = await openLlama(path, { context, ...(threads ? { threads } : {}) });
    try {
      const options: GenerateOptions = { ...sampling, signal: session.signal };
      if (!json) session.stdout.write(prompt);
      const text = await model.generate(prompt, options, (part) => {
        if (!json) session.stdout.write(part);
      });
      terminal.print('');
      terminal.json({ model: path, prompt, text });
    } finally {
      await model.close();
    }
  });
}

/** @throws TersorError unless the path is a GGUF file */
async function requireGguf(path: string): Promise<void> {
  const file = await open(path).catch((cause: unknown) => {
    throw new TersorError('cannot be read', { file: path, remedy: 'check the path', cause });
  });
  try {
    const { buffer } = await file.read(Buffer.alloc(4)).catch(() => ({ buffer: Buffer.alloc(4) }));
    if (buffer.toString('latin1') !== 'GGUF') {
      throw new TersorError('is not a GGUF file, which run needs', {
        file: path,
        remedy: `make one: tersor compress ${path} -o model.gguf`,
      });
    }
  } finally {
    await file.close();
  }
}
