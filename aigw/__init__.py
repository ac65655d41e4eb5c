"""An AI gateway on Twisted: the admin API of APISIX in front, OpenAI-compatible models behind."""

__version__ = "0.1.0"
