"""Archives of corpora: fetched, packed into one deterministic zip, and read in place without extracting them."""
