import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import * as tersor from '../../index.js';
import { checkOptions } from '../options.js';
import { checkJob, jobs } from './jobs.js';

const tales = fileURLToPath(new URL('../../../models/tales', import.meta.url));

/** What every function needs, and nothing else. */
const needed = {
  evaluate: { model: 'm', text: 't' },
  evaluateEncoder: { model: 'm', text: 't', against: 'o' },
  inspect: { model: 'm' },
  generate: { model: 'm', prompt: '' },
  imatrix: { model: 'm', output: 'o' },
  report: { model: 'm' },
} as const satisfies Record<keyof typeof jobs, object>;

const called = async (job: string, options: object, hooks: object = {}): Promise<unknown> => {
  const result = (tersor as unknown as Record<string, (options: object, hooks: object) => unknown>)[job]?.(
    options,
    hooks,
  );
  if (job !== 'generate') return result;
  for await (const _ of result as AsyncIterable<string>);
  return undefined;
};

test.each(Object.keys(jobs) as (keyof typeof jobs)[])(
  '%s refuses options that it does not have',
  async (job) => {
    const options = needed[job];
    await expect(called(job, { ...options, thread: 1 })).rejects.toThrow(
      'there is no option thread; did you mean threads? use one of ',
    );
    await expect(called(job, { ...options, threads: 0 })).rejects.toThrow(
      'threads cannot be 0; give a whole number from 1 on',
    );
    await expect(called(job, { ...options, model: 5 })).rejects.toThrow('model cannot be 5; give a model');
    await expect(called(job, options, { progres() {} })).rejects.toThrow(
      'there is no hook progres; did you mean progress? use one of progress, warn, signal',
    );
    for (const name of Object.keys(options))
      await expect(called(job, { ...options, [name]: undefined })).rejects.toThrow(
        `${name} is missing; give `,
      );
    // Options that are undefined are left out.
    expect(checkJob(job, { ...options, tokenizer: undefined }, {})).toMatchObject(options);
  },
);

test.each(['compress', 'plan', 'planFront'])(
  '%s refuses hooks, options and paths of another kind',
  async (job) => {
    const options = { model: 'm', output: 'o.gguf' };
    await expect(called(job, { ...options, toknes: 1 })).rejects.toThrow(
      'there is no option toknes; did you mean tokens? use one of',
    );
    await expect(called(job, { ...options, model: undefined })).rejects.toThrow(
      'model is missing; give a path',
    );
    await expect(called(job, { ...options, output: 5 })).rejects.toThrow('output cannot be 5; give a path');
    await expect(called(job, options, { signal: 1 })).rejects.toThrow(
      'signal cannot be 1; give an AbortSignal',
    );
  },
);

test('sizes may be texts, as on the command line', async () => {
  const paths = { model: 'm', output: 'o.gguf' };
  expect(checkOptions({ ...paths, size: '14MB', memory: '2GiB' } as never)).toEqual({
    ...paths,
    size: 14e6,
    memory: 2 ** 31,
  });
  await expect(tersor.compress({ ...paths, size: '14' })).rejects.toThrow(
    '`size` cannot be "14"; give a unit: 14MB, 14GB, or 14B for bytes',
  );
  await expect(tersor.plan({ ...paths, memory: 'all' })).rejects.toThrow(
    '`memory` cannot be "all"; give a size such as 14MB, 3.5GiB or 13893536',
  );
  const portion = (value: unknown) => checkJob('evaluate', { ...needed.evaluate, portion: value }, {});
  expect(portion('50%')).toMatchObject({ portion: { share: 0.5 } });
  expect(portion('1.5MB')).toMatchObject({ portion: { bytes: 1.5e6 } });
  expect(portion({ share: 0.5 })).toMatchObject({ portion: { share: 0.5 } });
  expect(() => portion('150%')).toThrow('portion cannot be "150%"; give a share from 0 to 100%');
  expect(() => portion({ shares: 0.5 })).toThrow("give '50%', '1.5MB', { share } from 0 to 1, or { bytes }");
});

test('what is right is done', async () => {
  const { architecture } = await tersor.inspect({ model: tales, threads: 1 });
  expect(architecture).toBe('llama');
});
