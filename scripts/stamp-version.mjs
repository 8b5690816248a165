// Puts version and code hash into the built package: node scripts/stamp-version.mjs, after tsc.
import { writeFileSync } from 'node:fs';
import { codeVersion, packageVersion } from '../dist/version.js';

const text = `// Made by scripts/stamp-version.mjs.
export const packageVersion = ${JSON.stringify(packageVersion)};
export const codeVersion = () => ${JSON.stringify(codeVersion())};
`;
writeFileSync(new URL('../dist/version.js', import.meta.url), text);
