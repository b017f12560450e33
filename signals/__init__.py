"""Turn what senders send into a `core.signal.Signal`, or say which part of it cannot be understood."""
