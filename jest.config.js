// .ci/run wants the counts of the tests in a file.
const counts = process.env.TEST_COUNTS;

/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: false },
          target: 'es2022',
        },
        module: { type: 'es6' },
      },
    ],
  },
  // For what hangs: a busy machine takes a minute for what is done in five seconds on an idle one.
  testTimeout: 300_000,
  maxWorkers: 2,
  reporters: ['default', ...(counts ? [['<rootDir>/.ci/count-tests.js', { file: counts }]] : [])],
};
