import { writeFileSync } from 'node:fs';

/** A reporter for Jest that leaves one line in `file`: "12 passed, 0 failed, 3 skipped". */
export default class CountTests {
  constructor(_globalConfig, { file }) {
    this.file = file;
  }

  onRunComplete(_contexts, results) {
    // A file that does not even load counts as one failure.
    const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
    const skipped = results.numPendingTests + results.numTodoTests;
    const counts = [`${results.numPassedTests} passed`, `${failed} failed`];
    if (skipped > 0) counts.push(`${skipped} skipped`);
    writeFileSync(this.file, `${counts.join(', ')}\n`);
  }
}
