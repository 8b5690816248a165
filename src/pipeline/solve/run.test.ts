import { expect, test } from 'vitest';
import { withRun } from '../../../test/fixtures/solving-run.js';

test('a run knows the tensors of its plan and counts their elements', async () => {
  await withRun({}, async ({ run, progress, spec }) => {
    const { assignments } = run.job;
    const total = assignments.reduce((sum, { elements }) => sum + elements, 0);
    const [first, second] = [run.assignment(spec('attn_q.weight')), run.assignment(spec('attn_k.weight'))];
    run.done(first, { bytes: 7, relativeError: 0.5 });
    run.done(second, { bytes: 9, relativeError: 0.25 });
    expect(run.results).toEqual([
      { name: first.name, type: 'int4', bytes: 7, relativeError: 0.5 },
      { name: second.name, type: 'int4', bytes: 9, relativeError: 0.25 },
    ]);
    expect(progress).toEqual([
      [first.elements, total],
      [first.elements + second.elements, total],
    ]);
    const stranger = { ...spec('attn_q.weight'), names: { huggingface: 'a', gguf: 'stranger' } };
    expect(() => run.assignment(stranger)).toThrow('the plan does not know stranger');
  });
});

test('it reads rows as the checkpoint has them', async () => {
  await withRun({}, async ({ run, spec }) => {
    const layer = spec('attn_q.weight');
    const whole = await run.job.model.read(layer);
    expect(await run.original(layer)(3, 5)).toEqual(whole.slice(3 * 64, 5 * 64));
  });
});
