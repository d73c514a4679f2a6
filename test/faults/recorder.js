import { appendFileSync } from 'node:fs';
import { join } from 'node:path';

/** A reporter for Jest that leaves in the folder FAULTS_REPORT what has become of each test, as soon as it is known. */
export default class Recorder {
  file = join(process.env.FAULTS_REPORT, 'tests.jsonl');

  onTestFileStart({ path }) {
    this.note({ type: 'began', file: path });
  }

  onTestFileResult({ path }, { testResults, testExecError, failureMessage }) {
    for (const { fullName, status, duration, failureMessages } of testResults) {
      this.note({ type: 'test', file: path, test: fullName, status, ms: duration ?? 0, message: failureMessages[0] });
    }
    // What does not even load has no tests.
    const message = testExecError ? (failureMessage ?? String(testExecError.message)) : undefined;
    this.note({ type: 'ended', file: path, message });
  }

  note(what) {
    appendFileSync(this.file, `${JSON.stringify(what)}\n`);
  }
}
