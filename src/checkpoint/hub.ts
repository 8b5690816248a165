import { readdir, rename, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HubApiError, type ListFileEntry, listFiles, modelInfo } from '@huggingface/hub';
import { TersorError } from '../errors.js';
import type { Progress } from '../types.js';
import { type HubFile, reasonOf, resumeDownload } from './download.js';
import { isCompanion } from './file.js';
import { cacheRoot, makeFolder } from './folder.js';
import { hubAccess } from './hub-access.js';
import { poolingName } from './pooling.js';
import { configName, indexName, readIndex, weightsName } from './safetensors.js';

export interface HubId {
  /** `owner/name`. */
  readonly name: string;
  /** Branch, tag or commit. */
  readonly revision: string;
}

export interface DownloadOptions {
  /** Where downloaded models stay; `tersor/hub` in the user's folder for caches by default. */
  readonly cacheFolder?: string | undefined;
  /** Another hub than that of `HF_ENDPOINT`, or https://huggingface.co. */
  readonly hubUrl?: string | undefined;
  /** Token for private and gated models; by default that of `HF_TOKEN` or of `hf auth login`. */
  readonly accessToken?: string | undefined;
  /** Told how many of all the bytes to fetch are there. */
  readonly progress?: Progress | undefined;
  /** Ends the download with its reason; a later call goes on from there. */
  readonly signal?: AbortSignal | undefined;
}

/** Where downloaded models stay unless the caller names a folder. */
export const defaultHubFolder = (): string => join(cacheRoot(), 'hub');

const commitPattern = /^[0-9a-f]{40}$/;

/** The parts of `owner/name` or `owner/name@revision`; undefined for anything else, file names included. */
export function parseHubId(model: string): HubId | undefined {
  const [, name, revision = 'main'] = /^(\w[\w.-]*\/\w[\w.-]*)(?:@(\w[\w./-]*))?$/.exec(model) ?? [];
  const isFile = /\.(gguf|safetensors|bin|onnx|pt|pth|ckpt|json)$/.test(model);
  return name && !isFile ? { name, revision } : undefined;
}

/**
 * Fetches what a checkpoint consists of into the cache: configuration, tokenizer, safetensors. A complete model
 * lies under its commit; until then its folder ends in `.partial`, and a later call goes on where this one
 * stopped. Without a full commit as revision the hub is asked every time which commit is meant.
 * @returns the folder
 * @throws TersorError when there is no such model, it has no safetensors, or the download fails
 */
export async function downloadModel(id: HubId, options: DownloadOptions = {}): Promise<string> {
  const cacheFolder = options.cacheFolder ?? defaultHubFolder();
  const cache = join(cacheFolder, id.name.replace('/', '--'));
  if (commitPattern.test(id.revision) && (await exists(join(cache, id.revision)))) {
    return join(cache, id.revision);
  }
  const found = await hubAccess();
  const { signal, hubUrl = found.hubUrl } = options;
  // A user's token is for the hub that the user set, and for no other that a program names.
  const token = options.accessToken ?? (options.hubUrl === undefined ? found.accessToken : undefined);
  const access = {
    hubUrl,
    ...(token ? { accessToken: token } : {}),
    ...(signal ? { signal, fetch: abortable(signal) } : {}),
  };
  const ask = <T>(question: Promise<T>) => answered(question, id, hubUrl, cache);

  const { sha: commit } = await ask(modelInfo({ ...access, ...id, additionalFields: ['sha'] }));
  if (!commitPattern.test(commit)) {
    const problem = `names ${JSON.stringify(commit)} as the commit of ${id.name}`;
    throw new TersorError(problem, {
      code: 'download',
      file: hubUrl,
      remedy: 'check the address of the hub',
    });
  }
  const folder = join(cache, commit);
  if (await exists(folder)) return folder;

  const entries = await ask(
    filesOf(listFiles({ ...access, repo: id.name, revision: commit, recursive: true })),
  );
  const source = { ...access, repo: id.name, revision: commit };
  const find = (name: string): HubFile => ({ ...source, ...findFile(entries, name, `${hubUrl}/${id.name}`) });
  const sharded = !entries.has(weightsName) && entries.has(indexName);
  const names = [configName, sharded ? indexName : weightsName];
  names.push(...[...entries.keys()].filter((name) => isCompanion(name) && name !== configName));
  const wanted = names.map(find);

  const partial = `${folder}.partial`;
  try {
    await makeFolder(partial);
    if (sharded) {
      await resumeDownload(find(indexName), partial);
      const shards = await readIndex(join(partial, indexName));
      wanted.push(...[...shards.keys()].map(find));
    }
    await downloadAll(wanted, partial, options.progress);
    await rename(partial, folder);
  } catch (cause) {
    signal?.throwIfAborted();
    if (cause instanceof TersorError) throw cause;
    if (cause instanceof HubApiError) throw refusal(cause, id, hubUrl, true);
    throw new TersorError(`the download of ${id.name} stopped: ${reasonOf(cause)}`, {
      code: 'download',
      file: partial,
      remedy: 'see that there is room and permission, and run the command again to go on',
      cause,
    });
  }
  return folder;
}

async function filesOf(listing: AsyncIterable<ListFileEntry>): Promise<Map<string, ListFileEntry>> {
  const entries = new Map<string, ListFileEntry>();
  for await (const entry of listing) if (entry.type === 'file') entries.set(entry.path, entry);
  return entries;
}

function findFile(entries: ReadonlyMap<string, ListFileEntry>, name: string, file: string): ListFileEntry {
  const entry = entries.get(name);
  if (entry) return entry;
  const pickled = [...entries.keys()].some((path) => /\.(bin|pt|pth|ckpt)$/.test(path));
  throw new TersorError(`has no ${name}`, {
    code: 'not-found',
    file,
    remedy: pickled
      ? 'its weights are Python pickles, which can run any code when read: look for a safetensors version'
      : 'choose a model in the transformers format',
  });
}

async function downloadAll(files: readonly HubFile[], folder: string, progress?: Progress): Promise<void> {
  const total = files.reduce((sum, file) => sum + file.size, 0);
  let before = 0;
  for (const file of files) {
    const place = file.path === poolingName ? join(folder, dirname(poolingName)) : folder;
    await makeFolder(place);
    await resumeDownload(file, place, (bytes) => progress?.('download', before + bytes, total));
    before += file.size;
  }
}

/** The hub's refusals, and its silence, as errors that say what to do. */
async function answered<T>(question: Promise<T>, id: HubId, hubUrl: string, cache: string): Promise<T> {
  try {
    return await question;
  } catch (cause) {
    if (cause instanceof HubApiError) throw refusal(cause, id, hubUrl, false);
    const file = `${id.name}@${id.revision}`;
    const copy = (await readdir(cache).catch(() => [])).find((name) => commitPattern.test(name));
    const remedy = copy ? `check the network, or give the copy ${join(cache, copy)}` : 'check the network';
    throw new TersorError(`${hubUrl} cannot be asked: ${reasonOf(cause)}`, {
      code: 'download',
      file,
      remedy,
      cause,
    });
  }
}

/** @param found whether the hub has told of the model before it refused */
function refusal(cause: HubApiError, id: HubId, hubUrl: string, found: boolean): TersorError {
  const file = `${id.name}@${id.revision}`;
  const status = cause.statusCode;
  if (status === 403 || (status === 401 && found)) {
    const remedy = `accept its conditions on ${hubUrl}/${id.name} and give an access token: HF_TOKEN=… or hf auth login`;
    return new TersorError('the model is gated', { code: 'no-access', file, remedy, cause });
  }
  if (status === 401 || status === 404) {
    const problem = `there is neither such a path nor such a model on ${hubUrl}`;
    return new TersorError(problem, {
      code: 'not-found',
      file,
      remedy: 'check the name; private models need an access token (HF_TOKEN=… or hf auth login)',
      cause,
    });
  }
  return new TersorError(`${hubUrl} answers with status ${status}`, {
    code: 'download',
    file,
    remedy: 'try again later',
    cause,
  });
}

/** Requests that end with a signal. */
const abortable =
  (signal: AbortSignal): typeof fetch =>
  (input, init) =>
    fetch(input, { ...init, signal });

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
