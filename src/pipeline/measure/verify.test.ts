import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { withFolder } from '../../../test/checkpoint/files.js';
import { tinyLlama } from '../../../test/fixtures/tiny-llama.js';
import { withContext } from '../context/context.js';
import { gguf } from '../formats/gguf.js';
import { proveFinite } from './verify.js';

test.each([Number.NaN, Number.POSITIVE_INFINITY])('a written %d is found, wherever it is', async (value) => {
  await withFolder({}, async (folder) => {
    const path = join(folder, 'model.gguf.tmp-1');
    const bytes = tinyLlama();
    await withContext({ threads: 1 }, {}, async (context) => {
      await writeFile(path, bytes);
      await proveFinite(context, gguf, path);
      new DataView(bytes.buffer).setFloat32(bytes.length - 4, value, true);
      await writeFile(path, bytes);
      await expect(proveFinite(context, gguf, path)).rejects.toThrow(
        /model\.gguf: tensor blk\.0\.ffn_down\.weight: holds a value that its type cannot store; .*--override/,
      );
    });
  });
});
