import type { CodegenConfig } from '@graphql-codegen/cli';

/** Types of every operation in web/, from the schema that the server prints: an operation that does not fit it fails here. */
const config: CodegenConfig = {
  schema: 'schema.graphql',
  documents: ['web/src/**/*.{ts,tsx}', '!web/src/api/generated/**'],
  generates: {
    'web/src/api/generated/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: {
        useTypeImports: true,
        enumsAsTypes: true,
        strictScalars: true,
        scalars: {
          DateTime: 'string',
          JSONObject: 'Record<string, unknown>',
          SafeInt: 'number',
          Upload: 'File',
        },
      },
    },
  },
};

export default config;
