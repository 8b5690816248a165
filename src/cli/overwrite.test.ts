import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { tersor } from '../../test/fixtures/command.js';
import { mayOverwrite } from './overwrite.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-overwrite-'));
afterAll(() => rmSync(folder, { recursive: true }));
const there = join(folder, 'there.gguf');
const absent = join(folder, 'absent.gguf');
writeFileSync(there, 'earlier');

test('outputs that are there are refused without --force and without a terminal to ask on', async () => {
  await mayOverwrite([undefined, absent], false, {});
  await mayOverwrite([there], true, {});
  await expect(mayOverwrite([absent, there], false, {})).rejects.toThrow(
    /there\.gguf: is there already; add --force/,
  );
});

test('on a terminal the user is asked', async () => {
  const asked: string[] = [];
  const answer = (yes: boolean) => async (question: string) => {
    asked.push(question);
    return yes;
  };
  await mayOverwrite([absent, there], false, { ask: answer(true) });
  await expect(mayOverwrite([there], false, { ask: answer(false) })).rejects.toThrow('is there already');
  expect(asked).toEqual([
    `${there} is there already. Overwrite it?`,
    `${there} is there already. Overwrite it?`,
  ]);
});

test.each([
  [['compress', 'x', '-o', there]],
  [['compress', 'x', '-o', absent, '--report', there]],
  [['plan', 'x', '--save', there]],
  [['report', 'x', '-o', there]],
  [['imatrix', 'x', '-o', there]],
])('%j asks first', async (words) => {
  const { code, stderr } = await tersor(...words);
  expect(code).toBe(1);
  expect(stderr).toMatch(/there\.gguf: is there already; add --force/);
});

test('a model is not compressed onto itself, --force or not', async () => {
  const { code, stderr } = await tersor('compress', there, '-o', there, '--force');
  expect(code).toBe(1);
  expect(stderr).toContain('the output is what the job reads');
});
