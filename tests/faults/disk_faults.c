// A disk that is full, or breaks, for the daemons of an instance under test: LD_PRELOAD=disk_faults.so. What they do below
// RIBALTA_FAULTS_BELOW fails as the control file RIBALTA_FAULTS_CONTROL says, from the moment that it says so; it is mapped,
// so that a process in a sandbox sees it too. tests/e2e/disk.mjs writes it.
//
// Full: what would make a file longer has no room (what lies in its length already, names, and removals go on, as on a
// real disk); where some of it fits, that much is written. Broken: each write, sync or rename fails with EIO by chance.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct control {
  _Atomic uint32_t full;            // 0 or 1
  _Atomic uint32_t full_per_mille;  // how often a write meets the full disk; 1000: always
  _Atomic uint32_t broken_per_mille;
  _Atomic uint32_t seed;
  _Atomic uint32_t no_space;  // calls that failed so, of all processes
  _Atomic uint32_t broken;
  _Atomic uint32_t cut;    // writes of which a part was written
  _Atomic uint32_t syncs;  // that were done, whatever fails
};

static struct control* control;
static char below[PATH_MAX];
static size_t below_size;

static ssize_t (*real_write)(int, const void*, size_t);
static ssize_t (*real_pwrite)(int, const void*, size_t, off_t);
static ssize_t (*real_writev)(int, const struct iovec*, int);
static ssize_t (*real_pwritev)(int, const struct iovec*, int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_rename)(const char*, const char*);
static int (*real_fallocate)(int, off_t, off_t);

__attribute__((constructor)) static void begin(void) {
  real_write = dlsym(RTLD_NEXT, "write");
  real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
  real_writev = dlsym(RTLD_NEXT, "writev");
  real_pwritev = dlsym(RTLD_NEXT, "pwritev64");
  real_fsync = dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
  real_rename = dlsym(RTLD_NEXT, "rename");
  real_fallocate = dlsym(RTLD_NEXT, "posix_fallocate64");
  const char* const path = getenv("RIBALTA_FAULTS_CONTROL");
  const char* const prefix = getenv("RIBALTA_FAULTS_BELOW");
  if (path == NULL || prefix == NULL || strlen(prefix) >= sizeof below) return;
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void* const mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (mapped == MAP_FAILED) return;
  strcpy(below, prefix);
  below_size = strlen(below);
  control = mapped;
}

static int active(void) {
  return control != NULL && (atomic_load(&control->full) != 0 || atomic_load(&control->broken_per_mille) != 0);
}

static int is_below(const char* path) {
  return strncmp(path, below, below_size) == 0 && (path[below_size] == '/' || path[below_size] == 0);
}

/// A regular file below the folder; nothing where a sandbox lets nobody ask.
static int is_ours(int fd) {
  char link[64];
  char path[PATH_MAX];
  const int saved = errno;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(link, path, sizeof path - 1);
  errno = saved;
  if (size <= 0) return 0;
  path[size] = 0;
  return is_below(path);
}

/// Splitmix: the same numbers for the same seed, each one asked for once.
static uint32_t chance(void) {
  uint32_t mixed = atomic_fetch_add(&control->seed, 0x9e3779b9U);
  mixed = (mixed ^ (mixed >> 16)) * 0x85ebca6bU;
  mixed = (mixed ^ (mixed >> 13)) * 0xc2b2ae35U;
  return (mixed ^ (mixed >> 16)) % 1000;
}

static int breaks(void) {
  if (chance() >= atomic_load(&control->broken_per_mille)) return 0;
  atomic_fetch_add(&control->broken, 1);
  errno = EIO;
  return 1;
}

/// Of `size` bytes at `offset` (-1: where the descriptor stands) those for which there is room.
static size_t room(int fd, off_t offset, size_t size) {
  struct stat file;
  if (atomic_load(&control->full) == 0 || chance() >= atomic_load(&control->full_per_mille)) return size;
  if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) return size;
  const int append = fcntl(fd, F_GETFL) & O_APPEND;
  if (offset < 0) offset = append ? file.st_size : lseek(fd, 0, SEEK_CUR);
  if (offset + (off_t)size <= file.st_size) return size;
  // The last block of a file has room to its end.
  const off_t block_end = (file.st_size + 4095) / 4096 * 4096;
  return offset >= block_end ? 0 : (size_t)(block_end - offset) < size ? (size_t)(block_end - offset) : size;
}

static int no_space(void) {
  atomic_fetch_add(&control->no_space, 1);
  errno = ENOSPC;
  return -1;
}

ssize_t write(int fd, const void* bytes, size_t size) {
  if (size == 0 || !active() || !is_ours(fd)) return real_write(fd, bytes, size);
  if (breaks()) return -1;
  const size_t fits = room(fd, -1, size);
  if (fits == 0) return no_space();
  if (fits < size) atomic_fetch_add(&control->cut, 1);
  return real_write(fd, bytes, fits);
}

ssize_t pwrite64(int fd, const void* bytes, size_t size, off_t offset) {
  if (size == 0 || !active() || !is_ours(fd)) return real_pwrite(fd, bytes, size, offset);
  if (breaks()) return -1;
  const size_t fits = room(fd, offset, size);
  if (fits == 0) return no_space();
  if (fits < size) atomic_fetch_add(&control->cut, 1);
  return real_pwrite(fd, bytes, fits, offset);
}
ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) { return pwrite64(fd, bytes, size, offset); }

ssize_t writev(int fd, const struct iovec* pieces, int count) {
  if (!active() || !is_ours(fd)) return real_writev(fd, pieces, count);
  size_t size = 0;
  for (int i = 0; i < count; ++i) size += pieces[i].iov_len;
  if (size == 0) return real_writev(fd, pieces, count);
  if (breaks()) return -1;
  if (room(fd, -1, size) < size) return no_space();
  return real_writev(fd, pieces, count);
}

ssize_t pwritev64(int fd, const struct iovec* pieces, int count, off_t offset) {
  if (!active() || !is_ours(fd)) return real_pwritev(fd, pieces, count, offset);
  size_t size = 0;
  for (int i = 0; i < count; ++i) size += pieces[i].iov_len;
  if (size == 0) return real_pwritev(fd, pieces, count, offset);
  if (breaks()) return -1;
  if (room(fd, offset, size) < size) return no_space();
  return real_pwritev(fd, pieces, count, offset);
}
ssize_t pwritev(int fd, const struct iovec* pieces, int count, off_t offset) { return pwritev64(fd, pieces, count, offset); }

int posix_fallocate64(int fd, off_t offset, off_t size) {
  if (!active() || !is_ours(fd) || room(fd, offset, (size_t)size) == (size_t)size) return real_fallocate(fd, offset, size);
  no_space();
  return ENOSPC;
}
int posix_fallocate(int fd, off_t offset, off_t size) { return posix_fallocate64(fd, offset, size); }

static int counted(int fd, int done) {
  if (done == 0 && control != NULL && is_ours(fd)) atomic_fetch_add(&control->syncs, 1);
  return done;
}

int fsync(int fd) {
  if (active() && is_ours(fd) && breaks()) return -1;
  return counted(fd, real_fsync(fd));
}
int fdatasync(int fd) {
  if (active() && is_ours(fd) && breaks()) return -1;
  return counted(fd, real_fdatasync(fd));
}
int rename(const char* from, const char* to) {
  if (active() && is_below(to) && breaks()) return -1;
  return real_rename(from, to);
}
