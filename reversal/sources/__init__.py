"""Where bars come from; a new source is one module and one entry in `registry`."""
