#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Calls every member of the D-Bus API with values that nobody expects, for some seconds, as the user
who started it. Values fit the signatures or do not; texts are addresses, names and keys, or nearly.

Usage: fuzz_bus.py SECONDS [SEED] [INTERFACE.XML...]

Ends with 0, and the number of calls and what came of them as JSON, when every call was answered.
One that was not is shown on standard error.
"""

import collections
import json
import random
import sys
import xml.etree.ElementTree as ElementTree

from gi.repository import Gio, GLib

NAME, PATH = "org.spale1", "/org/spale1"
STANDARD = {
    "org.freedesktop.DBus.Properties": {"Get": "ss", "GetAll": "s", "Set": "ssv"},
    "org.freedesktop.DBus.Introspectable": {"Introspect": ""},
    "org.freedesktop.DBus.ObjectManager": {"GetManagedObjects": ""},
    "org.freedesktop.DBus.Peer": {"Ping": "", "GetMachineId": ""},
}
AT_ONCE = 24
# Octets. The system bus hangs up on who sends a message of more than 32 MiB (dbus-daemon's
# max_message_size); such a message never reaches the daemon under test.
LONGEST_BODY = 16 << 20

INTEGERS = {"y": 8, "n": -16, "q": 16, "i": -32, "u": 32, "x": -64, "t": 64}
TEXTS = [
    "", "a", "/", "%n%s", "\t\n", "ä" * 40, "0" + "ä" * 60, "x" * 255, "x" * 70000, "tcp", "udp", "sctp", "dccp",
    "udplite", "TCP", "192.0.2.7", "192.0.2.0/24", "192.0.2.7/24", "0.0.0.0/0", "::/0", "::1", "[::1]",
    "2001:db8::/64", "::ffff:192.0.2.7", "fe80::1", "fe80::1%eth0", "224.0.0.1", "255.255.255.255",
    "1.2.3", "1.2.3.4/33", "1.2.3.4/", "::/129", "eth0", "lo", "alice", "bob", "../alice", ".", "-a",
    "A" * 63, "A" * 65, "yes", "no", "auto", "knock", "administrator", "always", "org.spale1.Manager",
    "org.spale1.Grant", "org.spale1.Client", "org.spale1.Interface", "LogOnly", "Counters", "Ports",
    "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=", "A" * 43 + "=",
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VuAyEA\n-----END PUBLIC KEY-----\n",
    "-----BEGIN PUBLIC KEY-----\n" + "A" * 5000,
]
KEYS = {
    "idle": "t", "grace": "t", "lifetime": "t", "interface": "s", "permanent": "b", "client": "s",
    "source": "s", "origin": "s", "Ports": "a(sqq)", "Idle": "t", "Grace": "t", "Lifetime": "t",
    "NotBefore": "t", "NotAfter": "t", "AllowedSources": "as", "RequireSourceMatch": "s", "Enabled": "b",
    "": "s", "unknown": "v", "PresharedKey": "ay",
}
SIGNATURES = ["s", "b", "t", "as", "a(sqq)", "a{sv}", "v", "ay", "o", "(su)", "aas", "d", "g", "a{st}"]


class Dice(random.Random):
    """Values of D-Bus types."""

    def integer(self, kind):
        bits = INTEGERS[kind]
        low, high = (0, 2**bits - 1) if bits > 0 else (-2**(-bits - 1), 2**(-bits - 1) - 1)
        edges = [0, 1, 2, 22, 59, 60, 3600, 7001, 65535, 2**31, 2**32, 2**63, high - 1, high, low]
        value = self.choice(edges) if self.random() < 0.7 else self.randint(low, high)
        return min(max(value, low), high)

    def text(self):
        text = self.choice(TEXTS)
        if self.random() < 0.1:
            cut = self.randrange(len(text) + 1)
            text = text[:cut] + self.choice(["", "\x01", "é", "0", "/", ":", " "]) + text[cut:]
        return text

    def path(self):
        kind = self.choice(["", "/grant", "/client", "/interface", "/x"])
        name = self.choice(["", "/1", "/2", "/17", "/0", "/18446744073709551615", "/99999999999999999999999",
                            "/alice", "/bob", "/eth0", "/lo", "/_", "/_00", "/_zz", "/_61lice", "/01", "/" + "a" * 200])
        return PATH + kind + name

    def value(self, kind, depth=0):
        """A Variant of one complete type."""
        head = kind[0]
        if head in INTEGERS:
            return GLib.Variant(head, self.integer(head))
        simple = {"b": lambda: self.random() < 0.5, "s": self.text, "o": self.path, "d": self.random,
                  "g": lambda: self.choice(SIGNATURES)}
        if head in simple:
            return GLib.Variant(head, simple[head]())
        if head == "v":
            return GLib.Variant("v", self.value(self.choice(SIGNATURES[:6]) if depth < 3 else "s", depth + 1))
        if head == "(":
            return GLib.Variant.new_tuple(*(self.value(each, depth) for each in split(kind[1:-1])))
        if kind == "a{sv}":
            return self.options(depth)
        length = self.choice([0, 0, 1, 1, 2, 3, 5, 64, 300] if depth < 2 else [0, 1])
        if kind.startswith("a{"):
            first, second = split(kind[2:-1])
            items = [GLib.Variant.new_dict_entry(self.value(first, depth + 1), self.value(second, depth + 1))
                     for _ in range(min(length, 5))]
            return GLib.Variant.new_array(GLib.VariantType(kind[1:]), items)
        return GLib.Variant.new_array(GLib.VariantType(kind[1:]),
                                      [self.value(kind[1:], depth + 1) for _ in range(length)])

    def options(self, depth):
        items = []
        for name in self.choices(list(KEYS), k=self.choice([0, 0, 1, 1, 2, 4])):
            kind = KEYS[name] if self.random() < 0.8 else self.choice(SIGNATURES)
            content = self.value("s" if depth > 3 else kind, depth + 1)
            items.append(GLib.Variant.new_dict_entry(GLib.Variant("s", name), GLib.Variant("v", content)))
        return GLib.Variant.new_array(GLib.VariantType("{sv}"), items)


def split(kinds):
    """The complete types of a signature."""
    parts, start = [], 0
    while start < len(kinds):
        end = start
        while kinds[end] == "a":
            end += 1
        depth = 0
        while True:
            depth += (kinds[end] in "({") - (kinds[end] in ")}")
            end += 1
            if depth == 0:
                break
        parts.append(kinds[start:end])
        start = end
    return parts


def members(files):
    for name, methods in STANDARD.items():
        for method, kinds in methods.items():
            yield name, method, kinds
    for file in files:
        for interface in ElementTree.parse(file).getroot().findall("interface"):
            for method in interface.findall("method"):
                yield interface.get("name"), method.get("name"), "".join(
                    each.get("type") for each in method.findall("arg") if each.get("direction") == "in")


class Fuzzer:
    def __init__(self, seconds, seed, files):
        self.dice = Dice(seed)
        self.members = list(members(files))
        self.bus = Gio.bus_get_sync(Gio.BusType.SYSTEM, None)
        self.loop = GLib.MainLoop()
        self.over, self.open = False, 0
        self.came = collections.Counter()
        GLib.timeout_add(int(seconds * 1000), self.end)
        for _ in range(AT_ONCE):
            self.call()

    def end(self):
        self.over = True
        return False

    def path(self, interface):
        parts = {"org.spale1.Manager": "", "org.spale1.Interface": "/interface/eth0",
                 "org.spale1.Client": self.dice.choice(["/client/alice", "/client/bob"]),
                 "org.spale1.Grant": f"/grant/{self.dice.randrange(1, 400)}"}
        return PATH + parts[interface] if interface in parts and self.dice.random() < 0.8 else self.dice.path()

    def body(self, kinds):
        while True:
            body = GLib.Variant.new_tuple(*(self.dice.value(each) for each in split(kinds)))
            if body.get_size() <= LONGEST_BODY:
                return body

    def call(self):
        dice = self.dice
        interface, method, kinds = dice.choice(self.members)
        if dice.random() < 0.1:
            kinds = "".join(dice.choices(SIGNATURES, k=dice.randrange(4)))
        message = Gio.DBusMessage.new_method_call(NAME, self.path(interface).rstrip("/"), interface, method)
        message.set_body(self.body(kinds))
        self.open += 1
        self.bus.send_message_with_reply(message, Gio.DBusSendMessageFlags.NONE, 60000, None, self.answered, message)

    def answered(self, connection, result, message):
        self.open -= 1
        try:
            reply = connection.send_message_with_reply_finish(result)
            self.came[reply.get_error_name() or "success"] += 1
        except GLib.Error as error:
            self.came["none: " + error.message] += 1
            print(message.print_(0)[:2000], file=sys.stderr)
            self.over = True
        if not self.over:
            self.call()
        elif self.open == 0:
            self.loop.quit()


def main():
    seconds = float(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(2**32)
    print("seed", seed, flush=True)
    fuzzer = Fuzzer(seconds, seed, sys.argv[3:])
    fuzzer.loop.run()
    print(json.dumps(fuzzer.came))
    return 1 if any(each.startswith("none") for each in fuzzer.came) else 0


if __name__ == "__main__":
    sys.exit(main())
