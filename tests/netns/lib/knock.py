# SPDX-License-Identifier: MIT
"""Knocks of format 1, made with python3-cryptography: shares no code with spale.

spale-protocol(7) has the format in words.
"""

import os
import struct
import time

from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

TIME_STEP = 30
SIZE = 97

_SUITE = b"HPKE" + struct.pack(">HHH", 0x0020, 0x0001, 0x0003)
_AAD = bytes(6) + b"\x01"


def _hmac(key, data):
    mac = hmac.HMAC(key, hashes.SHA256())
    mac.update(data)
    return mac.finalize()


def _extract(salt, label, ikm):
    return _hmac(salt or bytes(32), b"HPKE-v1" + _SUITE + label + ikm)


def _expand(prk, label, info, length):
    info = struct.pack(">H", length) + b"HPKE-v1" + _SUITE + label + info
    out, block = b"", b""
    while len(out) < length:
        block = _hmac(prk, block + info + bytes([len(out) // 32 + 1]))
        out += block
    return out[:length]


def raw_public(key):
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def now_step():
    return int(time.time()) // TIME_STEP


def settle(margin=3):
    """Waits where a time step is about to end, so that "now" stays "now" for a while."""
    left = TIME_STEP - time.time() % TIME_STEP
    if left < margin:
        time.sleep(left + 0.05)


def make(client, server, time_step=None, nonce=None, ephemeral=None, version=1):
    """One datagram from the private key CLIENT to the public key SERVER."""
    time_step = now_step() if time_step is None else time_step
    nonce = os.urandom(12) if nonce is None else nonce
    ephemeral = ephemeral or X25519PrivateKey.generate()
    enc, sender, recipient = (raw_public(key) for key in (
        ephemeral.public_key(), client.public_key(), server))

    eae_prk = _extract(b"", b"eae_prk", ephemeral.exchange(server) + client.exchange(server))
    shared = _expand(eae_prk, b"shared_secret", enc + recipient + sender, 32)
    context = b"\x02" + _extract(b"", b"psk_id_hash", b"") + _extract(b"", b"info_hash", _AAD)
    secret = _extract(b"", b"secret", shared)
    key = _expand(secret, b"key", context, 32)
    nonce_base = _expand(secret, b"base_nonce", context, 12)
    plain = struct.pack(">BI", version, time_step) + nonce
    return sender + enc + ChaCha20Poly1305(key).encrypt(nonce_base, plain, _AAD)


def load_private(text):
    return serialization.load_pem_private_key(text, None)


def load_public(text):
    return serialization.load_pem_public_key(text)


def private_from_raw(raw):
    return X25519PrivateKey.from_private_bytes(raw)


def public_from_raw(raw):
    return X25519PublicKey.from_public_bytes(raw)
