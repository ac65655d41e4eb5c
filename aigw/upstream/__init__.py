"""The client side of the data path: our own IAgent and the treq client on it.

`clients` is the door; behind it `client` (treq's interface), `agent` (what a request needs), `pool` (connections kept
alive), `endpoints` and `resolving` (how new ones are made), `connection` (one of them), `response`, `sending` (bodies
on their way out), `wire` with `head` and `chunked` (replies, parsed without I/O), `failures` (foreign errors into
ours), `body` (a response body as a Source) and `testing` (a network in memory).
"""
