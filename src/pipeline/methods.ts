import { z } from 'zod';
import { searches } from '../allocation/index.js';
import { corrections } from '../correction/index.js';
import {
  findGrid,
  type GridFamily,
  gridFamilies,
  gridNames,
  onnxFamilies,
  vllmFamilies,
} from '../grid/index.js';
import type { Method, OptionalMethod, Worth } from '../method.js';
import { sensitivityMeasures } from '../sensitivity/index.js';
import { solvers } from '../solver/index.js';
import { searchUses } from './search/uses.js';

/** An option of a method. */
export interface MethodOption {
  readonly name: string;
  readonly description: string;
  readonly default: unknown;
  readonly choices?: readonly unknown[];
}

/** A method with its options. */
export interface MethodDocument extends Method {
  readonly options: readonly MethodOption[];
}

/** Types whose names follow a pattern. */
export interface FamilyDocument extends Worth {
  readonly id: string;
  readonly title: string;
  readonly paper: string;
  readonly names: string;
  readonly examples: readonly { readonly name: string; readonly summary: string }[];
}

/** Everything that can be chosen. */
export interface Methods {
  readonly solvers: readonly MethodDocument[];
  readonly searches: readonly (MethodDocument & { readonly use: string })[];
  readonly sensitivity: readonly Method[];
  readonly corrections: readonly (Method & { readonly use: string })[];
  readonly types: readonly {
    readonly name: string;
    readonly bitsPerWeight: number;
    readonly blockSize: number;
    readonly summary: string;
    readonly runtimes: readonly string[];
  }[];
  /** Types of ONNX folders, whose names follow patterns. */
  readonly onnx: readonly FamilyDocument[];
  /** Types of folders for vLLM, likewise. */
  readonly vllm: readonly FamilyDocument[];
  /** tersor's own types, likewise. */
  readonly families: readonly FamilyDocument[];
}

/** Everything that can be chosen, from the same tables that the pipeline chooses by. */
export function methods(): Methods {
  return {
    solvers: solvers.map(describeMethod),
    searches: searches.map(describeSearch),
    sensitivity: sensitivityMeasures.map(describeRow),
    corrections,
    types: gridNames.map((name) => {
      const { blockSize, blockBytes, summary, runtimes } = findGrid(name);
      return { name, bitsPerWeight: (8 * blockBytes) / blockSize, blockSize, summary, runtimes };
    }),
    onnx: onnxFamilies.map(describeFamily),
    vllm: vllmFamilies.map(describeFamily),
    families: gridFamilies.map(describeFamily),
  };
}

function describeFamily({
  id,
  title,
  paper,
  status,
  wins,
  names,
  examples,
  find,
}: GridFamily): FamilyDocument {
  const described = examples.map((name) => ({ name, summary: find(name)?.summary ?? '' }));
  return { id, title, paper, status, wins, names, examples: described };
}

/** A row of a table without its functions. */
const describeRow = ({ id, name, title, paper, status, wins }: Method): Method => ({
  id,
  name,
  title,
  paper,
  status,
  wins,
});

function describeMethod(method: OptionalMethod): MethodDocument {
  return { ...describeRow(method), options: describeOptions(method.options) };
}

/** A search as the command line uses it. */
function describeSearch(method: OptionalMethod): MethodDocument & { readonly use: string } {
  const document = describeMethod(method);
  const { use = '', defaults = {}, fixed } = searchUses[method.name] ?? {};
  const options = document.options.map((option) =>
    Object.hasOwn(defaults, option.name) ? { ...option, default: defaults[option.name] } : option,
  );
  return { ...document, use, options: fixed ? [] : options };
}

function describeOptions(options: z.ZodObject): MethodOption[] {
  return Object.entries(z.toJSONSchema(options).properties ?? {}).flatMap(([name, schema]) =>
    typeof schema === 'boolean'
      ? []
      : [
          {
            name,
            description: schema.description ?? '',
            default: schema.default,
            ...(schema.enum ? { choices: schema.enum } : {}),
          },
        ],
  );
}
