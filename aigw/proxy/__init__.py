"""The proxy face: HTTP from clients becomes an Exchange, the Reply to it becomes bytes again.

This is an edge of the gateway: whatever a client sends ends here in an answer or a closed connection, never in a hang.
"""
