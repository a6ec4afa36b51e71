"""A program of its own that saves what an agent made in one archive, and makes it again from one."""
