#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
What a desktop's panel does: follows the grants of spaled with GLib's own object manager client, and
prints a line for each that comes, changes or goes. Nothing in here is made for the tests.
"""

from gi.repository import Gio, GLib

NAME, PATH = "org.spale1", "/org/spale1"


def say(*words):
    print(*words, flush=True)


def source(grant):
    address, length = grant.get_cached_property("Source").unpack()
    return f"{address}/{length}"


class Panel:
    def __init__(self):
        self.connection = Gio.bus_get_sync(Gio.BusType.SYSTEM, None)
        # Signals come one by one to who asked for them, on this connection; first, so that nothing
        # is missed.
        self.subscribe()
        self.objects = Gio.DBusObjectManagerClient.new_sync(
            self.connection, Gio.DBusObjectManagerClientFlags.DO_NOT_AUTO_START, NAME, PATH, None, None, None)
        self.objects.connect("object-added", self.added)
        self.objects.connect("object-removed", self.removed)
        self.objects.connect("interface-proxy-properties-changed", self.changed)
        self.objects.connect("notify::name-owner", self.owner)
        for each in self.objects.get_objects():
            self.added(None, each)
        say("ready")

    def subscribe(self):
        try:
            self.connection.call_sync(NAME, PATH, "org.spale1.Manager", "Subscribe", None, None,
                                      Gio.DBusCallFlags.NO_AUTO_START, 10000, None)
        except GLib.Error as error:
            say("not subscribed:", error.message)

    def added(self, _manager, each):
        grant = each.get_interface("org.spale1.Grant")
        if grant:
            say("added", each.get_object_path(), source(grant))

    def removed(self, _manager, each):
        if each.get_interface("org.spale1.Grant"):
            say("removed", each.get_object_path())

    def changed(self, _manager, each, proxy, properties, _invalidated):
        if proxy.get_interface_name() == "org.spale1.Grant":
            say("changed", each.get_object_path(), *sorted(properties.unpack()))

    def owner(self, *_):
        if self.objects.props.name_owner:
            self.subscribe()
        say("owner", self.objects.props.name_owner or "nobody")


if __name__ == "__main__":
    Panel()
    GLib.MainLoop().run()
