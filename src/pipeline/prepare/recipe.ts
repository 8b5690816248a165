import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { TersorError } from '../../errors.js';
import { wantedOf } from '../../method.js';
import { formatNames } from '../formats/names.js';
import { currentRecipe } from '../options/earlier-names.js';
import { type Recipe, recipeSchema } from '../options/recipe.js';

export type { Recipe } from '../options/recipe.js';

const fileSchema = z.strictObject({
  format: z.literal('tersor-recipe-1'),
  /** As it was called when the plan was made; for people. */
  model: z.string(),
  output: z.enum(formatNames),
  recipe: z.preprocess(currentRecipe, recipeSchema),
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
    `the recipe's ${issue?.path.join('.') || 'contents'} ${issue ? wantedOf(issue) : 'are not valid'}`,
    { file: path, remedy, cause: result.error },
  );
}

/** The recipe that is written in a file; nothing where there is none, or one that this version does not know. */
export function writtenRecipe(text: string | undefined): Recipe | undefined {
  if (text === undefined) return undefined;
  try {
    return recipeSchema.safeParse(currentRecipe(JSON.parse(text))).data;
  } catch {
    return undefined;
  }
}
