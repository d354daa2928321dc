"""Decoders of untrusted bytes into signals. Each checks sizes before it decompresses; readers of one kind share one."""
