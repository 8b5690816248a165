import { afterAll, beforeAll, expect, test } from 'vitest';
import { tales } from '../../test/fixtures/data.js';
import { type Model, openModel } from '../architecture/model.js';
import { openCheckpoint } from '../checkpoint/open.js';
import { loadTokenizer } from '../text/load.js';
import type { Tokenizer } from '../text/tokenizer.js';
import { continueGreedily } from './continuation.js';
import { predict } from './predictor.js';

let model: Model;
let tokenizer: Tokenizer;
let prompt: number[];
beforeAll(async () => {
  model = await openModel(await openCheckpoint(tales.model));
  tokenizer = await loadTokenizer(model.checkpoint);
  prompt = tokenizer.encode('Once upon a time, there was a');
});
afterAll(() => model.checkpoint.close());

test('takes the likeliest token each time', async () => {
  const tokens = await continueGreedily(model, prompt, { count: 6 });
  const text = [...prompt, ...tokens];
  const predictor = await predict(model, [Int32Array.from(text)]);
  const best: number[] = [];
  for (let at = prompt.length - 1; at < text.length - 1; at++) {
    const logits = await predictor.logits(0, at, at + 1);
    best.push(logits.indexOf(Math.max(...logits)));
  }
  await predictor.release();
  expect(tokens).toEqual(best);
});

test('drafts save passes and change nothing', async () => {
  const count = 40;
  const alone = await continueGreedily(model, prompt, { count });
  const guesses: number[] = [];
  const draft = async (tokens: readonly number[]) => {
    guesses.push(tokens.length - prompt.length);
    // Right for ten tokens, then wrong, then right again; at times longer than what is left.
    const right = alone.slice(tokens.length - prompt.length);
    return right.map((token, index) => (index === 10 ? token + 1 : token));
  };
  expect(await continueGreedily(model, prompt, { count, draft })).toEqual(alone);
  expect(guesses).toEqual([0, 11, 22, 33]);
  expect(tokenizer.decode(alone)).toMatch(/^ little (girl|boy)/);
});

test('ends where the text ends', async () => {
  const [first = 0, second = 0, ...rest] = await continueGreedily(model, prompt, { count: 8 });
  const end = rest.find((token) => token !== first && token !== second) ?? 0;
  const tokens = await continueGreedily(model, prompt, { count: 8, end });
  expect(tokens).toEqual([first, second, ...rest].slice(0, [first, second, ...rest].indexOf(end)));
});
