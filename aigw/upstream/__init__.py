"""The client side of the data path: our own IAgent and the treq client on it.

`clients` is the door; behind it `agent` (what a request needs), `pool` (connections kept alive), `connection` (one of
them), `response`, `sending` (bodies on their way out), `wire` with `head` and `chunked` (replies, parsed without I/O),
`failures` (foreign errors into ours) and `body` (a response body as a Source).
"""
