#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
A process of its own on the system bus, as the user who started it: does what it is told on stdin and
says on stdout what came of it, a line of JSON each. Values are GVariant text. bus.py drives it.

  {"id", "do": "call", "to", "path", "interface", "member", "body", "interactive", "timeout",
   "descriptors"}                     the last: how many it hands over
  {"id", "do": "match", "rule"}       what matches comes as {"signal": {...}}
  {"id", "do": "agent"}               becomes polkit's agent for this process: {"asked": {...}}
  {"id", "do": "dismiss", "cookie"}   the person closes the dialog
  {"id", "do": "agreed", "cookie"}    the person was authenticated

Answers are {"id", "error", "text", "body"}; error is null for a success. All calls at a time.
"""

import json
import os
import sys
import threading

from gi.repository import Gio, GLib

BUS = "org.freedesktop.DBus"
POLKIT = "org.freedesktop.PolicyKit1"
AGENT = f"""<node><interface name='{POLKIT}.AuthenticationAgent'>
<method name='BeginAuthentication'><arg type='s' direction='in'/><arg type='s' direction='in'/>
<arg type='s' direction='in'/><arg type='a{{ss}}' direction='in'/><arg type='s' direction='in'/>
<arg type='a(sa{{sv}})' direction='in'/></method>
<method name='CancelAuthentication'><arg type='s' direction='in'/></method></interface></node>"""


_one_at_a_time = threading.Lock()


def say(**what):
    with _one_at_a_time:
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()


class Caller:
    def __init__(self):
        address = Gio.dbus_address_get_for_bus_sync(Gio.BusType.SYSTEM, None)
        flags = Gio.DBusConnectionFlags
        self.connection = Gio.DBusConnection.new_for_address_sync(
            address, flags.AUTHENTICATION_CLIENT | flags.MESSAGE_BUS_CONNECTION, None, None)
        self.connection.set_exit_on_close(False)
        self.connection.connect("closed", lambda *_: say(closed=True))
        self.connection.add_filter(self._filter)
        self.asked = {}
        say(name=self.connection.get_unique_name())

    def _filter(self, _connection, message, incoming):
        if incoming and message.get_message_type() == Gio.DBusMessageType.SIGNAL:
            body = message.get_body()
            say(signal={"sender": message.get_sender(), "path": message.get_path(),
                        "interface": message.get_interface(), "member": message.get_member(),
                        "to": message.get_destination(),
                        "body": body.print_(True) if body else "()"})
        return message

    def call(self, order, to, path, interface, member, body=None, interactive=False, timeout=60,
             descriptors=0):
        message = Gio.DBusMessage.new_method_call(to, path, interface, member)
        if body is not None:
            message.set_body(GLib.Variant.parse(None, body, None, None))
        if interactive:
            message.set_flags(Gio.DBusMessageFlags.ALLOW_INTERACTIVE_AUTHORIZATION)
        if descriptors:
            handed = Gio.UnixFDList.new()
            for _ in range(descriptors):
                handed.append(sys.stdin.fileno())
            message.set_unix_fd_list(handed)
        self.connection.send_message_with_reply(
            message, Gio.DBusSendMessageFlags.NONE, int(timeout * 1000), None, self._answered, order)

    def _answered(self, connection, result, order):
        try:
            reply = connection.send_message_with_reply_finish(result)
        except GLib.Error as error:  # no reply at all
            say(id=order, error="none", text=error.message, body=None)
            return
        body = reply.get_body()
        if reply.get_message_type() == Gio.DBusMessageType.ERROR:
            text = body.unpack()[0] if body and body.n_children() else ""
            say(id=order, error=reply.get_error_name(), text=text, body=None)
        else:
            say(id=order, error=None, text="", body=body.print_(True) if body else "()")

    def match(self, order, rule):
        self.call(order, BUS, "/org/freedesktop/DBus", BUS, "AddMatch",
                  GLib.Variant("(s)", (rule,)).print_(True))

    def agent(self, order):
        interface = Gio.DBusNodeInfo.new_for_xml(AGENT).interfaces[0]
        self.connection.register_object("/agent", interface, self._begin)
        with open("/proc/self/stat", encoding="ascii") as stat:
            start = int(stat.read().rpartition(")")[2].split()[19])
        subject = ("unix-process", {"pid": GLib.Variant("u", os.getpid()),
                                    "start-time": GLib.Variant("t", start)})
        self.call(order, POLKIT, f"/{POLKIT}/Authority".replace(".", "/"), f"{POLKIT}.Authority",
                  "RegisterAuthenticationAgent",
                  GLib.Variant("((sa{sv})ss)", (subject, "C", "/agent")).print_(True))

    def _begin(self, _connection, _sender, _path, _interface, method, arguments, invocation):
        values = arguments.unpack()
        if method == "CancelAuthentication":
            say(cancelled=values[0])
            invocation.return_value(None)
            return
        action, message, _icon, details, cookie, _identities = values
        self.asked[cookie] = invocation
        say(asked={"action": action, "message": message, "details": details, "cookie": cookie})

    def dismiss(self, order, cookie):
        self.asked.pop(cookie).return_dbus_error(f"{POLKIT}.Error.Cancelled", "dismissed")
        say(id=order, error=None, text="", body="()")

    def agreed(self, order, cookie):
        self.asked.pop(cookie).return_value(None)
        say(id=order, error=None, text="", body="()")


def main():
    caller = Caller()
    loop = GLib.MainLoop()

    def obey(line):
        order = json.loads(line)
        getattr(caller, order.pop("do"))(order.pop("id"), **order)

    def listen():
        for line in sys.stdin:
            GLib.idle_add(obey, line)
        GLib.idle_add(loop.quit)

    threading.Thread(target=listen, daemon=True).start()
    loop.run()


if __name__ == "__main__":
    main()
