"""From raw corpora to a compared table of emotion recognisers: one script per DVC stage, one room per concern."""
