/** `Sender.frame` is public in ws (doc/ws.md is silent, its index exports it) and missing in @types/ws. */
import 'ws';

declare module 'ws' {
  export const Sender: {
    frame(
      data: Buffer,
      options: { fin: boolean; rsv1: boolean; opcode: number; mask: boolean; readOnly: boolean },
    ): Buffer[];
  };
}
