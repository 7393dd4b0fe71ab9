// Starts slow test files first. Otherwise one worker would still run them when the others are done.
import { BaseSequencer, type TestSequencerConstructor, type TestSpecification } from 'vitest/node';

/** Sorts files whose path contains one of these texts first, and groups files by project. */
export function slowTestsFirst(paths: string[]): TestSequencerConstructor {
  return class SlowTestsFirst extends BaseSequencer {
    override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
      const rank = ({ project, moduleId }: TestSpecification) =>
        project.name === 'alone' || paths.some((part) => moduleId.includes(part)) ? 0 : 1;
      return (await super.sort(files)).sort(
        (a, b) => rank(a) - rank(b) || a.project.name.localeCompare(b.project.name),
      );
    }
  };
}
