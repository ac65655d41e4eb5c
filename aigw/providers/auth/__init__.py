"""How vendors want their requests signed. Pure: the time is an argument, and no secret is ever shown."""
