import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync } from 'vite';
import { expect, test } from 'vitest';

// Functions of many parameters are called by position, which nobody can read; long files are several things.
const mostParameters = 6;
const mostLines = 300;

/** Declarations of libraries' functions, which are as they are. */
const foreign = ['src/runtime/llama-abi.ts: llama_tokenize', 'src/runtime/llama-abi.ts: llama_detokenize'];

interface Source {
  /** Relative to the repository. */
  readonly name: string;
  readonly text: string;
}

const repository = fileURLToPath(new URL('..', import.meta.url));
const sources: readonly Source[] = ['src', 'assembly', 'web'].flatMap((folder) =>
  readdirSync(join(repository, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.(js|mjs|ts)$/.test(file) && !file.startsWith('public'))
    .map((file) => join(folder, file))
    .map((name) => ({ name, text: readFileSync(join(repository, name), 'utf8') })),
);

const isNode = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

const nameOf = (node: unknown): string | undefined =>
  isNode(node) && typeof node.name === 'string' ? node.name : undefined;

/** Functions, methods and signatures of a file with too many parameters, as `file: function`. */
function crowded({ name, text }: Source): string[] {
  const { program, errors } = parseSync(name, text);
  if (errors.length > 0) throw new Error(`${name}: ${errors[0]?.message}`);
  const found: string[] = [];
  const visit = (node: unknown, around: string): void => {
    if (Array.isArray(node)) for (const each of node) visit(each, around);
    else if (isNode(node)) {
      const own = nameOf(node.id) ?? nameOf(node.key) ?? around;
      if (Array.isArray(node.params) && node.params.length > mostParameters) found.push(`${name}: ${own}`);
      for (const value of Object.values(node)) visit(value, own);
    }
  };
  visit(program, '(anonymous)');
  return found;
}

const seven = 'a: number, b: number, c: number, d: number, e: number, f: number, g: number';

test('the parser sees functions of every kind', () => {
  const text = `
    function one(${seven}) {}
    const two = (${seven}) => 0;
    class Three { four(${seven}) {} }
    interface Five { six(${seven}): void; seven: (${seven}) => void }
    function eight(${seven.replace(', g: number', '')}) {}
  `;
  expect(crowded({ name: 'all.ts', text })).toEqual(
    ['one', 'two', 'four', 'six', 'seven'].map((name) => `all.ts: ${name}`),
  );
});

test(`functions have at most ${mostParameters} parameters`, () => {
  // Those of kernels that others call are checked by assembly/signatures.mjs when they are compiled.
  const own = sources.filter(({ name }) => !name.startsWith('assembly'));
  expect(own.flatMap(crowded).sort()).toEqual([...foreign].sort());
});

test(`files have at most ${mostLines} lines`, () => {
  const long = sources.filter(({ text }) => text.split('\n').length - 1 > mostLines);
  expect(long.map(({ name }) => name)).toEqual([]);
});
