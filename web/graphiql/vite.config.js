import { defineConfig } from 'vite';

// The binary serves the bundle under /graphiql, also for /t/{slug}/graphiql; so the addresses are absolute.
export default defineConfig({
  base: '/graphiql/',
  build: {
    target: 'es2022',
    sourcemap: false,
    reportCompressedSize: false,
    // The bundle travels inside the binary, so the notices of what is bundled travel with it.
    license: { fileName: 'licenses.md' },
    chunkSizeWarningLimit: 8000,
  },
  worker: { format: 'es' },
});
