import { describe, expect, it } from 'vitest';
import { checkRuntime, UnsupportedRuntime } from './runtime.js';

describe('[RUN] the program that runs the server', () => {
  it.each([
    [{ node: '20.18.3' }, 'Node 20.18.3'],
    [{ node: '18.20.0' }, 'Node 18.20.0'],
    [{ bun: '1.4.5', node: '26.3.0' }, 'does not run on Bun (this is 1.4.5)'],
    [{}, 'Node 0'],
  ])('[RUN-2] %j is refused by name, with what to do', (versions, name) => {
    expect(() => checkRuntime(versions)).toThrow(UnsupportedRuntime);
    expect(() => checkRuntime(versions)).toThrow(name);
    expect(() => checkRuntime(versions)).toThrow('Node 20.19 or newer');
  });

  it.each([
    { node: '20.19.0' },
    { node: '22.0.0' },
    { node: '26.12.1' },
    { deno: '2.9.6', node: '26.3.0' },
  ])('[RUN-2] %j is not', (versions) => {
    expect(() => checkRuntime(versions)).not.toThrow();
  });
});
