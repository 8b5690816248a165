import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

/**
 * The rooms of src/ from the top down (docs/architecture.md). A file may import from its own room and from
 * layers below; of the other rooms of its layer only in `foundation`, and there not in circles.
 */
const layers = {
  cli: ['cli'],
  pipeline: ['pipeline'],
  stages: [
    'calibration',
    'gradients',
    'sensitivity',
    'allocation',
    'transform',
    'solver',
    'decomposition',
    'correction',
    'writer',
    'evaluation',
    'report',
  ],
  architecture: ['architecture'],
  foundation: ['graph', 'runtime', 'kernels', 'grid', 'checkpoint', 'text'],
  root: ['types', 'required', 'errors', 'method', 'numbers', 'random', 'version'],
};
const order = Object.keys(layers);

const source = fileURLToPath(new URL('../src', import.meta.url));

interface Import {
  readonly file: string;
  readonly from: string;
  readonly specifier: string;
  /** The imported file and its room, for relative imports. */
  readonly target: string | undefined;
  readonly to: string | undefined;
  readonly typeOnly: boolean;
}

const files = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter((name) => /\.[jt]s$/.test(name) && !name.endsWith('.test.ts'))
  .filter((name) => !/^(index|gguf|stack)\.ts$/.test(name)); // what the package offers: imported by nobody

/** The first folder under src/, or for files beside the rooms their own name. */
const room = (path: string) => path.split(sep)[0]?.replace(/\.[jt]s$/, '') ?? '';

function importsOf(file: string): Import[] {
  const text = readFileSync(join(source, file), 'utf8');
  const statements = text.matchAll(
    /^(?:import|export)\b(?:(?<what>[^'";]*?)\bfrom\s*|\s*)'(?<specifier>[^']+)'/gm,
  );
  const dynamic = text.matchAll(/\bimport\('(?<specifier>[^']+)'\)/g);
  return [...statements, ...dynamic].map(({ groups }) => {
    const specifier = groups?.specifier ?? '';
    const target = specifier.startsWith('.')
      ? relative(source, join(source, dirname(file), specifier)).replace(/(?<!worker)\.js$/, '.ts')
      : undefined;
    return {
      file,
      from: room(file),
      specifier,
      target,
      to: target === undefined ? undefined : room(target),
      typeOnly: groups?.what?.trimStart().startsWith('type ') ?? false,
    };
  });
}

// The version is package.json's, which lies beside src/ in the repository and beside dist/ in the package.
const imports = files.flatMap(importsOf).filter(({ specifier }) => specifier !== '../package.json');
const layerOf = (name: string) => Object.entries(layers).find(([, rooms]) => rooms.includes(name))?.[0];
const describeImport = ({ file, specifier }: Import) => `${file} imports ${specifier}`;

test('the parser sees the imports', () => {
  expect(imports.filter(({ to }) => to === 'errors').length).toBeGreaterThan(5);
  expect(imports.filter(({ typeOnly }) => typeOnly).length).toBeGreaterThan(5);
});

/** What is left when what needs nothing (any more) is taken away again and again: circles, and what leads to them. */
function circles(needs: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const left = new Map(needs);
  for (let size = 0; size !== left.size; ) {
    size = left.size;
    for (const [name, others] of left) {
      if (![...others].some((other) => left.has(other))) left.delete(name);
    }
  }
  return [...left.keys()];
}

test('files do not import each other in circles, types included', () => {
  const needs = new Map(files.map((file) => [file, new Set<string>()]));
  for (const { file, target } of imports) if (target) needs.get(file)?.add(target);
  expect(needs.get(join('pipeline', 'compress.ts'))).toContain(join('pipeline', 'prepare', 'prepare.ts'));
  expect(circles(needs)).toEqual([]);
  needs.get('errors.ts')?.add(join('pipeline', 'compress.ts'));
  expect(circles(needs)).toContain('errors.ts');
});

test('every file lies in a known room', () => {
  expect(files.filter((file) => !layerOf(room(file)))).toEqual([]);
});

describe('imports go down the layers', () => {
  test('and never up, nor out of src/', () => {
    const wrong = imports.filter(({ from, to }) => {
      if (to === undefined || to === from) return false;
      const [above, below] = [layerOf(from), layerOf(to)].map((layer) => order.indexOf(layer ?? ''));
      return above === undefined || below === undefined || below < 0 || below < above;
    });
    expect(wrong.map(describeImport)).toEqual([]);
  });

  test('a stage never imports another stage', () => {
    const wrong = imports.filter(
      ({ from, to }) => to && to !== from && layerOf(from) === 'stages' && layerOf(to) === 'stages',
    );
    expect(wrong.map(describeImport)).toEqual([]);
  });

  test('the rooms of the foundation do not depend on each other in circles', () => {
    const needs = new Map(layers.foundation.map((name) => [name, new Set<string>()]));
    for (const { from, to, typeOnly } of imports) {
      if (to && to !== from && !typeOnly && layers.foundation.includes(to)) needs.get(from)?.add(to);
    }
    expect(circles(needs)).toEqual([]);
  });
});

test('native runtimes are called in runtime/ only', () => {
  const native = imports.filter(({ specifier }) => /^(onnxruntime|koffi|@node-llama-cpp)/.test(specifier));
  expect(native.length).toBeGreaterThan(1);
  expect(native.filter(({ from }) => from !== 'runtime').map(describeImport)).toEqual([]);
});
