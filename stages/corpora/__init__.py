"""One file per reader: layout, label map, expected counts, `read` and `synthesise`."""
