"""Bytes from outside → signals, checked before they are decompressed; shared by the readers of one kind of data."""
