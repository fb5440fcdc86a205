"""What strangers send along: so much of it, and no longer than we wait."""

from __future__ import annotations

import asyncio

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request


async def whole(request: Request, most_bytes: int, within_s: float) -> bytes:
    """A request's body as it came; empty when its sender hung up.

    Units:  most_bytes counts what is declared and what comes; within_s for all of it
    Raises: HTTPException for a body that is too large or too slow
    """
    try:
        async with asyncio.timeout(within_s):
            return await _read(request, most_bytes)
    except TimeoutError:
        raise _cut_off(408) from None


async def _read(request: Request, most_bytes: int) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most_bytes:
        raise _cut_off(413)
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > most_bytes:
                raise _cut_off(413)
    except ClientDisconnect:
        return b""
    return bytes(body)


def _cut_off(status: int) -> HTTPException:
    """What else they send is not waited for."""
    return HTTPException(status, headers={"Connection": "close"})
