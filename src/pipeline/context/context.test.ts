import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { withFolder } from '../../../test/checkpoint/files.js';
import { tales } from '../../../test/fixtures/data.js';
import { compress } from '../compress.js';
import { generate } from '../generate.js';
import { withContext } from './context.js';
import type { ProgressEvent } from './progress.js';

const settings = {
  model: tales.model,
  calibration: tales.calibration,
  tokens: 2048,
  type: 'q3_k',
  solver: 'rtn',
};

test('a job that is stopped rejects with the reason, whatever it is, and clears up', () =>
  withFolder({}, async (folder) => {
    const run = (signal: AbortSignal, progress?: (event: ProgressEvent) => void) =>
      compress(
        { ...settings, output: join(folder, 'tales.gguf'), store: join(folder, 'store') },
        { signal, progress },
      );
    await expect(run(AbortSignal.abort('at once'))).rejects.toBe('at once');

    const plain = new AbortController();
    const stopped = run(plain.signal, ({ fraction }) => {
      if (fraction > 0.2) plain.abort();
    });
    await expect(stopped).rejects.toMatchObject({ name: 'AbortError' });
    await expect(stopped).rejects.toBe(plain.signal.reason);
    expect(readdirSync(folder).filter((name) => name.startsWith('tales'))).toEqual([]);

    // In the middle of writing, where file-system failures are explained.
    const late = new AbortController();
    const reason = Object.assign(new Error('enough'), { code: 'EIO' });
    const verifying = run(late.signal, ({ stage }) => {
      if (stage === 'verify') late.abort(reason);
    });
    await expect(verifying).rejects.toBe(reason);
    expect(existsSync(join(folder, 'tales.gguf'))).toBe(false);
  }));

test('a timer stops work that reports nothing', async () => {
  const controller = new AbortController();
  let rounds = 0;
  const work = withContext({ threads: 1 }, { signal: controller.signal }, async ({ kernels }) => {
    setTimeout(() => controller.abort('time'), 1);
    for (; rounds < 1e7; rounds++) await kernels.scope((arena) => arena.f32(16).fill(rounds));
  });
  await expect(work).rejects.toBe('time');
  expect(rounds).toBeLessThan(1e7);
});

test('events name the stages in their order, and end with the whole', () =>
  withFolder({}, async (folder) => {
    const events: ProgressEvent[] = [];
    const output = join(folder, 'tales.gguf');
    await compress({ ...settings, output, resume: false }, { progress: (event) => events.push(event) });
    const order = events.map(({ stage }) => stage).filter((stage, at, all) => stage !== all[at - 1]);
    expect(order).toEqual(['prepare', 'solve', 'write', 'verify', 'measure']);
    const fractions = events.map(({ fraction }) => fraction);
    expect(fractions).toEqual(fractions.toSorted((a, b) => a - b));
    expect(events.at(-1)).toEqual({ stage: 'measure', fraction: 1, secondsLeft: 0 });
    const half = events.find(({ fraction }) => fraction > 0.5);
    expect(half?.secondsLeft).toBeGreaterThan(0);
    // A loop that is left ends the work; one that is stopped throws the reason.
    const options = { model: output, prompt: 'Once upon a time', temperature: 0, maxTokens: 20 };
    let text = '';
    for await (const piece of generate(options)) text += piece;
    for await (const piece of generate(options)) {
      expect(text.startsWith(piece)).toBe(true);
      break;
    }
    const controller = new AbortController();
    const reading = async () => {
      for await (const _ of generate(options, { signal: controller.signal })) controller.abort('enough');
    };
    await expect(reading()).rejects.toBe('enough');
  }));
