import { readFileSync } from 'node:fs';

/** The version in package.json, which lies one folder above both the sources and the built files. */
export const packageVersion: string = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
).version;
