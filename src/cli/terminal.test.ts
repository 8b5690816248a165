import { expect, test } from 'vitest';
import type { ProgressEvent } from '../pipeline/context/progress.js';
import { createStyle, createTerminal } from './terminal.js';

function record(terminals: { stdout?: boolean; stderr?: boolean } = {}, json = false) {
  const written = { stdout: '', stderr: '' };
  let time = 0;
  const controller = new AbortController();
  const stream = (name: 'stdout' | 'stderr') => ({
    isTTY: terminals[name] ?? false,
    columns: 80,
    write: (text: string) => {
      written[name] += text;
    },
  });
  const streams = {
    stdout: stream('stdout'),
    stderr: stream('stderr'),
    signal: controller.signal,
  };
  const terminal = createTerminal(streams, { json, now: () => time });
  const wait = (seconds: number) => {
    time += seconds * 1000;
  };
  return { terminal, written, wait };
}

/** A report of a job that has nothing else to do. */
const event = (task: string, done: number, total: number, secondsLeft?: number): ProgressEvent => ({
  stage: 'solve',
  fraction: done / total,
  secondsLeft,
  detail: { task, done, total },
});

test('prints one plain line per finished stage on standard error where there is no terminal', () => {
  const { terminal, written, wait } = record();
  terminal.hooks.progress?.(event('calibrate', 0, 2));
  wait(1);
  terminal.hooks.progress?.(event('calibrate', 1, 2));
  wait(2);
  terminal.hooks.progress?.(event('calibrate', 2, 2));
  terminal.hooks.warn?.('a choice was made');
  terminal.print('done');
  expect(written).toEqual({
    stdout: 'done\n',
    stderr: 'calibrate          3.0 s\nnote: a choice was made\n',
  });
});

test('writes nothing but the document to standard output with --json', () => {
  const { terminal, written } = record({}, true);
  terminal.hooks.progress?.(event('calibrate', 1, 1));
  terminal.hooks.warn?.('a choice was made');
  terminal.print('done');
  terminal.json({ bytes: 1 });
  expect(JSON.parse(written.stdout)).toEqual({ bytes: 1 });
  expect(written.stderr).toBe('note: a choice was made\n');
});

test('gives a sign of life every 30 seconds where there is no terminal, with a name that people know', () => {
  const { terminal, written, wait } = record();
  for (let done = 0; done < 7; done++) {
    terminal.hooks.progress?.(event('levels', done, 8, 80 - 10 * done));
    wait(10);
  }
  expect(written).toEqual({
    stdout: '',
    stderr: 'try every type     37 % of all, 50 s left\ntry every type     75 % of all, 20 s left\n',
  });
});

test('tells no time left before a tenth is done, and in the first three seconds', () => {
  const shown = (seconds: number, done: number) => {
    const { terminal, written, wait } = record({ stderr: true });
    wait(seconds);
    terminal.hooks.progress?.(event('compress', done, 100, 60));
    return written.stderr.includes('left');
  };
  expect([shown(2, 50), shown(60, 9), shown(4, 10)]).toEqual([false, false, true]);
});

test('draws a bar with the time left on a terminal and clears it away', () => {
  const { terminal, written, wait } = record({ stderr: true, stdout: true });
  terminal.hooks.progress?.(event('compress', 0, 10));
  wait(5);
  terminal.hooks.progress?.(event('compress', 5, 10, 5));
  const frames = written.stderr.split('\r\x1b[K');
  expect(frames.at(1)).toBe('compress           ░░░░░░░░░░░░░░░░░░░░░░░░   0 % of all');
  expect(frames.at(2)).toBe('compress           ████████████░░░░░░░░░░░░  50 % of all, 5.0 s left');
  wait(0.01);
  terminal.hooks.progress?.(event('compress', 6, 10));
  expect(written.stderr.split('\r\x1b[K')).toHaveLength(3);
  terminal.finish();
  expect(written.stderr.endsWith('\r\x1b[K')).toBe(true);
  expect(written.stdout).toBe('');
});

test('counts the time of a stage from the end of the one before', () => {
  const { terminal, written, wait } = record();
  wait(4);
  terminal.hooks.progress?.(event('compress', 1, 2));
  wait(3);
  terminal.hooks.progress?.(event('compress', 2, 2));
  expect(written.stderr).toBe('compress           7.0 s\n');
});

test('shows the stage until a task of it reports, and leaves no line for it', () => {
  const { terminal, written } = record({ stderr: true });
  terminal.hooks.progress?.({ stage: 'verify', fraction: 0.9, secondsLeft: undefined });
  expect(written.stderr).toBe(`\r\x1b[Kverify             ${'░'.repeat(24)}  90 % of all`);
  terminal.hooks.progress?.({ stage: 'verify', fraction: 1, secondsLeft: 0 });
  terminal.finish();
  expect(written.stderr).toMatch(/90 % of all\r.\[K$/);
});

test.each([
  [true, {}, true],
  [false, {}, false],
  [undefined, {}, false],
  [true, { TERM: 'dumb' }, false],
  [true, { NO_COLOR: '1' }, false],
  [true, { NO_COLOR: '' }, true], // as https://no-color.org says
  [false, { FORCE_COLOR: '1' }, true],
  [false, { FORCE_COLOR: '' }, true],
  [true, { FORCE_COLOR: '0' }, false],
  [true, { FORCE_COLOR: 'false' }, false],
  [true, { NO_COLOR: '1', FORCE_COLOR: '3' }, true],
])('terminal %s with %j: colours %s', (isTTY, environment, colours) => {
  const style = createStyle({ isTTY, write: () => {} }, environment);
  expect(style.bold('text')).toBe(colours ? '\x1b[1mtext\x1b[22m' : 'text');
});

test('a bar never wraps, and a dumb terminal gets none', () => {
  const draw = (columns: number, environment = {}) => {
    let written = '';
    const stderr = {
      isTTY: true,
      columns,
      write: (text: string) => {
        written += text;
      },
    };
    const { signal } = new AbortController();
    const stdout = { write: () => {} };
    let time = 0;
    const { hooks } = createTerminal({ stdout, stderr, signal, environment }, { now: () => time });
    hooks.progress?.(event('compress', 0, 4));
    time = 3_723_000;
    hooks.progress?.(event('compress', 1, 4, 11_160));
    return written;
  };
  expect(draw(80)).toContain('25 % of all, 3 h 06 min left');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  for (const line of draw(30).split(/\r\x1b\[K/)) expect(line.length).toBeLessThan(30);
  expect(draw(80, { TERM: 'dumb' })).toBe('compress           25 % of all, 3 h 06 min left\n');
});
