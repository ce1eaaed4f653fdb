/** TypeScript as ES modules: NodeNext's ".js" specifiers are mapped back to the ".ts" they stand for. */
export default {
  testEnvironment: 'node',
  // Stories wait for real servers and real polls.
  testTimeout: 60_000,
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        sourceMaps: 'inline',
        module: { type: 'es6' },
        jsc: { parser: { syntax: 'typescript' }, target: 'es2023' },
      },
    ],
  },
};
