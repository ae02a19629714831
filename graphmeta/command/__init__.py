"""The command `graphmeta`."""
