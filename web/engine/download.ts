/** Bytes that are handed on at a time when the connection is slowed down. */
const pieceBytes = 16384;
/** Milliseconds that a slowed connection may catch up: timers are not exact. */
const slack = 50;

export interface Part {
  readonly bytes: Uint8Array;
  /** Of the whole file; 0: the server does not say. */
  readonly total: number;
}

/**
 * The bytes of an address or file as they come.
 * @param bytesPerSecond slows the connection down to this; 0: does not
 */
export async function* download(source: string | File, bytesPerSecond: number): AsyncGenerator<Part> {
  const answer = typeof source === 'string' ? await fetch(source) : new Response(source);
  if (!answer.ok || !answer.body) throw new Error(`${String(source)} cannot be fetched (${answer.status})`);
  const total = typeof source === 'string' ? Number(answer.headers.get('content-length') ?? 0) : source.size;
  let due = performance.now();
  const reader = answer.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const size = bytesPerSecond > 0 ? pieceBytes : value.length;
      for (let at = 0; at < value.length; at += size) {
        const bytes = value.subarray(at, at + size);
        if (bytesPerSecond > 0) {
          // Time in which the reader did something else is lost, as it is on a real connection.
          due = Math.max(due, performance.now() - slack) + (1000 * bytes.length) / bytesPerSecond;
          const ahead = due - performance.now();
          if (ahead > 0) await new Promise((resolve) => setTimeout(resolve, ahead));
        }
        yield { bytes, total };
      }
    }
  } finally {
    await reader.cancel();
  }
}
