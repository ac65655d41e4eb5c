"""Where the configuration is durable: stores, what seals their values, and the files that hold them."""
