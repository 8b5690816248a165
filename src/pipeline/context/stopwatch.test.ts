import { expect, test, vi } from 'vitest';
import { createStopwatch } from './stopwatch.js';

test('charges time to the innermost stage, also when work fails', async () => {
  let now = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now);
  const pass = async (seconds: number) => {
    now += 1000 * seconds;
  };
  const watch = createStopwatch(['walk', 'solve', 'write']);
  await watch.time('walk', async () => {
    await pass(1);
    await watch.time('solve', async () => {
      await pass(10);
      await watch.time('write', () => pass(100));
      await pass(20);
    });
    await watch
      .time('solve', async () => {
        await pass(5);
        throw new Error('no matter');
      })
      .catch(() => {});
    await pass(2);
  });
  await watch.time('write', () => pass(1000));
  clock.mockRestore();
  expect(watch.seconds).toEqual({ walk: 3, solve: 35, write: 1100 });
});
