import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/e2e/**/*.test.ts'],
    globalSetup: ['test/e2e/control-plane/global-setup.ts'],
    fileParallelism: false,
    testTimeout: 60_000,
    // The first start builds the control plane from its sources.
    hookTimeout: 2_400_000,
  },
});
