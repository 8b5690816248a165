import { isMainThread } from 'node:worker_threads';
import koffi from 'koffi';

/**
 * onnxruntime 1.29 and newer queue usage events for a collector on the internet, with a device id and a database in
 * `~/.cache/Microsoft`, unless this variable is set when the library loads (microsoft/onnxruntime, pull request 27379).
 * Whoever wants to send them sets it to 0 beforehand.
 */
const variable = 'ORT_DISABLE_TELEMETRY';

if (process.env[variable] === undefined) {
  process.env[variable] = '1';
  if (!isMainThread) setOfProcess(variable, '1');
}

/** In a worker `process.env` is a copy, which native code does not see. */
function setOfProcess(name: string, value: string): void {
  if (process.platform === 'win32') koffi.load('ucrtbase.dll').func('int _putenv_s(str, str)')(name, value);
  else koffi.load(null).func('int setenv(str, str, int)')(name, value, 1);
}
