"""Emotion recognition from raw corpus to a compared table of recognisers: one script per DVC stage, one room per concern."""
