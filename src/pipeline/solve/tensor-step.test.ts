import { expect, test } from 'vitest';
import { randomMoments, withRun } from '../../../test/fixtures/solving-run.js';
import { required } from '../../required.js';
import { compressTensor } from './tensor.js';
import { storeTensor } from './tensor-step.js';

test('a tensor is solved, written, kept for an interrupted run and recorded', async () => {
  await withRun({}, async ({ run, written, kept, spec }) => {
    const layer = spec('attn_k.weight');
    const assignment = run.assignment(layer);
    const { crossMoments: _, ...moments } = randomMoments(64, 5);
    const rows = await storeTensor(run, layer, { moments });
    const { bytes, relativeError } = await compressTensor(
      run.context,
      assignment,
      await run.job.model.read(layer),
      moments,
      run.job.recipe,
    );
    expect(required(kept, assignment)).toEqual({ bytes, relativeError });
    expect(required(written, assignment.name)).toEqual(run.job.format.arrange(bytes, layer));
    expect(run.results).toMatchObject([{ name: assignment.name, bytes: bytes.length, relativeError }]);
    expect(relativeError).toBeGreaterThan(0);

    const [decoded, original] = [await rows(0, 32), await run.original(layer)(0, 32)];
    expect(decoded).toHaveLength(32 * 64);
    expect(decoded).not.toEqual(original);
    expect(await rows(2, 4)).toEqual(decoded.slice(2 * 64, 4 * 64));
  });
});

test('cross moments move the weights that are rounded', async () => {
  await withRun({}, async ({ run, written, spec }) => {
    const layer = spec('attn_k.weight');
    const { name } = run.assignment(layer);
    const { crossMoments, ...moments } = randomMoments(64, 5);
    await storeTensor(run, layer, { moments });
    const own = required(written, name);
    await storeTensor(run, layer, { moments: { ...moments, crossMoments } });
    expect(required(written, name)).not.toEqual(own);
    const weight = { rows: 32, cols: 64, data: await run.original(layer)(0, 32) };
    const target = await run.targets.of(weight, { ...moments, crossMoments });
    await storeTensor(run, layer, { moments, values: target.data });
    const given = required(written, name);
    await storeTensor(run, layer, { moments: { ...moments, crossMoments } });
    expect(required(written, name)).toEqual(given);
  });
});

test('what an earlier run has solved is written as it is', async () => {
  await withRun({}, async ({ run, written, kept, spec }) => {
    const layer = spec('attn_k.weight');
    const assignment = run.assignment(layer);
    const known = await compressTensor(
      run.context,
      assignment,
      new Float32Array(32 * 64).fill(0.25),
      undefined,
      run.job.recipe,
    );
    const rows = await storeTensor(run, layer, { known });
    expect(required(written, assignment.name)).toEqual(run.job.format.arrange(known.bytes, layer));
    expect(kept.size).toBe(0);
    expect((await rows(0, 1)).every((value) => Math.abs(value - 0.25) < 0.01)).toBe(true);
  });
});
