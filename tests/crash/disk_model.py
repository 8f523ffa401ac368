"""What a disk may hold after a power cut: the calls of a traced run as a model, and every state it allows.

The rules are POSIX's, stricter than any one file system. A name is durable once its directory was synced, bytes and size of a
file once the file was. Of everything since then, each name, each 512-byte sector and each size may be as it was at any moment
in between, independently of all the others: a file may have its name and not its bytes, its size and not its bytes (zeros
then), a rename may have made the new name, removed the old one, both or neither. A sync that failed makes nothing durable.

Stores to mapped files are no calls. While a run is traced, every sync is held up for a moment, and the mapped files are read
again and again: what they held counts as written when it was first seen.
"""

import ctypes
import dataclasses
import os
import re
import stat
import subprocess
import threading
import time

import dripped

SECTOR = 512
# How long strace holds up each call that makes something durable, so that what lies in mapped files by then is seen.
HOLD_SECONDS = 0.006
POLL_SECONDS = 0.001
SYNCS = ("fdatasync", "fsync", "sync_file_range", "syncfs", "sync", "msync")
# Calls that name or hold a file and change nothing on the disk.
HARMLESS = set("""execve read pread64 preadv readv close fstat newfstatat statx stat lstat lseek ioctl fcntl flock getdents64 mmap
    fstatfs statfs fadvise64 access faccessat faccessat2 readlink readlinkat dup dup2 dup3 poll ppoll getcwd chdir epoll_ctl
    epoll_wait epoll_create1 eventfd2 pipe2 socket sendto recvmsg sendmsg recvfrom connect inotify_init1 inotify_add_watch
    fchmod chmod fchmodat fchown fchownat chown lchown utimensat fgetxattr getxattr lgetxattr select""".split())


class Unknown(Exception):
    """A call the model does not understand: what it says would be worth nothing."""


# ---- the model

class Versions:
    """The values something has had since it was last made durable, the durable one first."""

    __slots__ = ("values",)

    def __init__(self, value, at=0):
        self.values = [(at, value)]

    def last(self):
        return self.values[-1][1]

    def set(self, value, at):
        if value != self.last():
            self.values.append((at, value))

    def make_durable(self, at):
        """What was the last value at that time, and what came later, may be there; what was before is over."""
        first = max(n for n, (when, _) in enumerate(self.values) if when <= at or n == 0)
        del self.values[:first]

    def allowed(self):
        """The values there may be: the durable one first, the latest last."""
        between = []
        for _, value in self.values[1:-1]:
            if value not in between:
                between.append(value)
        return [value for _, value in self.values[:1]] + between + [value for _, value in self.values[1:][-1:]]


class FileNode:
    def __init__(self, content=b"", label=""):
        self.label = label
        self.size = Versions(len(content))
        self.sectors = {}
        self.content = bytearray(content)
        for number in range(0, (len(content) + SECTOR - 1) // SECTOR):
            self.sectors[number] = Versions(self.sector(number))

    def sector(self, number):
        return bytes(self.content[number * SECTOR:(number + 1) * SECTOR]).ljust(SECTOR, b"\0")

    def write(self, position, data, at):
        end = position + len(data)
        before = len(self.content)
        if end > before:
            self.content.extend(bytes(end - before))
            # A long write may have been caught with any number of its pages in the file.
            for size in range((before // 4096 + 1) * 4096, end, 4096):
                self.size.set(size, at)
        self.content[position:end] = data
        self.note_sectors(position, end, at)
        self.size.set(len(self.content), at)

    def note_sectors(self, start, end, at):
        for number in range(start // SECTOR, (end + SECTOR - 1) // SECTOR):
            if number not in self.sectors:
                self.sectors[number] = Versions(bytes(SECTOR))
            self.sectors[number].set(self.sector(number), at)

    def resize(self, size, at):
        before = len(self.content)
        del self.content[size:]
        self.content.extend(bytes(size - len(self.content)))
        if size < before:
            self.note_sectors(size, before, at)
        self.size.set(size, at)

    def make_durable(self, at):
        self.size.make_durable(at)
        for versions in self.sectors.values():
            versions.make_durable(at)

    def variables(self):
        if len(self.size.values) > 1:
            yield f"size of {self.label}", self.size
        for number, versions in sorted(self.sectors.items()):
            if len(versions.values) > 1:
                yield f"sector {number} of {self.label}", versions


class DirectoryNode:
    def __init__(self, label=""):
        self.label = label
        self.names = {}

    def now(self):
        return {name: versions.last() for name, versions in self.names.items() if versions.last() is not None}

    def set(self, name, node, at):
        if name not in self.names:
            self.names[name] = Versions(None)
        self.names[name].set(node, at)

    def make_durable(self, at):
        for versions in self.names.values():
            versions.make_durable(at)

    def variables(self):
        for name, versions in sorted(self.names.items()):
            if len(versions.values) > 1:
                yield f"name {self.label}/{name}", versions


class Disk:
    """A directory tree, and all it may be after a cut. Paths are relative to its root, which is durable itself."""

    def __init__(self):
        self.root = DirectoryNode(".")
        self.clock = 0
        self.effects = 0
        self.born = {}  # node id -> label, to tell nodes of one path apart

    def tick(self):
        self.clock += 1
        return self.clock

    def label(self, path):
        count = self.born[path] = self.born.get(path, 0) + 1
        return path if count == 1 else f"{path} (made as number {count})"

    def find(self, path):
        node = self.root
        for part in [p for p in path.split("/") if p not in ("", ".")]:
            if not isinstance(node, DirectoryNode):
                return None
            node = node.now().get(part)
            if node is None:
                return None
        return node

    def parent(self, path):
        directory, _, name = path.rpartition("/")
        node = self.find(directory)
        if not isinstance(node, DirectoryNode):
            raise Unknown(f"no directory for {path}")
        return node, name

    def name(self, path, node):
        directory, name = self.parent(path)
        directory.set(name, node, self.tick())
        self.effects += 1

    def make_file(self, path):
        self.name(path, FileNode(label=self.label(path)))

    def make_directory(self, path):
        self.name(path, DirectoryNode(self.label(path)))

    def rename(self, source, target):
        node = self.find(source)
        if node is None:
            raise Unknown(f"renames {source}, which is not there")
        self.name(target, node)
        self.name(source, None)

    def write(self, node, position, data):
        node.write(position, data, self.tick())
        self.effects += 1

    def resize(self, node, size):
        node.resize(size, self.tick())
        self.effects += 1

    def seen(self, path, content):
        """A mapped file holds `content` now."""
        node = self.find(path)
        if not isinstance(node, FileNode) or len(content) != len(node.content) or content == bytes(node.content):
            return
        at = self.tick()
        for number in range(0, (len(content) + SECTOR - 1) // SECTOR):
            start = number * SECTOR
            piece = content[start:start + SECTOR]
            if piece != bytes(node.content[start:start + SECTOR]):
                node.content[start:start + SECTOR] = piece
                node.note_sectors(start, start + len(piece), at)
                self.effects += 1

    def load(self, directory):
        """Takes over what lies in `directory`, all of it durable."""
        def walk(path, node, relative):
            for name in sorted(os.listdir(path)):
                full, label = os.path.join(path, name), f"{relative}{name}"
                if stat.S_ISDIR(os.lstat(full).st_mode):
                    child = DirectoryNode(self.label(label))
                    walk(full, child, label + "/")
                else:
                    with open(full, "rb") as file:
                        child = FileNode(file.read(), self.label(label))
                node.names[name] = Versions(child)
        walk(directory, self.root, "")

    def variables(self):
        """[(what it is, its allowed values)] of all that a cut now leaves open."""
        found, known = [], set()

        def walk(node):
            if node is None or id(node) in known:
                return
            known.add(id(node))
            found.extend((what, versions.allowed()) for what, versions in node.variables())
            if isinstance(node, DirectoryNode):
                for versions in node.names.values():
                    for _, child in versions.values:
                        walk(child)
        walk(self.root)
        return [(what, values) for what, values in found if len(values) > 1]

    def state(self, choice):
        """{path: bytes, or None for a directory} of the disk. `choice` maps what variables() names to the number of the chosen
        value; nothing chosen is the durable one."""
        tree = {}

        def pick(what, versions):
            return versions.allowed()[choice.get(what, 0)] if len(versions.values) > 1 else versions.last()

        def walk(node, path):
            if isinstance(node, FileNode):
                content = bytearray(pick(f"size of {node.label}", node.size))
                for number, versions in node.sectors.items():
                    start = number * SECTOR
                    room = len(content) - start
                    if room > 0:
                        content[start:start + SECTOR] = pick(f"sector {number} of {node.label}", versions)[:room]
                tree[path] = bytes(content)
                return
            if path:
                tree[path] = None
            for name, versions in node.names.items():
                child = pick(f"name {node.label}/{name}", versions)
                if child is not None:
                    walk(child, f"{path}/{name}" if path else name)
        walk(self.root, "")
        return tree


# ---- choosing among the states

def choices(variables, limit, generator):
    """The choices to try: every one where these are no more than `limit`. Otherwise nothing kept, all kept, each single thing lost,
    each kept alone, and at random up to `limit`."""
    count = 1
    for _, values in variables:
        count *= len(values)
        if count > limit:
            break
    if count <= limit:
        yield from every(variables)
        return
    latest = {what: len(values) - 1 for what, values in variables}
    yield {}
    yield latest
    given = 2
    single = [({**latest, what: n} if lose else {what: len(values) - 1 - n})
              for what, values in variables for n in range(len(values) - 1) for lose in (True, False)]
    if given + len(single) > limit * 3:
        single = generator.sample(single, min(len(single), limit * 3))
    yield from single
    for _ in range(max(limit - given - len(single), limit // 4)):
        kept = generator.choice([0.1, 0.3, 0.5, 0.7, 0.9])
        yield {what: len(values) - 1 if generator.random() < kept else generator.randrange(len(values)) if generator.random() < 0.3
               else 0 for what, values in variables}


def every(variables):
    if not variables:
        yield {}
        return
    what, values = variables[0]
    for rest in every(variables[1:]):
        for n in range(len(values)):
            yield {what: n, **rest}


def describe(choice, variables):
    """What of all that was not durable is not there as it was last, or is all that is."""
    lost = [f"{what} is version {choice.get(what, 0)} of {len(values) - 1}" for what, values in variables
            if choice.get(what, 0) != len(values) - 1]
    kept = [what for what, values in variables if choice.get(what, 0) == len(values) - 1]
    if not lost:
        return "everything kept"
    if not kept:
        return "nothing kept that was not synced"
    return ("lost: " + "; ".join(lost)) if len(lost) <= len(kept) else "kept alone: " + "; ".join(kept) + "".join(
        f"; {item}" for item in lost if "version 0" not in item)


# ---- on a real disk

class Timestamp(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_int64), ("nanoseconds", ctypes.c_uint32), ("pad", ctypes.c_int32)]


class Statx(ctypes.Structure):
    _fields_ = [("mask", ctypes.c_uint32), ("blksize", ctypes.c_uint32), ("attributes", ctypes.c_uint64), ("nlink", ctypes.c_uint32),
                ("uid", ctypes.c_uint32), ("gid", ctypes.c_uint32), ("mode", ctypes.c_uint16), ("pad", ctypes.c_uint16),
                ("inode", ctypes.c_uint64), ("size", ctypes.c_uint64), ("blocks", ctypes.c_uint64), ("attributes_mask", ctypes.c_uint64),
                ("accessed", Timestamp), ("born", Timestamp), ("rest", ctypes.c_char * 160)]


def identity_of(path):
    """(inode, birth time in ns) of a file."""
    found = Statx()
    at_fdcwd, birth_and_inode = -100, 0x800 | 0x100
    if ctypes.CDLL(None, use_errno=True).statx(at_fdcwd, os.fsencode(path), 0, birth_and_inode, ctypes.byref(found)):
        raise OSError(ctypes.get_errno(), "statx", path)
    born = found.born.seconds * 10**9 + found.born.nanoseconds if found.mask & 0x800 else 0
    return found.inode, born


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 & -(crc & 1))
    return crc ^ 0xFFFFFFFF


def build(tree, directory):
    """Makes `directory`, which is not there yet, hold the tree."""
    os.mkdir(directory, 0o700)
    for path, content in tree.items():
        full = os.path.join(directory, path)
        if content is None:
            os.mkdir(full, 0o700)
            continue
        with open(os.open(full, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(of_this_file(content, full) if os.path.basename(path) == "state" else content)


def of_this_file(content, path):
    """A whole header of a state file names the file it was written for. On the disk this is a picture of that is so; here it is made
    to be."""
    if len(content) < 44 or int.from_bytes(content[40:44], "little") != crc32c(content[:40]):
        return content
    header = content[:24] + b"".join(n.to_bytes(8, "little") for n in identity_of(path))
    return header + crc32c(header).to_bytes(4, "little") + content[44:]


# ---- recording

@dataclasses.dataclass
class Cut:
    """A moment at which the power may fail: just before something becomes durable, and at the end."""
    before: str


@dataclasses.dataclass
class Printed:
    """The run has told its user something."""
    text: str


@dataclasses.dataclass
class Ended:
    status: int


def text(quoted):
    """The bytes in one of strace -xx's strings, its quotes included or not."""
    return bytes.fromhex(quoted.strip('"').replace("\\x", ""))


class Poller(threading.Thread):
    """Reads the mapped files of the data directory `data` in `directory` over and over; keeps (time, path, content) of whatever is new."""

    def __init__(self, directory):
        super().__init__(daemon=True)
        self.directory, self.found, self.stopping, self.last = directory, [], threading.Event(), {}
        self.start()

    def run(self):
        while not self.stopping.is_set():
            self.look()
            time.sleep(POLL_SECONDS)

    def look(self):
        for pattern, name in (("topics", "state"), ("trash", "state"), ("groups", "offsets")):
            for path in self.files(os.path.join(self.directory, "data", pattern), name, 2 if pattern == "groups" else 1):
                started = time.time()
                try:
                    inode = os.stat(path).st_ino
                    with open(path, "rb") as file:
                        content = file.read()
                except OSError:
                    continue
                if self.last.get(path) != (inode, content):
                    self.last[path] = (inode, content)
                    self.found.append((started, os.path.relpath(path, self.directory), content))

    def files(self, directory, name, depth):
        try:
            entries = os.listdir(directory)
        except OSError:
            return
        for entry in entries:
            full = os.path.join(directory, entry)
            if depth == 1:
                yield os.path.join(full, name)
            else:
                yield from self.files(full, name, depth - 1)

    def end(self):
        self.stopping.set()
        self.join()
        self.look()
        return self.found


class Recorder:
    """Runs commands under strace and plays what they did into a Disk; yields the moments of interest in between. The disk holds
    `directory`, which is durable itself; in it lies the data directory `data`."""

    def __init__(self, directory, log):
        self.directory, self.log, self.disk = os.path.realpath(directory), log, Disk()
        self.disk.load(self.directory)

    def run(self, command, environment, given=b"", line_by_line=False):
        """Cut, Printed and Ended, in their order, while self.disk is as it was at that moment."""
        delays = ["-e", f"inject={','.join(s for s in SYNCS if s != 'sync')}:delay_enter={int(HOLD_SECONDS * 1e6)}"]
        poller = Poller(self.directory)
        with open(self.log + ".in", "wb") as file:
            file.write(given)
        traced = ["strace", "-f", "-y", "-xx", "-ttt", "-s", "16777216", "-o", self.log, "-e",
                  "trace=%file,%desc,exit_group,sync,msync", *delays, *command]
        if line_by_line:
            status, said = dripped.run(traced, given, environment, self.log + ".out")
        else:
            with open(self.log + ".in", "rb") as file, open(self.log + ".out", "wb") as out:
                done = subprocess.run(traced, env=environment, stdin=file, stdout=out, stderr=subprocess.PIPE, timeout=120)
            status, said = done.returncode, done.stderr
        mapped = poller.end()
        self.stderr = said.decode("utf-8", "replace")
        yield from self.play(mapped)
        yield Cut("the end")
        yield Ended(status)

    def play(self, mapped):
        pending, mapped = {}, list(mapped)
        with open(self.log, encoding="ascii", errors="replace") as file:
            for line in file:
                match = re.match(r"(\d+) +(\d+\.\d+) (.*)\n", line)
                if not match:
                    raise Unknown(f"line of strace: {line[:100]}")
                thread, when, rest = match[1], float(match[2]), match[3]
                resumed = re.match(r"<\.\.\. (\w+) resumed>(.*)", rest)
                if resumed:
                    started, head, at = pending.pop(thread)
                    yield from self.finish(head + resumed[2], at)
                    continue
                call = rest.split("(")[0]
                # What was seen before this call went on was stored before it.
                limit = when + (HOLD_SECONDS * 0.8 if call in SYNCS else 0)
                while mapped and mapped[0][0] < limit:
                    self.disk.seen(*mapped.pop(0)[1:])
                if call in SYNCS:
                    yield Cut(readable(rest))
                at = self.disk.clock
                if rest.endswith(" <unfinished ...>"):
                    pending[thread] = (when, rest[: -len(" <unfinished ...>")], at)
                else:
                    yield from self.finish(rest, at)
        for _, path, content in mapped:
            self.disk.seen(path, content)

    def inside(self, path):
        """The path relative to the data directory, "" for itself; None outside."""
        if path == self.directory:
            return ""
        return os.path.relpath(path, self.directory) if path.startswith(self.directory + "/") else None

    def finish(self, rest, at):
        """Plays one call that has returned; at: the model's time when it began."""
        match = re.match(r"(\w+)\((.*)\)\s+= (-?\d+|\?|0x[0-9a-f]+)(.*)$", rest)
        if not match or match[1] == "exit_group":
            return  # signals, exits
        call, arguments, result = match[1], match[2], match[3]
        if result == "?" or int(result, 0) < 0:
            return  # failed: nothing has changed
        if call == "write" and arguments.startswith("1<"):
            quoted = re.search(r'"([^"]*)", \d+$', arguments)
            yield Printed(text(quoted[1]).decode("utf-8", "replace")[: int(result)])
            return
        if call in HARMLESS:
            return
        descriptors = [self.inside(text(p).decode("utf-8", "replace")) for p in re.findall(r"(?:\d+|AT_FDCWD)<([^>]*)>(?!\(deleted\))",
                                                                                       arguments)]
        strings = [text(s) for s in re.findall(r'"((?:\\x[0-9a-f]{2})*)"', arguments)]
        play = getattr(self, "play_" + call, None)
        if play is None:
            named = [s.decode("utf-8", "replace") for s in strings]
            if any(d is not None for d in descriptors) or any(self.inside(n) is not None for n in named):
                raise Unknown(readable(rest)[:200])
            return
        play(descriptors, strings, arguments, int(result, 0), at)

    def paths(self, descriptors, strings):
        """The full names of a call that takes pairs of an open directory and a name."""
        found = []
        for number, name in enumerate(strings):
            name = name.decode("utf-8", "surrogateescape")
            if name.startswith("/"):
                found.append(self.inside(name))
            elif number < len(descriptors) and descriptors[number] is not None:
                found.append(os.path.normpath(os.path.join(descriptors[number], name)))
            else:
                found.append(None)
        return found

    def play_openat(self, descriptors, strings, arguments, result, at):
        (path, *_) = self.paths(descriptors, strings)
        if path is None or "O_CREAT" not in arguments and "O_TRUNC" not in arguments:
            return
        node = self.disk.find(path)
        if node is None:
            self.disk.make_file(path)
        elif "O_TRUNC" in arguments:
            self.disk.resize(node, 0)

    play_openat2 = play_openat
    play_open = play_openat
    play_creat = play_openat

    def node(self, descriptors):
        return self.disk.find(descriptors[0]) if descriptors and descriptors[0] is not None else None

    def play_pwrite64(self, descriptors, strings, arguments, result, at):
        if node := self.node(descriptors):
            self.disk.write(node, int(arguments.rsplit(", ", 1)[1]), strings[0][:result])

    def play_pwritev(self, descriptors, strings, arguments, result, at):
        if node := self.node(descriptors):
            numbers = re.match(r".*\], \d+, (\d+)", arguments)
            self.disk.write(node, int(numbers[1]), b"".join(strings)[:result])

    play_pwritev2 = play_pwritev

    def play_write(self, descriptors, strings, arguments, result, at):
        if node := self.node(descriptors):
            self.disk.write(node, len(node.content), strings[0][:result])  # leat writes so only what it copies, from the beginning

    def play_ftruncate(self, descriptors, strings, arguments, result, at):
        if node := self.node(descriptors):
            self.disk.resize(node, int(arguments.rsplit(", ", 1)[1]))

    def play_fallocate(self, descriptors, strings, arguments, result, at):
        if node := self.node(descriptors):
            mode, offset, length = re.match(r".*>, (\w+), (\d+), (\d+)$", arguments).groups()
            if mode not in ("0", "FALLOC_FL_KEEP_SIZE"):
                raise Unknown(f"fallocate {mode}")
            if mode == "0" and int(offset) + int(length) > len(node.content):
                self.disk.resize(node, int(offset) + int(length))

    def play_fdatasync(self, descriptors, strings, arguments, result, at):
        if (node := self.node(descriptors)) is not None:
            node.make_durable(at)

    play_fsync = play_fdatasync

    def play_renameat(self, descriptors, strings, arguments, result, at):
        source, target = self.paths(descriptors, strings)
        if "RENAME_EXCHANGE" in arguments or (source is None) != (target is None):
            raise Unknown("a rename into or out of the data directory, or an exchange")
        if source is not None:
            self.disk.rename(source, target)

    play_renameat2 = play_renameat
    play_rename = play_renameat

    def play_linkat(self, descriptors, strings, arguments, result, at):
        source, target = self.paths(descriptors, strings)
        if target is not None:
            self.disk.name(target, self.disk.find(source))

    def play_unlinkat(self, descriptors, strings, arguments, result, at):
        (path,) = self.paths(descriptors, strings)
        if path is not None:
            self.disk.name(path, None)

    play_unlink = play_unlinkat
    play_rmdir = play_unlinkat

    def play_mkdirat(self, descriptors, strings, arguments, result, at):
        (path,) = self.paths(descriptors, strings)
        if path is not None and path != "":
            self.disk.make_directory(path)

    play_mkdir = play_mkdirat


def readable(rest):
    return re.sub(r"(?:\\x[0-9a-f]{2})+", lambda m: text(m[0])[-120:].decode("utf-8", "backslashreplace"), rest)
