/**
 * What kind of file system a folder lies on.
 *
 * A store in a folder needs a file system that belongs to one kernel: its lock has to exclude
 * every other process, what one writes has to be what it reads through memory, and a sync has to
 * reach a disk. Network file systems promise none of that to all of their clients.
 */
import { existsSync, readFileSync, realpathSync, statfsSync, statSync } from 'node:fs';

export interface FileSystem {
  /** For people, such as `NFS`. */
  readonly name: string;
  /** Whether other machines may have the same folder. */
  readonly isNetwork: boolean;
}

/** The folder cannot hold a store; the message says why and what to do. */
export class FolderUnusable extends Error {
  override readonly name = 'FolderUnusable';
}

/** `f_type` of statfs(2), its low 32 bits. */
const NETWORK: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xfe534d42, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0x01021997, '9p'],
  [0x00c36400, 'Ceph'],
  [0x5346414f, 'AFS'],
  [0x6b414653, 'AFS'],
  [0x73757245, 'Coda'],
  [0x564c, 'NCP'],
  [0x0bd00bd0, 'Lustre'],
  [0x47504653, 'GPFS'],
  [0x19830326, 'BeeGFS'],
  [0x20030528, 'OrangeFS'],
  [0x01161970, 'GFS2'],
  [0x7461636f, 'OCFS2'],
  [0xaad7aaea, 'PanFS'],
  [0x786f4256, 'a shared folder of VirtualBox'],
  [0xbacbacbc, 'a shared folder of VMware'],
  [0x7c7c6673, 'a shared folder of Parallels'],
]);

/**
 * By the type in mountinfo. 9p passes on the number of the file system that its server has, so
 * that a virtual machine's shared folder calls itself ext4.
 */
const NETWORK_MOUNTS: ReadonlyMap<string, string> = new Map([
  ['9p', '9p'],
  ['nfs', 'NFS'],
  ['nfs4', 'NFS'],
  ['cifs', 'SMB'],
  ['smb3', 'SMB'],
  ['ceph', 'Ceph'],
  ['afs', 'AFS'],
  ['lustre', 'Lustre'],
  ['gpfs', 'GPFS'],
  ['beegfs', 'BeeGFS'],
  ['pvfs2', 'OrangeFS'],
  ['gfs2', 'GFS2'],
  ['ocfs2', 'OCFS2'],
  ['panfs', 'PanFS'],
  ['vboxsf', 'a shared folder of VirtualBox'],
  ['vmhgfs', 'a shared folder of VMware'],
  ['prl_fs', 'a shared folder of Parallels'],
]);

const FUSE = 0x65735546;
/** By the type in mountinfo: what only passes on what lies on this machine, or on its virtual machine's host. */
const LOCAL_FUSE: ReadonlySet<string> = new Set([
  'fuseblk',
  'virtiofs',
  'fakeowner',
  'grpcfuse',
  'osxfs',
  'bindfs',
  'mergerfs',
  'fuse-overlayfs',
  'unionfs',
  'shfs',
  'gocryptfs',
  'encfs',
  'cryfs',
  'securefs',
  'ntfs-3g',
  'exfat',
  'ext2',
  'zfs',
  'lxcfs',
]);

const MOUNTINFO = '/proc/self/mountinfo';

/** @throws what the system says of a folder that is not there */
export function fileSystemOf(folder: string): FileSystem {
  // Also for a drive's letter this is the share behind it.
  if (process.platform === 'win32') {
    const isNetwork = realpathSync.native(folder).startsWith('\\\\');
    return { name: isNetwork ? 'a network share' : 'a disk', isNetwork };
  }
  // Elsewhere these numbers mean other things.
  if (process.platform !== 'linux') return { name: 'unknown', isNetwork: false };
  const { type } = statfsSync(folder, { bigint: true });
  return fileSystemNamed(Number(BigInt.asUintN(32, type)), () => mountTypeOf(folder));
}

/**
 * @param type of statfs(2)
 * @param mountType what mountinfo calls it; undefined where it does not say
 */
export function fileSystemNamed(type: number, mountType: () => string | undefined): FileSystem {
  const network = NETWORK.get(type);
  if (network !== undefined) return { name: network, isNetwork: true };
  const mount = mountType();
  const mounted = NETWORK_MOUNTS.get(mount ?? '');
  if (mounted !== undefined) return { name: mounted, isNetwork: true };
  if (type !== FUSE) return { name: mount ?? `0x${type.toString(16)}`, isNetwork: false };
  // What is behind a FUSE is known only by its name, and most are remote.
  const name = mount ?? 'fuse';
  return { name, isNetwork: !LOCAL_FUSE.has(name.replace(/^fuse\./, '')) };
}

function mountTypeOf(folder: string): string | undefined {
  // A chroot may have no /proc.
  if (!existsSync(MOUNTINFO)) return undefined;
  return mountTypeIn(readFileSync(MOUNTINFO, 'utf8'), statSync(folder, { bigint: true }).dev);
}

/** @param device `st_dev`, as Linux puts major and minor together */
export function mountTypeIn(mountinfo: string, device: bigint): string | undefined {
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn);
  const minor = (device & 0xffn) | ((device >> 12n) & ~0xffn);
  for (const line of mountinfo.split('\n')) {
    const [before, after] = line.split(' - ');
    if (before?.split(' ')[2] === `${major}:${minor}`) return after?.split(' ')[0];
  }
  return undefined;
}
