"""A library between a process and the C library: full disks, failing reads, no locks, short writes, jumping clocks.

It is compiled where there is a C compiler and loaded by LD_PRELOAD; environment variables say what it does, so that one
server process serves all. Only files below a given folder are meant. Linux.
"""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

from .programs import Circumstances

UNDER = "AVCIL_UNDER"
"""The folder below which files are meant."""
ROOM = "AVCIL_ROOM"
"""How often something may be written before the disk is full for good."""
READS = "AVCIL_READS"
"""How often something may be read before the disk fails for good."""
NO_LOCKS = "AVCIL_NO_LOCKS"
SHORT = "AVCIL_SHORT"
"""Every write and read takes half of what is asked for."""
CLOCK = "AVCIL_CLOCK"
"""The clock of the wall jumps a year to and fro whenever it is asked."""
COUNT = "AVCIL_COUNT"
"""File to which a process that ends says how often it wrote and read."""

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

int avcil_interposed = 1;
static long writes, reads;

static int below(const char *path) {
    const char *under = getenv("AVCIL_UNDER");
    return under && strncmp(path, under, strlen(under)) == 0;
}

static int meant(int fd) {
    char name[64], path[4096];
    if (!getenv("AVCIL_UNDER")) return 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlink, name, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return below(path);
}

/* Whether one more is too much. */
static int spent(const char *name, long *done) {
    const char *allowed = getenv(name);
    long so_far = __atomic_fetch_add(done, 1, __ATOMIC_SEQ_CST);
    return allowed && so_far >= atol(allowed);
}

static int full(int fd) {
    if (meant(fd) && spent("AVCIL_ROOM", &writes)) { errno = ENOSPC; return 1; }
    return 0;
}

static int failing(int fd) {
    if (meant(fd) && spent("AVCIL_READS", &reads)) { errno = EIO; return 1; }
    return 0;
}

static size_t share(int fd, size_t count) {
    return count > 1 && getenv("AVCIL_SHORT") && meant(fd) ? count / 2 : count;
}

#define NEXT(name, result, ...) \
    static result (*next)(__VA_ARGS__); \
    if (!next) next = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

ssize_t write(int fd, const void *data, size_t count) {
    NEXT("write", ssize_t, int, const void *, size_t);
    return full(fd) ? -1 : next(fd, data, share(fd, count));
}
ssize_t pwrite(int fd, const void *data, size_t count, off_t at) {
    NEXT("pwrite", ssize_t, int, const void *, size_t, off_t);
    return full(fd) ? -1 : next(fd, data, share(fd, count), at);
}
ssize_t pwrite64(int fd, const void *data, size_t count, off64_t at) {
    NEXT("pwrite64", ssize_t, int, const void *, size_t, off64_t);
    return full(fd) ? -1 : next(fd, data, share(fd, count), at);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    NEXT("writev", ssize_t, int, const struct iovec *, int);
    return full(fd) ? -1 : next(fd, parts, count);
}
int ftruncate(int fd, off_t length) {
    NEXT("ftruncate", int, int, off_t);
    return full(fd) ? -1 : next(fd, length);
}
int ftruncate64(int fd, off64_t length) {
    NEXT("ftruncate64", int, int, off64_t);
    return full(fd) ? -1 : next(fd, length);
}
int fsync(int fd) {
    NEXT("fsync", int, int);
    return full(fd) ? -1 : next(fd);
}
int fdatasync(int fd) {
    NEXT("fdatasync", int, int);
    return full(fd) ? -1 : next(fd);
}

static int no_place(const char *path) {
    if (below(path) && spent("AVCIL_ROOM", &writes)) { errno = ENOSPC; return 1; }
    return 0;
}
int rename(const char *from, const char *to) {
    NEXT("rename", int, const char *, const char *);
    return no_place(to) ? -1 : next(from, to);
}
int mkdir(const char *path, mode_t mode) {
    NEXT("mkdir", int, const char *, mode_t);
    return no_place(path) ? -1 : next(path, mode);
}
#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        NEXT(#name, int, const char *, int, ...); \
        va_list list; va_start(list, flags); mode_t mode = va_arg(list, mode_t); va_end(list); \
        if ((flags & O_CREAT) && access(path, F_OK) && no_place(path)) return -1; \
        return next(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

ssize_t read(int fd, void *data, size_t count) {
    NEXT("read", ssize_t, int, void *, size_t);
    return failing(fd) ? -1 : next(fd, data, share(fd, count));
}
ssize_t pread(int fd, void *data, size_t count, off_t at) {
    NEXT("pread", ssize_t, int, void *, size_t, off_t);
    return failing(fd) ? -1 : next(fd, data, share(fd, count), at);
}
ssize_t pread64(int fd, void *data, size_t count, off64_t at) {
    NEXT("pread64", ssize_t, int, void *, size_t, off64_t);
    return failing(fd) ? -1 : next(fd, data, share(fd, count), at);
}
ssize_t preadv(int fd, const struct iovec *parts, int count, off_t at) {
    NEXT("preadv", ssize_t, int, const struct iovec *, int, off_t);
    struct iovec first = {parts[0].iov_base, share(fd, parts[0].iov_len)};
    if (failing(fd)) return -1;
    return count == 1 ? next(fd, &first, 1, at) : next(fd, parts, count, at);
}
ssize_t preadv64(int fd, const struct iovec *parts, int count, off64_t at) {
    NEXT("preadv64", ssize_t, int, const struct iovec *, int, off64_t);
    struct iovec first = {parts[0].iov_base, share(fd, parts[0].iov_len)};
    if (failing(fd)) return -1;
    return count == 1 ? next(fd, &first, 1, at) : next(fd, parts, count, at);
}

static int lockless(int fd) {
    if (getenv("AVCIL_NO_LOCKS") && meant(fd)) { errno = ENOLCK; return 1; }
    return 0;
}
int flock(int fd, int operation) {
    NEXT("flock", int, int, int);
    return lockless(fd) ? -1 : next(fd, operation);
}
static int control(int fd, int command, void *given) {
    int locks = command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW;
    return locks && lockless(fd) ? -1 : (int)syscall(SYS_fcntl, fd, command, given);
}
#define CONTROL(name) \
    int name(int fd, int command, ...) { \
        va_list list; va_start(list, command); void *given = va_arg(list, void *); va_end(list); \
        return control(fd, command, given); \
    }
CONTROL(fcntl)
CONTROL(fcntl64)

static time_t jump(void) {
    static int turn;
    const int year = 365 * 86400;
    return getenv("AVCIL_CLOCK") ? (turn++ % 2 ? year : -year) : 0;
}
int clock_gettime(clockid_t clock, struct timespec *now) {
    int status = syscall(SYS_clock_gettime, clock, now);
    if (!status && clock == CLOCK_REALTIME) now->tv_sec += jump();
    return status;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int status = syscall(SYS_gettimeofday, now, zone);
    if (!status) now->tv_sec += jump();
    return status;
}
time_t time(time_t *now) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (now) *now = exact.tv_sec;
    return exact.tv_sec;
}
long avcil_writes(void) { return writes; }
long avcil_reads(void) { return reads; }
"""


def compiled(folder: Path) -> Path | None:
    """The library, compiled into `folder`; None where that cannot be done here."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if sys.platform != "linux" or compiler is None:
        return None
    source, library = folder / "interposed.c", folder / "interposed.so"
    source.write_text(SOURCE, encoding="utf-8")
    command = [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return library if done.returncode == 0 else None


def loaded() -> bool:
    """Whether this process has the library."""
    return hasattr(ctypes.CDLL(None), "avcil_interposed")


def below(folder: Path, **what: object) -> Circumstances:
    """Circumstances for files below `folder`: below(folder, ROOM=5)."""
    environment = {globals()[name]: str(value) for name, value in what.items()}
    return Circumstances(environment={UNDER: os.path.realpath(folder), **environment}, change=f"{__name__}:counted")


def counted() -> None:
    """In a command's process: say at its end how often it wrote and read, where `COUNT` names a file."""
    if not loaded():
        raise RuntimeError("the library between this process and the C library is not loaded")
    if (place := os.environ.get(COUNT)) is None:
        return
    from multiprocessing.util import Finalize

    library = ctypes.CDLL(None)
    before = library.avcil_writes(), library.avcil_reads()

    def say() -> None:
        Path(place).write_text(f"{library.avcil_writes() - before[0]} {library.avcil_reads() - before[1]}")

    Finalize(None, say, exitpriority=0)
