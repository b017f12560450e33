"""The parts of the page Reversal signals: what was found, what was sent, and how good it has been."""
