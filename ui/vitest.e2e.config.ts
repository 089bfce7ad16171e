import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** A real server and a real browser; one file after the other, since both are heavy. */
export default defineConfig({
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  test: {
    include: ['e2e/**/*.test.ts'],
    environment: 'node',
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
