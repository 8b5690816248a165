import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { tinyLlama } from '../../test/fixtures/tiny-llama.js';
import { execute } from './program.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-cli-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function tersor(...words: string[]) {
  const written = { stdout: '', stderr: '' };
  const stream = (name: 'stdout' | 'stderr') => ({
    write: (text: string) => {
      written[name] += text;
    },
  });
  const signal = new AbortController().signal;
  const code = await execute(words, { signal, stdout: stream('stdout'), stderr: stream('stderr') });
  return { code, ...written };
}

describe('wrong command lines end with code 1 and one line', () => {
  test.each([
    [['compres', 'x'], "unknown command 'compres' (Did you mean compress?); see tersor --help"],
    [['run', 'x.gguf', 'Once', 'upon'], 'quote what has blanks'],
    [['compress'], "missing required argument 'model'; see --help"],
    [['compress', 'x'], '--dry-run'],
    [['compress', 'x', '-o', 'y.onnx'], '.gguf'],
    [['compress', 'x', '-o', 'y.gguf', '--bogus'], "unknown option '--bogus'"],
    [['compress', 'x', '-o', 'y.gguf', '--tokens', 'many'], 'whole number above 0'],
    [['compress', 'x', '-o', 'y.gguf', '--seed', '-1'], 'whole number from 0'],
    [['compress', 'x', '-o', 'y.gguf', '--override', 'q4_k'], 'REGEX=TYPE'],
    [['compress', 'x', '-o', 'y.gguf', '--override', '(=q4_k'], 'regular expression'],
    [['compress', 'x', '-o', 'y.gguf', '--calibrate-on', 'both'], 'original'],
    [['compress', 'x', '-o', 'y.gguf', '--size', 'small'], '14MB'],
    [['compress', 'x', '-o', 'y.gguf', '--size', '0'], '14MB'],
    [['compress', 'x', '-o', 'y.gguf', '--bits', '99'], 'from 0.5 to 32'],
    [
      ['compress', 'x', '-o', 'y.gguf', '--bits', '3', '--size', '2MB'],
      '--size and --bits contradict each other',
    ],
    [
      ['compress', 'x', '-o', 'y.gguf', '--recipe', join(folder, 'missing.json')],
      'the recipe cannot be read',
    ],
    [['compress', 'x', '-o', 'y.gguf', '--recipe', import.meta.filename], 'the recipe is not JSON'],
    [['plan', 'x', '--max-divergence', 'none'], 'give a number'],
    [['evaluate', 'x'], '--text'],
    [['evaluate', 'x', '--text', 'y', '--runtime', 'z'], 'llama.cpp'],
    [['run', 'x.gguf'], "missing required argument 'prompt'"],
    [['run', join(folder, 'missing.gguf'), 'hello'], 'cannot be read'],
    [['run', import.meta.filename, 'hello'], 'neither a GGUF'],
    [['inspect', join(folder, 'missing')], 'missing'],
  ])('%j', async (words, part) => {
    const { code, stdout, stderr } = await tersor(...words);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^error: [^\n]+\n$/);
    expect(stderr).toContain(part);
    expect(stderr).not.toContain('--trace');
  });
});

test('a terminal gets errors between words', async () => {
  let written = '';
  const write = (text: string) => {
    written += text;
  };
  const stderr = { isTTY: true, columns: 30, write };
  const environment = { NO_COLOR: '1' };
  const { signal } = new AbortController();
  await execute(['compress', 'x'], { signal, environment, stderr, stdout: { write } });
  const lines = written.trimEnd().split('\n');
  expect(lines.length).toBeGreaterThan(2);
  expect(lines[0]).toMatch(/^error: there is no/);
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(30);
  expect(lines.map((line) => line.trim()).join(' ')).toContain('add -o FILE.gguf, or --dry-run to only plan');
});

test('help goes to standard output and fits 80 columns, with examples for every command', async () => {
  const names = [...(await tersor('--help')).stdout.matchAll(/^ {2}(\w+) .*/gm)].map(([, name = '']) => name);
  const commands = names.slice(names.indexOf('compress')).filter((name) => name !== 'help');
  expect(commands).toEqual(expect.arrayContaining(['compress', 'report', 'demo', 'completion']));
  for (const words of [[], ['--help'], ...commands.map((name) => [name, '--help'])]) {
    const { code, stdout, stderr } = await tersor(...words);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('Usage: tersor');
    if (words.length > 1) expect(stdout).toMatch(new RegExp(`\nExamples:\n.*tersor ${words[0]}`));
    for (const line of stdout.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
  }
});

test('lists methods for people and for programs', async () => {
  const { stdout } = await tersor('methods');
  for (const name of ['rtn', 'gptq', 'q4_k', 'mxfp4']) expect(stdout).toContain(name);
  for (const line of stdout.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
  const document = JSON.parse((await tersor('methods', '--json')).stdout);
  expect(document.types.find(({ name }: { name: string }) => name === 'q4_0').bitsPerWeight).toBe(4.5);
});

test('generates text from a GGUF', async () => {
  const path = join(folder, 'tiny.gguf');
  writeFileSync(path, tinyLlama());
  const words = ['run', path, 'tale', '--temperature', '0', '--max-tokens', '4', '--context', '256'];
  const document = JSON.parse((await tersor(...words, '--json')).stdout);
  const result = { text: expect.any(String), tokens: 4, seconds: expect.any(Number) };
  expect(document).toEqual({ model: path, prompt: 'tale', ...result });
  const { stdout, stderr } = await tersor(...words);
  expect(stdout).toBe(`tale${document.text}\n`);
  expect(stderr).toMatch(/^4 tokens in \d+\.\d s, [\d.]+ per second\n$/);
});
