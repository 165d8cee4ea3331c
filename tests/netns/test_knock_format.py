# SPDX-License-Identifier: MIT
"""The harness's own knocks, against the published known answer: a wrong one would prove nothing."""

from lib import knock


def test_known_answer():
    private = [knock.private_from_raw(bytes.fromhex(text)) for text in (
        "c94619e1af28971c8fa7957192b7e62a71ca2dcdde0a7cc4a8a9e741d600ab13",
        "3ca22a6d1cda1bb9480949ec5329d3bf0b080ca4c45879c95eddb55c70b80b82",
        "2def0cb58ffcf83d1062dd085c8aceca7f4c0c3fd05912d847b61f3e54121f05")]
    datagram = knock.make(private[2], private[1].public_key(), time_step=58792320,
                          nonce=bytes(range(12)), ephemeral=private[0])
    assert datagram.hex() == (
        "f0f4f9e96c54aeed3f323de8534fffd7e0577e4ce269896716bcb95643c8712b"
        "f7674cc8cd7baa5872d1f33dbaffe3314239f6197ddf5ded1746760bfc847e0e"
        "8d5f0f145a88b973eed0c6400bb93c50d8c6b5a6315100f6c2ff4379da24482a69")
