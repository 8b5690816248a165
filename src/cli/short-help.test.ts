import { expect, test } from 'vitest';
import { tersor } from '../../test/fixtures/command.js';
import { flagOf } from '../pipeline/options/flags.js';
import { optionGroups } from '../pipeline/options/row.js';
import { optionNames } from '../pipeline/options/rows.js';

test.each(['compress', 'plan'])('help on %s is short, and all of it is a flag away', async (command) => {
  const { code, stdout: short, errors } = await tersor(command, '--help');
  expect([code, errors]).toEqual([0, '']);
  expect(short).toContain('--size');
  expect(short).toContain(`tersor ${command} --help-all`);
  expect(short).not.toContain('--sensitivity');

  const { code: same, stdout: whole } = await tersor(command, '--help-all');
  expect(same).toBe(0);
  for (const name of optionNames) expect(whole).toContain(flagOf(name));
  for (const group of optionGroups) expect(whole).toContain(group);
  expect(whole.split('\n').length).toBeGreaterThan(short.split('\n').length + 20);
});

test('what the short help leaves out works and is completed all the same', async () => {
  expect((await tersor('plan', 'missing.gguf', '--sensitivity', 'trace')).errors).toContain('missing.gguf');
  expect((await tersor('completion', 'bash')).stdout).toContain('--sensitivity');
});
