"""Unpacks what a server sent, and stops at the cap: a small body may hold a gigabyte."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable
from typing import Any, Protocol

import brotli  # type: ignore[import-untyped]

_MEMBERS = 64  #: of one gzip or zstd stream; honest servers send one
_STEP_BYTES = 65_536  #: unpacked at a time


class TooBig(Exception):
    """The decoded body is larger than the cap."""


class Garbled(Exception):
    """The bytes are not what the server says they are."""


class Decoder(Protocol):
    """Unpacks a body piece by piece."""

    def feed(self, data: bytes, room: int) -> bytes:
        """Decoded bytes.

        Raises: TooBig as soon as they are more than `room`; Garbled
        """
        ...

    def end(self) -> None:
        """Raises: Garbled when the stream breaks off"""
        ...


class Plain:
    """What is not packed at all."""

    def feed(self, data: bytes, room: int) -> bytes:
        if len(data) > room:
            raise TooBig
        return data

    def end(self) -> None:
        """Its end is the connection's affair."""


class Zlib:
    """gzip of one or more members, and deflate with or without its wrapper."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)  # gzip or zlib, by its header
        self._begun = False
        self._members = 1

    def feed(self, data: bytes, room: int) -> bytes:
        out = bytearray()
        while data:
            if self._inner.eof and not self._next_member(data):
                break
            out += self._unpack(data, min(room - len(out) + 1, _STEP_BYTES))
            if len(out) > room:
                raise TooBig
            data = self._inner.unconsumed_tail or self._inner.unused_data
        return bytes(out)

    def end(self) -> None:
        if self._begun and not self._inner.eof:
            raise Garbled

    def _unpack(self, data: bytes, limit: int) -> bytes:
        try:
            piece = self._inner.decompress(data, limit)
        except zlib.error as error:
            if self._begun:
                raise Garbled from error
            self._inner = zlib.decompressobj(wbits=-zlib.MAX_WBITS)  # "deflate" without a wrapper
            self._begun = True
            return self._unpack(data, limit)
        self._begun = True
        return piece

    def _next_member(self, data: bytes) -> bool:
        """Begin another gzip member, if there is one; padding after the last is ignored."""
        if not data.startswith(b"\x1f\x8b"):
            return False
        self._members += 1
        if self._members > _MEMBERS:
            raise Garbled
        self._inner = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        return True


class Brotli:
    """br."""

    def __init__(self) -> None:
        self._inner = brotli.Decompressor()
        self._begun = False

    def feed(self, data: bytes, room: int) -> bytes:
        out = bytearray()
        try:
            out += self._inner.process(data, output_buffer_limit=min(room + 1, _STEP_BYTES))
            while len(out) <= room and not self._inner.can_accept_more_data():
                limit = min(room - len(out) + 1, _STEP_BYTES)
                out += self._inner.process(b"", output_buffer_limit=limit)
        except brotli.error as error:
            raise Garbled from error
        if len(out) > room:
            raise TooBig
        self._begun = self._begun or bool(data)
        return bytes(out)

    def end(self) -> None:
        if self._begun and not self._inner.is_finished():
            raise Garbled


class Zstd:
    """zstd, where Python brings it (3.14) or a backport is installed."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._inner = module.ZstdDecompressor()
        self._begun = False
        self._members = 1

    def feed(self, data: bytes, room: int) -> bytes:
        out = bytearray()
        try:
            while data or not (self._inner.needs_input or self._inner.eof):
                if self._inner.eof:
                    self._next_frame()
                out += self._inner.decompress(data, min(room - len(out) + 1, _STEP_BYTES))
                if len(out) > room:
                    raise TooBig
                self._begun = True
                data = self._inner.unused_data if self._inner.eof else b""
        except self._module.ZstdError as error:
            raise Garbled from error
        return bytes(out)

    def end(self) -> None:
        if self._begun and not self._inner.eof:
            raise Garbled

    def _next_frame(self) -> None:
        self._members += 1
        if self._members > _MEMBERS:
            raise Garbled
        self._inner = self._module.ZstdDecompressor()


def _zstd_module() -> Any | None:
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


_ZSTD = _zstd_module()
_DECODERS: dict[str, Callable[[], Decoder]] = {
    "": Plain,
    "identity": Plain,
    "gzip": Zlib,
    "x-gzip": Zlib,
    "deflate": Zlib,
    "br": Brotli,
}
if _ZSTD is not None:
    _DECODERS["zstd"] = lambda: Zstd(_ZSTD)

#: Value of Accept-Encoding: what we can unpack.
ACCEPTED = "gzip, deflate, br" + (", zstd" if _ZSTD is not None else "")


def decoder(content_encoding: str) -> Decoder | None:
    """The decoder for a Content-Encoding; None for one that we did not ask for."""
    make = _DECODERS.get(content_encoding.strip().lower())
    return make() if make else None
