/** Who is measured, in the order of the tables. */
export const EVERYONE = ['ws', 'y-websocket', 'hocuspocus', 'cowrite'];
export const BARE = 'ws';
export const PEERS = ['y-websocket', 'hocuspocus'];
/** Those that know what a document is. */
export const WITH_DOCUMENTS = ['y-websocket', 'hocuspocus', 'cowrite'];
export const OURS = 'cowrite';
export const LABELS = {
  ws: 'bare ws',
  'y-websocket': 'y-websocket',
  hocuspocus: 'Hocuspocus',
  cowrite: 'Cowrite',
};
