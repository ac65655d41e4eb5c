"""Calling a model: what ai-proxy and ai-proxy-multi share, from a configured instance to the reply of one attempt."""
