/* Stands between a real process and the C library (LD_PRELOAD), and makes its file calls fail, its process die, or its clock
 * lie, by orders in a file that both it and a test have mapped: PAPYRA_SHIM names the file, PAPYRA_SHIM_ROOT the directory
 * below which calls count. shim.mjs writes the orders and reads what became of them.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { FAIL = 1, SHORT, TEAR, FLIP, LIE, KILL, KILL_AFTER };

/* As shim.mjs knows it: 64-bit numbers, in this order. */
struct orders {
  int64_t calls;  /* counted so far, of the operations asked for */
  int64_t from;   /* the first call to hit, 1 is the next; 0 for none */
  int64_t to;     /* the last one */
  int64_t action;
  int64_t value;  /* the errno, or how many bytes */
  int64_t operations; /* bits, by the numbers below */
  int64_t fired;
  int64_t frozen_ms;  /* the wall clock stands here, when it is not 0 */
  int64_t offset_ms;  /* or it goes wrong by so much */
};
enum { OPEN, READ, WRITE, SYNC, SYNC_DIR, RENAME, UNLINK, TRUNCATE, MKDIR };

static struct orders *orders;
static const char *root;

__attribute__((constructor)) static void start(void) {
  const char *file = getenv("PAPYRA_SHIM");
  root = getenv("PAPYRA_SHIM_ROOT");
  if (file == NULL || root == NULL) return;
  int fd = open(file, O_RDWR | O_CLOEXEC);
  if (fd < 0) _exit(99);
  void *mapped = mmap(NULL, sizeof(struct orders), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) _exit(99);
  close(fd);
  orders = mapped;
}

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

static int below(const char *path) {
  return orders != NULL && path != NULL && strncmp(path, root, strlen(root)) == 0;
}

static int is_ours(int fd) {
  if (orders == NULL) return 0;
  char link[40], path[PATH_MAX];
  int n = 0;
  for (int rest = fd; rest > 0 || n == 0; rest /= 10) link[n++] = '0' + rest % 10;
  char name[40] = "/proc/self/fd/";
  size_t at = strlen(name);
  while (n > 0) name[at++] = link[--n];
  name[at] = 0;
  ssize_t length = readlink(name, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return below(path);
}

/* Counts a call. Returns what is to be done with it, 0 for nothing. */
static int64_t next(int operation) {
  if ((orders->operations & (1 << operation)) == 0) return 0;
  int64_t n = __atomic_add_fetch(&orders->calls, 1, __ATOMIC_SEQ_CST);
  if (orders->from == 0 || n < orders->from || n > orders->to) return 0;
  __atomic_add_fetch(&orders->fired, 1, __ATOMIC_SEQ_CST);
  return orders->action;
}

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

/* Runs `call` unless it is to fail; `zero` is what a lie returns. */
#define AROUND(ours, operation, zero, call)                    \
  int64_t action = (ours) ? next(operation) : 0;               \
  if (action == KILL) die();                                   \
  if (action == FAIL) { errno = (int)orders->value; return -1; } \
  if (action == LIE) return zero;                              \
  __auto_type result = call;                                   \
  if (action == KILL_AFTER) die();                             \
  return result;

int open64(const char *path, int flags, ...) {
  mode_t mode = 0;
  if (flags & (O_CREAT | O_TMPFILE)) {
    __builtin_va_list more;
    __builtin_va_start(more, flags);
    mode = __builtin_va_arg(more, mode_t);
    __builtin_va_end(more);
  }
  int64_t action = below(path) ? next(OPEN) : 0;
  if (action == KILL) die();
  if (action == FAIL) { errno = (int)orders->value; return -1; }
  int fd = REAL(open64)(path, flags, mode);
  if (action == KILL_AFTER) die();
  return fd;
}

int rename(const char *from, const char *to) { AROUND(below(from), RENAME, 0, REAL(rename)(from, to)) }
int unlink(const char *path) { AROUND(below(path), UNLINK, 0, REAL(unlink)(path)) }
int mkdir(const char *path, mode_t mode) { AROUND(below(path), MKDIR, 0, REAL(mkdir)(path, mode)) }
int fdatasync(int fd) { AROUND(is_ours(fd), SYNC, 0, REAL(fdatasync)(fd)) }
int fsync(int fd) { AROUND(is_ours(fd), SYNC_DIR, 0, REAL(fsync)(fd)) }
int ftruncate64(int fd, off64_t length) { AROUND(is_ours(fd), TRUNCATE, 0, REAL(ftruncate64)(fd, length)) }

/* A byte of what was read is another one. */
ssize_t pread64(int fd, void *into, size_t count, off64_t at) {
  int64_t action = is_ours(fd) ? next(READ) : 0;
  if (action == FAIL) { errno = (int)orders->value; return -1; }
  if (action == SHORT && count > (size_t)orders->value) count = (size_t)orders->value;
  if (action == KILL) die();
  ssize_t got = REAL(pread64)(fd, into, count, at);
  if (action == FLIP && got > 0) ((unsigned char *)into)[orders->value % got] ^= 1;
  if (action == KILL_AFTER) die();
  return got;
}

/* SHORT: some bytes, and says how many. TEAR: some bytes, then death. LIE: none, and says all. FLIP: all, one of them wrong. */
ssize_t pwrite64(int fd, const void *from, size_t count, off64_t at) {
  int64_t action = is_ours(fd) ? next(WRITE) : 0;
  if (action == KILL) die();
  if (action == FAIL) { errno = (int)orders->value; return -1; }
  if (action == LIE) return (ssize_t)count;
  if ((action == SHORT || action == TEAR) && count > (size_t)orders->value) count = (size_t)orders->value;
  unsigned char *wrong = NULL;
  if (action == FLIP && count > 0) {
    wrong = malloc(count);
    memcpy(wrong, from, count);
    wrong[orders->value % count] ^= 1;
    from = wrong;
  }
  ssize_t put = REAL(pwrite64)(fd, from, count, at);
  free(wrong);
  if (action == TEAR || action == KILL_AFTER) die();
  return put;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  int result = REAL(clock_gettime)(clock, time);
  if (orders == NULL || clock != CLOCK_REALTIME) return result;
  int64_t ms = orders->frozen_ms;
  if (ms == 0) ms = time->tv_sec * 1000 + time->tv_nsec / 1000000 + orders->offset_ms;
  time->tv_sec = ms / 1000;
  time->tv_nsec = ms % 1000 * 1000000;
  return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
  (void)zone;
  struct timespec now;
  int result = clock_gettime(CLOCK_REALTIME, &now);
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return result;
}
