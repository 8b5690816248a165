#!/usr/bin/env node
import { collectInOneGo } from '../runtime/garbage.js';
import { execute, stopped } from './program.js';

const interrupted = 130; // 128 + SIGINT, as shells report it

collectInOneGo();
const controller = new AbortController();
const stop = () => {
  // The second time at once, should the job not listen.
  if (controller.signal.aborted) process.exit(interrupted);
  controller.abort(stopped());
};
process.on('SIGINT', stop).on('SIGTERM', stop);

// A reader that has seen enough (`tersor methods | head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

const { signal } = controller;
const code = await execute(process.argv.slice(2), {
  signal,
  stdout: process.stdout,
  stderr: process.stderr,
  environment: process.env,
});
process.exitCode = signal.aborted ? interrupted : code;
