/**
 * Lists the tests that were skipped, with the reasons, and ends with "N passed, N failed" over all suites:
 * node .ci/summary.mjs STATUS REPORT… with the reports of vitest's json reporter. STATUS is 0 if all suites ended well.
 */
import { readFileSync } from 'node:fs';

const [status, ...paths] = process.argv.slice(2);
let [passed, failed] = [0, 0];
for (const path of paths) {
  const report = read(path);
  passed += report?.numPassedTests ?? 0;
  // A suite without a report, and a file that cannot be loaded and so has no tests, count as one that failed.
  failed += report?.numFailedTests ?? 1;
  for (const { name, status: outcome, assertionResults } of report?.testResults ?? []) {
    if (outcome === 'failed' && assertionResults.length === 0) failed++;
    for (const test of assertionResults) {
      if (test.status === 'passed' || test.status === 'failed') continue;
      const file = name.replace(`${process.cwd()}/`, '');
      console.log(`skipped: ${file}: ${test.fullName} (${test.meta?.missing ?? 'no reason given'})`);
    }
  }
}
if (status !== '0' && failed === 0) failed = 1;
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

function read(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    console.log(`${path}: no report`);
    return undefined;
  }
}
