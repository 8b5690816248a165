import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { copyFile, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { build, type PreviewServer, preview } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compress } from '../src/pipeline/compress.js';
import { tales } from './fixtures/data.js';
import { needs } from './fixtures/needs.js';

const executablePath = '/usr/bin/chromium';
const path = (relative: string) => fileURLToPath(new URL(`../${relative}`, import.meta.url));

const missing = existsSync(executablePath) ? undefined : `there is no ${executablePath}`;

describe('the page', needs(missing), () => {
  const folder = mkdtempSync(join(tmpdir(), 'tersor-web-'));
  const [publicDir, outDir, onnx] = [join(folder, 'public'), join(folder, 'site'), join(folder, 'onnx')];
  const stack = join(publicDir, 'tales/tales.stack');
  const problems: string[] = [];
  let server: PreviewServer;
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    mkdirSync(join(publicDir, 'tales'), { recursive: true });
    for (const name of await readdir(tales.model)) {
      if (/json$|safetensors$|evaluation/.test(name))
        await copyFile(join(tales.model, name), join(publicDir, 'tales', name));
    }
    // Little text: what the page does with a model is looked at here, and not how good the model is.
    const calibration = join(folder, 'calibration.txt');
    writeFileSync(calibration, readFileSync(tales.calibration, 'utf8').slice(0, 40_000));
    const quick = { model: tales.model, calibration, tokens: 4096 };
    await compress({ ...quick, output: stack, solver: 'gptq', solverOptions: { damping: 0.3 } });
    await compress({ ...quick, output: onnx, format: 'onnx', type: 'int8', solver: 'rtn' });

    const configFile = path('web/vite.config.ts');
    await build({ configFile, publicDir, build: { outDir }, logLevel: 'error' });
    server = await preview({
      configFile,
      build: { outDir },
      preview: { port: 0, host: '127.0.0.1' },
      logLevel: 'error',
    });
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
    page = await browser.newPage();
    page.on('pageerror', ({ message }) => problems.push(message));
    page.on('console', (message) => {
      if (message.type() === 'error') problems.push(message.text());
    });
    await page.goto(server.resolvedUrls?.local[0] ?? '');
    await ready();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    rmSync(folder, { recursive: true });
  });

  const text = async (id: string) => (await page.textContent(`#${id}`)) ?? '';
  const ready = async () => {
    const done = () => /^Ready|wrong/.test(document.getElementById('status')?.textContent ?? '');
    await page.waitForFunction(done, undefined, { timeout: 100_000 });
    expect(await text('status')).toMatch(/^Ready/);
  };
  /** What was measured while the model arrived: bytes, as the page writes them, and divergence. */
  const measured = async () => {
    const titles = await page.locator('#chart circle title').allTextContents();
    return titles.map((title) => Number(title.split(': ')[1]));
  };

  test('loads without complaint', () => {
    expect(problems).toEqual([]);
  });

  test('has the model talk before half of it is there, and get closer with what follows', async () => {
    const share = Number(/\(([\d.]+) %\)/.exec(await text('first'))?.[1]);
    expect(share).toBeGreaterThan(0);
    expect(share).toBeLessThan(50);
    const divergences = await measured();
    const falls = divergences.filter((value, at) => at > 0 && value < (divergences[at - 1] ?? 0));
    expect(falls.length).toBeGreaterThanOrEqual(4);
    expect(falls.length).toBeGreaterThanOrEqual(divergences.length - 2);
    expect(divergences.at(-1)).toBeLessThan((divergences[0] ?? 0) / 50);
    expect((await text('story')).length).toBeGreaterThan(200);
  });

  test('has original and compressed model tell a story each', async () => {
    await page.click('#go');
    await page.waitForFunction(() => document.getElementById('status')?.textContent === 'Ready.', undefined, {
      timeout: 60_000,
    });
    for (const side of ['original', 'compressed']) {
      const story = await text(`${side}-answer`);
      expect(story).toMatch(/^Once upon a time, there was a little fox[. ]/);
      expect(story.match(/\b(the|a|and|was|to)\b/gi)?.length).toBeGreaterThan(15);
      expect(Number(await text(`${side}-speed`))).toBeGreaterThan(0);
    }
  });

  test('takes a stacked file and an ONNX folder', async () => {
    await page.selectOption('#rate', '0');
    await page.setInputFiles('#files', stack);
    await page.waitForFunction(() => /^Down/.test(document.getElementById('status')?.textContent ?? ''));
    await ready();
    expect(await text('status')).toContain('tales.stack');

    const inside = await readdir(onnx, { recursive: true, withFileTypes: true });
    const files = inside.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    await page.setInputFiles('#files', files);
    await page.waitForFunction(() => /onnx/.test(document.getElementById('status')?.textContent ?? ''));
    await ready();
    expect(await text('status')).toContain('.onnx');
    expect(problems).toEqual([]);
  });
});
