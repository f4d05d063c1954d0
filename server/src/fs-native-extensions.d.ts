/** The part of fs-native-extensions that is used; the package has no types. */
declare module 'fs-native-extensions' {
  /** @returns false where another open file holds a lock on it. @throws where the file system has no locks */
  export function tryLock(fd: number): boolean;
}
