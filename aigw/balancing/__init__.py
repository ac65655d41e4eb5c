"""Which instance a request tries, and whether it tries another one.

Decisions only: nothing here opens a connection, reads a clock or rolls dice. Moments are seconds of the gateway's
monotonic clock, randomness is a number in [0, 1), and both are arguments.
"""
