"""The admin face: HTTP in, `aigw.configuration.Configuration` out.

Klein is imported in here only, and installs the reactor: whoever wants this package imports `aigw.admin.app` late.
"""
