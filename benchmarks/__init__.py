"""Benchmarks of speed, latency, frame rate and memory on this machine. They change no result of the pipeline."""
