"""The system-call filter of every sandbox: compiled for each machine, and the program that compiled it."""
