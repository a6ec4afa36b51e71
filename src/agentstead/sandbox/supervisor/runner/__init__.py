"""The program inside the sandbox: runs the tools. Standard library only, Python 3.9 or newer."""
