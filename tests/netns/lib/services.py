# SPDX-License-Identifier: MIT
"""The server's services: each port echoes what it gets, over TCP, UDP or both, in both families."""

import contextlib
import selectors
import socket
import threading

TCP = 7001  # protected, TCP only
UDP = 7002  # protected, UDP only
BOTH = 7003  # protected, TCP and UDP
ALSO = 7004  # protected, TCP
FREE_TCP = 7080  # not protected
FREE_UDP = 7081  # not protected
SHARED = 62202  # a knock port with a service behind it
KNOCK = 62201  # a knock port with nothing behind it
CLOSED = 62299  # a port with nothing behind it

PROTECTED = f"{TCP}/tcp {UDP}/udp {BOTH} {ALSO}/tcp"

_TCP_PORTS = (TCP, BOTH, ALSO, FREE_TCP)
_UDP_PORTS = (UDP, BOTH, FREE_UDP, SHARED)


class Services:
    """All of them, in one thread."""

    def __init__(self, namespace):
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ, self._stop)
        for kind, ports in ((socket.SOCK_STREAM, _TCP_PORTS), (socket.SOCK_DGRAM, _UDP_PORTS)):
            for port in ports:
                self._listen(namespace, kind, port)
        self._running = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _listen(self, namespace, kind, port):
        sock = namespace.socket(socket.AF_INET6, kind)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("::", port))
        sock.setblocking(False)
        if kind == socket.SOCK_STREAM:
            sock.listen(4096)
        handler = self._accept if kind == socket.SOCK_STREAM else self._datagram
        self._selector.register(sock, selectors.EVENT_READ, handler)

    def _accept(self, sock):
        with contextlib.suppress(OSError):
            connection, _ = sock.accept()
            connection.settimeout(1)  # for a peer that does not read
            self._selector.register(connection, selectors.EVENT_READ, self._echo)

    def _echo(self, sock):
        try:
            data = sock.recv(65536)
            if data:
                sock.sendall(data)
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(sock)
            sock.close()

    @staticmethod
    def _datagram(sock):
        with contextlib.suppress(OSError):
            data, peer = sock.recvfrom(65536)
            sock.sendto(data, peer)

    def _stop(self, _sock):
        self._running = False

    def _run(self):
        while self._running:
            for key, _ in self._selector.select():
                key.data(key.fileobj)

    def close(self):
        self._wake.send(b"x")
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()
        self._wake.close()
