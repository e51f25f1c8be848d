"""A file of a zip, inflated by ISA-L as far as it is read: in less than half the time of zipfile, and with all its checks."""

import struct
import zipfile

from isal import isal_zlib

_HEADER, _SIGNATURE = struct.Struct("<4s22x2H"), b"PK\3\4"  # of a local header: lengths of the name and of the extra field
_ENCRYPTED = 1


class Member:
    """Reads from the front, as a file does; `data` are the bytes of the whole zip.

    zipfile.BadZipFile where the zip is damaged: another name before the file than in the list, more or fewer bytes than listed, a
    wrong checksum. NotImplementedError for a method that is neither stored nor deflated, RuntimeError for an encrypted file.
    """

    def __init__(self, data: memoryview, info: zipfile.ZipInfo) -> None:
        if info.flag_bits & _ENCRYPTED:
            raise RuntimeError("encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise NotImplementedError(f"compression method {info.compress_type}")
        at = info.header_offset
        if at < 0 or at + _HEADER.size > len(data):
            raise zipfile.BadZipFile("the header lies beyond the end")
        signature, name_length, extra_length = _HEADER.unpack_from(data, at)
        start = at + _HEADER.size + name_length + extra_length
        if signature != _SIGNATURE or start + info.compress_size > len(data):
            raise zipfile.BadZipFile("no header, or less than listed")
        name = bytes(data[at + _HEADER.size : at + _HEADER.size + name_length])
        if name not in (info.orig_filename.encode("utf-8"), info.orig_filename.encode("cp437", "replace")):
            raise zipfile.BadZipFile("another name than listed")
        self._info = info
        self._rest = data[start : start + info.compress_size]
        self._inflate = isal_zlib.decompressobj(wbits=-15) if info.compress_type == zipfile.ZIP_DEFLATED else None
        self._size, self._crc = 0, 0

    def __enter__(self) -> "Member":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, size: int) -> bytes:
        """The next bytes, `size` at most; fewer at the end alone."""
        if self._inflate is None:
            out, self._rest = bytes(self._rest[:size]), self._rest[size:]
        elif self._inflate.eof:
            out = b""
        else:
            try:
                out = self._inflate.decompress(self._rest, size)
            except Exception as error:  # IsalError, which its stubs give no class
                raise zipfile.BadZipFile(str(error)) from None
            self._rest = memoryview(self._inflate.unconsumed_tail)
        self._size += len(out)
        self._crc = isal_zlib.crc32(out, self._crc)
        done = len(out) < size
        if self._size > self._info.file_size or (done and self._size < self._info.file_size):
            raise zipfile.BadZipFile("more or less than listed")
        if self._size == self._info.file_size and self._crc != self._info.CRC:
            raise zipfile.BadZipFile("a wrong checksum")
        return out
