"""Corpora as archives: fetched, packed into one deterministic zip, read in place and never extracted."""
