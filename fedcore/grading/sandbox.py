"""What the process that runs an answer may do. Called in that process, before the answer is read.

Three layers, each where the platform has it:

- limits of the system (POSIX): processor time, memory, size of files, no core dumps;
- Landlock (Linux 5.13 and later): files outside Python's own folders and one scratch folder can
  neither be read nor written, no program can be started, no TCP connection made (Linux 6.7);
- an audit hook (everywhere): the same in Python's own terms. It gives clear messages and is the
  only layer on Windows and macOS; code that loads machine code of its own can get around it.

A process of its own, without a network and with its own process ids, is the parent's part: see
``fedcore.grading.process``.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys
from collections.abc import Sequence

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # system calls, the same on every architecture
_NO_NEW_PRIVS = 38
_READ = 1 << 2 | 1 << 3  # files, folders
_NOT_IN_SCRATCH = 1 << 0 | 1 << 6 | 1 << 9 | 1 << 11 | 1 << 15  # run, devices, sockets
_SYSTEM = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/usr/share/zoneinfo")
_SYSTEM += ("/etc/ld.so.cache", "/etc/localtime", "/dev/urandom", "/nix/store")
_FORBIDDEN = (
    "socket.",
    "subprocess.",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.startfile",
    "os.fork",
    "os.forkpty",
    "os.kill",
    "signal.pthread_kill",
    "ctypes.",
    "pty.",
    "shutil.rmtree",
    "syslog.",
    "webbrowser.",
    "winreg.",
)


def limit(cpu_seconds: int, memory_bytes: int, file_bytes: int) -> bool:
    """Set the system's limits for this process; False where there are none (Windows)."""
    try:
        import resource
    except ImportError:
        return False
    for name, value in (
        ("RLIMIT_CPU", cpu_seconds),
        ("RLIMIT_AS", memory_bytes),
        ("RLIMIT_FSIZE", file_bytes),
        ("RLIMIT_CORE", 0),
    ):
        which = getattr(resource, name, None)
        if which is not None:
            with contextlib.suppress(ValueError, OSError):  # macOS has no RLIMIT_AS to speak of
                resource.setrlimit(which, (value, value))
    return True


def readable(package: str) -> list[str]:
    """Folders that Python needs: its own, the libraries', and the course's package.

    To be called where Python has started in full: ``python -S`` doesn't know its environment.
    """
    own = [sys.prefix, sys.base_prefix, sys.exec_prefix, package]
    own += [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    return [os.path.realpath(path) for path in (*own, *_SYSTEM) if os.path.exists(path)]


def restrict_files(read: Sequence[str], scratch: str) -> bool:
    """Landlock: only ``read`` is readable, only ``scratch`` writable. False without Landlock."""
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    n_rights = 13 + (version >= 2) + (version >= 3) + (version >= 5)
    rights = (1 << n_rights) - 1
    if version < 5:
        rights &= (1 << 15) - 1
    fields = [rights]
    if version >= 4:
        fields.append(0b11)  # TCP: bind, connect
    if version >= 6:
        fields.append(0b11)  # abstract sockets, signals to processes outside
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = libc.syscall(_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        return False
    rules = [(path, _READ & rights) for path in read]
    rules += [(scratch, rights & ~_NOT_IN_SCRATCH), ("/dev/null", 1 << 1 | 1 << 2)]
    for path, allowed in rules:
        _allow(libc, ruleset, path, allowed)
    done = libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 and libc.syscall(_RESTRICT, ruleset, 0) == 0
    os.close(ruleset)
    return done


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    if not os.path.isdir(path):
        rights &= 1 << 1 | 1 << 2  # a file can only be read and written
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    rule = struct.pack("=Qi", rights, handle)
    libc.syscall(_ADD_RULE, ruleset, 1, rule, 0)
    os.close(handle)


def watch(read: Sequence[str], scratch: str) -> None:
    """Refuse in Python what an answer never needs; PermissionError says what."""
    places = (*read, os.path.realpath(scratch), os.devnull)
    inside = tuple(place.rstrip(os.sep) + os.sep for place in places)
    real, fspath = os.path.realpath, os.fspath

    def allowed(path: object) -> bool:
        if isinstance(path, int) or path is None:
            return True
        path = fspath(path)
        path = real(os.fsdecode(path) if isinstance(path, bytes) else path)
        return path in places or path.startswith(inside)

    def hook(event: str, arguments: tuple) -> None:
        if event.startswith(_FORBIDDEN):
            raise PermissionError(f"an answer may not use {event}")
        if event == "object.__setattr__" and arguments[1] in ("__code__", "__closure__"):
            raise PermissionError("an answer may not change the code of a function")
        if event in ("open", "os.listdir", "os.scandir", "os.chdir") and not allowed(arguments[0]):
            raise PermissionError("an answer may not open files outside its own folder")

    sys.addaudithook(hook)
