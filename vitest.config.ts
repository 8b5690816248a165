import { mkdtempSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

/** Tests that compress whole models many times, end processes or drive a browser: `npm run test:long`. */
const long = ['{src,test}/**/*.long.test.ts'];

export default defineConfig({
  test: {
    // What runs keep for later runs goes to a folder of the tests' own.
    env: { HOME: mkdtempSync(join(tmpdir(), 'tersor-home-')) },
    // Native runtimes and WebAssembly threads want a process of their own.
    pool: 'forks',
    maxWorkers: availableParallelism(),
    testTimeout: 300_000,
    hookTimeout: 300_000,
    projects: [
      { extends: true, test: { name: 'short', include: ['{src,test}/**/*.test.ts'], exclude: long } },
      { extends: true, test: { name: 'long', include: long } },
    ],
  },
});
