"""The process that owns one sandbox: outside of it, alone, standard library only, outlives workers."""
