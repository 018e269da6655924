// The one call that is used of this package, which ships no types of its own.
declare module "fs-native-extensions" {
  const native: { tryLock(fd: number, options: { shared: boolean }): boolean };
  export default native;
}
