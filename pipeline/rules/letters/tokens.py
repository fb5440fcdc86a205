"""Tokens of public addresses: unguessable, bound to one purpose, and nobody's name in them."""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import b32decode, b32encode, urlsafe_b64decode, urlsafe_b64encode

#: What the links of a review mail are good for, each and nothing else.
STOP, PREVIEW = "stop", "preview"

ID_BYTES = 16
SEAL_BYTES = 16
TOKEN_CHARS = 43  #: 32 bytes as base64url without padding


class HmacTokens:
    """Makes and reads tokens with one secret; each purpose has a key of its own."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def derive(self, *parts: str) -> str:
        """A public id that only we can make: 26 characters, the same for the same parts."""
        mac = hmac.new(self._key("derive"), digestmod=hashlib.sha256)
        for part in parts:
            raw = part.encode()
            mac.update(len(raw).to_bytes(8, "big") + raw)  # ("ab", "c") is not ("a", "bc")
        return b32encode(mac.digest()[:ID_BYTES]).decode().rstrip("=").lower()

    def make(self, purpose: str, public_id: str) -> str:
        """Seal a public id for one purpose: 43 characters that stand in an address as they are.

        Raises: ValueError (not a public id)
        Source: RFC 2104 §5 (truncation to half the output), RFC 4648 §5 (base64url)
        """
        identity = _packed(public_id)
        if identity is None:
            raise ValueError("a token is made for a public id of 26 base32 characters")
        return urlsafe_b64encode(identity + self._seal(purpose, identity)).decode().rstrip("=")

    def read(self, purpose: str, token: str) -> str | None:
        """The public id, or None for anything that is not ours; compared in constant time."""
        raw = _unsealed(token)
        identity, seal = raw[:ID_BYTES], raw[ID_BYTES:]
        if not hmac.compare_digest(seal, self._seal(purpose, identity)):
            return None
        return b32encode(identity).decode().rstrip("=").lower()

    def _seal(self, purpose: str, identity: bytes) -> bytes:
        return hmac.new(self._key(purpose), identity, hashlib.sha256).digest()[:SEAL_BYTES]

    def _key(self, purpose: str) -> bytes:
        return hmac.new(self._secret, b"token:" + purpose.encode(), hashlib.sha256).digest()


def _packed(public_id: str) -> bytes | None:
    """The 16 bytes of a public id in the one way that we write it."""
    try:
        raw = b32decode(public_id.upper() + "=" * (-len(public_id) % 8))
    except (binascii.Error, ValueError):
        return None
    same = b32encode(raw).decode().rstrip("=").lower() == public_id
    return raw if len(raw) == ID_BYTES and same else None


def _unsealed(token: str) -> bytes:
    """Identity and seal; empty when it is not written exactly as we write it.

    A token has one spelling: base64 would forgive strange characters and spare bits.
    """
    if len(token) != TOKEN_CHARS or not token.isascii():
        return b""
    try:
        raw = urlsafe_b64decode(token + "=")
    except (binascii.Error, ValueError):
        return b""
    return raw if urlsafe_b64encode(raw).decode().rstrip("=") == token else b""
