import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { tersor } from '../../test/fixtures/command.js';
import { describeProgram } from './completion.js';
import { createProgram } from './program.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-completion-'));
afterAll(() => rmSync(folder, { recursive: true }));

const silent = { write: () => {} };
const commands = describeProgram(
  createProgram({ stdout: silent, stderr: silent, signal: new AbortController().signal }),
);

test('knows every command and option of the help', async () => {
  const help = (await tersor('--help')).stdout;
  for (const [, name] of help.slice(help.indexOf('Commands:')).matchAll(/^ {2}([a-z]+) /gm)) {
    const command = commands.find((each) => each.name === name);
    expect(command, name).toBeDefined();
    if (name === 'help') continue;
    const flags = command?.options.flatMap((option) => option.flags) ?? [];
    const own = (await tersor(name ?? '', '--help')).stdout.matchAll(/^ {2}(?:(-\w), )?(--[\w-]+)/gm);
    for (const [, short, long] of own) expect(flags).toEqual(expect.arrayContaining([short ?? long, long]));
  }
});

test.each(['bash', 'zsh', 'fish'])('the script for %s names every command and long option', async (shell) => {
  const { code, stdout } = await tersor('completion', shell);
  expect(code).toBe(0);
  for (const { name, options } of commands) {
    expect(stdout).toContain(name);
    for (const flag of options.flatMap(({ flags }) => flags).filter((each) => each.startsWith('--'))) {
      expect(stdout).toContain(shell === 'fish' ? `-l ${flag.slice(2)}` : flag);
    }
  }
});

/** What bash offers for a line whose last word is being typed. */
async function offered(...words: readonly string[]): Promise<string[]> {
  const script = join(folder, 'tersor.bash');
  writeFileSync(script, (await tersor('completion', 'bash')).stdout);
  const line = words.map((word) => `'${word}'`).join(' ');
  const program = `compopt() { COMPREPLY=("$@"); }; source '${script}'; COMP_WORDS=(tersor ${line}); COMP_CWORD=${words.length}; _tersor; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['-c', program], { encoding: 'utf8' }).split('\n').filter(Boolean);
}

test('bash completes commands, options, types, methods and files', async () => {
  expect(await offered('co')).toEqual(['compress', 'completion']);
  expect(await offered('compress', '--max')).toEqual(['--max-divergence']);
  expect(await offered('compress', './model', '--type', 'q3')).toEqual(['q3_k']);
  expect(await offered('plan', '--solver', 'gp')).toEqual(['gptq']);
  expect(await offered('compress', '--format', 'on')).toEqual(['onnx']);
  expect(await offered('compress', '--bias', '')).toEqual(['corrected', 'kept']);
  expect(await offered('compress', '--type', 'int4-g1')).toEqual(['int4-g128']);
  expect(await offered('evaluate', '--runtime', '')).toEqual(expect.arrayContaining(['tersor', 'llama.cpp']));
  expect(await offered('evaluate', '--text', 'hel')).toEqual(['-o', 'default']);
  expect(await offered('evaluate', 'hel')).toEqual(['-o', 'default']);
  expect(await offered('compress', '--store', '')).toEqual(['-o', 'dirnames']);
  expect(await offered('compress', '--tokens', '')).toEqual([]);
  expect(await offered('completion', '')).toEqual(['bash', 'zsh', 'fish']);
  expect(await offered('help', 'ev')).toEqual(['evaluate']);
});

test('other shells are refused in one line', async () => {
  const { code, stderr } = await tersor('completion', 'tcsh');
  expect(code).toBe(1);
  expect(stderr).toMatch(/^error: [^\n]*bash, zsh, fish[^\n]*\n$/);
});
