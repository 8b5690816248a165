import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

/** Threads and precise clocks need the page to be isolated from others. */
const headers = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  root: here('.'),
  base: './',
  server: { headers, fs: { allow: [here('..')] } },
  preview: { headers },
  // The graph runs on onnxruntime-web here; everything above it is the same code as in Node.
  resolve: {
    alias: [
      { find: /^.*\/runtime\/session\.js$/, replacement: here('./engine/session.ts') },
      { find: /^.*\/runtime\/garbage\.js$/, replacement: here('./engine/garbage.ts') },
    ],
  },
  worker: { format: 'es' },
  build: { outDir: here('../web-dist'), emptyOutDir: true, target: 'es2023', chunkSizeWarningLimit: 2000 },
  optimizeDeps: { exclude: ['onnxruntime-web'] },
});
