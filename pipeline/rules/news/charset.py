"""Which characters a stranger's bytes are."""

from __future__ import annotations

import codecs
import re

_BOMS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_WIDE = (b"<\0?\0", b"\0<\0?")  #: the beginning of an XML document in UTF-16 without a mark
_ANNOUNCED = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9._-]{1,40})", re.IGNORECASE)
_DECLARED = re.compile(rb"<\?xml[^<>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']")
#: Python knows others (punycode, unicode_escape), which no feed needs and some of which crawl.
_ORDINARY = re.compile(
    r"(?:utf-?(?:8|16|32)|iso|latin|windows|cp|koi8|mac|big5|gb|hz|euc|shift|s?jis|ks|tis|us-ascii)",
    re.IGNORECASE,
)


def without_nuls(body: bytes) -> bytes:
    """NUL bytes out, unless they are half of a UTF-16 text."""
    wide = body[:2] in _BOMS[1:] or body[:4] in _WIDE
    return body if wide else body.replace(b"\0", b"")


def charset(body: bytes, content_type: str) -> str:
    """What the bytes are written in; empty when their own mark says it.

    Bytes that are valid UTF-8 are UTF-8: servers announce ISO-8859-1 for everything. Else
    the document's own word, then the server's, when the bytes fit it; else windows-1252, or
    ISO-8859-1, which fits everything.
    """
    if body.startswith(_BOMS) or body[:4] in _WIDE:
        return ""
    declared = _DECLARED.search(body[:1_000])
    announced = _ANNOUNCED.search(content_type)
    names = ["utf-8"]
    names += [declared[1].decode("ascii")] if declared else []
    names += [announced[1]] if announced else []
    names += ["windows-1252"]
    return next((name for name in names if _fits(name, body)), "iso-8859-1")


def _fits(name: str, body: bytes) -> bool:
    if not _ORDINARY.match(name):
        return False
    try:
        body.decode(name)
    except (LookupError, ValueError):
        return False
    return True
