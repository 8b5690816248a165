import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // What runs keep for later runs goes to a folder of the tests' own.
    env: { HOME: mkdtempSync(join(tmpdir(), 'tersor-home-')) },
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    // Native runtimes and WebAssembly threads want a process of their own.
    pool: 'forks',
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
