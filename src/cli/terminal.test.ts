import { expect, test } from 'vitest';
import { createTerminal } from './terminal.js';

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
  return { terminal, written, wait, stop: () => controller.abort() };
}

test('prints one plain line per finished stage where there is no terminal', () => {
  const { terminal, written, wait } = record();
  terminal.hooks.progress?.('calibrate', 0, 2);
  wait(1);
  terminal.hooks.progress?.('calibrate', 1, 2);
  wait(2);
  terminal.hooks.progress?.('calibrate', 2, 2);
  terminal.hooks.warn?.('a choice was made');
  terminal.print('done');
  expect(written).toEqual({
    stdout: 'calibrate          3.0 s\nnote: a choice was made\ndone\n',
    stderr: '',
  });
});

test('writes nothing but the document with --json', () => {
  const { terminal, written } = record({}, true);
  terminal.hooks.progress?.('calibrate', 1, 1);
  terminal.hooks.warn?.('a choice was made');
  terminal.print('done');
  terminal.json({ bytes: 1 });
  expect(JSON.parse(written.stdout)).toEqual({ bytes: 1 });
  expect(written.stderr).toBe('');
});

test('draws a bar with the time left on a terminal and clears it away', () => {
  const { terminal, written, wait } = record({ stderr: true, stdout: true });
  terminal.hooks.progress?.('compress', 0, 10);
  wait(5);
  terminal.hooks.progress?.('compress', 5, 10);
  const frames = written.stderr.split('\r\x1b[K');
  expect(frames.at(1)).toBe('compress           ░░░░░░░░░░░░░░░░░░░░░░░░   0 %');
  expect(frames.at(2)).toBe('compress           ████████████░░░░░░░░░░░░  50 %  5.0 s left');
  wait(0.01);
  terminal.hooks.progress?.('compress', 6, 10);
  expect(written.stderr.split('\r\x1b[K')).toHaveLength(3);
  terminal.finish();
  expect(written.stderr.endsWith('\r\x1b[K')).toBe(true);
  expect(written.stdout).toBe('');
});

test('counts the time of a stage from the end of the one before', () => {
  const { terminal, written, wait } = record();
  wait(4);
  terminal.hooks.progress?.('compress', 1, 2);
  wait(3);
  terminal.hooks.progress?.('compress', 2, 2);
  expect(written.stdout).toBe('compress           7.0 s\n');
});

test('stops a job at its next report once the user asks for it', () => {
  const { terminal, stop } = record();
  terminal.hooks.progress?.('compress', 1, 9);
  stop();
  expect(() => terminal.hooks.progress?.('compress', 2, 9)).toThrow('stopped before the end');
});
