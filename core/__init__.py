"""The pure heart: what a signal means, what to do about it, and what it did to the money.

Standard library only. Nothing here reads a clock, a database or a network.
"""
