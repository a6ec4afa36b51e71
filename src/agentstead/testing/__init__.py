"""Doubles that ship with the product and are held to the same contracts."""
