import * as framework from 'vitest';
import { ManualClock } from '../clock.js';
import { presenceContract } from './contract.js';
import { MemoryPresence, PresenceHub } from './memory.js';

presenceContract(framework, 'memory', async () => {
  const clock = new ManualClock();
  const hub = new PresenceHub(clock);
  const setAway = async (isAway: boolean) => {
    hub.isAway = isAway;
  };
  return {
    open: async () => new MemoryPresence(hub),
    pass: async (ms) => clock.advance(ms),
    flush: async () => hub.flush(),
    goAway: () => setAway(true),
    comeBack: () => setAway(false),
    dispose: async () => undefined,
  };
});
