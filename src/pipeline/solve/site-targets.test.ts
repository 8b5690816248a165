import { expect, test } from 'vitest';
import { randomMoments, withRun } from '../../../test/fixtures/solving-run.js';
import { required } from '../../required.js';
import { siteTargets } from './site-targets.js';

test('targets of few rows are made at once, in the place of the cross moments', async () => {
  await withRun({}, async ({ run, spec }) => {
    const layer = spec('attn_k.weight');
    const moments = randomMoments(64, 9);
    const weight = { rows: 32, cols: 64, data: await run.original(layer)(0, 32) };
    const expected = await run.targets.of(weight, moments);
    const site = { ...moments };
    const made = await siteTargets(run, [layer], site);
    expect(required(made, layer)).toEqual(expected.data);
    expect(required(made, layer)).not.toEqual(weight.data);
    expect(site.crossMoments).toBeUndefined();
  });
});

test('layers that together have more elements than the cross moments make their own', async () => {
  await withRun({}, async ({ run, spec }) => {
    const site = { ...randomMoments(64, 9) };
    const layers = ['attn_q.weight', 'attn_k.weight', 'attn_v.weight'].map(spec);
    expect((await siteTargets(run, layers, site)).size).toBe(0);
    expect(site.crossMoments).toBeDefined();
  });
});
