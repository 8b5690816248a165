import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export const commit = '0123456789abcdef0123456789abcdef01234567';

/** How the server behaves. Tests change it while it runs. */
export interface Behaviour {
  /** Files of the one model there is, `owner/name`. */
  files: Record<string, Uint8Array>;
  /** Answers every question about the model with this status. */
  refuse?: number;
  /** Answers every request for a weight file with this status. */
  refuseWeights?: number;
  /** Closes the connection after so many bytes of a weight file, once for each number. */
  breakAfter: number[];
  /** Sends whole files whatever range was asked for. */
  ignoreRanges?: boolean;
  /** What the listing says instead of the true size of the weights. */
  listedSize?: number;
  /** Flips a bit of the weights on the way. */
  corrupt?: boolean;
}

export interface Hub {
  readonly url: string;
  readonly behaviour: Behaviour;
  /** `METHOD path range` of every request for a body so far. */
  readonly requests: string[];
  close(): Promise<void>;
}

/** A hub on the loopback interface with the routes of huggingface.co that downloads need. */
export async function startHub(files: Record<string, Uint8Array>): Promise<Hub> {
  const behaviour: Behaviour = { files, breakAfter: [] };
  const requests: string[] = [];
  const server = createServer((request, response) => answer(behaviour, requests, request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${port}`, behaviour, requests, close };
}

const isLarge = (name: string) => name.endsWith('.safetensors');

function answer(
  behaviour: Behaviour,
  requests: string[],
  request: IncomingMessage,
  response: ServerResponse,
) {
  const url = new URL(request.url ?? '', `http://${request.headers.host}`);
  const json = (status: number, body: unknown, headers: Record<string, string> = {}) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(body));
  };
  if (behaviour.refuse) return json(behaviour.refuse, { error: 'refused' });
  const revision = /^\/api\/models\/owner\/name\/revision\/(.*)$/.exec(url.pathname)?.[1];
  if (revision === 'main' || revision === 'v1') {
    return json(200, { _id: '1', id: 'owner/name', sha: commit, lastModified: '2024-01-01T00:00:00Z' });
  }
  if (url.pathname === `/api/models/owner/name/tree/${commit}`) return list(behaviour, url, json);
  const path = /^\/owner\/name\/resolve\/([0-9a-f]{40})\/(.*)$/.exec(url.pathname)?.[2];
  if (path && isLarge(path) && behaviour.refuseWeights) return json(behaviour.refuseWeights, {});
  if (path && isLarge(path)) {
    // As the real one does with large files.
    response.writeHead(302, { location: `/storage/${path}` });
    return response.end();
  }
  const name = path ?? /^\/storage\/(.*)$/.exec(url.pathname)?.[1];
  const file = name === undefined ? undefined : behaviour.files[name];
  if (name === undefined || !file)
    return json(404, { error: 'not found' }, { 'x-error-code': 'RepoNotFound' });
  send(behaviour, requests, name, file, request, response);
}

/** Two entries per page, so that downloads have to follow the links. */
function list(
  behaviour: Behaviour,
  url: URL,
  json: (status: number, body: unknown, headers?: Record<string, string>) => void,
) {
  const from = Number(url.searchParams.get('cursor') ?? 0);
  const deep = url.searchParams.get('recursive') === 'true';
  const names = Object.keys(behaviour.files).filter((name) => deep || !name.includes('/'));
  const page = names.slice(from, from + 2).map((path) => {
    const file = behaviour.files[path] ?? new Uint8Array();
    const oid = createHash('sha1').update(`blob ${file.length}\0`).update(file).digest('hex');
    const size = (isLarge(path) && behaviour.listedSize) || file.length;
    if (!isLarge(path)) return { type: 'file', path, size, oid };
    const sha256 = createHash('sha256').update(file).digest('hex');
    return { type: 'file', path, size, oid, lfs: { oid: sha256, size, pointerSize: 130 } };
  });
  url.searchParams.set('cursor', String(from + 2));
  json(200, page, from + 2 < names.length ? { link: `<${url.href}>; rel="next"` } : {});
}

function send(
  behaviour: Behaviour,
  requests: string[],
  name: string,
  file: Uint8Array,
  request: IncomingMessage,
  response: ServerResponse,
) {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
  const probe = last === '0';
  if (!probe) requests.push(`${name} ${request.headers.range ?? 'all'}`);
  const range =
    probe || !behaviour.ignoreRanges
      ? { from: Number(first ?? 0), to: Number(last ?? file.length - 1) }
      : undefined;
  const partial = range !== undefined && first !== undefined;
  const body = Buffer.from(partial && range ? file.subarray(range.from, range.to + 1) : file);
  if (behaviour.corrupt && isLarge(name) && body.length > 0) body[0] = (body[0] ?? 0) ^ 1;
  response.writeHead(partial ? 206 : 200, {
    etag: '"etag"',
    'content-length': body.length,
    ...(partial && range ? { 'content-range': `bytes ${range.from}-${range.to}/${file.length}` } : {}),
  });
  const limit = !probe && isLarge(name) ? behaviour.breakAfter.shift() : undefined;
  if (limit === undefined) return response.end(body);
  // What the client has not taken up when the connection breaks is lost to it; give it time.
  const delay = limit > 0 ? 250 : 0;
  response.write(body.subarray(0, limit), () => setTimeout(() => response.destroy(), delay));
}
