"""Tests of `/why`."""
