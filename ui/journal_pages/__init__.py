"""The parts of the page Trade journal: trades that are followed, how they did, and the forms that open and end them."""
