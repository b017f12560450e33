"""The parts of the page Discord & alerts: where alerts go, which are wanted, and what became of each."""
