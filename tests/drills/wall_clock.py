"""The wall clock of one process, moved while it runs: a shim before `clock_gettime`.

Needs a C compiler. Python 3 standard library only; not a drill by itself.
"""

import shutil
import struct
import subprocess

SHIM = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static volatile long *ahead;
__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("DRILL_CLOCK");
    int file = name ? open(name, O_RDONLY) : -1;
    void *seen = file < 0 ? MAP_FAILED : mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
    if (file >= 0) close(file);
    if (seen != MAP_FAILED) ahead = seen;
}
int clock_gettime(clockid_t id, struct timespec *at) {
    long done = syscall(SYS_clock_gettime, id, at);
    if (done == 0 && id == CLOCK_REALTIME && ahead) at->tv_sec += *ahead;
    return (int)done;
}
"""


class Clock:
    """So many seconds ahead of the true time, for whoever is started with it."""

    def __init__(self, work):
        compiler = shutil.which("cc") or shutil.which("gcc")
        source, shim = work / "clock.c", work / "clock.so"
        source.write_text(SHIM)
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(shim), str(source)]
        subprocess.run(command, check=True)
        path = work / "ahead"
        path.write_bytes(struct.pack("l", 0))
        self.file = open(path, "r+b", buffering=0)
        # `env` becomes the switch.
        self.before = ["env", f"LD_PRELOAD={shim}", f"DRILL_CLOCK={path}"]

    def jump(self, seconds):
        self.file.seek(0)
        self.file.write(struct.pack("l", int(seconds)))


def missing():
    """Why there can be no such clock here; `None` when there can."""
    if shutil.which("cc") or shutil.which("gcc"):
        return None
    return "there is no C compiler for the shim before clock_gettime"
