import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

interface Locked {
  readonly version?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
}

const lock = JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8'));
const installed = Object.entries(lock.packages as Record<string, Locked>)
  .filter(([path, { dev }]) => path && !dev)
  .map(([path, about]) => ({ name: path.slice(path.lastIndexOf('node_modules/') + 13), ...about }));

/** Free for any use, in SPDX's names. */
const permissive = ['MIT', 'ISC', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD', 'BlueOak-1.0.0'];

const introduction = `# Licences

tersor itself is under the MIT licence. These packages are installed with it (the optional ones where they fit the
machine), each under its own.

| package | version | licence | |
|---|---|---|---|
`;

test('all that is installed with tersor may be used freely', () => {
  expect(installed.length).toBeGreaterThan(5);
  const free = (expression: string) =>
    expression.split(/[() ]+|OR/).some((licence) => permissive.includes(licence));
  expect(installed.filter(({ license = '' }) => license.includes('AND') || !free(license))).toEqual([]);
});

test('docs/licences.md lists it (vitest --update writes it anew)', async () => {
  const lines = installed.map(
    ({ name, version, license, optional }) =>
      `| ${name} | ${version} | ${license} | ${optional ? 'optional' : ''} |\n`,
  );
  const table = introduction + [...new Set(lines)].sort().join('');
  await expect(table).toMatchFileSnapshot('../docs/licences.md');
});
