from __future__ import annotations

import gzip
import importlib
import zlib
from typing import Any

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.fetchers.body import ACCEPTED, Garbled, TooBig, decoder

ZEROS = b"\0" * 20_000_000


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKERS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "deflate without wrapper": raw_deflate,
    "br": brotli.compress,
    "identity": bytes,
}


def unpack(encoding: str, packed: bytes, room: int, step: int) -> bytes:
    unpacker = decoder(encoding.split(" ")[0])
    assert unpacker is not None
    out = b""
    for start in range(0, len(packed), step):
        out += unpacker.feed(packed[start : start + step], room - len(out))
    unpacker.end()
    return out


@pytest.mark.parametrize("encoding", PACKERS)
@given(data=st.binary(max_size=3_000), step=st.integers(2, 5_000))
def test_what_was_packed_comes_out_whatever_the_pieces(
    encoding: str, data: bytes, step: int
) -> None:
    assert unpack(encoding, PACKERS[encoding](data), 3_000, step) == data


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_a_bomb_stops_at_the_cap(encoding: str) -> None:
    packed = PACKERS[encoding](ZEROS)
    assert len(packed) < 60_000
    with pytest.raises(TooBig):
        unpack(encoding, packed, 1_000_000, 65_536)


def test_exactly_the_cap_passes_and_one_byte_more_does_not() -> None:
    for encoding, pack in PACKERS.items():
        assert unpack(encoding, pack(b"x" * 1_000), 1_000, 65_536) == b"x" * 1_000
        with pytest.raises(TooBig):
            unpack(encoding, pack(b"x" * 1_001), 1_000, 65_536)


def test_members_of_gzip_are_joined_padding_is_not() -> None:
    packed = gzip.compress(b"one ") + gzip.compress(b"two")
    assert unpack("gzip", packed + b"\0" * 20, 100, 7) == b"one two"


def test_thousands_of_members_are_garbled() -> None:
    with pytest.raises(Garbled):
        unpack("gzip", gzip.compress(b"") * 1_000, 100, 65_536)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_a_stream_that_breaks_off_is_garbled(encoding: str) -> None:
    packed = PACKERS[encoding](b"a long enough text that it is not all in the last byte" * 50)
    with pytest.raises(Garbled):
        unpack(encoding, packed[:-20], 10_000, 16)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_what_is_not_packed_at_all_is_garbled(encoding: str) -> None:
    with pytest.raises(Garbled):
        unpack(encoding, b"<rss version='2.0'>", 10_000, 16)


def test_only_what_can_be_unpacked_is_asked_for() -> None:
    assert all(decoder(name) for name in ACCEPTED.split(", "))
    assert decoder("snappy") is None
    assert decoder("gzip, br") is None


def zstd_module() -> Any | None:
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


def test_zstd_is_asked_for_just_where_python_has_it() -> None:
    module = zstd_module()
    assert ("zstd" in ACCEPTED) == (module is not None)
    assert (decoder("zstd") is not None) == (module is not None)
    if module is not None:
        packed = module.compress(b"one ") + module.compress(b"two")
        assert unpack("zstd", packed, 100, 3) == b"one two"
        with pytest.raises(TooBig):
            unpack("zstd", module.compress(ZEROS), 1_000_000, 65_536)
        with pytest.raises(Garbled):
            unpack("zstd", packed[:-3], 100, 3)
