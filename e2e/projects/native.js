/** The entry of an application of React Native. */
import { CowriteProvider } from '@cowrite/client';
import { CLOSE } from '@cowrite/client/protocol';
import * as hooks from '@cowrite/client/react';
import * as Y from 'yjs';

globalThis.bundled = { CowriteProvider, CLOSE, hooks, Y };
