import { mergeConfig } from 'vite';
import { defineConfig } from 'vitest/config';
import base from './vitest.e2e.config';

/** Measurements and pictures, which are made when asked for and judged by whoever asked. */
export default mergeConfig(
  { ...base, test: { ...base.test, include: [] } },
  defineConfig({ test: { include: ['bench/**/*.test.ts'], testTimeout: 120_000 } }),
);
