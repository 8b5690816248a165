// Runs bench/NAME.ts straight from the sources: node bench/run.mjs NAME [arguments].
import { runnerImport } from 'vite';

const [name] = process.argv.slice(2);
await runnerImport(`./bench/${name}.ts`);
