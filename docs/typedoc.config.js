/** How the API reference is made; `npm run docs` makes it in docs/api. */
export default {
  name: '@cowrite/client',
  entryPoints: [
    '../client/src/index.ts',
    '../client/src/react.ts',
    '../client/src/protocol/index.ts',
  ],
  tsconfig: '../client/tsconfig.json',
  readme: '../client/README.md',
  projectDocuments: ['coming-from.md'],
  highlightLanguages: ['sh', 'js', 'jsx', 'ts', 'tsx'],
  out: 'api',
  includeVersion: true,
  excludeInternal: true,
  excludePrivate: true,
  excludeProtected: true,
  // They would lead to wherever the checkout happens to come from.
  disableSources: true,
  validation: { notDocumented: true, notExported: true, invalidLink: true, invalidPath: true },
  // Not properties: a name such as `room` says all there is to say.
  requiredToBeDocumented: [
    'Class',
    'Interface',
    'TypeAlias',
    'Variable',
    'Function',
    'Accessor',
    'Method',
  ],
  // They are those of WebSocket.
  intentionallyNotDocumented: ['send', 'close', 'addEventListener'].map(
    (name) => `index.SocketLike.${name}`,
  ),
  treatWarningsAsErrors: true,
};
