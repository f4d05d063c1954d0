/** What a job may lack: time, or memory. */

const MB = 1024 * 1024;

/** The job used more time than it may. */
export class OverBudget extends Error {
  override readonly name = 'OverBudget';
}

/** Making the document would take, or took, more memory than there is for it. */
export class TooLargeToMerge extends Error {
  override readonly name = 'TooLargeToMerge';
  readonly needs: number;
  readonly memory: number;

  /**
   * @param needs bytes of memory that it is thought to need; 0 where all that is known is that it needs more
   * @param memory bytes that there are
   */
  constructor(needs: number, memory: number) {
    const much = needs > 0 ? `about ${inMb(needs)} MB of memory` : 'more memory';
    super(
      `the document is too large to merge here: it needs ${much}, and workers may take ${inMb(memory)} MB`,
    );
    this.needs = Math.ceil(needs);
    this.memory = Math.floor(memory);
  }
}

function inMb(bytes: number): number {
  return Math.ceil(bytes / MB);
}
