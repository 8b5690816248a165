import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { downloadFile, fileDownloadInfo, HubApiError, type ListFileEntry } from '@huggingface/hub';
import { TersorError } from '../errors.js';

/** A file of a commit of a model on a hub. */
export interface HubFile extends ListFileEntry {
  readonly hubUrl: string;
  readonly accessToken?: string;
  readonly repo: string;
  readonly revision: string;
  /** In the place of the global one. */
  readonly fetch?: typeof fetch;
  readonly signal?: AbortSignal;
}

/** How often in a row a download may break off without a single new byte. */
const fruitlessAttempts = 3;
const pauseMilliseconds = 500;

/**
 * Downloads a file under its base name into a folder. Until all of it is there and its hash is right it is
 * called `.partial`; a call that finds such a file fetches only what is missing.
 * @param report told how many bytes are there
 * @throws TersorError when the connection keeps breaking, or size or hash are wrong; HubApiError when the hub refuses
 */
export async function resumeDownload(
  file: HubFile,
  folder: string,
  report: (bytes: number) => void = () => {},
): Promise<void> {
  const path = join(folder, basename(file.path));
  if ((await sizeOf(path)) !== file.size) {
    const partial = `${path}.partial`;
    await (await open(partial, 'a')).close(); // there is nothing to fetch of an empty file
    await fetchMissing(file, partial, report);
    await verify(file, partial);
    await rename(partial, path);
  }
  report(file.size);
}

async function fetchMissing(file: HubFile, partial: string, report: (bytes: number) => void): Promise<void> {
  let there = (await sizeOf(partial)) ?? 0;
  for (let fruitless = 0; there < file.size; ) {
    const before = there;
    let failure: unknown = 'the connection was closed';
    try {
      there = await append(file, partial, there, report);
    } catch (error) {
      file.signal?.throwIfAborted();
      if (isFinal(error)) throw error;
      failure = error;
      there = (await sizeOf(partial)) ?? 0;
    }
    fruitless = there > before ? 0 : fruitless + 1;
    if (fruitless === fruitlessAttempts) {
      throw new TersorError(`stopped after ${there} of ${file.size} bytes: ${reasonOf(failure)}`, {
        code: 'download',
        file: addressOf(file),
        remedy: 'check the network and run the command again to go on',
        cause: failure,
      });
    }
    if (fruitless > 0) await setTimeout(pauseMilliseconds * fruitless);
  }
}

async function streamFrom(file: HubFile, offset: number): Promise<AsyncIterable<Uint8Array>> {
  const downloadInfo = await fileDownloadInfo(file);
  if (downloadInfo?.size !== file.size) {
    throw new TersorError(`the hub offers ${downloadInfo?.size ?? 'no'} bytes of a file of ${file.size}`, {
      code: 'download',
      file: addressOf(file),
      remedy: 'run the command again later',
    });
  }
  // Plain ranges, not xet: they stream in little memory and go on at any byte.
  const blob = await downloadFile({ ...file, downloadInfo, xet: false });
  if (!blob) throw new Error('the hub has lost the file');
  return blob.slice(offset).stream();
}

/** @returns how long the file is now */
async function append(
  file: HubFile,
  partial: string,
  length: number,
  report: (bytes: number) => void,
): Promise<number> {
  const chunks = await streamFrom(file, length);
  const handle = await open(partial, 'a');
  let there = length;
  try {
    for await (const chunk of chunks) {
      await handle.appendFile(chunk);
      there += chunk.length;
      if (there > file.size) break;
      report(there);
    }
  } finally {
    await handle.sync();
    await handle.close();
  }
  return there;
}

async function verify(file: HubFile, partial: string): Promise<void> {
  const size = await sizeOf(partial);
  // Large files are known by their SHA-256, the others by git's hash of a blob.
  const hash = file.lfs ? createHash('sha256') : createHash('sha1').update(`blob ${file.size}\0`);
  for await (const chunk of createReadStream(partial)) hash.update(chunk);
  const expected = file.lfs?.oid ?? file.oid;
  if (size === file.size && (expected === undefined || hash.digest('hex') === expected)) return;
  await rm(partial);
  const problem =
    size === file.size ? 'what arrived has another hash' : `${size} bytes arrived of a file of ${file.size}`;
  throw new TersorError(`${problem}, so it was deleted`, {
    code: 'download',
    file: addressOf(file),
    remedy: 'run the command again',
  });
}

const addressOf = (file: HubFile) => `${file.hubUrl}/${file.repo}/${file.path}`;

const sizeOf = (path: string): Promise<number | undefined> =>
  stat(path).then(
    ({ size }) => size,
    () => undefined,
  );

/** True for what no second attempt changes: a refusal, a wrong size, and what the file system says. */
const isFinal = (error: unknown) =>
  error instanceof TersorError ||
  (error instanceof HubApiError && error.statusCode < 500) ||
  (error instanceof Error && 'code' in error && 'syscall' in error);

/** What went wrong, in one line, down to the system's reason. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message} (${error.cause.message})` : error.message;
}
