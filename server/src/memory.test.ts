import { describe, expect, it } from 'vitest';
import { limitForWorkers, memoryLimit, workerMemory } from './memory.js';

const GB = 1024 ** 3;

function limitIn(files: Record<string, string>, constrained = 0) {
  return memoryLimit({ read: (path) => files[path], total: 16 * GB, constrained });
}

const V2 = '30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n';
const V1 = [
  '31 25 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu',
  '32 25 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory',
].join('\n');

describe('[LIM] memory', () => {
  it('[LIM-15] is all that the machine has where nothing limits it', () => {
    expect(limitIn({})).toEqual({ bytes: 16 * GB, isOwn: false });
    const files = {
      '/proc/self/mountinfo': V2,
      '/proc/self/cgroup': '0::/a.service\n',
      '/sys/fs/cgroup/a.service/memory.max': 'max\n',
    };
    expect(limitIn(files)).toEqual({ bytes: 16 * GB, isOwn: false });
    // What version 1 says where there is none.
    const old = {
      '/proc/self/mountinfo': V1,
      '/proc/self/cgroup': '4:memory:/\n',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
    };
    expect(limitIn(old)).toEqual({ bytes: 16 * GB, isOwn: false });
  });

  it('[LIM-15] is the limit of the control group, or that of any group around it', () => {
    const files = {
      '/proc/self/mountinfo': V2,
      '/proc/self/cgroup': '0::/pods/pod/container\n',
      '/sys/fs/cgroup/pods/pod/container/memory.max': 'max\n',
      '/sys/fs/cgroup/pods/pod/memory.max': `${GB}\n`,
      '/sys/fs/cgroup/pods/memory.max': `${8 * GB}\n`,
    };
    expect(limitIn(files)).toEqual({ bytes: GB, isOwn: true });
    const reclaimed = { ...files, '/sys/fs/cgroup/pods/memory.high': `${GB / 2}\n` };
    expect(limitIn(reclaimed)).toEqual({ bytes: GB / 2, isOwn: true });
  });

  it('[LIM-15] is read from version 1, too, and where the group is named as the host sees it', () => {
    const files = {
      '/proc/self/mountinfo': V1,
      '/proc/self/cgroup': '5:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n0::/\n',
      '/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes': `${2 * GB}\n`,
    };
    expect(limitIn(files)).toEqual({ bytes: 2 * GB, isOwn: true });
    const inside = {
      '/proc/self/mountinfo': V1.replace('0:28 /', '0:28 /docker/1'),
      '/proc/self/cgroup': '4:memory:/docker/1\n',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': `${2 * GB}\n`,
    };
    expect(limitIn(inside)).toEqual({ bytes: 2 * GB, isOwn: true });
    const outside = {
      '/proc/self/mountinfo': V2.replace('0:26 /', '0:26 /../..'),
      '/proc/self/cgroup': '0::/../elsewhere\n',
      '/sys/fs/cgroup/memory.max': `${GB}\n`,
    };
    expect(limitIn(outside)).toEqual({ bytes: GB, isOwn: true });
  });

  it('[LIM-15] is what Node says, where that is less', () => {
    expect(limitIn({}, 2 * GB)).toEqual({ bytes: 2 * GB, isOwn: true });
    expect(limitIn({}, 2 ** 64)).toEqual({ bytes: 16 * GB, isOwn: false });
  });

  it('[LIM-15] leaves enough for the rest of the process', () => {
    const own = (bytes: number) => workerMemory({ bytes, isOwn: true });
    expect(own(GB) / GB).toBeCloseTo(0.6, 5);
    expect(workerMemory({ bytes: GB, isOwn: false })).toBeLessThan(own(GB));
    expect(own(limitForWorkers(GB))).toBeGreaterThanOrEqual(GB);
    // Documents are merged in a small container as well, as far as they are small.
    expect(own(GB / 8)).toBe(96 * 1024 * 1024);
  });
});
