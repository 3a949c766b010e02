"""Encoders altered to run many times: the same features for less work."""

from becam.encoders.fast.encoder import FastEncoder

__all__ = ["FastEncoder"]
