"""Packages of environments: installed once per list as a layer, which every sandbox sees read-only."""
