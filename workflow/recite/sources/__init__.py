"""Where files come from: patterns of names, pointers in place of files, the hub."""
