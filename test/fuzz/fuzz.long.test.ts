import { expect, test } from 'vitest';
import { openRun } from './run.js';
import { targets } from './targets.js';

// bench/fuzz.ts runs many more, with limits on time and memory.
const cases = 300;

test.each(targets)('$name: corrupt files are read or refused, never worse', async (target) => {
  const run = await openRun(target);
  try {
    const count = { read: 0, refused: 0 };
    // What is read in spite of corruption takes longest.
    const last = target.forgiving ? cases / 3 : cases;
    for (let index = 0; index < last; index++) {
      const verdict = await run.attempt(run.content(index));
      if (typeof verdict === 'object') expect.fail(`case ${index}: ${verdict.failure}`);
      count[verdict]++;
    }
    expect(count.refused).toBeGreaterThanOrEqual(target.forgiving ? 0 : cases / 20);
  } finally {
    await run.close();
  }
});
