import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { TersorError } from '../../errors.js';
import { formatNames } from '../formats/names.js';

/** All that shaped a file, as it is written into it; together with the inputs it repeats the run. */
const recipeSchema = z.strictObject({
  /** Of the linear layers; absent where a search chose types tensor by tensor. */
  type: z.string().optional(),
  embedding: z.string().optional(),
  size: z.number().optional(),
  bits: z.number().optional(),
  maxDivergence: z.number().optional(),
  types: z.array(z.string()).optional(),
  search: z.string().optional(),
  searchOptions: z.record(z.string(), z.unknown()).optional(),
  sensitivity: z.string().optional(),
  overrides: z.record(z.string(), z.string()).optional(),
  fallback: z.string().optional(),
  activations: z.enum(['f32', 'f16']).optional(),
  accuracyLevel: z.union([z.literal(0), z.literal(4)]).optional(),
  solver: z.string(),
  options: z.record(z.string(), z.unknown()).optional(),
  /** The importance matrix that stood in the place of a calibration. */
  imatrix: z.string().optional(),
  calibrateOn: z.enum(['quantized', 'original']),
  match: z.enum(['original', 'own']).optional(),
  bias: z.enum(['corrected', 'kept']).optional(),
  context: z.int().positive(),
  tokens: z.int().positive(),
  seed: z.int().optional(),
});

export type Recipe = Readonly<z.infer<typeof recipeSchema>>;

const fileSchema = z.strictObject({
  format: z.literal('tersor-recipe-1'),
  /** As it was called when the plan was made; for people. */
  model: z.string(),
  output: z.enum(formatNames),
  recipe: recipeSchema,
  /** Type of every tensor, by its name in the output. */
  types: z.record(z.string(), z.string()),
});

/** A plan in a file, which `compress` carries out. */
export type RecipeFile = Readonly<z.infer<typeof fileSchema>>;

export const recipeFormat = 'tersor-recipe-1';

/** @throws TersorError when the file is not there or not a recipe; the first thing that is wrong is named */
export async function readRecipe(path: string): Promise<RecipeFile> {
  const remedy = 'make one with tersor plan MODEL … --save FILE';
  const text = await readFile(path, 'utf8').catch((cause) => {
    throw new TersorError(`the recipe cannot be read (${cause.code})`, { file: path, remedy, cause });
  });
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (cause) {
    throw new TersorError('the recipe is not JSON', { file: path, remedy, cause });
  }
  const result = fileSchema.safeParse(content);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new TersorError(
    `the recipe's ${issue?.path.join('.') || 'contents'}: ${issue?.message.toLowerCase() ?? 'not valid'}`,
    { file: path, remedy, cause: result.error },
  );
}

/** The recipe that is written in a file; nothing where there is none or it is another version's. */
export function writtenRecipe(text: string | undefined): Recipe | undefined {
  if (text === undefined) return undefined;
  try {
    return recipeSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
