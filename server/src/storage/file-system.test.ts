import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { fileSystemNamed, fileSystemOf, mountTypeIn } from './file-system.js';

const FUSE = 0x65735546;
const MOUNTS = `22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
40 22 0:41 / /mnt/remote rw,nosuid shared:5 - fuse.sshfs host:/ rw,user_id=0
41 22 0:42 /sub /mnt/with\\040space rw master:1 propagate_from:2 - fuse.bindfs / rw
42 22 8:65537 / /mnt/large rw - xfs /dev/sdz rw
`;

describe('[STO-77] file systems', () => {
  it.each([
    ['NFS', 0x6969],
    ['SMB', 0xfe534d42],
    ['SMB', 0x517b],
    ['CIFS', 0xff534d42],
    ['9p', 0x01021997],
    ['Ceph', 0x00c36400],
  ])('[STO-77] %s is one of a network', (name, type) => {
    expect(fileSystemNamed(type, () => undefined)).toEqual({ name, isNetwork: true });
  });

  it.each([
    ['9p', '9p'],
    ['NFS', 'nfs4'],
    ['SMB', 'cifs'],
  ])(
    '[STO-82] %s is one by the name of its mount, whatever file system its server has',
    (name, mount) => {
      for (const type of [0xef53, 0x58465342, 0x01021994]) {
        expect(fileSystemNamed(type, () => mount)).toEqual({ name, isNetwork: true });
      }
    },
  );

  it.each([
    ['ext4', 0xef53],
    ['xfs', 0x58465342],
    ['btrfs', 0x9123683e],
    ['tmpfs', 0x01021994],
    ['overlayfs', 0x794c7630],
    ['vfat', 0x4d44],
    ['ZFS', 0x2fc12fc1],
  ])('[STO-77] %s is of one machine', (name, type) => {
    expect(fileSystemNamed(type, () => undefined).isNetwork).toBe(false);
    expect(fileSystemNamed(type, () => name)).toEqual({ name, isNetwork: false });
  });

  it.each([
    ['fuse.sshfs', true],
    ['fuse.s3fs', true],
    ['fuse.glusterfs', true],
    ['fuse', true],
    [undefined, true],
    ['fuseblk', false],
    ['virtiofs', false],
    ['fuse.fuse-overlayfs', false],
    ['fuse-overlayfs', false],
    ['fuse.grpcfuse', false],
  ])('[STO-77] what is behind a FUSE is known by its name: %s', (type, isNetwork) => {
    expect(fileSystemNamed(FUSE, () => type).isNetwork).toBe(isNetwork);
  });

  it('[STO-77] a mount is found by its device', () => {
    expect(mountTypeIn(MOUNTS, 41n)).toBe('fuse.sshfs');
    expect(mountTypeIn(MOUNTS, 42n)).toBe('fuse.bindfs');
    expect(mountTypeIn(MOUNTS, (254n << 8n) | 0n)).toBe('ext4');
    expect(mountTypeIn(MOUNTS, (8n << 8n) | 1n | (65536n << 12n))).toBe('xfs');
    expect(mountTypeIn(MOUNTS, 99n)).toBe(undefined);
  });

  it('[STO-77] the temporary folder is on a disk of this machine', () => {
    const folder = mkdtempSync(join(tmpdir(), 'cowrite-fs-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    expect(fileSystemOf(folder).isNetwork).toBe(false);
  });
});
