/**
 * Where a worker begins. Piscina calls `require` before it tries `import`, and an
 * ES module that is required while its thread is ended takes the whole process
 * with it (Node 20: an assertion in `CreateRequiredModuleFacade`). So what is
 * required is this, and the rest is imported.
 */
module.exports = async (task: unknown): Promise<unknown> => {
  const thread = await import('./thread.js');
  return thread.default(task as Parameters<typeof thread.default>[0]);
};
