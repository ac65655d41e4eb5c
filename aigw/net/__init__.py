"""Sockets with less work per event: Twisted's own transports and reactor, with shortcuts in front of their methods.

`sockets` is the door: the reactor, whose TCP connections send at once (`transport`). `reactor` is the lean reactor and
`choice` installs it. Everything works without either, slower. `private` lists what is leaned on in Twisted.
"""
