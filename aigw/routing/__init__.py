"""Which route takes a request: pure, immutable, a few microseconds whatever the number of routes.

`target` turns what a client sent into a path and a host, `facts` is what a request is matched by, `router` matches.
"""
