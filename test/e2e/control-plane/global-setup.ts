import type { TestProject } from 'vitest/node';
import type { Connection } from './client.ts';
import { startControlPlane } from './control-plane.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The control plane that all files share: `connect(inject('controlPlane'))`. */
    controlPlane: Connection;
  }
}

/** Starts one control plane for all test files: starting it costs more than most of them. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const controlPlane = await startControlPlane();
  project.provide('controlPlane', controlPlane.connection);
  return () => controlPlane.stop();
}
