import { type Generated, openLlama } from '../../runtime/llama.js';
import { renderChat } from '../../text/chat.js';
import { withContext } from '../context/context.js';
import { conversation, type GenerateOptions, type GenerateResult } from './options.js';

/** Of llama.cpp, which sets memory aside for all of it. */
const defaultContext = 2048;

/** Continues a prompt with a GGUF file in llama.cpp, piece by piece; a signal ends it without an error. */
export async function* generateWithLlama(
  { model: path, prompt, chat = false, system, portion: _, ...options }: GenerateOptions,
  signal: AbortSignal | undefined,
): AsyncGenerator<string, GenerateResult, void> {
  const text = chat ? await chatText({ model: path, prompt, system }) : prompt;
  const { context = defaultContext, threads, maxTokens, temperature, topP, topK, seed } = options;
  const model = await openLlama(path, { context, ...(threads ? { threads } : {}) });
  const leaving = new AbortController();
  try {
    const { tokens, seconds } = yield* piecesOf((onText) =>
      model.generate(
        text,
        {
          ...(maxTokens === undefined ? {} : { maxTokens }),
          ...(temperature === undefined ? {} : { temperature }),
          ...(topP === undefined ? {} : { topP }),
          ...(topK === undefined ? {} : { topK }),
          ...(seed === undefined ? {} : { seed }),
          complete: chat,
          signal: signal ? AbortSignal.any([signal, leaving.signal]) : leaving.signal,
        },
        onText,
      ),
    );
    return { tokens, seconds };
  } finally {
    leaving.abort();
    await model.close();
  }
}

/**
 * What the chat template of a model makes of a prompt.
 * @throws TersorError when the model has no template, or a corrupt one
 */
function chatText(options: Pick<GenerateOptions, 'model' | 'prompt' | 'system'>): Promise<string> {
  return withContext({ threads: 1 }, {}, async (context) => {
    const { vocabulary } = await context.tokenizer(await context.open(options.model));
    return renderChat(vocabulary, conversation(options), options.model);
  });
}

/** What a function hands to a callback, as it comes, and what the function returns. */
async function* piecesOf(
  work: (onText: (text: string) => void) => Promise<Generated>,
): AsyncGenerator<string, Generated, void> {
  const waiting: string[] = [];
  let wake = () => {};
  let over = false;
  const done = work((text) => {
    waiting.push(text);
    wake();
  }).finally(() => {
    over = true;
    wake();
  });
  done.catch(() => {}); // thrown below, when all pieces before it are out
  for (;;) {
    yield* waiting.splice(0);
    if (waiting.length > 0) continue;
    if (over) break;
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
  return done;
}
