"""Asks the file system to keep what different sandboxes hold in different regions of the disk.

ext4 gives no number of a file that was deleted in the last minutes to another one, and looks at each
of them again for every file that is made near it: thousands that one sandbox deleted, or took along,
made its neighbours' files slow by a millisecond each. It chooses another region for each folder
below one that has the mark set here (`chattr +T`).
"""

import fcntl
import os
import struct
from contextlib import suppress
from pathlib import Path

GET_FLAGS, SET_FLAGS = 0x80086601, 0x40086602
"""Of the kernel's FS_IOC_…; other file systems refuse them, or do nothing about it."""
TOP = 0x00020000
FLAGS = struct.Struct("@q")


def spread(folder: Path) -> None:
    """Have each folder that is made in this one lie apart from the others; fine where it cannot be."""
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if not (flags := marks(opened)) & TOP:
                fcntl.ioctl(opened, SET_FLAGS, FLAGS.pack(flags | TOP))
        finally:
            os.close(opened)


def marks(opened: int) -> int:
    """The marks of an open file. OSError where its file system has none."""
    (flags,) = FLAGS.unpack(fcntl.ioctl(opened, GET_FLAGS, FLAGS.pack(0)))
    assert isinstance(flags, int)
    return flags
