import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { tales } from './fixtures/data.js';

const bin = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));

test.each([1, 2])('Ctrl-C %d times leaves no temporary file', async (times) => {
  const folder = mkdtempSync(join(tmpdir(), 'tersor-interrupt-'));
  const temporary = () =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.includes('.tmp'));
  const words = [
    'compress',
    tales.model,
    '-o',
    join(folder, 'tales.gguf'),
    '--type',
    'q3_k',
    '--threads',
    '1',
  ];
  const more = ['--calibration', tales.calibration, '--tokens', '2048', '--store', join(folder, 'store')];
  const child = spawn(process.execPath, [bin, ...words, ...more], { stdio: 'ignore' });
  const exited = once(child, 'exit');
  try {
    while (temporary().length === 0 && child.exitCode === null) await sleep(10);
    expect(temporary()[0]).toMatch(/^tales\.gguf\.tmp/);
    for (let time = 0; time < times; time++) {
      child.kill('SIGINT');
      await sleep(5);
    }
    expect(await exited).toEqual([130, null]);
    expect(temporary()).toEqual([]);
    expect(existsSync(join(folder, 'tales.gguf'))).toBe(false);
  } finally {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
});
