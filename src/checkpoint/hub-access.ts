import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

type Environment = Readonly<Record<string, string | undefined>>;

export interface HubAccess {
  readonly hubUrl: string;
  readonly accessToken?: string;
}

/**
 * Where models are fetched from and as whom, as Hugging Face's own tools find it out (huggingface_hub, “Environment
 * variables”): `HF_ENDPOINT`; `HF_TOKEN`, or the file that `hf auth login` writes, at `HF_TOKEN_PATH` or in `HF_HOME`.
 */
export async function hubAccess(environment: Environment = process.env): Promise<HubAccess> {
  const { HF_ENDPOINT, HF_TOKEN, HUGGING_FACE_HUB_TOKEN, HF_TOKEN_PATH, HF_HOME, XDG_CACHE_HOME } =
    environment;
  const hubUrl = (HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, '');
  const home = HF_HOME || join(XDG_CACHE_HOME || join(userHome(), '.cache'), 'huggingface');
  const file = HF_TOKEN_PATH || join(home, 'token');
  const token = HF_TOKEN || HUGGING_FACE_HUB_TOKEN || (await readFile(file, 'utf8').catch(() => ''));
  const accessToken = token.trim();
  return accessToken ? { hubUrl, accessToken } : { hubUrl };
}

/** Nothing where the user has no home. */
function userHome(): string {
  try {
    return homedir();
  } catch {
    return '';
  }
}
