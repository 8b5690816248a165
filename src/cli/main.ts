#!/usr/bin/env node
import { constants } from 'node:os';
import { createInterface } from 'node:readline/promises';
import { collectInOneGo } from '../runtime/garbage.js';
import { execute, stopped } from './program.js';

/** Milliseconds that a job has to clear up once it was asked to stop; native code may not listen for longer. */
const patience = 1500;

collectInOneGo();
const controller = new AbortController();
const { signal } = controller;
let interrupted = 0;
const stop = (name: 'SIGINT' | 'SIGTERM' | 'SIGHUP') => {
  // The second time at once. What is half-written goes when the process exits (src/writer).
  if (signal.aborted) process.exit(interrupted);
  interrupted = 128 + constants.signals[name]; // as shells report it
  setTimeout(() => {
    process.stderr.write(`\nerror: ${stopped().message}\n`);
    process.exit(interrupted);
  }, patience).unref();
  controller.abort(stopped());
};
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, stop);

// A reader that has seen enough (`tersor methods | head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});
// Nobody is left to tell: the terminal was closed.
process.stderr.on('error', () => {});

async function ask(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    // readline takes Ctrl-C for itself.
    lines.on('SIGINT', () => stop('SIGINT'));
    return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `, { signal })).trim());
  } finally {
    lines.close();
  }
}

const code = await execute(process.argv.slice(2), {
  signal,
  stdout: process.stdout,
  stderr: process.stderr,
  ...(process.stdin.isTTY && process.stderr.isTTY ? { ask } : {}),
  environment: process.env,
});
process.exitCode = signal.aborted ? interrupted : code;
