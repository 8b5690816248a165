import { expect, test } from 'vitest';
import { sharedMissing } from './fixtures/data.js';
import { huggingFaceModels } from './fixtures/hugging-face.js';
import { needs } from './fixtures/needs.js';
import { modelsPage } from './models-page.js';

test(
  'docs/models.md is what models say (npm run docs:models writes it anew)',
  needs(sharedMissing),
  async () => {
    await expect(await modelsPage(huggingFaceModels())).toMatchFileSnapshot('../docs/models.md');
  },
);
