// In which order test files begin: those that take long first, or one worker would be busy with
// them at the end and the others idle.
import { BaseSequencer, type TestSequencerConstructor, type TestSpecification } from 'vitest/node';

/**
 * Files whose path holds one of these texts begin first, and each project's files stand together.
 */
export function slowTestsFirst(paths: string[]): TestSequencerConstructor {
  return class LongOnesFirst extends BaseSequencer {
    override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
      const rank = ({ project, moduleId }: TestSpecification) =>
        project.name === 'alone' || paths.some((part) => moduleId.includes(part)) ? 0 : 1;
      return (await super.sort(files)).sort(
        (a, b) => rank(a) - rank(b) || a.project.name.localeCompare(b.project.name),
      );
    }
  };
}
