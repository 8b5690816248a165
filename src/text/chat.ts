import { fork } from 'node:child_process';
import { TersorError } from '../errors.js';
import { type Tokenizer, tokenType, type Vocabulary } from './tokenizer.js';

export interface Message {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** What a template gets: milliseconds, and megabytes of memory. */
const limits = { time: 5000, memory: 64 };

type Answer = { readonly text: string } | { readonly failure: string };

/**
 * The text that a model's chat template makes of a conversation, up to where the assistant's answer begins.
 * A template is a program out of a file: the interpreter knows no files, modules or network, and runs in a process
 * of its own that ends when it takes too long or too much memory.
 * @param file where the template comes from, for errors
 * @throws TersorError when there is no template, or it is wrong, refuses the conversation, or does not end
 */
export async function renderChat(
  vocabulary: Vocabulary,
  messages: readonly Message[],
  file: string,
): Promise<string> {
  const { chatTemplate: template, tokens, special } = vocabulary;
  if (template === undefined) {
    throw new TersorError('the model has no chat template', {
      code: 'unsupported',
      file,
      remedy: 'give it a text to continue',
    });
  }
  const token = (id: number | undefined) => (id === undefined ? '' : (tokens[id] ?? ''));
  const values = {
    messages,
    add_generation_prompt: true,
    bos_token: token(special.bos),
    eos_token: token(special.eos),
  };
  const answer = await inProcess({ template, values });
  if ('text' in answer) return answer.text;
  throw new TersorError(`its chat template failed: ${answer.failure.split('\n')[0]}`, {
    file,
    remedy: 'get an intact copy, or give it a text to continue',
  });
}

/** Token ids of what a template made: its control tokens stand for themselves. */
export function encodeChat({ vocabulary: { tokens, types }, encode }: Tokenizer, text: string): number[] {
  const control = new Map(
    tokens.flatMap((token, id) => (types[id] === tokenType.control ? [[token, id]] : [])),
  );
  // The longest first, where one begins another.
  const names = [...control.keys()].filter(Boolean).sort((a, b) => b.length - a.length);
  if (names.length === 0) return encode(text);
  const cut = new RegExp(`(${names.map((name) => name.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')).join('|')})`);
  return text.split(cut).flatMap((part) => {
    const id = control.get(part);
    return id !== undefined ? [id] : part ? encode(part) : [];
  });
}

function inProcess(job: { readonly template: string; readonly values: object }): Promise<Answer> {
  return new Promise((resolve) => {
    const child = fork(new URL('./chat-process.js', import.meta.url), {
      env: {},
      execArgv: [`--max-old-space-size=${limits.memory}`],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    const end = (answer: Answer) => {
      clearTimeout(watchdog);
      resolve(answer);
      child.kill('SIGKILL');
    };
    const watchdog = setTimeout(() => end({ failure: `no end after ${limits.time / 1000} s` }), limits.time);
    child.once('message', (answer) => end(answer as Answer));
    child.once('error', ({ message }) => end({ failure: message }));
    // V8 ends a process that is out of memory; in a thread it would end ours with it.
    child.once('exit', () => end({ failure: `it takes more than ${limits.memory} MB of memory` }));
    child.send(job);
  });
}
