# SPDX-License-Identifier: MIT
"""A terminal with somebody in front of it: tmux."""

import itertools
import os
import re
import shlex
import termios

from machine import run, wait_until

_numbers = itertools.count()


def _agent_reads():
    """
    Whether polkit's agent for terminals waits for a password: it asks first, and then has its terminal
    forget what was typed until then and show nothing of what comes.
    """
    for tty in run("ps", "-C", "pkttyagent", "-o", "tty=", check=False).stdout.split():
        try:
            terminal = os.open(f"/dev/{tty}", os.O_RDWR | os.O_NOCTTY)
        except OSError:  # gone in between
            continue
        try:
            flags = termios.tcgetattr(terminal)[3]
        except termios.error:
            continue
        finally:
            os.close(terminal)
        if not flags & termios.ECHO:
            return True
    return False


class Terminal:
    """Runs a command in a terminal of its own. What is on the screen is its text."""

    def __init__(self, *argv, columns=100, rows=40, **variables):
        self._name = f"terminal{next(_numbers)}"
        words = ["env", "TERM=tmux-256color", "LC_ALL=C.UTF-8",
                 *(f"{name}={value}" for name, value in variables.items()), *map(str, argv)]
        self._tmux("new-session", "-d", "-s", self._name, "-x", columns, "-y", rows,
                   shlex.join(words) + "; echo status=$?; sleep 100",
                   # A server that goes with its last terminal may do so while the next one comes.
                   ";", "set-option", "-s", "exit-empty", "off")

    @staticmethod
    def _tmux(*argv):
        return run("tmux", "-f", "/dev/null", "-L", "spale", *argv).stdout

    def screen(self, *options):
        return self._tmux("capture-pane", "-p", "-t", self._name, *options).rstrip("\n") + "\n"

    def shows(self, pattern, timeout=15):
        """Waits until something is on the screen."""
        if wait_until(lambda: re.search(pattern, self.screen()), timeout, 0.1):
            return True
        print(self.screen())
        return False

    def type(self, text, enter=True):
        self._tmux("send-keys", "-t", self._name, "-l", text)
        if enter:
            self.press("Enter")

    def answer(self, password):
        """Types a password for polkit's agent, once it asks for one."""
        assert self.shows("Password:")
        assert wait_until(_agent_reads, 15, 0.05), self.screen()
        self.type(password)

    def press(self, key):
        self._tmux("send-keys", "-t", self._name, key)

    def status(self, timeout=15):
        """The exit status of the command, which has ended by then."""
        assert self.shows(r"(?m)^status=\d+$", timeout)
        return int(re.search(r"(?m)^status=(\d+)$", self.screen())[1])

    def close(self):
        self._tmux("kill-session", "-t", self._name)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
