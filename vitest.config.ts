import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: "forks",
    maxWorkers: 2,
    // Where nobody reads the note that they were skipped, a missing browser is a failure.
    env: process.env.CI ? { DUALIGN_REQUIRE_BROWSER: process.env.DUALIGN_REQUIRE_BROWSER ?? "1" } : {},
  },
});
