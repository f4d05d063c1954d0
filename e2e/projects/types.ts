/** What an application in TypeScript says of the client, however it finds its types. */
import { CowriteClient, CowriteProvider, type CowriteStatus } from '@cowrite/client';
import { CLOSE } from '@cowrite/client/protocol';
import { useSaved } from '@cowrite/client/react';

export const provider = new CowriteProvider({ url: 'ws://host/ws', room: 'room', connect: false });
export const status: CowriteStatus = provider.status;
export const guid: string = provider.doc.guid;
export const client = new CowriteClient({ url: 'ws://host/ws' });
export const code: 4404 = CLOSE.deleted;
export const isUnsaved = (): boolean => useSaved().unsaved;
// @ts-expect-error: what has types has no such method
provider.save();
