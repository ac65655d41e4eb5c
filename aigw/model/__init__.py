"""What an operator describes: routes, services and their like, as frozen values. No Twisted, no I/O, no clock."""
